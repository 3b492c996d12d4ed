"""What a member says and hears, and how keys change at their home, told to the flight recorder.

One record a message, however many share a datagram. Both ends know a message by the same 64 bits: those of a call,
its questions and its answers are made from the lives of caller and callee and the number of the call, those of others
from the lives of both and what the message has that is its own. What is recorded of it begins with `MARK`, which no
text and no value in MessagePack begins with, then its type, then the body (`scope.decoders.hydroscope` reads it).

A member is a *lane* of its process's ring, and that lane's name is what others call the member: by its life, of which
a number says which it was. Used under the member's lock; nothing here may raise because of what a packet holds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import msgspec

from hydroscope.ground.record.layout import hash64
from hydroscope.ground.record.recorder import Message, Recorder
from hydroscope.kv.effects import Ordered
from hydroscope.wire import messages as wire
from hydroscope.wire.frame import encode_message
from hydroscope.wire.messages import NOBODY, Ack, AckAck, Call, Nack, Packet, Piece, Probe, View

__all__ = ["MARK", "Witness", "member_name"]

MARK = b"\xc1"
KEYS_MAX = 1000
"""Keys that are named in a ring; of more, the first bytes."""

REFUSED_MAX = 100
"""Frames a second that are recorded as refused: who floods a member shall not write over its history."""

SAMPLE_S = 1.0

CALLED, CALLED_UNNAMED, OWN, OWN_UNNAMED = MARK + b"P", MARK + b"p", MARK + b"O", MARK + b"o"
"""What wrote a key: a call of a member, or the home itself; and whether the key is named, or here in its beginning."""
_WRITTEN = struct.Struct("<2sQQ")
_BEGUN = struct.Struct("<2sQ")
_PIECE = struct.Struct("<2sQIII")
_LIVES = struct.Struct("<QQc")


def _head(kind: type[msgspec.Struct]) -> bytes:
    tag = kind.__struct_config__.tag
    assert isinstance(tag, int)
    return MARK + bytes([tag])


CALL, PROBE, NACK, ACK, ACKACK, PIECE = [_head(kind) for kind in (Call, Probe, Nack, Ack, AckAck, Piece)]
REFUSED = MARK + b"R"


def member_name(number: int, life: int) -> str:
    """Return what a life of a member is called in timelines; before it has a number, it is a joining one.

    Examples
    --------
    >>> member_name(3, 0x4D2_1F2E3A)
    'member-3.1f2e3a'
    """
    which = "joining" if number == NOBODY else f"member-{number}"
    return f"{which}.{life & 0xFFFFFF:06x}"


class Line:
    """What is the same for all messages between a life of this member and one of a peer's."""

    __slots__ = ("asked", "peer", "received", "resent", "sent", "served")

    def __init__(self, here: Recorder, peer: str, me_life: int, life: int) -> None:
        self.peer = peer
        self.sent, self.resent, self.received = here.sent, here.resent, here.received
        self.asked, self.served = _between(me_life, life, b"c"), _between(life, me_life, b"c")


class Witness:
    """Tells the recorder what one member does.

    Parameters
    ----------
    recorder : Recorder
    cluster : int
        Of the member: what its authority is called by those who do not know its life yet.
    """

    def __init__(self, recorder: Recorder, cluster: int) -> None:
        self.due = 0.0
        """When `sample` is wanted next."""
        self._recorder = recorder
        self._authority = f"authority.{cluster & 0xFFFFFF:06x}"
        self._lines: dict[int, Line] = {}  # by the peer's life
        self._keys: set[str] = set()
        self._n_refused = 0

    # --- messages ---------------------------------------------------------------------------------------------------

    def sent(self, packet: Packet, again: bool) -> int:
        """Record that a packet is put on the way; return the stamp that it is to carry, at least."""
        message: Any = packet.message
        kind = type(message)
        if kind not in _OF_CALLS:
            peer = self._name(packet.receiver, packet.receiver_life)
            here = self._lane(packet.sender, packet.sender_life)
            return here.sent(peer, _other_id(packet), _other_data(message))
        line = self._lines.get(packet.receiver_life)
        if line is None:
            line = self._line(packet.sender, packet.sender_life, packet.receiver, packet.receiver_life)
        if kind is Call:
            write = line.resent if again else line.sent
            return write(line.peer, line.asked ^ message.number, CALL + message.body)
        if kind is Ack:
            write = line.resent if again else line.sent
            return write(line.peer, line.served ^ message.number, ACK + message.body)
        if kind is AckAck:
            return line.sent(line.peer, line.asked ^ message.number, ACKACK)
        if kind is Nack:
            return line.sent(line.peer, line.served ^ message.number, NACK)
        return line.sent(line.peer, line.asked ^ message.number, PROBE)

    def received(self, packet: Packet, refused: str | None) -> None:
        """Record that a packet has come, and why it does not count, if it does not."""
        message: Any = packet.message
        kind = type(message)
        if refused is not None or kind not in _OF_CALLS:
            self._received_other(packet, refused)
            return
        line = self._lines.get(packet.sender_life)
        if line is None:
            line = self._line(packet.receiver, packet.receiver_life, packet.sender, packet.sender_life)
        if kind is Call:
            line.received(line.peer, line.served ^ message.number, CALL + message.body, packet.hlc)
        elif kind is Ack:
            line.received(line.peer, line.asked ^ message.number, ACK + message.body, packet.hlc)
        elif kind is AckAck:
            line.received(line.peer, line.served ^ message.number, ACKACK, packet.hlc)
        elif kind is Nack:
            line.received(line.peer, line.asked ^ message.number, NACK, packet.hlc)
        else:
            line.received(line.peer, line.served ^ message.number, PROBE, packet.hlc)

    def refused(self, reason: str) -> None:
        """Record that a frame was not taken: nobody can say whose it was."""
        self._n_refused += 1
        if self._n_refused <= REFUSED_MAX:
            self._recorder.dropped(None, 0, REFUSED + reason.encode())

    def _received_other(self, packet: Packet, refused: str | None) -> None:
        message: Any = packet.message
        here, peer = self._lane(packet.receiver, packet.receiver_life), self._name(packet.sender, packet.sender_life)
        write: Message = here.received
        if refused is not None:
            here.note(f"not taken: {refused}")
            write = here.dropped
        kind = type(message)
        if kind not in _OF_CALLS:
            write(peer, _other_id(packet), _other_data(message), packet.hlc)
            return
        to_us, from_us = packet.sender_life, packet.receiver_life
        ends = (to_us, from_us) if kind in _OF_CALLERS else (from_us, to_us)
        head = _head(kind)
        write(peer, _between(*ends, b"c") ^ message.number, head + getattr(message, "body", b""), packet.hlc)

    # --- keys and members -------------------------------------------------------------------------------------------

    def ordered(self, effect: Ordered, life_of: Callable[[int], int | None]) -> None:
        """Record that a key takes a new value here, its home."""
        key, op = effect.key, effect.op
        ident, named, unnamed = 0, OWN, OWN_UNNAMED
        if type(op) is tuple and (line := self._lines.get(life_of(op[0]) or 0)) is not None:
            ident, named, unnamed = line.served ^ op[1], CALLED, CALLED_UNNAMED
        write = self._recorder.removed if effect.value is None else self._recorder.put
        keys = self._keys
        if key in keys or len(keys) < KEYS_MAX:
            keys.add(key)
            write(key, _WRITTEN.pack(named, ident, effect.version))
        else:
            write(ident, _BEGUN.pack(unnamed, ident) + key[:17].encode(errors="replace"))

    def entered(self, view: View) -> None:
        """Forget the lives that do not belong any more."""
        lives = {info.life for info in view.members}
        for life in [life for life in self._lines if life not in lives]:
            del self._lines[life]

    def sample(self, now: float, in_flight_bytes: int) -> None:
        """Record what this process takes up, and how much the member has on the way."""
        self.due = now + SAMPLE_S
        self._n_refused = 0
        self._recorder.sample(in_flight_bytes)

    # --- names ------------------------------------------------------------------------------------------------------

    def _name(self, number: int, life: int) -> str:
        return member_name(number, life) if life else self._authority

    def _lane(self, number: int, life: int) -> Recorder:
        return self._recorder.lane(self._name(number, life))

    def _line(self, me: int, me_life: int, peer: int, life: int) -> Line:
        line = Line(self._lane(me, me_life), self._name(peer, life), me_life, life)
        self._lines[life] = line
        return line


_OF_CALLS = frozenset((Call, Probe, Nack, Ack, AckAck))
_OF_CALLERS = frozenset((Call, Probe, AckAck))


def _between(first: int, second: int, what: bytes) -> int:
    """Return 64 bits that stand for two lives."""
    return hash64(_LIVES.pack(first, second, what))


def _other_id(packet: Packet) -> int:
    message: Any = packet.message
    return _between(packet.sender_life, packet.receiver_life, b"m") ^ (_own_number(message) & (2**64 - 1))


def _own_number(message: Any) -> int:
    """Return what a message has that no other of its type from the same life to the same has."""
    match message:
        case wire.Hello(nonce=nonce) | wire.Welcome(nonce=nonce):
            return int(nonce)
        case wire.Heartbeat(stamp=stamp):
            return int(stamp)
        case wire.Announce(view=view, is_open=is_open):
            return int(view.epoch << 1 | is_open)
        case wire.Refuse(epoch=epoch):
            return int(epoch)
        case wire.Piece(transfer=transfer, index=place) | wire.PieceAck(transfer=transfer, n_received=place):
            return int(transfer << 32 | (place & 0xFFFFFFFF))
    return 0


def _other_data(message: Any) -> bytes:
    if type(message) is Piece:
        return _PIECE.pack(PIECE, message.transfer, message.index, message.n_pieces, message.size_bytes & 0xFFFFFFFF)
    return MARK + encode_message(message)[1:]
