"""How long to wait for an answer: the round trip, estimated as RFC 6298 does, and longer while nothing comes."""

from __future__ import annotations

import msgspec

__all__ = ["RoundTrip", "Timing"]

ALPHA = 1 / 8
"""Weight of a new round trip in the mean (RFC 6298, 2.3)."""
BETA = 1 / 4
"""Weight of a new deviation in the mean deviation."""
DEVIATIONS = 4
GROWTH = (1.0, 1.0, 1.0, *(1.5**turn for turn in range(1, 64)))
"""Waits after the first, second, ... sending of one message, in timeouts.

Not doubled each time: when six of ten messages are lost each way, each further wait is needed in
six of ten cases, and if it were twice as long the mean wait would have no bound (measured: 5 s a
call where the round trip is 0.2 ms).
"""
SHARED_BACKOFF = 2
"""A resend makes later messages wait longer too, by this factor, until one is answered at first try.

With more, one caller behind heavy loss would start each call at a long wait; with none shared, a
round trip that grew beyond the wait would make every message a double for ever.
"""


class Timing(msgspec.Struct, frozen=True):
    """Bounds of the wait for an answer."""

    first_s: float = 0.25
    """Before anything was measured."""
    shortest_s: float = 0.05
    longest_s: float = 5.0
    probe_s: float = 2.0
    """Between two questions for a call that the server said it works on."""


class RoundTrip:
    """Owner of one peer's estimate. What was sent twice teaches nothing (Karn): its answer may be to either."""

    __slots__ = ("_deviation", "_factor", "_longest", "_mean", "_shortest", "_widened_until", "probe_s", "timeout")

    def __init__(self, timing: Timing) -> None:
        self._shortest = timing.shortest_s
        self._longest = timing.longest_s
        self._mean = -1.0
        self._deviation = 0.0
        self._factor = 1
        self._widened_until = 0.0
        self.probe_s = timing.probe_s
        self.timeout = timing.first_s
        """Seconds to wait for the answer to what is sent for the first time, nothing having been lost lately."""

    @property
    def mean(self) -> float:
        """Return the smoothed round trip in seconds; negative before the first measurement."""
        return self._mean

    def measure(self, seconds: float) -> None:
        """Learn from the answer to something that was sent once."""
        mean = self._mean
        if mean < 0.0:
            mean = seconds
            deviation = seconds / 2
        else:
            deviation = self._deviation
            deviation += BETA * (abs(mean - seconds) - deviation)
            mean += ALPHA * (seconds - mean)
        self._mean = mean
        self._deviation = deviation
        self._factor = 1
        timeout = mean + DEVIATIONS * deviation
        if timeout < self._shortest:  # min and max would take longer than all of the above
            timeout = self._shortest
        elif timeout > self._longest:
            timeout = self._longest
        self.timeout = timeout

    def wait(self, n_sent: int) -> float:
        """Return how long to wait after sending for the `n_sent`-th time."""
        factor = self._factor
        if n_sent == 1 and factor == 1:
            return self.timeout
        growth = GROWTH[n_sent - 1] if n_sent <= len(GROWTH) else GROWTH[-1]
        return min(self.timeout * max(factor, growth), self._longest)

    def widen(self, now: float) -> None:
        """Note that no answer came in time; what times out together counts once."""
        if now >= self._widened_until:
            self._factor = SHARED_BACKOFF
            self._widened_until = now + self.timeout * self._factor
