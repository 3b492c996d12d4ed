"""Files of captured packets: classic pcap, in microseconds or nanoseconds, and pcapng."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hydroscope.ground.errors import DataError

__all__ = ["Packet", "packets"]

MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""Order of bytes, and nanoseconds of a unit."""
SECTION = b"\x0a\x0d\x0d\x0a"
ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
INTERFACE, OLD_PACKET, SIMPLE, STATISTICS, PACKET = 1, 2, 3, 5, 6
RESOLUTION, OFFSET, FLAGS, DROPPED = 9, 14, 2, 5
FAR_NS = 2**62


class Packet(NamedTuple):
    """One packet, as bytes of the file."""

    ns: int
    link: int
    """How its first bytes are to be read: a LINKTYPE."""
    data: bytes
    length: int
    """On the wire; of a packet that was cut more than there is data."""
    way: int
    """1: came in, 2: went out, 0: not told."""


def packets(path: str | os.PathLike[str], ignored: Counter[str]) -> Iterator[Packet]:
    """Yield the packets of a file, as far as it is whole.

    Parameters
    ----------
    path : path
    ignored : Counter
        Counts what cannot be used, in words.

    Raises
    ------
    DataError
        The file cannot be read, or is neither pcap nor pcapng.

    Notes
    -----
    Cost: about 2 us a packet, and the size of the file in memory.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise DataError(f"{name!r} cannot be read: {error.strerror or error}") from error
    if data[:4] in MAGICS:
        found = _classic(data, ignored)
    elif data[:4] == SECTION:
        found = _blocks(data, ignored)
    else:
        raise DataError(f"{name!r} begins with {data[:4]!r}: it is neither pcap nor pcapng")
    for packet in found:
        if abs(packet.ns) < FAR_NS:
            yield packet
        else:
            ignored["packets of no possible time"] += 1


def _damaged(ignored: Counter[str], at: int, n_bytes: int) -> None:
    ignored[f"end that is cut off or damaged, from byte {at:,} of {n_bytes:,} on"] += 1


def _classic(data: bytes, ignored: Counter[str]) -> Iterator[Packet]:
    order, unit_ns = MAGICS[data[:4]]
    if len(data) < 24:
        _damaged(ignored, 4, len(data))
        return
    link = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF
    unpack = struct.Struct(order + "IIII").unpack_from
    at = 24
    while at + 16 <= len(data):
        seconds, part, n, length = unpack(data, at)
        if n > len(data) - at - 16:
            break
        yield Packet(seconds * 10**9 + part * unit_ns, link, data[at + 16 : at + 16 + n], max(length, n), 0)
        at += 16 + n
    if at < len(data):
        _damaged(ignored, at, len(data))


@dataclass(slots=True)
class _Interface:
    link: int
    ticks: int = 10**6
    """Of a second."""
    offset_ns: int = 0
    n_lost: int = 0
    """Packets that it was too busy for, by its last word."""


def _blocks(data: bytes, ignored: Counter[str]) -> Iterator[Packet]:
    order, at = "<", 0
    interfaces: list[_Interface] = []
    every: list[_Interface] = []
    while at + 12 <= len(data):
        if data[at : at + 4] == SECTION:
            if data[at + 8 : at + 12] not in ORDERS:
                break
            order = ORDERS[data[at + 8 : at + 12]]
            interfaces = []
        kind, n = struct.unpack_from(order + "II", data, at)
        if n < 12 or n % 4 or n > len(data) - at or data[at + 4 : at + 8] != data[at + n - 4 : at + n]:
            break
        body = data[at + 8 : at + n - 4]
        if kind in (PACKET, OLD_PACKET):
            packet = _packet(kind, body, order, interfaces)
            if packet is None:
                ignored["blocks that contradict themselves"] += 1
            else:
                yield packet
        elif kind == INTERFACE and len(body) >= 8:
            interfaces.append(_interface(body, order))
            every.append(interfaces[-1])
        elif kind == SIMPLE:
            ignored["packets without a time"] += 1
        elif kind == STATISTICS and len(body) >= 12:
            _count_lost(body, order, interfaces)
        at += n
    if at < len(data):
        _damaged(ignored, at, len(data))
    if n_lost := sum(each.n_lost for each in every):
        ignored["packets that the capture itself lost"] += n_lost


def _options(body: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(body):
        code, n = struct.unpack_from(order + "HH", body, at)
        if code == 0 or at + 4 + n > len(body):
            return
        yield code, body[at + 4 : at + 4 + n]
        at += 4 + n + -n % 4


def _interface(body: bytes, order: str) -> _Interface:
    found = _Interface(struct.unpack_from(order + "H", body)[0])
    for code, value in _options(body[8:], order):
        if code == RESOLUTION and len(value) == 1:
            found.ticks = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        elif code == OFFSET and len(value) == 8:
            found.offset_ns = struct.unpack(order + "q", value)[0] * 10**9
    return found


def _count_lost(body: bytes, order: str, interfaces: list[_Interface]) -> None:
    """Take in statistics of an interface: they count from its beginning, so that each replaces those before."""
    number = struct.unpack_from(order + "I", body)[0]
    for code, value in _options(body[12:], order):
        if code == DROPPED and len(value) == 8 and number < len(interfaces):
            interfaces[number].n_lost = struct.unpack(order + "Q", value)[0]


def _packet(kind: int, body: bytes, order: str, interfaces: list[_Interface]) -> Packet | None:
    if len(body) < 20:
        return None
    if kind == PACKET:
        number, high, low, n, length = struct.unpack_from(order + "IIIII", body)
    else:
        number, _, high, low, n, length = struct.unpack_from(order + "HHIIII", body)
    if number >= len(interfaces) or n > len(body) - 20:
        return None
    way = 0
    for code, value in _options(body[20 + n + -n % 4 :], order):
        if code == FLAGS and len(value) == 4:
            way = struct.unpack(order + "I", value)[0] & 3
    interface = interfaces[number]
    ns = (high << 32 | low) * 10**9 // interface.ticks + interface.offset_ns
    return Packet(ns, interface.link, body[20 : 20 + n], max(length, n), way if way < 3 else 0)
