"""What is put on a stream comes out of it, in order and to the byte, however little the kernel takes at a time."""

from __future__ import annotations

import hashlib
import random
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from hydroscope.engine.sockets.streams import PARTS_A_CALL, QUEUE_MAX_BYTES, Listener, Outbound, Streams
from hydroscope.ground.limits import PIECE_BYTES
from hydroscope.wire.frame import Framing
from hydroscope.wire.messages import Packet, Piece

SECRET = bytes(range(32))
WAIT_S = 20.0
STAMP = 99


class Ends:
    """An outgoing stream, and a plain socket that accepted it and reads when it is told."""

    def __init__(self, receive_bytes: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.told: list[bool] = []
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            self.out = Outbound(1, listener.getsockname(), self.selector, Outbound.react, self.told.append)
            self.peer, _ = listener.accept()
        self.turn_until(1)

    def turn(self) -> None:
        for key, mask in self.selector.select(0.05):
            key.data(mask)

    def turn_until(self, n_told: int) -> None:
        """Take turns until so much was told."""
        end = time.monotonic() + WAIT_S
        while len(self.told) < n_told and time.monotonic() < end:
            self.turn()
        assert len(self.told) == n_told

    def read(self, n_bytes: int) -> bytes:
        """Return the next bytes of the stream."""
        self.peer.setblocking(False)
        data = bytearray()
        end = time.monotonic() + WAIT_S
        while len(data) < n_bytes and time.monotonic() < end:
            try:
                data += self.peer.recv(min(50_000, n_bytes - len(data)))
            except BlockingIOError:
                self.turn()
        return bytes(data)

    def close(self) -> None:
        self.out.close()
        self.peer.close()
        self.selector.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends(receive_bytes=16_384)
    yield ends
    ends.close()


def test_parts_of_any_size_arrive_in_order(ends):
    draw = random.Random(1)
    sizes = (1, 54, 16, 1000, 100_000)
    frames = [[draw.randbytes(draw.choice(sizes)) for _ in range(draw.randrange(1, 4))] for _ in range(150)]
    assert sum(map(len, frames)) > 2 * PARTS_A_CALL
    assert all(ends.out.send(frame) for frame in frames)
    wanted = b"".join(part for frame in frames for part in frame)
    assert len(wanted) > 2**20  # more than the kernel takes at once
    assert ends.read(len(wanted)) == wanted


def test_what_does_not_fit_the_queue_is_dropped_as_a_whole(ends):
    piece = memoryview(bytes(PIECE_BYTES))
    taken = [ends.out.send((i.to_bytes(4, "big"), piece)) for i in range(2 * QUEUE_MAX_BYTES // PIECE_BYTES)]
    assert not all(taken)
    n_taken = sum(taken)
    assert n_taken * PIECE_BYTES > QUEUE_MAX_BYTES - 2 * PIECE_BYTES
    data = ends.read(n_taken * (4 + PIECE_BYTES))
    numbers = [int.from_bytes(data[i : i + 4], "big") for i in range(0, len(data), 4 + PIECE_BYTES)]
    assert numbers == [i for i, is_taken in enumerate(taken) if is_taken]
    assert ends.out.send((b"there is room again",))


def test_a_stream_that_is_gone_takes_nothing(ends):
    ends.peer.close()
    ends.turn_until(2)
    assert ends.told == [True, False]
    assert not ends.out.send((b"anything",))


def test_pieces_come_out_of_the_listener_as_they_went_in():
    selector, framing = selectors.DefaultSelector(), Framing(1, SECRET)
    digest, lengths = hashlib.sha256(), []

    def take(packet: Packet) -> None:
        assert isinstance(packet.message, Piece)
        assert packet.hlc == STAMP  # that of the record, which is later than the packet's own
        digest.update(packet.message.data)  # now: it is a view of what is received into
        lengths.append(len(packet.message.data))

    listener = Listener("127.0.0.1", 0, selector, framing, take, Counter())
    streams = Streams(framing, selector, Outbound.react, Counter(), lambda packet, messages, again: STAMP)
    streams.open(3, 4, 1, ("127.0.0.1", listener.port))
    draw, wanted = random.Random(2), hashlib.sha256()
    sizes = [draw.choice((1, 100, PIECE_BYTES)) for _ in range(60)]
    for i, size in enumerate(sizes):
        data = draw.randbytes(size)
        wanted.update(data)
        packet = Packet(1, 1, 2, 3, 4, 5, 6, Piece(1, i, len(sizes), sum(sizes), 7, memoryview(data)))
        streams.send(packet, 1)
    end = time.monotonic() + WAIT_S
    while len(lengths) < len(sizes) and time.monotonic() < end:
        for key, mask in selector.select(0.05):
            key.data(mask)
    assert list(streams.news) == [(3, 1, True)]
    streams.keep(())
    listener.close()
    selector.close()
    assert lengths == sizes
    assert digest.digest() == wanted.digest()
