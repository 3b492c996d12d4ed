"""Exact quantiles of a column without sorting it: narrow down the range that holds each rank.

Values are mapped to unsigned keys of the same order. Between the smallest and the largest
key lie 65,536 bins; one pass counts them, which tells the bin of each rank wanted. When
the bins that matter hold few values, these are fetched and sorted; otherwise each of them
is divided into 65,536 again. Interpolation is type 7 of Hyndman and Fan, *Sample Quantiles
in Statistical Packages* (The American Statistician 50, 1996).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame.access import decode_leaf
from hydroscope.frame.rollups import rollups
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.errors import UserError
from hydroscope.ground.jit import typed_kernel
from hydroscope.ground.limits import INT_MISSING
from hydroscope.node import ports

__all__ = ["order_statistics", "quantiles"]

BIN_BITS = 16
FETCH_MAX = 1 << 18
"""Values that are fetched and sorted rather than divided again, for each range of keys."""

Range = tuple[int, int]
"""First key, and how many bits the bins of a range drop: bin = (key - first) >> bits."""

Keys = npt.NDArray[np.uint64]


def quantiles(vec: Vec, probabilities: Sequence[float]) -> list[float]:
    """Return the type-7 quantiles of the values present; NaN when there is none.

    Cost: the rollups, then two passes (three when values crowd together).
    """
    for p in probabilities:
        if not (isinstance(p, int | float) and 0.0 <= p <= 1.0):
            raise UserError(f"quantile({p!r}): a probability lies between 0 and 1")
    n = rollups(vec).n
    if n == 0:
        return [math.nan] * len(probabilities)
    places = [(n - 1) * float(p) for p in probabilities]
    ranks = sorted({rank for place in places for rank in (math.floor(place), math.ceil(place))})
    values = dict(zip(ranks, order_statistics(vec, ranks), strict=True))
    found = []
    for place in places:
        low, high = values[math.floor(place)], values[math.ceil(place)]
        share = place - math.floor(place)
        found.append(float(low) if low == high or share == 0.0 else float(low + (high - low) * share))
    return found


def order_statistics(vec: Vec, ranks: Sequence[int]) -> list[Any]:
    """Return the values of the given ranks (ascending, from 0) among the values present, exactly."""
    known = rollups(vec)
    assert known.min is not None
    assert known.max is not None
    type = VecType.REAL if vec.type is VecType.REAL else VecType.INT
    low, high = (int(each) for each in _keys(_array(type, [known.min, known.max])))
    found: dict[int, Any] = {}
    _narrow(vec, type, [(low, _bits_dropped(high - low + 1), 0, list(ranks))], found)
    return [found[rank] for rank in ranks]


def _narrow(vec: Vec, type: VecType, open_: list[tuple[int, int, int, list[int]]], found: dict[int, Any]) -> None:
    """Resolve ranks; each open range is (first key, bits, rank of its first value, ranks wanted)."""
    while open_:
        here, open_ = open_[:64], open_[64:]
        ranges = tuple((first, bits) for first, bits, _, _ in here)
        counts = _sum(vec, _count_leaf, type, ranges)
        small: list[tuple[int, int, int, list[int]]] = []
        for (first, bits, base, ranks), row in zip(here, counts, strict=True):
            ends = base + np.cumsum(row)
            bins = np.searchsorted(ends, ranks, side="right")
            for each in np.unique(bins).tolist():
                wanted = [rank for rank, bin_ in zip(ranks, bins.tolist(), strict=True) if bin_ == each]
                start = int(ends[each] - row[each])
                key = first + (each << bits)
                if bits == 0:
                    found.update(dict.fromkeys(wanted, _value(type, key)))
                elif row[each] <= FETCH_MAX:
                    small.append((key, bits, start, wanted))
                else:
                    open_.append((key, _bits_dropped(1 << bits), start, wanted))
        _fetch(vec, type, small, found)


def _fetch(vec: Vec, type: VecType, small: list[tuple[int, int, int, list[int]]], found: dict[int, Any]) -> None:
    """Get the values of small ranges and pick the ranks from them, sorted."""
    if not small:
        return
    ranges = tuple((first, bits) for first, bits, _, _ in small)
    engine = ports.current()
    leaves = engine.get(engine.map(_fetch_leaf, [(type, leaf, ranges) for leaf in vec.leaves]))
    for i, (_, _, start, wanted) in enumerate(small):
        keys = np.sort(np.concatenate([leaf[i] for leaf in leaves]))
        for rank in wanted:
            found[rank] = _value(type, int(keys[rank - start]))


def _sum(vec: Vec, function: Any, type: VecType, ranges: tuple[Range, ...]) -> npt.NDArray[np.int64]:
    engine = ports.current()
    handles = engine.map(function, [(type, leaf, ranges) for leaf in vec.leaves])
    total: npt.NDArray[np.int64] = engine.reduce(_add, handles)
    return total


def _add(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return left + right


def _bits_dropped(n_keys: int) -> int:
    """Return the bits to drop so that `n_keys` consecutive keys fall into at most 65,536 bins."""
    return max(0, (n_keys - 1).bit_length() - BIN_BITS)


def _array(type: VecType, values: Sequence[Any]) -> npt.NDArray[Any]:
    return np.array(values, np.float64 if type is VecType.REAL else np.int64)


def _keys(values: npt.NDArray[Any]) -> Keys:
    """Return unsigned keys in the order of the values (-0.0 counts as 0.0)."""
    top = np.uint64(1 << 63)
    if values.dtype == np.int64:
        return np.asarray(values.view(np.uint64) ^ top)
    bits = (values + 0.0).view(np.uint64)
    return np.asarray(np.where(bits >> np.uint64(63), ~bits, bits | top))


def _value(type: VecType, key: int) -> Any:
    """Return the value of a key."""
    if type is not VecType.REAL:
        return key - (1 << 63)
    bits = key ^ (1 << 63) if key >> 63 else key ^ ((1 << 64) - 1)
    return float(np.array([bits], np.uint64).view(np.float64)[0])


def _present(type: VecType, chunks: tuple[Chunk, ...]) -> Keys:
    values = decode_leaf(type, chunks)
    if any(chunk.n_missing for chunk in chunks):
        values = values[~np.isnan(values)] if type is VecType.REAL else values[values != INT_MISSING]
    return _keys(values)


def _count_leaf(type: VecType, chunks: tuple[Chunk, ...], ranges: tuple[Range, ...]) -> npt.NDArray[np.int64]:
    keys = _present(type, chunks)
    counts = np.zeros((len(ranges), 1 << BIN_BITS), np.int64)
    for i, (first, bits) in enumerate(ranges):
        count_keys(keys, np.uint64(first), bits, counts[i])
    return counts


def _fetch_leaf(type: VecType, chunks: tuple[Chunk, ...], ranges: tuple[Range, ...]) -> list[Keys]:
    keys = _present(type, chunks)
    parts = []
    for first, bits in ranges:
        parts.append(keys[(keys - np.uint64(first)) < np.uint64(1 << bits)])
    return parts


@typed_kernel("const u8[], u8, i8, i8[]")
def count_keys(keys: Keys, first: np.uint64, bits: int, counts: npt.NDArray[np.int64]) -> None:
    """Count keys by (key - first) >> bits; those below wrap around and fall outside."""
    shift = np.uint64(bits)
    n_bins = np.uint64(counts.size)
    for i in range(keys.size):
        k = (keys[i] - first) >> shift
        if k < n_bins:
            counts[k] += 1
