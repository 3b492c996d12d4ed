"""Whose address it is: announced, found by messages, or nobody's."""

from __future__ import annotations

import pytest

from hydroscope.ground.record.layout import Kind
from hydroscope.ground.record.reader import read_ring
from hydroscope.ground.record.recorder import Recorder
from hydroscope.scope.timeline import Timeline


@pytest.fixture
def recs(tmp_path):
    return [Recorder(name, 0.1, tmp_path) for name in ("a", "b", "c")]


def read(recs) -> Timeline:
    return Timeline.of([read_ring(each.path) for each in recs])


def peers(found: Timeline, node: str) -> list[str]:
    """Return the names of the other ends of a node's messages."""
    events = found.events
    names = [each.name for each in events.nodes]
    rows = [
        k for k in range(*events.starts[names.index(node) : names.index(node) + 2]) if events.kind[k] <= Kind.RESENT
    ]
    return [names[events.peer[k]] if events.peer[k] >= 0 else "" for k in rows]


def test_an_address_that_was_noted_is_a_node(recs):
    a, b, c = recs
    b.note("at 127.0.0.1:4321")
    c.note("at 0.0.0.0:99")
    a.sent("127.0.0.1:4321", 1, b"lost")
    a.sent("10.0.0.7:99", 2, b"lost")
    found = read(recs)
    assert peers(found, "a") == ["b", "c"]
    assert [node.name for node in found.events.nodes] == ["a", "b", "c"]


def test_a_note_that_was_written_over_still_counts(recs):
    a, b, _ = recs
    b.note("at 127.0.0.1:4321")
    for k in range(20_000):
        b.put("key", b"%d" % k)
    a.sent("127.0.0.1:4321", 1)
    found = read(recs)
    assert not (found.events.kind == Kind.NOTE).any()
    assert peers(found, "a") == ["b"]


def test_the_ports_of_the_moment_are_found_by_messages(recs):
    a, b, _ = recs
    b.note("at 127.0.0.1:4321")
    for k in range(5):
        a.sent("127.0.0.1:4321", 2**40 + k, b"question")
        b.received("127.0.0.1:50000", 2**40 + k, b"question")
    b.sent("127.0.0.1:50000", 2**41, b"never arrives")
    b.received("127.0.0.1:50001", 3, b"from somebody who is not recorded")
    found = read(recs)
    assert peers(found, "b") == ["a"] * 6 + ["127.0.0.1:50001"]
    assert [node.name for node in found.events.nodes] == ["a", "b", "c", "127.0.0.1:50001"]


def test_pieces_without_another_end_have_no_peer(recs):
    a, b, _ = recs
    b.note("at 127.0.0.1:4321")
    a.sent("~127.0.0.1:4321", 100, b"one")
    a.sent("~127.0.0.1:4321", 103, b"two")
    b.received("~127.0.0.1:50000", 100, b"one")
    b.received("~127.0.0.1:50000", 103, b"two, and three")
    found = read(recs)
    assert peers(found, "a") == ["b", ""]
    assert peers(found, "b") == ["a", ""]
    assert [node.name for node in found.events.nodes] == ["a", "b", "c"]


def test_who_is_meant_by_an_address_of_two_is_left_to_the_messages(recs):
    a, b, c = recs
    for rec in (b, c):
        rec.note("at 0.0.0.0:99")
    a.sent("10.0.0.7:99", 2**40, b"to c")
    c.received("127.0.0.1:50000", 2**40, b"to c")
    a.sent("10.0.0.7:99", 2**40 + 1, b"lost")
    a.sent("10.0.0.8:99", 2**40 + 2, b"lost")
    assert peers(read(recs), "a") == ["c", "c", "10.0.0.8:99"]


def test_names_that_were_given_stay(recs):
    a, b, _ = recs
    a.sent("database", 1, b"question")
    a.sent("b", 2, b"question")
    b.received("elsewhere", 1, b"question")
    found = read(recs)
    assert peers(found, "a") == ["database", "b"]
    assert peers(found, "b") == ["elsewhere"]
