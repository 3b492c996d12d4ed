"""Where two timelines of one system first go apart: a run that went well beside one that did not.

Nodes correspond by name or, as names of hydroscope's own processes never repeat, by what they are (`scope.runs`).
Records correspond if they tell the same of the same node: kind, other end, label, what it is about and, if the two
runs use the same ids, the id. If they do not, records of one kind between the same two ends correspond by their place
in that stream (`scope.streams`). Clocks are not compared, nor the order in which a node heard from several others, nor
that of changes of different keys, nor what members of hydroscope's clusters say to keep in touch: none repeats.

Rings begin and end anywhere. A record without its like counts only where the other recording had begun, and went on
afterwards: some records of the same node correspond on both sides of it, or many of any node behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hydroscope.ground.errors import UserError
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.decoders.hydroscope import UPKEEP
from hydroscope.scope.events import MESSAGES
from hydroscope.scope.matching import mixed
from hydroscope.scope.runs import LIFE, node_pairs, own_sorts
from hydroscope.scope.streams import pair_streams
from hydroscope.scope.telling import View

if TYPE_CHECKING:
    from hydroscope.scope.timeline import Timeline

__all__ = ["Comparison", "compare"]

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

BY_IDS = 0.1
"""Share of the messages that must be found by their ids in both for ids to count."""
NEAR = 8
"""Records of a node that must correspond before one that does not, and behind it, for the other to have recorded it."""
GONE_ON = 64
"""Or of any node behind it."""

_BY_CHANCE = (Kind.RESENT, Kind.DROPPED)
"""Some more or fewer of these are no difference."""
_IGNORED = (Kind.NONE, Kind.SAMPLE, Kind.CLOCK)
_CHANGES = (Kind.PUT, Kind.REMOVED)
"""Each key has a stream of its own: others write other keys meanwhile."""
_FREE = (Kind.NOTE, Kind.FAILED)
"""Their texts may have numbers in them that differ each time."""
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where two timelines go apart."""

    text: str
    """In words."""
    n_common: int
    """Records that correspond."""
    by_ids: bool
    """Whether ids told which."""
    node: str | None = None
    """Where they go apart, by its name here if it has one; None: nowhere."""
    common: tuple[int, int] | None = None
    """The last records of that node that correspond, here and there; None: there are none."""
    mine: int | None = None
    """What this one did then, and the other did not; None: nothing."""
    theirs: int | None = None
    """What the other did then, and this one did not; None: nothing."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Nodes that correspond though they have different names, here and there."""

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    @property
    def is_same(self) -> bool:
        """Whether they go together as far as both were recorded."""
        return self.node is None


class _Side:
    """One of the two timelines, and what of the other corresponds."""

    def __init__(self, timeline: Timeline, number: Callable[[str], int], called: Mapping[str, str]) -> None:
        events, labels = timeline.events, timeline.labels
        self.called = [called.get(node.name, node.name) for node in events.nodes]
        """Names of the nodes, by which they correspond."""
        self.timeline, self.events, self.rank = timeline, events, timeline.order.rank
        nodes = np.array([*(number(name) for name in self.called), 0], np.uint64)
        names = np.array([number(name) for name in _renamed(events.names, called)], np.uint64)
        texts = _renamed(labels.names, called)
        plain = np.array([number(text) for text in texts] or [0], np.uint64)
        told = np.array([number(_NUMBERS.sub("#", text)) for text in texts] or [0], np.uint64)
        sorts = own_sorts(events)
        rows = self.rows = np.flatnonzero(~np.isin(events.kind, _IGNORED) & ~np.isin(sorts, UPKEEP))
        """Records that are compared."""
        self.node = nodes[events.node[rows]].astype(np.int64)
        """Of each of `rows`, a number that is the same on both sides; so is what follows."""
        free = np.isin(events.kind[rows], _FREE)
        label = np.where(free, told[labels.codes[rows]], plain[labels.codes[rows]])
        subject = np.where(free, 0, names[events.subject[rows]]).astype(np.uint64)
        ends = nodes[events.node[rows]] << np.uint64(32) | nodes[events.peer[rows]]
        part = np.where(np.isin(events.kind[rows], _CHANGES), subject << np.uint64(16), sorts[rows] << np.uint64(8))
        self.stream = mixed(mixed(ends) ^ part ^ events.kind[rows].astype(np.uint64))
        self.symbol = mixed(self.stream ^ mixed(label << np.uint64(32) | subject))
        self.named = mixed(self.symbol ^ mixed(np.where(free, np.uint64(0), events.id[rows])))
        """What it was, with its id."""
        self.is_message = np.isin(events.kind[rows], MESSAGES)
        self.like = np.full(len(events), -1, np.int64)
        """Of each record that of the other side which corresponds."""

    def pair(self, places: Ints, likes: Ints) -> None:
        """Set what corresponds to some of `rows`."""
        self.like[self.rows[places]] = likes

    def expected(self, other: _Side, rows: Ints) -> Flags:
        """Tell which records the other side would have if they had happened there."""
        events = self.events
        has = self.like >= 0
        before = np.concatenate([[0], np.cumsum(has)])
        first, end = events.starts[events.node[rows]], events.starts[events.node[rows] + 1]
        n_before, n_behind = before[rows] - before[first], before[end] - before[rows]
        began = (n_before >= NEAR) | self._begins_with(other)[events.node[rows]]
        ranks = np.sort(self.rank[has])
        n_on = ranks.size - np.searchsorted(ranks, self.rank[rows])
        found: Flags = (n_before + n_behind > 0) & began & ((n_behind >= NEAR) | (n_on >= GONE_ON))
        return found

    def alone(self, other: _Side) -> Ints:
        """Return the records without a like that ought to have one; of equal ones, if that is true of each of them."""
        expected = self.expected(other, self.rows)
        _, which = np.unique(self.named, return_inverse=True)
        somewhere = np.bincount(which, ~expected) > 0
        return self.rows[(self.like[self.rows] < 0) & expected & ~somewhere[which]]

    def _begins_with(self, other: _Side) -> Flags:
        """Tell of each node whether its two recordings begin with the same record."""
        found = np.zeros(len(self.events.nodes), np.bool_)
        firsts = [
            side.rows[np.flatnonzero(np.diff(side.events.node[side.rows].astype(np.int64), prepend=-1))]
            for side in (self, other)
        ]
        same = firsts[0][np.isin(self.like[firsts[0]], firsts[1])]
        found[self.events.node[same]] = True
        return found

    def last_common(self, row: int) -> int | None:
        """Return the last record of its node before one that has its like."""
        begin = int(self.events.starts[self.events.node[row]])
        here = np.flatnonzero(self.like[begin:row] >= 0)
        return begin + int(here[-1]) if here.size else None

    def name(self, row: int) -> str:
        """Return the name of a record's node, by which it corresponds."""
        return self.called[int(self.events.node[row])]


def compare(mine: Timeline, theirs: Timeline) -> Comparison:
    """Find the first record at which two timelines go apart; see `Timeline.compare`."""
    if not isinstance(theirs, type(mine)):
        raise UserError(f"a timeline is compared with another one, not with {theirs!r}; hs.read_timeline reads files")
    pairs = node_pairs(mine.events, theirs.events)
    if not pairs:
        names = [_some([node.name for node in each.events.nodes]) for each in (mine, theirs)]
        raise UserError(
            f"the timelines have no node in common: {names[0]} here, {names[1]} there; nodes are compared by name, "
            "those of hydroscope's own processes without process ids where that says which is which"
        )
    renamed = {there: here for here, there in pairs.items() if here != there}
    numbers: dict[str, int] = {"": 0}
    a, b = (
        _Side(each, lambda name: numbers.setdefault(name, len(numbers)), called)
        for each, called in ((mine, {}), (theirs, renamed))
    )
    found = _compared(a, b)
    lines = [found.text, *_matched(renamed), *_only(a.called, b.called)]
    return replace(found, text="\n".join(lines), renamed=tuple((here, there) for there, here in renamed.items()))


def _compared(a: _Side, b: _Side) -> Comparison:
    """Return where two go apart whose nodes are known to correspond."""
    by_ids = _found_by_ids(a, b)
    alone = _by_ids(a, b) if by_ids else _by_streams(a, b)
    n_common = int(np.count_nonzero(a.like >= 0))
    moments = [(float(a.rank[row]), 0, row) for row in alone[0].tolist()]
    for row in alone[1].tolist():
        common = b.last_common(row)
        moments.append((-1.0 if common is None else float(a.rank[b.like[common]]) + 0.5, 1, row))
    if not moments:
        text = f"{_common(n_common, by_ids)}\nAs far as both were recorded, nothing differs."
        return Comparison(text, n_common, by_ids)
    _, side, row = min(moments)
    return _told(a, b, alone, (a, b)[side].name(row), n_common, by_ids)


def _found_by_ids(a: _Side, b: _Side) -> bool:
    """Tell whether the two use the same ids."""
    ids = [np.unique(side.named[side.is_message]) for side in (a, b)]
    least = min(each.size for each in ids)
    return least > 0 and np.intersect1d(ids[0], ids[1], assume_unique=True).size >= BY_IDS * least


def _by_ids(a: _Side, b: _Side) -> tuple[Ints, Ints]:
    """Pair records by their ids; return those of each side that the other ought to have."""
    _, left, right = np.intersect1d(_with_turns(a.named), _with_turns(b.named), assume_unique=True, return_indices=True)
    a.pair(left, b.rows[right])
    b.pair(right, a.rows[left])
    return a.alone(b), b.alone(a)


def _with_turns(keys: Words) -> Words:
    """Return keys that tell equal ones apart by their turn."""
    by = np.argsort(keys, kind="stable")
    begins = np.flatnonzero(np.diff(keys[by], prepend=~keys[by[:1]]) != 0)
    turns = np.arange(keys.size) - np.repeat(begins, np.diff(begins, append=keys.size))
    found = np.empty_like(keys)
    found[by] = mixed(keys[by] ^ mixed(turns.astype(np.uint64)))
    return found


def _by_streams(a: _Side, b: _Side) -> tuple[Ints, Ints]:
    """Pair records by their places in streams; return those of each side that the other has not, for certain."""
    found = pair_streams((a.node, b.node), (a.stream, b.stream), (a.symbol, b.symbol))
    left, right = (np.concatenate([np.empty(0, np.int64), *each]) for each in (found.left, found.right))
    a.pair(left, b.rows[right])
    b.pair(right, a.rows[left])
    return (
        _without_like(a, b, found.left_apart, found.left_beyond, found.left_only),
        _without_like(b, a, found.right_apart, found.right_beyond, found.right_only),
    )


def _without_like(side: _Side, other: _Side, apart: list[int], beyond: list[Ints], only: list[Ints]) -> Ints:
    """Return the records that the other side has not: of a stream that goes on here the first, if it goes on for long.

    Errors count each, and so does what the other side never did at all: most streams are of what is done all the time,
    and end by chance a little sooner or later.
    """
    rows = [int(side.rows[place]) for place in apart]
    expected = side.expected(other, side.rows)
    for places, is_only in [*((each, False) for each in beyond), *((each, True) for each in only)]:
        gone = side.rows[places[expected[places]]]
        if gone.size:
            kind = side.events.kind[gone[0]]
            counts = kind == Kind.FAILED or (is_only and kind not in _BY_CHANCE)
            rows += gone[:1].tolist() if counts or gone.size > NEAR else []
    return np.array(sorted(rows), np.int64)


def _told(a: _Side, b: _Side, alone: tuple[Ints, Ints], node: str, n_common: int, by_ids: bool) -> Comparison:
    """Return where they go apart, of a node, in words."""
    mine, theirs = (
        next((row for row in rows.tolist() if side.name(row) == node), None)
        for side, rows in zip((a, b), alone, strict=True)
    )
    before = None if mine is None else a.last_common(mine)
    if theirs is not None:  # which of the two comes first, and is the other at the same place?
        there = b.last_common(theirs)
        its = None if there is None else int(b.like[there])
        if mine is not None and before != its:
            if its is not None and (before is None or before < its):
                theirs = None
            else:
                mine, before = None, its
        elif mine is None:
            before = its
    common = None if before is None else (before, int(a.like[before]))
    here, there_ = (View(side.events, side.timeline.order, side.timeline.labels) for side in (a, b))
    lines = [_common(n_common, by_ids)]
    if common is None:
        lines.append(f"{node} did nothing the same before.")
    else:
        lines.append(f"Up to this, {node} did the same: {here.tell(common[0])}; there {there_.when(common[1])}.")
    lines.append(f"Here {_then(a, here, mine, common and common[0])}.")
    lines.append(f"There {_then(b, there_, theirs, common and common[1])}.")
    return Comparison("\n".join(lines), n_common, by_ids, node, common, mine, theirs)


def _common(n: int, by_ids: bool) -> str:
    return f"{n:,} records correspond{'' if by_ids else ', by their order, because ids differ'}."


def _then(side: _Side, view: View, row: int | None, common: int | None) -> str:
    """Return what one side did then."""
    if row is not None:
        said = view.text(row)
        more = f", which says: {said}" if said and said not in view.did(row) else ""
        return f"it {view.did(row)} ({view.when(row)}){more}"
    if common is None:
        return "it did nothing of the kind"
    place = int(np.searchsorted(side.rows, common)) + 1
    if place < side.rows.size and side.events.node[side.rows[place]] == side.events.node[common]:
        record = int(side.rows[place])
        return f"it did not; what it did next: {view.did(record)} ({view.when(record)})"
    return "it did not, and nothing more of it was recorded"


def _renamed(texts: Sequence[str], called: Mapping[str, str]) -> list[str]:
    """Return texts with nodes called as given, and members without their lives."""
    if called:
        known = re.compile(rf"\b(?:{'|'.join(map(re.escape, called))})(?!\w)")
        texts = [known.sub(lambda found: called[found[0]], text) for text in texts]
    return [LIFE.sub(r"\1", text) for text in texts]


def _matched(renamed: Mapping[str, str]) -> list[str]:
    """Return which nodes correspond under different names."""
    told = [f"{here} here is {there} there" for there, here in sorted(renamed.items(), key=lambda pair: pair[1])]
    return [f"Names differ: {_some(told)}."] if told else []


def _only(mine: Sequence[str], theirs: Sequence[str]) -> list[str]:
    """Return which nodes only one of them knows."""
    lines = []
    for here, known, other in (("here", set(mine), set(theirs)), ("there", set(theirs), set(mine))):
        if only := sorted(known - other):
            lines.append(f"Only {here}: {_some(only)}.")
    return lines


def _some(every: Sequence[str]) -> str:
    return (", ".join(every[:5]) or "none") + (f" and {len(every) - 5} more" if len(every) > 5 else "")
