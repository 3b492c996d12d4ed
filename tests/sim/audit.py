"""What shows that the simulator bites: mutants, the published rules, litmus tests."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from tests.sim.litmus import LITMUS, run_litmus
from tests.sim.mutants import LIMIT, hunt, names
from tests.sim.original import original_rules
from tests.sim.runner import BATCH, Tally, run_range

__all__ = ["ORIGINAL_MIXES", "run_audit"]

ORIGINAL_MIXES = ("volatile", "remove", "atomic", "plain", "plain_atomic", "flags")


def _mutant(name: str) -> dict[str, Any]:
    caught = hunt(name)
    return {
        "table": "mutants",
        "name": name,
        "mix": caught.mix,
        "seeds": caught.seeds,
        "median": caught.median,
        "how": caught.how,
        "limit": LIMIT,
    }


def _original(mix: str, first: int) -> dict[str, Any]:
    with original_rules():
        tally = run_range(mix, first, BATCH)
    return {"table": "original", "name": mix, "n_seeds": tally.n_seeds, "wrong": dict(tally.wrong)}


def _litmus(index: int, kind: str, thin: int) -> dict[str, Any]:
    row = run_litmus(LITMUS[index], kind, thin)
    return {"table": "litmus", "index": index, **vars(row)}


def run_audit(
    n_processes: int, seeds_of_original: int = 2000, thin: int = 1, progress: Callable[[str], None] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Run everything; returns the rows of three tables."""
    tables: dict[str, list[dict[str, Any]]] = {"mutants": [], "original": [], "litmus": []}
    with ProcessPoolExecutor(n_processes) as pool:
        started = [pool.submit(_litmus, index, kind, thin) for index, test in enumerate(LITMUS) for kind in test.kinds]
        started += [pool.submit(_mutant, name) for name in names()]
        started += [
            pool.submit(_original, mix, first) for mix in ORIGINAL_MIXES for first in range(0, seeds_of_original, BATCH)
        ]
        for n, ended in enumerate(as_completed(started), 1):
            row = ended.result()
            tables[row["table"]].append(row)
            if progress is not None:
                progress(f"\r{n} of {len(started)} parts of the audit ")
    tables["mutants"].sort(key=lambda row: names().index(row["name"]))
    tables["litmus"].sort(key=lambda row: (row["index"], row["kind"]))
    tables["original"] = _summed(tables["original"])
    return tables


def _summed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tallies = {mix: Tally(mix) for mix in ORIGINAL_MIXES}
    for row in rows:
        tallies[row["name"]].n_seeds += row["n_seeds"]
        tallies[row["name"]].wrong.update(row["wrong"])
    return [{"name": mix, "n_seeds": tally.n_seeds, "wrong": dict(tally.wrong)} for mix, tally in tallies.items()]
