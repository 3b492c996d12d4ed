"""Benchmarks: one script a topic, the peers measured in the same interleaved run.

`python -m benchmarks` runs them all, `python -m benchmarks.csv --quick` one of them. They
are run as modules: started as `python benchmarks/csv.py` the folder itself would lead the
import path, and this `csv` would hide the standard library's.

Thread counts are fixed here, before any numeric library is imported, because most of them
read the environment only once.
"""

from __future__ import annotations

import os
import sys
from typing import Final

__all__ = ["THREADS"]

THREADS: Final = int(os.environ.get("BENCH_THREADS", "2"))
"""Threads of every contender."""

if "numpy" not in sys.modules:  # else it is too late, as for the tests, which only look in
    for _name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "POLARS_MAX_THREADS",
        "ARROW_NUM_THREADS",
    ):
        os.environ[_name] = str(THREADS)
    os.environ["DO_NOT_TRACK"] = "1"  # h2o's client honours it
