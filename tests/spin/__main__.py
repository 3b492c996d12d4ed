"""Check the protocol tables with Spin: `python -m tests.spin [--small] [--stories]`.

Prints one line a model; exit code 1 when a model of the shipped tables is violated, or a mutant is not.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.spin.check import CANNOT_HAPPEN, MEMORY_MB, Verdict, check, missing_tools
from tests.spin.models import FULL, MUTANTS, SMALL

__all__ = ["main"]

LINE = "{:<72} {:>11} {:>8} {:>7}  {}"


def told(verdict: Verdict, expected: str) -> str:
    """Return the line of one model."""
    figures = (f"{verdict.n_states:,}", f"{verdict.seconds:.1f}", f"{verdict.memory_mb:,.0f}")
    return LINE.format(verdict.model.name, *figures, expected)


def main(argv: list[str] | None = None) -> int:
    """Run all models."""
    parser = argparse.ArgumentParser(prog="python -m tests.spin", description=__doc__)
    parser.add_argument("--small", action="store_true", help="only the smallest models, and the mutants")
    parser.add_argument("--stories", action="store_true", help="print each mutant's counter-example")
    options = parser.parse_args(argv)
    missing = missing_tools()
    if missing:
        print(f"no {' and no '.join(missing)} here; the models need both: apt-get install spin gcc", file=sys.stderr)
        return 1
    start = time.perf_counter()
    failures = 0
    print(LINE.format("model", "states", "CPU s", "MB", "verdict"), flush=True)
    for model in SMALL if options.small else FULL:
        verdict = check(model)
        failures += bool(verdict.error)
        print(told(verdict, f"VIOLATED: {verdict.error}" if verdict.error else "holds"), flush=True)
        for line in verdict.story:
            print(f"    {line}")
    print(flush=True)
    for mutant in MUTANTS:
        verdict = check(mutant)
        is_caught = verdict.error not in ("", CANNOT_HAPPEN)  # the model must bring about what the table provides for
        failures += not is_caught
        print(told(verdict, f"{'caught' if is_caught else 'NOT CAUGHT'}: {verdict.error or 'holds'}"), flush=True)
        for line in verdict.story if options.stories else []:
            print(f"    {line}")
    print(f"\n{time.perf_counter() - start:.0f} s, at most {MEMORY_MB:,} MB a model; {failures} unexpected")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
