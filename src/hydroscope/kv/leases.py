"""The functions that decide at a key's home who holds it as a lock (`node.locks` calls them).

The value is who holds it ("": nobody), until when by the home's clock, and the number of the
holder. It stays when the lock is given back, so that numbers never come again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hydroscope.kv.changes import Change, Unchanged

__all__ = ["TIMED"]


def take(value: Any, now: float, holder: str, lease_s: float) -> Change | Unchanged:
    """Take it when it is free or its lease has ended: [number or 0, seconds left of the other's lease, the other]."""
    number = 0 if value is None else value["number"]
    if value is not None and value["holder"] and now < value["until"]:
        return Unchanged([0, value["until"] - now, value["holder"]])
    return Change({"holder": holder, "until": now + lease_s, "number": number + 1}, [number + 1, 0.0, ""])


def renew(value: Any, now: float, number: int, lease_s: float) -> Change | Unchanged:
    """Hold it longer, unless another has taken it: whether it is held. An ended lease nobody took can be renewed."""
    if not _holds(value, number):
        return Unchanged(False)
    return Change({**value, "until": now + lease_s}, True)


def release(value: Any, now: float, number: int) -> Change | Unchanged:
    """Give it back: whether it was still held."""
    if not _holds(value, number):
        return Unchanged(False)
    return Change({"holder": "", "until": now, "number": number}, True)


def _holds(value: Any, number: int) -> bool:
    return value is not None and value["number"] == number and bool(value["holder"])


TIMED: Mapping[str, Callable[..., Change | Unchanged]] = {
    "lease.take": take,
    "lease.renew": renew,
    "lease.release": release,
}
"""Functions of the value, the home's time, and arguments."""
