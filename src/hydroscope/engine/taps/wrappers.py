"""What is put around the methods of a socket, each by its name."""

from __future__ import annotations

import functools
import socket as plain
from collections.abc import Callable
from typing import Any

from hydroscope.engine.taps.notes import Noted, Sockets
from hydroscope.engine.taps.tap import listed

__all__ = ["PLAIN", "TLS", "Method", "Wrap", "wrapped"]

Method = Callable[..., Any]
Note = Callable[[Sockets, Any, Any, Any], Noted | None]
"""Takes note of what a call is about to send, from the socket and the arguments."""
Wrap = Callable[[Sockets, Method], Method]
"""From what is noted, and the method below, to the wrapper."""


# ---------------------------------------------------------------- what is sent


def _sending(note: Note) -> Wrap:
    def wrap(socks: Sockets, below: Method) -> Method:
        def send(self: Any, *args: Any, **keywords: Any) -> Any:
            noted, n = note(socks, self, args, keywords), 0
            try:
                n = below(self, *args, **keywords)
            finally:
                if noted is not None:
                    socks.after(self, noted, n)
            return n

        return send

    return wrap


def _send(socks: Sockets, sock: Any, args: Any, _: Any) -> Noted | None:
    return socks.before(sock, *args[:2]) if args else None


def _sendto(socks: Sockets, sock: Any, args: Any, _: Any) -> Noted | None:
    return socks.before(sock, args[0], args[1] if len(args) > 2 else 0, args[-1]) if len(args) > 1 else None


def _sendmsg(socks: Sockets, sock: Any, args: Any, _: Any) -> Noted | None:
    return socks.before(sock, _joined(args[0]), *args[2:4]) if args else None


def _encrypt(socks: Sockets, sock: Any, args: Any, keywords: Any) -> Noted | None:
    if sock._sslobj is None:  # before a handshake it does what any socket does
        return None
    return socks.before(sock, args[0] if args else keywords.get("data"), 0, None, True)


def _sendall(socks: Sockets, below: Method) -> Method:
    def sendall(self: Any, *args: Any) -> Any:
        # If it fails nobody knows how much was sent, and nobody can go on: what was offered counts as sent.
        noted = _send(socks, self, args, None)
        if noted is not None:
            socks.after(self, noted, len(noted[1]))
        return below(self, *args)

    return sendall


def _send_many(socks: Sockets, below: Method) -> Method:
    send = _sending(_sendmsg)(socks, below)
    return lambda self, *args: send(self, *map(listed, args[:1]), *args[1:])


def _sendfile(socks: Sockets, below: Method) -> Method:
    def sendfile(self: Any, *args: Any, **keywords: Any) -> Any:
        offset, total = socks.position(self), None
        try:
            total = below(self, *args, **keywords)
        finally:
            socks.unseen(self, offset, total)
        return total

    return sendfile


def _joined(buffers: Any) -> bytes | None:
    try:
        return b"".join(memoryview(each).tobytes() for each in buffers)
    except Exception:  # the call says what is wrong with them
        return None


# ---------------------------------------------------------------- what is received


def _recv(socks: Sockets, below: Method) -> Method:
    def recv(self: Any, *args: Any) -> Any:
        data = below(self, *args)
        socks.arrived(self, data, *args[1:2])
        return data

    return recv


def _recvfrom(flags_at: int) -> Wrap:
    def wrap(socks: Sockets, below: Method) -> Method:
        def recvfrom(self: Any, *args: Any) -> Any:
            found = below(self, *args)
            socks.arrived(self, found[0], args[flags_at] if len(args) > flags_at else 0, found[-1])
            return found

        return recvfrom

    return wrap


def _recv_into(socks: Sockets, below: Method) -> Method:
    def recv_into(self: Any, *args: Any, **keywords: Any) -> Any:
        found = below(self, *args, **keywords)
        n, address = found if isinstance(found, tuple) else (found, None)
        buffer = args[0] if args else keywords["buffer"]
        socks.filled(self, buffer, n, args[2] if len(args) > 2 else keywords.get("flags", 0), address)
        return found

    return recv_into


def _recvmsg_into(socks: Sockets, below: Method) -> Method:
    def recvmsg_into(self: Any, *args: Any) -> Any:
        args = (*map(listed, args[:1]), *args[1:])
        found = below(self, *args)
        socks.filled(self, _joined(args[0]), found[0], args[2] if len(args) > 2 else 0, found[3])
        return found

    return recvmsg_into


# ---------------------------------------------------------------- whom with


def _connect(socks: Sockets, below: Method) -> Method:
    def connect(self: Any, *args: Any) -> Any:
        socks.forget(self)
        return below(self, *args)

    return connect


def _bind(socks: Sockets, below: Method) -> Method:
    def bind(self: Any, *args: Any) -> Any:
        found = below(self, *args)
        if self.type == plain.SOCK_DGRAM:
            socks.listens(self)
        return found

    return bind


def _listen(socks: Sockets, below: Method) -> Method:
    def listen(self: Any, *args: Any) -> Any:
        found = below(self, *args)
        socks.listens(self)
        return found

    return listen


PLAIN: dict[str, Wrap] = {
    "send": _sending(_send),
    "sendall": _sendall,
    "sendto": _sending(_sendto),
    "sendmsg": _send_many,
    "sendfile": _sendfile,
    "recv": _recv,
    "recv_into": _recv_into,
    "recvfrom": _recvfrom(1),
    "recvfrom_into": _recv_into,
    "recvmsg": _recvfrom(2),
    "recvmsg_into": _recvmsg_into,
    "connect": _connect,
    "connect_ex": _connect,
    "bind": _bind,
    "listen": _listen,
}


# ---------------------------------------------------------------- what an SSLSocket does itself


def _decrypt(socks: Sockets, below: Method) -> Method:
    def read(self: Any, *args: Any, **keywords: Any) -> Any:
        found = below(self, *args, **keywords)
        buffer = args[1] if len(args) > 1 else keywords.get("buffer")
        if buffer is None:
            socks.arrived(self, found, 0, None, True)
        else:
            socks.filled(self, buffer, found, 0, None, True)
        return found

    return read


TLS: dict[str, Wrap] = {"read": _decrypt, "send": _sending(_encrypt), "write": _sending(_encrypt)}


def wrapped(socks: Sockets, wrap: Wrap, below: Method) -> Method:
    return functools.update_wrapper(wrap(socks, below), below)
