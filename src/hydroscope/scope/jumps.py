"""Where a clock has jumped: found when the messages of all contradict each other."""

from __future__ import annotations

import numpy as np

from hydroscope.scope.clocks import Grid, Messages, bound

__all__ = ["find_jumps"]

MOST_JUMPS = 16
"""Of one clock. One that jumps more often is not bounded at all."""


def find_jumps(grid: Grid, messages: Messages, reference: int) -> None:
    """Darken the stretches of `grid` in which a clock jumped, until nothing contradicts itself.

    Parameters
    ----------
    grid : Grid
    messages : Messages
    reference : int
        The clock that is doubted last.

    Notes
    -----
    Clocks in a contradiction are left out one by one; the one without which it is gone has
    jumped. Then each is looked at against those that agree: its longest stretch without a
    contradiction ends at the cell of a jump. With two clocks only, there is no telling which.

    Cost: some ten fits for each jump.
    """
    n_clocks = grid.n_clocks
    doubted: list[int] = []
    while isinstance(circle := bound(grid, _among(grid, messages, doubted, n_clocks), reference), np.ndarray):
        suspects = [int(k) for k in circle if k != reference and k not in doubted]
        if not suspects:
            break
        cleared = [
            k
            for k in suspects
            if not isinstance(bound(grid, _among(grid, messages, [*doubted, k], n_clocks), reference), np.ndarray)
        ]
        doubted.append((cleared or suspects)[0])
    for place, k in enumerate(doubted):
        _cut_up(grid, _among(grid, messages, doubted[place + 1 :], n_clocks), k, reference)


def _among(grid: Grid, messages: Messages, without: list[int], n_clocks: int) -> Messages:
    if not without:
        return messages
    kept = np.ones(n_clocks, np.bool_)
    kept[without] = False
    both = kept[grid.clock[messages.sent]] & kept[grid.clock[messages.received]]
    return Messages(messages.sent[both], messages.received[both])


def _until(grid: Grid, messages: Messages, clock: int, until_ns: int) -> Messages:
    """Return the messages but those of `clock` at or after a time of its own."""
    late = (grid.clock == clock) & (grid.time >= until_ns)
    fine = ~(late[messages.sent] | late[messages.received])
    return Messages(messages.sent[fine], messages.received[fine])


def _cut_up(grid: Grid, messages: Messages, clock: int, reference: int) -> None:
    for _ in range(MOST_JUMPS):
        if not isinstance(bound(grid, messages, reference), np.ndarray):
            return
        cells = np.arange(grid.first[clock], grid.first[clock + 1])
        middles = grid.middles[cells]
        edges = np.concatenate([[0], (middles[1:] + middles[:-1]) // 2, [middles[-1] * 2]])
        low, high = 0, cells.size  # fine with the cells before `low`, not with those before `high`
        while high - low > 1:
            half = (low + high) // 2
            if isinstance(bound(grid, _until(grid, messages, clock, int(edges[half])), reference), np.ndarray):
                high = half
            else:
                low = half
        begin, end = int(edges[low]), int(edges[low + 1])
        first, last = grid.span(clock)
        grid.dark.setdefault(clock, []).append((max(begin, first), min(end, last)))
        grid.cut()
    grid.dark[clock] = [grid.span(clock)]
    grid.cut()
