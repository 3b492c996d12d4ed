"""Datagrams, each a frame. What cannot be sent at once is dropped and counted: the RPC sends it again."""

from __future__ import annotations

import contextlib
import select
import selectors
import socket
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from hydroscope.engine.own import own
from hydroscope.engine.sockets.address import family_of

__all__ = ["BUFFER_BYTES", "Datagrams", "Tap", "UdpSocket"]

BUFFER_BYTES = 4 * 2**20
"""Bytes asked of the kernel for each direction (it may give less); a burst that finds no room is lost."""


class Datagrams(Protocol):
    """What carries datagrams; tests put one in its place that loses, doubles and delays them."""

    counters: Counter[str]

    @property
    def port(self) -> int:
        """Where it receives."""

    def fileno(self) -> int:
        """What to wait for."""

    def send(self, data: bytes, host: str, port: int) -> None:
        """Send a datagram if there is room for it; never waits, never raises."""

    def receive(self) -> bytes | None:
        """Return the next datagram, None when there is none."""

    def close(self) -> None:
        """Let go of the socket."""


class Tap:
    """Whether the loop's selector is woken by datagrams. Turning it costs 1 us with epoll, else 4."""

    def __init__(self, selector: selectors.BaseSelector, descriptor: int, handle: Callable[[int], None]) -> None:
        self._selector = selector
        self._descriptor = descriptor
        self._handle = handle
        self._epoll: select.epoll | None = None
        if hasattr(select, "epoll"):  # one of its own within the selector's: what is watched can be changed cheaply
            self._epoll = select.epoll()
            self._epoll.register(descriptor, select.EPOLLIN)
            descriptor = self._epoll.fileno()
        selector.register(descriptor, selectors.EVENT_READ, handle)

    def shut(self) -> None:
        """Datagrams wake nobody: somebody else reads."""
        if self._epoll is not None:
            self._epoll.modify(self._descriptor, 0)
        else:
            self._selector.unregister(self._descriptor)

    def open(self) -> None:
        """Datagrams wake the loop again, also those that are there already."""
        if self._epoll is not None:
            self._epoll.modify(self._descriptor, select.EPOLLIN)
        else:
            self._selector.register(self._descriptor, selectors.EVENT_READ, self._handle)

    def close(self) -> None:
        """Let go of it, after the selector was closed."""
        if self._epoll is not None:
            self._epoll.close()


class UdpSocket:
    """A non-blocking UDP socket at one address."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.counters: Counter[str] = Counter()
        self._socket = own(socket.socket(family_of(host), socket.SOCK_DGRAM))
        try:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                with contextlib.suppress(OSError):  # some kernels refuse what they will not give
                    self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
            self._socket.setblocking(False)
            self._socket.bind((host, port))
        except BaseException:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self.fileno = self._socket.fileno

    def send(self, data: bytes, host: str, port: int) -> None:
        """Send a datagram if there is room for it; never waits, never raises."""
        try:
            self._socket.sendto(data, (host, port))
        except BlockingIOError:
            self.counters["no room to send"] += 1
        except OSError as error:  # a cable was pulled, a host is gone: it is lost, as datagrams may be
            self.counters[f"not sent: {error.strerror}"] += 1

    def receive(self) -> bytes | None:
        """Return the next datagram, None when there is none."""
        try:
            return self._socket.recv(65_536)
        except BlockingIOError:
            return None
        except OSError as error:  # what a router said about an earlier datagram
            self.counters[f"not received: {error.strerror}"] += 1
            return None

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
