"""The line to one peer: its link, and large messages of the link cut into pieces.

The link does not know sizes of frames, and `Bulk` does not know calls; here a message that
would not fit a datagram is handed from the one to the other, in both directions.
"""

from __future__ import annotations

from typing import Any

from hydroscope.rpc.bulk import Bulk, BulkEffect, Connect, Stream, Whole
from hydroscope.rpc.effects import Deliver, Effect, Execute, Fail, Send, Settle
from hydroscope.rpc.link import LARGE_BYTES, Link
from hydroscope.wire.frame import Refusal, decode_message, encode_message
from hydroscope.wire.messages import Ack, Call, Message, Piece, PieceAck

__all__ = ["Line", "LineEffect"]

PIECES = frozenset((Piece, PieceAck))

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

    def call(self, body: Any, now: float, size_bytes: int, is_urgent: bool = False) -> tuple[int, list[LineEffect]]:
        """Ask the peer to do `body`."""
        number, effects = self.link.call(body, now, size_bytes, is_urgent)
        return number, self._sized(effects, now) if size_bytes > LARGE_BYTES else effects  # type: ignore[return-value]

    def finish(self, number: int, body: Any, now: float, size_bytes: int) -> list[LineEffect]:
        """Answer a call of the peer's."""
        return self._sized(self.link.finish(number, body, now, size_bytes), now)

    def receive(self, message: Message, now: float) -> list[LineEffect]:
        """Take in a message of the link, or a piece of one."""
        if type(message) in PIECES:
            return self._whole(self.bulk.receive(message, now), now)  # type: ignore[arg-type]
        return self._sized(self.link.receive(message, now), now)

    def expire(self, now: float) -> list[LineEffect]:
        """Do what is due."""
        effects = self._sized(self.link.expire(now), now) if self.link.deadline <= now else []
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

    def _sized(self, effects: list[Effect], now: float) -> list[LineEffect]:
        """Send large messages in pieces."""
        for effect in effects:
            if type(effect) is Send and _is_large(effect.message):
                break
        else:
            return effects  # type: ignore[return-value]
        sized: list[LineEffect] = []
        for effect in effects:
            if type(effect) is Send and _is_large(effect.message):
                message = effect.message
                name = type(message), message.number  # type: ignore[union-attr]
                if not self.bulk.is_sending(name):  # or it would be encoded for nothing
                    sized += self._whole(self.bulk.send(name, encode_message(message), now), now)
            else:
                sized.append(effect)
        return sized

    def _whole(self, effects: list[BulkEffect], now: float) -> list[LineEffect]:
        """Hand large messages that have arrived to the link."""
        done: list[LineEffect] = []
        for effect in effects:
            if type(effect) is not Whole:
                done.append(effect)  # type: ignore[arg-type]
                continue
            message = decode_message(memoryview(effect.data))
            if isinstance(message, Refusal):  # of another version: the link asks after its call for ever, and is heard
                self.bulk.counters["large messages that cannot be read"] += 1
            else:
                done += self._sized(self.link.receive(message, now), now)
        return done


def _is_large(message: Message) -> bool:
    """Tell whether a message of the link goes in pieces: its body would not fit a datagram."""
    if type(message) is not Ack and type(message) is not Call:
        return False
    body = message.body
    return type(body) is bytes and len(body) > LARGE_BYTES
