"""CSV to table, 1 GB of mixed columns: MB/s, peak memory, resident size, each parser in a fresh process.

Every round starts each parser in a process of its own, lets it read a small file of the
same form first (libraries loaded, kernels and threads ready), and then times the large one
from the page cache into the parser's own in-memory container, with types guessed by the
parser. H2O-3 reads in one warm server. Sums, counts and missing values are compared.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import THREADS
from benchmarks._csv_data import write_file
from benchmarks._harness import (
    Contender,
    Timing,
    arguments,
    begin,
    emit,
    gate,
    interleave,
    machine_line,
    peak_rss_mb,
    say,
    status,
    table,
    worker,
)

__all__ = ["main"]

ROWS: Final = 8_550_000
"""Rows of the file: 1 GB of text."""

SMALL_ROWS: Final = 5_000
"""Rows of the file that every parser reads first, untimed."""

TIMEOUT_S: Final = 300

Reading = tuple[float, float, dict[str, float]]
"""Seconds, resident MB, and what the table holds: compared between the parsers."""


# ---------------------------------------------------------------- parsers, each run in a process of its own


def _hydroscope(path: str, small: str) -> Reading:
    import hydroscope as hs

    hs.init(threads=THREADS)
    hs.read_csv(small)
    start = time.perf_counter()
    frame = hs.read_csv(path)
    seconds = time.perf_counter() - start
    checks = {
        "rows": float(frame.shape[0]),
        "id": float(frame["id"].sum()),
        "price": float(frame["price"].sum()),
        "price missing": float(frame["price"].n_missing),
        "score": float(frame["score"].sum()),
        "shipped missing": float(frame["shipped"].n_missing),
    }
    return seconds, frame.nbytes / 1e6, checks


def _arrow(path: str, small: str, *, dictionaries: bool) -> Reading:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    pa.set_cpu_count(THREADS)
    pa.set_io_thread_count(THREADS)
    convert = csv.ConvertOptions(auto_dict_encode=dictionaries)
    csv.read_csv(small, convert_options=convert)
    start = time.perf_counter()
    read = csv.read_csv(path, convert_options=convert)
    seconds = time.perf_counter() - start
    checks = {
        "rows": float(read.num_rows),
        "id": float(pc.sum(read["id"]).as_py()),
        "price": float(pc.sum(read["price"]).as_py()),
        "price missing": float(read["price"].null_count),
        "score": float(pc.sum(read["score"]).as_py()),
        "shipped missing": float(read["shipped"].null_count),
    }
    return seconds, read.nbytes / 1e6, checks


def _polars(path: str, small: str, *, dates: bool) -> Reading:
    import polars as pl

    pl.read_csv(small, try_parse_dates=dates)
    start = time.perf_counter()
    read = pl.read_csv(path, try_parse_dates=dates)
    seconds = time.perf_counter() - start
    checks = {
        "rows": float(read.height),
        "id": float(read["id"].sum()),
        "price": float(read["price"].sum()),
        "price missing": float(read["price"].null_count()),
        "score": float(read["score"].sum()),
        "shipped missing": float(read["shipped"].null_count()),
    }
    return seconds, read.estimated_size() / 1e6, checks


def _duckdb(path: str, small: str) -> Reading:
    import duckdb

    base = duckdb.connect(config={"threads": THREADS})
    base.execute("create table small as select * from read_csv(?)", [small])
    start = time.perf_counter()
    base.execute("create table t as select * from read_csv(?)", [path])
    seconds = time.perf_counter() - start
    resident_bytes = base.execute("select sum(memory_usage_bytes) from duckdb_memory()").fetchall()[0][0]
    query = (
        "select count(*), sum(id), sum(price), count(*) - count(price), sum(score), count(*) - count(shipped) from t"
    )
    names = ("rows", "id", "price", "price missing", "score", "shipped missing")
    row = base.execute(query).fetchall()[0]
    checks = {name: float(value) for name, value in zip(names, row, strict=True)}
    return seconds, float(resident_bytes) / 1e6, checks


PARSERS: Final[dict[str, tuple[str, Callable[[str, str], Reading]]]] = {
    "hydroscope": ("hydroscope", _hydroscope),
    "pyarrow": ("pyarrow", partial(_arrow, dictionaries=False)),
    "pyarrow dictionaries": ("pyarrow", partial(_arrow, dictionaries=True)),
    "polars": ("polars", partial(_polars, dates=True)),
    "polars, dates as text": ("polars", partial(_polars, dates=False)),
    "duckdb": ("duckdb", _duckdb),
}


def _worker(name: str, path: str, small: str) -> int:
    born = time.perf_counter()
    seconds, resident_mb, checks = PARSERS[name][1](path, small)
    total_s = time.perf_counter() - born
    answer = {"seconds": seconds, "resident_mb": resident_mb, "checks": checks, "process_s": total_s}
    answer["cpu_s"] = sum(os.times()[:2])
    print(json.dumps({**answer, "peak_mb": peak_rss_mb()}))
    return 0


# ---------------------------------------------------------------- H2O-3


@contextlib.contextmanager
def _h2o(path: Path, small: Path, wanted: Sequence[str] | None) -> Iterator[list[Contender]]:
    """Yield H2O as a contender while its server runs; nothing when it cannot take part."""
    if not gate("h2o", wanted):
        yield []
        return
    from benchmarks._h2o import Server

    try:
        server = Server()
    except RuntimeError as error:
        say(f"h2o: absent ({error})")
        yield []
        return
    with server:
        import h2o

        def read() -> dict[str, Any]:
            h2o.remove(h2o.import_file(str(small)))
            start = time.perf_counter()
            frame = h2o.import_file(str(path))
            seconds = time.perf_counter() - start
            size = h2o.api(f"GET /3/Frames/{frame.frame_id}", data={"row_count": 1})["frames"][0]["byte_size"]
            checks = {
                "rows": float(frame.nrows),
                "id": frame["id"].sum(),
                "price": frame["price"].sum(),
                "price missing": float(frame["price"].isna().sum()),
                "score": frame["score"].sum(),
                "shipped missing": float(frame["shipped"].isna().sum()),
            }
            h2o.remove(frame)
            peak_mb = server.peak_rss_mb
            return {"seconds": seconds, "resident_mb": size / 1e6, "checks": checks, "peak_mb": peak_mb}

        yield [Contender("h2o", read)]


def _gzip_mb(path: Path) -> float:
    """Return the size of the file as `gzip -6` makes it, remembered beside the file."""
    note = path.with_suffix(".gzip-size")
    if note.exists():
        return float(note.read_text())
    press, size = zlib.compressobj(6, zlib.DEFLATED, 31), 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            size += len(press.compress(block))
    size += len(press.flush())
    note.write_text(str(size / 1e6))
    return size / 1e6


# ---------------------------------------------------------------- the run


def _contenders(path: Path, small: Path, wanted: Sequence[str] | None) -> list[Contender]:
    def run(name: str) -> dict[str, Any]:
        command = ["-m", "benchmarks.csv", "--worker", name, str(path), str(small)]
        return worker(command, timeout_s=TIMEOUT_S)

    return [
        Contender(name, partial(run, name)) for name, (package, _) in PARSERS.items() if gate(package, wanted, name)
    ]


def _results(timings: dict[str, Timing], size_mb: float) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for name, timing in timings.items():
        result: dict[str, Any] = {"parser": name, "problem": timing.problem, "s": timing.median_s}
        result |= {"best_s": timing.best_s, "mb_s": size_mb / timing.median_s}
        for key in ("cpu_s", "peak_mb", "resident_mb"):
            found = [answer[key] for answer in timing.answers if key in answer]
            result[key] = statistics.median(found) if found else None
        results.append(result)
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, or one worker of it; exit code 1 when a parser failed."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["--worker"]:
        return _worker(*argv[1:4])
    parser = arguments(__doc__ or "", rows=ROWS, deadline_s=3600)
    folder = Path(tempfile.gettempdir()) / "hydroscope-bench"
    parser.add_argument("--folder", type=Path, default=folder, help="where the file is kept (default: %(default)s)")
    options = begin(parser, argv)
    n_rows = 20_000 if options.quick else int(options.rows * options.scale)
    say(machine_line(["hydroscope", "pyarrow", "polars", "duckdb", "h2o", "numba"]))
    options.folder.mkdir(parents=True, exist_ok=True)
    path, small = (options.folder / f"orders-{n}.csv" for n in (n_rows, SMALL_ROWS))
    write_file(small, SMALL_ROWS)
    write_file(path, n_rows)
    size_mb, gzip_mb = path.stat().st_size / 1e6, _gzip_mb(path)
    say(f"{path}: {n_rows:,} rows, {size_mb:,.0f} MB, gzip -6 {gzip_mb:,.0f} MB; {options.rounds} rounds, medians\n")
    with _h2o(path, small, options.peers) as server:
        contenders = [*_contenders(path, small, options.peers), *server]
        timings = interleave(
            contenders,
            options.rounds,
            compare=lambda answer: answer["checks"],
            clock=lambda answer: float(answer["seconds"]),
        )
    results = _results(timings, size_mb)
    header = ["parser", "median s", "best s", "MB/s", "CPU s of process", "peak MB", "resident MB", "resident / gzip"]
    keys = ("parser", "s", "best_s", "mb_s", "cpu_s", "peak_mb", "resident_mb")
    lines = [[*(each[key] for key in keys), (each["resident_mb"] or math.nan) / gzip_mb] for each in results]
    say(table(header, lines))
    say("\npeak: of the whole process, libraries included (H2O: of the Java server since its start, heap up to 6 GB).")
    emit("csv", {"file_mb": size_mb, "gzip_mb": gzip_mb, "rounds": options.rounds, "parsers": results})
    return status()


if __name__ == "__main__":
    sys.exit(main())
