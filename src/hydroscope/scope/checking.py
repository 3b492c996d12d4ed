"""Rules and records: which records are of one case, and where a rule does not hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hydroscope.scope.events import Events
from hydroscope.scope.matching import RECEIPTS, mixed
from hydroscope.scope.rules import Rule, Step

__all__ = ["Cases", "Pairs", "Violation", "broken", "pairs"]

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

MOST_BROKEN = 1000
"""Violations of one rule that are listed."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Of each case the first records of two steps, -1 where there is none."""

    before: Ints
    after: Ints


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that did not hold, and the two records; `before` is -1 if there is none."""

    rule: Rule
    before: int
    after: int


class Cases:
    """The records of each step, case by case: found once, as most steps are part of several rules."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self._bytes = events.first_bytes
        self._known: dict[Step, tuple[Ints, Words]] = {}

    def of(self, step: Step) -> tuple[Ints, Words]:
        """Return the records of a step, and what says which case each is of, ascending.

        Cost: a sort of the records of the step, once.
        """
        found = self._known.get(step)
        if found is None:
            rows = self._rows(step)
            cases, rows = (self._told(step, rows), rows) if step.of is None else self._answers(step.of, rows)
            by = np.argsort(cases, kind="stable")
            found = self._known[step] = rows[by], cases[by]
        return found

    def firsts(self, step: Step, when: Ints) -> tuple[Ints, Words]:
        """Return the first record of each case of a step, by `when`, and the cases, ascending."""
        rows, cases = self.of(step)
        is_new = np.diff(cases, prepend=~cases[:1]) != 0
        if not is_new.all():
            rows = rows[np.lexsort((when[rows], cases))]
        return rows[is_new], cases[is_new]

    def _rows(self, step: Step) -> Ints:
        rows = np.flatnonzero(self.events.kind == step.kind)
        for place, byte in enumerate(step.begins, step.at):
            rows = rows[self._bytes[rows, place] == byte]
        return rows

    def _told(self, step: Step, rows: Ints) -> Words:
        """Return the cases that records tell themselves."""
        found = self.events.id[rows]
        if step.by is not None:
            low, high = step.by
            said = self._bytes[rows, low:high]
            padded = np.zeros((rows.size, 8), np.uint8)
            padded[:, : high - low] = said[:, ::-1] if step.is_big else said
            found = padded.view("<u8")[:, 0].astype(np.uint64)
        return mixed(mixed(found) ^ self.events.node[rows].astype(np.uint64)) if step.is_here else found

    def _answers(self, asked: Step, rows: Ints) -> tuple[Words, Ints]:
        """Return the cases of records that have the id of one of another step, and these records."""
        others, cases = self.of(asked)
        ids, first = np.unique(self.events.id[others], return_index=True)
        place = np.searchsorted(ids, self.events.id[rows])
        place[place == ids.size] = 0
        rows, place = (each[ids[place] == self.events.id[rows]] if ids.size else each[:0] for each in (rows, place))
        return cases[first[place]], rows


def pairs(cases: Cases, rule: Rule, when: Ints) -> Pairs:
    """Return the first records of a rule's two steps, by `when`, of each case that has one of them.

    Parameters
    ----------
    cases : Cases
    rule : Rule
    when : (n,)
        Times or ranks.

    Notes
    -----
    Cost: a sort of the records of the two steps, unless each case has one.
    """
    (before, ones), (after, others) = cases.firsts(rule.before, when), cases.firsts(rule.after, when)
    place = np.searchsorted(ones, others)
    both = place < ones.size
    both[both] = ones[place[both]] == others[both]
    found = np.full(ones.size, -1)
    found[place[both]] = after[both]
    alone = after[~both]
    return Pairs(np.append(before, np.full(alone.size, -1)), np.append(found, alone))


def broken(cases: Cases, rule: Rule, rank: Ints, time_ns: Ints) -> list[Violation]:
    """Return where `rule`, one with <, <? or once, does not hold in the order, the earliest first.

    Parameters
    ----------
    cases : Cases
    rule : Rule
    rank, time_ns : (n,)

    Notes
    -----
    Where the first record of the two is missing, that counts only if no ring can have
    forgotten it: after all had begun, by twice the longest time between two that are there. The same goes for a message
    that was received too late: it may have been received before as well. Cost: as `pairs`.
    """
    if rule.once:
        return _repeated(cases, rule, rank)
    events, found = cases.events, pairs(cases, rule, rank)
    begins = events.starts[:-1][np.diff(events.starts) > 0]
    known_from = int(time_ns[begins].max()) if begins.size else 0
    complete = all(node.read != "nothing" for node in events.nodes)
    both = (found.before >= 0) & (found.after >= 0)
    wrong = both & (rank[found.before] > rank[found.after])
    took = time_ns[found.after[both]] - time_ns[found.before[both]]
    patience = 2 * int(took.max(initial=0))
    if rule.before.kind in RECEIPTS:
        ring_begins = time_ns[np.minimum(events.starts[:-1], max(len(events) - 1, 0))]
        wrong &= time_ns[found.after] > ring_begins[events.node[found.before]] + patience
    never = (found.before < 0) & (complete and not rule.if_both) & (time_ns[found.after] > known_from + patience)
    places = np.flatnonzero(wrong | never)
    places = places[np.argsort(rank[found.after[places]])][:MOST_BROKEN]
    return [Violation(rule, int(found.before[k]), int(found.after[k])) for k in places]


def _repeated(cases: Cases, rule: Rule, rank: Ints) -> list[Violation]:
    rows, told = cases.of(rule.after)
    rows = rows[np.lexsort((rank[rows], told))]
    again = np.flatnonzero(told[1:] == told[:-1]) + 1
    again = again[np.argsort(rank[rows[again]])][:MOST_BROKEN]
    return [Violation(rule, int(rows[k - 1]), int(rows[k])) for k in again]
