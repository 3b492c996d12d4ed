"""The line to one peer: its link, and large messages of the link cut into pieces.

The link does not know sizes of frames, and `Bulk` does not know calls; here a message that
would not fit a datagram is handed from the one to the other, in both directions. What else a
link says or is told does not come by here.
"""

from __future__ import annotations

from typing import Any

from hydroscope.rpc.bulk import Bulk, BulkEffect, Connect, Stream, Whole
from hydroscope.rpc.effects import Deliver, Execute, Fail, Send, Settle
from hydroscope.rpc.link import LARGE_BYTES, Link
from hydroscope.wire.frame import Refusal
from hydroscope.wire.large import Split, decode_large, encode_large
from hydroscope.wire.messages import Ack, Call, Message, Piece, PieceAck

__all__ = ["Line", "LineEffect", "is_large"]

LineEffect = Send | Execute | Deliver | Settle | Fail | Connect | Stream


class Line:
    """Link and bulk of one life of one peer; each method returns what is to be done, in order."""

    __slots__ = ("bulk", "link")

    def __init__(self) -> None:
        self.link = Link()
        self.bulk = Bulk()

    @property
    def deadline(self) -> float:
        """When `expire` is wanted next."""
        return self.link.deadline if self.bulk.is_at_rest else min(self.link.deadline, self.bulk.deadline)

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of calls, answers and pieces that the peer has not confirmed."""
        return self.link.in_flight_bytes + self.bulk.in_flight_bytes

    def piece(self, message: Piece | PieceAck, now: float) -> list[LineEffect]:
        """Take in a piece of a large message, or how much of one of ours the peer has."""
        return self._whole(self.bulk.receive(message, now), now)

    def cut(self, message: Call | Ack, now: float) -> list[LineEffect]:
        """Send a large message of the link in pieces, unless they are on their way."""
        name = type(message), message.number
        if self.bulk.is_sending(name):  # it would be encoded for nothing
            return []
        return self._whole(self.bulk.send(name, encode_large(message), now), now)

    def expire(self, now: float) -> list[LineEffect]:
        """Do what is due."""
        effects: list[LineEffect] = [*self.link.expire(now)] if self.link.deadline <= now else []
        return effects + self._whole(self.bulk.expire(now), now) if self.bulk.deadline <= now else effects

    def connected(self, stream: int, now: float) -> list[LineEffect]:
        """Note that the stream that was asked for is open."""
        return self._whole(self.bulk.connected(stream, now), now)

    def broken(self, stream: int, now: float) -> list[LineEffect]:
        """Note that a stream is gone, or did not open."""
        return self._whole(self.bulk.broken(stream, now), now)

    def check(self) -> None:
        """Check the invariants; raises InternalError."""
        self.link.check()
        self.bulk.check()

    def _whole(self, effects: list[BulkEffect], now: float) -> list[LineEffect]:
        """Hand large messages that have arrived to the link."""
        done: list[LineEffect] = []
        for effect in effects:
            if type(effect) is not Whole:
                done.append(effect)  # type: ignore[arg-type]
                continue
            message = decode_large(effect.data)
            if isinstance(message, Refusal):  # of another version: the link asks after its call for ever, and is heard
                self.bulk.counters["large messages that cannot be read"] += 1
            else:
                done += self.link.receive(message, now)
        return done


def is_large(message: Message) -> bool:
    """Tell whether a message of the link goes in pieces: its body would not fit a datagram."""
    if type(message) is not Ack and type(message) is not Call:
        return False
    body: Any = message.body
    return (type(body) is bytes or type(body) is Split) and len(body) > LARGE_BYTES
