"""One direction of a stream, seen at both ends: the same messages under the same ids, however it is cut."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.engine.taps.streams import Stream
from hydroscope.engine.taps.tap import Tap
from hydroscope.ground.record.reader import read_ring
from hydroscope.ground.record.recorder import Recorder
from hydroscope.wire import framing

BASE = 2**64 - 50
"""Ids go round."""


class Written(list):
    """What a stream has recorded."""

    def __call__(self, peer, ident, data=b"", stamp=None):
        self.append((peer, ident, len(data), bytes(memoryview(data))[:27]))
        return 0


def tap(folder, **options) -> Tap:
    return Tap(Recorder("node-1", seconds=0.1, folder=folder), **options)


def stream(tap, framer=None, peer="b") -> tuple[Stream, Written]:
    written = Written()
    return Stream(tap, written, BASE, peer, framer), written


def expected(sent: list[bytes], peer="b") -> list[tuple[str, int, int, bytes]]:
    found, offset = [], 0
    for message in sent:
        found.append((peer, (BASE + offset) % 2**64, len(message), message[:27]))
        offset += len(message)
    return found


def pieces(data, draw) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=10)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def prefixed(numbers: list[int]) -> list[bytes]:
    return [struct.pack(">I", n) + (b"%d" % n * n)[:n] for n in numbers]


SENT = st.lists(st.integers(0, 2000), min_size=1, max_size=20).map(prefixed)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tap(tmp_path_factory.mktemp("rings"))


@given(sent=SENT, data=st.data())
def test_what_is_read_has_the_ids_of_what_was_written(sent, data, shared):
    there, received = stream(shared, framing.length_prefixed())
    for piece in pieces(b"".join(sent), data.draw):
        there.feed(memoryview(piece) if data.draw(st.booleans()) else piece)
    assert received == expected(sent)


@given(sent=SENT, seed=st.integers(0, 2**32))
def test_partial_sends_and_retries_are_one_message(sent, seed, shared):
    """The program offers what is left again and again, sometimes more, sometimes less, as buffers do."""
    here, written = stream(shared, framing.length_prefixed())
    whole, at, chance = b"".join(sent), 0, random.Random(seed)
    while at < len(whole):
        end = chance.randint(at + 1, len(whole))
        offered = whole[at:end]
        here.offer(offered)
        taken = chance.choice([0, len(offered), len(offered) // 2])
        here.sent(offered, taken)
        at += taken
    assert written == expected(sent)


def test_what_was_refused_and_given_up_makes_room_for_something_else(tmp_path):
    here, written = stream(tap(tmp_path), framing.lines)
    here.offer(b"one\n")
    here.sent(b"one\n", 4)
    here.offer(b"lost\n")
    here.sent(b"lost\n", 0)
    here.offer(b"two\n")
    here.sent(b"two\n", 4)
    here.offer(b"three\n")
    here.sent(b"three\n", 6)
    there, received = stream(tap(tmp_path), framing.lines)
    there.feed(b"one\ntwo\nthree\n")
    assert [each for each in written if each[3] != b"lost\n"] == received == expected([b"one\n", b"two\n", b"three\n"])


def test_half_a_message_that_is_given_up_ends_the_recording_of_messages(tmp_path):
    a_tap = tap(tmp_path)
    here, written = stream(a_tap, framing.lines)
    here.offer(b"one and two\n")
    here.sent(b"one and two\n", 3)
    here.offer(b"else\n")
    here.sent(b"else\n", 5)
    here.offer(b"more\n")
    here.sent(b"more\n", 5)
    assert a_tap.n_lost == 1
    assert written[1:] == [("~b", BASE + 3 + 5, 5, b"more\n")]


def test_without_a_framer_pieces_are_recorded_under_their_offsets(tmp_path):
    here, written = stream(tap(tmp_path))
    for piece in (b"\x80abc", b"defg", b""):
        here.feed(piece)
    assert written == [("~b", BASE, 4, b"\x80abc"), ("~b", BASE + 4, 4, b"defg")]


def test_the_first_bytes_tell_the_framer(tmp_path):
    here, written = stream(tap(tmp_path))
    here.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HT")
    here.feed(b"TP/1.1\r\n\r\n")
    assert [(peer, n) for peer, _, n, _ in written] == [("b", 27), ("b", 19)]


def test_a_framer_that_raises_or_gives_up_leaves_pieces(tmp_path):
    def fails(data):
        if data.startswith(b"bad"):
            raise ValueError(data)
        return framing.lines(data)

    a_tap = tap(tmp_path)
    here, written = stream(a_tap, fails)
    here.feed(b"good\nbad\n")
    here.feed(b"again\n")
    assert [(peer, data) for peer, _, _, data in written] == [("b", b"good\n"), ("~b", b"bad\n"), ("~b", b"again\n")]
    assert [each[1] - BASE for each in written] == [0, 5, 9]
    assert a_tap.n_lost == 1


@pytest.mark.parametrize("length", [None, "5", 2.5])
def test_a_framer_that_returns_no_length_leaves_pieces_and_is_told(tmp_path, length):
    a_tap = tap(tmp_path)
    here, written = stream(a_tap, lambda data: length)
    here.feed(b"one")
    here.feed(b"two")
    assert written == [("~b", BASE, 3, b"one"), ("~b", BASE + 3, 3, b"two")]
    assert a_tap.n_lost == 1
    ring = read_ring(a_tap.rec.path)
    assert any(name.startswith("tap: TypeError") for name in ring.names)


def test_of_what_was_not_taken_only_the_beginning_is_kept(tmp_path):
    """All of it would be copied at every try."""
    here, written = stream(tap(tmp_path), framing.lines)
    message = b"x" * 499 + b"\n"
    whole = memoryview(message * 1000)
    while whole:
        here.offer(whole)
        here.sent(whole, 20_000)
        whole = whole[20_000:]
        assert len(here._tail) <= 4096
    assert written == expected([message] * 1000)


def test_large_messages_are_not_kept(tmp_path):
    here, written = stream(tap(tmp_path), framing.length_prefixed())
    here.feed(struct.pack(">I", 2**31))
    for _ in range(2048):
        here.feed(bytes(2**20))
    assert written == [("b", BASE, 2**31 + 4, struct.pack(">I", 2**31) + bytes(23))]
    assert len(here._kept) == 0


def test_an_excerpt_is_of_the_whole_message(tmp_path):
    a_tap = tap(tmp_path, excerpt=lambda message: message[::-1])
    here, written = stream(a_tap, framing.lines)
    for piece in (b"ab", b"c\nde\n", b"f\n"):
        here.feed(piece)
    assert written == [("b", BASE, 4, b"\ncba"), ("b", BASE + 4, 3, b"\ned"), ("b", BASE + 7, 2, b"\nf")]


def test_an_excerpt_is_of_the_whole_message_also_if_its_length_is_known_before(tmp_path):
    here, written = stream(tap(tmp_path, excerpt=lambda message: message[-5:]), framing.length_prefixed())
    for piece in (struct.pack(">I", 100), b"x" * 50, b"x" * 45 + b"last!"):
        here.feed(piece)
    assert written == [("b", BASE, 104, b"last!")]


def test_an_excerpt_that_raises_leaves_the_first_bytes(tmp_path):
    a_tap = tap(tmp_path, excerpt=lambda message: message.decode("ascii"))
    here, written = stream(a_tap, framing.lines)
    here.feed(b"plain\n\xff\n")
    assert [each[3] for each in written] == [b"plain\n", b"\xff\n"]
    assert a_tap.n_lost == 2


def test_what_went_by_unseen_is_counted(tmp_path):
    a_tap = tap(tmp_path)
    here, written = stream(a_tap, framing.length_prefixed())
    here.feed(struct.pack(">I", 1000))
    here.skip(400)
    here.skip(600)
    here.feed(struct.pack(">I", 1) + b"x")
    assert written == [("b", BASE, 1004, struct.pack(">I", 1000)), ("b", (BASE + 1004) % 2**64, 5, b"\0\0\0\1x")]
    here.skip(7)
    assert a_tap.n_lost == 1
    assert here.position == 1004 + 5 + 7
