"""Messages that look alike: a ping is sent a hundred times, or a call again and again, and each has its own receipt."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.ground.record.layout import Kind
from hydroscope.scope.events import COLUMNS, Events, Node
from hydroscope.scope.findings import findings
from hydroscope.scope.matching import _in_turn
from hydroscope.scope.order import order

MS = 10**6
PING = b"ping"


def events(rows, offset_ns: int = 0, boots=(b"a", b"b")) -> Events:
    """Return events of (node, kind, time in ns, id, data); the second node's clock is ahead."""
    columns = {name: np.zeros(len(rows), kind) for name, kind in COLUMNS.items()}
    for k, (node, kind, at_ns, ident, data) in enumerate(rows):
        at_ns += offset_ns * node
        values = {"node": node, "kind": kind, "at_ns": at_ns, "stamp": at_ns, "id": ident, "peer": 1 - node}
        for name, value in values.items():
            columns[name][k] = value
        columns["n_bytes"][k], columns["data"][k] = len(data), data.ljust(27, b"\0")
    nodes = [Node("a", 1, 0, 0, boots[0]), Node("b", 2, 0, 0, boots[1])]
    return Events.sorted(nodes, [""], columns)


def talk(n: int, apart_ns: int, lost=(), burst: int = 1, seed: int = 0):
    """Return pings of one node to the other, with an answer of its own to each that arrived, and who is whose."""
    chance, rows = random.Random(seed), []
    at_ns = 10**12
    for k in range(0, n, burst):
        if k % 10 == 0:  # so that the clocks are known: of equal messages, only the first bounds them
            rows.append((0, Kind.SENT, at_ns - 5 * MS, 5000 + k, b"hello"))
            rows.append((1, Kind.RECEIVED, at_ns - 4 * MS, 5000 + k, b"hello"))
        for j in range(burst):
            rows.append((0, Kind.SENT, at_ns + j * 1000, 7, PING))
        for j in range(burst):
            took = MS // 2 + chance.randrange(MS // 4) + j * MS
            if k + j not in lost:
                rows.append((1, Kind.RECEIVED, at_ns + took, 7, PING))
                rows.append((1, Kind.SENT, at_ns + took + 5000, 1000 + k + j, b"pong"))
                rows.append((0, Kind.RECEIVED, at_ns + took + 400_000, 1000 + k + j, b"pong"))
        at_ns += apart_ns
    return rows


def partners(found, of):
    """Return for each ping the number of the receipt it has, and whether any has a second one."""
    pings = np.flatnonzero((of.kind == Kind.SENT) & (of.id == 7))
    receipts = np.flatnonzero((of.kind == Kind.RECEIVED) & (of.id == 7)).tolist()
    assert len({int(found.partner[each]) for each in receipts}) == len(receipts)
    return [receipts.index(int(found.partner[each])) if found.partner[each] >= 0 else None for each in pings]


@pytest.mark.parametrize("offset_ns", [0, 3 * 10**9, -3 * 10**9])
def test_a_hundred_pings_have_a_hundred_receipts(offset_ns):
    of = events(talk(100, 20 * MS), offset_ns)
    found = order(of)
    assert partners(found, of) == list(range(100))
    assert findings(of, found) == ()


@pytest.mark.parametrize("offset_ns", [0, 3 * 10**9])
def test_those_that_were_lost_are_the_ones_without(offset_ns):
    lost = {0, 7, 50, 51, 52, 98}
    of = events(talk(100, 20 * MS, lost), offset_ns)
    found = order(of)
    assert {k for k, each in enumerate(partners(found, of)) if each is None} == lost
    assert [(each.kind, each.count) for each in findings(of, found)] == [("loss", len(lost))]


def test_pings_that_are_under_way_at_once_arrive_in_turn():
    of = events(talk(100, 50 * MS, burst=10))
    found = order(of)
    assert partners(found, of) == list(range(100))
    assert findings(of, found) == ()


def test_receipts_of_what_the_ring_has_forgotten_do_not_bend_the_clocks():
    """The sender's ring begins in the middle; the receiver's reaches further back."""
    rows = talk(100, 20 * MS)
    of = events([row for row in rows if row[0] == 1 or row[2] > rows[0][2] + 1500 * MS], 3 * 10**9)
    found = order(of)
    assert found.impossible.size == 0
    assert abs(found.clocks[1].offset_ns - 3 * 10**9) <= found.clocks[1].error_ns
    pings = np.flatnonzero((of.kind == Kind.SENT) & (of.id == 7))
    assert (found.partner[pings] >= 0).all()
    assert (np.diff(of.at_ns[found.partner[pings]]) > 0).all()


def calls(n_copies: int, n_arrivals: int, away_ms: int = 30, n: int = 100, back: bool = True):
    """Return calls, every tenth sent `n_copies` times 20 ms apart; what arrives of these arrives at the end of all."""
    rows = []
    for k in range(n):
        at_ns = 10**12 + k * 200 * MS
        copies = n_copies if k % 10 == 5 and k < 80 else 1
        for copy in range(copies):
            rows.append((0, Kind.RESENT if copy else Kind.SENT, at_ns + copy * 20 * MS, k, b"call"))
        arrived_ns = at_ns + (1 if copies == 1 else copies * 20 - 20 + away_ms) * MS
        for copy in range(n_arrivals if copies > 1 else 1):
            rows.append((1, Kind.RECEIVED, arrived_ns + copy * 10_000, k, b"call"))
        if back:
            rows.append((1, Kind.SENT, arrived_ns + MS, 10**6 + k, b"answer"))
            rows.append((0, Kind.RECEIVED, arrived_ns + 2 * MS, 10**6 + k, b"answer"))
    return rows


ONE_MACHINE, TWO = (b"a", b"a"), (b"a", b"b")


@pytest.mark.parametrize(("n_copies", "n_arrivals"), [(2, 2), (3, 3), (3, 1), (2, 3), (4, 2)])
@pytest.mark.parametrize(("boots", "back"), [(ONE_MACHINE, True), (TWO, True), (TWO, False)])
def test_of_copies_as_few_are_lost_or_doubled_as_can_be(n_copies, n_arrivals, boots, back):
    """Whatever the clocks say: of two that were sent and two that arrived none was lost, and none came twice."""
    of = events(calls(n_copies, n_arrivals, back=back), 0 if boots == ONE_MACHINE else 10**9, boots)
    found = order(of)
    told = {each.kind: each.count for each in findings(of, found) if each.kind != "clocks unknown"}
    doubled, lost = 8 * max(n_arrivals - n_copies, 0), 8 * max(n_copies - n_arrivals, 0)
    assert told == {kind: n for kind, n in (("loss", lost), ("duplicate", doubled)) if n}
    received = np.flatnonzero((of.kind == Kind.RECEIVED) & (found.partner >= 0))
    assert (found.rank[found.partner[received]] < found.rank[received]).all()
    assert np.unique(found.partner[received]).size == received.size - doubled


def test_where_messages_are_doubled_anyway_a_copy_that_would_have_come_late_was_lost():
    """None that was sent once took longer than 2 ms; so what came 22 ms after the first copy is the second, twice."""
    rows = calls(2, 2, away_ms=1)
    rows += [(1, Kind.RECEIVED, at_ns + MS, ident, data) for node, kind, at_ns, ident, data in rows[100:104]
             if (node, kind) == (1, Kind.RECEIVED)]  # fmt: skip
    of = events(rows, 0, ONE_MACHINE)
    found = order(of)
    assert [(each.kind, each.count) for each in findings(of, found)] == [("loss", 8), ("duplicate", 9)]
    again = np.flatnonzero(of.kind == Kind.RESENT)
    assert (found.partner[again] >= 0).all()


def test_messages_that_look_alike_have_their_own_receipts_though_others_come_twice_and_they_come_late():
    rows = [row for k in range(20) for row in ((0, Kind.SENT, 10**12 + k * 1000, 7, PING),
                                               (1, Kind.RECEIVED, 10**12 + k * 1000 + 300 * MS, 7, PING))]  # fmt: skip
    rows += [(0, Kind.SENT, 10**12, 8, b"x"), *[(1, Kind.RECEIVED, 10**12 + k * MS, 8, b"x") for k in (1, 2)]]
    rows += [(0, Kind.NOTE, 10**12 + 10**9, 0, b""), (1, Kind.NOTE, 10**12 + 10**9, 0, b"")]
    of = events(rows, 0, ONE_MACHINE)
    found = order(of)
    assert partners(found, of) == list(range(20))
    assert [(each.kind, each.count) for each in findings(of, found)] == [("duplicate", 1)]


def test_what_was_sent_before_the_ring_begins_is_not_called_doubled():
    rows = calls(2, 2)
    begin_ns = 10**12 + 5 * 200 * MS + MS  # after the first copy of the fifth call
    of = events([row for row in rows if row[0] == 1 or row[2] > begin_ns], 0, ONE_MACHINE)
    assert findings(of, order(of)) == ()


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=14))
def test_taking_turns_is_closing_brackets(every):
    """Against a stack for each group."""
    every.sort(key=lambda each: each[0])
    group = np.array([each[0] for each in every], np.int64)
    sends, receipts = [], []
    for wanted in range(3):
        stack, closed = [], []
        for place, (number, is_send) in enumerate(every):
            if number == wanted and is_send:
                stack.append(place)
            elif number == wanted and stack:
                closed.append((stack.pop(), place))
        sends += sorted(each[0] for each in closed)
        receipts += sorted(each[1] for each in closed)
    found = _in_turn(group, np.array([each[1] for each in every], np.bool_))
    assert [each.tolist() for each in found] == [sends, receipts]
