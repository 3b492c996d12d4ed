"""Taps on sockets: one of them, or all of a program.

The wrappers of all sockets are put on the class `socket.socket`, over the methods it inherits from C; one socket gets
the same wrappers by a class of its own. Either way it stays the object it is. What is below Python is not seen:
`os.write` on the descriptor, or an event loop written in C.
"""

from __future__ import annotations

import socket as plain
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from hydroscope.engine.taps.notes import NOT_TAKEN, SocketTap
from hydroscope.engine.taps.patches import Installed, installed_for, recorded_by
from hydroscope.engine.taps.tap import Excerpt, Framers
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.recorder import Recorder

__all__ = ["all_sockets", "tap_socket", "untap_socket"]

Methods = dict[str, Callable[..., Any]]


def _many(buffers: Any) -> Any:
    """Return buffers that can be gone through twice; what cannot be gone through at all as it is."""
    try:
        return buffers if isinstance(buffers, list | tuple) else list(buffers)
    except TypeError:
        return buffers


def _joined(buffers: Iterable[Any]) -> bytes | None:
    try:
        return b"".join(bytes(memoryview(each).cast("B")) for each in buffers)
    except Exception:  # the call will say what is wrong with them
        return None


def _sending(tap: SocketTap, base: Methods) -> Methods:
    plain_send, plain_sendall, plain_sendto = base["send"], base["sendall"], base["sendto"]
    plain_sendmsg, plain_sendfile = base.get("sendmsg"), base.get("sendfile")

    def send(self: Any, data: Any, *flags: Any) -> Any:
        noted, n = tap.before(self, data, *flags), 0
        try:
            n = plain_send(self, data, *flags)
        finally:
            if noted is not None:
                tap.after(noted, n)
        return n

    def sendall(self: Any, data: Any, *flags: Any) -> Any:
        # If it fails nobody knows how much was sent, and nobody can go on: what was offered counts as sent.
        tap.all_of(self, data, *flags)
        return plain_sendall(self, data, *flags)

    def sendto(self: Any, data: Any, *rest: Any) -> Any:
        noted, n = (tap.before(self, data, rest[0] if len(rest) > 1 else 0, rest[-1]) if rest else None), 0
        try:
            n = plain_sendto(self, data, *rest)
        finally:
            if noted is not None:
                tap.after(noted, n)
        return n

    def sendmsg(self: Any, buffers: Any, *rest: Any) -> Any:
        assert plain_sendmsg is not None
        buffers = _many(buffers)
        data = _joined(buffers)
        noted, n = (None if data is None else tap.before(self, data, *rest[1:3])), 0
        try:
            n = plain_sendmsg(self, buffers, *rest)
        finally:
            if noted is not None:
                tap.after(noted, n)
        return n

    def sendfile(self: Any, *args: Any, **keywords: Any) -> Any:
        assert plain_sendfile is not None
        offset, total = tap.position(self), None
        try:
            total = plain_sendfile(self, *args, **keywords)
        finally:
            tap.unseen(self, offset, total)
        return total

    return {"send": send, "sendall": sendall, "sendto": sendto, "sendmsg": sendmsg, "sendfile": sendfile}


def _receiving(tap: SocketTap, base: Methods) -> Methods:
    plain_recv, plain_recv_into, plain_recvfrom = base["recv"], base["recv_into"], base["recvfrom"]
    plain_recvfrom_into = base["recvfrom_into"]
    plain_recvmsg, plain_recvmsg_into = base.get("recvmsg"), base.get("recvmsg_into")

    def recv(self: Any, *args: Any) -> Any:
        data = plain_recv(self, *args)
        if len(args) < 2 or not args[1] & NOT_TAKEN:
            tap.arrived(self, data)
        return data

    def recv_into(self: Any, buffer: Any, nbytes: Any = 0, flags: Any = 0) -> Any:
        n = plain_recv_into(self, buffer, nbytes, flags)
        if not flags & NOT_TAKEN:
            tap.filled(self, buffer, n)
        return n

    def recvfrom(self: Any, *args: Any) -> Any:
        found = plain_recvfrom(self, *args)
        if len(args) < 2 or not args[1] & NOT_TAKEN:
            tap.arrived(self, found[0], found[1])
        return found

    def recvfrom_into(self: Any, buffer: Any, nbytes: Any = 0, flags: Any = 0) -> Any:
        found = plain_recvfrom_into(self, buffer, nbytes, flags)
        if not flags & NOT_TAKEN:
            tap.filled(self, buffer, found[0], found[1])
        return found

    def recvmsg(self: Any, *args: Any) -> Any:
        assert plain_recvmsg is not None
        found = plain_recvmsg(self, *args)
        if len(args) < 3 or not args[2] & NOT_TAKEN:
            tap.arrived(self, found[0], found[3])
        return found

    def recvmsg_into(self: Any, buffers: Any, *rest: Any) -> Any:
        assert plain_recvmsg_into is not None
        buffers = _many(buffers)
        found = plain_recvmsg_into(self, buffers, *rest)
        if len(rest) < 2 or not rest[1] & NOT_TAKEN:
            tap.arrived(self, (_joined(buffers) or b"")[: found[0]], found[3])
        return found

    return {
        "recv": recv,
        "recv_into": recv_into,
        "recvfrom": recvfrom,
        "recvfrom_into": recvfrom_into,
        "recvmsg": recvmsg,
        "recvmsg_into": recvmsg_into,
    }


def _connecting(tap: SocketTap, base: Methods, accepted: Callable[[Any], Any]) -> Methods:
    def connect(self: Any, address: Any) -> Any:
        tap.forget(self)
        return base["connect"](self, address)

    def connect_ex(self: Any, address: Any) -> Any:
        tap.forget(self)
        return base["connect_ex"](self, address)

    def bind(self: Any, address: Any) -> Any:
        found = base["bind"](self, address)
        if self.type == plain.SOCK_DGRAM:
            tap.listens(self)
        return found

    def listen(self: Any, *backlog: Any) -> Any:
        found = base["listen"](self, *backlog)
        tap.listens(self)
        return found

    def accept(self: Any) -> Any:
        found = base["accept"](self)
        tap.listens(self)
        accepted(found[0])
        return found

    return {"connect": connect, "connect_ex": connect_ex, "bind": bind, "listen": listen, "accept": accept}


def _encrypting(tap: SocketTap, base: Methods) -> Methods:
    """Return the wrappers of what an `SSLSocket` does itself; before a handshake it does what any socket does."""

    def sending(name: str) -> Callable[..., Any]:
        def send(self: Any, data: Any, *flags: Any) -> Any:
            noted, n = (None if self._sslobj is None else tap.before(self, data, 0, None, True)), 0
            try:
                n = base[name](self, data, *flags)
            finally:
                if noted is not None:
                    tap.after(noted, n)
            return n

        return send

    def read(self: Any, len: Any = 1024, buffer: Any = None) -> Any:
        found = base["read"](self, len, buffer)
        if buffer is None:
            tap.arrived(self, found, None, True)
        else:
            tap.filled(self, buffer, found, None, True)
        return found

    return {"read": read, "send": sending("send"), "write": sending("write")}


_NAMES = (
    *("send", "sendall", "sendto", "sendmsg", "sendfile"),
    *("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into"),
    *("connect", "connect_ex", "bind", "listen", "accept"),
)
_TLS_NAMES = ("read", "write", "send")


def _base_of(owner: type, names: Iterable[str]) -> Methods:
    """Return the methods below the wrappers, as far as the system has them."""
    return {name: found for name in names if (found := getattr(owner, name, None)) is not None}


def _wrappers(tap: SocketTap, base: Methods, accepted: Callable[[Any], Any]) -> Methods:
    every = {**_sending(tap, base), **_receiving(tap, base), **_connecting(tap, base, accepted)}
    return {name: wrapper for name, wrapper in every.items() if name in base}


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
    installed = installed_for("sockets", rec)
    if installed is not None:
        return installed
    tap = SocketTap(rec, framer, excerpt)
    installed = Installed("sockets", tap)
    for name, wrapper in _wrappers(tap, _base_of(plain.socket, _NAMES), lambda _: None).items():
        installed.put(plain.socket, name, wrapper)
    for name, wrapper in _encrypting(tap, _base_of(ssl.SSLSocket, _TLS_NAMES)).items():
        installed.put(ssl.SSLSocket, name, wrapper)
    return installed


# ---------------------------------------------------------------- one socket

_TAP = "_hydroscope_tap"


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
    if hasattr(type(sock), _TAP) or recorded_by("sockets") is rec:
        return sock
    if type(sock) not in (plain.socket, ssl.SSLSocket):
        raise UserError(
            f"a tap is for a socket.socket or an ssl.SSLSocket, not for {type(sock).__name__}: use all_sockets"
        )
    _adopt(SocketTap(rec, framer, excerpt, peer, pairs=True), sock)
    return sock


def _adopt(tap: SocketTap, sock: Any) -> None:
    """Give a socket a class with the wrappers, which is called as its own."""
    owner = type(sock)
    if owner not in tap.classes:
        methods = _wrappers(tap, _base_of(owner, _NAMES), lambda found: _adopt(tap, found))
        if owner is ssl.SSLSocket:
            methods = {"accept": methods["accept"], **_encrypting(tap, _base_of(owner, _TLS_NAMES))}
        body = {"__slots__": (), "__module__": owner.__module__, "__qualname__": owner.__qualname__, _TAP: tap}
        tap.classes[owner] = type(owner.__name__, (owner,), {**body, **methods})
    sock.__class__ = tap.classes[owner]


def untap_socket(sock: Any) -> bool:
    """Give a socket its own class back; False if it has it."""
    tap = getattr(type(sock), _TAP, None)
    if tap is None:
        return False
    sock.__class__ = type(sock).__mro__[1]
    tap.stop()
    return True
