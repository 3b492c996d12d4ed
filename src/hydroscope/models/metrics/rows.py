"""Which rows count: the one rule about missing values and weights, and its errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.ground.errors import UserError
from hydroscope.ground.limits import INT_MISSING
from hydroscope.models.metrics.kernels import TILE_ROWS

__all__ = ["Rows", "as_reals", "choose", "tiles", "total"]

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that count.

    Attributes
    ----------
    kept : ndarray of bool, or None when every row is
    weights : ndarray of float64, shape (n_kept,), or (0,) when every weight is 1
    n_rows, n_missing : int
        Rows kept, and rows left out because a value was missing or the weight was 0.
    weight : float
        Sum of the weights.
    """

    kept: npt.NDArray[np.bool_] | None
    weights: F64
    n_rows: int
    n_missing: int
    weight: float

    def of(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the kept rows of `values`, contiguous."""
        return np.ascontiguousarray(values if self.kept is None else values[self.kept])


def as_reals(name: str, values: object) -> F64:
    """Return one column of numbers as float64, missing as NaN."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise UserError(f"{name} has shape {array.shape}; metrics take one value a row, shape (n,)")
    if array.dtype.kind not in "biuf":
        raise UserError(f"{name} holds {array.dtype} values; metrics take numbers (codes instead of class names)")
    reals = array.astype(np.float64)
    if array.dtype == np.int64:
        reals[array == INT_MISSING] = np.nan
    return reals


def choose(n_rows: int, missing: npt.NDArray[np.bool_], weights: object | None) -> Rows:
    """Return the rows in which nothing is missing and whose weight is above 0."""
    ones = np.empty(0)
    given = ones
    if weights is not None:
        given = as_reals("weights", weights)
        if len(given) != n_rows:
            raise UserError(f"weights has {len(given):,} rows, the predictions have {n_rows:,}; give one weight a row")
        refused = np.flatnonzero((given < 0) | np.isinf(given))
        if len(refused):
            row = int(refused[0])
            raise UserError(f"weight {given[row]} at row {row}: weights are finite and not negative")
        missing = missing | np.isnan(given) | (given == 0)
    n_missing = int(np.count_nonzero(missing))
    if n_missing == n_rows:
        raise UserError(
            f"none of the {n_rows:,} rows can be measured: in each of them the actual value, "
            "the prediction or the weight is missing (or the weight is 0)"
        )
    kept = ~missing if n_missing else None
    if len(given) and kept is not None:
        given = given[kept]
    if len(given) and bool(np.all(given == 1.0)):
        given = ones
    n_kept = n_rows - n_missing
    return Rows(kept, given, n_kept, n_missing, math.fsum(given) if len(given) else float(n_kept))


def tiles(n_rows: int, n_sums: int) -> F64:
    """Return room for the partial sums of the tiles of `n_rows`, one row a sum."""
    return np.zeros((n_sums, -(-n_rows // TILE_ROWS)))


def total(partial: F64) -> float:
    """Return the exactly rounded sum of partial sums."""
    return math.fsum(partial)
