"""Streams of TCP against what is meant, byte by byte."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hydroscope.scope.formats.streams import Stream
from hydroscope.wire.framing import length_prefixed

BASE = 2**32 - 30


def pieces_of(data, cuts):
    """Return (begin, end) of segments that cover the data, some of it twice."""
    return [(begin, min(begin + size, len(data))) for begin, size in cuts if begin < len(data)]


@st.composite
def histories(draw):
    """Return messages, and segments (begin, end) in the order in which they came: all bytes at least once."""
    bodies = draw(st.lists(st.binary(max_size=40), min_size=1, max_size=12))
    data = b"".join(bytes([len(body)]) + body for body in bodies)
    cuts = sorted(draw(st.sets(st.integers(1, max(len(data) - 1, 1)), max_size=10)) | {0, len(data)})
    whole = [(a, b) for a, b in pairwise(cuts) if a < b]
    more = draw(st.lists(st.tuples(st.integers(0, len(data)), st.integers(2, 30)), max_size=5))
    order = draw(st.permutations(whole + pieces_of(data, more)))
    return bodies, data, order


@given(histories())
def test_messages_are_those_that_were_sent_whatever_the_order_of_segments(history):
    bodies, data, order = history
    stream = Stream()
    stream.place(BASE)
    first = {}
    for ns, (begin, end) in enumerate(order, 1):
        stream.add((BASE + begin) % 2**32, data[begin:end], ns)
        for byte in range(begin, end):
            first.setdefault(byte, ns)
    found = stream.messages(length_prefixed(1))
    assert b"".join(message.head for message in found) == data
    assert [message.head[1:] for message in found] == bodies
    assert stream.missing == 0
    for message in found:
        assert message.begin_ns == first[message.begin]
        assert message.end_ns == max(first[byte] for byte in range(message.end))
        again = sorted(
            ns
            for ns, (begin, end) in enumerate(order, 1)
            for low, high in runs(byte for byte in range(begin, end) if first[byte] < ns)
            if end - begin > 1 and low < message.end and high > message.begin
        )
        assert sorted(set(message.again_ns)) == sorted(set(again))


def runs(numbers):
    """Yield (first, after the last) of numbers without a gap."""
    found = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1][1] += 1
        else:
            found.append([number, number + 1])
    return found


def test_a_message_goes_on_behind_bytes_that_were_not_captured():
    stream = Stream()
    stream.add(100, b"\x0bab", 1)
    stream.add(107, b"gh ij", 2)
    stream.add(112, b"\x02ok", 3)
    found = stream.messages(length_prefixed(1))
    assert [(each.begin, each.end, each.begin_ns, each.end_ns) for each in found] == [(0, 12, 1, 2), (12, 15, 3, 3)]
    assert stream.missing == 4


def test_without_a_framer_messages_end_where_the_sender_pushed():
    stream = Stream()
    stream.add(0, b"one", 1, is_pushed=True)
    stream.add(3, b"two and ", 2)
    stream.add(11, b"more", 3, is_pushed=True)
    stream.add(0, b"onetwo", 4, is_pushed=True)
    stream.add(15, b"rest", 5)
    found = stream.messages(None)
    assert [each.head for each in found] == [b"one", b"two", b" and more", b"rest"]
    assert [each.again_ns for each in found] == [(4,), (4,), (), ()]


def test_of_segments_that_were_cut_messages_have_their_whole_length():
    stream = Stream()
    stream.add(0, b"one", 1, 10, True)
    stream.add(10, b"two", 2, 10)
    stream.add(20, b"mor", 3, 5, True)
    stream.add(25, b"las", 4, 9, True)
    found = stream.messages(None)
    assert [(each.begin, each.end, each.head, each.begin_ns, each.end_ns) for each in found] == [
        (0, 10, b"one", 1, 1),
        (10, 13, b"two", 2, 2),
        (20, 25, b"mor", 3, 3),
        (25, 34, b"las", 4, 4),
    ]
    assert stream.missing == 34 - 12


def test_a_framer_that_knows_a_stretch_no_more_is_asked_again_at_the_next_push():
    stream = Stream()

    def framer(data):
        return 4 if data.startswith(b"GO") else -1

    for k, data in enumerate((b"GO12", b"junk!", b"GO34GO56")):
        stream.add(stream.high, data, k, is_pushed=True)
    assert [each.head for each in stream.messages(framer)] == [b"GO12", b"junk!", b"GO34", b"GO56"]


def test_a_framer_that_lies_stops_nothing():
    stream = Stream()
    stream.add(0, b"some bytes", 1, is_pushed=True)
    for framer in (lambda data: 2**60, lambda data: -7, lambda data: 0):
        assert [each.head for each in stream.messages(framer)] == [b"some bytes"]
