"""Many seeds, on several processes; what they add up to."""

from __future__ import annotations

import gc
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.sim.cluster import run_cluster
from tests.sim.rpc_alone import run_rpc
from tests.sim.scripts import MIXES
from tests.sim.verdict import Verdict

__all__ = ["NAMES", "Tally", "run_all", "run_range", "run_seed"]

NAMES = ("rpc", *MIXES)
BATCH = 250
SAVE_EVERY = 20
"""Batches between two times that results are written."""
KEPT_FAILURES = 20
COLLECT_EVERY = 100
"""Seeds between two garbage collections: each world is a knot of cycles."""


@dataclass
class Tally:
    """What the seeds of one mix add up to."""

    mix: str
    n_seeds: int = 0
    n_operations: int = 0
    simulated_s: float = 0.0
    core_s: float = 0.0
    counters: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    """Kind of violation -> seeds."""
    failures: list[tuple[int, str]] = field(default_factory=list)

    def add(self, seed: int, verdict: Verdict) -> None:
        """Count one seed."""
        self.n_seeds += 1
        self.n_operations += verdict.n_operations
        self.simulated_s += verdict.simulated_s
        self.counters.update(verdict.counters)
        self.wrong.update(verdict.kinds)
        if verdict.violations and len(self.failures) < KEPT_FAILURES:
            kind, text = verdict.violations[0]
            self.failures.append((seed, f"{kind}: {text[:2000]}"))

    def merge(self, other: Tally) -> None:
        """Count the seeds of another tally of the same mix."""
        self.n_seeds += other.n_seeds
        self.n_operations += other.n_operations
        self.simulated_s += other.simulated_s
        self.core_s += other.core_s
        self.counters.update(other.counters)
        self.wrong.update(other.wrong)
        self.failures = sorted(self.failures + other.failures)[:KEPT_FAILURES]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return vars(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Tally:
        """Return what `to_json` was made of."""
        tally = cls(**values)
        tally.counters = Counter(tally.counters)
        tally.wrong = Counter(tally.wrong)
        tally.failures = [(seed, text) for seed, text in tally.failures]
        return tally


def run_seed(mix: str, seed: int, trace: bool = False) -> Verdict:
    """Run one seed of a mix."""
    if mix == "rpc":
        return run_rpc(seed, trace=trace)
    return run_cluster(MIXES[mix], seed, trace=trace)


def run_range(mix: str, first: int, n: int) -> Tally:
    """Run seeds `first` .. `first + n`."""
    tally = Tally(mix)
    began = time.process_time()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for seed in range(first, first + n):
            tally.add(seed, run_seed(mix, seed))
            if seed % COLLECT_EVERY == 0:
                gc.collect()
    finally:
        if was_enabled:
            gc.enable()
    tally.core_s = time.process_time() - began
    return tally


def run_all(
    ranges: dict[str, tuple[int, int]],
    n_processes: int,
    progress: Callable[[dict[str, Tally]], None] | None = None,
    results: Path | None = None,
) -> dict[str, Tally]:
    """Run (first, n) seeds of each mix, mixes taking turns.

    With `results`, a JSON file, what was run before is kept and added to: each mix goes on after its last seed.
    """
    tallies = {mix: Tally(mix) for mix in ranges}
    done: dict[str, int] = {}
    if results is not None and results.exists():
        for values in json.loads(results.read_text())["tallies"]:
            tallies[values["mix"]] = Tally.from_json(values)
            done[values["mix"]] = values["n_seeds"]
    batches = _batches({mix: (first + done.get(mix, 0), n - done.get(mix, 0)) for mix, (first, n) in ranges.items()})
    with ProcessPoolExecutor(n_processes) if n_processes > 1 else nullcontext() as pool:
        ran = map(_run_batch, batches) if pool is None else pool.map(_run_batch, list(batches))
        for n, tally in enumerate(ran):
            tallies[tally.mix].merge(tally)
            if progress is not None:
                progress(tallies)
            if n % SAVE_EVERY == SAVE_EVERY - 1:
                _save(results, tallies)
    _save(results, tallies)
    return tallies


def _run_batch(batch: tuple[str, int, int]) -> Tally:
    return run_range(*batch)


def _batches(ranges: dict[str, tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
    left = {mix: (first, n) for mix, (first, n) in ranges.items() if n > 0}
    while left:
        for mix, (first, n) in list(left.items()):
            size = min(BATCH, n)
            yield mix, first, size
            if n == size:
                del left[mix]
            else:
                left[mix] = (first + size, n - size)


def _save(results: Path | None, tallies: dict[str, Tally]) -> None:
    if results is not None:
        beside = results.with_suffix(".part")
        beside.write_text(json.dumps({"tallies": [tally.to_json() for tally in tallies.values()]}))
        beside.replace(results)
