"""The past of one log as columns of numbers: what does not change any more, and how a state is rolled along it.

An entry is one change: its stamp, the number of its key, the *slot* of the value before and that of the
value after. A slot is the number that a value got when it came; the state is one slot a key. Entries
lie in the order of their stamps, some thousands to a chunk. To go forward over entries is to
assign their new slots in order, to go back is to assign their old slots in reverse order: one
vectorised assignment of whole numbers a chunk.

    entry          0    1    2    3    4          state before 0:  a=0 b=1
    key            a    b    a    b    a          forward over 0..2:  a=2, b=3, a=4    -> a=4 b=3
    old -> new    0>2  1>3  2>4  3>5  4>6         back over 2..0:     a=2, b=1, a=0    -> a=0 b=1

So a cut in the past is the present, copied, and rolled back: no older version of the state is kept
anywhere. Values themselves are not touched meanwhile, which is what took most of the time when
states were vectors of values: each assignment changed the counts of two objects somewhere in memory.

    slot     ...  40 41 42 | 43 44 45 46 | 47 48 49
    values   (forgotten)   |  a block    |  a block          one block for each chunk

A slot older than all blocks is a value that its key had when the window began: `Beginning` has it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hydroscope.window.absent import ABSENT

__all__ = ["CHUNK_ENTRIES", "GONE", "ROW_BYTES", "Beginning", "Block", "Chunk", "Columns", "History", "replaced"]

CHUNK_ENTRIES: Final = 8192
"""Entries of a chunk: what is copied for a reader at most, and forgotten at once."""

GONE: Final = -1
"""The slot of a key that is not there."""

ROW_BYTES: Final = 36
"""Bytes of an entry without its value: stamp, number of the key, two slots, a reference."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Entries that do not change any more: four columns of the same length."""

    stamps: NDArray[np.uint64]
    ids: NDArray[np.uint32]
    old: NDArray[np.int64]
    new: NDArray[np.int64]
    n_bytes: int

    def opened(self) -> Columns:
        """Return the same entries in columns that can change."""
        return Columns(
            array("Q", self.stamps.tobytes()),
            array("I", self.ids.tobytes()),
            array("q", self.old.tobytes()),
            array("q", self.new.tobytes()),
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
    old: array[int] = field(default_factory=lambda: array("q"))
    new: array[int] = field(default_factory=lambda: array("q"))
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

    def insert(self, place: int, stamp: int, number: int, old: int, new: int) -> None:
        """Put one entry before the one at `place`."""
        self.stamps.insert(place, stamp)
        self.ids.insert(place, number)
        self.old.insert(place, old)
        self.new.insert(place, new)

    def sealed(self) -> Chunk:
        """Return the entries as they are now, copied."""
        return Chunk(
            np.array(self.stamps, np.uint64),
            np.array(self.ids, np.uint32),
            np.array(self.old, np.int64),
            np.array(self.new, np.int64),
            self.n_bytes,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Values by slot: those from `first` on."""

    first: int
    values: Sequence[Any]
    """May grow at its end."""


class Beginning:
    """The values of all keys when some history's window began, by number of the key.

    The log goes on in the same array; what it overwrites there it leaves here first (`patch`), so a history that
    lasts costs its writers something, and no more memory than there are keys.
    """

    __slots__ = ("__weakref__", "_values", "patch")

    def __init__(self, values: NDArray[np.object_]) -> None:
        self._values = values
        self.patch: dict[int, Any] = {}

    def value(self, number: int) -> Any:
        """Return the value of a key."""
        value = self._values[number]  # first: by the time it is overwritten it is in the patch
        return self.patch.get(number, value)

    def is_now(self, values: NDArray[np.object_]) -> bool:
        """Tell whether this is the log's own beginning still."""
        return self._values is values and not self.patch


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What a log knew at one moment: all entries with stamps above `start` and up to `until`.

    `keys` and `numbers` may grow after that moment; of them the first `n_keys` count. Two histories
    of the same `line` agree on the numbers of keys, on slots, and on all they both cover.
    """

    name: str
    line: tuple[int, int]
    start: int
    until: int
    chunks: Sequence[Chunk]
    keys: Sequence[Hashable]
    numbers: dict[Hashable, int]
    n_keys: int
    blocks: Sequence[Block]
    beginning: Beginning
    _ends: list[int] = field(init=False)
    """Entries up to the end of each chunk."""
    _last: list[int] = field(init=False)
    """The last stamp of each chunk."""
    _firsts: list[int] = field(init=False)
    """The first slot of each block."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", list(accumulate(len(each.stamps) for each in self.chunks)))
        object.__setattr__(self, "_last", [int(each.stamps[-1]) for each in self.chunks])
        object.__setattr__(self, "_firsts", [each.first for each in self.blocks])

    @property
    def n_entries(self) -> int:
        """How many changes there are."""
        return self._ends[-1] if self._ends else 0

    def covers(self, stamp: int) -> bool:
        """Tell whether the state at `stamp` follows from this history."""
        return self.start <= stamp <= self.until

    def value(self, number: int, slot: int) -> Any:
        """Return the value that a key has when this is its slot. Cost: about 0.5 us."""
        if slot == GONE:
            return ABSENT
        index = bisect_right(self._firsts, slot) - 1
        if index < 0:
            return self.beginning.value(number)
        block = self.blocks[index]
        return block.values[slot - block.first]

    def values(self, numbers: NDArray[np.integer[Any]], slots: NDArray[np.int64]) -> list[Any]:
        """Return the values of keys, as `value` does. Cost: about 0.1 us each; O(entries) if it is many."""
        if len(self.blocks) == 1 or len(slots) * 8 < self.n_entries:
            return [self.value(*each) for each in zip(numbers.tolist(), slots.tolist(), strict=True)]
        first = self._firsts[0] if self.blocks else 0
        flat: list[Any] = list(chain.from_iterable(each.values for each in self.blocks))
        flat.append(ABSENT)  # at -1
        places = np.where(slots >= first, slots - first, -1).tolist()
        found = [flat[place] for place in places]
        older = np.flatnonzero((slots < first) & (slots != GONE))
        for row, number in zip(older.tolist(), numbers[older].tolist(), strict=True):
            found[row] = self.beginning.value(number)
        return found

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

    def columns(self, begin: int, end: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return stamps, numbers of keys, old and new slots of entries `begin` to `end`. Cost: a copy."""
        parts = [(chunk, rows) for _, chunk, rows in self.parts(begin, end)]
        stamps, ids, old, new = (
            np.concatenate([np.zeros(0, kind), *(getattr(chunk, name)[rows] for chunk, rows in parts)])
            for name, kind in (("stamps", np.uint64), ("ids", np.uint32), ("old", np.int64), ("new", np.int64))
        )
        return stamps, ids, old, new

    def roll(self, state: NDArray[np.int64], begin: int, end: int) -> None:
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


def replaced(ids: NDArray[np.uint32], new: NDArray[np.int64], state: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the slot that each entry replaces, given the state before all of them."""
    order = np.argsort(ids, kind="stable")
    by_key, slots = ids[order], new[order]
    before = np.empty(len(ids), np.int64)
    before[1:] = slots[:-1]
    is_first = np.ones(len(ids), np.bool_)
    np.not_equal(by_key[1:], by_key[:-1], out=is_first[1:])
    before[is_first] = state[by_key[is_first]]
    old = np.empty(len(ids), np.int64)
    old[order] = before
    return old
