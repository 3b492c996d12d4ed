"""Sockets of hydroscope itself: taps leave them alone, for what goes over them is recorded by who sends it."""

from __future__ import annotations

import socket
import weakref

__all__ = ["is_own", "own"]

_own: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def own(sock: socket.socket) -> socket.socket:
    """Return a socket that no tap on all of a program's sockets records."""
    _own.add(sock)
    return sock


def is_own(sock: object) -> bool:
    """Tell whether a socket is one of hydroscope's own."""
    return sock in _own
