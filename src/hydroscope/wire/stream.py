"""Frames out of a stream of bytes, as they come in."""

from __future__ import annotations

from hydroscope.wire.frame import HEADER_BYTES, Framing, Refusal
from hydroscope.wire.messages import Packet

__all__ = ["FrameReader"]


class FrameReader:
    """Cuts one connection's bytes into frames.

    A connection that ever carried something else is of no use: where the next frame would begin
    is not known. So the first refusal is the last; its owner closes the connection. Memory: one
    frame, and what is handed in at once.
    """

    __slots__ = ("_buffer", "_framing", "_wanted", "refusal")

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._buffer = bytearray()
        self._wanted = HEADER_BYTES
        self.refusal: Refusal | None = None
        """Why the connection is to be closed."""

    def feed(self, data: bytes | bytearray | memoryview) -> list[Packet]:
        """Return the packets that are complete with these bytes. Cost: O(bytes)."""
        packets: list[Packet] = []
        if self.refusal is not None:
            return packets
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= self._wanted:
            if self._wanted == HEADER_BYTES:
                with memoryview(buffer) as view:
                    size = self._framing.size(view[start : start + HEADER_BYTES])
                if isinstance(size, Refusal):
                    return self._give_up(size, packets)
                self._wanted = size
                continue
            taken = self._framing.unpack(bytes(memoryview(buffer)[start : start + self._wanted]))
            if isinstance(taken, Refusal):
                return self._give_up(taken, packets)
            packets += taken
            start += self._wanted
            self._wanted = HEADER_BYTES
        del buffer[:start]
        return packets

    def _give_up(self, refusal: Refusal, packets: list[Packet]) -> list[Packet]:
        self.refusal = refusal
        self._buffer = bytearray()
        return packets
