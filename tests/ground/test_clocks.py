"""Stamps follow cause and effect, stay near the wall, and cannot be poisoned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.ground.clocks.hlc import UNIT_NS, HybridClock, time_ns
from hydroscope.ground.clocks.simulated import SimulatedClock
from hydroscope.ground.clocks.system import SystemClock
from hydroscope.ground.errors import InternalError

STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["tick", "say", "pass", "jump"]), st.floats(-5, 5)), max_size=60
)


@given(STEPS)
def test_stamps_rise_at_each_member_and_along_each_message_whatever_the_clocks_do(steps):
    clocks = [SimulatedClock(skew_s=skew, drift=drift) for skew, drift in ((0, 0), (7, 0.01), (-3, -0.01))]
    members = [HybridClock(clock) for clock in clocks]
    said = [0, 0, 0]
    true_s = 0.0
    for at, what, amount in steps:
        if what == "pass":
            true_s += abs(amount)
            for clock in clocks:
                clock.set(true_s)
        elif what == "jump":
            clocks[at].jump(amount)
        else:
            stamp = members[at].tick()
            assert stamp > said[at]
            said[at] = stamp
            if what == "say":
                to = (at + 1) % 3
                assert members[to].merge(stamp)
                answer = members[to].tick()
                assert answer > max(stamp, said[to])
                said[to] = answer


@given(st.lists(st.floats(0, 0.001), min_size=1, max_size=30))
def test_an_undisturbed_stamp_is_the_wall_to_a_unit_unless_many_share_one(gaps):
    clock = SimulatedClock()
    member = HybridClock(clock)
    now = 0.0
    for turn, gap in enumerate(gaps):
        now += gap
        clock.set(now)
        stamp = member.tick()
        assert -UNIT_NS < time_ns(stamp) - clock.wall_ns() <= 0
        assert stamp - time_ns(stamp) <= turn


def test_a_counter_that_overflows_carries_into_the_time():
    clock = SimulatedClock()
    member = HybridClock(clock)
    first = member.tick()
    for _ in range(UNIT_NS):
        last = member.tick()
    assert last == first + UNIT_NS
    assert time_ns(last) == time_ns(first) + UNIT_NS


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50))
def test_no_series_of_stamps_pushes_a_clock_further_ahead_than_allowed(stamps):
    clock = SimulatedClock()
    member = HybridClock(clock, max_ahead_s=60.0)
    limit = clock.wall_ns() + 60 * 10**9
    for stamp in stamps:
        before = (member.last, member.refused)
        taken = member.merge(stamp)
        assert taken == (stamp <= limit)
        if not taken:
            assert (member.last, member.refused) == (before[0], before[1] + 1)
    assert member.tick() <= limit + len(stamps) + 1


def test_a_member_is_pushed_by_poison_no_further_however_often_it_is_passed_on():
    clocks = [SimulatedClock() for _ in range(3)]
    members = [HybridClock(clock) for clock in clocks]
    limit = clocks[0].wall_ns() + 60 * 10**9
    assert members[0].merge(limit)
    for turn in range(3_000):
        stamp = members[turn % 3].tick()
        members[(turn + 1) % 3].merge(stamp)
    assert max(member.last for member in members) <= limit + 3_000


def test_the_clocks_of_the_machine_go_on():
    clock = SystemClock()
    assert clock.seconds() <= clock.seconds()
    assert clock.wall_ns() > 1_600_000_000 * 10**9


def test_a_simulated_clock_goes_only_on():
    clock = SimulatedClock()
    clock.set(2.0)
    with pytest.raises(InternalError, match="go back"):
        clock.set(1.0)
    with pytest.raises(InternalError, match="drift"):
        SimulatedClock(drift=-1.0)
