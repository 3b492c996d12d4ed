"""Metrics of the predicted probability of one of two classes.

Everything about ranking comes from one small table: the distinct scores in descending
order, and the weight of positives (tps) and negatives (fps) at or above each. Rows with
equal scores share one entry, so ties are exact everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hydroscope.ground.errors import UserError
from hydroscope.models.metrics import kernels
from hydroscope.models.metrics.confusion import ConfusionMatrix
from hydroscope.models.metrics.rows import Rows, as_reals, choose, tiles, total
from hydroscope.models.metrics.table import MetricTable, pairs_html, pairs_text

__all__ = ["BinaryMetrics", "binary"]

F64 = npt.NDArray[np.float64]

FIGURES = (
    "auc",
    "pr_auc",
    "logloss",
    "rmse",
    "mse",
    "gini",
    "ks",
    "prior",
    "mean_per_class_error",
    "accuracy",
    "max_f1",
    "max_f1_threshold",
    "n_rows",
    "n_missing",
)


@dataclass(frozen=True)
class BinaryMetrics:
    """How good predicted probabilities of the second of two classes are.

    Attributes
    ----------
    classes : tuple of str
        The negative and the positive class.
    n_rows, n_missing : int
        Rows measured, and rows left out because a value was missing or the weight was 0.
    auc : float
        Area under the ROC curve; a tie of a positive and a negative counts half.
    pr_auc : float
        Average precision: the precision at each distinct score, weighted with the step of
        the recall (not the trapezoids of the precision-recall curve, which flatter).
    logloss : float
        Mean of -log(probability of the actual class), clipped at 2**-52.
    mse, rmse : float
        Mean squared difference of the probability from 0 or 1 (the Brier score), its root.
    max_f1, max_f1_threshold : float
        The largest F1 over all distinct scores as thresholds, and the highest of the
        thresholds that give it.
    """

    classes: tuple[str, str]
    n_rows: int
    n_missing: int
    auc: float
    pr_auc: float
    logloss: float
    mse: float
    rmse: float
    max_f1: float
    max_f1_threshold: float
    _thresholds: F64 = field(repr=False)
    _tps: F64 = field(repr=False)
    _fps: F64 = field(repr=False)

    kind = "binary"

    @property
    def gini(self) -> float:
        """2 * auc - 1."""
        return 2.0 * self.auc - 1.0

    @property
    def prior(self) -> float:
        """Share of the positive class."""
        return float(self._tps[-1] / (self._tps[-1] + self._fps[-1]))

    @cached_property
    def ks(self) -> float:
        """Kolmogorov-Smirnov distance: the largest tpr - fpr. Cost: O(distinct scores), once."""
        return float(max(0.0, (self._tps / self._tps[-1] - self._fps / self._fps[-1]).max()))

    @property
    def mean_per_class_error(self) -> float:
        """Mean of the two classes' errors at the threshold of the largest F1."""
        return self.confusion().mean_per_class_error

    @property
    def accuracy(self) -> float:
        """Share of rows predicted rightly at the threshold of the largest F1."""
        return self.confusion().accuracy

    def confusion(self, threshold: float | None = None) -> ConfusionMatrix:
        """Return the confusion matrix when the positive class is predicted at or above `threshold`.

        The default threshold is the one of the largest F1. Cost: O(log(distinct scores)).
        """
        at = self.max_f1_threshold if threshold is None else float(threshold)
        if math.isnan(at):
            raise UserError("threshold nan; a threshold is a number, usually between 0 and 1")
        n_above = int(np.searchsorted(-self._thresholds, -at, side="right"))
        tp, fp = (float(self._tps[n_above - 1]), float(self._fps[n_above - 1])) if n_above else (0.0, 0.0)
        positives, negatives = float(self._tps[-1]), float(self._fps[-1])
        return ConfusionMatrix(self.classes, np.array([[negatives - fp, fp], [positives - tp, tp]]), at)

    def roc(self, n_points: int | None = None) -> MetricTable:
        """Return the ROC curve: columns `threshold`, `fpr`, `tpr`, from (0, 0) to (1, 1).

        `n_points` thins it for a plot: at most so many points (and the two ends), spread
        evenly along the curve's length. Cost: O(distinct scores).
        """
        fpr = np.concatenate(([0.0], self._fps / self._fps[-1]))
        tpr = np.concatenate(([0.0], self._tps / self._tps[-1]))
        threshold = np.concatenate(([np.inf], self._thresholds))
        kept = _thin(fpr, tpr, n_points)
        return MetricTable("ROC curve", {"threshold": threshold[kept], "fpr": fpr[kept], "tpr": tpr[kept]})

    def thresholds(self, n_points: int | None = 400) -> MetricTable:
        """Return precision, recall, F1 and accuracy by threshold, descending.

        `n_points` thins the table (None: every distinct score); the threshold of the
        largest F1 is always there. Cost: O(distinct scores).
        """
        weight = self._tps[-1] + self._fps[-1]
        kept = _thin(self._fps / self._fps[-1], self._tps / self._tps[-1], n_points)
        best = np.flatnonzero(self._thresholds == self.max_f1_threshold)
        kept = np.union1d(kept, best)
        tp, fp = self._tps[kept], self._fps[kept]
        return MetricTable(
            "Scores by threshold",
            {
                "threshold": self._thresholds[kept],
                "precision": tp / (tp + fp),
                "recall": tp / self._tps[-1],
                "f1": 2.0 * tp / (self._tps[-1] + tp + fp),
                "accuracy": (tp + self._fps[-1] - fp) / weight,
            },
        )

    def gains(self, groups: int = 16) -> MetricTable:
        """Return the gains and lift table: rows by descending score, in groups of equal weight.

        Rows with equal scores stay in one group, so there may be fewer. `lift` is the
        group's share of positives over that of all rows; `capture` its share of all
        positives. Cost: O(distinct scores).
        """
        if not isinstance(groups, int) or groups < 1:
            raise UserError(f"groups={groups!r}: gains need a whole number of groups, at least 1")
        weight = self._tps + self._fps
        targets = weight[-1] * np.arange(1, groups + 1) / groups
        ends = np.unique(np.minimum(np.searchsorted(weight, targets * (1 - 1e-12)), len(weight) - 1))
        score_sums = np.cumsum(self._thresholds * np.diff(weight, prepend=0.0))
        tp, all_rows = self._tps[ends], weight[ends]
        group_tp, group_rows = np.diff(tp, prepend=0.0), np.diff(all_rows, prepend=0.0)
        positives, prior = self._tps[-1], self.prior
        return MetricTable(
            "Gains and lift",
            {
                "group": np.arange(1, len(ends) + 1),
                "rows": all_rows / weight[-1],
                "lower_threshold": self._thresholds[ends],
                "response_rate": group_tp / group_rows,
                "score": np.diff(score_sums[ends], prepend=0.0) / group_rows,
                "lift": group_tp / group_rows / prior,
                "cumulative_lift": tp / all_rows / prior,
                "capture": group_tp / positives,
                "cumulative_capture": tp / positives,
                "ks": tp / positives - self._fps[ends] / self._fps[-1],
            },
        )

    def to_dict(self) -> dict[str, float]:
        """Return the single figures by name."""
        return {name: getattr(self, name) for name in FIGURES}

    def __repr__(self) -> str:
        return f"{pairs_text(self._title, self.to_dict())}\n{self.confusion()!r}"

    def _repr_html_(self) -> str:
        return pairs_html(self._title, self.to_dict()) + self.confusion()._repr_html_()

    @property
    def _title(self) -> str:
        return f"Binary metrics, probability of {self.classes[1]!r}"


def binary(
    actual: object, score: object, weights: object | None = None, classes: Sequence[str] = ("0", "1")
) -> BinaryMetrics:
    """Measure predicted probabilities of the positive class.

    Rows in which the actual value, the score or the weight is missing, or the weight is 0,
    are left out and counted in `n_missing`.

    Parameters
    ----------
    actual : array_like, shape (n,)
        0 or 1 (or bool).
    score : array_like of float, shape (n,)
        Probability of class 1, between 0 and 1.
    weights : array_like of numbers, shape (n,), optional
        Finite and not negative.
    classes : sequence of two str
        Names of class 0 and class 1.

    Returns
    -------
    BinaryMetrics

    Raises
    ------
    UserError
        Shapes differ, a value is out of range, only one class is there, or no row is left.

    Notes
    -----
    Cost: a sort, O(n log n); 8 bytes a row of scratch (24 with weights).

    Examples
    --------
    >>> found = binary([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> found.auc, found.max_f1_threshold
    (0.75, 0.35)
    """
    truth = as_reals("actual", actual)
    guess = as_reals("score", score)
    _refuse_outside(truth, guess, classes)
    rows = choose(len(truth), np.isnan(truth) | np.isnan(guess), weights)
    truth, guess = rows.of(truth), rows.of(guess)
    thresholds, tps, fps = _cumulate(truth, guess, rows)
    if tps[-1] == 0 or fps[-1] == 0:
        only = classes[1] if fps[-1] == 0 else classes[0]
        raise UserError(f"all {rows.n_rows:,} actual values are {only!r}; metrics of two classes need rows of both")
    sums = tiles(rows.n_rows, 2)
    kernels.binary_losses(truth, guess, rows.weights, sums[0], sums[1])
    mse = total(sums[1]) / rows.weight
    f1 = 2.0 * tps / (tps[-1] + tps + fps)
    best = int(np.argmax(f1))
    return BinaryMetrics(
        classes=(str(classes[0]), str(classes[1])),
        n_rows=rows.n_rows,
        n_missing=rows.n_missing,
        auc=_area(tps, fps, exact=not len(rows.weights)),
        pr_auc=float(np.sum(np.diff(tps, prepend=0.0) * tps / (tps + fps)) / tps[-1]),
        logloss=total(sums[0]) / rows.weight,
        mse=mse,
        rmse=math.sqrt(mse),
        max_f1=float(f1[best]),
        max_f1_threshold=float(thresholds[best]),
        _thresholds=thresholds,
        _tps=tps,
        _fps=fps,
    )


def _refuse_outside(truth: F64, guess: F64, classes: Sequence[str]) -> None:
    if len(truth) != len(guess):
        raise UserError(f"{len(truth):,} actual values but {len(guess):,} scores; give one score a row")
    if len(classes) != 2:
        raise UserError(f"{len(classes)} class names; binary metrics have two")
    wrong = np.flatnonzero((truth != 0) & (truth != 1) & ~np.isnan(truth))
    if len(wrong):
        row = int(wrong[0])
        raise UserError(f"actual value {truth[row]:g} at row {row}: with two classes, actual values are 0 and 1")
    outside = np.flatnonzero((guess < 0) | (guess > 1))
    if len(outside):
        row = int(outside[0])
        raise UserError(f"score {guess[row]:g} at row {row}: a score is the probability of class 1, between 0 and 1")


def _cumulate(truth: F64, guess: F64, rows: Rows) -> tuple[F64, F64, F64]:
    """Return distinct scores, descending, and the weights of both classes at or above each.

    Without weights the classes are sorted apart and merged: a sort of plain numbers is
    several times faster than one of row numbers.
    """
    thresholds = np.empty(rows.n_rows)
    if len(rows.weights):
        tps, fps = np.empty(rows.n_rows), np.empty(rows.n_rows)
        order = np.argsort(-guess, kind="stable")
        n = kernels.cumulate_sorted(order, truth, guess, rows.weights, thresholds, tps, fps)
        return thresholds[:n].copy(), tps[:n].copy(), fps[:n].copy()
    is_positive = truth == 1
    above = np.empty(rows.n_rows, dtype=np.int64), np.empty(rows.n_rows, dtype=np.int64)
    n = kernels.merge_sorted(np.sort(guess[is_positive]), np.sort(guess[~is_positive]), thresholds, above[0], above[1])
    return thresholds[:n].copy(), above[0][:n].astype(np.float64), above[1][:n].astype(np.float64)


def _area(tps: F64, fps: F64, exact: bool) -> float:
    """Return the area under the ROC curve; of counts it is a ratio of whole numbers."""
    steps, heights = np.diff(fps, prepend=0.0), tps + np.concatenate(([0.0], tps[:-1]))
    scale = 2.0 * float(tps[-1]) * float(fps[-1])
    if exact and scale < 2.0**62:
        return int(steps.astype(np.int64) @ heights.astype(np.int64)) / int(scale)
    return float(np.sum(steps * heights) / scale)


def _thin(x: F64, y: F64, n_points: int | None) -> npt.NDArray[np.intp]:
    """Return at most about `n_points` indices, evenly along the curve, both ends among them."""
    if n_points is None or len(x) <= n_points:
        return np.arange(len(x))
    if n_points < 2:
        raise UserError(f"n_points={n_points}: a curve needs at least 2 points")
    length = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))))
    found = np.searchsorted(length, np.linspace(0.0, length[-1], n_points))
    return np.union1d(np.minimum(found, len(x) - 1), [0, len(x) - 1])
