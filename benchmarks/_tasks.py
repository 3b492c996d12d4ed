"""The map/reduce tasks of the benchmarks, written as a user of hydroscope would write them."""

from __future__ import annotations

import hydroscope as hs

__all__ = ["Mean", "Product", "Sum"]


class Sum(hs.MapReduce):
    """Sum of one column."""

    total: float = 0.0

    def map(self, x: float) -> None:
        self.total += x


class Mean(hs.MapReduce):
    """Mean of one column, from the count and the sum."""

    n: int = 0
    total: float = 0.0

    def map(self, x: float) -> None:
        self.n += 1
        self.total += x


class Product(hs.MapReduce):
    """Sum of an expression of three columns."""

    total: float = 0.0

    def map(self, x: float, y: float, z: float) -> None:
        self.total += (x - y) * z
