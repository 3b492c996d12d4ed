"""One simulated process: a member, its clock, its threads."""

from __future__ import annotations

from collections.abc import Generator, Hashable
from typing import Any

from hydroscope.engine.simulated.agenda import Agenda
from hydroscope.node.member import Member

__all__ = ["Process", "SkewedClock", "Thread"]

EPOCH_NS = 1_600_000_000 * 10**9
"""When simulations begin, in nanoseconds since 1970 UTC."""


class SkewedClock:
    """What a process believes the time to be."""

    __slots__ = ("_agenda", "offset_s", "rate")

    def __init__(self, agenda: Agenda, offset_s: float = 0.0, rate: float = 1.0) -> None:
        self._agenda = agenda
        self.offset_s = offset_s
        self.rate = rate

    def seconds(self) -> float:
        """Return the process's own time."""
        return self.offset_s + self._agenda.now * self.rate

    def wall_ns(self) -> int:
        """Return the wall clock's time as the process sees it."""
        return EPOCH_NS + int(self.seconds() * 1e9)

    def true_time(self, local_s: float) -> float:
        """Return when the process's own time will be `local_s`."""
        return (local_s - self.offset_s) / self.rate


class Process:
    """A life at a place. What is sent to the place reaches whoever lives there."""

    __slots__ = ("alive", "armed_s", "clock", "excluded", "life", "member", "paused_until_s", "place", "waiting")

    def __init__(self, place: int, life: int, clock: SkewedClock, member: Member) -> None:
        self.place = place
        self.life = life
        self.clock = clock
        self.member = member
        self.alive = True
        self.excluded = ""
        self.paused_until_s = 0.0
        self.armed_s = float("inf")
        self.waiting: dict[Hashable, Thread] = {}


class Thread:
    """A program that runs in a process."""

    __slots__ = ("error", "generator", "number", "process", "raw", "result", "running", "waits_for")

    def __init__(self, process: Process, number: int, generator: Generator[Any, Any, Any], raw: bool) -> None:
        self.process = process
        self.number = number
        self.generator = generator
        self.raw = raw
        self.running = True
        self.result: Any = None
        self.error: BaseException | None = None
        self.waits_for: Any = None
