"""The clock of a machine that is seconds off, for processes that all run on this one."""

from __future__ import annotations

import time

__all__ = ["WrongClock"]


class WrongClock:
    """A `Clock` that is ahead of the system's.

    Parameters
    ----------
    ahead_s : float
    """

    def __init__(self, ahead_s: float) -> None:
        self._ahead_ns = round(ahead_s * 1e9)

    def seconds(self) -> float:
        """Return a time that never goes back."""
        return time.monotonic() + 1000 + self._ahead_ns / 1e9

    def wall_ns(self) -> int:
        """Return nanoseconds since 1970, as this machine believes."""
        return time.time_ns() + self._ahead_ns
