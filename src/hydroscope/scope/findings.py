"""What is wrong, in words, the worst first: what a reader of a timeline wants to know before looking at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt

from hydroscope.ground.record.layout import Kind
from hydroscope.scope.checking import Cases, pairs
from hydroscope.scope.decoding import Labels
from hydroscope.scope.events import Events, Missing
from hydroscope.scope.order import Order
from hydroscope.scope.telling import LISTED, View, counted, span

__all__ = ["ANOMALIES", "ENDURED", "KINDS", "Finding", "findings"]

Ints = npt.NDArray[np.int64]

NEXT = {
    "rule": "see what both nodes did then, with .table(around=finding)",
    "impossible": "give each message an id of its own, and record it before it is sent",
    "failure": "see what the node did before, with .table(around=finding)",
    "not well": "look after the process; it was last heard doing what .table(around=finding) shows",
    "stopped": "see what it had to do then, with .table(around=finding), and what else ran on its machine",
    "clock jump": "find out what sets the clock; around then times are less certain",
    "unanswered": "see whether it arrived, and what became of it there, with .table(around=finding)",
    "unfinished": "see what the task did last, with .table(around=finding)",
    "never sent": "see whether the sender records all that it sends, or somebody else sends in its name",
    "loss": "look at the way between the two, and whether it was sent again, with .table(around=finding)",
    "dropped": "let the receiver note why; its notes are in .table(around=finding)",
    "storm": "see why no answer came: what the other end did then, with .table(around=finding)",
    "duplicate": "nothing, if the receiver knows ids again; else see what it did twice, with .table(around=finding)",
    "torn": "nothing, if the process was killed; else see whether its ring was changed",
    "no records": "have its machine ship its rings (hydroscope timeline --serve there), or take them from there",
    "clocks unknown": "do not rely on times between it and others; messages there and back would tell",
}
"""What to do next, of each kind of finding, the worst kind first."""

KINDS = tuple(NEXT)

ANOMALIES = KINDS[: KINDS.index("torn")]
"""Those that happened at some moment in the system that was watched, not in the watching."""

ENDURED = ("dropped", "storm", "duplicate")
"""Of these, those that protocols are made to endure."""

STORM_SENDS = 20
STORM_NS = 10**9
"""So many copies sent again to one node within so long are a storm."""
STOPPED_NS = 10**9
"""So long without a record, while messages to it waited, a node is said to have stood still; and to one that has ended,
nobody goes on sending for so long if all ended in good order."""
SILENT_NS = 10 * 10**9
"""So long, if nothing says that its recording has ended: it may only have been read before those of the others."""
WALL_STEP_NS = 50_000_000
"""What the wall clock may go away from the other clock from one CLOCK record to the next."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: str
    """One of `KINDS`."""
    text: str
    records: tuple[int, ...] = field(repr=False)
    """That show it, in order, the first 1,000."""
    count: int = 1

    @property
    def next_step(self) -> str:
        """What to do about it, in words."""
        return NEXT[self.kind]


def findings(
    events: Events, found: Order, labels: Labels | None = None, missing: Sequence[Missing] = ()
) -> tuple[Finding, ...]:
    """Return all that is wrong, the worst kind first, within a kind what is there most often.

    Parameters
    ----------
    events : Events
    found : Order
        Of these events; with its rules.
    labels : Labels, optional
        What texts call records by.
    missing : sequence of Missing
        Nodes of which nothing could be read.

    Returns
    -------
    tuple of Finding
        Nothing is called lost, or never sent, that a ring can have forgotten or that was not recorded any more.

    Notes
    -----
    Cost: O(n), and sorts of the messages.
    """
    if not len(events):
        return tuple(_watching(events, found, missing))
    view = View(events, found, labels)
    every = [
        *_rules(view),
        *_impossible(view),
        *_failures(view),
        *_stopped(view),
        *_ended(view, missing),
        *_jumps(view),
        *_unanswered(view),
        *_losses(view),
        *_never_sent(view),
        *_dropped(view),
        *_storms(view),
        *_duplicates(view),
        *_unfinished(view),
        *_watching(events, found, missing),
    ]
    return tuple(sorted(every, key=lambda each: (KINDS.index(each.kind), -each.count)))


def _by_ends(view: View, records: Ints) -> Iterator[tuple[int, int, Ints]]:
    """Yield (node, peer, records) of each pair of ends."""
    ends = view.events.node[records].astype(np.int64) << 32 | view.events.peer[records]
    by = np.argsort(ends, kind="stable")
    for each in np.split(records[by], np.flatnonzero(np.diff(ends[by])) + 1):
        if each.size:
            yield int(view.events.node[each[0]]), int(view.events.peer[each[0]]), each


def _rules(view: View) -> Iterator[Finding]:
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


def _impossible(view: View) -> Iterator[Finding]:
    for node, peer, records in _by_ends(view, view.found.impossible):
        text = (
            f"{counted(records.size, 'receipt')} at {view.name(node)} of what {view.name(peer)} sent came before that, "
            f"whatever the clocks: ids used twice, or sends recorded late"
        )
        yield Finding("impossible", text, view.in_order(records), records.size)


def _failures(view: View) -> Iterator[Finding]:
    failed = np.flatnonzero(view.events.kind == Kind.FAILED)
    for node in np.unique(view.events.node[failed]):
        records = failed[view.events.node[failed] == node]
        first = int(records[0])
        said = view.text(first) or view.tell(first)
        n = counted(records.size, "error")
        text = f"{n} at {view.name(int(node))}{', the first' if records.size > 1 else ''}: {said}"
        yield Finding("failure", text, view.in_order(records), records.size)


def _stopped(view: View) -> Iterator[Finding]:
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
                    f"{view.name(int(k))} stood still for {span(high - low)}: no record, and "
                    f"{counted(waited.size, 'message')} to it waited or were lost"
                )
                yield Finding("stopped", text, (awake, *view.in_order(waited)), waited.size)


def _ended(view: View, missing: Sequence[Missing]) -> Iterator[Finding]:
    """Yield the nodes that others went on sending to after their last record."""
    events, found = view.events, view.found
    odd = {each.name for each in missing}
    alone = np.flatnonzero(view.is_send & (found.partner < 0))
    for k in np.flatnonzero(view.has):
        node, last = events.nodes[k], int(events.starts[k + 1]) - 1
        late = alone[(events.peer[alone] == k) & (found.time_ns[alone] > view.ends[k] + view.margin[k])]
        patience = STOPPED_NS if node.closed_at_ns or node.name in odd else SILENT_NS
        if late.size and int(found.time_ns[late].max()) > view.ends[k] + view.margin[k] + patience:
            text = (
                f"{node.name} recorded nothing later than {view.when(last)}; {counted(late.size, 'message')} that "
                f"{view.names(np.unique(events.node[late]))} sent to it after that never arrived"
            )
            yield Finding("stopped", text, (last, *view.in_order(late)), late.size)


def _jumps(view: View) -> Iterator[Finding]:
    events = view.events
    told = set()
    wall = events.wall_ns(events.clocks())
    for clock in view.found.clocks:
        k = clock.node
        own = wall[events.starts[k] : events.starts[k + 1]]
        for jump in clock.jumps:
            told.add(k)
            record = int(events.starts[k] + np.clip(np.searchsorted(own, jump.to_ns), 0, max(own.size - 1, 0)))
            far = f"by {span(abs(jump.by_ns))} " if np.isfinite(jump.by_ns) else ""
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
            text = f"the wall clock of {view.name(k)} was set {'ahead' if by > 0 else 'back'} by {span(abs(by))}"
            yield Finding("clock jump", text, (record,))


def _unanswered(view: View) -> Iterator[Finding]:
    found, cases = view.found, Cases(view.events)
    for rule in found.rules:
        if not rule.follows:
            continue
        each = pairs(cases, rule, found.rank)
        both = (each.before >= 0) & (each.after >= 0)
        took = found.time_ns[each.after[both]] - found.time_ns[each.before[both]]
        longest = int(took.max(initial=0))
        alone = each.before[(each.before >= 0) & (each.after < 0)]
        alone = alone[found.time_ns[alone] + longest < _ends(view, each.before[both], each.after[both], alone)]
        if alone.size:
            first = view.in_order(alone)
            text = (
                f"{counted(alone.size, 'time')} {rule.before.name} was never followed by {rule.after.name}, "
                f"first: {view.tell(first[0])}"
            )
            yield Finding("unanswered", text, first, alone.size)


def _ends(view: View, before: Ints, after: Ints, alone: Ints) -> Ints | int:
    """Return until when it was recorded who would have followed: the node itself or the other end, as elsewhere."""
    events = view.events
    if np.array_equal(events.node[before], events.node[after]):
        ends: Ints = view.ends[events.node[alone]]
        return ends
    if np.array_equal(events.peer[before], events.node[after]):
        return np.where(events.peer[alone] >= 0, view.ends[events.peer[alone]], 0)
    return int(view.ends.max())


def _arrivable(view: View, sends: Ints) -> Ints:
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


def _losses(view: View) -> Iterator[Finding]:
    events, found = view.events, view.found
    sends = np.flatnonzero(view.is_send & (events.peer >= 0))
    arrived = found.partner[sends] >= 0
    lost = _arrivable(view, sends[~arrived])
    sent = {(a, b): each.size for a, b, each in _by_ends(view, np.concatenate([sends[arrived], lost]))}
    for node, peer, records in _by_ends(view, lost):
        n = sent[node, peer]
        text = (
            f"{records.size:,} of {n:,} messages from {view.name(node)} to {view.name(peer)} never arrived "
            f"({100 * records.size / n:.3g} %)"
        )
        yield Finding("loss", text, view.in_order(records), records.size)


def _never_sent(view: View) -> Iterator[Finding]:
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
            f"{counted(records.size, 'message')} that {view.name(node)} received from {view.name(peer_)} "
            f"{'was' if records.size == 1 else 'were'} never sent by it"
        )
        yield Finding("never sent", text, view.in_order(records), records.size)


def _dropped(view: View) -> Iterator[Finding]:
    dropped = np.flatnonzero((view.events.kind == Kind.DROPPED) & (view.events.peer >= 0))
    for node, peer, records in _by_ends(view, dropped):
        text = f"{view.name(node)} threw away {counted(records.size, 'message')} from {view.name(peer)}"
        why = int(records[0]) - 1
        lane = view.events.lane
        if why >= 0 and view.events.kind[why] == Kind.NOTE and lane[why] == lane[records[0]]:
            text += f"{', the first' if records.size > 1 else ''}: {view.text(why)}"
        yield Finding("dropped", text, view.in_order(records), records.size)


def _storms(view: View) -> Iterator[Finding]:
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
                f"{span(times[start + burst.size - 1] - times[start])}, {records.size:,} times in all"
            )
            yield Finding("storm", text, view.in_order(burst), records.size)


def _duplicates(view: View) -> Iterator[Finding]:
    """Yield what arrived more often than it was sent."""
    for node, peer, records in _by_ends(view, view.found.repeated):
        text = f"{counted(records.size, 'message')} from {view.name(peer)} arrived at {view.name(node)} once more"
        yield Finding("duplicate", text, view.in_order(records), records.size)


def _unfinished(view: View) -> Iterator[Finding]:
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
        left = left[view.ends[k] - found.time_ns[left] > 10 * longest]
        if left.size:
            first = view.tell(int(left[0]))
            text = f"{counted(left.size, 'task')} of {view.name(int(k))} began and never ended, first: {first}"
            yield Finding("unfinished", text, view.in_order(left), left.size)


def _watching(events: Events, found: Order, missing: Sequence[Missing]) -> Iterator[Finding]:
    """Yield what is wrong with what was recorded."""
    why = {each.name: each.why for each in missing}
    named = np.bincount(events.peer[events.peer >= 0], minlength=len(events.nodes)) > 0
    for k, node in enumerate(events.nodes):
        if node.n_torn > 1:  # one is what a process was writing when it was read
            yield Finding("torn", f"{node.n_torn:,} records of {node.name} are torn and left out", (), node.n_torn)
        for damage in node.damage:
            yield Finding("torn", f"the ring of {node.name} is damaged: {damage}", ())
        if events.starts[k] == events.starts[k + 1]:
            if node.read != "nothing" and node.name not in why and len(events) and not named[k]:
                continue  # it had nothing to record, and nobody had to do with it
            reason = why.pop(node.name, "what it sent and received is only known from others")
            yield Finding("no records", f"nothing of {node.name} was read: {reason}", ())
        elif not np.isfinite(found.clocks[k].error_ns) and k != found.reference:
            clock = found.clocks[k]
            bounds = [
                f"at {side} {span(value)} ahead"
                for side, value in (("least", clock.least_ns), ("most", clock.most_ns))
                if np.isfinite(value)
            ]
            said = f"messages say only: {bounds[0]}" if bounds else "no messages connect it with the others"
            yield Finding("clocks unknown", f"the clock of {node.name} is taken as its wall says it; {said}", ())
    last = {node.name: int(end) - 1 for node, end in zip(events.nodes, events.starts[1:], strict=True)}
    for name, reason in why.items():
        if name in last:
            yield Finding("not well", f"{name}: {reason}", (last[name],))
        else:
            yield Finding("no records", f"nothing of {name} was read: {reason}", ())
