"""A timeline in a terminal or a notebook: its nodes, what is wrong, and some of its records."""

from __future__ import annotations

import datetime
import html
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.findings import Finding
from hydroscope.scope.telling import View, record_of, span

if TYPE_CHECKING:
    from hydroscope.scope.timeline import Timeline

__all__ = ["Listing", "listing", "summary", "summary_html"]

Ints = npt.NDArray[np.int64]
Grid = list[list[str]]

COLUMNS = ("", "seconds", "±", "node", "lane", "what", "says")
FINDINGS_SHOWN = 12
CELL_MAX = 60

GO_ON = (
    (".explain()", "the first thing that went wrong, and what can have caused it"),
    (".table(around=..., match=...)", "records as text"),
    (".open()", "the viewer"),
    (".sql('select ...')", "questions; .to_frame() has all records"),
)


@dataclass(frozen=True, slots=True)
class Listing:
    """Some records of a timeline, as a table of text."""

    head: str
    """What is listed, and of how many."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    records: tuple[int, ...]
    """Their numbers."""

    def __str__(self) -> str:
        return "\n".join([self.head, *_text(self.columns, [list(row) for row in self.rows], {0, 1, 2})])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.head)}</p>" + _html(self.columns, self.rows)


def summary(timeline: Timeline, go_on: bool = True) -> str:
    """Return what a timeline is, in some lines; at last how to go on."""
    lines = [_head(timeline), *_text(*_nodes(timeline), {1, 2, 3}), ""]
    every = timeline.findings
    lines.append(_count(every))
    width = max((len(each.kind) for each in every[:FINDINGS_SHOWN]), default=0)
    lines += [f"  {each.kind.ljust(width)}  {each.text}" for each in every[:FINDINGS_SHOWN]]
    if len(every) > FINDINGS_SHOWN:
        lines.append(f"  and {len(every) - FINDINGS_SHOWN:,} more in .findings")
    lines += [f"Note: {each}" for each in timeline.labels.complaints]
    if not go_on:
        return "\n".join(lines)
    width = max(len(call) for call, _ in GO_ON)
    return "\n".join([*lines, "", *(f"{call.ljust(width)}  {what}" for call, what in GO_ON)])


def summary_html(timeline: Timeline) -> str:
    """Return the same as HTML; every name and text is escaped."""
    every = timeline.findings
    header, grid = _nodes(timeline)
    parts = [
        f"<p><b>{html.escape(_head(timeline))}</b></p>",
        _html(header, grid),
        f"<p>{html.escape(_count(every))}</p>",
    ]
    shown = [(each.kind, each.text) for each in every[:FINDINGS_SHOWN]]
    if shown:
        parts.append(_html(("finding", "what"), shown))
    if len(every) > FINDINGS_SHOWN:
        parts.append(f"<p>and {len(every) - FINDINGS_SHOWN:,} more in <code>.findings</code></p>")
    parts += [f"<p>Note: {html.escape(each)}</p>" for each in timeline.labels.complaints]
    return "".join([*parts, _html(("go on", ""), GO_ON)])


def listing(
    timeline: Timeline,
    around: Finding | float | None,
    node: str | Collection[str] | None,
    kind: str | Kind | Collection[str | Kind] | None,
    match: str | None,
    limit: int,
) -> Listing:
    """Return some records; see `Timeline.table`."""
    if not isinstance(limit, int | np.integer) or limit < 1:
        raise UserError(f"limit={limit!r}: how many records are to be listed at most, 1 or more")
    events, found = timeline.events, timeline.order
    keep = np.ones(len(events), np.bool_)
    if node is not None:
        keep &= np.isin(events.node, _node_numbers(timeline, [node] if isinstance(node, str) else list(node)))
    if kind is not None:
        keep &= np.isin(events.kind, _kind_numbers([kind] if isinstance(kind, str | Kind) else list(kind)))
    if match is not None:
        keep &= _matching(timeline, match)
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(found.rank[rows])]
    n_fit, begin = rows.size, 0
    centre = _centre(timeline, around)
    if centre is not None and n_fit:
        ranks = found.rank[rows]
        begin = int(np.clip(np.searchsorted(ranks, found.rank[centre]) - limit // 2, 0, max(n_fit - limit, 0)))
    rows = rows[begin : begin + limit]
    if not len(events):
        return Listing("0 records", COLUMNS, (), ())
    view = View(events, found, timeline.labels)
    first_ns = int(view.begins[view.has].min())
    head = f"{rows.size:,} of {n_fit:,} records"
    if n_fit < len(events):
        head += f" that fit, of {len(events):,}"
    head += f"; times are after {_moment(first_ns)}"
    wrong = {record for each in timeline.findings for record in each.records}
    return Listing(
        head,
        COLUMNS,
        tuple(_row(view, int(record), first_ns, int(record) in wrong) for record in rows),
        tuple(int(record) for record in rows),
    )


def _row(view: View, record: int, first_ns: int, is_wrong: bool) -> tuple[str, ...]:
    events = view.events
    error, said = float(view.found.error_ns[record]), view.text(record)
    what = view.did(record)
    return (
        "!" if is_wrong else "",
        f"{(int(view.found.time_ns[record]) - first_ns) / 1e9:.6f}",
        span(error) if np.isfinite(error) else "?",
        view.name(int(events.node[record])),
        events.names[events.lane[record]],
        what,
        "" if said in what else _clip(said),
    )


def _centre(timeline: Timeline, around: Finding | float | None) -> int | None:
    """Return the record that is meant."""
    if around is None:
        return None
    if isinstance(around, Finding):
        return around.records[0] if around.records else None
    if isinstance(around, int | np.integer) and not isinstance(around, bool):
        return record_of(timeline.events, around, "around")
    if isinstance(around, float) and math.isfinite(around):
        times = timeline.order.time_ns
        return int(np.argmin(np.abs(times - times.min() - around * 1e9))) if times.size else None
    raise UserError(f"around={around!r}: give a finding, the number of a record, or seconds after the first as a float")


def _node_numbers(timeline: Timeline, names: Sequence[str]) -> Ints:
    known = {each.name: k for k, each in enumerate(timeline.events.nodes)}
    for name in names:
        if name not in known:
            raise unknown_name("node", name, known, "this timeline")
    return np.array([known[name] for name in names], np.int64)


def _kind_numbers(kinds: Sequence[str | Kind]) -> Ints:
    known = {each.name.lower(): each for each in Kind if each is not Kind.NONE}
    for kind in kinds:
        if isinstance(kind, str) and kind not in known:
            raise unknown_name("kind of record", kind, known, "hydroscope")
    return np.array([known[kind] if isinstance(kind, str) else kind for kind in kinds], np.int64)


def _matching(timeline: Timeline, match: str) -> npt.NDArray[np.bool_]:
    """Return the records whose label, text, lane, subject or peer has what a regular expression looks for."""
    try:
        wanted = re.compile(match)
    except re.error as error:
        raise UserError(f"match={match!r} is no regular expression: {error}") from None

    def has(texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        return np.array([wanted.search(text) is not None for text in texts] or [False])

    events, labels = timeline.events, timeline.labels
    texts, codes = labels.texts
    names = has(events.names)
    nodes = np.append(has([each.name for each in events.nodes]), False)
    found = has(labels.names)[labels.codes] | has(texts)[codes]
    found |= names[events.lane] | names[events.subject] | nodes[events.peer]
    return np.asarray(found)


def _head(timeline: Timeline) -> str:
    events = timeline.events
    n_nodes = int(np.count_nonzero(np.diff(events.starts)))
    text = f"Timeline of {len(events):,} records of {n_nodes:,} node{'s' if n_nodes != 1 else ''}"
    if len(events):
        times = timeline.order.time_ns
        text += f", over {span(int(times.max() - times.min()))} from {_moment(int(times.min()))}"
    read = {node.name for node, n in zip(events.nodes, np.diff(events.starts), strict=True) if n}
    for what, is_read in (("missing", False), ("not well", True)):
        names = [each.name for each in timeline.missing if (each.name in read) is is_read]
        text += f"; {what}: {', '.join(names)}" if names else ""
    return text


def _moment(ns: int) -> str:
    at = datetime.datetime.fromtimestamp(ns // 10**9, datetime.UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{ns % 10**9 // 1000:06d} UTC"


def _nodes(timeline: Timeline) -> tuple[list[str], Grid]:
    events, found = timeline.events, timeline.order
    why = {each.name: each.why for each in timeline.missing}
    clocks = events.clocks()
    grid = []
    for k, node in enumerate(events.nodes):
        begin, end = int(events.starts[k]), int(events.starts[k + 1])
        clock = found.clocks[k]
        if begin == end:
            how = "-"
        elif k == found.reference:
            how = "is the reference"
        elif clocks[k] == clocks[found.reference] and clock.offset_ns == clock.error_ns == 0:
            how = "is the same"
        elif np.isfinite(clock.error_ns):
            how = f"{'+' if clock.offset_ns >= 0 else ''}{span(clock.offset_ns)} ± {span(clock.error_ns)}"
        else:
            how = "unknown"
        seconds = f"{(found.time_ns[end - 1] - found.time_ns[begin]) / 1e9:.3f}" if end > begin else ""
        read = [node.read, *([f"{node.n_torn} torn"] if node.n_torn else []), *node.damage]
        read += [why.pop(node.name)] if node.name in why else []
        grid.append([node.name, f"{end - begin:,}", seconds, how, "; ".join(read)])
    grid += [[name, "0", "", "-", f"nothing; {reason}"] for name, reason in why.items()]
    return ["node", "records", "seconds", "clock", "read"], grid


def _count(every: Sequence[Finding]) -> str:
    if not every:
        return "Nothing is wrong in what was recorded."
    return f"{len(every):,} finding{'s' if len(every) > 1 else ''}, the worst first:"


def _clip(text: str) -> str:
    return text if len(text) <= CELL_MAX else text[: CELL_MAX - 1] + "…"


def _text(header: Sequence[str], grid: Grid, right: Collection[int]) -> list[str]:
    """Return the lines of a table."""
    widths = [max(len(row[k]) for row in (header, *grid)) for k in range(len(header))]
    return [
        "  ".join(
            cell.rjust(width) if k in right else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *grid)
    ]


def _html(header: Sequence[str], grid: Sequence[Sequence[str]]) -> str:
    def row(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{row('th', header)}{''.join(row('td', cells) for cells in grid)}</table>"
