"""Which end each socket is, and what is noted around its calls."""

from __future__ import annotations

import functools
import socket as plain
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, cast

from hydroscope.engine.own import is_own
from hydroscope.engine.taps.ends import UNSEEN, Datagrams, End, Link, link_between
from hydroscope.engine.taps.tap import Bytes, Tap, bytes_of

__all__ = ["ONE_BY_ONE", "Noted", "Sockets"]

Noted = tuple[End, Bytes, Any]
"""Who sends, what, where to."""

Method = TypeVar("Method", bound=Callable[..., Any])

_OOB = int(plain.MSG_OOB)
_NOT_TAKEN = int(plain.MSG_PEEK | plain.MSG_OOB | getattr(plain, "MSG_ERRQUEUE", 0))
"""Flags of calls that take nothing from a stream's own bytes."""
_FAMILIES = {plain.AF_INET, plain.AF_INET6, getattr(plain, "AF_UNIX", plain.AF_INET)}


def _namer(sock: Any) -> Callable[[], Any]:
    """Return what tells a socket's own address, without keeping the socket."""
    it = weakref.ref(sock)

    def own() -> Any:
        found = it()
        return None if found is None else found.getsockname()

    return own


def _quietly(method: Method) -> Method:
    """Return a method that raises nothing, but tells the tap of the socket it is given."""

    @functools.wraps(method)
    def quiet(self: Sockets, sock: Any, *args: Any) -> Any:
        try:
            return method(self, sock, *args)
        except Exception as error:
            self.lost(sock, error)
            return None

    return cast(Method, quiet)


class Sockets:
    """Which end each socket is, and what is done around its calls: of all sockets, or of those that have a tap each.

    Parameters
    ----------
    tap : Tap or None
        Of all sockets; None: of each by itself.
    """

    def __init__(self, tap: Tap | None = None) -> None:
        self._tap = tap
        self._taps: dict[int, Tap] = {}
        self._ends: dict[int, End] = {} if tap is None else tap.ends
        """By the socket's id; of what it encrypts, by that id inverted."""
        self._owners: dict[int, weakref.ref[Any]] = {}

    def tap_of(self, sock: Any) -> Tap | None:
        """Return what records a socket."""
        return self._taps.get(id(sock)) if self._tap is None else self._tap

    def add(self, sock: Any, tap: Tap) -> None:
        """Have a socket recorded."""
        self._taps[id(sock)] = tap
        self._watch(sock)

    def forget(self, sock: Any, tap_too: bool = False) -> None:
        """Let a socket be another end from now on, or none."""
        key = id(sock)
        self._ends.pop(key, None)
        self._ends.pop(~key, None)
        if tap_too:
            self._taps.pop(key, None)

    def lost(self, sock: Any, error: BaseException) -> None:
        """Tell a socket's tap of an error in recording."""
        tap = self.tap_of(sock)
        if tap is not None:
            tap.lost(error)

    def _watch(self, sock: Any) -> None:
        """Forget a socket when it is no more: another may have its id."""
        key = id(sock)
        if key in self._owners:
            return

        def gone(_: object) -> None:
            for known in (self._owners, self._taps, self._ends):
                known.pop(key, None)
            self._ends.pop(~key, None)

        self._owners[key] = weakref.ref(sock, gone)

    def _end_of(self, sock: Any, tls: bool) -> End:
        end = self._ends.get(~id(sock) if tls else id(sock))
        return self._opened(sock, tls) if end is None else end

    def _opened(self, sock: Any, tls: bool) -> End:
        tap = self.tap_of(sock)
        if tap is None or not tap.is_on or sock.family not in _FAMILIES:
            return UNSEEN
        one = None if self is ONE_BY_ONE else ONE_BY_ONE.tap_of(sock)
        if one is not None and one.rec is tap.rec:  # it is recorded there already
            return UNSEEN
        try:
            own = sock.getsockname()
        except OSError:  # it is closed: the call says so
            return UNSEEN
        try:
            peer = sock.getpeername()
        except OSError:
            peer = None
        kind = sock.type
        if kind == plain.SOCK_STREAM and peer is None:
            return UNSEEN
        end: End = UNSEEN
        if not is_own(sock) and (
            own or peer or self._tap is None
        ):  # without any address, it is mostly a program's bell
            if kind == plain.SOCK_STREAM:
                end = link_between(tap, own, peer, sock, tls)
            elif kind == plain.SOCK_DGRAM:
                end = Datagrams(tap, own, peer, _namer(sock))
        self._ends[~id(sock) if tls else id(sock)] = end
        self._watch(sock)
        return end

    # ------------------------------------------------------------ around a call

    def before(self, sock: Any, data: Any, flags: Any = 0, address: Any = None, tls: bool = False) -> Noted | None:
        """Take note of what is about to be sent; return what `after` needs."""
        try:
            end = self._end_of(sock, tls)
            if end is UNSEEN or (flags and (not isinstance(flags, int) or flags & _OOB)):
                return None
            given = bytes_of(data)
            if given is None:
                return None
            end.offer(given, address)
            return end, given, address
        except Exception as error:
            self.lost(sock, error)
            return None

    def after(self, sock: Any, noted: Noted, n_bytes: int) -> None:
        """Take note of how much of it was."""
        try:
            end, data, address = noted
            end.sent(data, n_bytes, address)
        except Exception as error:
            self.lost(sock, error)

    def arrived(self, sock: Any, data: Any, flags: Any = 0, address: Any = None, tls: bool = False) -> None:
        """Take note of what was received."""
        try:
            end = self._end_of(sock, tls)
            if end is not UNSEEN and not (flags and flags & _NOT_TAKEN):
                end.arrived(data, address or None)
        except Exception as error:
            self.lost(sock, error)

    @_quietly
    def filled(self, sock: Any, buffer: Any, n_bytes: int, flags: Any, address: Any, tls: bool = False) -> None:
        """Take note of what was received into a buffer."""
        end = self._end_of(sock, tls)
        data = None if end is UNSEEN or flags & _NOT_TAKEN else bytes_of(buffer)
        if data is not None:
            end.arrived(data[:n_bytes], address or None)

    @_quietly
    def listens(self, sock: Any) -> None:
        """Note the address at which a socket waits for others."""
        tap = self.tap_of(sock)
        if tap is not None and tap.is_on and sock.family in _FAMILIES and not is_own(sock):
            tap.announce(sock.getsockname())

    @_quietly
    def unseen(self, sock: Any, offset: int | None, total: int | None) -> None:
        """Take note that a file was sent, of which what did not go by in other calls was not seen; None: in part."""
        end = self._end_of(sock, False)
        if offset is not None and isinstance(end, Link):
            end.out.passed(offset, total)

    @_quietly
    def position(self, sock: Any) -> int | None:
        """Return how many bytes have been sent, as seen so far."""
        end = self._end_of(sock, False)
        return end.out.position if isinstance(end, Link) else None


ONE_BY_ONE = Sockets()
"""Those that are tapped by themselves."""
