"""The way between members: packets get lost, doubled, late, overtaken, cut off, damaged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from hydroscope.engine.simulated.agenda import Agenda
from hydroscope.engine.simulated.faults import Faults

__all__ = ["Network"]


class Network:
    """Carries parcels between places (small integers) of one agenda.

    Attributes
    ----------
    counters : Counter
        What was sent, dropped, doubled, overtaken, ...
    deliver : function(source, target, parcel)
        Called for what arrives.
    """

    def __init__(
        self, agenda: Agenda, random: Random, faults: Faults, deliver: Callable[[int, int, Any], None]
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.faults = faults
        self.deliver = deliver
        self._agenda = agenda
        self._random = random
        self._uniform = random.random
        self._quiet = False
        self._blocked: dict[tuple[int, int], float] = {}
        self._n_sent = 0
        self._arrived: dict[tuple[int, int], int] = {}
        self._streams: dict[tuple[int, int], tuple[int, float]] = {}
        self._read_rates()

    def _read_rates(self) -> None:
        faults = self.faults
        self._drop = faults.drop
        self._duplicate_from = 1.0 - faults.duplicate
        self._slow = faults.slow
        self._first_s = faults.delay_s[0]
        self._span_s = faults.delay_s[1] - faults.delay_s[0]

    def send(self, source: int, target: int, parcel: Any) -> None:
        """Put a parcel on the way; it arrives never, once or twice, at any time."""
        counters = self.counters
        counters["sent"] += 1
        self._n_sent += 1
        chance = self._uniform()
        if chance < self._drop:
            counters["dropped"] += 1
            return
        if self._blocked and self._is_blocked(source, target):
            counters["cut off"] += 1
            return
        entry = (source, target, self._n_sent, parcel)
        self._agenda.at(self._agenda.now + self._delay(), self._arrive, entry)
        if chance >= self._duplicate_from:
            counters["doubled"] += 1
            self._agenda.at(self._agenda.now + self._delay(), self._arrive, entry)

    def stream(self, source: int, target: int, number: int, parcel: Any) -> None:
        """Put a parcel on a stream that was connected: in order, complete, until it stalls for good, or breaks."""
        self.counters["streamed"] += 1
        way = source, target
        found = self._streams.get(way)
        if found is None or found[0] != number:
            self.counters["sent over a stream that is gone"] += 1
            return
        last = found[1]
        if last < math.inf and not self._quiet and self._uniform() < self.faults.stall:
            self.counters["streams stalled"] += 1
            last = math.inf
        if last == math.inf or self._is_blocked(source, target):
            self._streams[way] = number, math.inf  # a part is missing: nothing after it can be used
            self.counters["swallowed by a stream"] += 1
            return
        at = max(last, self._agenda.now + self._first_s + self._span_s * self._uniform())
        self._streams[way] = number, at
        self._n_sent += 1
        self._agenda.at(at, self._arrive, (source, target, self._n_sent, parcel))

    def connect(self, source: int, target: int, number: int) -> bool:
        """Open a stream, in place of any earlier one between the two in this direction; False when that fails."""
        self.counters["streams connected"] += 1
        self._streams.pop((source, target), None)
        if self._is_blocked(source, target) or self._is_blocked(target, source):
            return False
        self._streams[source, target] = number, 0.0
        return True

    def cut(self, source: int, target: int, until_s: float) -> None:
        """Lose everything from one place to another for a while."""
        self._blocked[source, target] = max(until_s, self._blocked.get((source, target), 0.0))

    def heal(self) -> None:
        """From now on everything arrives, once; what is on the way stays on the way."""
        self._quiet = True
        self._blocked.clear()
        self._streams.clear()
        self._drop = 0.0
        self._duplicate_from = 2.0
        self._slow = 0.0

    def resume(self, faults: Faults) -> None:
        """Let things go wrong (again)."""
        self._quiet = False
        self.faults = faults
        self._read_rates()

    def _is_blocked(self, source: int, target: int) -> bool:
        return self._blocked.get((source, target), -math.inf) > self._agenda.now

    def _delay(self) -> float:
        delay_s = self._first_s + self._span_s * self._uniform()
        if self._slow and self._uniform() < self._slow:
            delay_s += self.faults.slow_s * self._uniform()
        return delay_s

    def _arrive(self, entry: tuple[int, int, int, Any]) -> None:
        source, target, number, parcel = entry
        way = source, target
        newest = self._arrived.get(way, 0)
        if number < newest:
            self.counters["overtaken"] += 1
        else:
            self._arrived[way] = number
        self.deliver(source, target, parcel)
