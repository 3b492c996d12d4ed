"""What the tests compare with: all changes replayed one by one."""

from __future__ import annotations

from hydroscope.window.absent import ABSENT

__all__ = ["replay", "state_of"]


def replay(changes, stamp):
    """Return the state after all (stamp, key, value) up to `stamp`, those of one stamp in the order of arrival."""
    state = {}
    for _, key, value in sorted((each for each in changes if each[0] <= stamp), key=lambda each: each[0]):
        if value is ABSENT:
            state.pop(key, None)
        else:
            state[key] = value
    return state


def state_of(cut):
    """Return a cut as a dictionary."""
    return dict(cut.items())
