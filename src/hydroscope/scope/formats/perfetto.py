"""Timelines as traces of Perfetto (ui.perfetto.dev), in its protobuf, which is written here byte by byte.

A node is a process and a lane a thread. Messages and tasks are slices, arrows are flows, measurements are counters,
and findings are on a track of their own. Times are the corrected ones; each has its error as an annotation. All
texts are *interned*: told once in the first packet, by number after that, so that all packets of a kind are of one
length (`rows`).

Numbers of fields are those of `perfetto_trace.proto`, which promises to keep them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from hydroscope.ground.record.layout import Kind
from hydroscope.scope.events import MESSAGES
from hydroscope.scope.formats.kernels import UNPLACED
from hydroscope.scope.formats.rows import Cells, Form, fixed, joined, varint
from hydroscope.scope.formats.shown import coded, flows, lanes, marks, samples, slices, texts, told
from hydroscope.scope.timeline import Timeline

__all__ = ["write_perfetto"]

Ints = npt.NDArray[np.int64]
Part = bytes | Cells

VARINT, WORD, BYTES = 0, 1, 2
"""Wire types."""
BOOTTIME, REALTIME = 6, 1
LEAD_NS = 10**9
"""The trace begins so long before the first record: its clock is not to say 0."""
SEQUENCE = 1
CLEARED, NEEDED = 1, 2
BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4
BYTES_UNIT = 3

SAYS, ID, BYTES_LONG, ERROR, PEER, COUNT = range(1, 7)
ANNOTATIONS = ("says", "id", "bytes", "time is right within ns", "other end", "times")
"""What is told about a record or finding."""


def write_perfetto(timeline: Timeline, path: str | os.PathLike[str], rows: Ints) -> None:
    """Write a timeline as a trace for Perfetto.

    Parameters
    ----------
    timeline : Timeline
    path : path
        By custom its name ends in `.pftrace`.
    rows : (n,)
        Which of its records, ascending.

    Notes
    -----
    Cost: 2 to 4 us a record, and a call of a decoder for each distinct text; 100 to 150 bytes a record.
    """
    trace = _Trace(timeline, rows)
    with open(path, "wb") as file:
        for piece in trace.pieces():
            file.write(piece)


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(field: int, wire: int) -> bytes:
    return _number(field << 3 | wire)


def _whole(field: int, value: int) -> bytes:
    return _tag(field, VARINT) + _number(value & 2**64 - 1)


def _inside(field: int, *parts: bytes) -> bytes:
    """Return a field that holds a message, or a text."""
    inner = b"".join(parts)
    return _tag(field, BYTES) + _number(len(inner)) + inner


def _text(field: int, text: str) -> bytes:
    return _inside(field, text.encode(errors="replace"))


def _width(parts: Iterable[Part]) -> int:
    return sum(len(part) if isinstance(part, bytes) else part.width for part in parts)


def _wrapped(field: int, parts: Sequence[Part]) -> tuple[Part, ...]:
    return (_tag(field, BYTES) + _number(_width(parts)), *parts)


def _packet(*parts: bytes) -> bytes:
    return _inside(1, *parts, _whole(10, SEQUENCE))


def _packets(place: Ints, time: Cells, event: Sequence[Part]) -> Form:
    """Return the form of packets with a TrackEvent at some time."""
    parts = (_tag(8, VARINT), time, *_wrapped(11, event), _whole(10, SEQUENCE), _whole(13, NEEDED))
    return Form(place, _wrapped(1, parts))


class _Texts:
    """Texts that are interned together: several lists, each of which begins at some number."""

    def __init__(self, field: int) -> None:
        self.field = field
        self.every: list[str] = []

    def add(self, texts: Iterable[str]) -> int:
        """Return the number of the first of these texts."""
        first = len(self.every) + 1
        self.every += texts
        return first

    def packed(self) -> bytes:
        """Return the entries of InternedData, all of which have a number and a text."""
        return b"".join(_inside(self.field, _whole(1, k), _text(2, each)) for k, each in enumerate(self.every, 1))


class _Tracks:
    """Tracks: their numbers and descriptions."""

    def __init__(self) -> None:
        self.described: list[bytes] = []

    def add(self, *parts: bytes) -> int:
        """Return the number of a new track."""
        uuid = len(self.described) + 1
        self.described.append(_packet(_inside(60, _whole(1, uuid), *parts)))
        return uuid


class _Trace:
    """Owner of what is written."""

    def __init__(self, timeline: Timeline, rows: Ints) -> None:
        self.timeline, self.rows = timeline, rows
        self.events, self.order = timeline.events, timeline.order
        self.base_ns = int(self.order.time_ns[rows].min()) - LEAD_NS if rows.size else 0
        self.lane, self.lanes = lanes(timeline, rows)
        self.slices = slices(timeline, rows, self.lane)
        self.says, self.names = texts(timeline, rows), coded(timeline, rows)
        self.categories, self.called, self.said = _Texts(1), _Texts(2), _Texts(29)
        self.categories.add([*(kind.name.lower() for kind in Kind)][1:])
        self.finding_category = self.categories.add(["finding"])
        self.name_at, self.say_at = self.called.add(self.names.table), self.said.add(self.says.table)
        self.node_at = self.said.add([*(node.name for node in self.events.nodes), "unknown"])
        self.tracks = _Tracks()
        self.node_track = {int(k): self._process(int(k)) for k in np.unique(self.events.node[rows])}
        n_tracks = np.zeros(len(self.lanes), np.int64)
        np.maximum.at(n_tracks, self.slices.lane, self.slices.track + 1)
        self.lane_track = np.array([self._thread(k, int(n)) for k, n in enumerate(n_tracks)], np.int64)
        self.times = self.order.time_ns[np.argsort(self.order.rank)]
        self.ending = self._ending()

    def _process(self, node: int) -> int:
        return self.tracks.add(_inside(3, _whole(1, node + 1), _text(6, self.events.nodes[node].name)))

    def _thread(self, lane: int, n_tracks: int) -> int:
        """Return the number of a lane's first track; those for what overlaps follow."""
        node, name = self.lanes[lane]
        thread = _inside(4, _whole(1, node + 1), _whole(2, len(self.events.nodes) + 1 + lane), _text(5, name))
        first = self.tracks.add(_whole(5, self.node_track[node]), thread)
        for k in range(1, n_tracks):
            self.tracks.add(_whole(5, first), _text(2, f"{name} ({k + 1})"))
        return first

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes of the trace."""
        clocks = ((BOOTTIME, LEAD_NS), (REALTIME, self.base_ns + LEAD_NS))
        yield _packet(_whole(8, LEAD_NS), _inside(6, *(_inside(1, _whole(1, a), _whole(2, b)) for a, b in clocks)))
        names = b"".join(_inside(3, _whole(1, k), _text(2, name)) for k, name in enumerate(ANNOTATIONS, 1))
        interned = (self.categories.packed(), self.called.packed(), names, self.said.packed())
        forms = [*self._begins(), self._ends(), *self._marks(), *self._counters(), *self._findings()]
        yield _packet(_whole(13, CLEARED), _inside(12, *interned))
        yield from self.tracks.described
        yield from joined(forms)

    def _time(self, ns: Ints) -> Cells:
        return varint(ns - self.base_ns)

    def _begins(self) -> Iterator[Form]:
        """Yield the beginnings of slices: one form for each number of arrows that begin or end at them."""
        sent, received = flows(self.timeline, self.rows, self.slices)
        by = np.argsort(sent, kind="stable")
        sent, received = sent[by], received[by]
        placed = np.flatnonzero(self.slices.track != UNPLACED)
        row = self.slices.row[placed]
        low = np.searchsorted(sent, row)
        n_out = np.searchsorted(sent, row, "right") - low
        is_in = np.isin(row, received)
        is_message = np.isin(self.events.kind[row], MESSAGES)
        sort = n_out << 2 | is_in << 1 | is_message
        for each in np.unique(sort):
            here = np.flatnonzero(sort == each)
            event = [_whole(9, BEGIN), *self._which(self._track(placed[here])), *self._called(row[here])]
            for k in range(int(each) >> 2):
                event += [_tag(47, WORD), fixed(received[low[here] + k] + 1, "<u8")]
            if each & 2:
                event += [_tag(48, WORD), fixed(row[here] + 1, "<u8")]
            event += self._annotations(row[here], bool(each & 1))
            yield self._at(row[here], event)

    def _track(self, which: Ints) -> Ints:
        return self.lane_track[self.slices.lane[which]] + self.slices.track[which]

    @staticmethod
    def _which(track: Ints) -> tuple[Part, ...]:
        return _tag(11, VARINT), varint(track)

    def _called(self, row: Ints) -> tuple[Part, ...]:
        at = np.searchsorted(self.rows, row)
        return (
            *(_tag(3, VARINT), varint(self.events.kind[row])),
            *(_tag(10, VARINT), varint(self.names.code[at] + self.name_at)),
        )

    def _annotations(self, row: Ints, is_message: bool) -> list[Part]:
        at = np.searchsorted(self.rows, row)
        told: list[tuple[int, Part, Cells]] = [
            (SAYS, _tag(17, VARINT), varint(self.says.code[at] + self.say_at)),
            (ID, _tag(3, VARINT), varint(self.events.id[row])),
            (ERROR, _tag(5, WORD), fixed(self.order.error_ns[row], "<f8")),
        ]
        if is_message:
            peer = self.events.peer[row].astype(np.int64)
            told.append((BYTES_LONG, _tag(3, VARINT), varint(self.events.n_bytes[row])))
            peer = np.where(peer < 0, len(self.events.nodes), peer)
            told.append((PEER, _tag(17, VARINT), varint(peer + self.node_at)))
        return [part for name, tag, value in told for part in _wrapped(4, (_whole(1, name), tag, value))]

    def _place(self, rank: Ints, within: int | Ints) -> Ints:
        """Return places in the file.

        Before the record of each rank there is room for all ends of slices. It comes behind these, and behind it the
        end of its own slice if that has no length.
        """
        return rank * (self.ending.size + 3) + within

    def _ending(self) -> Ints:
        """Return the slices that have a length in the order of their ends, the inner ones first."""
        found = np.flatnonzero((self.slices.track != UNPLACED) & (self.slices.end_ns > self.slices.begin_ns))
        return found[np.lexsort((-self.order.rank[self.slices.row[found]], self.slices.end_ns[found]))]

    def _ends(self) -> Form:
        brief = np.flatnonzero((self.slices.track != UNPLACED) & (self.slices.end_ns == self.slices.begin_ns))
        which = np.concatenate([self.ending, brief])
        before = np.searchsorted(self.times, self.slices.end_ns[self.ending])
        place = np.concatenate(
            [
                self._place(before, np.arange(before.size)),
                self._place(self.order.rank[self.slices.row[brief]], self.ending.size + 1),
            ]
        )
        return _packets(
            place, self._time(self.slices.end_ns[which]), [_whole(9, END), *self._which(self._track(which))]
        )

    def _marks(self) -> Iterator[Form]:
        """Yield all else that was recorded, as instants."""
        row = marks(self.timeline, self.rows, self.slices)
        is_message = np.isin(self.events.kind[row], MESSAGES)
        for here, message in ((row[is_message], True), (row[~is_message], False)):
            track = self.lane_track[self.lane[np.searchsorted(self.rows, here)]]
            event = [_whole(9, INSTANT), *self._which(track), *self._called(here), *self._annotations(here, message)]
            yield self._at(here, event)

    def _at(self, row: Ints, event: Sequence[Part]) -> Form:
        """Return the form of packets at the times of records."""
        return _packets(self._place(self.order.rank[row], self.ending.size), self._time(self.order.time_ns[row]), event)

    def _counters(self) -> Iterator[Form]:
        found = samples(self.timeline, self.rows)
        for name, unit, values in (
            ("processor, percent of one", _text(6, "%"), found.cpu_percent),
            ("memory", _whole(3, BYTES_UNIT), found.memory_bytes),
            ("in flight", _whole(3, BYTES_UNIT), found.bytes_in_flight),
        ):
            known = np.flatnonzero(values >= 0)
            node = self.events.node[found.row[known]]
            track = np.zeros(len(self.events.nodes), np.int64)
            for k in np.unique(node):
                track[k] = self.tracks.add(_whole(5, self.node_track[int(k)]), _text(2, name), _inside(8, unit))
            event = [_whole(9, COUNTER), *self._which(track[node]), _tag(30, VARINT), varint(values[known])]
            yield self._at(found.row[known], event)

    def _findings(self) -> Iterator[Form]:
        """Yield the findings on a track of their own: at the first record that shows them, or at the beginning."""
        every = told(self.timeline, self.rows)
        if not every or not self.rows.size:
            return
        track = self.tracks.add(_text(2, "findings"))
        for each in every:
            row = np.array([each.records[0]] if each.records else [self.rows[np.argmin(self.order.rank[self.rows])]])
            says = _inside(4, _whole(1, SAYS), _text(6, each.text))
            times = _inside(4, _whole(1, COUNT), _whole(3, each.count))
            event = [_whole(9, INSTANT), _whole(11, track), _whole(3, self.finding_category), _text(23, each.kind)]
            yield self._at(row, [*event, says, times])
