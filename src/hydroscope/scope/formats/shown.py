"""As what the records of a timeline are written: the part that all formats have in common.

Tasks become slices from their start to their end, messages short slices, so that arrows have something to begin
and end at. Slices of one track nest: those that overlap otherwise go to further tracks of their lane.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hydroscope.ground.record.layout import DATA_BYTES, SAMPLE, Kind
from hydroscope.scope.events import MESSAGES
from hydroscope.scope.findings import Finding
from hydroscope.scope.formats.kernels import UNPLACED, place
from hydroscope.scope.formats.rows import Texts
from hydroscope.scope.matching import RECEIPTS, SENDS
from hydroscope.scope.timeline import Timeline

__all__ = [
    "Coded",
    "Samples",
    "Slices",
    "coded",
    "flows",
    "lanes",
    "marks",
    "samples",
    "slices",
    "texts",
    "told",
]

Ints = npt.NDArray[np.int64]
MESSAGE_NS = 1000
"""How long the slice of a message is, unless another record of its lane follows sooner."""

IN_WORDS = {
    Kind.SENT: "sent",
    Kind.RECEIVED: "received",
    Kind.DROPPED: "dropped",
    Kind.RESENT: "sent again",
    Kind.QUEUED: "queued",
    Kind.ENDED: "ended",
    Kind.PUT: "put",
    Kind.REMOVED: "removed",
    Kind.SPILLED: "spilled",
    Kind.FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class Coded:
    """Texts of rows, each distinct one once."""

    code: Ints
    table: tuple[str, ...]


def coded(timeline: Timeline, rows: Ints) -> Coded:
    """Return what the slice or mark of each row is called: what was done, and its label. Cost: a sort of the rows."""
    kind = timeline.events.kind[rows].astype(np.int64)
    labels = timeline.labels
    both, code = np.unique(kind << 32 | labels.codes[rows], return_inverse=True)
    table = []
    for each in both:
        word = IN_WORDS.get(Kind(int(each) >> 32), "")
        table.append(f"{word} {labels.names[int(each) & 0xFFFFFFFF]}".strip())
    return Coded(code.astype(np.int64), tuple(table))


def texts(timeline: Timeline, rows: Ints) -> Coded:
    """Return the text of each row. Cost: a call of a decoder for each distinct text."""
    if rows.size * 4 > len(timeline):
        table, codes = timeline.labels.texts
        used, code = np.unique(codes[rows], return_inverse=True)
        return Coded(code.astype(np.int64), tuple(table[k] for k in used))
    said: dict[str, int] = {}
    code = np.array([said.setdefault(text, len(said)) for text in timeline.labels.of(rows)], np.int64)
    return Coded(code, tuple(said))


def lanes(timeline: Timeline, rows: Ints) -> tuple[Ints, list[tuple[int, str]]]:
    """Return the lane of each row, and each lane's node and name. Cost: a sort of the rows."""
    events = timeline.events
    both, code = np.unique(
        events.node[rows].astype(np.int64) << 32 | events.lane[rows].astype(np.int64), return_inverse=True
    )
    return code.astype(np.int64), [(int(each) >> 32, events.names[int(each) & 0xFFFFFFFF] or "main") for each in both]


def json_bytes(value: object) -> bytes:
    """Return a value as JSON in ASCII: some take more characters than one for the end of a line."""
    return json.dumps(value).encode()


def quoted(found: Coded) -> Texts:
    """Return the field of texts as JSON. Cost: O(distinct texts)."""
    return Texts(found.code, [json_bytes(text) for text in found.table])


@dataclass(frozen=True, slots=True)
class Slices:
    """Stretches of time, one for each message and each task that began. One entry each."""

    row: Ints
    """The record that begins it."""
    end_row: Ints
    """The record that ends a task; -1: of a message, or it did not end."""
    begin_ns: Ints
    end_ns: Ints
    lane: Ints
    track: Ints
    """Within its lane, from 0; `UNPLACED`: more overlap than there can be tracks."""


def slices(timeline: Timeline, rows: Ints, lane: Ints, least_ns: int = 0) -> Slices:
    """Return the slices of these rows, by lane, then in the one order.

    Parameters
    ----------
    timeline : Timeline
    rows : (n,)
        Ascending.
    lane : (n,)
    least_ns : int
        No slice is shorter.

    Notes
    -----
    A task that did not end is one until its node's last record. Cost: some sorts of the rows.
    """
    events, times = timeline.events, timeline.order.time_ns
    kind = events.kind[rows]
    messages = np.flatnonzero(np.isin(kind, MESSAGES))
    ends = times[rows] + MESSAGE_NS
    by = np.lexsort((rows, lane))
    follows = by[1:][lane[by[1:]] == lane[by[:-1]]]
    before = by[:-1][lane[by[1:]] == lane[by[:-1]]]
    ends[before] = np.minimum(ends[before], times[rows[follows]])
    started, ended = tasks(timeline, rows)
    last = np.zeros(len(events.nodes), np.int64)
    np.maximum.at(last, events.node[rows], times[rows])
    task_ends = np.where(ended >= 0, times[ended], last[events.node[rows[started]]])
    place_ = np.concatenate([messages, started])
    row = rows[place_]
    end_row = np.concatenate([np.full(messages.size, -1), ended])
    begin_ns = times[row]
    end_ns = np.maximum(np.concatenate([ends[messages], task_ends]), begin_ns + least_ns)
    by = np.lexsort((timeline.order.rank[row], lane[place_]))
    track = np.empty(by.size, np.int64)
    place(begin_ns[by], end_ns[by], lane[place_][by], np.empty(by.size, np.int64), track)
    return Slices(row[by], end_row[by], begin_ns[by], end_ns[by], lane[place_][by], track)


def tasks(timeline: Timeline, rows: Ints) -> tuple[Ints, Ints]:
    """Return which of the rows begin a task, and the records that end these; -1 where there is none. Cost: a sort."""
    events = timeline.events
    here = np.flatnonzero(np.isin(events.kind[rows], (Kind.STARTED, Kind.ENDED)))
    here = here[np.lexsort((rows[here], events.id[rows[here]], events.node[rows[here]]))]
    row = rows[here]
    begins = np.flatnonzero(events.kind[row] == Kind.STARTED)
    after = np.minimum(begins + 1, row.size - 1)
    same = (events.kind[row[after]] == Kind.ENDED) & (events.id[row[after]] == events.id[row[begins]])
    same &= events.node[row[after]] == events.node[row[begins]]
    return here[begins], np.where(same, row[after], -1)


def flows(timeline: Timeline, rows: Ints, found: Slices) -> tuple[Ints, Ints]:
    """Return the messages both ends of which have a slice: what was sent, and each receipt of it. Cost: O(n)."""
    has = np.zeros(len(timeline), np.bool_)
    has[found.row[found.track != UNPLACED]] = True
    kind, partner = timeline.events.kind, timeline.order.partner
    receipts = rows[np.isin(kind[rows], RECEIPTS) & has[rows]]
    receipts = receipts[partner[receipts] >= 0]
    receipts = receipts[has[partner[receipts]]]
    assert np.isin(kind[partner[receipts]], SENDS).all()
    return partner[receipts], receipts


@dataclass(frozen=True, slots=True)
class Samples:
    """Measurements of processes. One entry each."""

    row: Ints
    cpu_percent: Ints
    """Of one processor, since the node's sample before; -1 for its first."""
    memory_bytes: Ints
    bytes_in_flight: Ints


def samples(timeline: Timeline, rows: Ints) -> Samples:
    """Return what was measured. Cost: O(n)."""
    events = timeline.events
    row = rows[events.kind[rows] == Kind.SAMPLE]
    raw = np.ascontiguousarray(events.data[row]).view(np.uint8).reshape(row.size, DATA_BYTES)[:, : SAMPLE.size]
    used_us, memory, in_flight = np.ascontiguousarray(raw).view(np.uint64).astype(np.int64).T
    took_ns = np.diff(events.at_ns[row], prepend=0)
    first = np.diff(events.node[row].astype(np.int64), prepend=-1) != 0
    used = np.diff(used_us, prepend=0) * 100_000
    cpu = np.where(first | (took_ns <= 0) | (used < 0), -1, used // np.maximum(took_ns, 1))
    return Samples(row, cpu, memory, in_flight)


def marks(timeline: Timeline, rows: Ints, found: Slices) -> Ints:
    """Return the rows that are neither the beginning nor the end of a slice on a track, nor a measurement."""
    placed = found.track != UNPLACED
    slices_ = np.concatenate([found.row[placed], found.end_row[placed]])
    left: Ints = rows[~np.isin(rows, slices_) & (timeline.events.kind[rows] != Kind.SAMPLE)]
    return left


def told(timeline: Timeline, rows: Ints) -> list[Finding]:
    """Return the findings that no record shows, or whose first record is written."""
    kept = set(rows.tolist())
    return [each for each in timeline.findings if not each.records or each.records[0] in kept]
