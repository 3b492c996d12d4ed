"""What the tables of one member share: who it is, where the homes are, what was asked of whom, and the story so far."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from enum import IntEnum, auto
from typing import Any, NoReturn

from hydroscope.ground.errors import InternalError
from hydroscope.kv.effects import Ask, Effect
from hydroscope.kv.homes import Homes
from hydroscope.wire.messages import Request, View

__all__ = ["Asked", "Desk", "Purpose"]

STORY_LENGTH = 1024


class Purpose(IntEnum):
    """Why a peer was asked."""

    MISS = 0
    WRITE = auto()
    INVALIDATE = auto()
    BACKUP = auto()
    BACKUP_AGAIN = auto()
    SCAN = auto()
    WATCH = auto()
    NOTIFY = auto()


Asked = tuple[int, Purpose, Any]
"""The peer, why, and the record that the answer is for."""


class Desk:
    """What the tables of one member share; `Store` owns it."""

    __slots__ = ("_tag", "asks", "counters", "describe", "epoch", "front", "homes", "live", "me", "recent")

    def __init__(self, me: int, front: dict[str, Any]) -> None:
        self.me = me
        self.front = front
        self.epoch = 0
        self.live: frozenset[int] = frozenset()
        self.homes = Homes(View(0, (), ()))
        self.asks: dict[int, Asked] = {}
        self.counters: Counter[str] = Counter()
        self.recent: deque[tuple[str, IntEnum, int]] = deque(maxlen=STORY_LENGTH)
        self.describe: Callable[[str], str] = str
        self._tag = 0

    def ask(self, peer: int, request: Request, purpose: Purpose, what: Any, out: list[Effect]) -> None:
        """Ask a peer; its answer is for `what`."""
        self._tag += 1
        self.asks[self._tag] = (peer, purpose, what)
        out.append(Ask(peer, request, self._tag))

    def impossible(self, key: str, why: str) -> NoReturn:
        """Raise, with all that is known of the key."""
        story = "; ".join(f"{event.name} (member {peer})" for name, event, peer in self.recent if name == key)
        raise InternalError(
            f"key {key!r} at member {self.me}, epoch {self.epoch}: {why}. {self.describe(key)}. "
            f"Events: {story or 'none'}"
        )
