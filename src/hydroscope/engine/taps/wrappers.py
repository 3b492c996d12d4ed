"""What is put around the methods of a socket, each by its name."""

from __future__ import annotations

import functools
import socket as plain
from collections.abc import Callable
from typing import Any

from hydroscope.engine.taps.notes import Look, Sockets
from hydroscope.engine.taps.tap import listed

__all__ = ["PLAIN", "TLS", "Method", "Wrap", "wrapped"]

Method = Callable[..., Any]
Wrap = Callable[[Sockets, Method], Method]
"""From what is noted, and the method below, to the wrapper."""


# ---------------------------------------------------------------- what is sent


def _sending(look: Look) -> Wrap:
    def wrap(socks: Sockets, below: Method) -> Method:
        def send(self: Any, *args: Any, **keywords: Any) -> Any:
            noted, n = socks.before(self, look, args, keywords), 0
            try:
                n = below(self, *args, **keywords)
            finally:
                if noted is not None:
                    socks.after(self, noted, n)
            return n

        return send

    return wrap


def _of_send(args: Any, _: Any) -> tuple[Any, Any, Any]:
    return args[0], args[1] if len(args) > 1 else 0, None


def _of_sendto(args: Any, _: Any) -> tuple[Any, Any, Any]:
    return args[0], args[1] if len(args) > 2 else 0, args[1:][-1]


def _of_sendmsg(args: Any, _: Any) -> tuple[Any, Any, Any]:
    return _joined(args[0]), args[2] if len(args) > 2 else 0, args[3] if len(args) > 3 else None


def _sendall(socks: Sockets, below: Method) -> Method:
    def sendall(self: Any, *args: Any) -> Any:
        # If it fails nobody knows how much was sent, and nobody can go on: what was offered counts as sent.
        noted = socks.before(self, _of_send, args, {})
        if noted is not None:
            socks.after(self, noted, len(noted[1]))
        return below(self, *args)

    return sendall


def _sendmsg(socks: Sockets, below: Method) -> Method:
    send = _sending(_of_sendmsg)(socks, below)
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


def _joined(buffers: Any) -> bytes:
    return b"".join(memoryview(each).tobytes() for each in buffers)


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
    "send": _sending(_of_send),
    "sendall": _sendall,
    "sendto": _sending(_of_sendto),
    "sendmsg": _sendmsg,
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


def _encrypt(socks: Sockets, below: Method) -> Method:
    def send(self: Any, *args: Any, **keywords: Any) -> Any:
        if self._sslobj is None:  # before a handshake it does what any socket does
            return below(self, *args, **keywords)
        noted, n = socks.before(self, _of_encrypt, args, keywords, True), 0
        try:
            n = below(self, *args, **keywords)
        finally:
            if noted is not None:
                socks.after(self, noted, n)
        return n

    return send


def _of_encrypt(args: Any, keywords: Any) -> tuple[Any, Any, Any]:
    return args[0] if args else keywords["data"], 0, None


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


TLS: dict[str, Wrap] = {"read": _decrypt, "send": _encrypt, "write": _encrypt}


def wrapped(socks: Sockets, wrap: Wrap, below: Method) -> Method:
    return functools.update_wrapper(wrap(socks, below), below)
