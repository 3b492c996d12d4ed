"""Packets as bytes: a fixed header, a body in MessagePack, and proof that a member of the cluster made it.

A frame is a header (`FIELDS`, integers big-endian), one message or several as a MessagePack
array with a closed list of types (never code, never pickle), and a MAC: the first half of
HMAC-SHA-256 under the cluster's secret, of all before it. What several packets to one life of
one epoch have in common is so said, proven and carried once; to whoever takes the frame each
of its messages is a packet of its own, stamped like the newest of them. A frame is taken as a
whole or not at all: a lost one is several lost packets, a doubled one several doubled ones.

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
  life, from lives in its view. After a restart of either end nothing old counts. Nor can a
  message be taken out of a frame or put into one; what follows holds for each of them.
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
from typing import Any, get_args
from zlib import crc32

import msgspec

from hydroscope.ground.errors import InternalError, UserError
from hydroscope.ground.limits import FRAME_BYTES, SECRET_BYTES
from hydroscope.wire.messages import Message, Packet, Piece

__all__ = [
    "FIELDS",
    "FRAME_OVERHEAD_BYTES",
    "HEADER_BYTES",
    "MAC_BYTES",
    "MESSAGES_MAX",
    "REASONS",
    "VERSION",
    "Framing",
    "Refusal",
    "decode_message",
    "encode_message",
]

MAGIC = b"hyds"
VERSION = 3
MAC_BYTES = 16

FIELDS = (
    ("beginning", "4s", f"`{MAGIC.decode()}`"),
    ("version", "B", f"of this format: {VERSION}"),
    ("cluster", "Q", "drawn anew for each cluster"),
    ("sender", "H", "number of the sender"),
    ("sender life", "Q", "drawn anew by each process"),
    ("receiver", "H", "number of the receiver"),
    ("receiver life", "Q", "0 in a `Hello`, whose sender does not know it yet"),
    ("epoch", "I", "of the sender's view"),
    ("stamp", "Q", "hybrid logical time of the sender: of the newest packet in the frame"),
    ("length", "I", "bytes of the body"),
    ("checksum", "I", "CRC-32 of all before it and of the body"),
)
"""The header: name, code of `struct`, meaning."""

_HEADER = struct.Struct("!" + "".join(code for _, code, _ in FIELDS[:-1]))
_CRC = struct.Struct("!" + FIELDS[-1][1])

# Heads of MessagePack arrays.
_SHORT_ARRAYS = [bytes((0x90 | n,)) for n in range(16)]
_LONG_ARRAY = struct.Struct("!BH")
HEADER_BYTES = _HEADER.size + _CRC.size

FRAME_OVERHEAD_BYTES = HEADER_BYTES + 3 + MAC_BYTES
"""Bytes of a frame beside its messages, at most."""

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
    "body": "not an array of at least one message, each of a type that there is and of its form",
}
"""Why a frame can be refused."""


class Refusal(msgspec.Struct, frozen=True):
    """A frame that was not taken; `reason` is a key of `REASONS`."""

    reason: str


_KINDS = frozenset(get_args(Message))
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_ALL_DECODER: msgspec.msgpack.Decoder[list[Message]] = msgspec.msgpack.Decoder(list[Message])

_LONG_BYTES = struct.Struct("!BI")
_NO_DATA = memoryview(b"")
_NO_DATA_FORM = _ENCODER.encode(_NO_DATA)
"""The end of a piece without data; the head of its data, and the data, take its place."""

MESSAGES_MAX = 0xFFFF
"""Of one frame: so many a MessagePack array with a short head can hold."""


def encode_message(message: Message) -> bytes:
    """Return a message as bytes; the body of a call or an answer must be bytes already."""
    if type(message) not in _KINDS:
        raise InternalError(f"a {type(message).__name__} is no message and cannot be framed")
    try:
        return _ENCODER.encode(message)
    except (TypeError, ValueError, OverflowError) as error:
        raise InternalError(f"a message that cannot be framed: {type(message).__name__}: {error}") from error


def decode_message(data: bytes | memoryview) -> Message | Refusal:
    """Return the message that these bytes are; not one: a `Refusal`."""
    try:
        return _DECODER.decode(data)
    except (ValueError, OverflowError, RecursionError):  # msgspec's errors are ValueErrors
        return Refusal("body")


def _header_of(packet: Packet, stamp: int, n_bytes: int) -> bytes:
    """Return the header, up to the checksum, of a frame whose body has so many bytes."""
    if n_bytes > FRAME_BYTES:
        raise InternalError(
            f"messages of {n_bytes} bytes do not fit a frame, which holds {FRAME_BYTES}; send them in pieces"
        )
    try:
        return _HEADER.pack(
            MAGIC,
            VERSION,
            packet.cluster,
            packet.sender,
            packet.sender_life,
            packet.receiver,
            packet.receiver_life,
            packet.epoch,
            stamp,
            n_bytes,
        )
    except struct.error as error:
        raise InternalError(f"a packet that cannot be framed: {packet}: {error}") from error


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

    def pack(self, *packets: Packet) -> bytes:
        """Return one frame of packets that differ in nothing but their message and stamp. Cost: as `seal`."""
        head = packets[0]
        for packet in packets[1:]:
            if msgspec.structs.replace(packet, hlc=head.hlc, message=head.message) != head:
                raise InternalError(f"packets of one frame must be of the same lives and epoch: {head}, {packet}")
        stamp = max([packet.hlc for packet in packets])
        return self.seal(head, stamp, [encode_message(packet.message) for packet in packets])

    def seal(self, packet: Packet, stamp: int, messages: list[bytes]) -> bytes:
        """Return the frame of encoded messages, all else as in `packet`. Cost: O(bytes), about 3 us for a small one."""
        n = len(messages)
        if not 1 <= n <= MESSAGES_MAX:
            raise InternalError(f"{n} messages do not make a frame, which has from 1 to {MESSAGES_MAX}")
        body = b"".join((_SHORT_ARRAYS[n] if n < 16 else _LONG_ARRAY.pack(0xDC, n), *messages))
        header = _header_of(packet, stamp, len(body))
        frame = b"".join((header, _CRC.pack(crc32(body, crc32(header))), body))
        return frame + self._mac(frame)

    def seal_piece(self, packet: Packet) -> tuple[bytes, memoryview, bytes]:
        """Return the frame of a piece in three parts, one after the other; its data is among them uncopied.

        Cost: two passes over the data, for CRC and MAC.
        """
        piece = packet.message
        assert type(piece) is Piece
        data = piece.data
        form = encode_message(msgspec.structs.replace(piece, data=_NO_DATA))[: -len(_NO_DATA_FORM)]
        form = b"".join((_SHORT_ARRAYS[1], form, _LONG_BYTES.pack(0xC6, len(data))))
        header = _header_of(packet, packet.hlc, len(form) + len(data))
        head = b"".join((header, _CRC.pack(crc32(data, crc32(form, crc32(header)))), form))
        return head, data, self._mac(head, data)

    def unpack(self, data: bytes | bytearray | memoryview) -> list[Packet] | Refusal:
        """Return the packets of a frame, one or more, or why it is none. Never raises. Cost: O(bytes)."""
        view = memoryview(data)
        checked = self._checked(view)
        if type(checked) is not str:
            _, _, cluster, sender, sender_life, receiver, receiver_life, epoch, hlc, _ = checked
            try:
                messages = _ALL_DECODER.decode(view[HEADER_BYTES:-MAC_BYTES])
            except (ValueError, OverflowError, RecursionError):  # msgspec's errors are ValueErrors
                messages = []
            if messages:
                return [
                    Packet(cluster, sender, sender_life, receiver, receiver_life, epoch, hlc, message)
                    for message in messages
                ]
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
        if header[2] != self.cluster:
            return "cluster"
        if header[-1] > FRAME_BYTES:
            return "too long"
        return header

    def _mac(self, *parts: bytes | memoryview) -> bytes:
        """Return the first half of HMAC-SHA-256 (RFC 2104); `hmac.digest` would hash the key anew each time."""
        inner, outer = self._inner.copy(), self._outer.copy()
        for part in parts:
            inner.update(part)
        outer.update(inner.digest())
        return outer.digest()[:MAC_BYTES]
