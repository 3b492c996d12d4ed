"""Metrics of predictions: exact, weighted, one record per kind of target."""

from __future__ import annotations

from hydroscope.models.metrics.binary import BinaryMetrics, binary
from hydroscope.models.metrics.multinomial import MultinomialMetrics, multinomial
from hydroscope.models.metrics.regression import RegressionMetrics, regression

__all__ = ["BinaryMetrics", "MultinomialMetrics", "RegressionMetrics", "binary", "multinomial", "regression"]
