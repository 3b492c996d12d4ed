"""Timelines as OpenTelemetry's spans, in the lines of JSON that its collectors read and write.

A task is a span; a message is a span where it was sent (PRODUCER) and one for each arrival (CONSUMER), whose parent
is the first. A span's parent on its own node is what it lies within on its lane, or what has its id: the task of
the same id that a message was sent by, the message of the same id that a task answers. So a call that goes through
several nodes is one tree, and each tree is a trace. A span has one parent only: the messages that a task
received in its course are its links. Other records are events of the task they lie within, else spans
without a length.

Each line is the `TracesData` of one node.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hydroscope.ground.record.layout import Kind
from hydroscope.scope.events import MESSAGES
from hydroscope.scope.formats.kernels import NOTHING, within
from hydroscope.scope.formats.rows import Cells, Form, Texts, decimal, hexadecimal, joined
from hydroscope.scope.formats.shown import coded, json_bytes, lanes, quoted, tasks, texts
from hydroscope.scope.matching import RECEIPTS, SENDS, mixed
from hydroscope.scope.timeline import Timeline

__all__ = ["write_otlp"]

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Part = bytes | Cells | Texts

INTERNAL, PRODUCER, CONSUMER = 1, 4, 5
LATE_NS = 10**18
LINE = 1000
"""Spans of one."""


def write_otlp(timeline: Timeline, path: str | os.PathLike[str], rows: Ints) -> None:
    """Write a timeline as spans of OpenTelemetry, as JSON.

    Parameters
    ----------
    timeline : Timeline
    path : path
    rows : (n,)
        Which of its records, ascending.

    Notes
    -----
    Cost: some 10 us a record, and a call of a decoder for each distinct text; some 700 bytes a record.
    """
    spans = _Spans(timeline, rows)
    with open(path, "wb") as file:
        for piece in joined([*spans.opened(), *spans.links(), *spans.events_in(), *spans.closed()]):
            file.write(piece)


HEAD = (
    b'{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%s}},'
    b'{"key":"process.pid","value":{"intValue":"%d"}}]},"scopeSpans":[{"scope":{"name":"hydroscope"},"spans":['
)
TAIL = b"]}]}]}\n"


class _Spans:
    """Owner of what is written. Arrays have one entry for each of `rows`; places in them are meant by `at`."""

    def __init__(self, timeline: Timeline, rows: Ints) -> None:
        self.timeline, self.rows = timeline, rows
        self.events, self.order = timeline.events, timeline.order
        self.kind, self.rank = self.events.kind[rows], self.order.rank[rows]
        self.lane, self.lanes = lanes(timeline, rows)
        self.begins, ended = tasks(timeline, rows)
        self.end_row = np.full(rows.size, NOTHING)
        self.end_row[self.begins] = ended
        self.is_task = np.zeros(rows.size, np.bool_)
        self.is_task[self.begins] = True
        self.is_sent, self.is_receipt = np.isin(self.kind, SENDS), np.isin(self.kind, RECEIPTS)
        self.inside = self._inside()
        is_end = np.isin(rows, ended)
        self.is_event = ~(self.is_task | np.isin(self.kind, MESSAGES) | is_end) & (self.inside >= 0)
        self.spans = np.flatnonzero(~(self.is_event | is_end))
        self.number = np.zeros(rows.size, np.int64)
        self.number[self.spans] = np.arange(self.spans.size)
        self.parent = self._parents()
        self.root = self._roots()
        names, says = coded(timeline, rows), texts(timeline, rows)
        self.names, self.says = quoted(names), quoted(says)
        self.lane_names = Texts(self.lane, [json_bytes(name) for _, name in self.lanes])
        self.peers = [b'""', *(json_bytes(node.name) for node in self.events.nodes)]
        self.before, self.behind = self._line()

    def _inside(self) -> Ints:
        """Return the task that each row lies within, if any."""
        last = np.zeros(len(self.events.nodes), np.int64)
        np.maximum.at(last, self.events.node[self.rows], self.rank)
        end_rank = np.where(self.end_row >= 0, self.order.rank[self.end_row], last[self.events.node[self.rows]])
        end_rank[~self.is_task] = NOTHING
        by = np.lexsort((self.rank, self.lane))
        found = np.empty(by.size, np.int64)
        within(self.lane[by], self.rank[by], end_rank[by], np.empty(by.size, np.int64), found)
        inside = np.full(by.size, NOTHING)
        inside[by] = np.where(found >= 0, by[found], NOTHING)
        return inside

    def _same_id(self, of: Flags, before: Flags) -> Ints:
        """Return for each row of `of` the last one of `before` that was before it on its node and has its id."""
        node, ids = self.events.node[self.rows], self.events.id[self.rows]
        by = np.lexsort((self.rank, ids, node))
        group = np.cumsum((np.diff(ids[by], prepend=ids[:1]) != 0) | (np.diff(node[by], prepend=node[:1]) != 0))
        last = np.maximum.accumulate(np.where(before[by], np.arange(by.size), -1))
        found = np.full(by.size, NOTHING)
        has = (last >= 0) & of[by] & (group[last] == group)
        found[by[has]] = by[last[has]]
        return found

    def _parents(self) -> Ints:
        parent = self.inside.copy()
        for of, before in ((self.is_task, self.is_receipt), (self.is_sent, self.is_task)):
            same = self._same_id(of, before)
            parent = np.where(same >= 0, same, parent)
        place = np.full(len(self.events), NOTHING)
        place[self.rows] = np.arange(self.rows.size)
        sent = self.order.partner[self.rows[self.is_receipt]]
        sent = np.where(sent >= 0, place[sent], NOTHING)
        parent[self.is_receipt] = np.where(sent >= 0, sent, parent[self.is_receipt])
        return parent

    def _roots(self) -> Ints:
        root = np.where(self.parent >= 0, self.parent, np.arange(self.rows.size))
        while not np.array_equal(further := root[root], root):
            root = further
        return root

    def _span_id(self, at: Ints) -> Cells:
        return hexadecimal(mixed((self.rows[at] + 1).astype(np.uint64)))

    def _trace_id(self, at: Ints) -> tuple[Cells, Cells]:
        root = self.rows[self.root[at]]
        return hexadecimal(mixed(self.order.time_ns[root].astype(np.uint64))), hexadecimal(
            mixed((root + 1).astype(np.uint64))
        )

    def _time(self, row: Ints) -> Part:
        """Return times as digits: those since 2001 have the same number of them, and no zeros in front are allowed."""
        time_ns = self.order.time_ns[row]
        if time_ns.min(initial=LATE_NS) >= LATE_NS:
            return decimal(time_ns)
        return Texts(np.arange(row.size), [b"%d" % max(each, 0) for each in time_ns.tolist()])

    def _place(self, at: Ints, within_span: int | Ints) -> Ints:
        """Return places in the file: of a span its opening, links, the brackets between, events, and its end."""
        return self.number[at] * (2 * self.rows.size + 3) + within_span

    def _line(self) -> tuple[Texts, Texts]:
        """Return what is before and behind each span: commas, and the beginnings and ends of lines."""
        node = self.events.node[self.rows[self.spans]].astype(np.int64)
        first = np.searchsorted(node, node)
        place = (np.arange(node.size) - first) % LINE
        is_last = (place == LINE - 1) | np.append(np.diff(node) != 0, True)[: node.size]
        heads = [HEAD % (json_bytes(each.name), each.pid) for each in self.events.nodes]
        before, behind = np.zeros(self.rows.size, np.int64), np.zeros(self.rows.size, np.int64)
        before[self.spans] = np.where(place == 0, node + 1, 0)
        behind[self.spans] = is_last
        return Texts(before, [b",", *heads]), Texts(behind, [b"}", b"}" + TAIL])

    def opened(self) -> Iterator[Form]:
        """Yield all of a span but the links, events and status of tasks."""
        is_known = np.isfinite(self.order.error_ns[self.rows])
        sort = is_known + 2 * (self.parent >= 0) + 4 * self.is_task + 8 * self.is_sent + 16 * self.is_receipt
        for each in np.unique(sort[self.spans]).tolist():
            at = self.spans[sort[self.spans] == each]
            row = self.rows[at]
            last = np.where(self.end_row[at] >= 0, self.end_row[at], row)
            if each & 4:
                last = np.where(self.end_row[at] >= 0, last, self.events.starts[self.events.node[row] + 1] - 1)
            kind = PRODUCER if each & 8 else CONSUMER if each & 16 else INTERNAL
            parent = (b'","parentSpanId":"', self._span_id(self.parent[at])) if each & 2 else ()
            yield Form(
                self._place(at, 0),
                (
                    *(self.before.some(at), b'{"traceId":"', *self._trace_id(at), b'","spanId":"', self._span_id(at)),
                    *(*parent, b'","name":', self.names.some(at), b',"kind":%d' % kind),
                    *(b',"startTimeUnixNano":"', self._time(row), b'","endTimeUnixNano":"', self._time(last)),
                    *(b'","attributes":[', *self._attributes(at, bool(each & 24), bool(each & 1))),
                    *((b'],"links":[',) if each & 4 else (b"]", self.behind.some(at))),
                ),
            )

    def _attributes(self, at: Ints, is_message: bool, is_known: bool) -> list[Part]:
        row = self.rows[at]
        told: list[tuple[bytes, bytes, Part, bytes]] = [
            (b"thread.name", b'"stringValue":', self.lane_names.some(at), b""),
            (b"hydroscope.text", b'"stringValue":', self.says.some(at), b""),
            (b"hydroscope.id", b'"stringValue":"0x', hexadecimal(self.events.id[row]), b'"'),
        ]
        if is_known:
            error = np.round(self.order.error_ns[row])
            told.append((b"hydroscope.error_ns", b'"intValue":', decimal(error.astype(np.int64)), b""))
        if is_message:
            peer = Texts(self.events.peer[row].astype(np.int64) + 1, self.peers)
            told.append((b"hydroscope.other_end", b'"stringValue":', peer, b""))
            told.append((b"messaging.message.body.size", b'"intValue":', decimal(self.events.n_bytes[row]), b""))
        parts: list[Part] = []
        for k, (name, kind, value, end) in enumerate(told):
            parts += [b'%s{"key":"%s","value":{%s' % (b"," if k else b"", name, kind), value, end + b"}}"]
        return parts

    def links(self) -> Iterator[Form]:
        """Yield the links of tasks, to what they received, and what is between them and the events."""
        at = np.flatnonzero(self.is_receipt & (self.inside >= 0))
        task = self.inside[at]
        yield Form(
            self._place(task, at + 1),
            (
                *(_commas(task, at), b'{"traceId":"', *self._trace_id(at), b'","spanId":"', self._span_id(at)),
                b'"}',
            ),
        )
        yield Form(self._place(self.begins, self.rows.size + 1), (b'],"events":[',))

    def events_in(self) -> Iterator[Form]:
        """Yield the events of tasks."""
        at = np.flatnonzero(self.is_event)
        task, row = self.inside[at], self.rows[at]
        says = self.says.some(at)
        yield Form(
            self._place(task, self.rows.size + 2 + at),
            (
                *(_commas(task, at), b'{"timeUnixNano":"', self._time(row), b'","name":', self.names.some(at)),
                *(b',"attributes":[{"key":"hydroscope.text","value":{"stringValue":', says, b"}}]}"),
            ),
        )

    def closed(self) -> Iterator[Form]:
        """Yield the ends of tasks: with an error where one of their id failed."""
        task = self._same_id(self.kind == Kind.FAILED, self.is_task)
        is_bad = np.isin(self.begins, task[task >= 0])
        for at, status in ((self.begins[is_bad], b',"status":{"code":2}'), (self.begins[~is_bad], b"")):
            yield Form(self._place(at, 2 * self.rows.size + 2), (b"]", status, self.behind.some(at)))


def _commas(owner: Ints, order: Ints) -> Texts:
    """Return commas before all but the first of each owner."""
    by = np.lexsort((order, owner))
    is_first = np.ones(owner.size, np.int64)
    is_first[by[1:]] = owner[by[1:]] != owner[by[:-1]]
    return Texts(is_first, [b",", b""])
