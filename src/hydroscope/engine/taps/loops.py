"""Taps on asyncio: what protocols are told and what they write, above encryption, with any event loop.

A protocol made by a tapped factory has wrappers before its own methods, and so has its transport; both stay the objects
they are, but for a transport written in C, in whose place the protocol is given one that passes everything on.
"""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any

from hydroscope.engine.taps.ends import Datagrams, End, Unseen, link_between
from hydroscope.engine.taps.patches import Installed, installed_for, restore, shadow
from hydroscope.engine.taps.tap import Excerpt, Framers, Tap
from hydroscope.ground.record.recorder import Recorder

__all__ = ["tap_asyncio"]

Factory = Callable[[], Any]

_UNSEEN = Unseen()
_CONVERSATION = "_hydroscope_conversation"
_WRAPPED = "_hydroscope_transport"


class _Passing:
    """A transport that passes everything on to one that has no room for wrappers."""

    def __init__(self, transport: Any) -> None:
        self._hydroscope_transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hydroscope_transport, name)


class _Conversation:
    """One protocol and its transport."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._end: End = _UNSEEN
        self._buffer: Any = b""
        self.transport: Any = None
        """What the program is to use."""
        self._inside = False
        """A wrapper calls what is wrapped as well."""

    def begin(self, transport: Any, tls: bool = False) -> None:
        """Find out whose conversation it is."""
        try:
            look = transport.get_extra_info
            own, peer, sock = look("sockname"), look("peername"), look("socket")
            if hasattr(transport, "sendto"):
                self._end = Datagrams(self._tap, own, peer, sock.getsockname)
            elif own is not None:
                self._end = link_between(self._tap, own, peer, sock, tls or look("sslcontext") is not None)
        except Exception:
            self._tap.n_lost += 1

    def going(self, data: Any, address: Any = None) -> None:
        """Take note of what is written."""
        if self._inside or not self._tap.is_on:
            return
        try:
            data = data if type(data) is bytes else bytes(data)
            self._end.offer(data, address)
            self._end.sent(data, len(data))
        except Exception:
            self._tap.n_lost += 1

    def coming(self, data: Any, address: Any = None) -> None:
        """Take note of what was read."""
        if not self._tap.is_on:
            return
        try:
            self._end.arrived(data if type(data) is bytes else bytes(data), address)
        except Exception:
            self._tap.n_lost += 1

    # ------------------------------------------------------------ wrappers

    def wrap_protocol(self, protocol: Any, begins: bool) -> None:
        """Put wrappers before what a transport tells a protocol."""
        wrappers: dict[str, Callable[..., Any]] = {}
        if begins:
            made = protocol.connection_made

            def connection_made(transport: Any) -> None:
                self.begin(transport)
                made(self.wrap_transport(transport))

            wrappers["connection_made"] = connection_made
        if isinstance(protocol, asyncio.BufferedProtocol):
            get_buffer, buffer_updated = protocol.get_buffer, protocol.buffer_updated

            def get(sizehint: int) -> Any:
                self._buffer = get_buffer(sizehint)
                return self._buffer

            def updated(n_bytes: int) -> None:
                self.coming(memoryview(self._buffer).cast("B")[:n_bytes])
                buffer_updated(n_bytes)

            wrappers.update(get_buffer=get, buffer_updated=updated)
        if hasattr(protocol, "data_received"):
            data_received = protocol.data_received

            def received(data: Any) -> None:
                self.coming(data)
                data_received(data)

            wrappers["data_received"] = received
        if hasattr(protocol, "datagram_received"):
            datagram_received = protocol.datagram_received

            def datagram(data: Any, address: Any) -> None:
                self.coming(data, address)
                datagram_received(data, address)

            wrappers["datagram_received"] = datagram
        if shadow(protocol, **wrappers):
            vars(protocol)[_CONVERSATION] = self
        else:
            self._tap.n_lost += 1

    def wrap_transport(self, transport: Any) -> Any:
        """Put wrappers before what a protocol calls; return the transport to use."""
        wrappers = {
            name: wrapper(getattr(transport, name))
            for name, wrapper in (
                ("write", self._write),
                ("writelines", self._writelines),
                ("sendto", self._sendto),
                ("set_protocol", lambda plain: self._set_protocol(transport, plain)),
            )
            if hasattr(transport, name)
        }
        self.transport = transport
        if not shadow(transport, **wrappers):
            self.transport = _Passing(transport)
            vars(self.transport).update(wrappers)
        return self.transport

    def _write(self, plain: Callable[[Any], None]) -> Callable[[Any], None]:
        def write(data: Any) -> None:
            self.going(data)
            plain(data)

        return write

    def _writelines(self, plain: Callable[[Any], None]) -> Callable[[Any], None]:
        def writelines(list_of_data: Iterable[Any]) -> None:
            pieces = list(list_of_data)
            self.going(b"".join(pieces))
            outer, self._inside = self._inside, True
            try:
                plain(pieces)
            finally:
                self._inside = outer

        return writelines

    def _sendto(self, plain: Callable[..., None]) -> Callable[..., None]:
        def sendto(data: Any, addr: Any = None) -> None:
            self.going(data, addr)
            plain(data, addr)

        return sendto

    def _set_protocol(self, transport: Any, plain: Callable[[Any], None]) -> Callable[[Any], None]:
        def set_protocol(protocol: Any) -> None:
            if isinstance(protocol, asyncio.sslproto.SSLProtocol):  # what the transport has is encrypted from now on
                self.begin(transport, tls=True)
                restore(transport)
            elif _CONVERSATION not in getattr(protocol, "__dict__", {}):
                self.wrap_protocol(protocol, begins=False)
            plain(protocol)

        return set_protocol


def _tapped(tap: Tap, factory: Factory, last: list[_Conversation]) -> Factory:
    """Return a factory whose protocols are tapped; the last one's conversation is put into `last`."""

    def make() -> Any:
        protocol = factory()
        try:
            if _CONVERSATION not in getattr(protocol, "__dict__", {}):
                conversation = _Conversation(tap)
                conversation.wrap_protocol(protocol, begins=True)
                last[:] = [conversation]
        except Exception:
            tap.n_lost += 1
        return protocol

    return make


def _making(tap: Tap, plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return a wrapper of a loop's method that makes a connection, or waits for some."""

    @functools.wraps(plain)
    async def make(self: Any, protocol_factory: Factory, *args: Any, **keywords: Any) -> Any:
        if not tap.is_on:
            return await plain(self, protocol_factory, *args, **keywords)
        last: list[_Conversation] = []
        made = await plain(self, _tapped(tap, protocol_factory, last), *args, **keywords)
        try:
            for sock in getattr(made, "sockets", ()):
                tap.announce(sock.getsockname())
            if isinstance(made, tuple) and last and last[0].transport is not None:
                return last[0].transport, made[1]
        except Exception:
            tap.n_lost += 1
        return made

    return make


def _encrypting(tap: Tap, plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return a wrapper of a loop's method that goes on with encryption."""

    @functools.wraps(plain)
    async def start_tls(self: Any, transport: Any, protocol: Any, *args: Any, **keywords: Any) -> Any:
        transport = getattr(transport, _WRAPPED, transport)
        made = await plain(self, transport, protocol, *args, **keywords)
        conversation = getattr(protocol, "__dict__", {}).get(_CONVERSATION)
        return made if made is None or conversation is None else conversation.wrap_transport(made)

    return start_tls


def _loops() -> list[tuple[type, tuple[str, ...]]]:
    """Return the classes of event loops, and the methods that make connections in each."""
    common = ("create_connection", "create_server", "create_datagram_endpoint", "connect_accepted_socket")
    unix = ("create_unix_connection", "create_unix_server")
    found: list[tuple[type, tuple[str, ...]]] = [(asyncio.BaseEventLoop, common)]
    if hasattr(asyncio, "SelectorEventLoop"):
        found.append((asyncio.SelectorEventLoop, unix))
    if "uvloop" in sys.modules:
        found.append((sys.modules["uvloop"].Loop, common + unix))
    return found


def tap_asyncio(
    rec: Recorder, factory: Factory | None = None, framer: Framers = None, excerpt: Excerpt | None = None
) -> Any:
    """Record what goes over asyncio's transports: of all of a program, or of the protocols of one factory.

    Parameters
    ----------
    rec : Recorder
    factory : callable, optional
        A protocol factory, as `loop.create_server` takes one. Without it, all connections, servers and datagram
        endpoints made from now on are recorded (streams as well), until the tap is removed.
    framer : callable, mapping of int to callable, or None
        Where a message ends in a stream; as for `all_sockets`.
    excerpt : callable, optional
        From a message to the bytes to keep of it.

    Returns
    -------
    Installed or callable
        A context manager, which has a `remove()`; or the factory to use instead.

    Raises
    ------
    UserError
        All of asyncio is recorded by another recorder already.

    Examples
    --------
    >>> import asyncio
    >>> import hydroscope as hs
    >>> rec = hs.Recorder("node-3")
    >>> factory = hs.taps.asyncio(rec, asyncio.Protocol, framer=hs.taps.lines)
    >>> rec.close(remove=True)

    Notes
    -----
    What is recorded is what the program writes and reads, also where that is encrypted on its way. Use either this or
    `all_sockets`, at both ends: they see the same messages, but encrypted ones. Files sent by `loop.sendfile` end the
    recording of what else is sent there. Cost: some 9 us a message, both ends (docs/taps.md).
    """
    if factory is not None:
        return _tapped(Tap(rec, framer, excerpt), factory, [])
    installed = installed_for("event loops", rec)
    if installed is not None:
        return installed
    tap = Tap(rec, framer, excerpt)
    installed = Installed("event loops", tap)
    for loop, names in _loops():
        for name in names:
            if hasattr(loop, name):
                installed.put(loop, name, _making(tap, getattr(loop, name)))
        if "create_connection" in names:
            start_tls: Callable[..., Any] = loop.start_tls  # type: ignore[attr-defined]
            installed.put(loop, "start_tls", _encrypting(tap, start_tls))
    return installed
