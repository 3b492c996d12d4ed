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

from hydroscope.engine.taps.ends import UNSEEN, Datagrams, End, Link, link_between
from hydroscope.engine.taps.patches import Installed, installed_for, restore, shadow, weakly
from hydroscope.engine.taps.sockets import sending_file
from hydroscope.engine.taps.tap import Excerpt, Framers, Tap, bytes_of, listed, swallowed
from hydroscope.ground.record.recorder import Recorder

__all__ = ["tap_asyncio"]

Factory = Callable[[], Any]
Method = Callable[..., Any]

_CONVERSATION = "_hydroscope_conversation"
_WRAPPED = "_hydroscope_transport"


class _Passing:
    """A transport that passes everything on to one that has no room for wrappers."""

    def __init__(self, transport: Any) -> None:
        self._hydroscope_transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hydroscope_transport, name)

    @property
    def __class__(self) -> type:
        return type(self._hydroscope_transport)

    @__class__.setter
    def __class__(self, _: type) -> None:
        raise TypeError("the class of a transport stays")


class _Conversation:
    """One protocol and its transport."""

    def __init__(self, tap: Tap) -> None:
        self.tap = tap
        self.passing: _Passing | None = None
        """What the program is to use instead of its transport."""
        self._end: End = UNSEEN
        self._lent: Callable[[], Any] = bytes
        """Returns the buffer that is being filled."""
        self._keeps = False
        """Whether it has to be kept for that."""
        self._inside = False
        """A wrapper calls what is wrapped as well."""

    @swallowed
    def begin(self, transport: Any, tls: bool = False) -> None:
        """Find out whose conversation it is."""
        look = transport.get_extra_info
        own, peer, sock = look("sockname"), look("peername"), look("socket")
        tls = tls or look("sslcontext") is not None
        # uvloop forgets the buffer of an encrypted connection before it says how much is in it.
        self._keeps = tls and not type(transport).__module__.startswith("asyncio.")
        if hasattr(transport, "sendto"):
            self._end = Datagrams(self.tap, own, peer, sock.getsockname)
        elif own is not None:
            self._end = link_between(self.tap, own, peer, sock, tls)

    @swallowed
    def going(self, data: Any, address: Any = None) -> None:
        """Take note of what is written."""
        if self._inside or not self.tap.is_on:
            return
        data = bytes_of(data)
        if data is not None:
            self._end.offer(data, address)
            self._end.sent(data, len(data), address)

    @swallowed
    def all_going(self, pieces: Any) -> None:
        """Take note of what is written at once."""
        if isinstance(pieces, list | tuple) and all(bytes_of(each) is not None for each in pieces):
            self.going(b"".join(pieces))

    @swallowed
    def coming(self, data: Any, address: Any = None) -> None:
        """Take note of what was read."""
        data = bytes_of(data)
        if data is not None and self.tap.is_on:
            self._end.arrived(data, address)

    @swallowed
    def lend(self, buffer: Any) -> None:
        """Remember what is going to be filled; without keeping it, as nobody can change the size of what is kept."""
        self._lent = (lambda: buffer) if self._keeps else weakly(buffer)

    @swallowed
    def filled(self, n_bytes: int) -> None:
        """Take note of what was read into it."""
        data = bytes_of(self._lent())
        self._lent = bytes
        if data is not None and self.tap.is_on:
            self._end.arrived(bytes(data[:n_bytes]))

    @property
    def position(self) -> int | None:
        """Bytes that have been written, as seen so far."""
        return self._end.out.position if isinstance(self._end, Link) else None

    @swallowed
    def unseen(self, offset: int | None, total: int | None) -> None:
        """Take note that a file was sent, of which what was not written was not seen; None: in part."""
        if offset is not None and isinstance(self._end, Link):
            self._end.out.passed(offset, total)

    # ------------------------------------------------------------ wrappers

    def wrap_protocol(self, protocol: Any, begins: bool) -> None:
        """Put wrappers before what a transport tells a protocol."""
        make = {"data_received": self._hearing, "datagram_received": self._hearing}
        if begins:
            make["connection_made"] = self._made
        if isinstance(protocol, asyncio.BufferedProtocol):
            make.update(get_buffer=self._get_buffer, buffer_updated=self._buffer_updated)
        if shadow(protocol, make):
            vars(protocol)[_CONVERSATION] = self
        else:
            self.tap.lost(f"{type(protocol).__name__} has no room for a tap")

    def wrap_transport(self, transport: Any) -> Any:
        """Put wrappers before what a protocol calls; return the transport to use."""
        make: dict[str, Callable[[Method], Method]] = {
            "write": self._write,
            "writelines": self._writelines,
            "sendto": self._sendto,
            "set_protocol": functools.partial(self._set_protocol, weakly(transport)),
        }
        if shadow(transport, make):
            return transport
        self.passing = _Passing(transport)
        vars(self.passing).update({k: each(getattr(transport, k)) for k, each in make.items() if hasattr(transport, k)})
        return self.passing

    def _made(self, below: Method) -> Method:
        def connection_made(transport: Any) -> None:
            self.begin(transport)
            below(_quiet_transport(self, transport) or transport)

        return connection_made

    def _hearing(self, below: Method) -> Method:
        def received(data: Any, *address: Any) -> None:
            self.coming(data, *address)
            below(data, *address)

        return received

    def _get_buffer(self, below: Method) -> Method:
        def get_buffer(sizehint: int) -> Any:
            self._lent = bytes
            buffer = below(sizehint)
            self.lend(buffer)
            return buffer

        return get_buffer

    def _buffer_updated(self, below: Method) -> Method:
        def buffer_updated(nbytes: int) -> None:
            self.filled(nbytes)
            below(nbytes)

        return buffer_updated

    def _write(self, below: Method) -> Method:
        def write(data: Any) -> None:
            self.going(data)
            below(data)

        return write

    def _writelines(self, below: Method) -> Method:
        def writelines(list_of_data: Iterable[Any]) -> None:
            pieces = listed(list_of_data)
            self.all_going(pieces)
            outer, self._inside = self._inside, True
            try:
                below(pieces)
            finally:
                self._inside = outer

        return writelines

    def _sendto(self, below: Method) -> Method:
        def sendto(data: Any, addr: Any = None) -> None:
            self.going(data, addr)
            below(data, addr)

        return sendto

    def _set_protocol(self, it: Callable[[], Any], below: Method) -> Method:
        def set_protocol(protocol: Any) -> None:
            _follow(self, it(), protocol)
            below(protocol)

        return set_protocol


@swallowed
def _quiet_transport(conversation: _Conversation, transport: Any) -> Any:
    return conversation.wrap_transport(transport)


@swallowed
def _follow(conversation: _Conversation, transport: Any, protocol: Any) -> None:
    """Go on with another protocol of the same transport."""
    if isinstance(protocol, asyncio.sslproto.SSLProtocol):  # what the transport has is encrypted from now on
        conversation.begin(transport, True)
        restore(transport)
    elif _conversation_of(protocol) is None:
        conversation.wrap_protocol(protocol, begins=False)


def _conversation_of(protocol: Any) -> _Conversation | None:
    found: _Conversation | None = getattr(protocol, "__dict__", {}).get(_CONVERSATION)
    return found


def _tapped(tap: Tap, factory: Factory, last: list[_Conversation | None]) -> Factory:
    """Return a factory whose protocols are tapped; the last one's conversation is put into `last`."""

    def make() -> Any:
        protocol = factory()
        last[:] = [_converse(tap, protocol)]
        return protocol

    return make


@swallowed
def _converse(tap: Tap, protocol: Any) -> _Conversation | None:
    conversation = _conversation_of(protocol)
    if conversation is None:
        conversation = _Conversation(tap)
        conversation.wrap_protocol(protocol, begins=True)
    return conversation


def _making(tap: Tap, below: Method) -> Method:
    """Return a wrapper of a loop's method that makes a connection, or waits for some."""

    @functools.wraps(below)
    async def make(self: Any, protocol_factory: Factory, *args: Any, **keywords: Any) -> Any:
        if not tap.is_on:
            return await below(self, protocol_factory, *args, **keywords)
        last: list[_Conversation | None] = []
        made = await below(self, _tapped(tap, protocol_factory, last), *args, **keywords)
        _announce(tap, made)
        if isinstance(made, tuple) and last and last[0] is not None and last[0].passing is not None:
            return last[0].passing, *made[1:]
        return made

    return make


@swallowed
def _announce(tap: Tap, made: Any) -> None:
    for sock in getattr(made, "sockets", ()):
        tap.announce(sock.getsockname())


def _encrypting(below: Method) -> Method:
    """Return a wrapper of a loop's method that goes on with encryption."""

    @functools.wraps(below)
    async def start_tls(self: Any, transport: Any, protocol: Any, *args: Any, **keywords: Any) -> Any:
        made = await below(self, getattr(transport, _WRAPPED, transport), protocol, *args, **keywords)
        conversation = _conversation_of(protocol)
        return made if made is None or conversation is None else _quiet_transport(conversation, made) or made

    return start_tls


def _over(transport: Any) -> _Conversation | None:
    try:
        return _conversation_of(transport.get_protocol())
    except Exception:  # the call says what is wrong with it
        return None


def _position(transport: Any) -> int | None:
    conversation = _over(transport)
    return None if conversation is None else conversation.position


def _unseen(transport: Any, offset: int | None, total: int | None) -> None:
    conversation = _over(transport)
    if conversation is not None:
        conversation.unseen(offset, total)


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
    `all_sockets`, at both ends: they see the same messages, but encrypted ones. Cost: some 9 us a message, both ends
    (docs/taps.md).
    """
    if factory is not None:
        return _tapped(Tap(rec, framer, excerpt), factory, [])
    installed = installed_for("event loops", rec, framer, excerpt)
    if installed is not None:
        return installed
    tap = Tap(rec, framer, excerpt)
    installed = Installed("event loops", tap)
    for loop, names in _loops():
        for name in names:
            if hasattr(loop, name):
                installed.put(loop, name, _making(tap, getattr(loop, name)))
        if "create_connection" in names:
            start_tls: Method = loop.start_tls  # type: ignore[attr-defined]
            installed.put(loop, "start_tls", _encrypting(start_tls))
    base = asyncio.BaseEventLoop
    installed.put(base, "sendfile", sending_file(base.sendfile, _position, _unseen))
    return installed
