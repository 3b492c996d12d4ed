"""Scores, gradients and losses of one block of rows. Each function is one task of the engine.

Scores are one float64 array a class (one in all for squared and logistic loss). Like the
tasks of `tree.tasks` these change nothing they are given when `threads` is false; when it is
true the block is the only one and is updated in place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.models import losses
from hydroscope.models.losses import LOSS_TILE_ROWS
from hydroscope.models.tree.predictor import Forest, add_trees
from hydroscope.models.tree.tasks import pieces, run

__all__ = [
    "add_forest",
    "advance",
    "constant",
    "gradients",
    "loss_tiles",
    "rank_counts",
    "score_rows",
    "to_probabilities",
]

I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
F64 = npt.NDArray[np.float64]

SCORE_PIECE_ROWS = 65_536

RANK_BITS = 16
"""Bits of a score that `rank_counts` tells apart."""


RANK_PIECE_ROWS = 131_072
"""Rows whose counts are worth a table of their own, which is a megabyte."""


def constant(n_rows: int, base: F64) -> F64:
    """Return the scores before the first tree, shape (n_scores, n_rows)."""
    return np.repeat(base[:, None], n_rows, axis=1)


def advance(scores: F64, k: int, leaf: U32, values: F64, threads: bool) -> F64:
    """Return the scores with values[leaf] added to those of class k."""
    out = scores if threads else scores.copy()
    cuts = pieces(0, scores.shape[1], SCORE_PIECE_ROWS)
    run(threads, lambda i: losses.add_values(leaf, values, scores[k], *cuts[i], out[k]), len(cuts))
    return out


def gradients(
    loss: str, scores: F64, k: int, target: F64, weight: F64, steps: tuple[float, float, int],
    leaf: U32 | None, values: F64 | None, spare: I64 | None, threads: bool,
) -> tuple[F64, I64, I64]:  # fmt: skip
    """Return updated scores, packed gradients for class k, and the sums of |gradient| and hessian in steps.

    Parameters
    ----------
    loss : {"squared", "logistic", "softmax"}
    scores : ndarray of float64, shape (n_scores, n_rows)
        For softmax: probabilities.
    steps : (float, float, int)
        Gradient steps and hessian steps a unit, and the bits of the hessian field.
    leaf, values : ndarray or None
        The last tree's leaf of each row and its values: added to the scores in the same pass.
    spare : ndarray of int64, shape (n_rows,), or None
        Gradients that are not needed any more: memory to write the new ones to.

    Notes
    -----
    Cost: one pass, about 4 ns a row.
    """
    n_rows = scores.shape[1]
    packed = np.empty(n_rows, np.int64) if spare is None or not threads else spare
    cuts = pieces(0, n_rows, SCORE_PIECE_ROWS)
    sums = np.zeros((len(cuts), 2), np.int64)
    out = scores if threads or leaf is None else scores.copy()

    def step(i: int) -> None:
        first, last = cuts[i]
        if leaf is not None and values is not None:
            losses.add_values(leaf, values, scores[k], first, last, out[k])
        if loss == "softmax":
            losses.softmax_gradients(out[k], target, weight, float(k), *steps, first, last, packed, sums[i])
        elif loss == "logistic":
            losses.logistic_gradients(out[k], target, weight, *steps, first, last, packed, sums[i])
        else:
            losses.squared_gradients(out[k], target, weight, *steps, first, last, packed, sums[i])

    run(threads, step, len(cuts))
    return out, packed, sums.sum(axis=0)


def to_probabilities(loss: str, scores: F64, threads: bool) -> F64:
    """Return the probabilities that belong to scores, in the same shape; squared loss: the scores."""
    if loss == "squared":
        return scores
    out = np.empty_like(scores)
    cuts = pieces(0, scores.shape[1], SCORE_PIECE_ROWS)
    if loss == "softmax":
        run(threads, lambda i: losses.softmax(scores, *cuts[i], out), len(cuts))
    else:
        run(threads, lambda i: losses.probabilities(scores[0], *cuts[i], out[0]), len(cuts))
    return out


def loss_tiles(loss: str, scores: F64, target: F64, weight: F64, threads: bool) -> F64:
    """Return the summed loss of every LOSS_TILE_ROWS rows; to be added with `math.fsum`."""
    cuts = pieces(0, scores.shape[1], LOSS_TILE_ROWS)
    if loss == "softmax":
        return np.array(run(threads, lambda i: losses.softmax_loss(scores, target, weight, *cuts[i]), len(cuts)))
    total = losses.logistic_loss if loss == "logistic" else losses.squared_loss
    return np.array(run(threads, lambda i: total(scores[0], target, weight, *cuts[i]), len(cuts)))


def rank_counts(scores: F64, target: F64, count: I64, threads: bool) -> I64:
    """Return the weight of negatives and positives at each of 2**16 ascending scores, shape (2, 65536).

    The AUC of a scoring history is taken from these: integers, so it is the same for any
    blocks, and within 1e-4 of the exact one.
    """
    cuts = pieces(0, scores.shape[1], max(RANK_PIECE_ROWS, -(-scores.shape[1] // 8)))
    parts = [np.zeros((2, 1 << RANK_BITS), np.int64) for _ in cuts]
    run(threads, lambda i: losses.count_ranks(scores[0], target, count, *cuts[i], parts[i]), len(cuts))
    return np.sum(parts, axis=0, dtype=np.int64) if parts else np.zeros((2, 1 << RANK_BITS), np.int64)


def add_forest(words: U32, scores: F64, forest: Forest, threads: bool) -> F64:
    """Return the scores with all trees of the forest added. Cost: O(rows * trees * depth)."""
    out = scores if threads else scores.copy()
    nodes = (forest.starts, forest.depths, forest.output, forest.feature, forest.left, forest.mask, forest.value)
    cuts = pieces(0, scores.shape[1], SCORE_PIECE_ROWS)
    run(threads, lambda i: add_trees(words, *nodes, *cuts[i], out), len(cuts))
    return out


def score_rows(words: U32, base: F64, forest: Forest, loss: str, threads: bool) -> F64:
    """Return predictions: probabilities of shape (n_scores, n_rows), or means for squared loss."""
    scores: Any = np.repeat(base[:, None], words.shape[1], axis=1)
    nodes = (forest.starts, forest.depths, forest.output, forest.feature, forest.left, forest.mask, forest.value)
    cuts = pieces(0, words.shape[1], SCORE_PIECE_ROWS // 4)
    run(threads, lambda i: add_trees(words, *nodes, *cuts[i], scores), len(cuts))
    return to_probabilities(loss, scores, threads)
