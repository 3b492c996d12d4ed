"""The two tables of the GBM benchmark: many numeric columns, and few columns with many levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["Table", "categories", "numeric"]

Array = npt.NDArray[Any]

AIRPORTS: Final = 300
CARRIERS: Final = 20


@dataclass(frozen=True, slots=True)
class Table:
    """Features by name (float32: numbers; int32: codes of levels), target 0 or 1.

    `levels` names the categorical columns and counts their levels.
    """

    name: str
    columns: dict[str, Array]
    target: Array
    levels: dict[str, int]

    def part(self, rows: slice) -> Table:
        """Return some rows, without copying."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Table(self.name, columns, self.target[rows], self.levels)


def _labels(rng: np.random.Generator, signal: Array) -> Array:
    return (rng.random(len(signal)) < 1 / (1 + np.exp(-signal))).astype(np.int8)


def numeric(n_rows: int, seed: int = 1) -> Table:
    """Return 28 numeric columns as in a search for particles: 21 measured, 7 derived; AUC near 0.76.

    The signal is not linear: products, squares and angles matter, most columns a little.
    """
    rng = np.random.default_rng(seed)
    raw = rng.standard_normal((21, n_rows), dtype=np.float32)
    raw[3::4] = np.exp(raw[3::4] * 0.5)  # energies are skewed
    derived = np.empty((7, n_rows), dtype=np.float32)
    for i in range(7):
        a, b, c = raw[3 * i], raw[3 * i + 1], raw[3 * i + 2]
        derived[i] = np.sqrt(a * a + b * b) + 0.3 * np.abs(c) + 0.2 * rng.standard_normal(n_rows, dtype=np.float32)
    signal = 0.45 * raw[0] * raw[1] - 0.40 * derived[0] + 0.35 * np.sin(2 * raw[2]) + 0.30 * derived[1] * raw[5]
    signal += 0.30 * np.where(raw[3] > 1.2, raw[4], -raw[6]) + 0.25 * raw[8] ** 2 - 0.20 * derived[3] + 0.15 * raw[10]
    signal += 0.25 * raw[12] * (raw[13] > 0) - 0.10 * raw[14] * raw[16]
    signal = 1.4 * (signal - signal.mean())
    features = [*raw, *derived]
    columns = {f"f{i:02d}": np.ascontiguousarray(column) for i, column in enumerate(features)}
    return Table("28 numeric", columns, _labels(rng, signal), {})


def categories(n_rows: int, seed: int = 2) -> Table:
    """Return 8 columns as of flights, two of them with 300 levels; AUC near 0.72."""
    rng = np.random.default_rng(seed)
    levels = {
        "month": 12,
        "day": 31,
        "weekday": 7,
        "carrier": CARRIERS,
        "origin": AIRPORTS,
        "destination": AIRPORTS,
    }
    columns: dict[str, Array] = {}
    signal = np.full(n_rows, -1.0, dtype=np.float32)
    weights = {"month": 0.3, "day": 0.08, "weekday": 0.15, "carrier": 0.3, "origin": 0.5, "destination": 0.45}
    for name, n_levels in levels.items():
        share = rng.gamma(0.8, 1.0, n_levels) + 0.02 if n_levels > 31 else np.ones(n_levels)
        columns[name] = rng.choice(n_levels, n_rows, p=share / share.sum()).astype(np.int32)
        signal += (weights[name] * rng.standard_normal(n_levels)).astype(np.float32)[columns[name]]
    habits = (0.35 * rng.standard_normal((CARRIERS, AIRPORTS))).astype(np.float32)
    signal += habits[columns["carrier"], columns["origin"]]
    minutes = rng.integers(300, 1_440, n_rows)
    columns["departure"] = (minutes // 60 * 100 + minutes % 60).astype(np.float32)
    distance = rng.gamma(2.0, 400.0, n_rows).astype(np.float32)
    columns["distance"] = np.round(distance + 80)
    signal += 0.9 * (minutes.astype(np.float32) - 870) / 570 + 0.15 * np.sin(distance / 300)
    return Table("8 with categories", columns, _labels(rng, signal), levels)
