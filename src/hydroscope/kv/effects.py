"""What a `Store` asks its owner to do, in order, and how operations end."""

from __future__ import annotations

from typing import Any

import msgspec

from hydroscope.wire.messages import Reply, Request

__all__ = [
    "Adopted",
    "Answer",
    "Ask",
    "Changed",
    "Effect",
    "Finish",
    "Lost",
    "Names",
    "Ordered",
    "Outcome",
    "Refused",
    "Value",
    "Wrote",
]


class Value(msgspec.Struct, frozen=True):
    """A get: the value (None: absent) as of `version`; 0 for an own put that has no place in the order yet."""

    value: Any
    version: int


class Wrote(msgspec.Struct, frozen=True):
    """A write has its place in the order of its key; an atomic has a result, and its function may have aborted it."""

    version: int
    result: Any = None
    aborted: bool = False
    merged: bool = False
    """A plain put that a later one of the same member replaced before it was sent: ordered right before that one."""


class Names(msgspec.Struct, frozen=True):
    """A scan: the keys, sorted."""

    keys: tuple[str, ...]
    lost: tuple[int, ...] = ()
    """Members that were lost and may have held such keys: those are missing, unless they were durable."""


class Lost(msgspec.Struct, frozen=True):
    """What these keys held is lost with their home; of a write, whether it happened is not known."""

    keys: tuple[str, ...]


class Refused(msgspec.Struct, frozen=True):
    """It was not done; `kind` as in `wire.messages.Failed`."""

    kind: str
    text: str


Outcome = Value | Wrote | Names | Lost | Refused


class Ask(msgspec.Struct, frozen=True):
    """Call the peer; say `Store.answered(tag, reply)` or `Store.failed(tag)`."""

    peer: int
    request: Request
    tag: int


class Answer(msgspec.Struct, frozen=True):
    """The peer's call is done, with this reply."""

    peer: int
    number: int
    reply: Reply


class Finish(msgspec.Struct, frozen=True):
    """An operation of this member has ended."""

    op: Any
    outcome: Outcome


class Changed(msgspec.Struct, frozen=True):
    """Watched keys have changed; several changes of a key may be told as one."""

    keys: tuple[str, ...]


class Ordered(msgspec.Struct, frozen=True):
    """Here, at its home, the key takes a new value: the linearization point. `op` is ours, or (peer, number)."""

    key: str
    version: int
    value: Any
    op: Any
    stamp: int = 0
    """The hybrid logical time of it, which the member adds: lower than that of whatever tells anybody of it."""


class Adopted(msgspec.Struct, frozen=True):
    """This member is home to the key from now on, with the value that the dead home had backed up here."""

    key: str
    version: int
    value: Any
    stamp: int = 0
    """As of `Ordered`."""


Effect = Ask | Answer | Finish | Changed | Ordered | Adopted
