"""From packets to what UDP and TCP carry: the layers below are taken off."""

from __future__ import annotations

import struct
from collections import Counter
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from hydroscope.scope.formats.captured import Capture, Packet

__all__ = ["ACK", "FIN", "PSH", "RST", "SYN", "TCP", "UDP", "Piece", "address_text", "pieces"]

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
    data: bytes
    length: int
    """Of the data before it was cut."""
    way: int
    first: bytes
    """Hardware address of who sent the packet, if told."""


def address_text(address: bytes) -> str:
    """Return an address as people write it."""
    return str(IPv4Address(address) if len(address) == 4 else IPv6Address(address))


def pieces(capture: Capture) -> list[Piece]:
    """Return what the packets of a capture carry over TCP and UDP; all else is counted in `capture.ignored`.

    Notes
    -----
    Cost: some 5 us a packet.
    """
    found = []
    ignored = capture.ignored
    seen: dict[object, int] = {}
    for packet in capture.packets:
        piece = _piece(packet, ignored)
        if piece is None:
            continue
        if packet.link in (COOKED, COOKED_2) and piece.mark:
            # A capture of all interfaces has a packet once for each that it went through.
            key = piece[1:9]
            if piece.ns - seen.get(key, -(10**9)) < 10**6:
                ignored["packets seen on two interfaces"] += 1
                continue
            seen[key] = piece.ns
        found.append(piece)
    return found


def _piece(packet: Packet, ignored: Counter[str]) -> Piece | None:
    try:
        kind, at, way, first = _link(packet)
        if kind == TYPE_4:
            return _ipv4(packet, at, way, first, ignored)
        if kind == TYPE_6:
            return _ipv6(packet, at, way, first, ignored)
    except (struct.error, IndexError):
        ignored["packets cut off in their headers"] += 1
        return None
    ignored["packets that are not IP"] += 1
    return None


def _link(packet: Packet) -> tuple[int, int, int, bytes]:
    """Return the type of the packet, where it begins, its way, and who sent it."""
    data, link, way = packet.data, packet.link, packet.way
    first = b""
    if link == ETHERNET:
        kind, at, first = struct.unpack_from(">H", data, 12)[0], 14, data[6:12]
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
        return 0, 0, 0, b""
    while kind in TAGS:
        kind, at = struct.unpack_from(">H", data, at + 2)[0], at + 4
    return kind, at, way, first


def _ipv4(packet: Packet, at: int, way: int, first: bytes, ignored: Counter[str]) -> Piece | None:
    data = packet.data
    head, _, total, mark, fragment, _, protocol = struct.unpack_from(">BBHHHBB", data, at)
    if fragment & 0x3FFF:
        ignored["fragments of packets"] += 1
        return None
    n_head = (head & 15) * 4
    if head >> 4 != 4 or n_head < 20:
        raise IndexError
    end = at + total if total else packet.length  # 0: the network card was to cut it into several
    return _carried(
        packet,
        protocol,
        (data[at + 12 : at + 16], data[at + 16 : at + 20]),
        at + n_head,
        end,
        (mark, way, first),
        ignored,
    )


def _ipv6(packet: Packet, at: int, way: int, first: bytes, ignored: Counter[str]) -> Piece | None:
    data = packet.data
    length, protocol = struct.unpack_from(">HB", data, at + 4)
    ends = data[at + 8 : at + 24], data[at + 24 : at + 40]
    end = at + 40 + length if length else packet.length
    at += 40
    while protocol in (HOP_BY_HOP, ROUTING, DESTINATION, AUTHENTICATION):
        n = (data[at + 1] + 2) * 4 if protocol == AUTHENTICATION else (data[at + 1] + 1) * 8
        protocol, at = data[at], at + n
    if protocol == FRAGMENT:
        ignored["fragments of packets"] += 1
        return None
    return _carried(packet, protocol, ends, at, end, (0, way, first), ignored)


def _carried(
    packet: Packet,
    protocol: int,
    ends: tuple[bytes, bytes],
    at: int,
    end: int,
    about: tuple[int, int, bytes],
    ignored: Counter[str],
) -> Piece | None:
    data = packet.data
    mark, way, first = about
    if protocol == UDP:
        source, target, n = struct.unpack_from(">HHH", data, at)
        end = min(end, at + n) if n else end
        begin, sequence, flags = at + 8, 0, 0
    elif protocol == TCP:
        source, target, sequence, _, offset, flags = struct.unpack_from(">HHIIBB", data, at)
        begin = at + (offset >> 4) * 4
        if begin < at + 20:
            raise IndexError
    else:
        ignored["packets that are neither TCP nor UDP"] += 1
        return None
    if end < begin:
        raise IndexError
    return Piece(
        *(packet.ns, protocol, *ends, (source, target), mark, sequence, flags),
        *(data[begin:end], end - begin, way, first),
    )
