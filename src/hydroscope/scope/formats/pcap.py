"""Captures of packets as timelines: what hosts said to each other, though none of them recorded anything.

Each host is a node with a clock of its own. A message has an id that is made of its ends, its place in the
stream (or the number of its packet) and its first bytes, so that it has the same in the captures of both ends:
what was lost between them, and by how much their clocks differ, comes out as it does of records.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.ground.record.layout import Kind, hash64
from hydroscope.scope.decoding import Decoder, Dialect
from hydroscope.scope.formats.built import Entry, Records
from hydroscope.scope.formats.connections import Connection, connections
from hydroscope.scope.formats.packets import ACK, FIN, RST, TCP, Capture, Piece, address_text, read_captures
from hydroscope.scope.formats.protocols import PROTOCOLS, Protocol, protocol_of
from hydroscope.scope.formats.sides import is_loopback, is_shared, local_addresses
from hydroscope.scope.formats.spoken import Spoken
from hydroscope.scope.formats.streams import Message
from hydroscope.scope.matching import SENDS
from hydroscope.scope.rules import Rule
from hydroscope.scope.timeline import Timeline
from hydroscope.wire.framing import Framer

__all__ = ["read_pcap"]

ID_BYTES = 16
"""Of a message in a stream, that its id is made of."""


def read_pcap(
    paths: Sequence[str | os.PathLike[str]],
    names: Sequence[str] | None = None,
    decoders: Iterable[Decoder | Dialect | str] = (),
    framers: Mapping[int, Framer] | None = None,
    local: Mapping[str, Sequence[str]] | None = None,
    rules: Sequence[Rule] | str = (),
) -> Timeline:
    """Read captures of packets, each of one host.

    Parameters
    ----------
    paths : sequence of path
        pcap or pcapng, of the same time. Several of one host (of several interfaces) have one name.
    names : sequence of str, optional
        Of the hosts; by default those of the files.
    decoders : iterable of function, Dialect or str
        Asked first what a message is called; DNS, HTTP, Redis and memcached are known.
    framers : mapping of int to function, optional
        Of a server's TCP port, where its messages end. HTTP, Redis, TLS, DNS and memcached are known by how they begin
        or by their port; of others, a message ends where its sender pushed.
    local : mapping of str to sequence of str, optional
        Of hosts by name, their addresses, where the packets leave it open.
    rules : sequence of Rule, or str
        As for `Timeline`.

    Returns
    -------
    Timeline
        Messages, openings and ends of connections; of protocols in which requests are answered, each call is a task
        of its client, and of its server. What could not be read is noted at the beginning of a node; what decoders and
        framers did wrong is in `labels.complaints`.

    Raises
    ------
    DataError
        A file cannot be read, or is no capture, or has no packet of TCP or UDP.
    UserError
        Whose capture it is cannot be told; or names and files differ in number, or two files are called the same.

    Notes
    -----
    Fragments of packets are counted and left out, and addresses are taken as they are: a message whose address was
    translated between two captures is not the same in both.

    Cost: some 70 us and 2 KB of memory a packet.
    """
    hosts = _hosts(paths, names)
    known = dict(local or {})
    for name in known:
        if name not in hosts:
            raise unknown_name("host", name, hosts, "the captures")
    captures = read_captures(paths, hosts)
    cut = (len(piece.data) for each in captures for piece in each.pieces if len(piece.data) < piece.length)
    n_kept = min(cut, default=2**16)
    addresses = local_addresses(captures, known, n_kept)
    records = Records(one_clock=False)
    owners = {
        address: capture.host
        for capture, own in zip(captures, addresses, strict=True)
        for address in own
        if not is_loopback(address)
    }
    spoken = Spoken(decoders, framers or {})
    for capture in captures:
        records.node(capture.host)
    for capture, own in zip(captures, addresses, strict=True):
        _Host(records, own, owners, spoken, n_kept).read(capture)
    return records.timeline(rules, spoken.complaints())


def _hosts(paths: Sequence[str | os.PathLike[str]], names: Sequence[str] | None) -> list[str]:
    """Return whose each file is."""
    if names is None:
        found = [Path(path).stem for path in paths]
        for one, other in pairwise(sorted(found)):
            if one == other:
                raise UserError(f"two captures are called {one!r}: say whose they are, names=[...], one for each file")
    else:
        found = list(names)
    if len(found) != len(paths):
        raise UserError(f"{len(found)} names for {len(paths)} captures: give one each")
    return found


@dataclass(frozen=True, slots=True)
class _Said:
    """A message that is to be recorded."""

    lane: str
    source: bytes
    target: bytes
    id: int
    label: str
    text: str
    data: bytes = b""
    n_bytes: int = 0


class _Call(NamedTuple):
    """What call a message is of."""

    key: Hashable
    is_request: bool
    is_keyed: bool
    """The key is of this call only; else calls are answered in turn."""


class _Host:
    """Owner of what becomes of one host's captures."""

    def __init__(
        self, records: Records, addresses: set[bytes], owners: Mapping[bytes, str], spoken: Spoken, n_kept: int
    ) -> None:
        self.records, self.addresses, self.owners, self.spoken = records, addresses, owners, spoken
        self.n_kept = n_kept
        """Bytes that all captures have of every packet's data."""
        self.name = ""
        self.nodes: dict[bytes, str] = {}
        """Of addresses, whose they are."""
        self.sent: set[int] = set()
        self.waiting: dict[object, deque[_Said]] = {}
        """Requests that are not answered."""

    def read(self, capture: Capture) -> None:
        """Record all that was captured."""
        self.name, ignored = capture.host, capture.ignored
        segments = []
        for piece in capture.pieces:
            if not (self.is_own(piece.source) or self.is_target(piece.source, piece.target)):
                ignored["packets between other hosts"] += 1
            elif piece.protocol == TCP:
                segments.append(piece)
            else:
                self.datagram(piece)
        for connection in connections(segments):
            self.connection(connection)
            if missing := sum(stream.missing for stream in connection.streams):
                ignored["bytes that the capture has not got, though it has later ones of their stream"] += missing
        for what, n in ignored.items():
            text = f"the capture: {n:,} {what}"
            self.records.add(Entry(self.name, "capture", Kind.NOTE, capture.pieces[0].ns, "capture", text))

    def is_own(self, address: bytes) -> bool:
        return address in self.addresses or is_loopback(address)

    def is_target(self, source: bytes, target: bytes) -> bool:
        return self.is_own(target) or (is_shared(target) and not self.is_own(source))

    def node(self, address: bytes) -> str:
        name = self.nodes.get(address)
        if name is None:
            name = self.name if self.is_own(address) else self.owners.get(address) or address_text(address)
            self.nodes[address] = name
        return name

    def add(self, kind: Kind, ns: int, said: _Said) -> None:
        """Record a message."""
        peer = self.node(said.target if kind in SENDS else said.source)
        more = (said.label, said.text, said.id, peer, said.n_bytes, said.data)
        self.records.add(Entry(self.name, said.lane, kind, ns, *more))

    def task(self, kind: Kind, ns: int, request: _Said) -> None:
        """Record the beginning or the end of a call."""
        self.records.add(Entry(self.name, request.lane, kind, ns, request.label, request.text, request.id))

    def exchange(self, kind: Kind, ns: int, said: _Said, call: _Call | None) -> None:
        """Record a message, and the call that it begins or ends."""
        if call is None or kind in (Kind.RESENT, Kind.DROPPED):
            self.add(kind, ns, said)
            return
        is_client = call.is_request == (kind == Kind.SENT)
        waiting = self.waiting.setdefault((is_client, call.key), deque())
        if not call.is_request:
            self.add(kind, ns, said)
            if waiting:
                self.task(Kind.ENDED, ns, waiting.popleft())
            return
        is_new = not (call.is_keyed and waiting)  # else it was asked again
        if is_new:
            both = self.is_own(said.source) and self.is_own(said.target)
            waiting.append(replace(said, id=said.id ^ 1) if both and not is_client else said)
        if is_new and is_client:
            self.task(Kind.STARTED, ns, waiting[-1])
        self.add(kind, ns, said)
        if is_new and not is_client:
            self.task(Kind.STARTED, ns, waiting[-1])

    def datagram(self, piece: Piece) -> None:
        """Record a datagram of UDP."""
        served = [any(port in each.ports for each in PROTOCOLS if each.over_udp) for port in piece.ports]
        server = int(served[1]) if served[0] != served[1] else int(piece.ports[1] <= piece.ports[0])
        port = piece.ports[server]
        protocol = next((each for each in PROTOCOLS if each.over_udp and port in each.ports), None)
        lane = f"{protocol.name if protocol else 'udp'} {port}"
        decoded = self.spoken.decoded(piece.data, protocol)
        ends = piece.source + piece.target + struct.pack(">HH", *piece.ports)
        number = hash64(ends + struct.pack(">HI", piece.mark, piece.length) + piece.data[: self.n_kept])
        more = (decoded.kind, decoded.text, piece.data[: self.n_kept], piece.length)
        said = _Said(lane, piece.source, piece.target, number, *more)
        both = frozenset({(piece.source, piece.ports[0]), (piece.target, piece.ports[1])})
        call = _call(protocol, bool(server), piece.data, both)
        if self.is_own(piece.source):
            self.exchange(Kind.RESENT if said.id in self.sent else Kind.SENT, piece.ns, said, call)
            self.sent.add(said.id)
        if self.is_target(piece.source, piece.target):
            self.exchange(Kind.RECEIVED, piece.ns, said, call)

    def connection(self, connection: Connection) -> None:
        """Record what was said over a connection of TCP."""
        called = connection.called()
        port = connection.ports[called]
        begins = [stream.parts[0][2][:256] if stream.parts else b"" for stream in connection.streams]
        own = self.spoken.framers.get(port)
        protocol = protocol_of(port, begins[1 - called] or begins[called]) if own is None else None
        lane = f"{protocol.name if protocol else 'tcp'} {port}"
        self.controls(lane, connection)
        steps: list[tuple[int, int, Kind, _Said, _Call | None]] = []
        for way, stream in enumerate(connection.streams):
            source, target = connection.ends[way], connection.ends[1 - way]
            ports = connection.ports if way == 0 else connection.ports[::-1]
            ends = source + target + struct.pack(">HH", *ports)
            is_here, is_there = self.is_own(source), self.is_own(target)
            skip = protocol.skip if protocol else 0
            for message in stream.messages(protocol.framer if protocol else own):
                data = message.head
                decoded = self.spoken.decoded(data, protocol, skip)
                place = struct.pack(">I", stream.sequence(message.begin))
                number = hash64(ends + place + data[: min(ID_BYTES, self.n_kept)])
                more = (decoded.kind, decoded.text, data[: self.n_kept], message.end - message.begin)
                said = _Said(lane, source, target, number, *more)
                call = _call(protocol, way != called, data[skip:], id(connection))
                for kind, ns in _times(message, is_here, is_there):
                    steps.append((ns, len(steps), kind, said, call))
        steps.sort()
        for ns, _, kind, said, call in steps:
            self.exchange(kind, ns, said, call)

    def controls(self, lane: str, connection: Connection) -> None:
        """Record what opens and ends a connection, and what was refused or broken off."""
        is_asked = is_open = is_ending = False
        for piece in connection.controls:
            flags = piece.flags
            name = "RST" if flags & RST else "FIN" if flags & FIN else "SYN ACK" if flags & ACK else "SYN"
            ends = piece.source + piece.target + struct.pack(">HHIB", *piece.ports, piece.sequence, flags & 7)
            (a, b), (c, d) = (address_text(piece.source), address_text(piece.target)), piece.ports
            text = f"{name} {a} port {c} to {b} port {d}"
            said = _Said(lane, piece.source, piece.target, hash64(ends), name, text)
            if self.is_own(piece.source):
                self.add(Kind.RESENT if said.id in self.sent else Kind.SENT, piece.ns, said)
                self.sent.add(said.id)
            if self.is_own(piece.target):
                self.add(Kind.RECEIVED, piece.ns, said)
                if flags & RST and not is_ending:
                    is_refused = is_asked and not is_open and connection.way(piece) == connection.server
                    what = f"connection {'refused' if is_refused else 'reset'} by {a} port {c}"
                    failed = Entry(self.name, lane, Kind.FAILED, piece.ns, what, what)
                    self.records.add(failed._replace(n_bytes=len(what), data=what.encode()))
            is_asked |= name == "SYN"
            is_open |= name == "SYN ACK"
            is_ending |= bool(flags & (FIN | RST))


def _times(message: Message, is_here: bool, is_there: bool) -> list[tuple[Kind, int]]:
    """Return when a message of a stream was sent (if its sender is the host) and received (if its receiver is)."""
    found = []
    if is_here:
        found.append((Kind.SENT, message.begin_ns))
        found += [(Kind.RESENT, ns) for ns in message.again_ns]
    if is_there and message.end_ns >= 0:
        found.append((Kind.RECEIVED, message.end_ns))
        found += [(Kind.DROPPED, ns) for ns in message.again_ns if ns > message.end_ns]
    return found


def _call(protocol: Protocol | None, is_request: bool, data: bytes, connection: Hashable) -> _Call | None:
    """Return which call a message is of, if it is of one."""
    if protocol is None or not protocol.answers:
        return None
    if not (protocol.is_request(data) if is_request else protocol.is_answer(data)):
        return None
    is_keyed = protocol.key is not None
    return _Call((connection, protocol.key(data)) if protocol.key else connection, is_request, is_keyed)
