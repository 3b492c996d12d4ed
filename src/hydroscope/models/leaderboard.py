"""Leaderboards: how well models do, collected under a key by any process and kept in order at the key's home."""

from __future__ import annotations

import html
import math
from typing import Any

from hydroscope.frame.frame import Frame
from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.node import ports

__all__ = ["Leaderboard", "leaderboard"]

BOARDS = "leaderboard/"
ROWS_MAX = 1000
"""Models that a board keeps: the best."""

HIGHER_IS_BETTER = ("auc", "pr_auc", "r2", "accuracy", "max_f1", "gini", "ks")
LOWER_IS_BETTER = ("logloss", "rmse", "mse", "mae", "rmsle", "error", "mean_per_class_error")


class Leaderboard:
    """Models in the order of one metric, the best first; `leaderboard` makes it.

    Attributes
    ----------
    name : str
    sort_by : str
    """

    def __init__(self, name: str, sort_by: str) -> None:
        self.name = name
        self.sort_by = sort_by

    def __repr__(self) -> str:
        return f"Leaderboard {self.name!r} by {self.sort_by}\n{self.to_frame()!r}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.name)} by {self.sort_by}</p>{self.to_frame()._repr_html_()}"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Name and metrics of each model, the best first."""
        found: list[dict[str, Any]] = ports.keys().get(self._key, [])
        return found

    def add(self, name: str, metrics: Any) -> None:
        """Enter a model; one of the same name is replaced. Any number of processes may do so at a time.

        Parameters
        ----------
        name : str
        metrics : RegressionMetrics, BinaryMetrics, MultinomialMetrics or dict
            What `model.metrics(frame)` returned; it must have the metric that sorts.

        Notes
        -----
        Cost: one `atomic` over at most 1000 rows.
        """
        numbers = dict(metrics) if isinstance(metrics, dict) else metrics.to_dict()
        if self.sort_by not in numbers:
            raise unknown_name("metric", self.sort_by, numbers, f"the metrics of {name!r}")
        row = {"name": str(name)} | {key: _number(value) for key, value in numbers.items()}
        ports.keys().atomic(self._key, "insert", row, self.sort_by, self.sort_by in HIGHER_IS_BETTER, ROWS_MAX)

    def to_frame(self) -> Frame:
        """Return it as a Frame: one row a model. Cost: free."""
        rows = self.rows
        columns = list(dict.fromkeys(["name", self.sort_by, *(column for row in rows for column in row)]))
        return Frame({column: [row.get(column) for row in rows] for column in columns})

    def clear(self) -> None:
        """Remove all rows. Cost: one `put`."""
        ports.keys().remove(self._key, wait=True)

    @property
    def _key(self) -> str:
        return f"{BOARDS}{self.sort_by}/{self.name}"


def leaderboard(name: str, sort_by: str = "auc") -> Leaderboard:
    """Return the leaderboard of that name, shared by all processes of the cluster.

    Parameters
    ----------
    name : str
    sort_by : str
        The metric that orders it: auc, pr_auc, r2, accuracy, max_f1, gini, ks (higher is better),
        logloss, rmse, mse, mae, rmsle, error, mean_per_class_error (lower is better).

    Returns
    -------
    Leaderboard

    Notes
    -----
    Cost: free.

    Examples
    --------
    >>> import hydroscope as hs
    >>> board = hs.leaderboard("late", sort_by="logloss")
    >>> board.add("deep", {"logloss": 0.4})
    >>> board.add("shallow", {"logloss": 0.3})
    >>> [row["name"] for row in board.rows]
    ['shallow', 'deep']
    """
    known = (*HIGHER_IS_BETTER, *LOWER_IS_BETTER)
    if sort_by not in known:
        raise unknown_name("metric", sort_by, known, "leaderboards")
    if not isinstance(name, str) or not 0 < len(name) <= 200:
        raise UserError(f"name={name!r} of a leaderboard must be a text of 1 to 200 characters")
    return Leaderboard(name, sort_by)


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
