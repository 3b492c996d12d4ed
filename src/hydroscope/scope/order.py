"""One order of cause and effect for the records of all nodes, though their clocks are seconds apart.

Three steps, each of which only needs the one before: receipts are matched with what was sent
(`scope.matching`); the clocks are fitted to the messages (`scope.clocks`), so that nearly all are in
order by corrected time; and the nodes are merged by that time, each record after its causes
(`scope.kernels.merge`), so that all are, whatever the clocks did. What remains is what contradicts itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hydroscope.scope.checking import Cases, Violation, broken, pairs
from hydroscope.scope.clocks import DRIFT_PPM, Clock, Grid, Messages, fit
from hydroscope.scope.events import Events
from hydroscope.scope.jumps import find_jumps
from hydroscope.scope.kernels import merge
from hydroscope.scope.matching import RECEIPTS, match, partners
from hydroscope.scope.rules import Rule

__all__ = ["Order", "order", "past"]

Ints = npt.NDArray[np.int64]

LATE_NS = 5_000_000
"""So long after it was sent a message may be recorded as sent."""


@dataclass(frozen=True, slots=True)
class Order:
    """Where each record stands. Arrays have one entry for each of the events."""

    partner: Ints
    """Of a receipt what was sent, of what was sent its first receipt; -1: none."""
    rank: Ints
    """Place in the one order, from 0."""
    time_ns: Ints
    """Corrected time, nanoseconds since 1970 by the clock of the reference; never falls in the order."""
    error_ns: npt.NDArray[np.float64]
    """The corrected time is right within plus or minus this; infinite: unknown."""
    clocks: tuple[Clock, ...]
    """Of each node."""
    reference: int
    """The node whose clock is taken as right."""
    violations: tuple[Violation, ...]
    """Of the rules with <, the earliest first."""
    impossible: Ints
    """Receipts that, by what else is known, came before what they received."""
    repeated: Ints
    """Receipts of what had been received before, and not been sent again in between as far as can be told."""
    rules: tuple[Rule, ...] = ()


def order(events: Events, rules: Sequence[Rule] = (), drift_ppm: float = DRIFT_PPM) -> Order:
    """Put the records of all nodes into one order that follows cause and effect.

    Parameters
    ----------
    events : Events
    rules : sequence of Rule
        `scope.rules.parse` reads them. They order what messages leave open, and are checked.
    drift_ppm : float
        What a clock's rate is off at most.

    Returns
    -------
    Order

    Examples
    --------
    >>> from hydroscope.scope.events import COLUMNS
    >>> order(Events.sorted([], [], {name: [] for name in COLUMNS})).rank.size
    0

    Notes
    -----
    Cost: a sort of the messages, some sweeps over them for the clocks, and O(n log n_nodes).
    """
    matching = match(events)
    received = np.flatnonzero(matching.earliest >= 0)
    numbers = _clock_numbers(events, matching.earliest, received)
    received = received[numbers[events.node[received]] != numbers[events.node[matching.earliest[received]]]]
    grid = Grid(events.wall_ns(numbers), events.starts, numbers)
    clocks = fit(grid, Messages(matching.earliest[received], received), find_jumps, drift_ppm)
    cause = matching.causes(clocks.time_ns, clocks.error_ns)
    times, ranks = clocks.time_ns.copy(), np.empty(len(events), np.int64)
    cases = Cases(events)
    sources, targets = _edges(cases, rules, times, clocks.error_ns)
    cut = np.zeros(len(events) + sources.size, np.uint8)
    merge(events.starts, events.node.astype(np.int64), cause, sources, targets, times, ranks, cut)
    refused = np.flatnonzero(cut[: len(events)])
    guessed = cause[refused] != matching.earliest[refused]  # then it was of another copy
    cause[refused[guessed]] = -1
    violations = [each for rule in rules if not rule.follows for each in broken(cases, rule, ranks, times)]
    found = partners(cause, ranks)
    return Order(
        found,
        ranks,
        times,
        clocks.error_ns + (times - clocks.time_ns),
        clocks.each,
        clocks.reference,
        tuple(sorted(violations, key=lambda each: int(ranks[each.after]))),
        refused[~guessed],
        matching.repeated(found),
        tuple(rules),
    )


def _clock_numbers(events: Events, earliest: Ints, received: Ints) -> Ints:
    """Return the clock of each node; its own where, as messages say, a machine has several (containers may)."""
    numbers = events.clocks()
    sent = earliest[received]
    nodes, senders = events.node[received], events.node[sent]
    backwards = (numbers[nodes] == numbers[senders]) & (nodes != senders)
    backwards &= events.at_ns[received] < events.at_ns[sent] - LATE_NS
    own = np.isin(numbers, numbers[nodes[backwards]])
    numbers[own] = numbers.size + np.flatnonzero(own)
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


def _edges(cases: Cases, rules: Sequence[Rule], times: Ints, errors: npt.NDArray[np.float64]) -> tuple[Ints, Ints]:
    """Return the pairs that the rules order: all but those that by the clocks are the wrong way round for certain."""
    events, found = cases.events, [np.empty((2, 0), np.int64)]
    for rule in rules:
        if rule.follows or rule.once:
            continue
        each = pairs(cases, rule, times)
        both = np.flatnonzero((each.before >= 0) & (each.after >= 0))
        before, after = each.before[both], each.after[both]
        open_ = times[after] + errors[after] >= times[before] - errors[before]
        open_ &= (events.node[before] != events.node[after]) | (before < after)
        found.append(np.stack([before[open_], after[open_]]))
    sources, targets = np.concatenate(found, axis=1)
    by = np.argsort(targets, kind="stable")
    return sources[by], targets[by]


def past(events: Events, found: Order, record: int) -> Ints:
    """Return, for each node, how many of its records (from its first) can have caused `record`, which counts itself.

    Parameters
    ----------
    events : Events
    found : Order
    record : int

    Notes
    -----
    Cost: each record of the past is looked at once.
    """
    reach = np.zeros(len(events.nodes), np.int64)
    node = int(events.node[record])
    todo = {node: record - int(events.starts[node]) + 1}
    while todo:
        node, n = todo.popitem()
        if n <= reach[node]:
            continue
        here = slice(int(events.starts[node] + reach[node]), int(events.starts[node]) + n)
        reach[node] = n
        before = found.partner[here][np.isin(events.kind[here], RECEIPTS)]
        before = before[before >= 0]
        others = events.node[before]
        for other in np.unique(others[others != node]):
            latest = int(before[others == other].max()) - int(events.starts[other]) + 1
            if latest > max(reach[other], todo.get(int(other), 0)):
                todo[int(other)] = latest
    return reach
