"""Tasks of every shape, run woven and interpreted by the tests."""

from __future__ import annotations

import math
from math import inf

import numpy as np

import hydroscope as hs

LIMIT = 3
TABLE = np.array([0.5, 1.5, 2.5])


def squash(value: float, scale: float = 2.0) -> float:
    return math.tanh(value / scale) + _shift(value)


def _shift(value: float) -> float:
    return LIMIT if value > 0 else -LIMIT


class Count(hs.MapReduce):
    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    any_big: bool = False

    def map(self, x):
        self.n += 1
        self.total += x
        self.squares += x * x
        if x > 2.4:
            self.any_big = True


class Row(hs.MapReduce):
    n: int = 0
    total: float = 0.0
    per_column = hs.zeros(6)

    def map(self, *row):
        self.n += len(row)
        for k in range(len(row)):
            self.per_column[k] += row[k]
        for value in row:
            self.total += value


class Extremes(hs.MapReduce):
    low: float = inf
    high: float = -inf
    first: float = 0.0
    last: float = 0.0
    n: int = 0

    def map(self, x, y):
        self.low, self.high = min(self.low, x), max(self.high, y)
        if self.n == 0:
            self.first = x
        self.last = y
        self.n += 1

    def reduce(self, other):
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        if self.n == 0:
            self.first = other.first
        if other.n:
            self.last = other.last
        self.n += other.n


class Everything(hs.MapReduce):
    """Nested loops, early returns, helpers, constants, arrays, tuples, two-dimensional outputs."""

    edges: np.ndarray
    weights: tuple
    centre: float
    n_bins: int
    BASE = 2
    counts = hs.zeros("n_bins", dtype=int)
    grid = hs.zeros((2, 3))
    seen = hs.zeros(4, dtype=bool)
    over: int = 0
    score: float = 0.0

    def map(self, x, y, k):
        """Count where x falls."""
        distance = abs(x - self.centre)
        self.score += squash(distance, scale=3.0) * self.weights[0] + TABLE[1]
        for place in range(len(self.edges)):
            if x < self.edges[place]:
                self.counts[place % self.n_bins] += 1
                for other in range(LIMIT):
                    if other * self.BASE > abs(y):
                        self.grid[0, other] += self.weights[1]
                        return
                break
        else:
            self.over += 1
            return
        if k % 2 == 0:
            self.seen[k % 4] = True
            return
        self.grid[1] += 1.0


class NewColumns(hs.MapReduce):
    shift: float
    n: int = 0
    outputs = ("scaled", "whole", "positive")

    def map(self, x, y) -> tuple[float, int, bool]:
        self.n += 1
        if x > 3:
            return None
        if y > 1:
            return x + self.shift, None, y > 2
        return x * self.shift, int(x) if x > -1 else None, x > 0


class OneColumn(hs.MapReduce):
    def map(self, x) -> float | None:
        return x / 4 if x > 0 else None


class WithMissing(hs.MapReduce):
    skipna = False
    n: int = 0
    n_missing: int = 0
    total: float = 0.0

    def map(self, x, y):
        self.n += 1
        if np.isnan(x) or math.isnan(y):
            self.n_missing += 1
        else:
            self.total += x + y


class Chunked(hs.MapReduce):
    n: int = 0
    total: float = 0.0

    def map_chunk(self, x, y) -> float:
        self.n += len(x)
        self.total += float(np.sum(x * 0.5 + y))
        return x - y


class Sums(hs.MapReduce):
    """Nothing but sums: runs without branches, whatever the rows that do not count hold."""

    shift: float
    n: int = 0
    up: int = 0
    total: float = 0.0
    squares: float = 0.0
    ratio: float = 0.0

    def map(self, x, y):
        d = x - self.shift
        self.n += 1
        self.up += x > y
        self.total += d * 2
        self.squares -= d**2 / LIMIT
        self.ratio += (x + 1) / (y * y + 1)


class Lines(hs.MapReduce):
    """Sums over an array beside a scalar: not branchless."""

    n: int = 0
    counts = hs.zeros(3)

    def map(self, x):
        self.n += 1
        self.counts += 1


class Products(hs.MapReduce):
    total: int = 0
    powers: int = 0

    def map(self, x, y):
        self.total += (x - y * 3) * x
        self.powers += x**5
