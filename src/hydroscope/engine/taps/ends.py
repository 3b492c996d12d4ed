"""The end of a connection that this process has, or a datagram socket: what is recorded of what goes in and out.

All have three methods, called around what the program calls: `offer` before something is sent, `sent` after it with
how much of it was, and `arrived` after something was received.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol

from hydroscope.engine.taps.streams import Stream
from hydroscope.engine.taps.tap import Bytes, Tap, content_id
from hydroscope.ground.record.addresses import place_of
from hydroscope.ground.record.layout import hash64

__all__ = ["UNSEEN", "Datagrams", "End", "Link", "link_between"]


_KNOWN_MAX = 1000
_CREDENTIALS = struct.Struct("3i")


class End(Protocol):
    """What a tap calls."""

    def offer(self, data: Bytes, address: Any = None) -> None:
        """Take note of what is about to be sent."""

    def sent(self, data: Bytes, n_bytes: int, address: Any = None) -> None:
        """Take note of how much of it was; 0 if the call failed."""

    def arrived(self, data: Bytes, address: Any = None) -> None:
        """Take note of what was received."""


class _Unseen:
    """What is not recorded."""

    def offer(self, data: Bytes, address: Any = None) -> None:
        """Do nothing."""

    def sent(self, data: Bytes, n_bytes: int, address: Any = None) -> None:
        """Do nothing."""

    def arrived(self, data: Bytes, address: Any = None) -> None:
        """Do nothing."""


UNSEEN = _Unseen()


class Link:
    """One end of a stream."""

    __slots__ = ("arrived", "offer", "out", "sent", "taken")

    def __init__(self, taken: Stream, out: Stream) -> None:
        self.taken, self.out = taken, out
        self.offer, self.sent, self.arrived = out.offer, out.sent, taken.feed


def link_between(tap: Tap, own: Any, peer: Any, sock: Any, tls: bool = False) -> Link:
    """Return the end of a stream.

    Parameters
    ----------
    tap : Tap
    own, peer : address
        As the system tells them.
    sock : socket
        For one of the Unix domain.
    tls : bool
        Whether what is seen is what was encrypted.
    """
    here, there = place_of(own), place_of(peer)
    name = there
    if there and not here:  # who connects to a Unix socket has no address
        here = f"pid:{os.getpid()}"
    elif not there:
        name = f"pid:{_peer_pid(sock)}"
        there = name if here else ""
    ends = (f"{here}>{there}", f"{there}>{here}")
    out, taken = (hash64(("tls " + each if tls else each).encode()) for each in ends)
    peer_name, framer = tap.peer_of(name), tap.framer_of(own, peer)
    return Link(
        Stream(tap, tap.rec.received, taken, peer_name, framer), Stream(tap, tap.rec.sent, out, peer_name, framer)
    )


class Datagrams:
    """A datagram socket.

    A datagram's id is a hash of the port (or path) it is sent to and of its content: both ends know those, though not
    by which of its addresses a machine is reached. Equal ones are copies of one id, told apart by their times.

    Parameters
    ----------
    tap : Tap
    own, peer : address
        As the system tells them; the peer's if the socket is connected to one.
    look : callable
        Returns its own address later, once the system has given it a port.
    """

    __slots__ = ("_failed", "_here", "_known", "_look", "_peer", "_tap")

    def __init__(self, tap: Tap, own: Any, peer: Any, look: Callable[[], Any]) -> None:
        self._tap, self._look, self._peer = tap, look, peer
        self._here: int | None = None
        self._known: dict[Any, tuple[str, int]] = {}
        """Of addresses, what is called so, and what both ends know of it."""
        self._failed: int | None = None
        """The id of what could not be sent, if that was last: the next try is not a second message."""
        self._bound(own)

    def _bound(self, own: Any) -> None:
        if own and (not isinstance(own, tuple) or own[1]):
            self._tap.announce(own)
            self._here = _base(own)

    def _other(self, address: Any) -> tuple[str, int]:
        found = self._known.get(address)
        if found is None:
            place = self._peer if address is None else address
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            found = self._known[address] = (self._tap.peer_of(place_of(place)), _base(place) if place else 0)
        return found

    def offer(self, data: Bytes, address: Any = None) -> None:
        """Record what is sent."""
        peer, base = self._other(address)
        ident = content_id(base, data)
        if ident != self._failed:
            self._tap.rec.sent(peer, ident, self._tap.excerpt_of(data))

    def sent(self, data: Bytes, n_bytes: int, address: Any = None) -> None:
        """Take note that it was; the first time, the system has given the socket a port."""
        if data and not n_bytes:
            self._failed = content_id(self._other(address)[1], data)
            return
        self._failed = None
        if self._here is None:
            self._bound(self._look())

    def arrived(self, data: Bytes, address: Any = None) -> None:
        """Record what is received."""
        if self._here is None:
            self._bound(self._look())
        ident = content_id(self._here or 0, data)
        self._tap.rec.received(self._other(address)[0], ident, self._tap.excerpt_of(data))


def _base(address: Any) -> int:
    """Return what both ends know of where a datagram goes."""
    return hash64(b"port %d" % address[1] if isinstance(address, tuple) else place_of(address).encode())


def _peer_pid(sock: Any) -> int:
    """Return the process at the other end of a Unix socket; 0 if the system does not say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[0])
