"""Every order in which the messages and operations of a small scenario can happen.

A scenario is replayed from the start for every choice that is left open: depth first, until every state that can be
reached has been left by every way. Two schedules that lead to the same state are followed once; to the state belongs
what the verdict is about: the answers so far, and which operations had ended when each began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.kv.network import Network

__all__ = ["Call", "Run", "Step", "explore"]

Choice = tuple[Any, ...]


@dataclass(frozen=True)
class Step:
    """One operation of a thread."""

    operation: str
    arguments: tuple[Any, ...]
    waits: bool = True

    @staticmethod
    def get(key: str) -> Step:
        return Step("get", (key,))

    @staticmethod
    def put(key: str, value: Any) -> Step:
        return Step("put", (key, value, True))

    @staticmethod
    def plain(key: str, value: Any) -> Step:
        return Step("put", (key, value, False), waits=False)

    @staticmethod
    def atomic(key: str, name: str, *arguments: Any) -> Step:
        return Step("atomic", (key, name, arguments))


@dataclass
class Call:
    """One operation as it went: when it began and ended, counted in events."""

    member: int
    step: Step
    op: str
    begun: int
    after: frozenset[str]
    """What had ended when it began."""
    ended: float = float("inf")
    outcome: Any = None


@dataclass
class Run:
    """One schedule of a scenario: threads as their members and steps, and how often the view changes meanwhile."""

    network: Network
    threads: Sequence[tuple[int, Sequence[Step]]]
    changes: Sequence[Callable[[Network], object]] = ()
    calls: list[Call] = field(default_factory=list)
    time: int = 0

    def __post_init__(self) -> None:
        self.next = [0] * len(self.threads)
        self.waiting: list[Call] = []
        self.n_changes = 0

    def choices(self) -> list[Choice]:
        """Return what can happen next: a thread goes on, a message arrives, a view comes or is entered."""
        outcomes = self.network.outcomes
        found: list[Choice] = []
        for thread, (member, steps) in enumerate(self.threads):
            index = self.next[thread]
            blocked = index > 0 and steps[index - 1].waits and f"{thread}.{index - 1}" not in outcomes
            held = not self.network.is_open and member not in self.network.entering  # until all have entered
            if index < len(steps) and not blocked and not held and member in self.network.members:
                found.append((thread,))
        found.extend(("enter", number) for number in self.network.entering)
        if self.network.is_open and self.n_changes < len(self.changes):
            found.append(("view", self.n_changes))
        found.extend((m.kind, m.sender, m.receiver, m.number) for m in self.network.ready())
        return found

    def do(self, choice: Choice) -> None:
        """Do one of them."""
        self.time += 1
        if len(choice) == 1:
            thread = choice[0]
            member, steps = self.threads[thread]
            index = self.next[thread]
            self.next[thread] += 1
            after = frozenset(call.op for call in self.calls if call.outcome is not None)
            call = Call(member, steps[index], f"{thread}.{index}", self.time, after)
            self.calls.append(call)
            self.waiting.append(call)
            self.network.begin(member, call.step.operation, *call.step.arguments, thread=thread, op=call.op)
        elif choice[0] == "enter":
            self.network.enter(choice[1])
        elif choice[0] == "view":
            self.n_changes += 1
            self.changes[choice[1]](self.network)
        else:
            for message in self.network.flying:
                if (message.kind, message.sender, message.receiver, message.number) == choice:
                    self.network.deliver(message)
                    break
        outcomes = self.network.outcomes
        for call in [call for call in self.waiting if call.op in outcomes]:
            call.outcome, call.ended = outcomes[call.op], self.time
            self.waiting.remove(call)

    def state(self) -> int:
        """Return a number for all that matters from here on."""
        parts: list[Any] = [sorted(map(repr, self.network.flying)), sorted(self.network.entering), self.n_changes]
        parts.append(sorted((call.op, sorted(call.after), repr(call.outcome)) for call in self.calls))
        for number, member in self.network.members.items():
            home, cache = member.home, member.cache
            parts += [number, sorted(home.records.items()), sorted(home.counted), sorted(home.backups.items())]
            parts += [sorted(cache.replicas.items()), sorted(cache.misses.items())]
            parts += [sorted(member.slots.slots.items()), sorted(self.network.fronts[number].items())]
        return hash(repr(parts))


def explore(make: Callable[[], Run], judge: Callable[[Run], None], limit: int = 20_000) -> int:
    """Go through all states, judge each run's end; returns the number of states."""
    seen: set[int] = set()
    todo: list[list[Choice]] = [[]]
    while todo:
        trace = todo.pop()
        run = make()
        for choice in trace:
            run.do(choice)
        while True:
            state = run.state()
            if state in seen:
                break
            seen.add(state)
            assert len(seen) <= limit, f"more than {limit} states"
            choices = run.choices()
            if not choices:
                try:
                    judge(run)
                except AssertionError:
                    print("\n".join(map(str, trace)))
                    raise
                break
            todo.extend([*trace, other] for other in choices[1:])
            trace.append(choices[0])
            run.do(choices[0])
    return len(seen)
