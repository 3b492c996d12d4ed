"""Frames out of a stream of bytes, as they come in."""

from __future__ import annotations

from hydroscope.ground.limits import FRAME_BYTES
from hydroscope.wire.frame import HEADER_BYTES, MAC_BYTES, Framing, Refusal
from hydroscope.wire.messages import Packet

__all__ = ["FrameReader"]

STRANGER_BYTES = 4 * 2**10
"""Room for a connection that has not yet shown that it knows the secret; it grows only as fast as bytes arrive."""

FRAME_MAX_BYTES = HEADER_BYTES + FRAME_BYTES + MAC_BYTES
ROOM_BYTES = FRAME_MAX_BYTES + 2**19
"""Room for one that has: a frame that is half there, and so much that each call of the kernel brings several."""


class FrameReader:
    """Cuts one connection's bytes into frames, in the buffer that they are received into.

    ```
        buffer   | taken ... | a frame, half there |      room      |
                 0           start                 end              size
    ```

    What was taken is overwritten by the next `room`: pieces in it are to be used, or copied,
    before (`Piece.data` is a view of this buffer).

    A connection that ever carried something else is of no use: where the next frame would begin
    is not known. So the first refusal is the last; its owner closes the connection. Memory: one
    frame before the first good one, `ROOM_BYTES` from then on.
    """

    __slots__ = ("_buffer", "_end", "_framing", "_is_known", "_start", "_wanted", "refusal")

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._buffer = memoryview(bytearray(STRANGER_BYTES))
        self._start = self._end = 0
        self._wanted = HEADER_BYTES
        self._is_known = False
        self.refusal: Refusal | None = None
        """Why the connection is to be closed."""

    def room(self) -> memoryview:
        """Return where the next bytes belong; never empty. Cost: to move what is there of one frame."""
        buffer, held = self._buffer, self._end - self._start
        size = len(buffer)
        if self._is_known:
            size = ROOM_BYTES
        elif held == size:
            size = min(2 * size, FRAME_MAX_BYTES)
        if size != len(buffer):
            self._buffer = memoryview(bytearray(size))
        if self._start or self._buffer is not buffer:
            self._buffer[:held] = buffer[self._start : self._end]
            self._start, self._end = 0, held
        return self._buffer[held:]

    def received(self, n_bytes: int) -> list[Packet]:
        """Return the packets that are complete with the first bytes of `room`. Cost: O(bytes)."""
        packets: list[Packet] = []
        if self.refusal is not None:
            return packets
        self._end += n_bytes
        while self._end - self._start >= self._wanted:
            frame = self._buffer[self._start : self._start + self._wanted]
            if self._wanted == HEADER_BYTES:
                size = self._framing.size(frame)
                if isinstance(size, Refusal):
                    return self._give_up(size, packets)
                self._wanted = size
                continue
            taken = self._framing.unpack(frame)
            if isinstance(taken, Refusal):
                return self._give_up(taken, packets)
            packets += taken
            self._is_known = True
            self._start += self._wanted
            self._wanted = HEADER_BYTES
        return packets

    def _give_up(self, refusal: Refusal, packets: list[Packet]) -> list[Packet]:
        self.refusal = refusal
        self._buffer = memoryview(b"")
        return packets
