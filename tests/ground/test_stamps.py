"""What was published about hybrid logical clocks holds of our stamps, and each place that makes stamps keeps the rule.

Histories are simulated: nodes whose clocks are wrong and drift, events, and messages that are late, overtake each other
or are lost. What is the cause of what is known from the simulation, not from the stamps.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.ground.clocks.hlc import COUNTER_BITS, TIME, UNIT_NS, HybridClock
from hydroscope.ground.clocks.many import stamps
from hydroscope.ground.clocks.reference import Logical, happened, physical, received
from hydroscope.ground.clocks.simulated import SimulatedClock
from hydroscope.ground.record.layout import Kind
from hydroscope.ground.record.reader import read_ring
from hydroscope.ground.record.recorder import Recorder
from tests.ground.record.rings import SECONDS


def logical(stamp: int) -> Logical:
    return Logical(stamp >> COUNTER_BITS, stamp % UNIT_NS)


# ---------------------------------------------------------------- who stamps


class ByReference:
    """The rule as published."""

    def __init__(self, clock, place, folder):
        self.clock, self.last = clock, Logical()

    def event(self, message=None):
        pt = physical(self.clock.wall_ns())
        self.last = happened(self.last, pt) if message is None else received(self.last, logical(message), pt)
        return self.last.packed()


class ByMember:
    """`HybridClock`."""

    def __init__(self, clock, place, folder):
        self.hybrid = HybridClock(clock)

    def event(self, message=None):
        assert message is None or self.hybrid.merge(message)
        return self.hybrid.tick()


class ByRecorder:
    """`Recorder`, whose own records (of clocks and samples) are events too."""

    def __init__(self, clock, place, folder):
        self.clock, self.started = clock, clock.wall_ns()
        self.rec = Recorder(f"node-{place}", SECONDS, folder, clock)
        self.messages: dict[int, int] = {}  # peers are not named, for a name that is new takes a stamp

    def event(self, message=None):
        if message is None:
            return self.rec.sent(None, 0)
        number = len(self.messages)
        self.messages[number] = message
        return self.rec.received(None, number, b"", message)

    def check(self) -> None:
        """See that the whole ring is what the rule says, of the times that are in it."""
        ahead_ns = self.clock.wall_ns() - round(self.clock.seconds() * 1e9)
        own = Logical(physical(self.started), 0)
        records = read_ring(self.rec.path).records
        self.rec.close(remove=True)
        for record in records:
            pt = physical((int(record["at_ns"]) & TIME) + (ahead_ns & TIME))
            if record["kind"] == Kind.RECEIVED:
                own = received(own, logical(self.messages[int(record["id"])]), pt)
            else:
                own = happened(own, pt)
            assert own.packed() == record["stamp"]
        assert self.rec.n_refused == self.rec.n_lost == 0


# ---------------------------------------------------------------- histories


@dataclass(frozen=True)
class Event:
    """What happened: when by its node's clock and by the fastest of all, its stamp, all that was before, as bits."""

    pt: int
    fastest: int
    stamp: int
    past: int


def history(kind, seed: int, n_nodes: int, skew_s: float, folder) -> tuple[list[Event], list]:
    """Return the events of a simulated run, in the order of true time, and the nodes."""
    chance = Random(seed)
    clocks = [SimulatedClock(chance.uniform(-skew_s, skew_s), chance.uniform(-1e-3, 1e-3)) for _ in range(n_nodes)]
    nodes = [kind(clock, place, folder) for place, clock in enumerate(clocks)]
    latest, under_way = [0] * n_nodes, []
    events: list[Event] = []
    gap_s = 10 ** chance.uniform(-7, 0)
    true_s = 0.0
    for _ in range(chance.randrange(40, 160)):
        true_s += chance.expovariate(1 / gap_s) if chance.random() < 0.7 else 0.0
        for clock in clocks:
            clock.set(true_s)
        at = chance.randrange(n_nodes)
        past = latest[at]
        message = None
        if under_way and chance.random() < 0.5:
            at, number = under_way.pop(chance.randrange(len(under_way)))
            message = events[number].stamp
            past = latest[at] | events[number].past | 1 << number
        stamp = nodes[at].event(message)
        latest[at] = past | 1 << len(events)
        if chance.random() < 0.6:
            under_way.append((chance.choice([node for node in range(n_nodes) if node != at]), len(events)))
        pts = [physical(clock.wall_ns()) for clock in clocks]
        events.append(Event(pts[at], max(pts), stamp, past))
    return events, nodes


def places(bits: int) -> list[int]:
    return [place for place in range(bits.bit_length()) if bits >> place & 1]


def check_bounds(events: list[Event]) -> None:
    """Check the theorems and corollaries of the paper's section 4."""
    for event in events:
        past = [events[place] for place in places(event.past)]
        own = logical(event.stamp)
        assert all(cause.stamp < event.stamp for cause in past)
        assert own.l >= event.pt
        assert own.l - event.pt <= event.fastest - event.pt
        if own.l > event.pt:
            assert any(cause.pt == own.l for cause in past)
        assert own.c <= sum(logical(cause.stamp).l == own.l for cause in past)


HISTORIES = {"seed": st.integers(0, 2**32), "n_nodes": st.integers(2, 20), "skew_s": st.sampled_from([0, 1e-6, 0.1, 5])}


@given(**HISTORIES)
@settings(max_examples=50)
def test_the_published_bounds_hold(seed, n_nodes, skew_s):
    events, _ = history(ByMember, seed, n_nodes, skew_s, None)
    check_bounds(events)


@given(**HISTORIES)
@settings(max_examples=30)
def test_a_member_stamps_as_published(seed, n_nodes, skew_s):
    ours, _ = history(ByMember, seed, n_nodes, skew_s, None)
    published, _ = history(ByReference, seed, n_nodes, skew_s, None)
    assert ours == published


@given(**{**HISTORIES, "n_nodes": st.integers(2, 8)})
@settings(max_examples=8)
def test_a_recorder_stamps_as_published_and_within_the_bounds(tmp_path_factory, seed, n_nodes, skew_s):
    """It rounds twice, so its physical time is up to two units behind; the counter is told by the ring as a whole."""
    events, nodes = history(ByRecorder, seed, n_nodes, skew_s, tmp_path_factory.mktemp("rings"))
    for node in nodes:
        node.check()
    for event in events:
        past = [events[place] for place in places(event.past)]
        own = logical(event.stamp)
        assert all(cause.stamp < event.stamp for cause in past)
        assert event.pt - 2 <= own.l <= event.fastest


WALLS = st.lists(
    st.one_of(st.integers(0, 2**62), st.integers(0, 40 * UNIT_NS), st.sampled_from([0, UNIT_NS - 1, UNIT_NS])),
    max_size=60,
)


@given(st.one_of(st.integers(0, 2**62), st.integers(0, 20 * UNIT_NS)), WALLS, st.booleans())
def test_many_stamps_at_once_are_those_of_one_after_another(last, walls, rise):
    own, published = logical(last), []
    if rise:
        walls = sorted(walls)
    for wall in walls:
        own = happened(own, physical(wall))
        published.append(own.packed())
    assert list(stamps(last, walls)) == published


class Set:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 0

    def seconds(self):
        return 0.0

    def wall_ns(self):
        return self.now


@given(st.lists(st.tuples(st.integers(0, 2**62), st.one_of(st.none(), st.integers(0, 2**62))), max_size=60))
def test_whatever_the_clock_does_a_member_keeps_the_rule(steps):
    """Set forward and back, asleep, and told of stamps from anywhere: those too far ahead count for nothing."""
    clock = Set()
    member, own, n_refused = HybridClock(clock), Logical(), 0
    for wall, message in steps:
        clock.now = wall
        if message is not None and message > own.packed() and message > wall + 60 * 10**9:
            assert not member.merge(message)
            n_refused += 1
            message = None
        elif message is not None:
            assert member.merge(message)
        before = own
        own = happened(own, physical(wall)) if message is None else received(own, logical(message), physical(wall))
        assert member.tick() == own.packed() > before.packed()
    assert member.refused == n_refused


def test_a_counter_that_is_full_carries_into_the_time():
    full = Logical(7, UNIT_NS - 1)
    for own in (
        happened(full, 0),
        received(full, Logical(7, 3), 0),
        received(Logical(7, 3), full, 0),
        received(Logical(), full, 0),
    ):
        assert own == Logical(8, 0)
    assert happened(full, 9) == Logical(9, 0)
    clock = Set()
    member = HybridClock(clock)
    given = [member.tick() for _ in range(3 * UNIT_NS)]
    assert given == sorted(set(given))
    assert list(stamps(0, [0] * 3 * UNIT_NS)) == given
    assert logical(given[-1]) == Logical(3, 0)


def test_stamps_compare_as_pairs_do():
    pairs = [Logical(time, count) for time in (0, 1, 7) for count in (0, 1, UNIT_NS - 1)]
    for one, other in itertools.product(pairs, pairs):
        assert (one < other) == (one.packed() < other.packed())
