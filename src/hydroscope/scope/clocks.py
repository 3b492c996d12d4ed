"""How far the nodes' clocks are apart, from nothing but the messages between them; with error bars.

A message arrives after it was sent. So each bounds the difference of two clocks from one side, and
messages both ways bound it from both: to the shortest way there and back. A clock's rate is
bounded too. Each node's time is cut into cells, and what its clock is ahead of the
reference's, in the middle of a cell, is one unknown::

    ahead[receiver, cell of receipt] - ahead[sender, cell of sending] <= received - sent   (+ rate * way to the middles)
    ahead[node, next cell] - ahead[node, cell]                        <= highest rate * way between the middles

Differences below bounds are paths in a graph: the shortest paths from the reference are the greatest values that each
unknown can have, those to the reference the least ones (Cormen et al., *Introduction to Algorithms*, difference
constraints). The middle between the two fulfils all of them, so that in corrected time messages arrive after they were
sent; the half of their distance is the error bar, and the truth lies within by construction. This is done
once with what clocks may do at most, and again with the rate that came out, give or take `WANDER_PPM`.

If the constraints contradict each other, a clock has jumped (its machine was suspended), and `scope.jumps` looks for
where.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hydroscope.scope.kernels import relax

__all__ = ["DRIFT_PPM", "FAR", "WANDER_PPM", "Clock", "Clocks", "Grid", "Jump", "Messages", "bound", "fit"]

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

DRIFT_PPM = 250.0
"""What a clock's rate is off at most; between two clocks twice that. Crystals keep within 100."""
WANDER_PPM = 10.0
"""What a rate may differ from its own mean while the records last."""

N_CELLS = 64
FAR = 2**60
"""Nanoseconds: not bounded."""


@dataclass(frozen=True, slots=True)
class Jump:
    """A clock that, between two moments of its own, went ahead (or fell behind) at once."""

    from_ns: int
    to_ns: int
    by_ns: float
    """How far; NaN if the messages do not say."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What a node's clock, as of the opening of its ring, was ahead of the reference's."""

    node: int
    reference: int
    """The node whose clock this one was compared with: itself where nothing else bounds it from both sides."""
    offset_ns: float
    """In the middle of its records; where nothing bounds it, 0: what the clocks on the wall say."""
    error_ns: float
    """The truth is within the offset plus or minus this; infinite where one side is not bounded."""
    least_ns: float
    most_ns: float
    """What it is ahead of the reference of all, at least and at most; infinite: not bounded."""
    drift_ppm: float
    drift_error_ppm: float
    jumps: tuple[Jump, ...] = ()


@dataclass(frozen=True, slots=True)
class Messages:
    """Pairs of records: sent, received."""

    sent: Ints
    received: Ints


@dataclass(slots=True)
class Grid:
    """The unknowns: cells of each clock's time. What lies in a dark cell is not used, nor is the rate across it."""

    time: Ints
    """Of each record, by its own clock."""
    starts: Ints
    """Node k has the records starts[k]:starts[k + 1]."""
    clocks: Ints
    """The clock of each node: a number from 0 without gaps."""
    dark: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Clock -> stretches of its time in which its clock jumped."""
    low: Reals = field(init=False)
    high: Reals = field(init=False)
    """Bounds of each clock's rate, of 1, relative to the reference."""
    first: Ints = field(init=False)
    middles: Ints = field(init=False)
    lit: npt.NDArray[np.bool_] = field(init=False)
    cell: Ints = field(init=False)
    clock: Ints = field(init=False)
    """Of each record."""

    def __post_init__(self) -> None:
        rate = 2 * DRIFT_PPM * 1e-6
        self.low, self.high = np.full(self.n_clocks, -rate), np.full(self.n_clocks, rate)
        self.clock = np.repeat(self.clocks, np.diff(self.starts))
        self.cut()

    @property
    def n_clocks(self) -> int:
        """How many clocks there are."""
        return int(self.clocks.max(initial=-1)) + 1

    def span(self, clock: int) -> tuple[int, int]:
        """Return the first time of a clock's records, and the one after the last."""
        nodes = [k for k in np.flatnonzero(self.clocks == clock) if self.starts[k] < self.starts[k + 1]]
        parts = [self.time[self.starts[k] : self.starts[k + 1]] for k in nodes]
        return min((int(each.min()) for each in parts), default=0), max(
            (int(each.max()) for each in parts), default=0
        ) + 1

    def cut(self) -> None:
        """Cut each clock's time into cells: after `dark` has changed."""
        edges_of, first = [], [0]
        for clock in range(self.n_clocks):
            low, high = self.span(clock)
            edges = low + np.linspace(0, high - low, N_CELLS + 1).round().astype(np.int64)
            for begin, end in self.dark.get(clock, []):
                edges = np.concatenate([edges[(edges < begin) | (edges > end)], [begin, end]])
            edges = np.unique(np.concatenate([edges, [low, high]]))
            edges_of.append(edges)
            first.append(first[-1] + edges.size - 1)
        self.cell = np.zeros(self.time.size, np.int64)
        for k, clock in enumerate(self.clocks):
            mine, edges = slice(self.starts[k], self.starts[k + 1]), edges_of[clock]
            cells = np.searchsorted(edges, self.time[mine], "right") - 1
            self.cell[mine] = np.clip(cells, 0, edges.size - 2) + first[clock]
        self.first = np.array(first)
        self.middles = np.concatenate([np.empty(0, np.int64), *((edges[1:] + edges[:-1]) // 2 for edges in edges_of)])
        self.lit = np.ones(self.middles.size, np.bool_)
        for k, stretches in self.dark.items():
            for begin, end in stretches:
                inside = slice(self.first[k], self.first[k + 1])
                self.lit[inside] &= (self.middles[inside] < begin) | (self.middles[inside] >= end)

    def owners(self) -> Ints:
        """Return the clock of each cell."""
        return np.repeat(np.arange(self.first.size - 1), np.diff(self.first))

    def gain(self, clocks: Ints, way: Ints) -> Ints:
        """Return what the clocks can gain at most over `way` nanoseconds (backwards if negative)."""
        return np.ceil(np.where(way > 0, self.high[clocks], self.low[clocks]) * way).astype(np.int64)

    def constraints(self, messages: Messages) -> tuple[Ints, Ints, Ints]:
        """Return (source cell, target cell, weight): ahead[target] <= ahead[source] + weight."""
        sent, received = messages.sent, messages.received
        source, target = self.cell[sent], self.cell[received]
        usable = self.lit[source] & self.lit[target]
        if not usable.all():
            sent, received, source, target = sent[usable], received[usable], source[usable], target[usable]
        sent_ns, received_ns = self.time[sent], self.time[received]
        weight = received_ns - sent_ns
        weight += self.gain(self.clock[received], self.middles[target] - received_ns)
        weight += self.gain(self.clock[sent], sent_ns - self.middles[source])
        owners = self.owners()
        here = np.flatnonzero((owners[1:] == owners[:-1]) & self.lit[1:] & self.lit[:-1])
        way = self.middles[here + 1] - self.middles[here]
        return (
            np.concatenate([source, here, (here + 1)[::-1]]),
            np.concatenate([target, here + 1, here[::-1]]),
            np.concatenate([weight, self.gain(owners[here], way), self.gain(owners[here], -way)[::-1]]),
        )


@dataclass(frozen=True, slots=True)
class Clocks:
    """All clocks, and each record's corrected time."""

    each: tuple[Clock, ...]
    time_ns: Ints
    error_ns: Reals
    reference: int
    """The node whose clock is taken as right for all."""


def bound(grid: Grid, messages: Messages, reference: int) -> tuple[Ints, Ints] | Ints:
    """Return the least and greatest values of each cell's unknown; or the clocks of a contradiction.

    Notes
    -----
    Cost: some sweeps over the messages.
    """
    low, high = grid.low[reference], grid.high[reference]
    grid.low[reference] = grid.high[reference] = 0.0  # the reference does not drift from itself
    sources, targets, weights = grid.constraints(messages)
    grid.low[reference], grid.high[reference] = low, high
    n = grid.middles.size
    mine = np.arange(grid.first[reference], grid.first[reference + 1])
    joined = np.full(mine.size, mine[0])  # all of the reference's cells are one: also those round a dark one
    sources = np.concatenate([joined, mine, sources])
    targets = np.concatenate([mine, joined, targets])
    weights = np.concatenate([np.zeros(2 * mine.size, np.int64), weights])
    least, most, edges = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    for begins, ends, found in ((sources, targets, most), (targets, sources, least)):
        place = relax(begins, ends, weights, int(mine[0]), FAR, found, edges)
        if place >= 0:
            return _circle(place, begins, edges, grid.owners())
    return -least, most


def _circle(place: int, sources: Ints, edges: Ints, owners: Ints) -> Ints:
    seen: dict[int, int] = {}
    way: list[int] = []
    while place not in seen and edges[place] >= 0:
        seen[place] = len(way)
        way.append(place)
        place = int(sources[edges[place]])
    return np.unique(owners[way[seen.get(place, 0) :]])


def fit(
    grid: Grid, messages: Messages, find_jumps: Callable[[Grid, Messages, int], None], drift_ppm: float = DRIFT_PPM
) -> Clocks:
    """Fit all clocks to the messages between them.

    Parameters
    ----------
    grid : Grid
    messages : Messages
        Between two clocks each. A receipt whose copy is not certain is with an earlier copy.
    find_jumps : callable
        Darkens, in a grid that contradicts itself, the stretches in which clocks jumped.
    drift_ppm : float
        What a clock's rate is off at most.

    Returns
    -------
    Clocks
        In time of the node with the most messages, and of one such node more for each part of the
        cluster that no messages connect with it both ways.

    Notes
    -----
    Cost: some sweeps over the messages; more if clocks jumped.
    """
    n_clocks = grid.n_clocks
    grid.low[:], grid.high[:] = -2e-6 * drift_ppm, 2e-6 * drift_ppm
    busy = np.bincount(grid.clock[messages.sent], minlength=n_clocks)
    busy += np.bincount(grid.clock[messages.received], minlength=n_clocks)
    main = int(np.argmax(busy)) if n_clocks else 0
    if n_clocks and isinstance(bound(grid, messages, main), np.ndarray):
        find_jumps(grid, messages, main)
    owners = grid.owners()
    ahead = np.zeros(grid.middles.size)
    error = np.full(grid.middles.size, np.inf)
    least, most = np.full(grid.middles.size, -np.inf), np.full(grid.middles.size, np.inf)
    reference = np.full(n_clocks, -1)
    for clock in np.argsort(-busy, kind="stable").tolist() if grid.time.size else ():
        if reference[clock] >= 0:
            continue
        found = _bounds_with_rates(grid, messages, clock)
        if found is None:
            reference[clock] = clock
            continue
        low, high = found
        closed = np.isfinite(low) & np.isfinite(high)
        new = (np.bincount(owners, closed & grid.lit, n_clocks) > 0) & (reference < 0)
        reference[new] = clock
        mine = new[owners] & closed
        ahead[mine] = float(ahead[grid.first[clock]]) + (low[mine] + high[mine]) / 2
        if clock == main:
            least, most = low, high
            error[mine] = (high[mine] - low[mine]) / 2
            free = ~closed  # one side at most is bounded: what the wall says, within that bound
            ahead[free] = np.clip(0.0, low[free], high[free])
    nodes = [int(np.argmax(grid.clocks == clock)) for clock in range(n_clocks)]  # one for each clock
    clocks = tuple(
        _clock(grid, k, nodes[reference[clock]], ahead, error, least, most) for k, clock in enumerate(grid.clocks)
    )
    return Clocks(clocks, *_corrected(grid, ahead, error, main), nodes[main] if nodes else 0)


def _bounds_with_rates(grid: Grid, messages: Messages, reference: int) -> tuple[Reals, Reals] | None:
    """Return the bounds, found a second time with the rates that the first ones leave."""
    widest = grid.low.copy(), grid.high.copy()
    best = None
    for _ in range(3):
        found = bound(grid, messages, reference)
        if isinstance(found, np.ndarray):
            break
        low, high = np.where(found[0] <= -FAR, -np.inf, found[0]), np.where(found[1] >= FAR, np.inf, found[1])
        best = (low, high) if best is None else (np.maximum(low, best[0]), np.minimum(high, best[1]))
        for k in range(grid.n_clocks):
            inside = np.arange(grid.first[k], grid.first[k + 1])
            rate = _rate(grid, inside, *best)
            wander = WANDER_PPM * 1e-6
            grid.low[k] = max(widest[0][k], rate[0] - wander)
            grid.high[k] = min(widest[1][k], rate[1] + wander)
    grid.low, grid.high = widest
    return best


def _rate(grid: Grid, inside: Ints, low: Reals, high: Reals) -> tuple[float, float]:
    """Return the bounds of the mean rate over a clock's cells; none if its clock jumped."""
    if inside.size < 2 or not grid.lit[inside].all():
        return -np.inf, np.inf
    a, b = inside[0], inside[-1]
    way = grid.middles[b] - grid.middles[a]
    if way <= 0 or not np.isfinite([low[a], low[b], high[a], high[b]]).all():
        return -np.inf, np.inf
    return float((low[b] - high[a]) / way), float((high[b] - low[a]) / way)


def _clock(grid: Grid, k: int, reference: int, ahead: Reals, error: Reals, least: Reals, most: Reals) -> Clock:
    clock = int(grid.clocks[k])
    inside = np.arange(grid.first[clock], grid.first[clock + 1])
    lit = inside[grid.lit[inside]]
    middle = int(lit[lit.size // 2] if lit.size else inside[0])
    rate = _rate(grid, inside, least, most)
    known = np.isfinite(rate).all()
    jumps = []
    for begin, end in grid.dark.get(clock, []):
        before = lit[grid.middles[lit] < begin]
        after = lit[grid.middles[lit] >= end]
        told = before.size and after.size and np.isfinite(error[[before[-1], after[0]]]).all()
        jumps.append(Jump(begin, end, float(ahead[after[0]] - ahead[before[-1]]) if told else float("nan")))
    return Clock(
        k,
        reference,
        float(ahead[middle]),
        float(error[middle]),
        float(least[middle]),
        float(most[middle]),
        sum(rate) / 2 * 1e6 if known else float("nan"),
        (rate[1] - rate[0]) / 2 * 1e6 if known else float("inf"),
        tuple(jumps),
    )


def _corrected(grid: Grid, ahead: Reals, error: Reals, main: int) -> tuple[Ints, Reals]:
    """Return each record's time by the reference, between the middles of cells on a straight line."""
    time, errors = grid.time.copy(), np.full(grid.time.size, np.inf)
    for k, clock in enumerate(grid.clocks.tolist()):
        mine = slice(int(grid.starts[k]), int(grid.starts[k + 1]))
        inside = np.arange(grid.first[clock], grid.first[clock + 1])
        inside = inside[grid.lit[inside]]
        if not inside.size or mine.start == mine.stop:
            continue
        own, at = grid.time[mine], grid.middles[inside]
        time[mine] = own - np.rint(np.interp(own - at[0], at - at[0], ahead[inside])).astype(np.int64)
        beyond = np.maximum(at[0] - own, 0) + np.maximum(own - at[-1], 0)
        errors[mine] = np.interp(own - at[0], at - at[0], error[inside]) + beyond * (
            grid.high[clock] if clock != main else 0.0
        )
        for begin, end in grid.dark.get(clock, []):  # as early as can be: messages from here must not push others on
            near = inside[np.clip(np.searchsorted(at, [begin, end]) - [1, 0], 0, inside.size - 1)]
            there = np.flatnonzero((own >= begin) & (own < end)) + mine.start
            time[there] = grid.time[there] - round(float(ahead[near].max()))
            errors[there] = np.ptp(ahead[near]) + error[near].max()
    return time, errors
