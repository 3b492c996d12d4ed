"""What everything that needs the time asks for."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """A source of time; `clocks.system` and `clocks.simulated` provide it."""

    def seconds(self) -> float:
        """Return a time that never goes back, for deadlines; its zero means nothing."""

    def wall_ns(self) -> int:
        """Return nanoseconds since 1970 UTC, as this machine believes; may jump."""
