"""The records that the tables of a store are made of. Each has one owner, the table that made it."""

from __future__ import annotations

from collections import deque
from typing import Any

from hydroscope.kv.states import CacheState, HomePhase, SlotState

__all__ = ["LOST", "Fence", "Generation", "Miss", "Record", "Slot", "Write"]


class _Lost:
    """The value of a key whose home died and that nobody has written since."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "LOST"


LOST: Any = _Lost()


class Write:
    """One write: of this member (`slots` makes it) or of a peer (`home` does, for its request)."""

    __slots__ = (
        "arguments",
        "durable",
        "early",
        "fenced",
        "generation",
        "key",
        "merged",
        "name",
        "number",
        "op",
        "peer",
        "reply",
        "value",
    )

    def __init__(
        self,
        key: str,
        value: Any,
        name: str | None,
        arguments: tuple[Any, ...],
        durable: bool,
        peer: int,
        number: int,
        op: Any = None,
    ) -> None:
        self.key = key
        self.value = value
        self.name = name  # of the function; None: a put
        self.arguments = arguments
        self.durable = durable
        self.peer = peer
        self.number = number
        self.op = op
        self.early = False  # a plain put: this member's threads see it before it is ordered
        self.fenced = False  # waits for plain puts of its thread
        self.generation: Generation | None = None
        self.merged: list[tuple[Any, Generation]] | None = None  # plain puts that this one replaced, in order
        self.reply: Any = None

    def __repr__(self) -> str:
        what = f"put {self.value!r:.40}" if self.name is None else f"{self.name}{self.arguments!r:.40}"
        flags = "".join(f" {name}" for name in ("early", "fenced", "durable") if getattr(self, name))
        return f"<{what} of member {self.peer}, call {self.number}, op {self.op!r}{flags}>"


class Record:
    """A key at its home."""

    __slots__ = (
        "awaiting",
        "backing",
        "closing",
        "durable",
        "inherited",
        "key",
        "new",
        "new_version",
        "phase",
        "queue",
        "readers",
        "replicas",
        "running",
        "value",
        "version",
    )

    def __init__(self, key: str, value: Any, version: int) -> None:
        self.key = key
        self.value = value
        self.version = version
        self.phase = HomePhase.OPEN
        self.readers = 0  # counted answers that are not settled
        self.replicas: set[int] | None = None
        self.awaiting: set[int] | None = None  # replicas told to drop, not yet acknowledged
        self.backing: int | None = None  # the member that is getting the second copy
        self.queue: deque[Write] | None = None
        self.closing: Write | None = None  # the write underway
        self.new: Any = None
        self.new_version = 0
        self.durable = False
        self.inherited = False  # its first home died: never forgotten, absent would be a guess
        self.running = False

    def __repr__(self) -> str:
        return (
            f"<{self.value!r:.60} version {self.version} {self.phase.name} readers {self.readers} "
            f"replicas {sorted(self.replicas or ())} awaiting {sorted(self.awaiting or ())} backing {self.backing} "
            f"closing {self.closing} queue {list(self.queue or ())}>"
        )


class Miss:
    """A get that is underway to the key's home."""

    __slots__ = ("askers", "joiners", "key", "peer")

    def __init__(self, key: str, peer: int, op: Any) -> None:
        self.key = key
        self.peer = peer
        self.askers = [op]  # began before the question was sent: any answer will do
        self.joiners: list[Any] = []  # began later: only a value that is current now will do

    def __repr__(self) -> str:
        return f"<asking member {self.peer} for {self.askers!r}, joined by {self.joiners!r}>"


class Slot:
    """The own writes of one key."""

    __slots__ = ("flying", "key", "peer", "queue", "shown")

    def __init__(self, key: str) -> None:
        self.key = key
        self.peer = -1  # where `flying` went
        self.flying: Write | None = None
        self.queue: deque[Write] = deque()
        self.shown: Write | None = None  # the last plain put among them: what own threads read

    @property
    def state(self) -> SlotState:
        """Its state in the table."""
        return SlotState.FLYING if self.flying is not None else SlotState.HELD

    def __repr__(self) -> str:
        return f"<flying {self.flying} to member {self.peer}, queue {list(self.queue)}, shown {self.shown}>"


class Generation:
    """Plain puts of one thread between two of its fences."""

    __slots__ = ("count", "thread", "waiters")

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.count = 0
        self.waiters: list[Write | Fence] = []


class Fence:
    """An operation that finishes when plain puts of its thread are ordered."""

    __slots__ = ("op",)

    def __init__(self, op: Any) -> None:
        self.op = op


CACHE_STATES = tuple(CacheState)
"""By `asking + 2 * replica`."""
