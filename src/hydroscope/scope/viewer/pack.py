"""A timeline as one piece of bytes, for the viewer: small, and quick to read in a browser (`page/trace.js` does).

What can be derived is left out: a receipt's id and first bytes are those of what it received, and what was sent
finds its first receipt by the receipts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hydroscope.ground.record.layout import DATA_BYTES, SAMPLE, Kind
from hydroscope.scope.decoders.hydroscope import UPKEEP
from hydroscope.scope.events import Events
from hydroscope.scope.matching import RECEIPTS
from hydroscope.scope.order import Order
from hydroscope.scope.runs import own_sorts, roles
from hydroscope.scope.timeline import Timeline
from hydroscope.scope.viewer.columns import Container

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydroscope.scope.compare import Comparison

__all__ = ["begun", "error_codes", "pack"]

Ints = npt.NDArray[np.int64]

VERSION = 1
ERROR_STEPS = 256
"""For each power of two."""
UNKNOWN = 2**16 - 1
TASKS = (Kind.QUEUED, Kind.STARTED, Kind.ENDED)
FINDING_RECORDS = 200
TITLE_NODES = 3
UNREAD = "what it sent and received is only known from others"
NOBODY: dict[str, Any] = {
    "pid": 0,
    "roles": ("", ""),
    "torn": 0,
    "offset_ns": None,
    "error_ns": None,
    "drift_ppm": None,
    "reference": False,
    "jumps": [],
}
"""A node that nothing was read of, and that nobody has heard of."""


def pack(timeline: Timeline, title: str = "", comparison: Comparison | None = None) -> bytes:
    """Return all that the viewer shows of a timeline.

    Parameters
    ----------
    timeline : Timeline
    title : str
        By default the names of its nodes.
    comparison : Comparison, optional
        What another timeline's `compare` has found, if it is shown beside that.

    Notes
    -----
    Cost: the timeline's order, findings and texts, unless it has them; and deflating some 30 bytes a record.
    """
    events, found = timeline.events, timeline.order
    start_ns = int(found.time_ns.min()) if len(events) else 0
    nodes = _nodes(timeline, start_ns)
    unheard = len(nodes) - len(events.nodes)
    texts, text_codes = timeline.labels.texts
    box = Container()
    box.header.update(
        version=VERSION,
        title=title or _title([node["name"] for node in nodes]),
        t0=str(start_ns),
        starts=[*events.starts.tolist(), *[len(events)] * unheard],
        explained=timeline.explain() if len(events) else "Nothing was recorded.",
        sorts=_sorts(timeline),
        comparison=None if comparison is None else _told(comparison),
    )
    for name, value in {
        "nodes": nodes,
        "names": events.names,
        "labels": timeline.labels.names,
        "findings": _findings(timeline),
        "texts": texts,
    }.items():
        box.add_json(name, value)
    _add_records(box, timeline, start_ns, text_codes)
    _add_samples(box, events)
    if timeline.changes is not None:
        _add_changes(box, events, timeline.changes)
    return box.to_bytes()


def _add_records(box: Container, timeline: Timeline, start_ns: int, text_codes: npt.NDArray[Any]) -> None:
    """Add the columns of all records, without what can be derived from others."""
    events, found = timeline.events, timeline.order
    back = begun(events)
    is_receipt = np.isin(events.kind, RECEIPTS)
    received = is_receipt & (found.partner >= 0)
    rows = np.flatnonzero(is_receipt)
    rows = rows[np.lexsort((events.peer[rows], events.node[rows]))]
    columns: dict[str, Any] = {
        "time": found.time_ns - start_ns,
        "error": error_codes(found.error_ns),
        "kind": events.kind,
        "lane": events.lane,
        "peer": events.peer.astype(np.int64) + 1,
        "subject": events.subject,
        "label": timeline.labels.codes,
        "text": text_codes,
        "n_bytes": events.n_bytes,
        "id": np.where(received | (back > 0), 0, events.id),
        "stamp": events.stamp,
        "order": _order(events, found),
        "partner": found.partner[rows],
        "back": back,
    }
    for name, values in columns.items():
        box.add_column(name, values)
    _add_data(box, events, found, received)


def begun(events: Events) -> Ints:
    """Return of each end of a task, and of each beginning, how many records back it began, or was queued; 0: unknown.

    Notes
    -----
    Records of a task have its id and are of one node. Cost: a sort of the tasks' records.
    """
    found = np.zeros(len(events), np.int64)
    rows = np.flatnonzero(np.isin(events.kind, TASKS))
    rows = rows[np.lexsort((rows, events.id[rows], events.node[rows]))]
    before, after = rows[:-1], rows[1:]
    same = (events.id[before] == events.id[after]) & (events.node[before] == events.node[after])
    same &= events.kind[before] + 1 == events.kind[after]
    found[after[same]] = after[same] - before[same]
    return found


def error_codes(error_ns: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    """Return errors as 256 steps for each power of two, rounded up (by 0.3 % at most); 65535: unknown. Cost: O(n)."""
    known = np.isfinite(error_ns)
    steps = np.ceil(np.log2(1 + np.where(known, np.maximum(error_ns, 0), 0)) * ERROR_STEPS)
    return np.where(known, np.minimum(steps, UNKNOWN - 1), UNKNOWN).astype(np.uint16)


def _title(names: Sequence[str]) -> str:
    if len(names) > TITLE_NODES:
        return f"{', '.join(names[: TITLE_NODES - 1])} and {len(names) - TITLE_NODES + 1} more"
    return ", ".join(names) or "nothing"


def _told(comparison: Comparison) -> dict[str, Any]:
    """Return where two timelines go apart: records of both, or those after which one of them has nothing."""
    here, there = comparison.common or (-1, -1)
    return {
        "text": comparison.text,
        "here": here if comparison.mine is None else comparison.mine,
        "there": there if comparison.theirs is None else comparison.theirs,
    }


def _sorts(timeline: Timeline) -> list[int]:
    """Return of each label which sort of messages of hydroscope's own has it; 0: none, -1: one that is not compared."""
    sorts = own_sorts(timeline.events).astype(np.int64)
    found = np.zeros(len(timeline.labels.names), np.int64)
    found[timeline.labels.codes[sorts > 0]] = np.where(np.isin(sorts, UPKEEP), -1, sorts)[sorts > 0]
    return found.tolist()


def _order(events: Events, found: Order) -> npt.NDArray[np.uint16]:
    """Return the nodes of the records, in order; their own records are in order anyway."""
    out = np.zeros(len(events), np.uint16)
    out[found.rank] = events.node
    return out


def _nodes(timeline: Timeline, start_ns: int) -> list[dict[str, Any]]:
    """Return what is known of each node; last those of which nothing is but why nothing was read of them."""
    events, found = timeline.events, timeline.order
    why = {each.name: each.why for each in timeline.missing}
    out = []
    known = roles(events)
    for k, (node, clock) in enumerate(zip(events.nodes, found.clocks, strict=True)):
        is_known = bool(np.isfinite(clock.error_ns)) or k == found.reference
        has = bool(events.starts[k + 1] > events.starts[k])
        jumps = [
            {"time": _moment(events, found, k, jump.to_ns) - start_ns, "by_ns": _finite(jump.by_ns)}
            for jump in clock.jumps
            if has
        ]
        out.append(
            {
                "name": node.name,
                "pid": node.pid,
                "roles": known[k],
                "torn": node.n_torn,
                "why": why.pop(node.name, "" if has else UNREAD),
                "offset_ns": _finite(clock.offset_ns) if is_known else None,
                "error_ns": _finite(clock.error_ns) if is_known else None,
                "drift_ppm": _finite(clock.drift_ppm),
                "reference": k == found.reference,
                "jumps": jumps,
            }
        )
    return [*out, *({**NOBODY, "name": name, "why": reason} for name, reason in why.items())]


def _moment(events: Events, found: Order, node: int, own_ns: int) -> int:
    """Return the corrected time of the first record of a node at or after a time of its wall clock."""
    own = slice(int(events.starts[node]), int(events.starts[node + 1]))
    wall = events.wall_ns(events.clocks())[own]
    return int(found.time_ns[own][min(int(np.searchsorted(wall, own_ns)), wall.size - 1)])


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _findings(timeline: Timeline) -> list[dict[str, Any]]:
    return [
        {"kind": each.kind, "text": each.text, "records": list(each.records[:FINDING_RECORDS]), "count": each.count}
        for each in timeline.findings
    ]


def _add_data(box: Container, events: Events, found: Order, received: npt.NDArray[np.bool_]) -> None:
    """Add the first bytes of all records, one after the other; but those of receipts that got what was sent."""
    sizes = np.minimum(events.n_bytes, DATA_BYTES).astype(np.int64)
    rows = np.flatnonzero(received)
    sent = found.partner[rows]
    same = (events.data[rows] == events.data[sent]) & (sizes[rows] == sizes[sent])
    sizes[rows[same]] = 0
    box.add_column("n_data", sizes)
    box.add_bytes("data", events.first_bytes[np.arange(DATA_BYTES) < sizes[:, None]].tobytes())


def _add_samples(box: Container, events: Events) -> None:
    rows = np.flatnonzero(events.kind == Kind.SAMPLE)
    values = np.array([SAMPLE.unpack_from(each) for each in events.data[rows]], np.int64).reshape(-1, 3)
    box.add_column("sample_record", rows)
    for name, column in (("cpu", values[:, 0]), ("memory", values[:, 1])):
        box.add_column(f"sample_{name}", column)


def _add_changes(box: Container, events: Events, changes: Any) -> None:
    """Add changes of states, with each text once; 0 is no value."""
    numbers: dict[str, int] = {}

    def coded(texts: Any) -> Ints:
        codes = [0 if text is None else numbers.setdefault(str(text), len(numbers) + 1) for text in texts]
        return np.array(codes, np.int64)

    by = np.argsort(np.asarray(changes.stamp), kind="stable")
    names, nodes = np.unique(np.asarray(changes.node, object).astype(str)[by], return_inverse=True)
    box.header["change_nodes"] = names.tolist()
    box.add_column("change_stamp", np.asarray(changes.stamp, np.uint64)[by])
    box.add_column("change_node", nodes)
    for name in ("key", "old", "new"):
        box.add_column(f"change_{name}", coded(np.asarray(getattr(changes, name), object)[by]))
    box.add_json("change_strings", list(numbers))
