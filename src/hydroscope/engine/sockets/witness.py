"""What a member says and hears, and how keys change at their home, told to the flight recorder.

Both ends know a message by the same 64 bits: those of a call, its questions and its answers are made from who calls
whom and the number of the call, those of others from who says it to whom and what the message has that is its own. What
is recorded of it begins with `MARK`, which no text and no value in MessagePack begins with, then its type, then the
body (`scope.decoders.hydroscope` reads it).

One record a message; but of a frame that holds several calls and answers with numbers in a row, as those of a stream of
writes do, all are one record, a *bundle* of runs, which readers take apart (`scope.bundles`): a stream of writes would
else be slowed by as much as a tenth.

A member is a *lane* of its process's ring, and that lane's name is what others call the member: by its life, of which
a number says which it was. Used under the member's lock; nothing here may raise because of what a packet holds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from hydroscope.ground.record.layout import DATA_BYTES, hash64
from hydroscope.ground.record.recorder import Recorder
from hydroscope.kv.effects import Ordered
from hydroscope.wire import messages as wire
from hydroscope.wire.frame import encode_message
from hydroscope.wire.messages import NOBODY, Ack, AckAck, Call, Nack, Packet, Piece, PieceAck, Probe, View

__all__ = ["MARK", "REFUSED_MAX", "RUN", "Witness", "calls_between", "member_name"]

MARK = b"\xc1"
KEYS_MAX = 1000
"""Keys that are named in a ring; of more, the first bytes."""

REFUSED_MAX = 100
"""Frames a second that are recorded as refused: who floods a member shall not write over its history."""

SAMPLE_S = 1.0

CALLED, CALLED_UNNAMED, OWN, OWN_UNNAMED = MARK + b"P", MARK + b"p", MARK + b"O", MARK + b"o"
"""What wrote a key: a call of a member, or the home itself; and whether the key is named, or here in its beginning."""

RUN = struct.Struct("<BBBBI")
"""Messages of one type with numbers in a row: type, the first two bytes of their bodies, how many, the first number."""
RUNS_MAX = (DATA_BYTES - 2) // RUN.size
RUN_MAX = 255

_WRITTEN = struct.Struct("<2sQQ")
_BEGUN = struct.Struct("<2sQ")
_PIECE = struct.Struct("<2sQIII")


def _tag(kind: type[msgspec.Struct]) -> int:
    tag = kind.__struct_config__.tag
    assert isinstance(tag, int)
    return tag


OF_CALLS = {kind: _tag(kind) for kind in (Call, Probe, Nack, Ack, AckAck)}
BETWEEN_MEMBERS = frozenset((*OF_CALLS, Piece, PieceAck))
"""What only lives say that have a number and know each other's: names of both ends stay."""

CALLERS = frozenset((Call, Probe, AckAck))
"""Those that a caller sends."""
CALL, PROBE, NACK, ACK, ACKACK, PIECE = [MARK + bytes([_tag(kind)]) for kind in (Call, Probe, Nack, Ack, AckAck, Piece)]
REFUSED, BUNDLE = MARK + b"R", MARK + b"B"


def member_name(number: int, life: int) -> str:
    """Return what a life of a member is called in timelines; before it has a number, it is a joining one.

    Examples
    --------
    >>> member_name(3, 0x4D2_1F2E3A)
    'member-3.1f2e3a'
    """
    which = "joining" if number == NOBODY else f"member-{number}"
    return f"{which}.{life & 0xFFFFFF:06x}"


def calls_between(caller: str, callee: str) -> int:
    """Return what, with the number of a call of one member to another, makes its id (by exclusive or)."""
    return hash64(f"{caller} > {callee}".encode())


class Line:
    """What is the same for all messages between a life of this member and one of a peer's."""

    __slots__ = ("asked", "peer", "received", "resent", "sent", "served")

    def __init__(self, here: Recorder, name: str, peer: str) -> None:
        self.peer = peer
        self.sent, self.resent, self.received = here.sent, here.resent, here.received
        self.asked, self.served = calls_between(name, peer), calls_between(peer, name)


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
        self._put, self._removed = recorder.put, recorder.removed
        self._authority = f"authority.{cluster & 0xFFFFFF:06x}"
        self._lines: dict[int, Line] = {}  # by the peer's life
        self._keys: set[str] = set()
        self._n_refused = 0

    # --- messages ---------------------------------------------------------------------------------------------------

    def said(self, packet: Packet, messages: Sequence[Any], again: Sequence[Any]) -> int:
        """Record what leaves in one frame, and what of it not for the first time; return the stamp it is to carry."""
        line = self._lines.get(packet.receiver_life)
        if line is not None and len(messages) == 1 and not again:  # most are one of these
            message = messages[0]
            kind = type(message)
            if kind is Call:
                return line.sent(line.peer, line.asked ^ message.number, CALL + message.body)
            if kind is Ack:
                return line.sent(line.peer, line.served ^ message.number, ACK + message.body)
            if kind is AckAck:
                return line.sent(line.peer, line.asked ^ message.number, ACKACK)
        return self._said(packet, messages, again)

    def _said(self, packet: Packet, messages: Sequence[Any], again: Sequence[Any]) -> int:
        line = self._lines.get(packet.receiver_life)
        if line is None or type(messages[0]) not in BETWEEN_MEMBERS:
            name = self._name(packet.sender, packet.sender_life)
            line = Line(self._recorder.lane(name), name, self._name(packet.receiver, packet.receiver_life))
            if packet.receiver_life and packet.sender != NOBODY:
                self._lines[packet.receiver_life] = line
        runs = _runs(messages) if len(messages) > 1 else None
        if runs is not None and not again:
            return line.sent(line.peer, line.asked ^ messages[0].number, runs)
        stamp = 0
        for message in messages:
            ident, data = _of(message, line.asked, line.served, runs is not None)
            stamp = (line.resent if message in again else line.sent)(line.peer, ident, data)
        return stamp

    def heard(self, packets: Sequence[Packet], refusals: Mapping[int, str]) -> None:
        """Record the packets that have come in one frame, and why some do not count, by their place."""
        packet = packets[0]
        line = self._lines.get(packet.sender_life)
        if line is not None and len(packets) == 1 and not refusals:  # most are one of these
            message: Any = packet.message
            kind = type(message)
            if kind is Ack:
                line.received(line.peer, line.asked ^ message.number, ACK + message.body, packet.hlc)
                return
            if kind is AckAck:
                line.received(line.peer, line.served ^ message.number, ACKACK, packet.hlc)
                return
            if kind is Call:
                line.received(line.peer, line.served ^ message.number, CALL + message.body, packet.hlc)
                return
        self._heard(packets, refusals)

    def _heard(self, packets: Sequence[Packet], refusals: Mapping[int, str]) -> None:
        first = packets[0]
        line = self._lines.get(first.sender_life)
        kind = type(first.message)
        if line is None or kind not in BETWEEN_MEMBERS or first.receiver_life == 0:
            name = self._name(first.receiver, first.receiver_life)
            line = Line(self._recorder.lane(name), name, self._name(first.sender, first.sender_life))
            if kind in BETWEEN_MEMBERS and not refusals:
                self._lines[first.sender_life] = line
        if refusals:
            self._not_taken(packets, refusals, line)
            return
        messages: list[Any] = [packet.message for packet in packets]
        if len(messages) > 1 and (runs := _runs(messages)) is not None:
            line.received(line.peer, line.served ^ messages[0].number, runs, first.hlc)
        else:
            for message in messages:
                line.received(line.peer, *_of(message, line.served, line.asked), first.hlc)

    def refused(self, reason: str) -> None:
        """Record that a frame was not taken: nobody can say whose it was."""
        self._n_refused += 1
        if self._n_refused <= REFUSED_MAX:
            self._recorder.dropped(None, 0, REFUSED + reason.encode())

    def _not_taken(self, packets: Sequence[Packet], refusals: Mapping[int, str], line: Line) -> None:
        first = packets[0]
        here = self._recorder.lane(self._name(first.receiver, first.receiver_life))
        is_bundle = len(packets) > 1 and _runs([packet.message for packet in packets]) is not None
        for place, packet in enumerate(packets):
            write = here.received
            if place in refusals:
                here.note(f"not taken: {refusals[place]}")
                write = here.dropped
            write(line.peer, *_of(packet.message, line.served, line.asked, is_bundle), packet.hlc)

    # --- keys and members -------------------------------------------------------------------------------------------

    def ordered(self, effect: Ordered, life_of: Callable[[int], int | None]) -> None:
        """Record that a key takes a new value here, its home."""
        key, op, keys = effect.key, effect.op, self._keys
        write = self._put if effect.value is not None else self._removed
        ident, named, unnamed = 0, OWN, OWN_UNNAMED
        if type(op) is tuple and (line := self._lines.get(life_of(op[0]) or 0)) is not None:
            ident, named, unnamed = line.served ^ op[1], CALLED, CALLED_UNNAMED
        if key in keys or len(keys) < KEYS_MAX:
            keys.add(key)
            write(key, _WRITTEN.pack(named, ident, effect.version))
        else:
            write(ident, _BEGUN.pack(unnamed, ident) + key[: DATA_BYTES - _BEGUN.size].encode(errors="replace"))

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


def _of(message: Any, asked: int, served: int, as_bundle: bool = False) -> tuple[int, bytes]:
    """Return id and data of a message, given what makes ids of its sender's calls and of its receiver's.

    `as_bundle`: of one that shares a frame with others that could be one record. What one end knows of it (that it is
    sent again, that it does not count) the other does not, and both are to have the same data.
    """
    kind = type(message)
    tag = OF_CALLS.get(kind)
    if tag is not None:
        base = asked if kind in CALLERS else served
        whole = MARK + bytes([tag]) + getattr(message, "body", b"")
        return base ^ message.number, (as_bundle and _runs([message])) or whole
    if kind is Piece:
        size_bytes = min(message.size_bytes, 2**32 - 1)
        data = _PIECE.pack(PIECE, message.transfer, message.index, message.n_pieces, size_bytes)
    else:
        data = MARK + encode_message(message)[1:]  # without the head of the array: it begins with the type
    return (~asked ^ _own_number(message)) & (2**64 - 1), data


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


def _runs(messages: Sequence[Any]) -> bytes | None:
    """Return the bundle of these messages; None if they are not a few runs of calls and answers."""
    runs: list[tuple[int, int, int, int, int]] = []
    kind, begins, following, first = None, b"", 0, 0
    for message in messages:
        kind_now = type(message)
        if kind_now not in OF_CALLS:
            return None
        number = message.number
        begins_now = message.body[:2] if kind_now is Call or kind_now is Ack else b"\0\0"
        if number == following and kind_now is kind and begins_now == begins:
            following += 1
            continue
        if kind is not None:
            runs.append((OF_CALLS[kind], *begins, following - first, first))
        kind, begins, first, following = kind_now, begins_now, number, number + 1
    assert kind is not None
    runs.append((OF_CALLS[kind], *begins, following - first, first))
    if len(runs) > RUNS_MAX:
        return None
    try:
        return BUNDLE + b"".join([RUN.pack(*run) for run in runs])
    except (struct.error, TypeError):  # more than fits: a number above 2**32, more than 255 in a row, a body too short
        return None
