"""What the memory of this machine gives: a loop that only reads, on all threads.

The arrays are read as int64, because sums of integers may be reordered and so vectorise;
the loop then waits for nothing but memory. Its best round is the limit that any task over
uncompressed float64 columns can reach.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import THREADS
from hydroscope.ground.jit import kernel

__all__ = ["ReadLoop"]


@kernel
def _read(words: npt.NDArray[np.int64]) -> int:
    total = 0
    for i in range(words.size):
        total += words[i]
    return total


class ReadLoop:
    """Reads float64 arrays, each thread its part."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS)
        _read(np.zeros(8, dtype=np.int64))  # compiled before threads call it

    def read(self, columns: list[npt.NDArray[Any]]) -> int:
        """Read every byte once and return a checksum."""
        parts = [part for column in columns for part in np.array_split(column.view(np.int64), THREADS)]
        return sum(self._pool.map(_read, parts)) & (2**63 - 1)
