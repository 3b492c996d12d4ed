"""The confusion matrix: what was there against what was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hydroscope.models.metrics.table import MetricTable

__all__ = ["ConfusionMatrix"]


@dataclass(frozen=True)
class ConfusionMatrix:
    """Weights of rows by actual and predicted class.

    Attributes
    ----------
    classes : sequence of str
    counts : ndarray of float64, shape (n_classes, n_classes)
        Actual class by predicted class; numbers of rows when no weights were given.
    threshold : float or None
        Binary: the second class is predicted at or above it.
    """

    classes: Sequence[str]
    counts: npt.NDArray[np.float64]
    threshold: float | None = None

    @cached_property
    def error(self) -> float:
        """Share of rows predicted wrongly."""
        return float(1.0 - np.trace(self.counts) / self.counts.sum())

    @property
    def accuracy(self) -> float:
        """Share of rows predicted rightly."""
        return 1.0 - self.error

    @cached_property
    def class_errors(self) -> npt.NDArray[np.float64]:
        """Share of each actual class predicted wrongly; NaN for a class without rows."""
        of_class = self.counts.sum(axis=1)
        wrong = of_class - np.diagonal(self.counts)
        errors = np.full(len(of_class), np.nan)
        np.divide(wrong, of_class, out=errors, where=of_class > 0)
        return errors

    @property
    def mean_per_class_error(self) -> float:
        """Mean of `class_errors` over the classes that have rows."""
        return float(np.nanmean(self.class_errors))

    def table(self) -> MetricTable:
        """Return the matrix with class errors, one row an actual class and one for the totals."""
        title = "Confusion matrix (rows: actual, columns: predicted"
        title += ")" if self.threshold is None else f"; threshold {self.threshold:.6g})"
        columns: dict[str, npt.NDArray[np.generic]] = {"actual": np.array([*self.classes, "total"], dtype=object)}
        for index, name in enumerate(self.classes):
            columns[name] = np.append(self.counts[:, index], self.counts[:, index].sum())
        columns["error"] = np.append(self.class_errors, self.error)
        return MetricTable(title, columns)

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()
