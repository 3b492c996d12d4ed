"""A large message of ours on its way: what of it was sent, what has arrived, and its pieces."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Hashable, Sequence
from zlib import crc32

from hydroscope.wire.messages import Piece

__all__ = ["Outgoing"]


class Outgoing:
    """A message of ours, in parts that belong one after the other; owned by its `Sender`. Nothing of it is copied."""

    __slots__ = (
        "_ends",
        "_parts",
        "_piece_bytes",
        "acked",
        "checksums",
        "is_in_turn",
        "n_pieces",
        "name",
        "next",
        "number",
        "sent",
        "size_bytes",
    )

    def __init__(self, number: int, name: Hashable, parts: Sequence[bytes | memoryview], piece_bytes: int) -> None:
        self.number = number
        self.name = name
        self._piece_bytes = piece_bytes
        self._parts = [memoryview(part) for part in parts if part]
        self._ends: list[int] = []
        self.size_bytes = 0
        for part in self._parts:
            self.size_bytes += len(part)
            self._ends.append(self.size_bytes)
        self.checksums = array("I")  # of all up to the end of each piece that was sent
        self.n_pieces = -(-self.size_bytes // piece_bytes)
        self.acked = 0
        self.next = 0
        self.sent: deque[tuple[int, float]] = deque()  # of each piece from `acked` to `next`: place on the stream, when
        self.is_in_turn = False

    @property
    def unacked(self) -> range:
        """The pieces that were sent and of which the receiver has not said that it has them."""
        return range(self.acked, self.next)

    def size(self, index: int) -> int:
        """Return how long a piece is."""
        return min(self._piece_bytes, self.size_bytes - index * self._piece_bytes)

    def piece(self, index: int) -> Piece:
        """Return a piece. Cost: its CRC when it is sent first; no copy, unless it lies in several parts."""
        return Piece(self.number, index, self.n_pieces, self.size_bytes, self._checksum(index), self._cut(index))

    def _cut(self, index: int) -> memoryview:
        start = index * self._piece_bytes
        found, stop = [], start + self.size(index)
        place = bisect_right(self._ends, start)
        while start < stop:
            part, end = self._parts[place], self._ends[place]
            begin = end - len(part)
            found.append(part[start - begin : min(stop, end) - begin])
            start, place = end, place + 1
        return found[0] if len(found) == 1 else memoryview(b"".join(found))

    def _checksum(self, index: int) -> int:
        sums = self.checksums
        while (n := len(sums)) <= index:
            sums.append(crc32(self._cut(n), sums[-1] if sums else 0))
        return sums[index]
