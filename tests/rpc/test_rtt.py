"""The estimate of RFC 6298 against its formulas in plain arithmetic, its bounds, and what is not learned from."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.rpc.rtt import SHARED_BACKOFF, RoundTrip, Timing

SECONDS = st.floats(0.0, 10.0)


@given(st.lists(SECONDS, min_size=1, max_size=30))
def test_the_estimate_is_that_of_the_rfc(samples):
    trip = RoundTrip(Timing())
    mean = deviation = Fraction(0)
    for index, seconds in enumerate(samples):
        trip.measure(seconds)
        sample = Fraction(seconds)
        if index == 0:
            mean, deviation = sample, sample / 2
        else:
            deviation = Fraction(3, 4) * deviation + Fraction(1, 4) * abs(mean - sample)
            mean = Fraction(7, 8) * mean + Fraction(1, 8) * sample
    assert trip.mean == pytest.approx(float(mean))
    assert trip.timeout == pytest.approx(float(min(max(mean + 4 * deviation, Fraction(1, 20)), 5)))


@given(st.lists(SECONDS, max_size=10), st.integers(1, 10**6))
def test_a_wait_stays_within_its_bounds_and_never_shrinks(samples, n_sent):
    trip = RoundTrip(Timing())
    for seconds in samples:
        trip.measure(seconds)
    assert 0.05 <= trip.wait(n_sent) <= trip.wait(n_sent + 1) <= 5.0


def test_what_timed_out_widens_later_waits_up_to_a_factor_until_something_is_measured():
    trip = RoundTrip(Timing())
    trip.measure(0.001)
    assert trip.wait(1) == pytest.approx(0.05)
    for turn in range(9):
        trip.widen(float(turn))
        assert trip.wait(1) == pytest.approx(0.05 * SHARED_BACKOFF)
    assert trip.wait(9) == pytest.approx(0.05 * 1.5**6)
    trip.measure(0.001)
    assert trip.wait(1) == pytest.approx(0.05)


def test_where_six_of_ten_messages_are_lost_the_mean_wait_is_bounded():
    trip = RoundTrip(Timing())
    trip.measure(0.001)
    trip.widen(0.0)
    mean = sum(0.6 ** (n_sent - 1) * trip.wait(n_sent) for n_sent in range(1, 200))
    assert mean < 0.5
