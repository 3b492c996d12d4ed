"""What becomes of threads and sockets in a forked child, which has none of the threads."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["Abandons", "abandon_after_fork"]


class Abandons(Protocol):
    """Something with a thread of its own."""

    def abandon(self) -> None:
        """In a forked child: refuse from now on, instead of waiting for a thread that is not there."""


def abandon_after_fork(owner: Abandons) -> None:
    """Have `owner.abandon()` called in forked children, as long as there is an owner. Cost: free until then."""
    alive = weakref.ref(owner)

    def abandon() -> None:
        mine = alive()
        if mine is not None:
            mine.abandon()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=abandon)
