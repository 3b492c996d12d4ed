"""Tasks of the map/reduce tests, and what plain Python loops make of the same rows."""

from __future__ import annotations

import math
from fractions import Fraction
from math import inf

import numpy as np

import hydroscope as hs

FACTOR = 3
TABLE = np.array([1.0, 10.0, 100.0])


# fmt: off
class Spread(hs.MapReduce):
    centre: float                      # input: read-only, shipped to every task
    n: int = 0                         # outputs: private to each map, merged by reduce
    sse: float = 0.0
    hist = hs.zeros(64)
    def map(self, x, y):               # one row; missing rows are skipped unless skipna = False
        self.n += 1; self.sse += (x - self.centre) ** 2  # noqa: E702
        self.hist[int(y) & 63] += 1
    # reduce is generated for sums; write `def reduce(self, other)` for anything else
# fmt: on


class Moments(hs.MapReduce):
    """Any number of columns."""

    n: int = 0
    total: float = 0.0
    products: float = 0.0
    positive: int = 0
    any_negative: bool = False

    def map(self, *row):
        self.n += 1
        product = 1.0
        for value in row:
            self.total += value
            product *= 1 + value / 1e6
            if value > 0:
                self.positive += 1
            elif value < 0:
                self.any_negative = True
        self.products += product


class SumsAlone(hs.MapReduce):
    """What a row adds depends on its value alone."""

    shift: float
    n: int = 0
    flag: bool = False
    total: float = 0.0
    squares: float = 0.0
    above: int = 0

    def map(self, x):
        moved = x + self.shift
        self.n += 1
        self.total -= moved
        self.squares += moved**2
        self.above += moved > 1


class Inverses(hs.MapReduce):
    total: float = 0.0

    def map(self, x):
        self.total += 1 / x


class Counted(hs.MapReduce):
    n: int = 0

    def map(self, *row):
        self.n += 1


class SumsOfSums(hs.MapReduce):
    """What a row adds depends on the rows before it."""

    n: int = 0
    ranks: float = 0.0

    def map(self, x):
        self.n += 1
        self.ranks += self.n * (x + 1)


class MissingToo(hs.MapReduce):
    skipna = False
    n: int = 0
    gaps = hs.zeros(3, dtype=int)
    total: float = 0.0

    def map(self, x, y, z):
        self.n += 1
        if math.isnan(x):
            self.gaps[0] += 1
        if math.isnan(y):
            self.gaps[1] += 1
        if math.isnan(z):
            self.gaps[2] += 1
        if not (math.isnan(x) or math.isnan(y) or math.isnan(z)):
            self.total += x * 0.5 + y - z


class Inputs(hs.MapReduce):
    """Every kind of input."""

    whole: int
    real: float
    switch: bool
    pair: tuple
    edges: np.ndarray
    grid: np.ndarray
    mask: np.ndarray
    size: int
    counts = hs.zeros("size", dtype=int)
    table = hs.zeros(("size", 2))
    hit = hs.zeros("size", dtype=bool)
    score: float = 0.0

    def map(self, x):
        k = self.size - 1
        for j in range(len(self.edges)):
            if x < self.edges[j]:
                k = min(j, self.size - 1)
                break
        self.counts[k] += self.whole
        self.table[k, 0] += self.real
        self.table[k, 1] += self.grid[k % 2, 1]
        if self.mask[k % 3]:
            self.hit[k] = True
        if self.switch:
            self.score += self.pair[0] * x + self.pair[1]


class Range(hs.MapReduce):
    """Minimum and maximum through a reduce of its own, first and last through its order."""

    low: float = inf
    high: float = -inf
    first: float = 0.0
    last: float = 0.0
    n: int = 0
    tops = hs.full(2, -inf)

    def map(self, x, y):
        self.low = min(self.low, x)
        self.high = max(self.high, x)
        self.tops[0] = max(self.tops[0], x)
        self.tops[1] = max(self.tops[1], y)
        if self.n == 0:
            self.first = x
        self.last = x
        self.n += 1

    def reduce(self, other):
        if self.n == 0:
            self.first = other.first
        if other.n:
            self.last = other.last
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        self.n += other.n
        self.tops[:] = np.maximum(self.tops, other.tops)


class Sum(hs.MapReduce):
    total: float = 0.0
    n: int = 0

    def map(self, x):
        self.total += x
        self.n += 1


class Scaled(hs.MapReduce):
    by: float
    total: float = 0.0

    def map(self, x):
        self.total += x * self.by


class WithGlobals(hs.MapReduce):
    total: float = 0.0

    def map(self, x):
        self.total += x * FACTOR + TABLE[1]


class Mixed(hs.MapReduce):
    """Three new columns of three kinds."""

    outputs = ("ratio", "rounded", "large")
    n: int = 0

    def map(self, x, y) -> tuple[float, int, bool]:
        self.n += 1
        if y == 0:
            return None, int(x), x > 1
        return x / y, None, abs(x) > 1


class Half(hs.MapReduce):
    def map(self, x) -> float:
        return x / 2


class Above(hs.MapReduce):
    limit: float
    seen: int = 0

    def map(self, x) -> hs.Keep:
        self.seen += 1
        return x > self.limit


class ByChunk(hs.MapReduce):
    n: int = 0
    largest_chunk: int = 0
    total: float = 0.0

    def map_chunk(self, x, y) -> float:
        self.n += len(x)
        self.largest_chunk = max(self.largest_chunk, len(x))
        self.total += float(np.sum(x) - np.sum(y))
        return x * y

    def reduce(self, other):
        self.n += other.n
        self.largest_chunk = max(self.largest_chunk, other.largest_chunk)
        self.total += other.total


class Codes(hs.MapReduce):
    """Columns of type enum, time and bool come as integers."""

    by_level = hs.zeros(3, dtype=int)
    latest: int = 0
    n_true: int = 0

    def map(self, level, at, flag):
        self.by_level[level] += 1
        self.latest = max(self.latest, at)
        if flag:
            self.n_true += 1

    def reduce(self, other):
        self.by_level += other.by_level
        self.latest = max(self.latest, other.latest)
        self.n_true += other.n_true


class Texts(hs.MapReduce):
    """Strings and UUIDs: interpreted."""

    letters: int = 0
    high_bits: int = 0

    def map(self, text, key):
        self.letters += len(text)
        self.high_bits += key.int >> 127


class Uncompiled(hs.MapReduce):
    n_pairs: int = 0

    def map(self, k):
        self.n_pairs += math.comb(k, 2)


class AlsoUncompiled(hs.MapReduce):
    n: int = 0

    def map(self, k):
        self.n += Fraction(int(k), 1).denominator


class Picky(hs.MapReduce):
    limit: float
    n: int = 0

    def map(self, x, k):
        if x > self.limit:
            raise ValueError("too large")
        self.n += k


class Indexing(hs.MapReduce):
    counts = hs.zeros(4, dtype=int)

    def map(self, k):
        self.counts[k] += 1
