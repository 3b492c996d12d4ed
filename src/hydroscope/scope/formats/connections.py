"""Connections of TCP, put together from captured segments: two streams, and what opens and ends them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hydroscope.scope.formats.packets import ACK, FIN, PSH, RST, SYN, Piece
from hydroscope.scope.formats.protocols import PROTOCOLS
from hydroscope.scope.formats.streams import Stream

__all__ = ["Connection", "connections"]


@dataclass(slots=True)
class Connection:
    """What was captured of one connection."""

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
            stream.add(sequence, piece.data, piece.ns, piece.length, bool(piece.flags & PSH))

    def is_over(self, piece: Piece) -> bool:
        """Return whether a packet opens another connection between the same ports."""
        base = self.streams[self.way(piece)].base if piece.flags & SYN else None
        return base is not None and base != (piece.sequence + 1) % 2**32

    def called(self) -> int:
        """Return the end that was called: as told, else the one with the port of a protocol, or with the lower."""
        if self.server is None:
            known = [any(port in each.ports for each in PROTOCOLS) for port in self.ports]
            self.server = int(known[1]) if known[0] != known[1] else int(self.ports[1] <= self.ports[0])
        return self.server


def connections(pieces: Sequence[Piece]) -> list[Connection]:
    """Return the connections that segments are of, by their first. Cost: some 8 us a segment."""
    found: list[Connection] = []
    last: dict[object, Connection] = {}
    for piece in pieces:
        key = frozenset({(piece.source, piece.ports[0]), (piece.target, piece.ports[1])})
        connection = last.get(key)
        if connection is None or connection.is_over(piece):
            connection = last[key] = Connection((piece.source, piece.target), piece.ports)
            found.append(connection)
        connection.add(piece)
    return found
