"""Map/reduce tasks of the conformance tests: in a module, which a worker process can import."""

from __future__ import annotations

import math

import hydroscope as hs


class Spread(hs.MapReduce):
    """Inputs, scalar and array outputs, two columns."""

    centre: float
    n: int = 0
    sse: float = 0.0
    hist = hs.zeros(8, int)

    def map(self, x: float, k: int) -> None:
        self.n += 1
        self.sse += (x - self.centre) ** 2
        self.hist[k & 7] += 1


class Extremes(hs.MapReduce):
    """A reduce of its own, which changes its arrays in place."""

    low = hs.full(2, float("inf"))
    high = hs.full(2, float("-inf"))

    def map(self, x: float, y: float) -> None:
        self.low[0] = min(self.low[0], x)
        self.low[1] = min(self.low[1], y)
        self.high[0] = max(self.high[0], x)
        self.high[1] = max(self.high[1], y)

    def reduce(self, other: Extremes) -> None:
        for i in range(2):
            self.low[i] = min(self.low[i], other.low[i])
            self.high[i] = max(self.high[i], other.high[i])


class Ratio(hs.MapReduce):
    """New columns."""

    outputs = ("ratio", "even")

    def map(self, x: float, k: int) -> tuple[float, bool]:
        return x / (1 + k), k % 2 == 0


class Above(hs.MapReduce):
    """Chooses rows."""

    limit: float

    def map(self, x: float) -> hs.Keep:
        return x > self.limit


class ByChunk(hs.MapReduce):
    """Decoded arrays, any Python."""

    total: float = 0.0
    n_chunks: int = 0

    def map_chunk(self, x, y):
        self.total += float((x * y).sum())
        self.n_chunks += 1


class Interpreted(hs.MapReduce):
    """Cannot be compiled: the compiler does not know `math.comb`."""

    n_pairs: int = 0

    def map(self, k: int) -> None:
        self.n_pairs += math.comb(k, 2)


class Picky(hs.MapReduce):
    """Raises at one row."""

    bad: int
    n: int = 0

    def map(self, row: int) -> None:
        if row == self.bad:
            raise ValueError("this one")
        self.n += 1
