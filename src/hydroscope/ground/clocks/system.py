"""The clocks of this machine."""

from __future__ import annotations

import time

__all__ = ["SystemClock"]


class SystemClock:
    """A `Clock` over the operating system's."""

    __slots__ = ()

    seconds = staticmethod(time.monotonic)
    """Return a time that never goes back, for deadlines; its zero means nothing."""

    wall_ns = staticmethod(time.time_ns)
    """Return nanoseconds since 1970 UTC, as this machine believes; may jump."""
