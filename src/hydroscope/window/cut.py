"""The state of one log at one moment, which can be moved to other moments."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hydroscope.window.absent import ABSENT
from hydroscope.window.history import GONE, History

__all__ = ["Cut", "Source", "grown"]


@runtime_checkable
class Source(Protocol):
    """What a cut is taken from: a log in use, or what a dead one left."""

    name: str

    def history(self) -> History:
        """Return all entries that are known, and until when that is all."""

    def cut(self, stamp: int | None = None) -> Cut:
        """Return the state at a stamp."""


class Cut:
    """The state of one log after all changes up to and with `stamp`.

    Owner of its state: nothing that happens to the log later changes it.
    """

    __slots__ = ("history", "place", "stamp", "state")

    def __init__(self, history: History, state: NDArray[np.int64], stamp: int, place: int) -> None:
        self.history = history
        self.state = state
        """One slot a key."""
        self.stamp = stamp
        self.place = place
        """How many entries of the history have happened."""

    def copy(self) -> Cut:
        """Return another one of the same moment. Cost: O(keys)."""
        return Cut(self.history, self.state.copy(), self.stamp, self.place)

    def number(self, key: Hashable) -> int | None:
        """Return the number of a key that this cut knows of, be it there or not."""
        number = self.history.numbers.get(key)
        return number if number is not None and number < self.history.n_keys else None

    def value(self, key: Hashable, default: Any = ABSENT) -> Any:
        """Return the value of a key, or `default`."""
        number = self.number(key)
        value = ABSENT if number is None else self.history.value(number, int(self.state[number]))
        return default if value is ABSENT else value

    def items(self) -> list[tuple[Hashable, Any]]:
        """Return all keys that are there, with their values. Cost: O(keys)."""
        numbers = np.flatnonzero(self.is_there())
        keys = self.history.keys
        values = self.history.values(numbers, self.state[numbers])
        return list(zip([keys[number] for number in numbers.tolist()], values, strict=True))

    def is_there(self) -> NDArray[np.bool_]:
        """Tell of each key, by its number, whether it is there. Cost: O(keys)."""
        return np.not_equal(self.state, GONE)

    def move(self, stamp: int, source: Source) -> None:
        """Become the cut at another moment; asks the source only for what this cut's history does not cover.

        Cost: O(entries between); O(keys + entries since) if the log has renumbered its keys, or was written behind
        what this cut knows.
        """
        if not self.history.covers(stamp) and not self._extended(source.history(), stamp):
            fresh = source.cut(stamp)
            self.history, self.state, self.place = fresh.history, fresh.state, fresh.place
        else:
            place = self.history.place(stamp)
            self.history.roll(self.state, self.place, place)
            self.place = place
        self.stamp = stamp

    def refresh(self, source: Source) -> bool:
        """Learn what has happened since, and stay at this moment; False if the source has forgotten it."""
        history = source.history()
        if self._extended(history, self.stamp):
            return True
        if not history.covers(self.stamp):
            return False
        fresh = source.cut(self.stamp)
        self.history, self.state, self.place = fresh.history, fresh.state, fresh.place
        return True

    def _extended(self, history: History, stamp: int) -> bool:
        """Go over to a later history of the same line, if that covers where this cut is and where it is to go."""
        if history.line != self.history.line or not (history.covers(self.stamp) and history.covers(stamp)):
            return False
        self.place = history.place(self.stamp)
        self.state = grown(self.state, history.n_keys)
        self.history = history
        return True

    def next_stamp(self) -> int | None:
        """Return the stamp of the first event after this cut that its history has."""
        history = self.history
        return history.stamp(self.place) if self.place < history.n_entries else None

    def last_stamp(self) -> int | None:
        """Return the stamp of the last event that this cut includes and its history has."""
        return self.history.stamp(self.place - 1) if self.place else None

    def event(self, stamp: int) -> list[tuple[Hashable, Any, Any]]:
        """Return key, old and new value of all changes with this stamp, in order."""
        history, keys = self.history, self.history.keys
        return [
            (keys[number], history.value(number, old), history.value(number, new))
            for _, chunk, rows in history.parts(history.place(stamp - 1), history.place(stamp))
            for number, old, new in zip(
                *(each[rows].tolist() for each in (chunk.ids, chunk.old, chunk.new)), strict=True
            )
        ]


def grown(state: NDArray[np.int64], n_keys: int) -> NDArray[np.int64]:
    """Return the state with room for keys that came later, absent so far."""
    if len(state) >= n_keys:
        return state
    more = np.full(n_keys, GONE, np.int64)
    more[: len(state)] = state
    return more
