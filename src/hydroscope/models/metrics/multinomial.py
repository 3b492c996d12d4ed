"""Metrics of predicted classes, more than two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hydroscope.ground.errors import UserError
from hydroscope.models.metrics import kernels
from hydroscope.models.metrics.confusion import ConfusionMatrix
from hydroscope.models.metrics.rows import as_reals, choose, tiles, total
from hydroscope.models.metrics.table import MetricTable, pairs_html, pairs_text

__all__ = ["MultinomialMetrics", "multinomial"]


@dataclass(frozen=True)
class MultinomialMetrics:
    """How good predicted probabilities of several classes are.

    Attributes
    ----------
    classes : tuple of str
    n_rows, n_missing : int
        Rows measured, and rows left out because a value was missing or the weight was 0.
    logloss : float
        Mean of -log(probability of the actual class), clipped at 2**-52.
    mse, rmse : float
        Mean of (1 - probability of the actual class)**2, and its root.
    error, accuracy : float
        Share of rows whose most probable class is wrong, right; among equally probable
        classes the first counts as predicted.
    mean_per_class_error : float
        Mean of the classes' own errors, over the classes that have rows.
    hit_ratios : ndarray of float64, shape (n_classes,)
        Share of rows whose actual class is among the k + 1 most probable.
    """

    classes: tuple[str, ...]
    n_rows: int
    n_missing: int
    logloss: float
    mse: float
    rmse: float
    error: float
    accuracy: float
    mean_per_class_error: float
    hit_ratios: kernels.F64 = field(repr=False)
    _counts: kernels.F64 = field(repr=False)

    kind = "multinomial"

    def confusion(self) -> ConfusionMatrix:
        """Return the confusion matrix. Cost: free."""
        return ConfusionMatrix(self.classes, self._counts)

    def hit_ratio_table(self, k_max: int = 10) -> MetricTable:
        """Return the hit ratios of the first `k_max` ranks. Cost: free."""
        shown = self.hit_ratios[:k_max]
        return MetricTable("Hit ratios", {"k": np.arange(1, len(shown) + 1), "hit_ratio": shown})

    def to_dict(self) -> dict[str, float]:
        """Return the single figures by name."""
        names = ("logloss", "mse", "rmse", "error", "accuracy", "mean_per_class_error", "n_rows", "n_missing")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return pairs_text(f"Multinomial metrics, {len(self.classes)} classes", self.to_dict())

    def _repr_html_(self) -> str:
        title = f"Multinomial metrics, {len(self.classes)} classes"
        return pairs_html(title, self.to_dict()) + self.confusion()._repr_html_()


def multinomial(
    actual_codes: object, probabilities: object, classes: Sequence[str], weights: object | None = None
) -> MultinomialMetrics:
    """Measure predicted probabilities of several classes.

    Rows in which the actual class, a probability or the weight is missing, or the weight
    is 0, are left out and counted in `n_missing`.

    Parameters
    ----------
    actual_codes : array_like of int, shape (n,)
        Index of the actual class.
    probabilities : array_like of float, shape (n, n_classes)
        Between 0 and 1.
    classes : sequence of str
    weights : array_like of numbers, shape (n,), optional

    Returns
    -------
    MultinomialMetrics

    Raises
    ------
    UserError
        Shapes differ, a code or probability is out of range, or no row is left.

    Notes
    -----
    Cost: one pass, O(n * n_classes).

    Examples
    --------
    >>> found = multinomial([0, 2], [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3]], ["a", "b", "c"])
    >>> found.accuracy, found.hit_ratios
    (0.5, array([0.5, 1. , 1. ]))
    """
    codes = as_reals("actual_codes", actual_codes)
    table = np.ascontiguousarray(probabilities, dtype=np.float64)
    if table.shape != (len(codes), len(classes)):
        raise UserError(
            f"probabilities have shape {table.shape}; {len(codes):,} rows and {len(classes)} classes "
            f"need {(len(codes), len(classes))}"
        )
    if len(classes) < 2:
        raise UserError(f"{len(classes)} class(es); metrics of classes need two or more")
    _refuse_outside(codes, table, len(classes))
    rows = choose(len(codes), np.isnan(codes) | np.isnan(table).any(axis=1), weights)
    kept = rows.of(codes).astype(np.int64)
    counts = np.zeros((len(classes), len(classes)))
    ranks = np.zeros(len(classes))
    sums = tiles(rows.n_rows, 2)
    kernels.multinomial_pass(kept, rows.of(table).ravel(), rows.weights, counts.ravel(), ranks, sums[0], sums[1])
    confusion = ConfusionMatrix(tuple(classes), counts)
    mse = total(sums[1]) / rows.weight
    return MultinomialMetrics(
        classes=tuple(classes),
        n_rows=rows.n_rows,
        n_missing=rows.n_missing,
        logloss=total(sums[0]) / rows.weight,
        mse=mse,
        rmse=math.sqrt(mse),
        error=confusion.error,
        accuracy=confusion.accuracy,
        mean_per_class_error=confusion.mean_per_class_error,
        hit_ratios=np.cumsum(ranks) / ranks.sum(),
        _counts=counts,
    )


def _refuse_outside(codes: kernels.F64, table: kernels.F64, n_classes: int) -> None:
    wrong = np.flatnonzero((codes < 0) | (codes >= n_classes) | (codes != np.floor(codes)) & ~np.isnan(codes))
    if len(wrong):
        row = int(wrong[0])
        raise UserError(
            f"actual code {codes[row]:g} at row {row}: with {n_classes} classes, codes are 0 to {n_classes - 1}"
        )
    outside = np.argwhere((table < 0) | (table > 1))
    if len(outside):
        row, column = (int(each) for each in outside[0])
        raise UserError(f"probability {table[row, column]:g} at row {row}, class {column}: must lie between 0 and 1")
