"""Timelines as JSON for Chrome's tracing page and those who read the same, and such JSON as timelines.

A node is a process (`pid`), a lane a thread (`tid`). Messages and tasks are slices (`X`), an arrow is a pair of `s` and
`f` inside them, all else is an instant (`i`) or a counter (`C`). Times are the corrected ones, in microseconds from a
base: as a double, microseconds since 1970 resolve a quarter of one only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hydroscope.ground.record.layout import Kind
from hydroscope.scope.events import MESSAGES
from hydroscope.scope.formats.kernels import UNPLACED
from hydroscope.scope.formats.rows import Cells, Form, Texts, decimal, hexadecimal, joined
from hydroscope.scope.formats.shown import (
    coded,
    flows,
    json_bytes,
    lanes,
    marks,
    quoted,
    samples,
    slices,
    texts,
    told,
)
from hydroscope.scope.timeline import Timeline

__all__ = ["FINDING", "OWN", "write_chrome"]

Ints = npt.NDArray[np.int64]
Part = bytes | Cells | Texts

OWN = "hydroscope"
"""In `otherData` of the files that are written here."""
FINDING = "finding"
LEAST_NS = 1000
"""Shorter slices can be lost, and with them the arrows that begin in them."""


def write_chrome(timeline: Timeline, path: str | os.PathLike[str], rows: Ints) -> None:
    """Write a timeline as a trace in Chrome's JSON.

    Parameters
    ----------
    timeline : Timeline
    path : path
    rows : (n,)
        Which of its records, ascending.

    Notes
    -----
    Cost: 3 to 6 us a record, and a call of a decoder for each distinct text; 300 to 400 bytes a record.
    """
    trace = _Trace(timeline, rows)
    with open(path, "wb") as file:
        file.write(trace.head())
        for piece in joined(trace.forms()):
            file.write(piece)
        file.write(b"\n]}\n")


KINDS = [json_bytes(kind.name.lower()) for kind in Kind]


class _Trace:
    """Owner of what is written."""

    def __init__(self, timeline: Timeline, rows: Ints) -> None:
        self.timeline, self.rows = timeline, rows
        self.events, self.order = timeline.events, timeline.order
        self.base_ns = int(self.order.time_ns[rows].min()) if rows.size else 0
        self.lane, self.lanes = lanes(timeline, rows)
        self.slices = slices(timeline, rows, self.lane, LEAST_NS)
        self.names, self.says = quoted(coded(timeline, rows)), quoted(texts(timeline, rows))
        self.peers = [b"null", *(json_bytes(node.name) for node in self.events.nodes)]
        self.n_tracks = np.ones(len(self.lanes), np.int64)
        np.maximum.at(self.n_tracks, self.slices.lane, self.slices.track + 1)
        self.first_tid = len(self.events.nodes) + 1 + np.cumsum(self.n_tracks) - self.n_tracks
        self.tid = self.first_tid[self.lane]
        self.tid[np.searchsorted(rows, self.slices.row)] += np.maximum(self.slices.track, 0)

    def head(self) -> bytes:
        """Return all before the records: what processes and threads are called, and the findings."""
        about = {"writer": OWN, "base_ns": str(self.base_ns)}
        entries = []
        for k in np.unique(self.events.node[self.rows]).tolist():
            node = {"pid": k + 1, "ph": "M", "tid": 0, "ts": 0}
            entries.append(node | {"name": "process_name", "args": {"name": self.events.nodes[k].name}})
            entries.append(node | {"name": "process_sort_index", "args": {"sort_index": k}})
        for (k, name), first, n in zip(self.lanes, self.first_tid.tolist(), self.n_tracks.tolist(), strict=True):
            for track in range(n):
                shown = f"{name} ({track + 1})" if track else name
                thread = {"pid": k + 1, "ph": "M", "tid": first + track, "ts": 0}
                entries.append(thread | {"name": "thread_name", "args": {"name": shown, "lane": name}})
                entries.append(thread | {"name": "thread_sort_index", "args": {"sort_index": first + track}})
        for each in told(self.timeline, self.rows):
            at_ns = int(self.order.time_ns[each.records[0]]) - self.base_ns if each.records else 0
            mark = {"ph": "i", "s": "g", "cat": FINDING, "name": each.kind, "pid": 0, "tid": 0, "ts": at_ns / 1000}
            entries.append(mark | {"args": {"says": each.text, "times": each.count}})
        head = b'{"displayTimeUnit":"ns","otherData":%s,"traceEvents":[\n' % json_bytes(about)
        return head + b",\n".join(map(json_bytes, entries))

    def forms(self) -> list[Form]:
        """Return all that there is an entry for each record of."""
        return [*self._slices(), *self._arrows(), *self._marks(), *self._counters()]

    def _entry(self, phase: bytes, row: Ints, tid: Ints, *more: Part, place: int = 0) -> Form:
        """Return the form of entries at the times of records, in the one order, at one of four places of each."""
        time_ns = self.order.time_ns[row] - self.base_ns
        return Form(
            self.order.rank[row] * 4 + place,
            (
                *(b',\n{"ph":"', phase, b'","pid":', decimal(self.events.node[row] + np.uint64(1))),
                *(b',"tid":', decimal(tid), b',"ts":', decimal(time_ns, 3), *more),
            ),
        )

    def _about(self, row: Ints, is_message: bool) -> tuple[Part, ...]:
        """Return what is told about records, but for the two brackets at the end."""
        at = np.searchsorted(self.rows, row)
        error = self.order.error_ns[row]
        known = np.isfinite(error)
        message: tuple[Part, ...] = ()
        if is_message:
            peer = self.events.peer[row].astype(np.int64)
            message = (b',"bytes":', decimal(self.events.n_bytes[row]), b',"other_end":', Texts(peer + 1, self.peers))
        return (
            *(b',"cat":', Texts(self.events.kind[row].astype(np.int64), KINDS)),
            *(b',"name":', self.names.some(at), b',"args":{"says":'),
            *(self.says.some(at), b',"id":"0x', hexadecimal(self.events.id[row])),
            *(b'","error_ns":', decimal(np.where(known, error, 0), known=known), *message),
        )

    def _slices(self) -> Iterator[Form]:
        found = self.slices
        placed = found.track != UNPLACED
        is_message = placed & np.isin(self.events.kind[found.row], MESSAGES)
        is_task = placed & ~is_message
        for which, end in (
            (is_message, b"}}"),
            (is_task & (found.end_row >= 0), b"}}"),
            (is_task & (found.end_row < 0), b',"unfinished":true}}'),
        ):
            here = np.flatnonzero(which)
            row, took = found.row[here], decimal(found.end_ns[here] - found.begin_ns[here], 3)
            about = self._about(row, which is is_message)
            yield self._entry(b"X", row, self.tid[np.searchsorted(self.rows, row)], b',"dur":', took, *about, end)

    def _arrows(self) -> Iterator[Form]:
        sent, received = flows(self.timeline, self.rows, self.slices)
        about = (b',"cat":"message","name":"message","id":"0x', hexadecimal(received), b'"')
        for phase, row, end in ((b"s", sent, b"}"), (b"f", received, b',"bp":"e"}')):
            yield self._entry(phase, row, self.tid[np.searchsorted(self.rows, row)], *about, end, place=1)

    def _marks(self) -> Iterator[Form]:
        row = marks(self.timeline, self.rows, self.slices)
        is_message = np.isin(self.events.kind[row], MESSAGES)
        for here, message in ((row[is_message], True), (row[~is_message], False)):
            tid = self.first_tid[self.lane[np.searchsorted(self.rows, here)]]
            yield self._entry(b"i", here, tid, b',"s":"t"', *self._about(here, message), b"}}")

    def _counters(self) -> Iterator[Form]:
        found = samples(self.timeline, self.rows)
        for name, unit, values in (
            (b"processor", b"percent", found.cpu_percent),
            (b"memory", b"bytes", found.memory_bytes),
            (b"in flight", b"bytes", found.bytes_in_flight),
        ):
            known = np.flatnonzero(values >= 0)
            row = found.row[known]
            about = (b',"name":"%s","args":{"%s":' % (name, unit), decimal(values[known]), b"}}")
            yield self._entry(b"C", row, np.zeros(row.size, np.int64), *about)
