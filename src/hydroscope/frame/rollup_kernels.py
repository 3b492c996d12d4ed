"""Compiled passes over one chunk's decoded values: moments, extremes, bins. Twin: `reference`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import typed_kernel
from hydroscope.ground.limits import INT_MISSING

__all__ = ["bin_ints", "bin_reals", "int_extremes", "int_moments", "real_extremes", "real_moments"]

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

_LANES = 8


@typed_kernel("const i8[], i8[], f8[]")
def int_moments(values: Ints, counts: Ints, squares: Reals) -> None:
    """Write (n, n_zeros, min, max, sum's high half, low half) and the squared deviations' sum.

    The sum is exact: halves of 32 bits are added up apart, which 2**31 rows cannot overflow.
    min and max are those of the present values; undefined when n is 0. O(n), two passes.
    """
    n, n_zeros, high, low = 0, 0, 0, 0
    least, most = 2**63 - 1, -(2**63 - 1)
    for i in range(values.size):
        v = values[i]
        here = v != INT_MISSING
        n += here
        n_zeros += v == 0
        high += (v >> 32) if here else 0
        low += (v & 0xFFFFFFFF) if here else 0
        least = min(least, v if here else 2**63 - 1)
        most = max(most, v)
    counts[0], counts[1], counts[2], counts[3], counts[4], counts[5] = n, n_zeros, least, most, high, low
    mean = (float(high) * 4294967296.0 + float(low)) / max(n, 1)
    total = 0.0
    for i in range(values.size):
        v = values[i]
        d = float(v) - mean if v != INT_MISSING else 0.0
        total += d * d
    squares[0] = total


@typed_kernel("const f8[], i8[], f8[]")
def real_moments(values: Reals, counts: Ints, sums: Reals) -> None:
    """Write (n, n_zeros, n_infinite) and (min, max, sum, squared deviations' sum).

    Eight partial sums, added up in a fixed order: as fast as vector code allows and more
    exact than one running sum. O(n), two passes.
    """
    lanes = np.zeros(_LANES)
    n, n_zeros, n_infinite = 0, 0, 0
    least, most = np.inf, -np.inf
    for i in range(values.size):
        v = values[i]
        here = v == v
        n += here
        n_zeros += v == 0.0
        n_infinite += abs(v) == np.inf
        least = v if v < least else least
        most = v if v > most else most
    whole = values.size - values.size % _LANES
    for i in range(0, whole, _LANES):
        for k in range(_LANES):
            v = values[i + k]
            lanes[k] += v if v == v else 0.0
    for i in range(whole, values.size):
        lanes[i - whole] += values[i] if values[i] == values[i] else 0.0
    total = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
    mean = total / max(n, 1)
    lanes[:] = 0.0
    for i in range(0, whole, _LANES):
        for k in range(_LANES):
            v = values[i + k]
            d = v - mean if v == v else 0.0
            lanes[k] += d * d
    for i in range(whole, values.size):
        d = values[i] - mean if values[i] == values[i] else 0.0
        lanes[i - whole] += d * d
    counts[0], counts[1], counts[2] = n, n_zeros, n_infinite
    sums[0], sums[1], sums[2] = least, most, total
    sums[3] = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))


@typed_kernel("const i8[], i8[], i8[]")
def int_extremes(values: Ints, low: Ints, high: Ints) -> None:
    """Write the smallest values (ascending) and the largest (descending); INT_MISSING where there are fewer."""
    k = low.size
    n_low, n_high = 0, 0
    for i in range(values.size):
        v = values[i]
        if v == INT_MISSING:
            continue
        if n_low < k or v < low[k - 1]:
            j = min(n_low, k - 1)
            while j > 0 and low[j - 1] > v:
                low[j] = low[j - 1]
                j -= 1
            low[j] = v
            n_low += n_low < k
        if n_high < k or v > high[k - 1]:
            j = min(n_high, k - 1)
            while j > 0 and high[j - 1] < v:
                high[j] = high[j - 1]
                j -= 1
            high[j] = v
            n_high += n_high < k


@typed_kernel("const f8[], f8[], f8[]")
def real_extremes(values: Reals, low: Reals, high: Reals) -> None:
    """Write the smallest values (ascending) and the largest (descending); NaN where there are fewer."""
    k = low.size
    n_low, n_high = 0, 0
    for i in range(values.size):
        v = values[i]
        if v != v:
            continue
        if n_low < k or v < low[k - 1]:
            j = min(n_low, k - 1)
            while j > 0 and low[j - 1] > v:
                low[j] = low[j - 1]
                j -= 1
            low[j] = v
            n_low += n_low < k
        if n_high < k or v > high[k - 1]:
            j = min(n_high, k - 1)
            while j > 0 and high[j - 1] < v:
                high[j] = high[j - 1]
                j -= 1
            high[j] = v
            n_high += n_high < k


@typed_kernel("const i8[], i8, i8, i8[]")
def bin_ints(values: Ints, base: int, width: int, counts: Ints) -> None:
    """Count values by (value - base) // width; what lies outside is left out. The difference may wrap."""
    n_bins = np.uint64(counts.size)
    step = np.uint64(width)
    for i in range(values.size):
        v = values[i]
        if v >= base and v != INT_MISSING:
            k = (np.uint64(v) - np.uint64(base)) // step
            if k < n_bins:
                counts[k] += 1


@typed_kernel("const f8[], f8, f8, i8[]")
def bin_reals(values: Reals, base: float, width: float, counts: Ints) -> None:
    """Count finite values by (value - base) / width; the largest value falls into the last bin."""
    n_bins = counts.size
    for i in range(values.size):
        v = values[i]
        if v >= base and v < np.inf:
            k = int(v / width - base / width) if width > 0.0 else 0
            counts[min(max(k, 0), n_bins - 1)] += 1
