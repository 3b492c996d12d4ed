"""A gate that opens once: what threads of this process wait at."""

from __future__ import annotations

import contextlib
import threading

__all__ = ["Latch"]


class Latch:
    """A gate that opens once. Each waiter sleeps on a lock of its own, so none can be lost."""

    __slots__ = ("_is_open", "_waiters")

    def __init__(self) -> None:
        self._is_open = False
        self._waiters: list[threading.Lock] = []

    def open(self) -> None:
        """Let everybody through, now and later."""
        self._is_open = True
        while self._waiters:
            try:
                waiter = self._waiters.pop()
            except IndexError:  # another thread opened too and took it
                return
            waiter.release()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until open; False when `timeout_s` went by first. Ctrl-C interrupts it."""
        if self._is_open:
            return True
        mine = threading.Lock()
        mine.acquire()
        self._waiters.append(mine)
        if self._is_open:  # it opened before it could see this waiter
            return True
        woken = mine.acquire(True, -1 if timeout_s is None else max(timeout_s, 0.0))
        if not woken:
            with contextlib.suppress(ValueError):
                self._waiters.remove(mine)
        return woken or self._is_open
