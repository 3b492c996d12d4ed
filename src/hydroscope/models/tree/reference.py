"""The obvious twins of the kernels: slow, plain, and the specification of what they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.models.tree.histogram import BINS, GROUP, MISSING_BIN
from hydroscope.models.tree.predictor import Forest

__all__ = ["Split", "bins_of_words", "find", "gain", "histogram", "partition", "predict", "tree_values"]

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """A split: `gain`, the feature, and which bins go left."""

    gain: float
    feature: int
    left: frozenset[int]


def bins_of_words(words: npt.NDArray[np.uint32], n_features: int) -> U8:
    """Return the bins of packed words, shape (n_rows, n_features)."""
    columns = [(words[j // GROUP] >> (8 * (j % GROUP))) & 255 for j in range(n_features)]
    return np.stack(columns, axis=1).astype(np.uint8)


def histogram(bins: U8, gradient: I64, hessian: I64, rows: I64) -> tuple[I64, I64]:
    """Return sums of gradient and of hessian by feature and bin, each of shape (n_features, 256)."""
    n_features = bins.shape[1]
    g = np.zeros((n_features, BINS), np.int64)
    h = np.zeros((n_features, BINS), np.int64)
    for row in rows:
        for j in range(n_features):
            g[j, bins[row, j]] += gradient[row]
            h[j, bins[row, j]] += hessian[row]
    return g, h


def gain(g_left: float, h_left: float, g_right: float, h_right: float, l2: float) -> float:
    """Return what a split takes off twice the loss."""
    whole = (g_left + g_right) ** 2 / (h_left + h_right + l2)
    return g_left**2 / (h_left + l2) + g_right**2 / (h_right + l2) - whole


def find(
    g: F64, h: F64, weight: F64, is_enum: npt.NDArray[Any], l2: float, min_rows: float, smoothing: float
) -> Split | None:
    """Return the best split of a node, or None; all arrays but `is_enum` have shape (n_features, 256).

    Ties go to the first in the order of features, then of bins, then missing values right
    before left. Bins the node has no row of are in neither set.
    """
    best: Split | None = None
    for j in range(len(g)):
        present = [b for b in range(BINS) if h[j, b] > 0]
        for left in _candidates(g[j], h[j], present, bool(is_enum[j]), smoothing):
            right = [b for b in present if b not in left]
            if not left or not right:
                continue
            if min(weight[j, list(left)].sum(), weight[j, right].sum()) < min_rows:
                continue
            inside = list(left)
            value = gain(g[j, inside].sum(), h[j, inside].sum(), g[j, right].sum(), h[j, right].sum(), l2)
            if value > 0 and (best is None or value > best.gain):
                best = Split(float(value), j, frozenset(inside))
    return best


def _candidates(g: F64, h: F64, present: list[int], is_enum: bool, smoothing: float) -> list[frozenset[int]]:
    """Return the sets of bins that may go left, in the order in which they are tried."""
    if is_enum:
        order = sorted(present, key=lambda b: g[b] / (h[b] + smoothing))
        return [frozenset(order[: k + 1]) for k in range(len(order) - 1)]
    values = [b for b in present if b != MISSING_BIN]
    found = []
    for k in range(len(values)):
        prefix = frozenset(values[: k + 1])
        found.append(prefix)
        if MISSING_BIN in present:
            found.append(prefix | {MISSING_BIN})
    return found


def partition(bins: npt.NDArray[np.uint8], rows: I64, goes_left: U8) -> tuple[I64, I64]:
    """Return the rows on the left and on the right, each in their order; `bins` are one feature's."""
    left = [int(row) for row in rows if goes_left[bins[row]]]
    right = [int(row) for row in rows if not goes_left[bins[row]]]
    return np.array(left, np.int64), np.array(right, np.int64)


def tree_values(bins: U8, forest: Forest, tree: int) -> tuple[I64, F64]:
    """Return the leaf (counted from the tree's first node) and the value of each row in one tree."""
    base = int(forest.starts[tree])
    leaves = []
    for line in bins:
        node = 0
        while forest.feature[base + node] >= 0:
            b = int(line[forest.feature[base + node]])
            left = int(forest.left[base + node])
            inside = (int(forest.mask[base + node, b // 64]) >> (b % 64)) & 1
            node = left if inside else left + 1
        leaves.append(node)
    found = np.array(leaves, np.int64)
    return found, forest.value[base + found]


def predict(bins: U8, base: F64, forest: Forest) -> F64:
    """Return the scores, shape (n_scores, n_rows)."""
    scores = np.repeat(base[:, None], len(bins), axis=1)
    for tree in range(forest.n_trees):
        scores[forest.output[tree]] += tree_values(bins, forest, tree)[1]
    return scores
