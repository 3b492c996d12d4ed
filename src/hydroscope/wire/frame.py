"""Packets as bytes: a fixed header, a body in MessagePack, and proof that a member of the cluster made it.

A frame is a header (`FIELDS`, integers big-endian), the message as MessagePack with a closed
list of types (never code, never pickle), and a MAC: the first half of HMAC-SHA-256 under the
cluster's secret, of all before it.

Whatever is not exactly this is a `Refusal`, which is counted by its reason; no input makes
`unpack` raise. The cheap questions come first, and the body is not looked into before its MAC
is right: without the secret nobody reaches the decoder. The checksum is looked at only when
the MAC is wrong, to tell damage from forgery. Lengths are compared with what is
there, and with the cap of `ground.limits`, before anything is made room for. No type within a
message is open (bodies of calls are plain bytes here), so nothing can nest deeper than the
types do.

What somebody can do who records frames and sends them again:

- *Any frame to another member, cluster or life, or in another's name:* the header is under the
  MAC, so it cannot be changed; and a member takes only frames of its own cluster, for its own
  life, from lives in its view. After a restart of either end nothing old counts.
- *A CALL again:* its number was executed, so it is dropped, or answered as any duplicate: NACK
  or the same ACK. *An ACK or ACKACK again:* the call is forgotten, or the number is below the
  watermark; nothing changes. These are the duplicates that a network makes by itself, which
  the tables of `rpc.states` and their tests are about.
- *A piece of a large message again:* its transfer is complete, or has the piece; it is
  acknowledged and dropped.
- *A handshake again:* a `Hello` names the life that says it. A life that belongs gets the same
  `Welcome`, one that was given up gets none, so a replay admits nobody. A `Welcome` counts only
  with the nonce of the `Hello` that is open, from the life that it names, once.
- *A heartbeat again:* its stamp is not newer than the newest heard from that life, so it is
  no sign of life. *A view again:* its epoch is not newer than ours.

Frames are not encrypted: who can read the network reads the values.
"""

from __future__ import annotations

import hmac
import struct
from collections import Counter
from hashlib import sha256
from typing import Any
from zlib import crc32

import msgspec

from hydroscope.ground.errors import InternalError, UserError
from hydroscope.ground.limits import FRAME_BYTES, SECRET_BYTES
from hydroscope.wire.messages import (
    Ack,
    AckAck,
    Announce,
    Call,
    Heartbeat,
    Hello,
    Message,
    Nack,
    Packet,
    Piece,
    PieceAck,
    Probe,
    Refuse,
    Shape,
    Welcome,
)

__all__ = [
    "FIELDS",
    "HEADER_BYTES",
    "MAC_BYTES",
    "REASONS",
    "VERSION",
    "Framing",
    "Refusal",
    "decode_message",
    "encode_message",
]

MAGIC = b"hyds"
VERSION = 1
MAC_BYTES = 16

FIELDS = (
    ("beginning", "4s", f"`{MAGIC.decode()}`"),
    ("version", "B", f"of this format: {VERSION}"),
    ("type", "B", "of the message: the tag of its type in `wire/messages.py`"),
    ("cluster", "Q", "drawn anew for each cluster"),
    ("sender", "H", "number of the sender"),
    ("sender life", "Q", "drawn anew by each process"),
    ("receiver", "H", "number of the receiver"),
    ("receiver life", "Q", "0 in a `Hello`, whose sender does not know it yet"),
    ("epoch", "I", "of the sender's view"),
    ("stamp", "Q", "hybrid logical time of the sender"),
    ("length", "I", "bytes of the body"),
    ("checksum", "I", "CRC-32 of all before it and of the body"),
)
"""The header: name, code of `struct`, meaning."""

_HEADER = struct.Struct("!" + "".join(code for _, code, _ in FIELDS[:-1]))
_CRC = struct.Struct("!" + FIELDS[-1][1])
HEADER_BYTES = _HEADER.size + _CRC.size

_BLOCK_BYTES = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))

REASONS = {
    "short": "fewer bytes than a frame without a body has",
    "magic": "does not begin as a frame does",
    "version": "made by another version of the format",
    "length": "the length in the header is not that of the frame",
    "too long": "the length in the header is above the cap",
    "cluster": "of another cluster",
    "checksum": "damaged on the way",
    "mac": "made by somebody who does not know the secret",
    "type": "a type of message that there is not",
    "body": "the message does not have the form of its type",
}
"""Why a frame can be refused."""


class Refusal(msgspec.Struct, frozen=True):
    """A frame that was not taken; `reason` is a key of `REASONS`."""

    reason: str


class _Call(Shape, frozen=True, tag=10):
    """`Call` as it travels: the body is bytes, so that the decoder does not look into it."""

    number: int
    body: bytes


class _Ack(Shape, frozen=True, tag=13):
    """`Ack` as it travels."""

    number: int
    body: bytes


_MESSAGES = (Hello, Welcome, Heartbeat, Announce, Refuse, Call, Probe, Nack, Ack, AckAck, Piece, PieceAck)
_TAGS: dict[type[Message], Any] = {kind: kind.__struct_config__.tag for kind in _MESSAGES}
_TYPES = frozenset(_TAGS.values())
_ENCODER = msgspec.msgpack.Encoder()
_Wire = Hello | Welcome | Heartbeat | Announce | Refuse | _Call | Probe | Nack | _Ack | AckAck | Piece | PieceAck
_DECODER: msgspec.msgpack.Decoder[_Wire] = msgspec.msgpack.Decoder(_Wire)


def encode_message(message: Message) -> bytes:
    """Return a message as bytes; the body of a call or an answer must be bytes already."""
    return _ENCODER.encode(message)


def decode_message(data: bytes | memoryview) -> Message | Refusal:
    """Return the message that these bytes are; not one: a `Refusal`."""
    try:
        message = _DECODER.decode(data)
    except (ValueError, OverflowError, RecursionError):  # msgspec's errors are ValueErrors
        return Refusal("body")
    if isinstance(message, _Call):
        return Call(message.number, message.body)
    if isinstance(message, _Ack):
        return Ack(message.number, message.body)
    return message


class Framing:
    """Makes frames of one cluster, and takes them apart.

    Parameters
    ----------
    cluster : int
        Drawn anew for each cluster, 64 bits.
    secret : bytes
        What its members share and nobody else knows; at least `limits.SECRET_BYTES`.
    """

    __slots__ = ("_inner", "_outer", "cluster", "refused")

    def __init__(self, cluster: int, secret: bytes) -> None:
        if len(secret) < SECRET_BYTES:
            raise UserError(
                f"a cluster secret of {len(secret)} bytes can be guessed; it needs {SECRET_BYTES} or more: "
                f"take secrets.token_bytes({SECRET_BYTES})"
            )
        self.cluster = cluster
        key = (secret if len(secret) <= _BLOCK_BYTES else sha256(secret).digest()).ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(key.translate(_INNER))
        self._outer = sha256(key.translate(_OUTER))
        self.refused: Counter[str] = Counter()
        """Frames that were not taken, by reason."""

    def pack(self, packet: Packet) -> bytes:
        """Return the frame of a packet. Cost: O(bytes), about 3 us for a small one."""
        message = packet.message
        try:
            body = _ENCODER.encode(message)
            header = _HEADER.pack(
                MAGIC,
                VERSION,
                _TAGS[type(message)],
                packet.cluster,
                packet.sender,
                packet.sender_life,
                packet.receiver,
                packet.receiver_life,
                packet.epoch,
                packet.hlc,
                len(body),
            )
        except (struct.error, KeyError, TypeError, ValueError, OverflowError) as error:
            raise InternalError(f"a packet that cannot be framed: {type(message).__name__}: {error}") from error
        if len(body) > FRAME_BYTES:
            raise InternalError(
                f"a message of {len(body)} bytes does not fit a frame, which holds {FRAME_BYTES}; send it in pieces"
            )
        frame = b"".join((header, _CRC.pack(crc32(body, crc32(header))), body))
        return frame + self._mac(frame)

    def unpack(self, data: bytes | bytearray | memoryview) -> Packet | Refusal:
        """Return the packet of a frame, or why it is none. Never raises. Cost: O(bytes)."""
        view = memoryview(data)
        checked = self._checked(view)
        if type(checked) is not str:
            _, _, kind, cluster, sender, sender_life, receiver, receiver_life, epoch, hlc, _ = checked
            message = decode_message(view[HEADER_BYTES:-MAC_BYTES])
            if not isinstance(message, Refusal) and _TAGS[type(message)] == kind:
                return Packet(cluster, sender, sender_life, receiver, receiver_life, epoch, hlc, message)
            checked = "body"
        self.refused[checked] += 1
        return Refusal(checked)

    def size(self, data: bytes | bytearray | memoryview) -> int | Refusal:
        """Return how long the frame is that begins with these `HEADER_BYTES`, before the rest is there."""
        header = self._header(memoryview(data))
        if type(header) is not str:
            return HEADER_BYTES + int(header[-1]) + MAC_BYTES
        self.refused[header] += 1
        return Refusal(header)

    def _checked(self, view: memoryview) -> Any:
        """Return the header of a frame that is as its maker made it, or why it is not."""
        n_bytes = len(view)
        if n_bytes < HEADER_BYTES + MAC_BYTES:
            return "short" if bytes(view[:4]) == MAGIC[:n_bytes] else "magic"
        header = self._header(view)
        if type(header) is str:
            return header
        if n_bytes != HEADER_BYTES + header[-1] + MAC_BYTES:
            return "length"
        if hmac.compare_digest(self._mac(view[:-MAC_BYTES]), view[-MAC_BYTES:]):
            return header
        (checksum,) = _CRC.unpack_from(view, _HEADER.size)
        return "mac" if crc32(view[HEADER_BYTES:-MAC_BYTES], crc32(view[: _HEADER.size])) == checksum else "checksum"

    def _header(self, view: memoryview) -> Any:
        """Return the fields of a header, or why it is none of ours."""
        if len(view) < HEADER_BYTES:
            return "short"
        header = _HEADER.unpack_from(view)
        if header[0] != MAGIC:
            return "magic"
        if header[1] != VERSION:
            return "version"
        if header[3] != self.cluster:
            return "cluster"
        if header[2] not in _TYPES:
            return "type"
        if header[-1] > FRAME_BYTES:
            return "too long"
        return header

    def _mac(self, frame: bytes | memoryview) -> bytes:
        """Return the first half of HMAC-SHA-256 (RFC 2104); `hmac.digest` would hash the key anew each time."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(frame)
        outer.update(inner.digest())
        return outer.digest()[:MAC_BYTES]
