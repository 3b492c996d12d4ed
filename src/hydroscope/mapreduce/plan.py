"""The shape of a reduction: a pure function of the number of leaves.

The same tree on every engine and for any number of threads, so that sums of floats are
the same to the last bit.
"""

from __future__ import annotations

from hydroscope.ground.limits import REDUCE_FAN_IN

__all__ = ["reduce_levels"]


def reduce_levels(n_items: int) -> list[list[range]]:
    """Return, level by level, the runs of neighbours that are merged (left to right) into one.

    Examples
    --------
    >>> reduce_levels(10)
    [[range(0, 8), range(8, 10)], [range(0, 2)]]
    """
    levels: list[list[range]] = []
    while n_items > 1:
        level = [range(a, min(a + REDUCE_FAN_IN, n_items)) for a in range(0, n_items, REDUCE_FAN_IN)]
        levels.append(level)
        n_items = len(level)
    return levels
