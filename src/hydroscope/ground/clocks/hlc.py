"""The hybrid logical clock: stamps that follow cause and effect, and stay near the time on the wall.

A stamp is one integer of 64 bits: nanoseconds since 1970 with the lowest 16 bits given to a
counter (Kulkarni et al., *Logical Physical Clocks*, OPODIS 2014). So stamps compare as
integers, each is within 65.6 us of a time in nanoseconds, and a counter that overflows
carries into the time by itself: adding 1 is all there is to it.

Whatever a member has seen is stamped lower than what it says next. A stamp that is further
ahead of the wall than clocks can be wrong would, if taken, be passed on to everybody, and
everybody's stamps would be wrong for ever after; so it is refused, and its packet with it.
"""

from __future__ import annotations

from hydroscope.ground.clocks.port import Clock

__all__ = ["COUNTER_BITS", "MAX_AHEAD_S", "HybridClock", "time_ns"]

COUNTER_BITS = 16
MAX_AHEAD_S = 60.0
"""Seconds; machines without any synchronisation are seldom further apart."""

_TIME = ~((1 << COUNTER_BITS) - 1)


def time_ns(stamp: int) -> int:
    """Return the nanoseconds since 1970 that a stamp says, to 2**16 ns.

    Examples
    --------
    >>> time_ns(10 * 65536 + 7) == 655360
    True
    """
    return stamp & _TIME


class HybridClock:
    """Owner of one member's stamps.

    Parameters
    ----------
    clock : Clock
    max_ahead_s : float
        A stamp from further in the future is refused.
    """

    __slots__ = ("_max_ahead_ns", "_wall_ns", "last", "refused")

    def __init__(self, clock: Clock, max_ahead_s: float = MAX_AHEAD_S) -> None:
        self._wall_ns = clock.wall_ns
        self._max_ahead_ns = round(max_ahead_s * 1e9)
        self.last = 0
        """The newest stamp that was given or taken."""
        self.refused = 0
        """Stamps that were too far ahead."""

    def tick(self) -> int:
        """Return a stamp for what happens now: higher than all before, of ours and of those merged."""
        stamp = self.last + 1
        physical = self._wall_ns() & _TIME
        if physical > stamp:
            stamp = physical
        self.last = stamp
        return stamp

    def merge(self, stamp: int) -> bool:
        """Take in the stamp of something received; False, and nothing changes, if it is too far ahead."""
        if stamp > self.last:  # a stamp from below it is as near to the wall as that was
            if stamp > self._wall_ns() + self._max_ahead_ns:
                self.refused += 1
                return False
            self.last = stamp
        return True
