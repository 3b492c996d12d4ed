"""What members of hydroscope's own clusters say, as `engine.sockets.witness` records it.

A message: a byte that begins nothing else, its type, and as much of its fields in MessagePack as fits. Of a call and
its answer these are the fields of the request or reply, with its own type in front. What a key became: which call did
it, and the version.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final, get_args

from hydroscope.scope.decoding import Decoded, Dialect
from hydroscope.wire.messages import (
    REPLIES,
    REQUESTS,
    AckAck,
    Announce,
    Heartbeat,
    Hello,
    Message,
    Nack,
    PieceAck,
    Probe,
    Welcome,
)

__all__ = ["CALLS", "HYDROSCOPE", "MARK", "UPKEEP", "hydroscope"]

MARK: Final = b"\xc1"
CALLS = {10: "call", 13: "answer"}
"""Types whose body has a type of its own."""
WORDS = {11: "probe", 12: "working", 14: "used"}
"""Types that say no more than that."""
PIECE: Final = 20

_PIECE = struct.Struct("<QIII")
_WRITTEN = struct.Struct("<QQ")
EPOCH_SHIFT: Final = 40

_SCALARS: dict[int, struct.Struct] = {
    0xCA: struct.Struct("!f"),
    0xCB: struct.Struct("!d"),
    0xCC: struct.Struct("!B"),
    0xCD: struct.Struct("!H"),
    0xCE: struct.Struct("!I"),
    0xCF: struct.Struct("!Q"),
    0xD0: struct.Struct("!b"),
    0xD1: struct.Struct("!h"),
    0xD2: struct.Struct("!i"),
    0xD3: struct.Struct("!q"),
}
_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_TEXTS = (0xD9, 0xDA, 0xDB)
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def _tagged(kinds: tuple[Any, ...]) -> dict[int, tuple[str, tuple[str, ...]]]:
    return {kind.__struct_config__.tag: (kind.__name__.lower(), kind.__struct_fields__) for kind in kinds}


MESSAGES: Final = _tagged(get_args(Message))
BODIES: Final = _tagged((*REQUESTS, *REPLIES))
UPKEEP: Final = tuple(_tagged((Hello, Welcome, Announce, Heartbeat, Probe, Nack, AckAck, PieceAck)))
"""Types of which members say more or fewer, sooner or later, whatever they do."""


class Blob(str):
    """What is said instead of bytes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Cut(Exception):
    """There were more bytes."""


def hydroscope(data: bytes) -> Decoded | None:
    r"""Decode the first bytes of a message of a cluster, or of a change of a key.

    Examples
    --------
    >>> hydroscope(b"\xc1\x0a\x92\x28\xa5users").text, hydroscope(b"\xc1\x0e").kind, hydroscope(b"GET /")
    ("call get 'users'", 'used', None)
    """
    if data[:1] != MARK or len(data) < 2:
        return None
    tag, rest = data[1], data[2:]
    if tag in CALLS:
        return _body(CALLS[tag], rest)
    if tag in WORDS:
        return Decoded(WORDS[tag], {}, WORDS[tag])
    if tag == PIECE and len(rest) >= _PIECE.size:
        transfer, index, n_pieces, size_bytes = _PIECE.unpack_from(rest)
        fields: dict[str, object] = {"transfer": transfer, "index": index, "n_pieces": n_pieces, "size": size_bytes}
        return Decoded("piece", fields, f"piece {index + 1} of {n_pieces} of {size_bytes:,} bytes")
    if tag in MESSAGES:
        name, names = MESSAGES[tag]
        return _shown(name, names, rest)
    return _written(data)


def _body(what: str, rest: bytes) -> Decoded:
    tag = rest[1] if len(rest) > 1 else 0
    name, names = BODIES.get(tag, ("", ()))
    return _shown(f"{what} {name}".rstrip(), names, rest[2:])


def _shown(kind: str, names: tuple[str, ...], rest: bytes) -> Decoded:
    """Return the fields that are there in text."""
    values = list(_values(rest))
    fields: dict[str, object] = dict(zip(names, values, strict=False))
    more = ["…"] if len(values) < len(names) else []
    said = [
        repr(value) if name in ("key", "prefix") else f"{name} {value!r}" for name, value in fields.items() if value
    ]
    return Decoded(kind, fields, " ".join([kind, *said, *more]))


def _written(data: bytes) -> Decoded | None:
    """Return what became of a key at its home."""
    sort, rest = data[1:2], data[2:]
    if sort == b"R":
        reason = rest.decode(errors="replace")
        return Decoded("refused frame", {"reason": reason}, f"a frame was not taken: {reason}")
    if sort in (b"P", b"O") and len(rest) >= _WRITTEN.size:
        call, version = _WRITTEN.unpack_from(rest)
        by = f" by call {call:016x}" if call else ""
        text = f"version {version >> EPOCH_SHIFT}.{version & (1 << EPOCH_SHIFT) - 1}{by}"
        return Decoded("key", {"call": call, "version": version}, text)
    if sort in (b"p", b"o") and len(rest) >= 8:
        call, key = int.from_bytes(rest[:8], "little"), rest[8:].decode(errors="replace")
        by = f" by call {call:016x}" if call else ""
        return Decoded("key", {"call": call, "key": key}, f"{key!r}{by}")
    return None


def _values(data: bytes) -> Iterator[object]:
    """Yield the values that begin in `data`; of the last its beginning, if that says something."""
    at = 0
    try:
        while at < len(data):
            value, at = _value(data, at)
            yield value
    except Cut as cut:
        if cut.args:
            yield cut.args[0]


def _value(data: bytes, at: int) -> tuple[object, int]:
    """Return the value of MessagePack that begins there, and where it ends."""
    head = data[at]
    at += 1
    if head < 0x80:
        return head, at
    if head >= 0xE0:
        return head - 256, at
    if head in _CONSTANTS:
        return _CONSTANTS[head], at
    if (scalar := _SCALARS.get(head)) is not None:
        if at + scalar.size > len(data):
            raise Cut
        return scalar.unpack_from(data, at)[0], at + scalar.size
    if 0x90 <= head <= 0x9F:
        values: list[object] = []
        for _ in range(head & 0x0F):
            if at >= len(data):
                raise Cut(tuple(values))
            value, at = _value(data, at)
            values.append(value)
        return tuple(values), at
    is_text = 0xA0 <= head <= 0xBF or head in _TEXTS
    if 0xA0 <= head <= 0xBF:
        n_bytes = head & 0x1F
    elif head in _LENGTHS:
        size = _LENGTHS[head]
        if at + size > len(data):
            raise Cut
        n_bytes = int.from_bytes(data[at : at + size], "big")
        at += size
    else:
        raise Cut
    raw = data[at : at + n_bytes]
    if not is_text:
        shown: object = Blob(f"of {n_bytes:,} bytes")
    else:
        shown = raw.decode(errors="ignore") + ("…" if len(raw) < n_bytes else "")
    if at + n_bytes > len(data):
        raise Cut(shown)
    return shown, at + n_bytes


HYDROSCOPE = Dialect("hydroscope", hydroscope, begins=MARK, n_decisive=4)
