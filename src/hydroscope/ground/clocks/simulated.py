"""A clock that stands where it is put, as wrong as wanted."""

from __future__ import annotations

from hydroscope.ground.errors import InternalError

__all__ = ["SimulatedClock"]

START_NS = 1_800_000_000 * 10**9
"""What the wall says at true time 0: some day of 2027."""


class SimulatedClock:
    """A `Clock` that is set from outside.

    Parameters
    ----------
    skew_s : float
        By how much the wall is ahead at true time 0.
    drift : float
        Seconds gained in each true second, by both times.

    Examples
    --------
    >>> clock = SimulatedClock(skew_s=0.5, drift=0.01)
    >>> clock.set(100.0)
    >>> clock.seconds(), clock.wall_ns() - START_NS
    (101.0, 101500000000)
    """

    __slots__ = ("_jump_ns", "_now", "_rate")

    def __init__(self, skew_s: float = 0.0, drift: float = 0.0) -> None:
        if drift <= -1.0:
            raise InternalError(f"a clock with drift {drift} would stand or go back; drift must be above -1")
        self._now = 0.0
        self._rate = 1.0 + drift
        self._jump_ns = START_NS + round(skew_s * 1e9)

    def set(self, true_s: float) -> None:
        """Let the true time be `true_s`, which does not go back."""
        if true_s < self._now:
            raise InternalError(f"simulated time would go back from {self._now} s to {true_s} s; it only goes on")
        self._now = true_s

    def jump(self, seconds: float) -> None:
        """Put the wall's time forward or back, as an operator or NTP would."""
        self._jump_ns += round(seconds * 1e9)

    def seconds(self) -> float:
        """Return a time that never goes back, for deadlines; its zero means nothing."""
        return self._now * self._rate

    def wall_ns(self) -> int:
        """Return nanoseconds since 1970 UTC, as this machine believes; may jump."""
        return self._jump_ns + round(self._now * self._rate * 1e9)
