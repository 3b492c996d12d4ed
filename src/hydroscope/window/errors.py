"""A moment that a log does not remember: what is said about it."""

from __future__ import annotations

from hydroscope.ground.errors import UserError
from hydroscope.window.history import History
from hydroscope.window.times import shown

__all__ = ["WindowError", "outside"]


class WindowError(UserError):
    """A time that lies outside of what a window-log remembers; the text has its limits."""


def outside(history: History, stamp: int) -> WindowError:
    """Return the error for a moment that a history does not cover."""
    name, start, until = history.name, history.start, history.until
    if stamp > until:
        return WindowError(f"log {name!r} is known until {shown(until)}; {shown(stamp)} is later: ask again then")
    return WindowError(
        f"log {name!r} reaches back to {shown(start)} (stamp {start}) and not to {shown(stamp)}; "
        "ask for a later moment, or give its WindowLog more seconds and bytes (a cluster's keys: HYDROSCOPE_HISTORY=60)"
    )
