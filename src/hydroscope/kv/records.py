"""The records that the tables of a store are made of. Each has one owner, the table that made it."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from hydroscope.kv.states import CacheState, HomePhase, SlotState

__all__ = ["LOST", "Fence", "Generation", "Miss", "Record", "Slot", "Write"]


class _Lost:
    """The value of a key whose home died and that nobody has written since."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "LOST"


LOST: Any = _Lost()


class Write(msgspec.Struct, eq=False):
    """One write: of this member (`slots` makes it) or of a peer (`home` does, for its request)."""

    key: str
    value: Any
    name: str | None
    """Of the function; None: a put."""
    arguments: tuple[Any, ...]
    durable: bool
    peer: int
    number: int
    op: Any = None
    early: bool = False
    """A plain put: this member's threads see it before it is ordered."""
    fenced: bool = False
    """Waits for plain puts of its thread."""
    generation: Generation | None = None
    merged: list[tuple[Any, Generation]] | None = None
    """Plain puts that this one replaced, in order."""
    reply: Any = None

    def __repr__(self) -> str:
        what = f"put {self.value!r:.40}" if self.name is None else f"{self.name}{self.arguments!r:.40}"
        flags = "".join(f" {name}" for name in ("early", "fenced", "durable") if getattr(self, name))
        return f"<{what} of member {self.peer}, call {self.number}, op {self.op!r}{flags}>"


class Record(msgspec.Struct, eq=False):
    """A key at its home."""

    key: str
    value: Any
    version: int
    phase: HomePhase = HomePhase.OPEN
    readers: int = 0
    """Counted answers that are not settled."""
    replicas: set[int] | None = None
    awaiting: set[int] | None = None
    """Replicas told to drop, not yet acknowledged."""
    backing: int | None = None
    """The member that is getting the second copy."""
    queue: deque[Write] | None = None
    closing: Write | None = None
    """The write underway."""
    new: Any = None
    new_version: int = 0
    durable: bool = False
    inherited: bool = False
    """Its first home died: never forgotten, absent would be a guess."""
    running: bool = False

    def __repr__(self) -> str:
        return (
            f"<{self.value!r:.60} version {self.version} {self.phase.name} readers {self.readers} "
            f"replicas {sorted(self.replicas or ())} awaiting {sorted(self.awaiting or ())} backing {self.backing} "
            f"closing {self.closing} queue {list(self.queue or ())}>"
        )


class Miss(msgspec.Struct, eq=False):
    """A get that is underway to the key's home."""

    key: str
    peer: int
    askers: list[Any]
    """Began before the question was sent: any answer will do."""
    joiners: list[Any]
    """Began later: only a value that is current now will do."""

    def __repr__(self) -> str:
        return f"<asking member {self.peer} for {self.askers!r}, joined by {self.joiners!r}>"


class Slot(msgspec.Struct, eq=False):
    """The own writes of one key."""

    key: str
    queue: deque[Write]
    peer: int = -1
    """Where `flying` went."""
    flying: Write | None = None
    shown: Write | None = None
    """The last plain put among them: what own threads read."""

    @property
    def state(self) -> SlotState:
        """Its state in the table."""
        return SlotState.FLYING if self.flying is not None else SlotState.HELD

    def __repr__(self) -> str:
        return f"<flying {self.flying} to member {self.peer}, queue {list(self.queue)}, shown {self.shown}>"


class Generation(msgspec.Struct, eq=False):
    """Plain puts of one thread between two of its fences."""

    thread: int
    waiters: list[Write | Fence]
    count: int = 0


class Fence(msgspec.Struct, eq=False):
    """An operation that finishes when plain puts of its thread are ordered."""

    op: Any


CACHE_STATES = tuple(CacheState)
"""By `asking + 2 * replica`."""
