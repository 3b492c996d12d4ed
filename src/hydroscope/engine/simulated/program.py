"""What a simulated thread does: a generator that yields operations and is sent what came of them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import msgspec

from hydroscope.ground.errors import UserError
from hydroscope.kv.effects import Lost, Names, Refused, Value, Wrote
from hydroscope.kv.scans import what_is_missing
from hydroscope.node.ports import NodeLost

__all__ = ["Do", "Keys", "Program", "meaning"]


class Do(msgspec.Struct, frozen=True, gc=False):
    """One operation, yet to be done: made by `Keys`."""

    kind: str
    key: str = ""
    value: Any = None
    wait: bool = True
    durable: bool = False
    name: str = ""
    arguments: tuple[Any, ...] = ()
    seconds: float = 0.0
    partial: bool = False
    op: Any = None
    """A token to know it by in the member's effects; one is made if there is none."""


class Keys:
    """The key/value store as a simulated program sees it: `value = yield keys.get("k")`.

    A get gives the value, an atomic its result, a scan the names; what was lost with a member
    raises `NodeLost` inside the program, what the store refuses raises `UserError`.
    """

    def get(self, key: str) -> Do:
        """Read a key. Cost: nothing if this member has it, else one round trip of simulated time."""
        return Do("get", key)

    def put(self, key: str, value: Any, *, wait: bool = False, durable: bool = False) -> Do:
        """Write a key. Cost: with `wait`, simulated time until everybody will see it."""
        return Do("put", key, value, wait, durable)

    def remove(self, key: str, *, wait: bool = False) -> Do:
        """Remove a key. Cost: that of a put."""
        return Do("put", key, None, wait)

    def atomic(self, key: str, name: str, *arguments: Any, durable: bool = False) -> Do:
        """Apply a registered function at the key's home. Cost: that of a put with `wait`."""
        return Do("atomic", key, None, True, durable, name, arguments)

    def fence(self) -> Do:
        """Wait until this thread's puts are ordered. Cost: simulated time until they are."""
        return Do("fence")

    def keys(self, prefix: str = "", partial: bool = False) -> Do:
        """List keys; `partial`: also when a member was lost that may have held some. Cost: a round trip to each."""
        return Do("scan", prefix, partial=partial)

    def sleep(self, seconds: float) -> Do:
        """Let simulated time pass. Cost: nothing."""
        return Do("sleep", seconds=seconds)


Program = Callable[..., Generator[Do, Any, Any]]
"""A function that takes `Keys` first."""


def meaning(do: Do, outcome: Any) -> tuple[Any, BaseException | None]:
    """Return what a program is told: a value, or an error to raise in it."""
    match outcome:
        case Value(value=value):
            return value, None
        case Wrote(result=result):
            return result, None
        case Names(lost=lost) if lost and not do.partial:
            return None, NodeLost(what_is_missing(do.key, lost))
        case Names(keys=keys):
            return keys, None
        case Lost(keys=keys):
            return None, NodeLost(f"a member was lost, and with it perhaps {list(keys)}", keys)
        case Refused(text=text):
            return None, UserError(text)
    return outcome, None
