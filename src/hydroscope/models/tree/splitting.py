"""The best split of a node, from its histogram.

With G and H the sums of gradient and hessian, a leaf's best value is -G / (H + l2) and its
score G^2 / (H + l2); a split gains the scores of its sides less the node's own (Chen and
Guestrin, *XGBoost: A Scalable Tree Boosting System*, KDD 2016, equation 7, without the
factor 1/2). Numbers: every threshold between bins, with the missing rows on either side.
Categories: levels sorted by G / (H + smoothing), every prefix of that order (Fisher, *On
Grouping for Maximum Homogeneity*, JASA 1958: the best subset is among them); missing is one
more level.

Ties go to the lowest feature and bin, so equal data give equal trees. `models.tree.reference`
has the obvious twin.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import kernel
from hydroscope.models.tree.histogram import BINS, MISSING_BIN

__all__ = [
    "ANY",
    "BY_COUNT",
    "BY_HESSIAN",
    "FEATURE",
    "FEATURE_BIN",
    "LEFT",
    "MISSING_LEFT",
    "Rules",
    "find",
    "find_nodes",
    "subtract",
]

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
F64 = npt.NDArray[np.float64]

ANY, BY_HESSIAN, BY_COUNT = 0, 1, 2
"""How `min_rows` is kept: not at all; by the hessian, which is the weight; by a histogram of weights."""

FEATURE, FEATURE_BIN, LEFT, MISSING_LEFT = 0, 1, 2, 3
"""Columns of what `find` says of a split: feature (-1: none), last bin on the left (numbers; -1: a
subset), packed sums of the left side, and whether missing rows go left."""

RELATIVE_FLOOR = 1e-10
"""A gain below this share of the scores it is the difference of is rounding."""


class Rules(NamedTuple):
    """What a split must keep. A NamedTuple, so that kernels can read it.

    Attributes
    ----------
    shift : int
        Bits of the hessian field.
    g_unit, h_unit : float
        Gradient and hessian of one integer step.
    l2 : float
    min_gain : float
    mode : int
        ANY, BY_HESSIAN or BY_COUNT.
    min_count : int
        Fewest rows a side, in units of the hessian (BY_HESSIAN) or of the counts (BY_COUNT).
    smoothing : float
        Hessian with gradient 0 that every level is given before levels are sorted.
    """

    shift: int
    g_unit: float
    h_unit: float
    l2: float
    min_gain: float
    mode: int
    min_count: int
    smoothing: float


@kernel
def subtract(parent: I64, built: I64, out: I64) -> None:
    """Set out = parent - built: the histogram of the sibling. Cost: O(cells)."""
    for i in range(len(parent)):
        out[i] = parent[i] - built[i]


@kernel
def _gain(left: int, total: int, rules: Rules) -> float:
    """Return the two sides' scores, or -1 when a side has no hessian."""
    mask = (1 << rules.shift) - 1
    h_left = left & mask
    h_right = (total & mask) - h_left
    if h_left <= 0 or h_right <= 0:
        return -1.0
    if rules.mode == BY_HESSIAN and (h_left < rules.min_count or h_right < rules.min_count):
        return -1.0
    g_left = left >> rules.shift
    g_right = (total >> rules.shift) - g_left
    a = h_left * rules.h_unit + rules.l2
    b = h_right * rules.h_unit + rules.l2
    x = g_left * rules.g_unit
    y = g_right * rules.g_unit
    return (x * x * b + y * y * a) / (a * b)


@kernel
def _own_score(total: int, rules: Rules) -> float:
    """Return the score of a node that is not split."""
    g = (total >> rules.shift) * rules.g_unit
    h = (total & ((1 << rules.shift) - 1)) * rules.h_unit + rules.l2
    return g * g / h if h > 0.0 else 0.0


@kernel
def _scan_number(
    cells: I64, counts: I64, n_bins: int, total: int, n_total: int, rules: Rules, best: float, found: I64
) -> float:
    """Try every threshold of one feature; write a split that beats `best` to `found`."""
    missing = cells[MISSING_BIN]
    counted = rules.mode == BY_COUNT
    n_missing = counts[MISSING_BIN] if counted else 0
    left = 0
    n_left = 0
    for b in range(n_bins):
        if counted:
            n_left += counts[b]
        cell = cells[b]
        if cell == 0 and b > 0:
            continue
        left += cell
        if not counted or (n_left >= rules.min_count and n_total - n_left >= rules.min_count):
            gain = _gain(left, total, rules)
            if gain > best:
                best = gain
                found[FEATURE_BIN] = b
                found[LEFT] = left
                found[MISSING_LEFT] = 0
        if missing != 0:
            n = n_left + n_missing
            if not counted or (n >= rules.min_count and n_total - n >= rules.min_count):
                gain = _gain(left + missing, total, rules)
                if gain > best:
                    best = gain
                    found[FEATURE_BIN] = b
                    found[LEFT] = left + missing
                    found[MISSING_LEFT] = 1
    return best


@kernel
def _sort_levels(keys: F64, levels: I64, n: int, spare: I64) -> None:
    """Sort levels[:n] by keys[level], ties by their order: a merge sort from the bottom up."""
    width = 1
    while width < n:
        for start in range(0, n, 2 * width):
            a = start
            middle = min(start + width, n)
            b = middle
            end = min(start + 2 * width, n)
            for k in range(start, end):
                if a < middle and (b >= end or keys[levels[a]] <= keys[levels[b]]):
                    spare[k] = levels[a]
                    a += 1
                else:
                    spare[k] = levels[b]
                    b += 1
        for k in range(n):
            levels[k] = spare[k]
        width *= 2


@kernel
def _order_levels(cells: I64, rules: Rules, keys: F64, levels: I64, spare: I64) -> int:
    """Sort the levels that occur in the node, the missing one included; return how many there are."""
    mask = (1 << rules.shift) - 1
    n = 0
    for b in range(BINS):
        h = cells[b] & mask
        if h > 0:
            keys[b] = (cells[b] >> rules.shift) * rules.g_unit / (h * rules.h_unit + rules.smoothing)
            levels[n] = b
            n += 1
    _sort_levels(keys, levels, n, spare)
    return n


@kernel
def _scan_levels(
    cells: I64, counts: I64, levels: I64, n: int, total: int, n_total: int, rules: Rules, best: float, found: I64
) -> float:
    """Try every prefix of the sorted levels; FEATURE_BIN becomes -1 - (levels on the left)."""
    counted = rules.mode == BY_COUNT
    left = 0
    n_left = 0
    for k in range(n - 1):
        left += cells[levels[k]]
        if counted:
            n_left += counts[levels[k]]
            if n_left < rules.min_count or n_total - n_left < rules.min_count:
                continue
        gain = _gain(left, total, rules)
        if gain > best:
            best = gain
            found[FEATURE_BIN] = -2 - k
            found[LEFT] = left
    return best


@kernel
def _table(cells: I64, found: I64, total: int, levels: I64, rules: Rules, goes_left: U8) -> None:
    """Write which bins go left; bins that did not occur in the node go where most of the hessian is."""
    mask = (1 << rules.shift) - 1
    h_left = found[LEFT] & mask
    heavier = 1 if 2 * h_left > (total & mask) else 0
    if found[FEATURE_BIN] >= 0:
        for b in range(BINS):
            goes_left[b] = 1 if b <= found[FEATURE_BIN] else 0
        if cells[MISSING_BIN] == 0:
            found[MISSING_LEFT] = heavier
        goes_left[MISSING_BIN] = found[MISSING_LEFT]
        return
    for b in range(BINS):
        goes_left[b] = heavier if cells[b] & mask == 0 else 0
    for k in range(-1 - found[FEATURE_BIN]):
        goes_left[levels[k]] = 1
    found[FEATURE_BIN] = -1
    found[MISSING_LEFT] = goes_left[MISSING_BIN]


@kernel
def find(
    cells: I64,
    counts: I64,
    total: int,
    features: I32,
    n_bins: I32,
    is_enum: U8,
    rules: Rules,
    found: I64,
    goes_left: U8,
) -> float:
    """Find the best split of one node and return its gain (0.0: there is none).

    Parameters
    ----------
    cells : ndarray of int64, shape (n_features_padded * 256,)                       # IN
    counts : ndarray of int64, like cells; empty unless rules.mode is BY_COUNT       # IN
    total : int                                                                      # IN
        Packed sums of the node.
    features : ndarray of int32                                                      # IN
        Features to try, ascending.
    n_bins : ndarray of int32, shape (n_features,)                                   # IN
        Bins of values of each feature.
    is_enum : ndarray of uint8, shape (n_features,)                                  # IN
    rules : Rules                                                                    # IN
    found : ndarray of int64, shape (4,)                                             # OUT
        See `FEATURE`, `FEATURE_BIN`, `LEFT`, `MISSING_LEFT`.
    goes_left : ndarray of uint8, shape (256,)                                       # OUT
        For each bin of the feature, 1 when it goes left.

    Notes
    -----
    Cost: O(len(features) * 256), and a sort of the levels for categories.
    """
    keys = np.empty(BINS, np.float64)
    levels = np.empty(BINS, np.int64)
    spare = np.empty(BINS, np.int64)
    own = _own_score(total, rules)
    best = own + rules.min_gain
    found[FEATURE] = -1
    trial = np.empty(4, np.int64)
    no_counts = counts[:0]
    n_total = 0
    if rules.mode == BY_COUNT:
        first = features[0] * BINS
        for b in range(BINS):
            n_total += counts[first + b]
    for feature in features:
        at = feature * BINS
        own_cells = cells[at : at + BINS]
        own_counts = counts[at : at + BINS] if rules.mode == BY_COUNT else no_counts
        if is_enum[feature]:
            n = _order_levels(own_cells, rules, keys, levels, spare)
            gain = _scan_levels(own_cells, own_counts, levels, n, total, n_total, rules, best, trial)
        else:
            gain = _scan_number(own_cells, own_counts, n_bins[feature], total, n_total, rules, best, trial)
        if gain > best:
            best = gain
            found[:] = trial
            found[FEATURE] = feature
    if found[FEATURE] < 0 or best - own <= RELATIVE_FLOOR * best:
        found[FEATURE] = -1
        return 0.0
    at = found[FEATURE] * BINS
    if found[FEATURE_BIN] < 0:
        _order_levels(cells[at : at + BINS], rules, keys, levels, spare)
    _table(cells[at : at + BINS], found, total, levels, rules, goes_left)
    return best - own


@kernel
def find_nodes(
    cells: I64, counts: I64, totals: I64, features: I32, n_bins: I32, is_enum: U8, rules: Rules, first: int, last: int,
    gain: F64, found: I64, goes_left: U8,
) -> None:  # fmt: skip
    """Find the best splits of nodes first..last: `find` with one line a node in every array.

    `counts` has no line unless rules.mode is BY_COUNT.
    """
    for k in range(first, last):
        own = counts[k] if rules.mode == BY_COUNT else totals[:0]
        gain[k] = find(cells[k], own, totals[k], features, n_bins, is_enum, rules, found[k], goes_left[k])
