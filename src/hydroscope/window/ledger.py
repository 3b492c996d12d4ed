"""The entries of one log and its state now: added to, put in among, sealed into chunks, and forgotten.

Ctrl-C may come after any call. So what belongs together is prepared first and then changed by plain
assignments, between which nothing interrupts, or undone; and what was pending stays so until it was added.
"""

from __future__ import annotations

import sys
import weakref
from array import array
from bisect import bisect_right
from collections.abc import Callable, Hashable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hydroscope.window.absent import ABSENT
from hydroscope.window.history import (
    CHUNK_ENTRIES,
    GONE,
    ROW_BYTES,
    Beginning,
    Block,
    Chunk,
    Columns,
    History,
    replaced,
)

__all__ = ["PARTS", "Ledger"]

PARTS: Final = 8
"""A chunk takes up at most this part of the window, in seconds and in bytes."""

SWEEP: Final = 1024
"""Keys that are absent before it is looked whether some can be forgotten."""

FEW: Final = 16
"""Up to so many entries are added faster one by one."""


class Ledger:
    """Owner of a log's entries and of its state; used under the log's lock."""

    __slots__ = (
        "_beginning", "_bytes", "_slots", "_sweep_at", "_views", "_wall_ns", "_window_ns", "blocks", "chunks",
        "columns", "held", "ids", "keys", "known", "line", "n_live", "name", "newest", "start",
    )  # fmt: skip

    def __init__(self, name: str, seconds: float, n_bytes: int, start: int, wall_ns: Callable[[], int]) -> None:
        self.name = name
        self._window_ns = int(min(seconds * 1e9, 2.0**63))
        self._bytes, self._wall_ns = n_bytes, wall_ns
        self.keys: list[Hashable] = []
        self.ids: dict[Hashable, int] = {}
        """The number of each key."""
        self._slots = np.full(SWEEP, GONE, np.int64)
        """The state now: a slot a key, by number; there is room for more keys."""
        self._beginning = _absent(SWEEP)
        """The state when the window began: a value a key."""
        self._views: list[weakref.ref[Beginning]] = []
        """Who looks at that: the last one at what it is now, others at what it was."""
        self.n_live = 0
        """How many keys are there."""
        self.chunks: list[Chunk] = []
        self.columns = Columns()
        self.blocks: list[Block] = [Block(0, [])]
        """Values: a block for each chunk, and the last one for the columns."""
        self.held = 0
        """Bytes of the chunks."""
        self.start = self.newest = self.known = start
        """Cuts reach back to `start`; `newest` is the last entry's; up to `known` some reader knows all."""
        self.line = (0, 0)
        """Counts renumberings of keys, and changes behind what was known."""
        self._sweep_at = SWEEP

    @property
    def n_bytes(self) -> int:
        """Bytes of all entries and their new values."""
        return self.held + self.columns.n_bytes

    @property
    def entry_bytes(self) -> int:
        """Bytes of an entry, on average of the last ones."""
        if len(self.columns):
            return self.columns.n_bytes // len(self.columns)
        if self.chunks:
            return self.chunks[-1].n_bytes // len(self.chunks[-1].stamps)
        return self._bytes  # not even one was kept

    def value(self, key: Hashable) -> Any:
        """Return the value of a key now, or ABSENT."""
        number = self.ids.get(key)
        return ABSENT if number is None else self._value(number, int(self._slots[number]))

    def state(self) -> NDArray[np.int64]:
        """Return the state now, copied. Cost: O(keys), about 2 ns each."""
        return self._slots[: len(self.keys)].copy()

    def history(self, until: int) -> History:
        """Return all entries; from now on the log is known up to `until`."""
        self.known = until
        chunks = [*self.chunks, self.columns.sealed()] if len(self.columns) else list(self.chunks)
        n_keys, blocks, view = len(self.keys), list(self.blocks), self._view()
        return History(self.name, self.line, self.start, until, chunks, self.keys, self.ids, n_keys, blocks, view)

    def add(self, stamps: array[int], keys: list[Hashable], new: list[Any], pending: list[Any], n_pending: int) -> None:
        """Append entries that are in order; all or nothing."""
        columns, n = self.columns, len(new)
        try:
            ids = array("I", map(self.ids.__getitem__, keys))
        except KeyError:  # some are new
            ids = array("I", map(self._number, keys))
        size = ROW_BYTES * n + sum(map(sys.getsizeof, new))
        kept: list[Any] = self.blocks[-1].values  # type: ignore[assignment]  # the last block's is a list
        slots = _slots(self.blocks[-1].first + len(kept), new)
        old, living = self._replaced(ids, slots)
        before, n_bytes, n_live, n_kept = len(columns), columns.n_bytes, self.n_live, len(kept)
        is_done = False
        try:
            self._assign(ids, slots)
            self._come_to(stamps[0], stamps[-1])
            columns.ids.extend(ids)
            columns.old.extend(old)
            columns.stamps.extend(stamps)
            columns.new.extend(slots)
            kept.extend(new)
            columns.n_bytes += size
            self.n_live += living
            del pending[:n_pending]
            is_done = True
        finally:
            if not is_done:
                self._assign(ids[::-1], old[::-1])
                columns.cut_to(before, n_bytes)
                del kept[n_kept:]
                self.n_live = n_live

    def _replaced(self, ids: array[int], slots: array[int]) -> tuple[array[int], int]:
        """Return the slots that each entry replaces, the one before it being done, and how many keys come in all."""
        if len(ids) <= FEW:
            now: dict[int, int] = {}
            old = array("q")
            for number, slot in zip(ids, slots, strict=True):
                known = now.get(number)
                old.append(int(self._slots[number]) if known is None else known)
                now[number] = slot
            return old, old.count(GONE) - slots.count(GONE)
        numbers, fresh = np.frombuffer(ids, np.uint32), np.frombuffer(slots, np.int64)
        before = replaced(numbers, fresh, self._slots)
        living = np.count_nonzero(before == GONE) - np.count_nonzero(fresh == GONE)
        return array("q", before.tobytes()), int(living)

    def _assign(self, ids: array[int], slots: array[int]) -> None:
        """Make these the slots of keys, in order, at once."""
        if len(ids) == 1:
            self._slots[ids[0]] = slots[0]
        else:
            self._slots[np.frombuffer(ids, np.uint32)] = np.frombuffer(slots, np.int64)

    def _come_to(self, first: int, last: int) -> None:
        """Remember how far the log has come; who was told that all up to `known` had happened is to look again."""
        if first <= self.known:
            self.line = (self.line[0], self.line[1] + 1)
        self.newest = max(self.newest, last)

    def insert(self, stamp: int, key: Hashable, value: Any, pending: list[Any], n_pending: int) -> None:
        """Put an entry in among others; the next one of its key, or the state, has it as its old value."""
        number, stamp = self._number(key), max(stamp, self.start + 1)
        n_before = bisect_right(self.chunks, stamp, key=lambda each: int(each.stamps[-1]))
        later = [*(each.opened() for each in self.chunks[n_before:]), self.columns.copy()]
        place = bisect_right(later[0].stamps, stamp)
        kept: list[Any] = self.blocks[-1].values  # type: ignore[assignment]  # the last block's is a list
        slot = GONE if value is ABSENT else self.blocks[-1].first + len(kept)
        was, is_last = int(self._slots[number]), True
        for columns, begin in zip(later, [place, *[0] * len(later)], strict=False):
            heir = next((row for row in range(begin, len(columns)) if columns.ids[row] == number), None)
            if heir is not None:
                was, columns.old[heir], is_last = columns.old[heir], slot, False
                break
        later[0].insert(place, stamp, number, was, slot)
        n_bytes = ROW_BYTES + sys.getsizeof(value)
        later[0].n_bytes += n_bytes
        chunks = [*self.chunks[:n_before], *(each.sealed() for each in later[:-1])]
        self._come_to(stamp, stamp)
        kept.append(value)  # of no matter should it be the last thing that is done
        if is_last:
            self._slots[number] = slot
            self.n_live += (was == GONE) - (slot == GONE)
        self.chunks, self.columns = chunks, later[-1]
        if len(later) > 1:
            self.held += n_bytes
        del pending[:n_pending]

    def _number(self, key: Hashable) -> int:
        number = self.ids.get(key)
        if number is None:
            number = len(self.keys)
            if number == len(self._slots):
                self._slots = np.append(self._slots, np.full(number, GONE, np.int64))
                self._beginning = np.append(self._beginning, _absent(number))
            self._slots[number], self._beginning[number] = GONE, ABSENT
            self.keys.append(key)
            self.ids[key] = number  # last: until then nobody finds the others
        return number

    def seal(self) -> None:
        """Make a chunk of the columns when they are full."""
        columns = self.columns
        if not len(columns):
            return
        is_long = (columns.stamps[-1] - columns.stamps[0]) * PARTS > self._window_ns
        if is_long or len(columns) >= CHUNK_ENTRIES or columns.n_bytes * PARTS > self._bytes:
            chunk, fresh, block = columns.sealed(), Columns(), self.blocks[-1]
            chunks, blocks = [*self.chunks, chunk], [*self.blocks, Block(block.first + len(block.values), [])]
            self.chunks, self.blocks, self.columns = chunks, blocks, fresh
            self.held += chunk.n_bytes

    def forget(self) -> None:
        """Let go of chunks that lie before the window, or exceed its bytes."""
        low = min(self.newest, self._wall_ns()) - self._window_ns
        is_any = False
        while self.chunks and (self.n_bytes > self._bytes or int(self.chunks[0].stamps[-1]) <= low):
            self._forget_first()
            is_any = True
        if is_any and len(self.keys) - self.n_live >= max(self._sweep_at, len(self.keys) // 2):
            self._sweep()

    def _forget_first(self) -> None:
        """Let go of the first chunk: what was after it is the beginning now."""
        chunk, first = self.chunks[0], self.blocks[0].first
        if np.array_equal(chunk.new, np.arange(first, first + len(self.blocks[0].values))):
            values = np.fromiter(self.blocks[0].values, np.object_, len(chunk.new))
        else:  # some keys were removed, or some entries were put in later
            rows = zip(chunk.ids.tolist(), chunk.new.tolist(), strict=True)
            values = np.fromiter((self._value(*each) for each in rows), np.object_, len(chunk.new))
        before = self._beginning[chunk.ids]
        views = [view for each in self._views if (view := each()) is not None]
        for view in views:
            for number, value in zip(chunk.ids.tolist(), before, strict=True):
                view.patch.setdefault(number, value)
        start, held = int(chunk.stamps[-1]), self.held - chunk.n_bytes
        living, chunks, blocks = [weakref.ref(each) for each in views], self.chunks[1:], self.blocks[1:]
        self._beginning[chunk.ids] = values
        self._views, self.start, self.held, self.chunks, self.blocks = living, start, held, chunks, blocks

    def _view(self) -> Beginning:
        """Return who looks at the beginning as it is now."""
        last = self._views[-1]() if self._views else None
        if last is not None and last.is_now(self._beginning):
            return last
        view = Beginning(self._beginning)
        self._views = [*(each for each in self._views if each() is not None), weakref.ref(view)]
        return view

    def _value(self, number: int, slot: int) -> Any:
        if slot == GONE:
            return ABSENT
        block = self.blocks[-1]
        if slot < block.first:
            index = bisect_right(self.blocks, slot, key=lambda each: each.first) - 1
            if index < 0:
                return self._beginning[number]
            block = self.blocks[index]
        return block.values[slot - block.first]

    def _sweep(self) -> None:
        """Forget keys that are absent and not in the window: all others get new numbers. Cost: O(keys + entries)."""
        is_used = self._slots[: len(self.keys)] != GONE
        is_used[np.array(self.columns.ids, np.uint32)] = True
        for chunk in self.chunks:
            is_used[chunk.ids] = True
        numbers = (np.cumsum(is_used) - 1).astype(np.uint32)
        used = np.flatnonzero(is_used)
        keys = [self.keys[each] for each in used.tolist()]
        slots, beginning = self._slots[used], self._beginning[used]
        ids = {key: number for number, key in enumerate(keys)}
        chunks = [each.renumbered(numbers) for each in self.chunks]
        columns = self.columns.sealed().renumbered(numbers).opened()
        self._sweep_at = max(SWEEP, 2 * (len(used) - self.n_live))
        self.keys, self.ids, self._slots, self._beginning = keys, ids, slots, beginning
        self._views, self.chunks, self.columns = [], chunks, columns
        self.line = (self.line[0] + 1, self.line[1])


def _slots(first: int, values: list[Any]) -> array[int]:
    """Return the slots of new values."""
    slots = array("q", np.arange(first, first + len(values)).tobytes())
    if type(ABSENT) in set(map(type, values)):
        for row, value in enumerate(values):
            if value is ABSENT:
                slots[row] = GONE
    return slots


def _absent(n: int) -> NDArray[np.object_]:
    values = np.empty(n, np.object_)
    values[:] = ABSENT
    return values
