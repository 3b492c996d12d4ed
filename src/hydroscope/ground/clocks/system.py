"""The clocks of this machine."""

from __future__ import annotations

import time

__all__ = ["SystemClock"]


class SystemClock:
    """A `Clock` over the operating system's."""

    __slots__ = ()

    def seconds(self) -> float:
        """Return a time that never goes back, for deadlines; its zero means nothing."""
        return time.monotonic()

    def wall_ns(self) -> int:
        """Return nanoseconds since 1970 UTC, as this machine believes; may jump."""
        return time.time_ns()
