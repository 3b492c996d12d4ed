"""What a `Link` asks its owner to do, in order."""

from __future__ import annotations

from typing import Any

import msgspec

from hydroscope.wire.messages import Message

__all__ = ["Deliver", "Effect", "Execute", "Fail", "Send", "Settle"]


class Send(msgspec.Struct, frozen=True):
    """Put a message on the way to the peer; nothing is promised about its arrival."""

    message: Message
    again: bool = False
    """Whether this very call or answer was sent before."""


class Execute(msgspec.Struct, frozen=True):
    """Do the peer's call; say `Link.finish` with its result, now or later. Happens once a number."""

    number: int
    body: Any


class Deliver(msgspec.Struct, frozen=True):
    """Our call was answered. Use the answer now: the effect after this one lets the peer forget it."""

    number: int
    body: Any


class Settle(msgspec.Struct, frozen=True):
    """The peer has used the answer to its call. Happens once a number."""

    number: int


class Fail(msgspec.Struct, frozen=True):
    """Our call will not be answered: the peer is lost."""

    number: int


Effect = Send | Execute | Deliver | Settle | Fail
