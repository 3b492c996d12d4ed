"""A timeline as tables: for frames, and for questions in SQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hydroscope.frame.frame import Frame
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.matching import RECEIPTS, SENDS
from hydroscope.window.changes import numbers_of, texts_of

if TYPE_CHECKING:
    from hydroscope.scope.states import State
    from hydroscope.scope.timeline import Timeline

__all__ = [
    "TABLES",
    "as_frame",
    "as_texts",
    "ask",
    "ask_of",
    "coded",
    "events_table",
    "findings_table",
    "messages_table",
    "nodes_table",
    "state_table",
]

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

TEXT_MAX = 10_000
"""Characters of a value in a table."""

US = 1e3
S = 1e9

KINDS = [Kind(k).name.lower() if k in list(Kind) else "?" for k in range(max(Kind) + 1)]


def as_texts(texts: Sequence[str | None]) -> Any:
    """Return texts as Arrow has them: what is no Unicode (decoders may return anything) is replaced."""
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([text and text.encode(errors="replace").decode() for text in texts], pa.string())


def coded(codes: npt.NDArray[Any], names: Sequence[str], gone: Flags | None = None) -> Any:
    """Return a column of texts as codes and a dictionary without doubles; missing where `gone`."""
    numbers: dict[str, int] = {}
    place = np.array([numbers.setdefault(name, len(numbers)) for name in names] or [0], np.int32)
    indices = pa.array(place[np.where(gone, 0, codes) if gone is not None else codes], mask=gone)
    return pa.DictionaryArray.from_arrays(indices, as_texts(list(numbers)))


def _times(ns: Ints, gone: Flags | None = None) -> Any:
    return pa.array(ns, mask=gone).cast(pa.timestamp("ns"))


def _known(values: Reals, gone: Flags | None = None) -> Any:
    """Return real numbers, missing where they are not finite."""
    unknown = ~np.isfinite(values)
    return pa.array(values, mask=unknown if gone is None else unknown | gone)


def events_table(timeline: Timeline) -> Any:
    """Return all records in the one order. Cost: a copy of all columns, and decoding of each distinct text."""
    events, found, labels = timeline.events, timeline.order, timeline.labels
    by = np.argsort(found.rank)
    names = [node.name for node in events.nodes]
    texts, text_codes = labels.texts
    peer, subject, partner = events.peer[by], events.subject[by], found.partner[by]
    time_ns = found.time_ns[by]
    return pa.table(
        {
            "record": pa.array(by),
            "node": coded(events.node[by], names),
            "lane": coded(events.lane[by], events.names, events.lane[by] == 0),
            "kind": coded(np.minimum(events.kind[by], 0 if not by.size else len(KINDS) - 1), KINDS),
            "label": coded(labels.codes[by], labels.names),
            "subject": coded(subject, events.names, subject == 0),
            "time": _times(time_ns),
            "time_ns": pa.array(time_ns),
            "seconds": pa.array((time_ns - time_ns[:1]) / S),
            "error_us": _known(found.error_ns[by] / US),
            "id": pa.array(events.id[by].view(np.int64)),
            "peer": coded(peer, names, peer < 0),
            "n_bytes": pa.array(events.n_bytes[by].astype(np.int64)),
            "partner": pa.array(partner, mask=partner < 0),
            "rank": pa.array(np.arange(by.size)),
            "text": as_texts(texts or [""]).take(pa.array(text_codes[by])),
        }
    )


def messages_table(timeline: Timeline) -> Any:
    """Return one row for each receipt with what was sent, and for what was sent and never received. Cost: O(n)."""
    events, found, labels = timeline.events, timeline.order, timeline.labels
    receipts = np.flatnonzero(np.isin(events.kind, RECEIPTS))
    sends = np.flatnonzero(np.isin(events.kind, SENDS) & (found.partner < 0))
    sent = np.concatenate([found.partner[receipts], sends])
    received = np.concatenate([receipts, np.full(sends.size, -1)])
    one = np.where(sent >= 0, sent, received)
    by = np.argsort(found.rank[one], kind="stable")
    sent, received, one = sent[by], received[by], one[by]
    unsent, lost = sent < 0, received < 0
    half = unsent | lost
    sender = np.where(unsent, events.peer[received], events.node[sent])
    receiver = np.where(lost, events.peer[sent], events.node[received])
    clocks = events.clocks()
    same = ~half & (clocks[sender] == clocks[receiver]) if clocks.size else half
    error = np.where(same, 0.0, found.error_ns[sent] + found.error_ns[received]) if half.size else np.zeros(0)
    names = [node.name for node in events.nodes]
    kinds = np.where(unsent, 0, events.kind[sent]), np.where(lost, 0, events.kind[received])
    return pa.table(
        {
            "sender": coded(sender, names, sender < 0),
            "receiver": coded(receiver, names, receiver < 0),
            "label": coded(labels.codes[one], labels.names),
            "id": pa.array(events.id[one].view(np.int64)),
            "n_bytes": pa.array(events.n_bytes[one].astype(np.int64)),
            "how_sent": coded(kinds[0], KINDS, unsent),
            "how_received": coded(kinds[1], KINDS, lost),
            "sent_ns": pa.array(found.time_ns[sent], mask=unsent),
            "received_ns": pa.array(found.time_ns[received], mask=lost),
            "latency_us": _known((found.time_ns[received] - found.time_ns[sent]) / US, half),
            "error_us": _known(error / US, half),
            "sent": pa.array(sent, mask=unsent),
            "received": pa.array(received, mask=lost),
        }
    )


def nodes_table(timeline: Timeline) -> Any:
    """Return all nodes, and those that are missing. Cost: O(nodes)."""
    events, found = timeline.events, timeline.order
    why = {each.name: each.why for each in timeline.missing}
    rows: list[dict[str, object]] = []
    for k, node in enumerate(events.nodes):
        begin, end = int(events.starts[k]), int(events.starts[k + 1])
        clock = found.clocks[k]
        known = np.isfinite(clock.error_ns)
        rows.append(
            {
                "node": node.name,
                "records": end - begin,
                "torn": node.n_torn,
                "seconds": (found.time_ns[end - 1] - found.time_ns[begin]) / S if end > begin else None,
                "begins_ns": int(found.time_ns[begin]) if end > begin else None,
                "ahead_us": clock.offset_ns / US if known else None,
                "error_us": clock.error_ns / US if known else None,
                "drift_ppm": clock.drift_ppm if np.isfinite(clock.drift_ppm) else None,
                "is_reference": k == found.reference,
                "pid": node.pid or None,
                "read": node.read,
                "missing": why.pop(node.name, None),
            }
        )
    rows += [{"node": each.name, "records": 0, "torn": 0, "read": "nothing", "missing": each.why}
             for each in timeline.missing if each.name in why]  # fmt: skip
    types = {
        "node": pa.string(), "records": pa.int64(), "torn": pa.int64(), "seconds": pa.float64(),
        "begins_ns": pa.int64(), "ahead_us": pa.float64(), "error_us": pa.float64(), "drift_ppm": pa.float64(),
        "is_reference": pa.bool_(), "pid": pa.int64(), "read": pa.string(), "missing": pa.string(),
    }  # fmt: skip
    return pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in types.items()})


def findings_table(timeline: Timeline) -> Any:
    """Return what is wrong, the worst first. Cost: O(findings)."""
    every, found, events = timeline.findings, timeline.order, timeline.events
    first = [each.records[0] if each.records else None for each in every]
    return pa.table(
        {
            "kind": pa.array([each.kind for each in every], pa.string()),
            "text": pa.array([each.text for each in every], pa.string()),
            "count": pa.array([each.count for each in every], pa.int64()),
            "record": pa.array(first, pa.int64()),
            "node": pa.array([None if k is None else events.nodes[events.node[k]].name for k in first], pa.string()),
            "time_ns": pa.array([None if k is None else int(found.time_ns[k]) for k in first], pa.int64()),
        }
    )


TABLES = {
    "events": events_table,
    "messages": messages_table,
    "nodes": nodes_table,
    "findings": findings_table,
}
"""What a question in SQL can be about."""


def as_frame(table: Any) -> Frame:
    """Return a table as a frame: times in whole milliseconds (rounded down), whole numbers as such."""
    for k, field in enumerate(table.schema):
        column, kind = table.column(k), field.type
        if pa.types.is_timestamp(kind) and kind.unit != "ms":
            column = pc.floor_temporal(column, unit="millisecond").cast(pa.timestamp("ms", kind.tz))
        elif pa.types.is_decimal(kind) and kind.scale == 0:
            try:
                column = column.cast(pa.int64())
            except pa.ArrowInvalid:
                column = column.cast(pa.float64())
        else:
            continue
        table = table.set_column(k, field.name, column)
    return Frame(table)


def state_table(state: State) -> Any:
    """Return a state as a table: node, key, value (text), number. Cost: about 2 us a key."""
    rows = state.owned()
    values = [value for _, _, value in rows]
    keys = texts_of([key for _, key, _ in rows], TEXT_MAX)
    return pa.table(
        {
            "node": pa.array([node for node, _, _ in rows], pa.string()),
            "key": as_texts(keys.tolist()),
            "value": as_texts(texts_of(values, TEXT_MAX).tolist()),
            "number": pa.array(numbers_of(values), pa.float64()),
        }
    )


def ask(timeline: Timeline, query: str) -> Frame:
    """Return the answer to a question in SQL; see `Timeline.sql`."""
    return ask_of({name: partial(make, timeline) for name, make in TABLES.items()}, query)


def ask_of(makers: Mapping[str, Callable[[], Any]], query: str) -> Frame:
    """Return the answer to a question in SQL about tables, which are made if they are named in it."""
    if not isinstance(query, str):
        raise UserError(f"a question in SQL is a text, not {query!r}")
    try:
        import duckdb
    except ImportError as error:
        raise UserError("sql() needs the package duckdb: pip install 'hydroscope[sql]'") from error
    with duckdb.connect(":memory:", config={"python_enable_replacements": False}) as connection:
        made = {}
        for name, make in makers.items():
            if re.search(rf"\b{name}\b", query, re.IGNORECASE):  # texts take their time: only what is asked for
                made[name] = make()
                connection.register(name, made[name])
        try:
            answer = connection.sql(query)
            if answer is None:
                raise UserError(f"{query!r} asks for nothing: begin with select")
            found = answer.to_arrow_table()
        except duckdb.Error as error:
            known = "; ".join(f"{name}({', '.join(table.column_names)})" for name, table in made.items())
            said = str(error).strip().splitlines()[0]
            raise UserError(
                f"the question was not understood: {said}; tables are {', '.join(makers)}{': ' if known else ''}{known}"
            ) from None
    return as_frame(found)
