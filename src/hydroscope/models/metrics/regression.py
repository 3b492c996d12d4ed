"""Metrics of predicted numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hydroscope.ground.errors import UserError
from hydroscope.models.metrics import kernels
from hydroscope.models.metrics.rows import as_reals, choose, tiles, total
from hydroscope.models.metrics.table import pairs_html, pairs_text

__all__ = ["RegressionMetrics", "regression"]


@dataclass(frozen=True)
class RegressionMetrics:
    """How far predicted numbers are from actual ones.

    Attributes
    ----------
    n_rows, n_missing : int
        Rows measured, and rows left out because a value was missing or the weight was 0.
    mse, rmse, mae : float
        Mean squared error, its root, mean absolute error.
    r2 : float
        Share of the variance explained. Where the actual values are all equal it is 1 for
        perfect predictions and 0 otherwise; NaN for a single row.
    rmsle : float
        Root mean squared difference of log(1 + value); NaN if any value is -1 or less.
    """

    n_rows: int
    n_missing: int
    mse: float
    rmse: float
    mae: float
    r2: float
    rmsle: float

    kind = "regression"

    def to_dict(self) -> dict[str, float]:
        """Return the single figures by name."""
        return {
            "rmse": self.rmse,
            "mse": self.mse,
            "mae": self.mae,
            "r2": self.r2,
            "rmsle": self.rmsle,
            "n_rows": self.n_rows,
            "n_missing": self.n_missing,
        }

    def __repr__(self) -> str:
        return pairs_text("Regression metrics", self.to_dict())

    def _repr_html_(self) -> str:
        return pairs_html("Regression metrics", self.to_dict())


def regression(actual: object, predicted: object, weights: object | None = None) -> RegressionMetrics:
    """Measure predicted numbers.

    Rows in which the actual value, the prediction or the weight is missing (NaN), or the
    weight is 0, are left out and counted in `n_missing`.

    Parameters
    ----------
    actual, predicted : array_like of numbers, shape (n,)
    weights : array_like of numbers, shape (n,), optional
        Finite and not negative.

    Returns
    -------
    RegressionMetrics

    Raises
    ------
    UserError
        Shapes differ, values are infinite, or no row is left.

    Notes
    -----
    Cost: three passes, O(n).

    Examples
    --------
    >>> regression([1, 2, 3], [1, 2, 5]).rmse
    1.1547005383792515
    """
    truth = as_reals("actual", actual)
    guess = as_reals("predicted", predicted)
    if len(truth) != len(guess):
        raise UserError(f"{len(truth):,} actual values but {len(guess):,} predictions; give one prediction a row")
    for name, values in (("actual", truth), ("predicted", guess)):
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            raise UserError(
                f"{name} value {values[infinite[0]]} at row {infinite[0]}: errors of infinite values say nothing"
            )
    rows = choose(len(truth), np.isnan(truth) | np.isnan(guess), weights)
    truth, guess = rows.of(truth), rows.of(guess)
    weighted = truth * rows.weights if len(rows.weights) else truth
    mean = math.fsum(weighted) / rows.weight
    sums = tiles(rows.n_rows, 3)
    kernels.regression_sums(truth, guess, rows.weights, mean, sums[0], sums[1], sums[2])
    squared, absolute, about_mean = (total(each) for each in sums)
    mse = squared / rows.weight
    return RegressionMetrics(
        n_rows=rows.n_rows,
        n_missing=rows.n_missing,
        mse=mse,
        rmse=math.sqrt(mse),
        mae=absolute / rows.weight,
        r2=_explained(rows.n_rows, squared, about_mean),
        rmsle=_log_error(truth, guess, rows.weights, rows.weight),
    )


def _explained(n_rows: int, squared: float, about_mean: float) -> float:
    if n_rows < 2:
        return math.nan
    if about_mean == 0.0:
        return 1.0 if squared == 0.0 else 0.0
    return 1.0 - squared / about_mean


def _log_error(truth: kernels.F64, guess: kernels.F64, weights: kernels.F64, weight: float) -> float:
    if min(truth.min(), guess.min()) <= -1.0:
        return math.nan
    error = (np.log1p(truth) - np.log1p(guess)) ** 2
    return math.sqrt(math.fsum(error * weights if len(weights) else error) / weight)
