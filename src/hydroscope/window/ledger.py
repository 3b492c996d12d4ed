"""The entries of one log and its state now: added to, put in among, sealed into chunks, and forgotten.

Ctrl-C may come after any call. So what belongs together is prepared first and then changed by plain
assignments, between which nothing interrupts; and what was pending stays so until it was added.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Hashable
from typing import Any, Final

import numpy as np

from hydroscope.window.history import ABSENT, ROW_BYTES, Chunk, Columns, History

__all__ = ["PARTS", "Ledger"]

CHUNK_ENTRIES: Final = 8192
"""Entries of a chunk: what is copied for a reader at most, and forgotten at once."""

PARTS: Final = 8
"""A chunk takes up at most this part of the window, in seconds and in bytes."""

SWEEP: Final = 1024
"""Keys that are absent before it is looked whether some can be forgotten."""


class Ledger:
    """Owner of a log's entries and of its state; used under the log's lock."""

    __slots__ = (
        "_bytes", "_seconds", "_sweep_at", "_wall_ns", "chunks", "columns", "held", "ids", "keys", "known", "line",
        "n_live", "name", "newest", "start", "values",
    )  # fmt: skip

    def __init__(self, name: str, seconds: float, n_bytes: int, start: int, wall_ns: Callable[[], int]) -> None:
        self.name = name
        self._seconds, self._bytes, self._wall_ns = seconds, n_bytes, wall_ns
        self.keys: list[Hashable] = []
        self.ids: dict[Hashable, int] = {}
        """The number of each key."""
        self.values: list[Any] = []
        """The state now, by number."""
        self.n_live = 0
        """How many keys are there."""
        self.chunks: list[Chunk] = []
        self.columns = Columns()
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

    def history(self, until: int) -> History:
        """Return all entries; from now on the log is known up to `until`."""
        self.known = until
        chunks = [*self.chunks, self.columns.sealed()] if len(self.columns) else list(self.chunks)
        return History(self.name, self.line, self.start, until, chunks, self.keys, self.ids, len(self.keys))

    def add(self, stamps: array[int], keys: list[Hashable], new: list[Any], pending: list[Any], n_pending: int) -> None:
        """Append entries that are in order; all or nothing."""
        columns, values = self.columns, self.values
        before, n_bytes, n_live = len(columns), columns.n_bytes, self.n_live
        absent = ABSENT
        try:
            ids = array("I", map(self.ids.__getitem__, keys))
        except KeyError:  # some are new
            ids = array("I", map(self._number, keys))
        old: list[Any] = []
        is_done = False
        try:
            living = n_live
            for number, value in zip(ids, new, strict=True):
                was = values[number]
                if was is absent:
                    living += 1
                if value is absent:
                    living -= 1
                old.append(was)
                values[number] = value
            self._come_to(stamps[0], stamps[-1])
            columns.ids.extend(ids)
            columns.old.extend(old)
            columns.stamps.extend(stamps)
            size = ROW_BYTES * len(new) + sum(map(sys.getsizeof, new))
            columns.new.extend(new)
            columns.n_bytes += size
            self.n_live = living
            del pending[:n_pending]
            is_done = True
        finally:
            if not is_done:
                for number, was in reversed(list(zip(ids, old, strict=False))):
                    values[number] = was
                columns.cut_to(before, n_bytes)
                self.n_live = n_live

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
        was, heir = self.values[number], None
        for columns, begin in zip(later, [place, *[0] * len(later)], strict=False):
            heir = next((row for row in range(begin, len(columns)) if columns.ids[row] == number), None)
            if heir is not None:
                was, columns.old[heir] = columns.old[heir], value
                break
        later[0].insert(place, stamp, number, was, value)
        n_bytes = ROW_BYTES + sys.getsizeof(value)
        later[0].n_bytes += n_bytes
        chunks = [*self.chunks[:n_before], *(each.sealed() for each in later[:-1])]
        self._come_to(stamp, stamp)
        if heir is None:
            self.values[number] = value
            self.n_live += (was is ABSENT) - (value is ABSENT)
        self.chunks, self.columns = chunks, later[-1]
        if len(later) > 1:
            self.held += n_bytes
        del pending[:n_pending]

    def _number(self, key: Hashable) -> int:
        number = self.ids.get(key)
        if number is None:
            number = len(self.values)
            self.values.append(ABSENT)
            self.keys.append(key)
            self.ids[key] = number  # last: until then nobody finds the others
        return number

    def seal(self) -> None:
        """Make a chunk of the columns when they are full."""
        columns = self.columns
        if not len(columns):
            return
        is_long = (columns.stamps[-1] - columns.stamps[0]) * PARTS > self._seconds * 1e9
        if is_long or len(columns) >= CHUNK_ENTRIES or columns.n_bytes * PARTS > self._bytes:
            chunk, fresh = columns.sealed(), Columns()
            self.chunks = [*self.chunks, chunk]
            self.held += chunk.n_bytes
            self.columns = fresh

    def forget(self) -> None:
        """Let go of chunks that lie before the window, or exceed its bytes."""
        low = min(self.newest, self._wall_ns()) - int(self._seconds * 1e9)
        held, n, beside = self.held, 0, self.columns.n_bytes
        for chunk in self.chunks:
            if held + beside <= self._bytes and int(chunk.stamps[-1]) > low:
                break
            held -= chunk.n_bytes
            n += 1
        if n:
            self.start, self.held, self.chunks = int(self.chunks[n - 1].stamps[-1]), held, self.chunks[n:]
            if len(self.values) - self.n_live >= max(self._sweep_at, len(self.values) // 2):
                self._sweep()

    def _sweep(self) -> None:
        """Forget keys that are absent and not in the window: all others get new numbers. Cost: O(keys + entries)."""
        is_used = np.fromiter((value is not ABSENT for value in self.values), np.bool_, len(self.values))
        is_used[np.array(self.columns.ids, np.uint32)] = True
        for chunk in self.chunks:
            is_used[chunk.ids] = True
        numbers = (np.cumsum(is_used) - 1).astype(np.uint32)
        used = np.flatnonzero(is_used).tolist()
        keys, values = [self.keys[each] for each in used], [self.values[each] for each in used]
        ids = {key: number for number, key in enumerate(keys)}
        chunks = [each.renumbered(numbers) for each in self.chunks]
        columns = self.columns.sealed().renumbered(numbers).opened()
        self._sweep_at = max(SWEEP, 2 * (len(used) - self.n_live))
        self.keys, self.ids, self.values, self.chunks, self.columns = keys, ids, values, chunks, columns
        self.line = (self.line[0] + 1, self.line[1])
