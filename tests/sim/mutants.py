"""Mutants: how many seeds the simulator needs to notice each broken rule."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from statistics import median

from tests.sim.cluster import run_cluster
from tests.sim.mutants_kv import KV_MUTANTS, mutated
from tests.sim.mutants_rpc import RPC_MUTANTS
from tests.sim.mutants_views import VIEW_MUTANTS
from tests.sim.rpc_alone import run_rpc
from tests.sim.scripts import MIXES
from tests.sim.silence import silenced

__all__ = ["Caught", "hunt", "names"]

STARTS = (0, 100_000, 200_000, 300_000, 400_000)
"""Where the hunt begins, each time anew."""
LIMIT = 3_000

STORE_MUTANTS = KV_MUTANTS | VIEW_MUTANTS


@dataclass
class Caught:
    """What became of one mutant."""

    name: str
    mix: str
    seeds: list[int]
    """Needed from each start; the limit plus one where it was not noticed."""
    how: str
    limit: int

    @property
    def median(self) -> float:
        """Return the middle number of seeds."""
        return median(self.seeds)

    @property
    def is_caught(self) -> bool:
        """Return whether it was noticed from every start."""
        return max(self.seeds) <= self.limit


def names() -> tuple[str, ...]:
    """Return all mutants."""
    return (*RPC_MUTANTS, *STORE_MUTANTS)


def hunt(name: str, starts: tuple[int, ...] = STARTS, limit: int = LIMIT) -> Caught:
    """Run seeds from each start until one is wrong."""
    needed, kinds = [], set()
    mix = "rpc" if name in RPC_MUTANTS else STORE_MUTANTS[name][3]
    for start in starts:
        found = limit + 1
        for seed in range(start, start + limit):
            kind = _verdict(name, seed)
            if kind:
                found = seed - start + 1
                kinds.add(kind)
                break
        needed.append(found)
    return Caught(name, mix, needed, ", ".join(sorted(kinds)), limit)


def _verdict(name: str, seed: int) -> str:
    if name in RPC_MUTANTS:
        verdict = run_rpc(seed, RPC_MUTANTS[name])
    else:
        module, attribute, mutant, mix = STORE_MUTANTS[name]
        with silenced(), mutated(module, attribute, mutant):
            verdict = run_cluster(MIXES[mix], seed)
    return verdict.conviction[0] if verdict.conviction else ""


def main() -> None:
    """Print the table."""
    only = sys.argv[1:] or [""]
    for name in names():
        if any(word in name for word in only):
            caught = hunt(name)
            print(f"{name:45} {caught.mix:13} {caught.median:6g}  {caught.seeds}  {caught.how}", flush=True)


if __name__ == "__main__":
    main()
