"""The past of one log as columns: what does not change any more, and how a state is rolled along it.

An entry is one change: its stamp, the number of its key, the value before and the value after.
Entries lie in the order of their stamps, some thousands to a chunk. A state is a vector with
one value a key. To go forward over entries is to assign their new values in order, to go back
is to assign their old values in reverse order: one vectorised assignment a chunk.

    entry          0    1    2    3    4          state before 0:  a=1 b=2
    key            a    b    a    b    a          forward over 0..2:  a=5, b=6, a=7    -> a=7 b=6
    old -> new    1>5  2>6  5>7  6>8  7>9         back over 2..0:     a=5, b=2, a=1    -> a=1 b=2

So a cut in the past is the present, copied, and rolled back: no older version of the state is
kept anywhere. A base version every so often would save little: rolling back a million changes
takes about as long as copying a million keys.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["ABSENT", "ROW_BYTES", "Chunk", "Columns", "History"]


class _Absent:
    """The value of a key that is not there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = _Absent()

ROW_BYTES: Final = 28
"""Bytes of an entry without its value: stamp, number of the key, two references."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Entries that do not change any more: four columns of the same length."""

    stamps: NDArray[np.uint64]
    ids: NDArray[np.uint32]
    old: NDArray[np.object_]
    new: NDArray[np.object_]
    n_bytes: int

    def opened(self) -> Columns:
        """Return the same entries in columns that can change."""
        return Columns(
            array("Q", self.stamps.tobytes()),
            array("I", self.ids.tobytes()),
            self.old.tolist(),
            self.new.tolist(),
            self.n_bytes,
        )

    def renumbered(self, numbers: NDArray[np.uint32]) -> Chunk:
        """Return the chunk with each key's number replaced."""
        return Chunk(self.stamps, numbers[self.ids], self.old, self.new, self.n_bytes)


@dataclass(slots=True)
class Columns:
    """Entries that are still being added; owned by one log, under its lock."""

    stamps: array[int] = field(default_factory=lambda: array("Q"))
    ids: array[int] = field(default_factory=lambda: array("I"))
    old: list[Any] = field(default_factory=list)
    new: list[Any] = field(default_factory=list)
    n_bytes: int = 0

    def __len__(self) -> int:
        return len(self.new)

    def copy(self) -> Columns:
        """Return the same entries in columns of their own."""
        return Columns(self.stamps[:], self.ids[:], self.old[:], self.new[:], self.n_bytes)

    def cut_to(self, n: int, n_bytes: int) -> None:
        """Forget all but the first `n` entries."""
        for column in (self.stamps, self.ids, self.old, self.new):
            del column[n:]
        self.n_bytes = n_bytes

    def insert(self, place: int, stamp: int, number: int, old: Any, new: Any) -> None:
        """Put one entry before the one at `place`."""
        self.stamps.insert(place, stamp)
        self.ids.insert(place, number)
        self.old.insert(place, old)
        self.new.insert(place, new)

    def sealed(self) -> Chunk:
        """Return the entries as they are now, copied."""
        n = len(self)
        return Chunk(
            np.array(self.stamps, np.uint64),
            np.array(self.ids, np.uint32),
            np.fromiter(self.old, np.object_, n),
            np.fromiter(self.new, np.object_, n),
            self.n_bytes,
        )


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What a log knew at one moment: all entries with stamps above `start` and up to `until`.

    `keys` and `numbers` may grow after that moment; of them the first `n_keys` count. Two histories
    of the same `line` agree on the numbers of keys and on all they both cover.
    """

    name: str
    line: tuple[int, int]
    start: int
    until: int
    chunks: Sequence[Chunk]
    keys: list[Hashable]
    numbers: dict[Hashable, int]
    n_keys: int
    _ends: list[int] = field(init=False)
    """Entries up to the end of each chunk."""
    _last: list[int] = field(init=False)
    """The last stamp of each chunk."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", list(accumulate(len(each.stamps) for each in self.chunks)))
        object.__setattr__(self, "_last", [int(each.stamps[-1]) for each in self.chunks])

    @property
    def n_entries(self) -> int:
        """How many changes there are."""
        return self._ends[-1] if self._ends else 0

    def covers(self, stamp: int) -> bool:
        """Tell whether the state at `stamp` follows from this history."""
        return self.start <= stamp <= self.until

    def place(self, stamp: int) -> int:
        """Return the number of entries up to and with `stamp`. Cost: O(log entries)."""
        index = bisect_right(self._last, stamp)
        before = self._ends[index - 1] if index else 0
        if index == len(self.chunks):
            return before
        return before + int(np.searchsorted(self.chunks[index].stamps, np.uint64(stamp), side="right"))

    def stamp(self, place: int) -> int:
        """Return the stamp of the entry at `place`."""
        index = bisect_right(self._ends, place)
        return int(self.chunks[index].stamps[place - (self._ends[index - 1] if index else 0)])

    def parts(self, begin: int, end: int) -> Iterator[tuple[int, Chunk, slice]]:
        """Yield the chunks that have entries `begin` to `end`: place of the first of them, chunk, which of its rows."""
        if begin >= end:
            return
        for index in range(bisect_right(self._ends, begin), bisect_left(self._ends, end) + 1):
            first = self._ends[index - 1] if index else 0
            rows = slice(max(begin - first, 0), min(end - first, len(self.chunks[index].stamps)))
            yield first + rows.start, self.chunks[index], rows

    def roll(self, state: NDArray[np.object_], begin: int, end: int) -> None:
        """Change the state after `begin` entries into that after `end`, forward or back. Cost: O(entries between)."""
        if begin <= end:
            for _, chunk, rows in self.parts(begin, end):
                state[chunk.ids[rows]] = chunk.new[rows]  # of equal keys the last one stays
        else:
            for _, chunk, rows in reversed(list(self.parts(end, begin))):
                state[chunk.ids[rows][::-1]] = chunk.old[rows][::-1]

    def changed(self, begin: int, end: int) -> NDArray[np.uint32]:
        """Return the numbers of the keys that entries `begin` to `end` changed, each once."""
        parts = [chunk.ids[rows] for _, chunk, rows in self.parts(begin, end)]
        return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.uint32)

    def stamps_of(self, wanted: NDArray[np.bool_] | None, place: int) -> Iterator[int]:
        """Yield the stamps of the entries from `place` on whose keys are wanted (None: of all), in order."""
        for _, chunk, rows in self.parts(place, self.n_entries):
            yield from _chosen(chunk, rows, wanted).tolist()

    def stamps_back(self, wanted: NDArray[np.bool_] | None, place: int) -> Iterator[int]:
        """Yield the stamps of the entries before `place` whose keys are wanted (None: of all), last one first."""
        for _, chunk, rows in reversed(list(self.parts(0, place))):
            yield from _chosen(chunk, rows, wanted)[::-1].tolist()


def _chosen(chunk: Chunk, rows: slice, wanted: NDArray[np.bool_] | None) -> NDArray[np.uint64]:
    stamps = chunk.stamps[rows]
    return stamps if wanted is None else stamps[wanted[chunk.ids[rows]]]
