"""Who waits for an operation of a member, and who is told of what nobody waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Protocol

from hydroscope.kv import effects as kv
from hydroscope.wire.messages import View

__all__ = ["Observer", "Outcome", "Waiter"]

Outcome = kv.Outcome


class Waiter:
    """One operation that a thread waits for; it is the operation's token too."""

    __slots__ = ("gate", "outcome")

    def __init__(self) -> None:
        self.outcome: Outcome | BaseException | None = None
        self.gate = threading.Lock()
        self.gate.acquire()

    def end(self, outcome: Outcome | BaseException) -> None:
        """Let the waiting thread go on; the first outcome counts."""
        if self.outcome is None:
            self.outcome = outcome
            self.gate.release()


class Observer(Protocol):
    """Who is told of what no caller waits for; by whichever thread reads, so it must return at once."""

    ordered: Callable[[kv.Ordered | kv.Adopted], None]
    """A key has a new value here, its home."""

    def entered(self, view: View, is_open: bool) -> None:
        """A view holds from here on, or has opened."""

    def changed(self, keys: tuple[str, ...]) -> None:
        """Watched keys have changed."""

    def finished(self, op: Hashable, outcome: Outcome) -> None:
        """An operation that nobody waits for has ended."""

    def excluded(self, reason: str) -> None:
        """This member belongs no longer."""
