"""A GBM as it was learnt, and predicting with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.frame.vec import VecType
from hydroscope.ground.errors import UserError
from hydroscope.models import scoring
from hydroscope.models.base import Fed
from hydroscope.models.boosting import Record
from hydroscope.models.table import Table, adapt, cut_rows, words_of
from hydroscope.models.target import Classes
from hydroscope.models.tree.binning import FeatureBins, bin_leaves
from hydroscope.models.tree.predictor import Forest
from hydroscope.node import ports

__all__ = [
    "GBMModel",
    "aligned",
    "all_probabilities",
    "labels_of",
    "most_probable",
    "predict_parts",
    "probability_of",
    "row_of",
    "whole",
]

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GBMModel:
    """What was learnt: all that prediction needs, and all that a file keeps.

    Attributes
    ----------
    kind : {"classifier", "regressor"}
    loss : {"squared", "logistic", "softmax"}
    parameters : mapping
        As they were when `fit` was called.
    seed : int
        Of the samples: `random_state`, or a fresh one.
    bins : tuple of FeatureBins
        One a feature.
    named : bool
        Whether features were named by the user.
    target : str
    classes : Classes or None
    base : ndarray of float64, shape (n_scores,)
        Scores before the first tree.
    forest : Forest
    history : tuple of Record
    notes : tuple of str
        What the user should know about the training.
    """

    kind: str
    loss: str
    parameters: Mapping[str, Any]
    seed: int
    bins: tuple[FeatureBins, ...]
    named: bool
    target: str
    classes: Classes | None
    base: F64
    forest: Forest
    history: tuple[Record, ...]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names."""
        return tuple(each.name for each in self.bins)

    @property
    def n_rounds(self) -> int:
        """Rounds of boosting: trees, or trees a class when there are three classes or more."""
        return self.forest.n_trees // len(self.base)


def predict_parts(model: GBMModel, fed: Fed, owner: str, block_rows: int | None = None) -> list[Any]:
    """Return handles of predictions, each of shape (n_scores, n_rows): one a leaf of a Frame, else one a block.

    Cost: one pass over the features, and trees times depth steps a row.
    """
    engine = ports.current()
    table, bins = aligned(fed, model.names, model.bins, owner)
    if not fed.is_frame:
        cut = cut_rows(table, block_rows)
        words = words_of(table, bins, cut)
        items = [(each, model.base, model.forest, model.loss, cut.threads) for each in words]
        return list(engine.map(scoring.score_rows, items))
    leaves = []
    for leaf in range(len(table.layout.leaves)):
        first, last = table.layout.leaf_rows(leaf)
        handles = [vec.leaves[leaf] for vec in table.vecs]
        leaves.append((model.loss, model.base, model.forest, bins, table.types, last - first, *handles))
    return list(engine.map(_predict_leaf, leaves))


def whole(model: GBMModel, parts: list[Any]) -> F64:
    """Return the predictions of all rows, shape (n_scores, n_rows)."""
    found: F64 = np.concatenate([np.zeros((len(model.base), 0)), *ports.current().get(parts)], axis=1)
    return found


def aligned(
    fed: Fed, names: Sequence[str], bins: tuple[FeatureBins, ...], owner: str
) -> tuple[Table, tuple[FeatureBins, ...]]:
    """Return the data's columns in the model's order, with bins for their own levels."""
    if fed.table.array is None:
        return adapt(fed.table, names, bins)
    if fed.table.array.shape[1] != len(bins):
        raise UserError(
            f"X has {fed.table.array.shape[1]} features, but {owner} is expecting {len(bins)} features as input; "
            "give the columns it was trained on, in the same order"
        )
    levels = [each.name for each in bins if each.domain is not None]
    if levels:
        raise UserError(
            f"the model was trained on levels in column {levels[0]!r}, and a matrix of numbers has none; "
            "give a Frame or DataFrame with the same columns"
        )
    return fed.table, bins


def _predict_leaf(
    loss: str, base: F64, forest: Forest, bins: tuple[FeatureBins, ...], types: Sequence[VecType], n_rows: int,
    *leaf: Any,
) -> F64:  # fmt: skip
    """Return the predictions of one leaf of a frame, shape (n_scores, n_rows)."""
    words = bin_leaves(bins, types, [n_rows], False, *leaf)
    return scoring.score_rows(words, base, forest, loss, False)


def row_of(part: F64, k: int) -> F64:
    """Return one score of each row."""
    line: F64 = part[k]
    return line


def probability_of(part: F64, k: int) -> F64:
    """Return the probability of one class."""
    line: F64 = all_probabilities(part)[k]
    return line


def labels_of(part: F64, labels: npt.NDArray[Any], type: VecType) -> npt.NDArray[Any]:
    """Return the most probable class of each row as a frame's column holds it."""
    found = most_probable(part)
    if type is VecType.ENUM:
        return found
    return labels[found].astype(np.float64 if type is VecType.REAL else np.int64)


def all_probabilities(part: F64) -> F64:
    """Return one line a class; two classes are predicted as one line, of the second."""
    return np.stack([1.0 - part[0], part[0]]) if len(part) == 1 else part


def most_probable(part: F64) -> npt.NDArray[np.int64]:
    """Return the index of the most probable class of each row, the first of equals."""
    found: npt.NDArray[np.int64] = (part[0] > 0.5).astype(np.int64) if len(part) == 1 else np.argmax(part, axis=0)
    return found
