"""Run seeds, replay one, write the report."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.sim.audit import run_audit
from tests.sim.report import write_report
from tests.sim.runner import NAMES, Tally, run_all, run_seed


def main() -> int:
    """Return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="seeds a mix")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--mix", action="append", choices=NAMES, help="only this mix (may be repeated)")
    parser.add_argument("--weights", default="", help="times as many seeds, such as rpc=6,volatile=2")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", type=Path, help="JSON file to go on from, and to keep counts in")
    parser.add_argument("--fresh", action="store_true", help="forget what the results file has")
    parser.add_argument("--audit", action="store_true", help="mutants, published rules and litmus tests as well")
    parser.add_argument("--thin", type=int, default=1, help="of the litmus schedules, only every so-manieth")
    parser.add_argument("--report", type=Path, help="write the report (Markdown) here")
    parser.add_argument("--replay", metavar="MIX:SEED", help="run one seed and print its trace")
    options = parser.parse_args()
    if options.replay:
        return replay(*options.replay.split(":"))
    weights = dict(pair.split("=") for pair in options.weights.split(",") if pair)
    ranges = {mix: (options.first, int(options.seeds * float(weights.get(mix, 1)))) for mix in (options.mix or NAMES)}
    if options.results:
        options.results.parent.mkdir(parents=True, exist_ok=True)
        if options.fresh:
            options.results.unlink(missing_ok=True)
    began = time.perf_counter()
    told: set[tuple[str, int]] = set()
    n_wanted = sum(n for _, n in ranges.values())

    def show(tallies: dict[str, Tally]) -> None:
        n = sum(tally.n_seeds for tally in tallies.values())
        wrong = sum(sum(tally.wrong.values()) for tally in tallies.values())
        seconds = time.perf_counter() - began
        for tally in tallies.values():
            for seed, text in tally.failures:
                if (tally.mix, seed) not in told:
                    told.add((tally.mix, seed))
                    print(f"\npython -m tests.sim --replay {tally.mix}:{seed}    {text[:300]}", file=sys.stderr)
        print(f"\r{n:,} of {n_wanted:,} seeds, {n / seconds:,.0f} a second, {wrong} wrong ", end="", file=sys.stderr)

    tallies = run_all(ranges, options.processes, show, options.results)
    print(file=sys.stderr)
    for tally in tallies.values():
        rate = tally.n_seeds / tally.core_s if tally.core_s else 0.0
        print(
            f"{tally.mix:13} {tally.n_seeds:9,} seeds {tally.n_operations:11,} operations "
            f"{tally.simulated_s / 3600:8.1f} h simulated {rate:6.0f} seeds/s a core  "
            f"{'wrong: ' + str(dict(tally.wrong)) if tally.wrong else 'nothing wrong'}"
        )
        for seed, text in tally.failures[:3]:
            print(f"    python -m tests.sim --replay {tally.mix}:{seed}    {text[:300]}")
    audit = audited(options)
    if options.report:
        write_report(options.report, tallies, audit)
    return int(any(tally.wrong for tally in tallies.values()))


def audited(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]] | None:
    """Run the audit if it is wanted; else return what the results file has of an earlier one."""
    kept = options.results.with_suffix(".audit.json") if options.results else None
    if options.audit:
        tables = run_audit(
            options.processes, thin=options.thin, progress=lambda text: print(text, end="", file=sys.stderr)
        )
        print(file=sys.stderr)
        if kept is not None:
            kept.write_text(json.dumps(tables))
        return tables
    return json.loads(kept.read_text()) if kept is not None and kept.exists() else None


def replay(mix: str, seed: str) -> int:
    """Print what happened, and what was wrong with it."""
    verdict = run_seed(mix, int(seed), trace=True)
    print("\n".join(verdict.lines))
    for kind, text in verdict.violations:
        print(f"\nWRONG: {kind}\n{text}")
    return int(bool(verdict.violations))


if __name__ == "__main__":
    sys.exit(main())
