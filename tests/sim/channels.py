"""What the published rules need to fail: not even a network that loses or reorders anything.

The same mixes on three kinds of channels, the last of which is that of all other runs. Beside the
published rules as a whole, each of them alone in our store (the mutants), so that it shows which
of them fails where.

    python -m tests.sim.channels
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import msgspec

from hydroscope.engine.simulated import world as world_module
from hydroscope.engine.simulated.faults import Faults
from hydroscope.engine.simulated.network import Network
from tests.sim.cluster import Run, WatchedWorld
from tests.sim.mutants import STARTS
from tests.sim.mutants_kv import KV_MUTANTS, mutated
from tests.sim.original import original_rules
from tests.sim.scripts import MIXES
from tests.sim.silence import silenced
from tests.sim.story import tell

__all__ = ["ALONE", "CHANNELS", "MIXES_OF_PUBLISHED", "WHOLE", "Conviction", "cases", "convict", "run_on"]

LIMIT = 1_000
"""Seeds from each start, after which rules are not convicted."""

WHOLE = "all"
"""All published rules together."""

MIXES_OF_PUBLISHED = ("volatile", "remove", "atomic", "plain", "plain_atomic", "flags")
"""Mixes that ask for nothing beyond the published operations."""

ALONE = {
    "put at home shows before replicas are gone": "repair 1 dropped: switch, then close",
    "put shows at its own member before it is ordered": "repair 2 dropped: early visibility",
    "get gives its member's own put that is under way": "own put under way is peeked at",
    "invalidation drops whatever is there": "repair 3 dropped: invalidation of anything",
    "removes and atomics do not keep their place among own writes": "repair 4 dropped: several writes under way",
    "who joins a get takes its answer": "repair 5 dropped: joiners take anything",
}
"""A published rule -> the mutant that has it in place of ours."""


class InOrder(Network):
    """Everything arrives, once, and in the order in which it was sent between two members."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._last: dict[tuple[int, int], float] = {}

    def send(self, source: int, target: int, parcel: Any) -> None:
        """Put a parcel behind those that are on the way."""
        self.counters["sent"] += 1
        self._n_sent += 1
        way = source, target
        at = self._last[way] = max(self._last.get(way, 0.0), self._agenda.now + self._delay())
        self._agenda.at(at, self._arrive, (source, target, self._n_sent, parcel))

    def stream(self, source: int, target: int, number: int, parcel: Any) -> None:
        """Send large things the same way."""
        self.send(source, target, parcel)


def nothing_lost(faults: Faults) -> Faults:
    """Leave delays only."""
    return Faults(slow=faults.slow, slow_s=faults.slow_s, delay_s=faults.delay_s, window_s=faults.window_s)


def everything(faults: Faults) -> Faults:
    """Leave all, and let each seed lose something."""
    return msgspec.structs.replace(faults, drop=max(faults.drop, 0.05))


CHANNELS: dict[str, tuple[type[Network], Callable[[Faults], Faults]]] = {
    "in order, nothing lost": (InOrder, nothing_lost),
    "out of order, nothing lost": (Network, nothing_lost),
    "out of order, lost, doubled": (Network, everything),
}


@dataclass
class Conviction:
    """What became of rules on one kind of channels."""

    rules: str
    mix: str
    channel: str
    seeds: list[int]
    """Needed from each start; the limit plus one where nothing was wrong."""
    seed: int | None
    """The first one that convicts."""
    kind: str
    story: str
    """What was wrong there, in words."""
    limit: int

    @property
    def median(self) -> float:
        """Return the middle number of seeds."""
        return median(self.seeds)


@contextmanager
def published(rules: str) -> Iterator[None]:
    """Let members follow the published rules, all or one."""
    store: AbstractContextManager[None] = original_rules()
    if rules != WHOLE:
        module, attribute, mutant, _ = KV_MUTANTS[ALONE[rules]]
        store = mutated(module, attribute, mutant)
    with silenced(), store:
        yield


def cases() -> list[tuple[str, str, str]]:
    """Return all (rules, mix, channel)."""
    pairs = [(WHOLE, mix) for mix in MIXES_OF_PUBLISHED] + [
        (rule, KV_MUTANTS[mutant][3]) for rule, mutant in ALONE.items()
    ]
    return [(rules, mix, channel) for rules, mix in pairs for channel in CHANNELS]


def run_on(channel: str, mix: str, seed: int) -> Run:
    """Run one seed of a mix on channels of a kind; returns the run, judged."""
    network, ease = CHANNELS[channel]
    with mutated(world_module, "Network", network):
        run = Run(MIXES[mix], seed, WatchedWorld, False, ease)
        run.go()
    return run


def convict(rules: str, mix: str, channel: str, starts: tuple[int, ...] = STARTS, limit: int = LIMIT) -> Conviction:
    """Run seeds from each start until one is wrong."""
    found = Conviction(rules, mix, channel, [], None, "", "", limit)
    with published(rules):
        for start in starts:
            needed = limit + 1
            for seed in range(start, start + limit):
                run = run_on(channel, mix, seed)
                if run.verdict.conviction:
                    needed = seed - start + 1
                    if found.seed is None:
                        found.seed = seed
                        found.kind, found.story = tell(run.verdict, run.operations)
                    break
            found.seeds.append(needed)
    return found


def main() -> None:
    """Print the table."""
    only = sys.argv[1:] or [""]
    for case in cases():
        if any(word in " ".join(case) for word in only):
            found = convict(*case)
            print(f"{found.rules:50} {found.mix:13} {found.channel:28} {found.median:6g}  {found.seeds}", flush=True)
            print(f"    {found.seed} {found.kind}: {found.story}", flush=True)


if __name__ == "__main__":
    main()
