"""The hybrid logical clock: stamps that follow cause and effect, and stay near the time on the wall.

A stamp is one integer of 64 bits: nanoseconds since 1970 with the lowest 12 bits given to a
counter (Kulkarni et al., *Logical Physical Clocks*, OPODIS 2014). So stamps compare as
integers, each is within 4.1 us of a time in nanoseconds, and a counter that overflows
carries into the time by itself: adding 1 is all there is to it.

    a stamp = the time on the wall, or the newest stamp and 1, whichever is higher

`reference` has the published rule, of which this is the arithmetic; it is used in three places.
`HybridClock` is a member's; the recorder (`record/hot.py`) has it inlined; `many.stamps` makes
many at once. Tests prove all three equal to the reference, and the bounds that were published.

Whatever a member has seen is stamped lower than what it says next. A stamp that is further
ahead of the wall than clocks can be wrong would, if taken, be passed on to everybody, and
everybody's stamps would be wrong for ever after; so it is refused (`is_poison`), and counted.
"""

from __future__ import annotations

from typing import Final

from hydroscope.ground.clocks.port import Clock

__all__ = ["COUNTER_BITS", "MAX_AHEAD_S", "TIME", "UNIT_NS", "HybridClock", "is_poison", "time_ns"]

COUNTER_BITS: Final = 12

UNIT_NS: Final = 1 << COUNTER_BITS
"""Times that are less apart than this are told apart by the counter alone."""

TIME: Final = -UNIT_NS
"""The bits of a stamp that are its time."""

MAX_AHEAD_S: Final = 60.0
"""Seconds; machines without any synchronisation are seldom further apart."""


def time_ns(stamp: int) -> int:
    """Return the nanoseconds since 1970 that a stamp says, to 2**12 ns.

    Examples
    --------
    >>> time_ns(10 * 4096 + 7) == 40960
    True
    """
    return stamp & TIME


def is_poison(stamp: int, wall_ns: int, max_ahead_ns: int = round(MAX_AHEAD_S * 1e9)) -> bool:
    """Tell whether a stamp is too far ahead of the time on the wall to be taken over.

    Examples
    --------
    >>> is_poison(60 * 10**9, 0), is_poison(60 * 10**9 + 1, 0)
    (False, True)
    """
    return stamp > wall_ns + max_ahead_ns


class HybridClock:
    """Owner of one member's stamps.

    Any thread may ask: with CPython's global lock nobody comes between a look at `last` and
    what is put in its place, for there is no call between them.

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
        wall = self._wall_ns() & TIME
        self.last = stamp = wall if wall > self.last else self.last + 1
        return stamp

    def merge(self, stamp: int) -> bool:
        """Take in the stamp of something received; False, and nothing changes, if it is too far ahead."""
        if stamp > self.last:  # a stamp from below it is as near to the wall as that was
            if is_poison(stamp, self._wall_ns(), self._max_ahead_ns):
                self.refused += 1
                return False
            self.raise_to(stamp)
        return True

    def raise_to(self, stamp: int) -> None:
        """Let all later stamps be higher than this one, which is to be trusted."""
        self.last = stamp if stamp > self.last else self.last
