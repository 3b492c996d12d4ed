"""Which end each socket is, and what is noted around its calls."""

from __future__ import annotations

import socket as plain
import weakref
from collections.abc import Callable
from typing import Any

from hydroscope.engine.taps.ends import Datagrams, End, Link, Unseen, link_between
from hydroscope.engine.taps.tap import Excerpt, Framers, Tap
from hydroscope.ground.record.recorder import Recorder

__all__ = ["NOT_TAKEN", "SocketTap"]

_UNSEEN = Unseen()
_OOB = int(plain.MSG_OOB)
_FAMILIES = {plain.AF_INET, plain.AF_INET6, getattr(plain, "AF_UNIX", plain.AF_INET)}
NOT_TAKEN = int(plain.MSG_PEEK | plain.MSG_OOB | getattr(plain, "MSG_ERRQUEUE", 0))
"""Flags of calls that take nothing from a stream's own bytes."""


def _namer(sock: Any) -> Callable[[], Any]:
    """Return what tells a socket's own address, without keeping the socket."""
    it = weakref.ref(sock)

    def own() -> Any:
        found = it()
        return None if found is None else found.getsockname()

    return own


class SocketTap(Tap):
    """Which end each socket is, and what is done around its calls."""

    def __init__(
        self,
        rec: Recorder,
        framer: Framers = None,
        excerpt: Excerpt | None = None,
        peer: str | None = None,
        pairs: bool = False,
    ) -> None:
        super().__init__(rec, framer, excerpt, peer)
        self._ends: dict[tuple[int, bool] | int, End] = {}
        self._owners: dict[int, weakref.ref[Any]] = {}
        self._pairs = pairs
        """Whether ends without any address are recorded: most are a program's bell to itself."""
        self.classes: dict[type, type] = {}
        """Of sockets that are tapped one by one."""

    def end_of(self, sock: Any) -> End:
        """Return the end that a socket is, as it is now."""
        return self._ends.get(id(sock)) or self._opened(sock, False)

    def tls_end_of(self, sock: Any) -> End:
        """Return the end of what a socket encrypts."""
        return self._ends.get((id(sock), True)) or self._opened(sock, True)

    def forget(self, sock: Any) -> None:
        """Let a socket be another end from now on."""
        self._ends.pop(id(sock), None)
        self._ends.pop((id(sock), True), None)

    def stop(self) -> None:
        """Record no more."""
        super().stop()
        self._ends.clear()

    def _opened(self, sock: Any, tls: bool) -> End:
        if not self.is_on or sock.family not in _FAMILIES:
            return _UNSEEN
        end: End
        own = sock.getsockname()
        try:
            peer = sock.getpeername()
        except OSError:
            peer = None
        kind = sock.type
        if kind == plain.SOCK_STREAM:
            if peer is None:
                return _UNSEEN
            end = link_between(self, own, peer, sock, tls) if own or peer or self._pairs else _UNSEEN
        elif kind == plain.SOCK_DGRAM and (own or peer or self._pairs):
            end = Datagrams(self, own, peer, _namer(sock))
        else:
            end = _UNSEEN
        key = id(sock)
        self._ends[(key, True) if tls else key] = end
        if key not in self._owners:

            def gone(_: object) -> None:
                self._owners.pop(key, None)
                self._ends.pop(key, None)
                self._ends.pop((key, True), None)

            self._owners[key] = weakref.ref(sock, gone)
        return end

    # ------------------------------------------------------------ around a call

    def before(
        self, sock: Any, data: Any, flags: Any = 0, address: Any = None, tls: bool = False
    ) -> tuple[End, Any] | None:
        """Take note of what is about to be sent; return what `after` needs."""
        try:
            end = self.tls_end_of(sock) if tls else self._ends.get(id(sock)) or self._opened(sock, False)
            if end is _UNSEEN or (flags and flags & _OOB):
                return None
            if type(data) is not bytes:
                data = memoryview(data).cast("B")
            end.offer(data, address)
            return end, data
        except Exception:
            self.n_lost += 1
            return None

    def after(self, noted: tuple[End, Any], n_bytes: int) -> None:
        """Take note of how much of it was."""
        try:
            end, data = noted
            end.sent(data, n_bytes)
        except Exception:
            self.n_lost += 1

    def all_of(self, sock: Any, data: Any, flags: Any = 0) -> None:
        """Take note of what is about to be sent, all of it."""
        noted = self.before(sock, data, flags)
        if noted is not None:
            self.after(noted, len(noted[1]))

    def arrived(self, sock: Any, data: Any, address: Any = None, tls: bool = False) -> None:
        """Take note of what was received."""
        try:
            end = self.tls_end_of(sock) if tls else self._ends.get(id(sock)) or self._opened(sock, False)
            if end is not _UNSEEN:
                end.arrived(data if type(data) is bytes else memoryview(data).cast("B"), address or None)
        except Exception:
            self.n_lost += 1

    def filled(self, sock: Any, buffer: Any, n_bytes: int, address: Any = None, tls: bool = False) -> None:
        """Take note of what was received into a buffer."""
        try:
            self.arrived(sock, memoryview(buffer).cast("B")[:n_bytes], address, tls)
        except Exception:
            self.n_lost += 1

    def listens(self, sock: Any) -> None:
        """Note the address at which a socket waits for others."""
        try:
            if self.is_on and sock.family in _FAMILIES:
                self.announce(sock.getsockname())
        except Exception:
            self.n_lost += 1

    def unseen(self, sock: Any, offset: int | None, total: int | None) -> None:
        """Take note that a file was sent, of which what did not go by in other calls was not seen; None: in part."""
        try:
            end = self.end_of(sock)
            if offset is not None and isinstance(end, Link):
                if total is None:
                    end.out.lose()
                else:
                    end.out.skip(total - (end.out.position - offset))
        except Exception:
            self.n_lost += 1

    def position(self, sock: Any) -> int | None:
        """Return how many bytes have been sent, as seen so far."""
        try:
            end = self.end_of(sock)
            return end.out.position if isinstance(end, Link) else None
        except Exception:
            self.n_lost += 1
            return None
