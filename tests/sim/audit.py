"""What shows that the simulator bites: mutants, the published rules, litmus tests."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from tests.sim.channels import MIXES_OF_PUBLISHED, WHOLE, cases, convict, run_on
from tests.sim.litmus import LITMUS, run_litmus
from tests.sim.mutants import LIMIT, hunt, names
from tests.sim.original import original_rules
from tests.sim.runner import BATCH, Tally, run_range

__all__ = ["run_audit"]

SEEDS_OF_OURS = 250
"""Seeds of our rules on each kind of channels, in each mix."""


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


def _channels(rules: str, mix: str, channel: str) -> dict[str, Any]:
    found = convict(rules, mix, channel)
    n_ours = SEEDS_OF_OURS if rules == WHOLE else 0
    wrong = sum(bool(run_on(channel, mix, seed).verdict.violations) for seed in range(n_ours))
    return {"table": "channels", **vars(found), "median": found.median, "ours": n_ours, "ours wrong": wrong}


def _litmus(index: int, kind: str, thin: int) -> dict[str, Any]:
    row = run_litmus(LITMUS[index], kind, thin)
    return {"table": "litmus", "index": index, **vars(row)}


def run_audit(
    n_processes: int, seeds_of_original: int = 2000, thin: int = 1, progress: Callable[[str], None] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Run everything; returns the rows of four tables."""
    tables: dict[str, list[dict[str, Any]]] = {"mutants": [], "original": [], "channels": [], "litmus": []}
    with ProcessPoolExecutor(n_processes) as pool:
        started = [pool.submit(_litmus, index, kind, thin) for index, test in enumerate(LITMUS) for kind in test.kinds]
        started += [pool.submit(_mutant, name) for name in names()]
        started += [pool.submit(_channels, *case) for case in cases()]
        started += [
            pool.submit(_original, mix, first)
            for mix in MIXES_OF_PUBLISHED
            for first in range(0, seeds_of_original, BATCH)
        ]
        for n, ended in enumerate(as_completed(started), 1):
            row = ended.result()
            tables[row["table"]].append(row)
            if progress is not None:
                progress(f"\r{n} of {len(started)} parts of the audit ")
    tables["mutants"].sort(key=lambda row: names().index(row["name"]))
    tables["channels"].sort(key=lambda row: cases().index((row["rules"], row["mix"], row["channel"])))
    tables["litmus"].sort(key=lambda row: (row["index"], row["kind"]))
    tables["original"] = _summed(tables["original"])
    return tables


def _summed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tallies = {mix: Tally(mix) for mix in MIXES_OF_PUBLISHED}
    for row in rows:
        tallies[row["name"]].n_seeds += row["n_seeds"]
        tallies[row["name"]].wrong.update(row["wrong"])
    return [{"name": mix, "n_seeds": tally.n_seeds, "wrong": dict(tally.wrong)} for mix, tally in tallies.items()]
