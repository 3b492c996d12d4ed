"""Every order in which the messages and operations of a small scenario can happen.

A scenario is replayed from the start for every schedule: depth first, each run following a given prefix of choices and
the first choice after it. Two neighbouring deliveries at different members commute, so of their two orders only one is
tried (the one with the smaller receiver first); beginnings of operations are never swapped, because when an operation
began in relation to the ends of others is what the verdicts are about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.kv.network import Network

__all__ = ["Call", "Run", "Step", "explore"]


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
    thread: int
    step: Step
    op: int
    begun: int
    ended: float = float("inf")
    outcome: Any = None


@dataclass
class Run:
    """One schedule of a scenario: threads by (member, steps)."""

    network: Network
    threads: Sequence[tuple[int, Sequence[Step]]]
    calls: list[Call] = field(default_factory=list)
    time: int = 0

    def __post_init__(self) -> None:
        self.next = [0] * len(self.threads)
        self.last: list[Call | None] = [None] * len(self.threads)

    def choices(self) -> list[tuple[Any, ...]]:
        """Return what can happen next: ("begin", thread) or ("deliver", receiver, number of the message)."""
        found: list[tuple[Any, ...]] = []
        for thread, (member, steps) in enumerate(self.threads):
            last = self.last[thread]
            is_free = last is None or not last.step.waits or last.op in self.network.outcomes
            if self.next[thread] < len(steps) and is_free and member in self.network.members:
                found.append(("begin", thread))
        for message in self.network.ready():
            found.append(("deliver", message.receiver, message.sender, message.number, message.kind))
        return found

    def do(self, choice: tuple[Any, ...]) -> None:
        """Do one of them."""
        self.time += 1
        if choice[0] == "begin":
            thread = choice[1]
            member, steps = self.threads[thread]
            step = steps[self.next[thread]]
            self.next[thread] += 1
            op = self.network.n_ops + 1
            call = Call(member, thread, step, op, self.time)
            self.calls.append(call)
            self.last[thread] = call
            self.network.begin(member, step.operation, *step.arguments, thread=thread)
        else:
            _, receiver, sender, number, kind = choice
            for message in self.network.flying:
                if (message.receiver, message.sender, message.number, message.kind) == (receiver, sender, number, kind):
                    self.network.deliver(message)
                    break
        for call in self.calls:
            if call.outcome is None and call.op in self.network.outcomes:
                call.outcome, call.ended = self.network.outcomes[call.op], self.time


def explore(make: Callable[[], Run], judge: Callable[[Run], None], limit: int = 100_000) -> int:
    """Run every schedule, judge each; returns how many there were."""
    todo: list[list[tuple[Any, ...]]] = [[]]
    n_runs = 0
    while todo:
        prefix = todo.pop()
        run = make()
        for choice in prefix:
            run.do(choice)
        trace = list(prefix)
        before = _ready_before(make, prefix)
        pruned = False
        while choices := run.choices():
            allowed = [choice for choice in choices if not _is_swapped(trace, choice, before)]
            if not allowed:
                pruned = True
                break
            todo.extend([*trace, other] for other in allowed[1:])
            before = set(choices)
            trace.append(allowed[0])
            run.do(allowed[0])
        if pruned:
            continue
        n_runs += 1
        assert n_runs <= limit, f"more than {limit} schedules"
        try:
            judge(run)
        except AssertionError:
            print("\n".join(map(str, trace)))
            raise
    return n_runs


def _ready_before(make: Callable[[], Run], prefix: list[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
    """Return what could have happened instead of the last choice."""
    if not prefix:
        return set()
    run = make()
    for choice in prefix[:-1]:
        run.do(choice)
    return set(run.choices())


def _is_swapped(trace: list[tuple[Any, ...]], choice: tuple[Any, ...], before: set[tuple[Any, ...]]) -> bool:
    """Tell whether the other order of the last choice and this one is the one that is tried."""
    if not trace or choice[0] != "deliver" or trace[-1][0] != "deliver" or choice not in before:
        return False
    return choice[1] < trace[-1][1]
