"""What a member wants done by whoever owns it, in this order: packets, streams, and what came of operations."""

from __future__ import annotations

import msgspec

from hydroscope.kv.effects import Adopted, Changed, Finish, Ordered
from hydroscope.wire.messages import Packet, View

__all__ = ["Action", "Connect", "Entered", "Excluded", "Transmit"]


class Transmit(msgspec.Struct, frozen=True):
    """Put a packet on the way: as a datagram, or (stream > 0) over the stream of this number to the peer."""

    peer: int
    packet: Packet
    stream: int = 0
    again: bool = False
    """Whether this very call or answer was sent before."""


class Connect(msgspec.Struct, frozen=True):
    """Open a fresh stream to the peer and close any earlier one; then say `connected` or `broken`."""

    peer: int
    stream: int


class Entered(msgspec.Struct, frozen=True):
    """A view holds from here on (addresses of its members are in it), or has opened."""

    view: View
    is_open: bool


class Excluded(msgspec.Struct, frozen=True):
    """This member does not belong (any more): all its operations have ended as lost."""

    reason: str


Action = Transmit | Connect | Entered | Excluded | Finish | Changed | Ordered | Adopted
