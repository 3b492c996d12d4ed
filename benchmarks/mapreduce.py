"""Sum, mean and a map of three columns over rows held in different codecs, against memory bandwidth.

What each contender holds is what it has for such data: int8 columns are int8 everywhere;
decimals are int16 with a scale in hydroscope and in DuckDB (DECIMAL(4, 2)), float64 in NumPy
and polars, and additionally int16 scaled by hand; sparse columns are float64 for the peers.
GB/s are those of the uncompressed column (8 bytes a value), so that more than the measured
bandwidth means: faster than any loop over the plain array can be.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks import THREADS
from benchmarks._harness import (
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

ROWS: Final = 100_000_000
TILE: Final = 65_536
"""Rows that NumPy takes at a time: temporaries of an expression stay in the caches."""

TASKS: Final = ("sum", "mean", "map3")
PEERS: Final = ("hydroscope", "numpy", "numpy by hand", "polars", "polars by hand", "duckdb")

READING: Final = "read-only loop"

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Data:
    """Three columns of one kind.

    Attributes
    ----------
    name : str
    plain : list of ndarray
        float64.
    narrow : list of ndarray or None
        The same by hand: integers that times `scale` are the values.
    scale : float
    duckdb_type : str
    """

    name: str
    plain: list[Array]
    narrow: list[Array] | None
    scale: float
    duckdb_type: str


def _int8(rng: np.random.Generator, n: int) -> Data:
    narrow: list[Array] = [rng.integers(-100, 101, n, dtype=np.int8) for _ in range(3)]
    return Data("int8", [each.astype(np.float64) for each in narrow], narrow, 1.0, "TINYINT")


def _int16(rng: np.random.Generator, n: int) -> Data:
    narrow: list[Array] = [rng.integers(0, 10_000, n, dtype=np.int16) for _ in range(3)]
    return Data("int16 + scale", [each / 100.0 for each in narrow], narrow, 0.01, "DECIMAL(4, 2)")


def _sparse(rng: np.random.Generator, n: int) -> Data:
    columns: list[Array] = []
    for _ in range(3):
        column = np.zeros(n)
        rows = np.unique(rng.integers(0, n, n // 100))
        column[rows] = rng.standard_normal(len(rows)) + 0.5
        columns.append(column)
    return Data("sparse 1 %", columns, None, 1.0, "DOUBLE")


def _float64(rng: np.random.Generator, n: int) -> Data:
    return Data("float64", [rng.standard_normal(n) * 2 + 0.5 for _ in range(3)], None, 1.0, "DOUBLE")


MAKERS: Final[tuple[Callable[[np.random.Generator, int], Data], ...]] = (_int8, _int16, _sparse, _float64)


# ---------------------------------------------------------------- contenders


def _hydroscope(data: Data) -> tuple[dict[str, Callable[[], float]], str]:
    import hydroscope as hs
    from benchmarks import _tasks

    columns = data.narrow if data.name == "int8" and data.narrow else data.plain
    frame = hs.Frame(dict(zip("xyz", columns, strict=True)))
    codecs = "; ".join(str(value) for value in frame.codecs().to_dict()["codecs"][:1])
    held = f"{codecs}, {frame.nbytes / frame.shape[0] / 3:.2f} bytes a value"

    def mean() -> float:
        done = _tasks.Mean().do_all(frame["x"])
        return float(done.total / done.n)

    tasks = {
        "sum": lambda: float(_tasks.Sum().do_all(frame["x"]).total),
        "mean": mean,
        "map3": lambda: float(_tasks.Product().do_all(frame[["x", "y", "z"]]).total),
    }
    return tasks, held


def _numpy(columns: Sequence[Array], scale: float) -> dict[str, Callable[[], float]]:
    """NumPy at its best: tiles that fit the caches, on all threads."""
    pool = ThreadPoolExecutor(THREADS)
    n = len(columns[0])
    integral = columns[0].dtype.kind == "i"
    wide = np.int64 if integral else np.float64
    bounds = [(n * i // THREADS, n * (i + 1) // THREADS) for i in range(THREADS)]

    def add(part: tuple[int, int]) -> float:
        x = columns[0]
        return sum(float(x[a : min(a + TILE, part[1])].sum(dtype=wide)) for a in range(*part, TILE))

    def product(part: tuple[int, int]) -> float:
        x, y, z = columns
        total = 0.0
        for a in range(*part, TILE):
            b = min(a + TILE, part[1])
            left = x[a:b].astype(np.int32) if integral else x[a:b]
            total += float(((left - y[a:b]) * z[a:b]).sum(dtype=wide))
        return total

    return {
        "sum": lambda: math.fsum(pool.map(add, bounds)) * scale,
        "mean": lambda: math.fsum(pool.map(add, bounds)) * scale / n,
        "map3": lambda: math.fsum(pool.map(product, bounds)) * scale * scale,
    }


def _polars(columns: Sequence[Array], scale: float) -> dict[str, Callable[[], float]]:
    import polars as pl
    import pyarrow as pa

    series = {name: pl.from_arrow(pa.array(column)) for name, column in zip("xyz", columns, strict=True)}  # no copy
    lazy = pl.DataFrame(series).lazy()
    x, y, z = pl.col("x"), pl.col("y"), pl.col("z")
    if columns[0].dtype.kind == "i":
        product = ((x.cast(pl.Int32) - y.cast(pl.Int32)) * z.cast(pl.Int32)).cast(pl.Int64).sum()
    else:
        product = ((x - y) * z).sum()
    return {
        "sum": lambda: float(lazy.select(x.sum()).collect().item()) * scale,
        "mean": lambda: float(lazy.select(x.mean()).collect().item()) * scale,
        "map3": lambda: float(lazy.select(product).collect().item()) * scale * scale,
    }


def _duckdb(data: Data) -> dict[str, Callable[[], float]]:
    import duckdb
    import pyarrow as pa

    base = duckdb.connect(config={"threads": THREADS})
    arrow = pa.table(dict(zip("xyz", data.plain, strict=True)))
    base.register("arrow", arrow)
    cast = ", ".join(f"cast({name} as {data.duckdb_type}) as {name}" for name in "xyz")
    base.execute(f"create table t as select {cast} from arrow")
    base.unregister("arrow")
    product = "(x - y) * z" if data.duckdb_type != "TINYINT" else "(x::integer - y) * z"

    def ask(expression: str) -> Callable[[], float]:
        return lambda: float(base.execute(f"select {expression} from t").fetchall()[0][0])

    return {"sum": ask("sum(x)"), "mean": ask("avg(x)"), "map3": ask(f"sum({product})")}


def _peers(data: Data, wanted: Sequence[str]) -> tuple[dict[str, dict[str, Callable[[], float]]], str]:
    """Return the tasks of each contender that takes part, and how hydroscope holds the data."""
    peers: dict[str, dict[str, Callable[[], float]]] = {}
    held = "-"
    if "hydroscope" in wanted:
        peers["hydroscope"], held = _hydroscope(data)
    native = data.narrow if data.name == "int8" and data.narrow else data.plain
    by_hand = data.narrow if data.name != "int8" else None
    if "numpy" in wanted:
        peers["numpy"] = _numpy(native, 1.0)
    if "numpy by hand" in wanted and by_hand:
        peers["numpy by hand"] = _numpy(by_hand, data.scale)
    if "polars" in wanted:
        peers["polars"] = _polars(native, 1.0)
    if "polars by hand" in wanted and by_hand:
        peers["polars by hand"] = _polars(by_hand, data.scale)
    if "duckdb" in wanted:
        peers["duckdb"] = _duckdb(data)
    return peers, held


# ---------------------------------------------------------------- the run


def _result(data: Data, task: str, timings: dict[str, Timing], limit_gbs: float, held: str) -> dict[str, object]:
    n = len(data.plain[0])
    size_bytes = n * 8 * (3 if task == "map3" else 1)
    contenders: dict[str, object] = {}
    for name, timing in timings.items():
        median_s = timing.median_s
        contenders[name] = {
            "ms": median_s * 1e3,
            "grows_s": n / median_s / 1e9,
            "gb_s_uncompressed": size_bytes / median_s / 1e9,
            "of_limit": size_bytes / median_s / 1e9 / limit_gbs,
            "problem": timing.problem,
        }
    return {"data": data.name, "task": task, "held": held, "limit_gb_s": limit_gbs, "contenders": contenders}


def _line(result: dict[str, Any], names: Sequence[str]) -> list[object]:
    own = result["contenders"].get("hydroscope", {})
    peers = [result["contenders"].get(name, {}).get("ms") for name in names if name != "hydroscope"]
    own_part = [own.get(key) for key in ("ms", "grows_s", "gb_s_uncompressed", "of_limit")]
    return [result["data"], result["task"], result["limit_gb_s"], *own_part, *peers]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 1 when a contender failed."""
    parser = arguments(__doc__ or "", rows=ROWS, deadline_s=1800)
    parser.set_defaults(rounds=7)
    options = begin(parser, argv)
    n = 2_000_000 if options.quick else int(options.rows * options.scale)
    wanted = [name for name in PEERS if gate(name.split()[0], options.peers, name)]
    say(machine_line(["hydroscope", "numpy", "polars", "duckdb", "numba"]))
    say(f"{n:,} rows, {options.rounds} rounds, medians; uncompressed = 8 bytes a value\n")
    if "hydroscope" in wanted:
        import hydroscope as hs

        hs.init(threads=THREADS)
    from benchmarks._bandwidth import ReadLoop

    loop = ReadLoop()
    results: list[dict[str, Any]] = []
    for index, maker in enumerate(MAKERS):
        data = maker(np.random.default_rng(index), n)
        peers, held = _peers(data, wanted)
        for task in TASKS:
            columns = data.plain if task == "map3" else data.plain[:1]
            contenders = [Contender(name, tasks[task]) for name, tasks in peers.items()]
            contenders.append(Contender(READING, partial(loop.read, columns), compared=False))
            timings = interleave(contenders, options.rounds)
            limit_gbs = n * 8 * len(columns) / timings.pop(READING).best_s / 1e9
            results.append(_result(data, task, timings, limit_gbs, held))
            medians = ", ".join(f"{name} {timing.median_s * 1e3:.1f}" for name, timing in timings.items())
            say(f"{data.name} ({held}), {task}: limit {limit_gbs:.1f} GB/s; ms: {medians}")
        del data, peers
    best_gbs = max(result["limit_gb_s"] for result in results)
    median_gbs = statistics.median(result["limit_gb_s"] for result in results)
    say(f"\nRead-only loop: best {best_gbs:.1f} GB/s, median of the tasks' best {median_gbs:.1f} GB/s\n")
    names = [name for name in PEERS if any(name in result["contenders"] for result in results)]
    header = ["data", "task", "limit GB/s", "hydroscope ms", "G rows/s", "GB/s uncompressed", "x limit"]
    header += [f"{name} ms" for name in names if name != "hydroscope"]
    say(table(header, [_line(result, names) for result in results]))
    emit("mapreduce", {"rows": n, "rounds": options.rounds, "best_gb_s": best_gbs, "tasks": results})
    return status()


if __name__ == "__main__":
    sys.exit(main())
