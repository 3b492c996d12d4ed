"""What is known of a column from one pass over it; made when first asked for, then remembered.

Partial results are made per chunk and merged in chunk order, so they repeat to the last
bit. Means and squared deviations are merged as in Chan, Golub and LeVeque, *Updating
formulae and a pairwise algorithm for computing sample variances* (Stanford, 1979).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.table import Codec
from hydroscope.frame import rollup_kernels as kernels
from hydroscope.frame.access import decode_leaf
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.limits import INT_MISSING
from hydroscope.node import ports

__all__ = ["BINS", "EXTREMES", "Histogram", "Rollups", "histogram", "merge_rollups", "rollups", "summary_of"]

EXTREMES = 5
"""Smallest and largest values that are kept."""

BINS = 1000
"""Bins of a histogram, unless fewer hold one integer each."""

Number = int | float


@dataclass(frozen=True, slots=True)
class Rollups:
    """Counts, moments and extremes of one column.

    Attributes
    ----------
    n, n_missing, n_zeros, n_inf : int
        Values present; rows missing; values equal to 0; infinite values.
    total : int or float
        Sum of the values present; exact for int columns.
    min, max : int, float or None
        None when there is no value. Codes of an enum, milliseconds of a time column. Strings
        and UUIDs have counts only.
    m2 : float
        Sum of squared deviations from the mean.
    smallest, largest : tuple
        Up to five, repeated values included; ascending and descending.
    """

    n: int
    n_missing: int
    n_zeros: int = 0
    n_inf: int = 0
    total: Number = 0
    min: Number | None = None
    max: Number | None = None
    m2: float = 0.0
    smallest: tuple[Number, ...] = ()
    largest: tuple[Number, ...] = ()

    @property
    def mean(self) -> float:
        """Mean of the values present; NaN when there is none."""
        return self.total / self.n if self.n else math.nan

    @property
    def variance(self) -> float:
        """Variance with n - 1; NaN for fewer than two values."""
        return self.m2 / (self.n - 1) if self.n > 1 else math.nan

    @property
    def sigma(self) -> float:
        """Standard deviation with n - 1; NaN for fewer than two values."""
        return math.sqrt(self.variance)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of equally wide bins: bin i holds base + i * width <= value < base + (i + 1) * width.

    The last bin holds the largest value as well. Missing and infinite values are in none.
    """

    base: Number
    width: Number
    counts: npt.NDArray[np.int64]

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """The borders of the bins, one more than there are bins."""
        return np.asarray(self.base + self.width * np.arange(len(self.counts) + 1, dtype=np.float64))


def rollups(vec: Vec) -> Rollups:
    """Return the rollups of a column. Cost: one pass the first time, then free."""
    known = vec.remembered.get("rollups")
    if known is None:
        known = merge_rollups(ports.current().map(_summarise, [(vec.type, leaf) for leaf in vec.leaves]))
        vec.remembered["rollups"] = known
    found: Rollups = known
    return found


def merge_rollups(handles: list[Any]) -> Rollups:
    """Merge the rollups of leaves, in order."""
    if not handles:
        return Rollups(0, 0)
    found: Rollups = ports.current().reduce(merge, handles)
    return found


def histogram(vec: Vec) -> Histogram:
    """Return the histogram of a numeric column. Cost: one pass beside the rollups' the first time, then free.

    Int columns of fewer than 1,000 different values from min to max have one bin a value.
    """
    known = vec.remembered.get("histogram")
    if known is None:
        known = _make_histogram(vec, rollups(vec))
        vec.remembered["histogram"] = known
    found: Histogram = known
    return found


def _make_histogram(vec: Vec, known: Rollups) -> Histogram:
    finite = [each for each in (*known.smallest, *known.largest) if math.isfinite(each)]
    if known.n == known.n_inf:
        return Histogram(0, 1, np.zeros(0, np.int64))
    base: Number
    width: Number
    if vec.type is not VecType.REAL:
        base = int(min(finite))
        span = int(max(finite)) - base + 1
        width = -(-span // BINS)
        n_bins = -(-span // width)
    else:
        base, top = (min(finite), max(finite)) if known.n_inf == 0 else _finite_range(vec)
        width = top / BINS - base / BINS
        n_bins = BINS if width > 0.0 else 1
    items = [(vec.type, leaf, base, width, n_bins) for leaf in vec.leaves]
    return Histogram(base, width, ports.current().reduce(_add, ports.current().map(_bin, items)))


def _finite_range(vec: Vec) -> tuple[float, float]:
    ranges = ports.current().map(_finite_leaf, [(leaf,) for leaf in vec.leaves])
    low, high = ports.current().reduce(_widen, ranges)
    return low, high


def _finite_leaf(chunks: tuple[Chunk, ...]) -> tuple[float, float]:
    values = decode_leaf(VecType.REAL, chunks)
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (math.inf, -math.inf)


def _widen(left: tuple[float, float], right: tuple[float, float]) -> tuple[float, float]:
    return min(left[0], right[0]), max(left[1], right[1])


def _add(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return left + right


def _bin(type: VecType, chunks: tuple[Chunk, ...], base: Any, width: Any, n_bins: int) -> npt.NDArray[np.int64]:
    counts = np.zeros(n_bins, np.int64)
    values = decode_leaf(type, chunks)
    if type is VecType.REAL:
        kernels.bin_reals(values, float(base), float(width), counts)
    else:
        kernels.bin_ints(values, base, width, counts)
    return counts


def _summarise(type: VecType, chunks: tuple[Chunk, ...]) -> Rollups:
    return reduce(merge, (_summarise_chunk(type, chunk) for chunk in chunks))


def _summarise_chunk(type: VecType, chunk: Chunk) -> Rollups:
    if type in (VecType.STRING, VecType.UUID) or chunk.n_missing == chunk.n_rows:
        return Rollups(chunk.n_rows - chunk.n_missing, chunk.n_missing)
    if chunk.codec == Codec.CONSTANT:
        value = decode_leaf(type, [replace(chunk, n_rows=1)])[0].item()
        if math.isfinite(value):
            same = (value,) * min(EXTREMES, chunk.n_rows)
            n_zeros = chunk.n_rows if value == 0 else 0
            return Rollups(chunk.n_rows, 0, n_zeros, 0, value * chunk.n_rows, value, value, 0.0, same, same)
    return summary_of(type, decode_leaf(type, [chunk]))


def summary_of(type: VecType, values: Any) -> Rollups:
    """Return the rollups of decoded numbers."""
    if type is VecType.REAL:
        return _summary_of_reals(values)
    counts, squares = np.zeros(6, np.int64), np.zeros(1)
    kernels.int_moments(values, counts, squares)
    n, n_zeros, least, most, high, low = counts.tolist()
    if n == 0:
        return Rollups(0, len(values))
    small, large = np.full(EXTREMES, INT_MISSING), np.full(EXTREMES, INT_MISSING)
    kernels.int_extremes(values, small, large)
    k = min(n, EXTREMES)
    return Rollups(
        n,
        len(values) - n,
        n_zeros,
        0,
        (high << 32) + low,
        least,
        most,
        float(squares[0]),
        tuple(small[:k].tolist()),
        tuple(large[:k].tolist()),
    )


def _summary_of_reals(values: npt.NDArray[np.float64]) -> Rollups:
    counts, sums = np.zeros(3, np.int64), np.zeros(4)
    kernels.real_moments(values, counts, sums)
    n, n_zeros, n_inf = counts.tolist()
    if n == 0:
        return Rollups(0, len(values))
    small, large = np.full(EXTREMES, np.nan), np.full(EXTREMES, np.nan)
    kernels.real_extremes(values, small, large)
    least, most, total, m2 = sums.tolist()
    k = min(n, EXTREMES)
    return Rollups(
        n, len(values) - n, n_zeros, n_inf, total, least, most, m2, tuple(small[:k].tolist()), tuple(large[:k].tolist())
    )


def merge(left: Rollups, right: Rollups) -> Rollups:
    """Return the rollups of two neighbouring runs of rows."""
    if right.n == 0 or left.n == 0:
        full = left if right.n == 0 else right
        return replace(full, n_missing=left.n_missing + right.n_missing)
    n = left.n + right.n
    m2 = math.nan
    if left.n_inf == 0 and right.n_inf == 0:
        gap = right.mean - left.mean
        m2 = left.m2 + right.m2 + gap * gap * (left.n * right.n / n)
    if left.min is None or right.min is None or left.max is None or right.max is None:
        return Rollups(n, left.n_missing + right.n_missing)
    return Rollups(
        n,
        left.n_missing + right.n_missing,
        left.n_zeros + right.n_zeros,
        left.n_inf + right.n_inf,
        left.total + right.total,
        min(left.min, right.min),
        max(left.max, right.max),
        m2,
        tuple(sorted((*left.smallest, *right.smallest)))[:EXTREMES],
        tuple(sorted((*left.largest, *right.largest), reverse=True))[:EXTREMES],
    )


def merge_all(parts: Iterable[Rollups]) -> Rollups:
    """Merge in order; of nothing, the rollups of no rows."""
    return reduce(merge, parts, Rollups(0, 0))
