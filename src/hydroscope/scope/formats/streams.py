"""Streams of TCP put together from segments, and cut into messages again.

A stream is one direction of a connection. Segments come in any order, twice, and overlapping; what is wanted is
which bytes there were, when each was there first, and which came again. Who sends has sent a message when its
first byte goes out; who receives has it when its last byte and all before are in.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from hydroscope.wire.framing import MORE, UNFRAMED, Framer

__all__ = ["Message", "Stream"]

WRAP = 2**32
WINDOW = 2**11
"""Bytes that a framer gets to see, and eight times as many each time that it wants more."""
FRAMED_HEAD = 2**12
"""Bytes of a message that are kept."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message in a stream."""

    begin: int
    """Bytes of the stream before it."""
    end: int
    head: bytes
    begin_ns: int
    """When its first byte was there."""
    end_ns: int
    """When it was there in full; -1: it never was."""
    again_ns: tuple[int, ...] = ()
    """When some of it came again."""


@dataclass(slots=True)
class Stream:
    """Owner of what was captured of one direction of a connection."""

    base: int | None = None
    """Sequence number of the first byte."""
    high: int = 0
    """Bytes up to the last that was seen."""
    starts: list[int] = field(default_factory=list)
    parts: list[tuple[int, int, bytes]] = field(default_factory=list)
    """Begin, time and bytes; none overlap."""
    again: list[tuple[int, int, int]] = field(default_factory=list)
    """Begin, end and time of what was there already."""
    pushed: list[int] = field(default_factory=list)
    """Where the sender said that what is there should go up to the receiver's program."""

    def place(self, sequence: int) -> int:
        """Return the bytes of the stream before a sequence number: of all it can be, the nearest to the last."""
        if self.base is None:
            self.base = sequence
        ahead = (sequence - self.base - self.high) % WRAP
        return self.high + (ahead if ahead < WRAP // 2 else ahead - WRAP)

    def sequence(self, place: int) -> int:
        """Return the sequence number of a place."""
        return ((self.base or 0) + place) % WRAP

    def add(self, sequence: int, data: bytes, ns: int, length: int = 0, is_pushed: bool = False) -> None:
        """Take in a segment.

        Parameters
        ----------
        sequence : int
        data : bytes
        ns : int
        length : int
            Of the data before it was cut; if it was not, it can be left out.
        is_pushed : bool
            The sender wants all so far to be given to the program.

        Notes
        -----
        Cost: O(1) at the end of the stream, else O(log n) and a move of what is behind.
        """
        begin = self.place(sequence)
        end, whole_end = begin + len(data), begin + max(length, len(data))
        if begin < 0:
            data, begin = data[-begin:], 0
        if is_pushed and whole_end > 0:
            k = bisect_left(self.pushed, whole_end)
            if k == len(self.pushed) or self.pushed[k] != whole_end:
                self.pushed.insert(k, whole_end)
        if data and begin >= self.high:
            self._put(len(self.parts), begin, ns, data)
        elif data:
            self._fill(begin, end, ns, data)
        self.high = max(self.high, whole_end)

    def _put(self, index: int, begin: int, ns: int, data: bytes) -> None:
        self.starts.insert(index, begin)
        self.parts.insert(index, (begin, ns, data))

    def _fill(self, begin: int, end: int, ns: int, data: bytes) -> None:
        """Take in what overlaps: what is new of it, and what came again."""
        at, index = begin, max(bisect_right(self.starts, begin) - 1, 0)
        while at < end:
            if index == len(self.parts):
                self._put(index, at, ns, data[at - begin :])
                return
            start, _, own = self.parts[index]
            if at < start:
                stop = min(start, end)
                self._put(index, at, ns, data[at - begin : stop - begin])
                at, index = stop, index + 1
            elif at < start + len(own):
                stop = min(start + len(own), end)
                if end - begin > 1:  # one byte only asks whether the other is still there
                    self.again.append((at, stop, ns))
                at = stop
            else:
                index += 1

    @property
    def missing(self) -> int:
        """Bytes that are not there, though later ones are."""
        return self.high - sum(len(data) for _, _, data in self.parts)

    def messages(self, framer: Framer | None) -> list[Message]:
        """Return the messages of the stream.

        Parameters
        ----------
        framer : function, optional
            Says how long the message is that bytes begin with. Without one, and where it cannot say, messages end
            where the sender pushed.

        Notes
        -----
        Cost: a call of the framer for each message.
        """
        complete = list(accumulate((ns for _, ns, _ in self.parts), max))
        found: list[tuple[int, int, bytes]] = []
        for begin, data, limit in self._stretches():
            skip = max(found[-1][1] - begin, 0) if found else 0
            if skip < len(data):
                found += self._cut(begin + skip, data[skip:] if skip else data, limit, framer)
        again = sorted(self.again)
        begun = [message[0] for message in found]
        times: dict[int, list[int]] = {}
        for low, high, ns in again:
            for k in range(max(bisect_right(begun, low) - 1, 0), bisect_left(begun, high)):
                if found[k][1] > low:
                    times.setdefault(k, []).append(ns)
        return [
            Message(
                begin,
                end,
                head,
                self.parts[bisect_right(self.starts, begin) - 1][1],
                complete[bisect_left(self.starts, end) - 1] if end <= self.high else -1,
                tuple(sorted(times.get(k, ()))),
            )
            for k, (begin, end, head) in enumerate(found)
        ]

    def _stretches(self) -> Iterator[tuple[int, bytes, int]]:
        """Yield what is there without a gap: where it begins, its bytes, and where the gap behind it ends."""
        at = 0
        while at < len(self.parts):
            stop = at + 1
            while stop < len(self.parts) and self.starts[stop] == self.starts[stop - 1] + len(self.parts[stop - 1][2]):
                stop += 1
            limit = self.starts[stop] if stop < len(self.parts) else self.high
            yield self.starts[at], b"".join(data for _, _, data in self.parts[at:stop]), limit
            at = stop

    def _cut(self, begin: int, data: bytes, limit: int, framer: Framer | None) -> Iterator[tuple[int, int, bytes]]:
        """Yield begin, end and first bytes of each message of a stretch; the last may end behind it."""
        at = 0
        while at < len(data):
            n = _framed(framer, data, at) if framer is not None else UNFRAMED
            if n == MORE:
                framer = None  # it would ask for more again and again
            if n <= 0:
                n = self._pushed(begin + at, begin + len(data), limit) - (begin + at)
            yield begin + at, begin + at + n, data[at : at + min(n, FRAMED_HEAD)]
            at += n

    def _pushed(self, begin: int, end: int, limit: int) -> int:
        """Return where the sender pushed next: in the stretch that ends at `end`, or in the gap behind it."""
        k = bisect_right(self.pushed, begin)
        return self.pushed[k] if k < len(self.pushed) and self.pushed[k] <= limit else end


def _framed(framer: Framer, data: bytes, at: int) -> int:
    """Return the length of the message at a place, or what a framer says instead."""
    window = WINDOW
    while True:
        n = framer(data[at : at + window])
        if n != MORE or at + window >= len(data):
            return n if n < WRAP // 2 else UNFRAMED
        window *= 8
