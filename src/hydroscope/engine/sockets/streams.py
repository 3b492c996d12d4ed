"""TCP connections that carry pieces of large messages: one for each peer and direction, kept open.

A stream promises nothing: when a connection breaks, what was queued on it is gone. That a
piece has *arrived* is known only by the receiver's own acknowledgement (`rpc.bulk`, which
also says when a stream is left for a fresh one); what TCP says about success is not relied on,
because a kernel accepts and acknowledges bytes that its process will never read.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections import Counter, deque
from collections.abc import Callable, Container, Sequence
from functools import partial
from itertools import islice

import msgspec

from hydroscope.engine.own import own
from hydroscope.engine.sockets.address import family_of
from hydroscope.engine.sockets.outbox import Told
from hydroscope.wire.frame import Framing
from hydroscope.wire.messages import Packet
from hydroscope.wire.stream import FrameReader

__all__ = ["INBOUND_MAX", "QUEUE_MAX_BYTES", "Inbound", "Listener", "Outbound", "Streams"]

QUEUE_MAX_BYTES = 16 * 2**20
"""Bytes that wait for room in a connection; what comes on top is dropped, and sent again by the RPC."""

INBOUND_MAX = 256
"""Connections that are read at a time; for one more, the oldest that never said anything valid is closed."""

PARTS_A_CALL = 48
"""So many parts of frames are handed to the kernel at a time."""

READS_A_TURN = 2
"""So often is one stream read before datagrams have their turn again, some milliseconds later."""


class Outbound:
    """One stream to one peer, from its connection to its end; used under the member's lock.

    `told(is_open)` is called once when it opens, and once when it breaks by itself; never when
    it is closed. It must not act at once.
    """

    def __init__(
        self,
        number: int,
        where: tuple[str, int],
        selector: selectors.BaseSelector,
        handle: Callable[[Outbound, int], None],
        told: Callable[[bool], None],
    ) -> None:
        self.number = number
        self._selector = selector
        self._handle = partial(handle, self)
        self._told = told
        self._queue: deque[memoryview] = deque()
        self.queued_bytes = 0
        self._events = 0
        self._is_open = False
        self._socket: socket.socket | None = own(socket.socket(family_of(where[0]), socket.SOCK_STREAM))
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.connect(where)
        except BlockingIOError:
            pass
        except OSError:  # no way there just now
            self._break()
            return
        self._listen_for(selectors.EVENT_READ | selectors.EVENT_WRITE)

    def send(self, frame: Sequence[bytes | memoryview]) -> bool:
        """Queue a frame, given in parts, and send what there is room for; False when it was dropped."""
        n_bytes = sum(map(len, frame))
        if self._socket is None or self.queued_bytes + n_bytes > QUEUE_MAX_BYTES:
            return False
        is_first = not self._queue
        self._queue += map(memoryview, frame)
        self.queued_bytes += n_bytes
        if self._is_open and is_first:
            self._flush(self._socket)
        return True

    def react(self, mask: int) -> None:
        """React to what the selector said."""
        if self._socket is None:
            return
        if mask & selectors.EVENT_READ:  # nothing is ever said here: it was closed, or reset, or refused
            try:
                self._socket.recv(1)
            except BlockingIOError:
                pass
            except OSError:
                self._break()
                return
            else:
                self._break()
                return
        if mask & selectors.EVENT_WRITE:
            if not self._is_open:
                if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._break()
                    return
                self._is_open = True
                self._told(True)
            self._flush(self._socket)

    def close(self) -> None:
        """Let go of the connection and of what is queued."""
        if self._socket is not None:
            if self._events:
                self._selector.unregister(self._socket)
            self._socket.close()
        self._socket = None
        self._queue.clear()
        self.queued_bytes = 0

    def _flush(self, connection: socket.socket) -> None:
        """Send until there is no room; ask to be told when there is some."""
        queue = self._queue
        try:
            while queue:
                n = connection.sendmsg(islice(queue, PARTS_A_CALL))
                self.queued_bytes -= n
                while n:
                    part = queue[0]
                    if n < len(part):
                        queue[0] = part[n:]
                        break
                    n -= len(part)
                    queue.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._break()
            return
        self._listen_for(selectors.EVENT_READ | (selectors.EVENT_WRITE if queue else 0))

    def _listen_for(self, events: int) -> None:
        assert self._socket is not None
        if events == self._events:
            return
        if self._events:
            self._selector.modify(self._socket, events, self._handle)
        else:
            self._selector.register(self._socket, events, self._handle)
        self._events = events

    def _break(self) -> None:
        self.close()
        self._told(False)


class Streams:
    """The streams to all peers, of each the newest; used under the member's lock.

    `handle(stream, mask)` is called by the selector's loop. `told` is that of an `Outbox`.
    """

    def __init__(
        self,
        framing: Framing,
        selector: selectors.BaseSelector,
        handle: Callable[[Outbound, int], None],
        counters: Counter[str],
        told: Told | None = None,
    ) -> None:
        self.news: deque[tuple[int, int, bool]] = deque()
        """Streams that opened or broke: peer, number, which."""
        self._seal = framing.seal_piece
        self._selector = selector
        self._handle = handle
        self._counters = counters
        self._told = told
        self._of: dict[int, Outbound] = {}  # by life

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for room in a connection."""
        return sum(stream.queued_bytes for stream in self._of.values())

    def open(self, peer: int, life: int, number: int, where: tuple[str, int] | None) -> None:
        """Open a fresh stream to a life of a peer, and close any earlier one; `where` is None if nobody knows."""
        self.close(life)
        if where is None:
            self.news.append((peer, number, False))
            return

        def told(is_open: bool) -> None:
            self._counters["streams opened" if is_open else "streams broken"] += 1
            self.news.append((peer, number, is_open))

        self._of[life] = Outbound(number, where, self._selector, self._handle, told)

    def send(self, packet: Packet, number: int) -> None:
        """Put a piece on the stream of this number; it is dropped if there is another by now, or no room."""
        if self._told is not None:
            stamp = max(packet.hlc, self._told(packet, [packet.message], []))
            packet = msgspec.structs.replace(packet, hlc=stamp)
        stream = self._of.get(packet.receiver_life)
        if stream is None or stream.number != number or not stream.send(self._seal(packet)):
            self._counters["pieces dropped"] += 1

    def keep(self, lives: Container[int]) -> None:
        """Close the streams to all other lives."""
        for life in [life for life in self._of if life not in lives]:
            self.close(life)

    def close(self, life: int) -> None:
        """Close the stream to a life, if there is one."""
        if (stream := self._of.pop(life, None)) is not None:
            stream.close()


class Inbound:
    """A connection that somebody made to us; what does not speak as members do is closed."""

    def __init__(self, connection: socket.socket, listener: Listener) -> None:
        self.connection = connection
        self.is_proven = False
        self._listener = listener
        self._reader = FrameReader(listener.framing)

    def handle(self, mask: int) -> None:
        """Read what there is and hand whole frames on."""
        for _ in range(READS_A_TURN):
            try:
                n_bytes = self.connection.recv_into(self._reader.room())
            except BlockingIOError:
                return
            except OSError:
                n_bytes = 0
            if not n_bytes:
                self.close()
                return
            for packet in self._reader.received(n_bytes):
                self.is_proven = True
                self._listener.take(packet)
            if self._reader.refusal is not None:
                self.close()
                return

    def close(self) -> None:
        """Let go of the connection."""
        self._listener.forget(self)
        self.connection.close()


class Listener:
    """Accepts connections of peers, and hands what they say to `take`."""

    def __init__(
        self,
        host: str,
        port: int,
        selector: selectors.BaseSelector,
        framing: Framing,
        take: Callable[[Packet], None],
        counters: Counter[str],
    ) -> None:
        self.framing = framing
        self.take = take
        self._selector = selector
        self._counters = counters
        self._inbound: dict[Inbound, None] = {}  # oldest first
        self._socket = own(socket.socket(family_of(host), socket.SOCK_STREAM))
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setblocking(False)
            self._socket.bind((host, port))
            self._socket.listen(128)
        except BaseException:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        selector.register(self._socket, selectors.EVENT_READ, self.handle)

    def handle(self, mask: int) -> None:
        """Accept whoever is waiting."""
        while True:
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:  # it went away again, or there are no descriptors left
                self._counters[f"not accepted: {error.strerror}"] += 1
                return
            if len(self._inbound) >= INBOUND_MAX:
                self._counters["too many connections"] += 1
                next((each for each in self._inbound if not each.is_proven), next(iter(self._inbound))).close()
            connection.setblocking(False)
            inbound = Inbound(own(connection), self)
            self._inbound[inbound] = None
            self._selector.register(connection, selectors.EVENT_READ, inbound.handle)

    def forget(self, inbound: Inbound) -> None:
        """Read a connection no longer."""
        if inbound in self._inbound:
            del self._inbound[inbound]
            self._selector.unregister(inbound.connection)

    def close(self) -> None:
        """Let go of all connections."""
        for inbound in list(self._inbound):
            inbound.close()
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(self._socket)
        self._socket.close()
