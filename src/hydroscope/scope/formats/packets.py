"""From packets to what UDP and TCP carry: the layers below are taken off."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from hydroscope.ground.errors import DataError
from hydroscope.scope.formats.captured import Packet, packets

__all__ = ["ACK", "FIN", "PSH", "RST", "SYN", "TCP", "UDP", "Capture", "Piece", "address_text", "read_captures"]

ETHERNET, LOOP_NULL, RAW_BSD, RAW_BSD_2, RAW, LOOP, COOKED, IPV4, IPV6, COOKED_2 = (
    *(1, 0, 12, 14, 101, 108, 113, 228, 229, 276),
)
"""LINKTYPEs."""
TYPE_4, TYPE_6 = 0x0800, 0x86DD
TAGS = (0x8100, 0x88A8, 0x9100)
TCP, UDP = 6, 17
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 0, 43, 44, 51, 60
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

IN, OUT = 1, 2
COOKED_WAYS = {0: IN, 1: IN, 2: IN, 3: 0, 4: OUT}
"""What the kernel says of a packet: to us, to all, to several, to somebody else, from us."""

TWICE_NS = 10**6
"""A packet that is seen again within so long went through two interfaces."""


class Piece(NamedTuple):
    """A datagram of UDP, or a segment of TCP."""

    ns: int
    protocol: int
    source: bytes
    target: bytes
    ports: tuple[int, int]
    """Of the source, and of the target."""
    mark: int
    """Identification of its IPv4 packet; 0: none."""
    sequence: int
    flags: int
    length: int
    """Of the data before it was cut."""
    data: bytes
    way: int
    """1: came in, 2: went out, 0: not told."""

    def same(self, n_bytes: int) -> tuple[object, ...]:
        """Return what is the same wherever this piece is captured, its data as far as all captures have it."""
        return (*self[1:9], self.data[:n_bytes])


@dataclass(slots=True)
class Capture:
    """What the files of one host hold."""

    host: str
    paths: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    """As they came."""
    ignored: Counter[str] = field(default_factory=Counter)
    """What could not be used, in words, and how often."""

    def add(self, path: str | os.PathLike[str]) -> bool:
        """Take in a file; return whether it can have packets twice, as it is of all interfaces of its host."""
        self.paths.append(os.fspath(path))
        n_before, is_of_all = len(self.pieces), False
        ignored: Counter[str] = Counter()
        for packet in packets(path, ignored):
            piece = _piece(packet, ignored)
            if piece is not None:
                self.pieces.append(piece)
                is_of_all |= packet.link in (COOKED, COOKED_2)
                if len(piece.data) < piece.length:
                    ignored["packets of which only the beginning was captured"] += 1
        if len(self.pieces) == n_before:
            why = ", ".join(f"{n:,} {what}" for what, n in ignored.items()) or "no packets"
            raise DataError(f"{os.fspath(path)!r} has no packet of TCP or UDP: {why}")
        self.ignored += ignored
        return is_of_all

    def drop_second_sights(self) -> None:
        """Leave out what was seen on two interfaces, where it can be told from what was sent twice."""
        last_ns: dict[object, int] = {}
        kept = []
        for piece in self.pieces:
            if piece.mark or piece.protocol == TCP:
                key = piece[1:10]
                if piece.ns - last_ns.get(key, -TWICE_NS) < TWICE_NS:
                    self.ignored["packets seen on two interfaces"] += 1
                    continue
                last_ns[key] = piece.ns
            kept.append(piece)
        self.pieces = kept


def read_captures(paths: Sequence[str | os.PathLike[str]], hosts: Sequence[str]) -> list[Capture]:
    """Read the files of some hosts.

    Parameters
    ----------
    paths : sequence of path
    hosts : sequence of str
        Whose each is.

    Raises
    ------
    DataError
        A file cannot be read, or is no capture, or has no packet of TCP or UDP.

    Notes
    -----
    Cost: some 10 us a packet.
    """
    found: dict[str, Capture] = {}
    has_twice: dict[str, bool] = {}
    for path, host in zip(paths, hosts, strict=True):
        is_of_all = found.setdefault(host, Capture(host)).add(path)
        has_twice[host] = is_of_all or host in has_twice
    for host, capture in found.items():
        capture.pieces.sort(key=lambda piece: piece.ns)
        if has_twice[host]:
            capture.drop_second_sights()
    return list(found.values())


def address_text(address: bytes) -> str:
    """Return an address as people write it."""
    return str(IPv4Address(address) if len(address) == 4 else IPv6Address(address))


class _Unused(Exception):
    """A packet is of no use; the text says of what sort it is."""


class _Inner(NamedTuple):
    """What a packet of IP says of what it carries."""

    protocol: int
    source: bytes
    target: bytes
    mark: int
    at: int
    """Where in the packet that begins, and ends."""
    end: int


def _piece(packet: Packet, ignored: Counter[str]) -> Piece | None:
    """Return what a packet carries, or None and why it is of no use."""
    try:
        kind, at, way = _link(packet)
        if kind == TYPE_4:
            return _carried(packet, _ipv4(packet, at), way)
        if kind == TYPE_6:
            return _carried(packet, _ipv6(packet, at), way)
        ignored["packets that are not IP"] += 1
    except _Unused as why:
        ignored[str(why)] += 1
    except (struct.error, IndexError):
        ignored["packets cut off in their headers"] += 1
    return None


def _link(packet: Packet) -> tuple[int, int, int]:
    """Return the type of what the link carries, where that begins, and its way."""
    data, link, way = packet.data, packet.link, packet.way
    if link == ETHERNET:
        kind, at = struct.unpack_from(">H", data, 12)[0], 14
    elif link == COOKED:
        kind, at = struct.unpack_from(">H", data, 14)[0], 16
        way = way or COOKED_WAYS.get(struct.unpack_from(">H", data)[0], 0)
    elif link == COOKED_2:
        kind, at = struct.unpack_from(">H", data)[0], 20
        way = way or COOKED_WAYS.get(data[10], 0)
    elif link in (LOOP_NULL, LOOP):
        family = struct.unpack_from("<I" if link == LOOP_NULL else ">I", data)[0]
        family = family if family < 2**16 else int.from_bytes(data[:4], "big")
        kind, at = TYPE_4 if family == 2 else TYPE_6 if family in (10, 23, 24, 28, 30) else 0, 4
    elif link in (RAW, RAW_BSD, RAW_BSD_2, IPV4, IPV6):
        kind, at = {4: TYPE_4, 6: TYPE_6}.get(data[0] >> 4, 0), 0
    else:
        raise _Unused(f"packets of link type {link}, which is not known here")
    while kind in TAGS:
        kind, at = struct.unpack_from(">H", data, at + 2)[0], at + 4
    return kind, at, way


def _ipv4(packet: Packet, at: int) -> _Inner:
    data = packet.data
    head, _, total, mark, fragment, _, protocol = struct.unpack_from(">BBHHHBB", data, at)
    if fragment & 0x3FFF:
        raise _Unused("fragments of packets")
    n_head = (head & 15) * 4
    if head >> 4 != 4 or n_head < 20:
        raise _Unused("packets whose headers contradict themselves")
    end = at + total if total else packet.length  # 0: the network card was to cut it into several
    return _Inner(protocol, data[at + 12 : at + 16], data[at + 16 : at + 20], mark, at + n_head, end)


def _ipv6(packet: Packet, at: int) -> _Inner:
    data = packet.data
    length, protocol = struct.unpack_from(">HB", data, at + 4)
    source, target = data[at + 8 : at + 24], data[at + 24 : at + 40]
    end = at + 40 + length if length else packet.length
    at += 40
    while protocol in (HOP_BY_HOP, ROUTING, DESTINATION, AUTHENTICATION):
        n = (data[at + 1] + 2) * 4 if protocol == AUTHENTICATION else (data[at + 1] + 1) * 8
        protocol, at = data[at], at + n
    if protocol == FRAGMENT:
        raise _Unused("fragments of packets")
    return _Inner(protocol, source, target, 0, at, end)


def _carried(packet: Packet, inner: _Inner, way: int) -> Piece:
    data = packet.data
    protocol, origin, goal, mark, at, end = inner
    if protocol == UDP:
        source, target, n = struct.unpack_from(">HHH", data, at)
        end = min(end, at + n) if n else end
        begin, sequence, flags = at + 8, 0, 0
    elif protocol == TCP:
        source, target, sequence, _, offset, flags = struct.unpack_from(">HHIIBB", data, at)
        begin = at + (offset >> 4) * 4
        if begin < at + 20:
            raise _Unused("packets whose headers contradict themselves")
    else:
        raise _Unused("packets that are neither TCP nor UDP")
    if end < begin:
        raise _Unused("packets whose headers contradict themselves")
    return Piece(
        *(packet.ns, protocol, origin, goal, (source, target), mark, sequence, flags),
        *(end - begin, data[begin:end], way),
    )
