"""What goes out as datagrams: packets to one peer are gathered and sent as few frames.

A frame costs the same header, MAC and two calls of the kernel whether it holds one message or
twenty. So all packets of one *turn* of a member (one thing that happened, and what follows
from it) are collected, and leave together at its end. Beyond a turn only what nobody waits for
may stay, as Nagle's rule has it (RFC 896): while something is on the way to the peer, whose
answer will bring the next turn, and not for longer than `HOLD_S`. What is held and then lost,
because the process dies, was lost before it was sent, as a datagram may be.

Used under the member's lock.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from hydroscope.ground.errors import InternalError
from hydroscope.wire.frame import FRAME_OVERHEAD_BYTES, Framing, encode_message
from hydroscope.wire.messages import Message, Packet

__all__ = ["DATAGRAM_BYTES", "DATAGRAM_MAX_BYTES", "HOLD_S", "Outbox", "Told"]

DATAGRAM_BYTES = 1_400
"""What is gathered stays within one frame of Ethernet, whatever carries it; a longer message goes alone."""

DATAGRAM_MAX_BYTES = 60_000
"""Bytes; a datagram of IPv4 holds 65,507. What is longer goes over the stream, whatever it is."""

HOLD_S = 0.5e-3
"""Seconds that a packet may stay: a few times what an answer takes, and less than anybody would notice."""

ROOM_BYTES = DATAGRAM_BYTES - FRAME_OVERHEAD_BYTES


Told = Callable[[Packet, list[Message], list[Message]], int]
"""`told(packet, messages, again)` records what leaves, and which of it once more, and returns the stamp it is to carry
at least: what is stamped later than its record is in order, whatever the clocks say."""


class Bundle:
    """Messages to one life of a peer, all said by the same life of ours in the same epoch."""

    __slots__ = ("again", "messages", "packet", "peer", "said", "size_bytes", "stamp", "until")

    def __init__(self, peer: int, packet: Packet, message: bytes) -> None:
        self.peer = peer
        self.packet = packet
        self.stamp = packet.hlc
        self.messages = [message]
        self.said: list[Message] = [packet.message]
        self.again: list[Message] = []
        self.size_bytes = len(message)
        self.until = math.inf


class Outbox:
    """Gathers packets by peer; `send(peer, life, frame)` puts a frame on the way."""

    def __init__(
        self,
        framing: Framing,
        send: Callable[[int, int, bytes], None],
        counters: Counter[str],
        told: Told | None = None,
    ) -> None:
        self.deadline = math.inf
        """When what is held must go."""
        self._seal = framing.seal
        self._send = send
        self._counters = counters
        self._told = told
        self._bundles: dict[int, Bundle] = {}  # by the receiver's life

    def add(self, peer: int, packet: Packet, again: bool = False) -> None:
        """Take a packet; it leaves with the next `flush`, or at once if its frame is full."""
        message = encode_message(packet.message)
        life = packet.receiver_life
        bundle = self._bundles.get(life)
        if bundle is not None:
            bundle.size_bytes += len(message)
            first = bundle.packet
            if bundle.size_bytes <= ROOM_BYTES and first.epoch == packet.epoch and first.sender == packet.sender:
                bundle.messages.append(message)
                bundle.said.append(packet.message)
                bundle.stamp = packet.hlc  # stamps only grow
                if again:
                    bundle.again.append(packet.message)
                return
            self._dispatch(bundle)
        self._bundles[life] = bundle = Bundle(peer, packet, message)
        if again:
            bundle.again.append(packet.message)

    def flush(self) -> None:
        """Send all."""
        self.deadline = math.inf
        bundles, self._bundles = self._bundles, {}
        for bundle in bundles.values():
            self._dispatch(bundle)

    def rest(self, now: float, is_awaited: Callable[[int, int], bool]) -> None:
        """Let the messages to a peer stay for a while if something more than those `n` is unanswered; send others."""
        self.deadline = math.inf
        for life, bundle in list(self._bundles.items()):
            if bundle.until is math.inf:
                bundle.until = now + HOLD_S
            if is_awaited(bundle.peer, len(bundle.messages)) and now < bundle.until:
                self.deadline = min(self.deadline, bundle.until)
            else:
                del self._bundles[life]
                self._dispatch(bundle)

    def _dispatch(self, bundle: Bundle) -> None:
        stamp = bundle.stamp
        if self._told is not None:
            stamp = max(stamp, self._told(bundle.packet, bundle.said, bundle.again))
        frame = self._seal(bundle.packet, stamp, bundle.messages)
        if len(frame) > DATAGRAM_MAX_BYTES:
            kind = type(bundle.packet.message).__name__
            raise InternalError(f"a {kind} of {len(frame)} bytes does not fit a datagram")
        self._counters["datagrams sent"] += 1
        self._counters["messages sent"] += len(bundle.messages)
        self._send(bundle.peer, bundle.packet.receiver_life, frame)
