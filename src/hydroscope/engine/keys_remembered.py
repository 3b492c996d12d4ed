"""The key/value store of one process with a window-log beside it: what its keys were in the last seconds.

Only where that was asked for (`init(history_s=10)`): a put costs several times as much as without. Writers go one by
one, so that the log has the order of the store.
"""

from __future__ import annotations

import threading
from typing import Any, Final

from hydroscope.engine.keys_local import LocalKeys
from hydroscope.window.absent import ABSENT
from hydroscope.window.log import WindowLog

__all__ = ["RememberedKeys"]

NAME: Final = "kv"


class RememberedKeys(LocalKeys):
    """Keys and values of this process, whose past can be looked at.

    Parameters
    ----------
    before : LocalKeys
        Whose keys, functions and watches these are from now on.
    seconds : float
        As of `WindowLog`.

    Attributes
    ----------
    log : WindowLog
        Of the name "kv".
    """

    def __init__(self, before: LocalKeys, seconds: float) -> None:
        vars(self).update(vars(before))
        self._before = before
        self.log = WindowLog(NAME, seconds)
        self._writing = threading.RLock()
        self._plain_put = before.put
        self.put = self._put
        for key, value in list(self._front.items()):
            self.log[key] = value

    def atomic(self, key: str, function: str, *arguments: Any) -> Any:
        """Apply a registered function to the value."""
        with self._writing:
            before = self._front.get(key)
            try:
                return super().atomic(key, function, *arguments)
            finally:
                if self._front.get(key) is not before:
                    self._note(key)

    def remove(self, key: str, wait: bool = False) -> None:
        """Make a key absent."""
        with self._writing:
            was_there = key in self._front
            super().remove(key, wait)
            if was_there:
                self._note(key)

    def plain(self) -> LocalKeys:
        """Return the same keys without a past."""
        self.log.close()
        return self._before

    def shutdown(self) -> None:
        """Close all watches and the log."""
        super().shutdown()
        self.log.close()

    def _put(self, key: str, value: Any, wait: bool = False, durable: bool = False) -> None:
        with self._writing:
            if value is None:
                self.remove(key)
                return
            self._plain_put(key, value)
            self.log[key] = value

    def _note(self, key: str) -> None:
        value = self._front.get(key)
        self.log[key] = ABSENT if value is None else value
