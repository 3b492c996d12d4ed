"""Captures of packets as timelines: what hosts said to each other, though none of them recorded anything.

Each capture is a node with a clock of its own. A message has an id that is made of its ends, its place in the
stream (or the number of its packet) and its first bytes, so that it has the same in the captures of both ends:
what was lost between them, and by how much their clocks differ, comes out as it does of records.
"""

from __future__ import annotations

import os
import struct
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hydroscope.ground.errors import DataError, UserError, unknown_name
from hydroscope.ground.record.layout import Kind, hash64
from hydroscope.scope.decoding import Decoded, Decoder, Dialect, dialects, shown
from hydroscope.scope.formats.built import Records
from hydroscope.scope.formats.captured import Capture, read_capture
from hydroscope.scope.formats.packets import ACK, FIN, PSH, RST, SYN, TCP, Piece, address_text, pieces
from hydroscope.scope.formats.protocols import PROTOCOLS, Protocol, protocol_of
from hydroscope.scope.formats.sides import is_loopback, is_shared, local_addresses
from hydroscope.scope.formats.streams import Message, Stream
from hydroscope.scope.matching import SENDS
from hydroscope.scope.rules import Rule
from hydroscope.scope.timeline import Timeline
from hydroscope.wire.framing import Framer

__all__ = ["read_pcap"]

SHOWN_BYTES = 200
"""Of a message that no decoder knows."""
ID_BYTES = 16


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
        of its client, and of its server. What could not be read is noted at the beginning of a node.

    Raises
    ------
    DataError
        A file cannot be read, or is no capture, or has no packet of TCP or UDP.
    UserError
        Whose capture it is cannot be told; or names and files differ in number.

    Notes
    -----
    Fragments of packets are counted and left out, and addresses are taken as they are: a message whose address was
    translated between two captures is not the same in both.

    Cost: some 100 us a packet, and several times the files in memory.
    """
    own_names = [Path(path).stem for path in paths] if names is None else list(names)
    if len(own_names) != len(paths):
        raise UserError(f"{len(own_names)} names for {len(paths)} captures: give one each")
    known = dict(local or {})
    for name in known:
        if name not in own_names:
            raise unknown_name("host", name, own_names, "the captures")
    captures = [read_capture(path) for path in paths]
    carried = [_carried(capture) for capture in captures]
    addresses = local_addresses(captures, carried, [known.get(name) for name in own_names])
    records = Records(one_clock=False)
    owners = {
        address: name
        for name, own_addresses in zip(own_names, addresses, strict=True)
        for address in own_addresses
        if not is_loopback(address)
    }
    last = dialects(())
    spoken = _Spoken(tuple(each for each in dialects(decoders) if each not in last), last, framers or {})
    for name in own_names:
        records.node(name)
    for name, capture, own, own_addresses in zip(own_names, captures, carried, addresses, strict=True):
        _Host(records, name, own_addresses, owners, spoken).read(own, capture.ignored)
    return records.timeline(rules=rules)


def _carried(capture: Capture) -> list[Piece]:
    own = pieces(capture)
    if not own:
        why = ", ".join(f"{n:,} {what}" for what, n in capture.ignored.items()) or "no packets"
        raise DataError(f"{capture.path!r} has no packet of TCP or UDP: {why}")
    return own


@dataclass(slots=True)
class _Connection:
    """What was captured of one connection of TCP."""

    ends: tuple[bytes, bytes]
    """Of the first packet: who sent it, and to whom."""
    ports: tuple[int, int]
    streams: tuple[Stream, Stream] = field(default_factory=lambda: (Stream(), Stream()))
    """From the first end, and from the second."""
    controls: list[Piece] = field(default_factory=list)
    """Packets that open or end it."""
    server: int | None = None
    """Which end was called."""

    def way(self, piece: Piece) -> int:
        """Return the end that sent a packet."""
        return int((piece.source, piece.ports) != (self.ends[0], self.ports))

    def add(self, piece: Piece) -> None:
        """Take in a packet."""
        way = self.way(piece)
        stream, sequence = self.streams[way], piece.sequence
        if piece.flags & SYN:
            self.server = way if piece.flags & ACK else 1 - way
            sequence = (sequence + 1) % 2**32
            stream.place(sequence)
        if piece.flags & (SYN | FIN | RST):
            self.controls.append(piece)
        if piece.length:
            stream.add(sequence, piece.data, piece.ns, piece.length if piece.flags & PSH else 0)

    def is_over(self, piece: Piece) -> bool:
        """Return whether a packet opens another connection between the same ports."""
        base = self.streams[self.way(piece)].base
        return piece.flags & (SYN | ACK) == SYN and base is not None and base != (piece.sequence + 1) % 2**32

    def called(self) -> int:
        """Return the end that was called: as told, else the one with the port of a protocol, or with the lower."""
        if self.server is None:
            known = [any(port in each.ports for each in PROTOCOLS) for port in self.ports]
            self.server = int(known[1]) if known[0] != known[1] else int(self.ports[1] <= self.ports[0])
        return self.server


@dataclass(frozen=True, slots=True)
class _Said:
    """A message that is to be recorded."""

    source: bytes
    target: bytes
    id: int
    label: str
    text: str
    data: bytes = b""
    n_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Call:
    """What call a message is of."""

    key: Hashable
    is_request: bool
    is_keyed: bool
    """The key is of this call only; else calls are answered in turn."""


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What messages are cut and called by."""

    first: tuple[Dialect, ...]
    last: tuple[Dialect, ...]
    framers: Mapping[int, Framer]

    def decoded(self, data: bytes, protocol: Protocol | None, skip: int) -> Decoded:
        """Return what the first decoder that knows a message says: the caller's, its protocol's, the others."""
        own = [] if protocol is None or protocol.dialect is None else [protocol.dialect]
        for dialect in (*self.first, *own, *self.last):
            some = data[skip:] if dialect in own else data
            if not some or (dialect.begins and some[0] not in dialect.begins):
                continue
            try:
                found = dialect.decode(some)
            except Exception:  # foreign functions may do anything with foreign bytes
                continue
            if found is not None:
                return found
        return Decoded(protocol.name if protocol else "message", {}, shown(data[:SHOWN_BYTES], len(data)))


class _Host:
    """Owner of what becomes of one host's captures."""

    def __init__(
        self, records: Records, name: str, addresses: set[bytes], owners: Mapping[bytes, str], spoken: _Spoken
    ) -> None:
        self.records, self.addresses, self.owners, self.spoken = records, addresses, owners, spoken
        self.number = records.node(name)
        self.numbers: dict[bytes, int] = {}
        """Of the nodes that addresses are of."""
        self.connections: dict[object, _Connection] = {}
        self.every: list[_Connection] = []
        self.sent: set[int] = set()
        self.waiting: dict[object, deque[_Said]] = {}
        """Requests that are not answered."""

    def read(self, own: Sequence[Piece], ignored: Counter[str]) -> None:
        """Record all that was captured."""
        for piece in sorted(own, key=lambda each: each.ns):
            if not (self.is_own(piece.source) or self.is_target(piece.source, piece.target)):
                ignored["packets between other hosts"] += 1
            elif piece.protocol == TCP:
                self.segment(piece)
            else:
                self.datagram(piece)
        for connection in self.every:
            self.connection(connection)
            if missing := sum(stream.missing for stream in connection.streams):
                ignored["bytes that the capture has not got, though it has later ones of their stream"] += missing
        for what, n in ignored.items():
            text = f"the capture: {n:,} {what}"
            self.records.add(self.number, "capture", Kind.NOTE, min(piece.ns for piece in own), "capture", text)

    def is_own(self, address: bytes) -> bool:
        return address in self.addresses or is_loopback(address)

    def is_target(self, source: bytes, target: bytes) -> bool:
        return self.is_own(target) or (is_shared(target) and not self.is_own(source))

    def node(self, address: bytes) -> int:
        number = self.numbers.get(address)
        if number is None:
            own = self.number if self.is_own(address) else None
            number = self.records.node(self.owners.get(address) or address_text(address)) if own is None else own
            self.numbers[address] = number
        return number

    def add(self, lane: str, kind: Kind, ns: int, said: _Said) -> None:
        """Record a message."""
        self.records.add(
            self.number,
            lane,
            kind,
            ns,
            said.label,
            said.text,
            message_id=said.id,
            peer=self.node(said.target if kind in SENDS else said.source),
            n_bytes=said.n_bytes,
            data=said.data,
        )

    def task(self, lane: str, kind: Kind, request: _Said, ns: int) -> None:
        """Record the beginning or the end of a call."""
        self.records.add(self.number, lane, kind, ns, request.label, request.text, message_id=request.id)

    def exchange(self, lane: str, kind: Kind, ns: int, said: _Said, call: _Call | None) -> None:
        """Record a message, and the call that it begins or ends."""
        if call is None or kind in (Kind.RESENT, Kind.DROPPED):
            self.add(lane, kind, ns, said)
            return
        is_client = call.is_request == (kind == Kind.SENT)
        waiting = self.waiting.setdefault((is_client, call.key), deque())
        if not call.is_request:
            self.add(lane, kind, ns, said)
            if waiting:
                self.task(lane, Kind.ENDED, waiting.popleft(), ns)
            return
        is_new = not (call.is_keyed and waiting)  # else it was asked again
        if is_new:
            both = self.is_own(said.source) and self.is_own(said.target)
            waiting.append(replace(said, id=said.id ^ 1) if both and not is_client else said)
        if is_new and is_client:
            self.task(lane, Kind.STARTED, waiting[-1], ns)
        self.add(lane, kind, ns, said)
        if is_new and not is_client:
            self.task(lane, Kind.STARTED, waiting[-1], ns)

    def datagram(self, piece: Piece) -> None:
        """Record a datagram of UDP."""
        served = [any(port in each.ports for each in PROTOCOLS if each.over_udp) for port in piece.ports]
        server = int(served[1]) if served[0] != served[1] else int(piece.ports[1] <= piece.ports[0])
        port = piece.ports[server]
        protocol = next((each for each in PROTOCOLS if each.over_udp and port in each.ports), None)
        decoded = self.spoken.decoded(piece.data, protocol, 0)
        ends = piece.source + piece.target + struct.pack(">HH", *piece.ports)
        number = hash64(ends + struct.pack(">H", piece.mark) + piece.data)
        said = _Said(piece.source, piece.target, number, decoded.kind, decoded.text, piece.data, piece.length)
        lane = f"{protocol.name if protocol else 'udp'} {port}"
        both = frozenset({(piece.source, piece.ports[0]), (piece.target, piece.ports[1])})
        call = _call(protocol, bool(server), piece.data, both)
        if self.is_own(piece.source):
            self.exchange(lane, Kind.RESENT if said.id in self.sent else Kind.SENT, piece.ns, said, call)
            self.sent.add(said.id)
        if self.is_target(piece.source, piece.target):
            self.exchange(lane, Kind.RECEIVED, piece.ns, said, call)

    def segment(self, piece: Piece) -> None:
        """Take a segment of TCP into its connection."""
        key = frozenset({(piece.source, piece.ports[0]), (piece.target, piece.ports[1])})
        connection = self.connections.get(key)
        if connection is None or connection.is_over(piece):
            connection = self.connections[key] = _Connection((piece.source, piece.target), piece.ports)
            self.every.append(connection)
        connection.add(piece)

    def connection(self, connection: _Connection) -> None:
        """Record what was said over a connection of TCP."""
        called = connection.called()
        port = connection.ports[called]
        begins = [stream.parts[0][2][:256] if stream.parts else b"" for stream in connection.streams]
        protocol = None if port in self.spoken.framers else protocol_of(port, begins[1 - called] or begins[called])
        framer = protocol.framer if protocol else self.spoken.framers.get(port)
        lane = f"{protocol.name if protocol else 'tcp'} {port}"
        self.controls(lane, connection)
        steps: list[tuple[int, int, Kind, _Said, _Call | None]] = []
        for way, stream in enumerate(connection.streams):
            source, target = connection.ends[way], connection.ends[1 - way]
            ports = connection.ports if way == 0 else connection.ports[::-1]
            ends = source + target + struct.pack(">HH", *ports)
            is_here, is_there = self.is_own(source), self.is_own(target)
            for message in stream.messages(framer):
                data = message.head
                skip = protocol.skip if protocol else 0
                place = struct.pack(">I", stream.sequence(message.begin))
                decoded = self.spoken.decoded(data, protocol, skip)
                number, n_bytes = hash64(ends + place + data[:ID_BYTES]), message.end - message.begin
                said = _Said(source, target, number, decoded.kind, decoded.text, data, n_bytes)
                call = _call(protocol, way != called, data[skip:], id(connection))
                for kind, ns in _times(message, is_here, is_there):
                    steps.append((ns, len(steps), kind, said, call))
        steps.sort()
        for ns, _, kind, said, call in steps:
            self.exchange(lane, kind, ns, said, call)

    def controls(self, lane: str, connection: _Connection) -> None:
        """Record what opens and ends a connection, and what was refused or broken off."""
        is_open = is_ending = False
        called = connection.called()
        for piece in connection.controls:
            flags = piece.flags
            name = "RST" if flags & RST else "FIN" if flags & FIN else "SYN ACK" if flags & ACK else "SYN"
            ends = piece.source + piece.target + struct.pack(">HHIB", *piece.ports, piece.sequence, flags & 7)
            (a, b), (c, d) = (address_text(piece.source), address_text(piece.target)), piece.ports
            text = f"{name} {a} port {c} to {b} port {d}"
            said = _Said(piece.source, piece.target, hash64(ends), name, text)
            if self.is_own(piece.source):
                self.add(lane, Kind.RESENT if said.id in self.sent else Kind.SENT, piece.ns, said)
                self.sent.add(said.id)
            if self.is_own(piece.target):
                self.add(lane, Kind.RECEIVED, piece.ns, said)
                if flags & RST and not is_ending:
                    is_refused = not is_open and connection.server is not None and connection.way(piece) == called
                    what = f"connection {'refused' if is_refused else 'reset'} by {a} port {c}"
                    self.records.add(
                        *(self.number, lane, Kind.FAILED, piece.ns, what, what), n_bytes=len(what), data=what.encode()
                    )
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
