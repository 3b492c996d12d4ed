"""Taps on sockets: one of them, or all of a program.

The wrappers of all sockets are put on the class `socket.socket`, over the methods it inherits from C; one socket gets
the same wrappers by a class of its own. Either way it stays the object it is. What is below Python is not seen:
`os.write` on the descriptor, or an event loop written in C.
"""

from __future__ import annotations

import asyncio
import functools
import socket as plain
import ssl
from collections.abc import Callable, Mapping
from multiprocessing.reduction import ForkingPickler
from typing import Any

from hydroscope.engine.taps.notes import ONE_BY_ONE, Sockets
from hydroscope.engine.taps.patches import Installed, installed_for, recorded_by
from hydroscope.engine.taps.tap import Excerpt, Framers, Tap
from hydroscope.engine.taps.wrappers import PLAIN, TLS, Method, Wrap, wrapped
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.recorder import Recorder

__all__ = ["all_sockets", "sending_file", "tap_socket", "untap_socket"]


# ---------------------------------------------------------------- all of a program


def all_sockets(rec: Recorder, framer: Framers = None, excerpt: Excerpt | None = None) -> Installed:
    """Record what all sockets of this program send and receive, from now until the tap is removed.

    Parameters
    ----------
    rec : Recorder
    framer : callable, mapping of int to callable, or None
        Where a message ends in a stream: for all, or by port (of either end). By default what the first bytes of a
        stream say (HTTP, TLS and Redis say it), and else no message but each piece that is written or read is recorded.
    excerpt : callable, optional
        From a message to the bytes to keep of it, instead of its first 27: a decoder is given these. Of streams
        without a framer the first bytes are kept.

    Returns
    -------
    Installed
        A context manager; or call its `remove()`. A second call for the same recorder returns the same.

    Raises
    ------
    UserError
        All sockets are recorded by another recorder already.

    Examples
    --------
    >>> import socket
    >>> import hydroscope as hs
    >>> rec = hs.Recorder("node-3")
    >>> with hs.taps.all_sockets(rec, framer=hs.taps.lines):
    ...     socket.create_server(("127.0.0.1", 0)).close()
    >>> rec.close(remove=True)

    Notes
    -----
    asyncio's own event loop is recorded with it. Cost: some 9 us a message, both ends (docs/taps.md).
    """
    installed = installed_for("sockets", rec, framer, excerpt)
    if installed is not None:
        return installed
    tap = Tap(rec, framer, excerpt)
    installed, socks = Installed("sockets", tap), Sockets(tap)
    for owner, table in ((plain.socket, _METHODS), (ssl.SSLSocket, TLS)):
        for each in (owner, _TAPPED[owner]):
            for name, wrap in table.items():
                if hasattr(owner, name):
                    installed.put(each, name, wrapped(socks, wrap, getattr(each, name)))
    loop = asyncio.BaseEventLoop
    installed.put(loop, "sock_sendfile", sending_file(loop.sock_sendfile, socks.position, socks.unseen))
    return installed


def sending_file(below: Method, position: Callable[[Any], Any], unseen: Callable[[Any, Any, Any], None]) -> Method:
    """Return a wrapper of a loop's method that sends a file over something, maybe past all other wrappers."""

    @functools.wraps(below)
    async def send(self: Any, over: Any, *args: Any, **keywords: Any) -> Any:
        offset, total = position(over), None
        try:
            total = await below(self, over, *args, **keywords)
        except asyncio.SendfileNotAvailableError:  # nothing was sent
            offset = None
            raise
        finally:
            unseen(over, offset, total)
        return total

    return send


def _accept(socks: Sockets, below: Method) -> Method:
    def accept(self: Any, *args: Any) -> Any:
        found = below(self, *args)
        socks.listens(self)
        if socks is ONE_BY_ONE:
            tap = socks.tap_of(self)
            if tap is not None:
                _adopt(tap, found[0])
        return found

    return accept


_METHODS: dict[str, Wrap] = {**PLAIN, "accept": _accept}


# ---------------------------------------------------------------- one socket


def _tapped(owner: type, table: Mapping[str, Wrap]) -> type:
    """Return the class of sockets that are tapped by themselves."""
    methods = {
        name: wrapped(ONE_BY_ONE, wrap, getattr(owner, name)) for name, wrap in table.items() if hasattr(owner, name)
    }
    body = {"__slots__": (), "__module__": owner.__module__, "__qualname__": owner.__qualname__, **methods}
    found = type(owner.__name__, (owner,), body)
    reduce = ForkingPickler._extra_reducers.get(owner)  # type: ignore[attr-defined]
    if reduce is not None:  # it knows classes, not those that are derived from them
        ForkingPickler.register(found, reduce)
    return found


_TAPPED = {
    plain.socket: _tapped(plain.socket, _METHODS),
    ssl.SSLSocket: _tapped(ssl.SSLSocket, {"accept": _accept, **TLS}),
}
"""The class that a socket of each class gets, while it is tapped by itself."""


def tap_socket(
    rec: Recorder, sock: Any, framer: Framers = None, excerpt: Excerpt | None = None, peer: str | None = None
) -> Any:
    """Record what one socket sends and receives, and those it accepts.

    Parameters
    ----------
    rec : Recorder
    sock : socket.socket or ssl.SSLSocket
    framer : callable, mapping of int to callable, or None
        Where a message ends in a stream; as for `all_sockets`.
    excerpt : callable, optional
        From a message to the bytes to keep of it.
    peer : str, optional
        What the other end is called, where its address does not say.

    Returns
    -------
    socket
        The same. If it is tapped already nothing changes.

    Raises
    ------
    UserError
        It is a socket of another class.

    Examples
    --------
    >>> import socket
    >>> import hydroscope as hs
    >>> rec, (ours, theirs) = hs.Recorder("node-3"), socket.socketpair()
    >>> hs.taps.socket(rec, ours, framer=hs.taps.lines, peer="node-4") is ours
    True
    >>> hs.taps.remove(ours), ours.close(), theirs.close(), rec.close(remove=True)
    (True, None, None, None)

    Notes
    -----
    Streams are to be tapped before anything has gone over them. Cost: some 9 us a message, both ends (docs/taps.md).
    """
    if type(sock) in _TAPPED.values() or recorded_by("sockets") is rec:
        return sock
    if type(sock) not in _TAPPED:
        raise UserError(
            f"a tap is for a socket.socket or an ssl.SSLSocket, not for {type(sock).__name__}: use all_sockets"
        )
    _adopt(Tap(rec, framer, excerpt, peer), sock)
    return sock


def _adopt(tap: Tap, sock: Any) -> None:
    """Give a socket a class with the wrappers, which is called as its own."""
    tapped = _TAPPED.get(type(sock))
    if tapped is not None:
        ONE_BY_ONE.add(sock, tap)
        sock.__class__ = tapped


def untap_socket(sock: Any) -> bool:
    """Give a socket its own class back; False if it has it."""
    owner = next((owner for owner, tapped in _TAPPED.items() if tapped is type(sock)), None)
    if owner is None:
        return False
    sock.__class__ = owner
    ONE_BY_ONE.forget(sock, tap_too=True)
    return True
