"""Large messages over streams that break, stall, lose, or swallow everything while they say all is well."""

from __future__ import annotations

import heapq
import math
import random
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.ground.errors import InternalError
from hydroscope.rpc.bulk import Bulk, Connect, Limits, Stream, Whole
from hydroscope.rpc.effects import Send
from hydroscope.wire.messages import Piece, PieceAck

SMALL = Limits(piece_bytes=10, window_bytes=40, begun_bytes=200, begun=4, span=8)


def parts_of(draw: random.Random, data: bytes) -> list[bytes]:
    """Return the bytes cut at random into parts, of which some may be empty."""
    ends = sorted(draw.choices(range(len(data) + 1), k=draw.randrange(4)))
    return [data[start:stop] for start, stop in zip([0, *ends], [*ends, len(data)], strict=True)]


class Scene:
    """Two ends; streams and datagrams behave as a seeded generator says; a heap is the time."""

    def __init__(self, seed: int, limits: Limits, faults: float) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.ends = [Bulk(limits), Bulk(limits)]
        self.got: list[list[bytes]] = [[], []]
        self.fate: dict[tuple[int, int], str] = {}
        self.now = 0.0
        self.n_pieces = 0
        self._agenda: list = []
        self._order = 0
        self._last: dict[tuple[int, int], float] = {}

    def later(self, seconds: float, at: int, what: str, *arguments: object) -> float:
        self._order += 1
        heapq.heappush(self._agenda, (self.now + seconds, self._order, at, what, arguments))
        return self.now + seconds

    def chance(self, share: float) -> bool:
        return self.random.random() < share * self.faults

    def perform(self, at: int, effects: list) -> None:
        for effect in effects:
            match effect:
                case Connect(stream=stream):
                    self._connect(at, stream)
                case Stream(stream=stream, message=message):
                    self._stream(at, stream, message)
                case Send(message=message):
                    if not self.chance(0.4):
                        self.later(self.random.random() * 0.2, 1 - at, "receive", message)
                    if self.chance(0.2):
                        self.later(self.random.random() * 3, 1 - at, "receive", message)
                case Whole(data=data):
                    self.got[at].append(data.getvalue())
        for end in self.ends:
            end.check()

    def _connect(self, at: int, stream: int) -> None:
        self.fate[at, stream] = "well"
        if self.chance(0.2):
            self.fate[at, stream] = "never opens"
            return
        if self.chance(0.2):
            self.later(self.random.random(), at, "broken", stream)
            return
        if self.chance(0.3):
            self.fate[at, stream] = "accepts and discards"
        self.later(self.random.random() * 0.1, at, "connected", stream)

    def _stream(self, at: int, stream: int, piece: Piece) -> None:
        self.n_pieces += 1
        if self.chance(0.03):
            self.fate[at, stream] = "accepts and discards"
        if self.chance(0.03):
            self.fate[at, stream] = "broken"
            self.later(self.random.random(), at, "broken", stream)
        if self.fate[at, stream] == "well" and not self.chance(0.05):
            when = max(self._last.get((at, stream), 0.0), self.now + self.random.random() * 0.05)
            self._last[at, stream] = self.later(when - self.now, 1 - at, "receive", piece)

    def run(self, n_steps: int = 100_000) -> None:
        """Go on until nothing is left to do."""
        for _ in range(n_steps):
            due = min(end.deadline for end in self.ends)
            if self._agenda and self._agenda[0][0] <= due:
                self.now, _, at, what, arguments = heapq.heappop(self._agenda)
                self.perform(at, getattr(self.ends[at], what)(*arguments, self.now))
            elif due < math.inf:
                self.now = due
                for at, end in enumerate(self.ends):
                    self.perform(at, end.expire(self.now))
            else:
                return
        raise AssertionError("large messages do not arrive")


@settings(max_examples=max(settings().max_examples // 2, 1), deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([10, 40, 80]),
    st.sampled_from([4, 8]),
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 300), st.floats(0, 3)), min_size=1, max_size=24),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_every_message_arrives_once_and_whole_over_hostile_streams(seed, window_bytes, span, messages, faults):
    limits = Limits(piece_bytes=10, window_bytes=window_bytes, begun_bytes=200, begun=4, span=span)
    scene = Scene(seed, limits, faults)
    wanted: list[list[bytes]] = [[], []]
    for name, (at, size, when) in enumerate(messages):
        data = scene.random.randbytes(size)
        wanted[1 - at].append(data)
        scene.later(when, at, "send", name, parts_of(scene.random, data))
    scene.run()
    assert [sorted(each) for each in scene.got] == [sorted(each) for each in wanted]
    assert all(end.is_at_rest for end in scene.ends)


def test_without_faults_nothing_is_sent_twice_and_one_stream_serves_all():
    scene = Scene(1, SMALL, faults=0.0)
    for name in range(20):
        scene.later(0.0, 0, "send", name, [bytes([name]) * 95])
    scene.run()
    assert scene.n_pieces == 20 * 10
    assert list(scene.fate) == [(0, 1)]


def test_a_connection_that_accepts_and_silently_discards_is_left_for_a_fresh_one():
    scene = Scene(1, SMALL, faults=0.0)
    scene.perform(0, scene.ends[0].send("m", [b"x" * 95], 0.0))
    scene.fate[0, 1] = scene.fate[0, 2] = "accepts and discards"
    scene._connect = lambda at, stream: (
        scene.fate.setdefault((at, stream), "well"),
        scene.later(0.01, at, "connected", stream),
    )
    scene.run()
    assert scene.got[1] == [b"x" * 95]
    assert max(stream for _, stream in scene.fate) == 3
    assert scene.ends[0].counters["stream_stalled"] == 2


def test_a_fresh_connection_resumes_from_what_was_acknowledged():
    sender, receiver = Bulk(SMALL), Bulk(SMALL)
    (connect,) = sender.send("m", [b"0123456789" * 8], 0.0)
    pieces = [effect.message for effect in sender.connected(connect.stream, 0.0)]
    assert [piece.index for piece in pieces] == [0, 1, 2, 3]
    for piece in pieces[:3]:
        (ack,) = receiver.receive(piece, 0.1)
    more = sender.receive(ack.message, 0.2)  # only the last of the three came through
    assert [effect.message.index for effect in more] == [4, 5, 6]
    assert sender.broken(connect.stream, 0.3) == []
    (again,) = sender.expire(sender.deadline)
    assert again == Connect(2)
    assert [effect.message.index for effect in sender.connected(2, 1.0)] == [3, 4, 5, 6]


def test_a_short_message_does_not_wait_for_a_long_one():
    sender = Bulk(SMALL)
    sender.send("long", [b"l" * 150], 0.0)
    sender.send("short", [b"s" * 20], 0.0)
    sent = sender.connected(1, 0.0)
    assert [(effect.message.transfer, effect.message.index) for effect in sent] == [(1, 0), (2, 0), (1, 1), (2, 1)]


def test_a_message_that_is_on_its_way_is_not_sent_again():
    sender = Bulk(SMALL)
    sender.send("m", [b"x" * 5], 0.0)
    assert sender.send("m", [b"x" * 5], 0.0) == []
    (stream,) = sender.connected(1, 0.0)
    sender.receive(PieceAck(1, 1), 0.1)
    assert sender.is_at_rest
    assert sender.send("m", [b"x" * 5], 0.2) == [Stream(1, Piece(2, 0, 1, 5, stream.message.checksum, b"x" * 5))]


def test_a_damaged_message_is_sent_again_from_the_start():
    sender, receiver = Bulk(SMALL), Bulk(SMALL)
    sender.send("m", [b"0123456789abcde"], 0.0)
    first, second = (effect.message for effect in sender.connected(1, 0.0))
    receiver.receive(first, 0.1)
    (ack,) = receiver.receive(Piece(1, 1, 2, 15, second.checksum, b"*****"), 0.1)
    assert ack == Send(PieceAck(1, -1))
    again = sender.receive(ack.message, 0.2)
    assert [effect.message for effect in again] == [first, second]
    receiver.receive(first, 0.3)
    whole, ack = receiver.receive(second, 0.3)
    assert whole.data.getvalue() == b"0123456789abcde"
    assert ack == Send(PieceAck(1, 2))
    assert receiver.receive(second, 0.4) == [Send(PieceAck(1, 2))]


@pytest.mark.parametrize(
    "piece",
    [
        Piece(1, 0, 1, 0, 0, b""),
        Piece(1, 0, 1, -5, 0, b"x"),
        Piece(1, 0, 1, 2**31, 0, b"x"),
        Piece(1, 0, 2**31, 10, 0, b"x" * 10),
        Piece(1, 0, 3, 25, 0, b"x"),
        Piece(1, 0, 3, 25, 0, b"x" * 25),
        Piece(9, 0, 1, 5, 0, b"x" * 5),
        Piece(0, 0, 1, 5, 0, b"x" * 5),
        Piece(-1, 0, 1, 5, 0, b"x" * 5),
        Piece(2**62, 0, 1, 5, 0, b"x" * 5),
        Piece(1, 2, 3, 25, 0, b"x" * 5),
        Piece(1, -1, 3, 25, 0, b"x" * 10),
    ],
)
def test_pieces_that_do_not_fit_are_counted_and_take_no_room(piece):
    receiver = Bulk(SMALL)
    assert all(isinstance(effect, Send) for effect in receiver.receive(piece, 0.0))
    receiver.check()
    assert sum(receiver.counters.values()) == 1
    assert sum(each.n_held for each in receiver._receiver._begun.values()) == 0


def test_more_than_may_be_begun_is_not_taken():
    receiver = Bulk(SMALL)
    for number in range(1, 9):
        receiver.receive(Piece(number, 0, 10, 95, crc32(b"x" * 10), b"x" * 10), 0.0)
    receiver.check()
    assert receiver.counters["pieces_beyond_limits"] == 6


@given(st.lists(st.tuples(st.integers(-2, 5), st.integers(-5, 30)), max_size=20))
def test_acknowledgements_that_cannot_be_change_nothing_for_the_worse(acks):
    scene = Scene(3, SMALL, faults=0.0)
    sender = scene.ends[0]
    scene.perform(0, sender.send("m", [b"x" * 95], 0.0))
    for transfer, n_received in acks:
        if transfer != 1 or n_received > 10:
            scene.perform(0, sender.receive(PieceAck(transfer, n_received), 0.0))
    scene.run()
    assert scene.got[1] == [b"x" * 95]


def test_each_piece_proves_all_before_it():
    sender = Bulk(SMALL)
    data = bytes(range(35))
    sender.send("m", [data[:13], data[13:14], data[14:]], 0.0)
    pieces = [effect.message for effect in sender.connected(1, 0.0)]
    assert [bytes(piece.data) for piece in pieces] == [data[:10], data[10:20], data[20:30], data[30:]]
    assert [piece.checksum for piece in pieces] == [crc32(data[:n]) for n in (10, 20, 30, 35)]


def test_what_changes_under_way_is_noticed_and_sent_as_it_is_in_the_end():
    sender, receiver = Bulk(SMALL), Bulk(SMALL)
    data = bytearray(b"0123456789abcde")  # against the rules: nobody else holds what is sent
    sender.send("m", [data], 0.0)
    first, second = (effect.message for effect in sender.connected(1, 0.0))
    receiver.receive(first, 0.1)
    data[12] = 0
    (ack,) = receiver.receive(second, 0.1)
    assert ack == Send(PieceAck(1, -1))
    first, second = (effect.message for effect in sender.receive(ack.message, 0.2))
    receiver.receive(first, 0.3)
    whole, _ = receiver.receive(second, 0.3)
    assert whole.data.getvalue() == data


def test_a_part_of_a_message_is_sent_and_received_without_a_copy():
    sender, receiver = Bulk(SMALL), Bulk(SMALL)
    data = bytes(30)
    sender.send("m", [data], 0.0)
    pieces = [effect.message for effect in sender.connected(1, 0.0)]
    assert all(piece.data.obj is data for piece in pieces)
    *_, (whole, _) = (receiver.receive(piece, 0.1) for piece in pieces)
    assert whole.data.getvalue() is whole.data.getvalue()


def test_an_empty_message_is_our_error():
    with pytest.raises(InternalError, match="0 bytes"):
        Bulk().send("m", [b""], 0.0)
