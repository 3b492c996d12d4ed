"""What the first call of a new map function costs: import, Numba's start-up, compilation, apart.

Each round makes a folder of its own for all compiler caches (HYDROSCOPE_CACHE and
NUMBA_CACHE_DIR) and a module in it with a map function that never existed before (a
constant differs), and runs four fresh processes:

nothing cached     the first run ever: hydroscope's own kernels are compiled as well
new function       kernels cached, a function of a later edit: the cold first call
second process     the same function again: everything cached
plain Numba        the same loop as an `njit` function over plain arrays, nothing cached
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks._harness import arguments, begin, emit, machine_line, say, status, table, worker

__all__ = ["main"]

ROWS: Final = 1_000_000
TIMEOUT_S: Final = 180

TASK: Final = '''"""A map function that no cache has seen: {salt}."""
from __future__ import annotations
import hydroscope as hs


class One(hs.MapReduce):
    n: int = 0
    total: float = 0.0

    def map(self, x):
        self.n += 1
        self.total += x * {salt}


class Three(hs.MapReduce):
    centre: float
    n: int = 0
    total: float = 0.0
    top: float = 0.0

    def map(self, x, y, z):
        self.n += 1
        self.total += (x - self.centre) * y + z * {salt}
        if y > self.top:
            self.top = y
'''

PLAIN: Final = '''"""The same loops over plain arrays: {salt}."""
import numba


@numba.njit(nogil=True, cache=True, error_model="numpy")
def one(x):
    n = 0
    total = 0.0
    for i in range(x.size):
        n += 1
        total += x[i] * {salt}
    return n, total


@numba.njit(nogil=True, cache=True, error_model="numpy")
def three(centre, x, y, z):
    n = 0
    total = 0.0
    top = 0.0
    for i in range(x.size):
        n += 1
        total += (x[i] - centre) * y[i] + z[i] * {salt}
        if y[i] > top:
            top = y[i]
    return n, total, top
'''

STEPS: Final = ("import hydroscope", "import numba", "Numba start-up", "frame from arrays")
CALLS: Final = ("one column", "three columns")


def _clocked(steps: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    answer = work()
    steps[name] = (time.perf_counter() - start) * 1e3
    return answer


def _start_numba(steps: dict[str, float]) -> None:
    """Import Numba and compile something trivial: what every Numba program pays once."""
    numba = _clocked(steps, "import numba", lambda: importlib.import_module("numba"))
    _clocked(steps, "Numba start-up", lambda: numba.njit(lambda x: x + 1)(1))


def _arrays(n_rows: int) -> dict[str, Any]:
    import numpy as np

    rng = np.random.default_rng(1)
    prices = rng.integers(0, 10_000, n_rows) / 100.0
    return {"x": prices, "y": rng.integers(0, 100, n_rows), "z": rng.standard_normal(n_rows)}


def _own(module: str, n_rows: int) -> dict[str, float]:
    """Measure in this process; all times in ms."""
    steps: dict[str, float] = {}
    columns = _arrays(n_rows)
    hs = _clocked(steps, "import hydroscope", lambda: importlib.import_module("hydroscope"))
    _start_numba(steps)
    frame = _clocked(steps, "frame from arrays", lambda: hs.Frame(columns))
    tasks = importlib.import_module(module)
    calls: list[tuple[str, Callable[[], Any]]] = [
        (CALLS[0], lambda: tasks.One().do_all(frame["x"])),
        (CALLS[1], lambda: tasks.Three(centre=1.5).do_all(frame[["x", "y", "z"]])),
    ]
    for name, call in calls:
        done = _clocked(steps, f"{name}, first", call)
        if done.n != n_rows:
            raise RuntimeError(f"{name}: {done.n} rows seen of {n_rows}")
        _clocked(steps, f"{name}, second", call)
        steps[f"{name}, compile"] = steps[f"{name}, first"] - steps[f"{name}, second"]
    return steps


def _plain(module: str, n_rows: int) -> dict[str, float]:
    """Measure the plain Numba functions in this process; all times in ms."""
    steps: dict[str, float] = {}
    columns = _arrays(n_rows)
    _start_numba(steps)
    loops = importlib.import_module(module)
    calls: list[tuple[str, Callable[[], Any]]] = [
        (CALLS[0], lambda: loops.one(columns["x"])),
        (CALLS[1], lambda: loops.three(1.5, columns["x"], columns["y"], columns["z"])),
    ]
    for name, call in calls:
        _clocked(steps, f"{name}, first", call)
        _clocked(steps, f"{name}, second", call)
        steps[f"{name}, compile"] = steps[f"{name}, first"] - steps[f"{name}, second"]
    return steps


def _round(n_rows: int, salt: float) -> dict[str, dict[str, float]]:
    """Run the four processes of one round."""
    with tempfile.TemporaryDirectory(prefix="bench-compile-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        cache = {"HYDROSCOPE_CACHE": str(folder / "cache"), "NUMBA_CACHE_DIR": str(folder / "numba")}
        for module, text, number in (("early", TASK, salt), ("late", TASK, salt + 1), ("plain", PLAIN, salt)):
            (folder / f"{module}.py").write_text(text.format(salt=number))

        def run(kind: str, module: str, environment: dict[str, str]) -> dict[str, Any]:
            command = ["-m", "benchmarks.compile", "--worker", kind, name, module, str(n_rows)]
            return worker(command, timeout_s=TIMEOUT_S, environment=environment)

        return {
            "nothing cached": run("own", "early", cache),
            "new function": run("own", "late", cache),
            "second process": run("own", "late", cache),
            "plain Numba": run("plain", "plain", {"NUMBA_CACHE_DIR": str(folder / "plain-cache")}),
        }


def _worker(kind: str, folder: str, module: str, n_rows: int) -> int:
    sys.path.insert(0, folder)
    print(json.dumps(_own(module, n_rows) if kind == "own" else _plain(module, n_rows)))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, or one worker of it."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["--worker"]:
        return _worker(argv[1], argv[2], argv[3], int(argv[4]))
    options = begin(arguments(__doc__ or "", rows=ROWS, deadline_s=900), argv)
    n_rows = 100_000 if options.quick else int(options.rows * options.scale)
    say(machine_line(["hydroscope", "numba", "llvmlite", "numpy"]))
    say(f"{n_rows:,} rows, {options.rounds} rounds of fresh processes, medians, ms\n")
    salt = time.time_ns() % 1_000_000 / 8 + 2
    rounds = [_round(n_rows, salt + 2 * i) for i in range(options.rounds)]
    medians: dict[str, dict[str, float]] = {}
    for kind, steps in rounds[0].items():
        medians[kind] = {step: statistics.median(each[kind][step] for each in rounds) for step in steps}
    lines = [*STEPS, *(f"{call}, {part}" for call in CALLS for part in ("first", "second", "compile"))]
    say(table(["ms", *medians], [[line, *(medians[kind].get(line) for kind in medians)] for line in lines]))
    say("\n`compile` is the first call less the second; Numba's start-up is paid once a process, before it.")
    emit("compile", {"rows": n_rows, "rounds": options.rounds, "ms": medians})
    return status()


if __name__ == "__main__":
    sys.exit(main())
