"""What the tests compare with: all changes replayed one by one."""

from __future__ import annotations

import os
import signal
import warnings

from hydroscope.window.absent import ABSENT

__all__ = ["forked", "replay", "state_of"]


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


def forked(work):
    """Return the number of a forked child that ends well if `work` returns something true."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of threads
        child = os.fork()
    if child == 0:
        code = 1
        signal.alarm(30)  # who waits for a lock that nobody has any more
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return child
