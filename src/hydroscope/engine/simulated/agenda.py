"""What is to happen when: simulated time is the time of the next entry."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

__all__ = ["Agenda"]


class Agenda:
    """Entries in order of time; of equal time, in the order in which they were made."""

    __slots__ = ("_entries", "_n_made", "now", "step")

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._n_made = 0
        self.now = 0.0
        self.step = 0
        """Counts everything that happens: two things never have the same step."""

    def at(self, time_s: float, do: Callable[[Any], None], argument: Any = None) -> None:
        """Do something at a time that is not past."""
        self._n_made += 1
        heappush(self._entries, (time_s, self._n_made, do, argument))

    def run(self, until_s: float, stop: Callable[[], bool] | None = None) -> bool:
        """Let things happen until `stop` says so (True) or nothing is left before `until_s` (False)."""
        entries = self._entries
        while entries and entries[0][0] <= until_s:
            self.now, _, do, argument = heappop(entries)
            self.step += 1
            do(argument)
            if stop is not None and stop():
                return True
        return False

    def tick(self) -> int:
        """Return the number of this moment: later than all before."""
        self.step += 1
        return self.step

    def clear(self) -> None:
        """Forget all entries."""
        self._entries.clear()
