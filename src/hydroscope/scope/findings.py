"""What is wrong, in words, the worst first: what a reader of a timeline wants to know before looking at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from hydroscope.ground.record.layout import Kind
from hydroscope.scope.events import Events
from hydroscope.scope.matching import RECEIPTS, SENDS
from hydroscope.scope.order import Order, past
from hydroscope.scope.rules import pairs

__all__ = ["KINDS", "Finding", "explain", "findings"]

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

KINDS = (
    "rule",
    "impossible",
    "failure",
    "stopped",
    "clock jump",
    "unanswered",
    "never sent",
    "loss",
    "storm",
    "duplicate",
    "unfinished",
    "torn",
    "no records",
    "clocks unknown",
)
"""Of findings, the worst first."""

ANOMALIES = KINDS[:11]
"""Those that happened at some moment in the system that was watched, not in the watching."""

STORM_SENDS = 20
STORM_NS = 10**9
"""So many copies sent again to one node within so long are a storm."""
STOPPED_NS = 10**9
"""So long without a record, while messages to it waited, a node is said to have stood still."""
WALL_STEP_NS = 50_000_000
"""What the wall clock may go away from the other clock from one CLOCK record to the next."""
LISTED = 1000
"""Records of one finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: str
    """One of `KINDS`."""
    text: str
    records: tuple[int, ...]
    """That show it, in order."""
    count: int = 1


def findings(events: Events, found: Order) -> tuple[Finding, ...]:
    """Return all that is wrong, the worst kind first, within a kind what is there most often.

    Parameters
    ----------
    events : Events
    found : Order
        Of these events; with its rules.

    Returns
    -------
    tuple of Finding
        Nothing is called lost, or never sent, that a ring can have forgotten or that was not recorded any more.

    Notes
    -----
    Cost: O(n), and sorts of the messages.
    """
    if not len(events):
        return tuple(_watching(events, found))
    view = _View(events, found)
    every = [
        *_rules(view),
        *_impossible(view),
        *_failures(view),
        *_stopped(view),
        *_jumps(view),
        *_unanswered(view),
        *_losses(view),
        *_never_sent(view),
        *_storms(view),
        *_duplicates(view),
        *_unfinished(view),
        *_watching(events, found),
    ]
    return tuple(sorted(every, key=lambda each: (KINDS.index(each.kind), -each.count)))


def explain(events: Events, found: Order, every: Sequence[Finding]) -> str:
    """Return in words what went wrong first, and what had happened before that can have caused it.

    Parameters
    ----------
    events : Events
    found : Order
    every : sequence of Finding
        As `findings` returned them.

    Notes
    -----
    Cost: the records that can have caused it are looked at once.
    """
    first = min(
        (each for each in every if each.kind in ANOMALIES and each.records),
        key=lambda each: int(found.rank[each.records[0]]),
        default=None,
    )
    if first is None:
        return "Nothing went wrong in what was recorded."
    view = _View(events, found)
    record = first.records[0]
    reach = past(events, found, record)
    own = int(events.node[record])
    lines = [f"First: {first.text}", f"It shows at {view.tell(record)}."]
    others = [int(k) for k in np.flatnonzero(reach) if k != own]
    if not others:
        lines.append(
            f"{view.name(own)} had heard from nobody before: only its own {reach[own] - 1:,} records precede it."
        )
        return "\n".join(lines)
    n_past = int(reach.sum()) - 1
    begins = min(int(found.time_ns[events.starts[k]]) for k in np.flatnonzero(reach))
    lines.append(
        f"{n_past:,} of {len(events):,} records can have caused it, of {view.name(own)} and {view.names(others)}, "
        f"over the {_span(int(found.time_ns[record]) - begins)} before."
    )
    lines += [f"Last heard before it: {view.tell(each)}." for each in _last_heard(view, record)]
    return "\n".join(lines)


def _last_heard(view: _View, record: int, n: int = 3) -> list[int]:
    """Return the last receipts of the record's node before it."""
    events = view.events
    begin = int(events.starts[events.node[record]])
    here = np.flatnonzero(view.is_receipt[begin:record] & (view.found.partner[begin:record] >= 0)) + begin
    return [int(each) for each in here[-n:][::-1]]


class _View:
    """Events and their order, with what several findings need."""

    def __init__(self, events: Events, found: Order) -> None:
        self.events, self.found = events, found
        self.is_send = np.isin(events.kind, SENDS)
        self.is_receipt = np.isin(events.kind, RECEIPTS)
        n = np.diff(events.starts)
        self.has = n > 0
        lasts = np.maximum(events.starts[1:] - 1, 0)
        firsts = np.minimum(events.starts[:-1], len(events) - 1)
        self.begins = np.where(self.has, found.time_ns[firsts], 0)
        self.ends = np.where(self.has, found.time_ns[lasts], 0)
        errors = np.where(np.isfinite(found.error_ns), found.error_ns, 0).astype(np.int64)
        self.margin = 2 * np.array(
            [errors[a:b].max() if b > a else 0 for a, b in zip(events.starts, events.starts[1:], strict=False)]
        )
        """Twice the error of each node's time, at most."""

    def name(self, node: int) -> str:
        return self.events.nodes[node].name

    def names(self, nodes: Iterable[int]) -> str:
        names = [self.name(int(k)) for k in nodes]
        shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
        return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)

    def tell(self, record: int) -> str:
        """Return a record in words."""
        events = self.events
        kind, peer = Kind(int(events.kind[record])), int(events.peer[record])
        text = f"{self.name(int(events.node[record]))} {kind.name.lower()} {int(events.id[record])}"
        if peer >= 0:
            text += f" {'to' if self.is_send[record] else 'from'} {self.name(peer)}"
        since = int(self.found.time_ns[record]) - int(self.begins[self.has].min())
        return f"{text} ({_span(since)} after the first record)"

    def in_order(self, records: Ints) -> tuple[int, ...]:
        return tuple(int(each) for each in records[np.argsort(self.found.rank[records])][:LISTED])


def _span(ns: int | float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if abs(ns) >= size:
            return f"{ns / size:.4g} {unit}"
    return f"{ns:.0f} ns"


def _by_ends(view: _View, records: Ints) -> Iterator[tuple[int, int, Ints]]:
    """Yield (node, peer, records) of each pair of ends."""
    ends = view.events.node[records].astype(np.int64) << 32 | view.events.peer[records]
    by = np.argsort(ends, kind="stable")
    for each in np.split(records[by], np.flatnonzero(np.diff(ends[by])) + 1):
        if each.size:
            yield int(view.events.node[each[0]]), int(view.events.peer[each[0]]), each


def _rules(view: _View) -> Iterator[Finding]:
    by_rule = sorted(view.found.violations, key=lambda each: str(each.rule))
    for text, group in groupby(by_rule, key=lambda each: str(each.rule)):
        every = sorted(group, key=lambda each: int(view.found.rank[each.after]))
        one = every[0]
        what = (
            f"{view.tell(one.after)} came {'once more, after' if one.rule.once else 'before'} {view.tell(one.before)}"
            if one.before >= 0
            else f"{view.tell(one.after)}, and no {one.rule.before.name} of it at all"
        )
        more = f", the first of {len(every):,}" if len(every) > 1 else ""
        records = [record for each in every[:LISTED] for record in (each.after, each.before) if record >= 0]
        yield Finding("rule", f"{text} was violated: {what}{more}", tuple(records), len(every))


def _impossible(view: _View) -> Iterator[Finding]:
    for node, peer, records in _by_ends(view, view.found.impossible):
        text = (
            f"{records.size:,} messages from {view.name(peer)} to {view.name(node)} were received before they were "
            f"sent, whatever the clocks: ids used twice, or sends recorded late"
        )
        yield Finding("impossible", text, view.in_order(records), records.size)


def _failures(view: _View) -> Iterator[Finding]:
    failed = np.flatnonzero(view.events.kind == Kind.FAILED)
    for node in np.unique(view.events.node[failed]):
        records = failed[view.events.node[failed] == node]
        said = bytes(view.events.data[records[0]]).rstrip(b"\0").decode(errors="replace")
        text = f"{records.size:,} errors at {view.name(int(node))}, the first: {said or view.tell(int(records[0]))}"
        yield Finding("failure", text, view.in_order(records), records.size)


def _stopped(view: _View) -> Iterator[Finding]:
    """Yield the pauses of nodes at whose end they got what had been sent to them in the middle of it."""
    events, found = view.events, view.found
    for k in np.flatnonzero(view.has):
        begin, end = int(events.starts[k]), int(events.starts[k + 1])
        pauses = np.diff(found.time_ns[begin:end])
        for place in np.flatnonzero(pauses >= STOPPED_NS + view.margin[k]):
            awake = begin + int(place) + 1
            low, high = int(found.time_ns[awake - 1]), int(found.time_ns[awake])
            to_it = (events.peer == k) & view.is_send
            waited = np.flatnonzero(
                to_it & (found.time_ns > low + (high - low) // 10) & (found.time_ns < high - (high - low) // 10)
            )
            if not waited.size:
                continue
            late = found.partner[waited] < 0
            late[~late] = found.time_ns[found.partner[waited[~late]]] >= high
            if late.all():
                text = (
                    f"{view.name(int(k))} stood still for {_span(high - low)}: no record, and {waited.size:,} messages "
                    f"to it waited or were lost"
                )
                yield Finding("stopped", text, (awake, *view.in_order(waited)), waited.size)


def _jumps(view: _View) -> Iterator[Finding]:
    events = view.events
    told = set()
    wall = events.wall_ns(events.clocks())
    for clock in view.found.clocks:
        k = clock.node
        own = wall[events.starts[k] : events.starts[k + 1]]
        for jump in clock.jumps:
            told.add(k)
            record = int(events.starts[k] + np.clip(np.searchsorted(own, jump.to_ns), 0, max(own.size - 1, 0)))
            far = f"by {_span(abs(jump.by_ns))} " if np.isfinite(jump.by_ns) else ""
            how = "ahead" if jump.by_ns > 0 else "behind: was the machine suspended?"
            text = f"the clock of {view.name(k)}, compared with the others', jumped {far}{how}"
            yield Finding("clock jump", text, (record,))
    clocks = np.flatnonzero(events.kind == Kind.CLOCK)
    apart = events.id[clocks].astype(np.int64) - events.at_ns[clocks]
    same = events.node[clocks[1:]] == events.node[clocks[:-1]]
    for place in np.flatnonzero(same & (np.abs(np.diff(apart)) > WALL_STEP_NS)):
        record = int(clocks[place + 1])
        k, by = int(events.node[record]), int(apart[place + 1]) - int(apart[place])
        if k not in told:
            text = f"the wall clock of {view.name(k)} was set {'ahead' if by > 0 else 'back'} by {_span(abs(by))}"
            yield Finding("clock jump", text, (record,))


def _unanswered(view: _View) -> Iterator[Finding]:
    events, found = view.events, view.found
    end = int(view.ends.max())
    for rule in found.rules:
        if not rule.follows:
            continue
        each = pairs(events, rule, found.rank)
        both = (each.before >= 0) & (each.after >= 0)
        took = found.time_ns[each.after[both]] - found.time_ns[each.before[both]]
        longest = int(took.max(initial=0))
        alone = each.before[(each.before >= 0) & (each.after < 0)]
        alone = alone[found.time_ns[alone] + longest < end]
        if alone.size:
            first = view.in_order(alone)
            text = (
                f"{alone.size:,} times {rule.before.name} was never followed by {rule.after.name}, "
                f"first: {view.tell(first[0])}"
            )
            yield Finding("unanswered", text, first, alone.size)


def _arrivable(view: _View, sends: Ints) -> Ints:
    """Return those sends whose receipts the other end's ring would have: not before it begins, nor near its end."""
    events, found = view.events, view.found
    peer = events.peer[sends]
    sends, peer = sends[view.has[peer]], peer[view.has[peer]]
    got = np.flatnonzero(view.is_receipt & (found.partner >= 0))
    took = found.time_ns[got] - found.time_ns[found.partner[got]]
    patience = int(np.quantile(took, 0.999)) * 2 if took.size else 0
    margin = view.margin[peer] + view.margin[events.node[sends]]
    inside = found.time_ns[sends] > view.begins[peer] + margin
    inside &= found.time_ns[sends] + patience + margin < view.ends[peer]
    arrivable: Ints = sends[inside]
    return arrivable


def _losses(view: _View) -> Iterator[Finding]:
    events, found = view.events, view.found
    sends = np.flatnonzero(view.is_send & (events.peer >= 0))
    sends = _arrivable(view, sends)
    lost = sends[found.partner[sends] < 0]
    sent = {(a, b): each.size for a, b, each in _by_ends(view, sends)}
    for node, peer, records in _by_ends(view, lost):
        n = sent[node, peer]
        text = (
            f"{records.size:,} of {n:,} messages from {view.name(node)} to {view.name(peer)} never arrived "
            f"({100 * records.size / n:.2g} %)"
        )
        yield Finding("loss", text, view.in_order(records), records.size)


def _never_sent(view: _View) -> Iterator[Finding]:
    events, found = view.events, view.found
    alone = np.flatnonzero((events.kind == Kind.RECEIVED) & (found.partner < 0) & (events.peer >= 0))
    alone = alone[~np.isin(alone, found.impossible)]
    peer = events.peer[alone]
    got = np.flatnonzero(view.is_receipt & (found.partner >= 0))
    longest = int((found.time_ns[got] - found.time_ns[found.partner[got]]).max(initial=0))
    margin = view.margin[peer] + view.margin[events.node[alone]]
    times = found.time_ns[alone]
    recorded = (times > view.begins[peer] + 2 * longest + margin) & (times + margin < view.ends[peer])
    alone = alone[view.has[peer] & recorded]
    for node, peer_, records in _by_ends(view, alone):
        text = (
            f"{records.size:,} messages that {view.name(node)} received from {view.name(peer_)} were never sent by it"
        )
        yield Finding("never sent", text, view.in_order(records), records.size)


def _storms(view: _View) -> Iterator[Finding]:
    events, found = view.events, view.found
    again = np.flatnonzero((events.kind == Kind.RESENT) & (events.peer >= 0))
    for node, peer, records in _by_ends(view, again):
        times = found.time_ns[records]
        n = np.searchsorted(times, times + STORM_NS) - np.arange(times.size)
        if n.max(initial=0) >= STORM_SENDS:
            start = int(np.argmax(n))
            burst = records[start : start + int(n[start])]
            text = (
                f"{view.name(node)} sent {burst.size:,} times again to {view.name(peer)} within "
                f"{_span(times[start + burst.size - 1] - times[start])}, {records.size:,} times in all"
            )
            yield Finding("storm", text, view.in_order(burst), records.size)


def _duplicates(view: _View) -> Iterator[Finding]:
    """Yield what arrived more often than once, by whichever copy."""
    found = view.found
    got = np.flatnonzero(view.is_receipt & (found.partner >= 0))
    second = got[found.partner[found.partner[got]] != got]
    for node, peer, records in _by_ends(view, second):
        text = f"{records.size:,} messages from {view.name(peer)} arrived at {view.name(node)} once more"
        yield Finding("duplicate", text, view.in_order(records), records.size)


def _unfinished(view: _View) -> Iterator[Finding]:
    """Yield tasks that had not ended when the recording did, ten times as long after as the longest of the others."""
    events, found = view.events, view.found
    for k in np.flatnonzero(view.has):
        rows = np.arange(events.starts[k], events.starts[k + 1])
        begun, ended = rows[events.kind[rows] == Kind.STARTED], rows[events.kind[rows] == Kind.ENDED]
        _, a, b = np.intersect1d(events.id[begun], events.id[ended], return_indices=True)
        if not a.size:
            continue
        longest = int((found.time_ns[ended[b]] - found.time_ns[begun[a]]).max(initial=0))
        left = begun[~np.isin(events.id[begun], events.id[ended])]
        left = left[found.time_ns[left] + 10 * longest < view.ends[k]]
        if left.size:
            text = f"{left.size:,} tasks of {view.name(int(k))} began and never ended, first: {view.tell(int(left[0]))}"
            yield Finding("unfinished", text, view.in_order(left), left.size)


def _watching(events: Events, found: Order) -> Iterator[Finding]:
    """Yield what is wrong with what was recorded."""
    for k, node in enumerate(events.nodes):
        if node.n_torn > 1:  # one is what a process was writing when it was read
            yield Finding("torn", f"{node.n_torn:,} records of {node.name} are torn and left out", (), node.n_torn)
        if events.starts[k] == events.starts[k + 1]:
            yield Finding(
                "no records",
                f"nothing of {node.name} was read: what it sent and received is only known from others",
                (),
            )
        elif not np.isfinite(found.clocks[k].error_ns) and k != found.reference:
            clock = found.clocks[k]
            bounds = [
                f"at {side} {_span(value)} ahead"
                for side, value in (("least", clock.least_ns), ("most", clock.most_ns))
                if np.isfinite(value)
            ]
            why = f"messages say only: {bounds[0]}" if bounds else "no messages connect it with the others"
            yield Finding("clocks unknown", f"the clock of {node.name} is taken as its wall says it; {why}", ())
