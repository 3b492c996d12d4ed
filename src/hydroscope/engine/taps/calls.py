"""What taps on calls (HTTP, gRPC) have in common: one message for what is asked, one for the answer.

Both ends know what is asked for, so the id of both messages is a hash of that: equal calls are copies of one id, told
apart by their times. If it may be sent along (`propagate=True`), a header has an id of the call's own and the sender's
stamp: then no two are confused, and what follows is stamped higher, whatever the clocks say.
"""

from __future__ import annotations

import itertools
import os
import re
from typing import Any

from hydroscope.engine.taps.tap import Tap, swallowed
from hydroscope.ground.record.addresses import place_of
from hydroscope.ground.record.layout import hash64
from hydroscope.ground.record.recorder import Recorder

__all__ = ["HEADER", "CallTap"]

HEADER = "x-hydroscope-id"

_VALUE = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})")
_MASK = 2**64 - 1


class CallTap(Tap):
    """A recorder for calls.

    Parameters
    ----------
    rec : Recorder
    propagate : bool
        Whether a header may be added.
    peer : str or None
        What the other end is called.
    """

    def __init__(self, rec: Recorder, propagate: bool, peer: str | None = None) -> None:
        super().__init__(rec, peer=peer)
        self.propagate = propagate
        self._ids = itertools.count(int.from_bytes(os.urandom(8), "little"))

    @swallowed
    def asks(self, place: Any, what: str) -> tuple[int, str] | None:
        """Record that something is asked for; return the call's id and the header's value."""
        ident = next(self._ids) & _MASK if self.propagate else hash64(what.encode(errors="replace"))
        return ident, _value(ident, self.rec.sent(self._name(place), ident, what.encode(errors="replace")))

    @swallowed
    def answered(self, place: Any, ident: int, what: str, header: Any = None) -> None:
        """Record the answer to it."""
        _, stamp = _read(header) or (ident, None)
        self.rec.received(self._name(place), ident, what.encode(errors="replace"), stamp)

    @swallowed
    def asked(self, place: Any, what: str, header: Any = None) -> int | None:
        """Record that this process is asked for something; return the call's id."""
        ident, stamp = _read(header) or (hash64(what.encode(errors="replace")), None)
        self.rec.received(self._name(place), ident, what.encode(errors="replace"), stamp)
        return ident

    @swallowed
    def answers(self, place: Any, ident: int, what: str) -> str | None:
        """Record this process's answer; return the header's value."""
        return _value(ident, self.rec.sent(self._name(place), ident, what.encode(errors="replace")))

    @swallowed
    def failed(self, ident: int, error: BaseException | str) -> None:
        """Record that there will be no answer."""
        self.rec.failed(error, ident)

    def _name(self, place: Any) -> str:
        return self.peer_of(place_of(place))


def _value(ident: int, stamp: int) -> str:
    return f"{ident:016x}-{stamp & _MASK:016x}"


def _read(header: Any) -> tuple[int, int] | None:
    """Return id and stamp from a header; None if it is not ours."""
    if isinstance(header, bytes):
        header = header.decode("latin-1")
    found = _VALUE.fullmatch(header) if isinstance(header, str) else None
    return None if found is None else (int(found.group(1), 16), int(found.group(2), 16))
