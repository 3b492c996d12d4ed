"""Large messages as bytes: what is apart from the body first, then the message, then the length of the message.

What is apart (`wire.values`) is nearly all of a large message, and goes from the object that
holds it to the socket, and at the other end from the socket to the object that will hold it,
without being copied with what is around it. For that it comes first: the receiver gathers a
message in one growing object, cuts the end off, and what is left *is* the user's bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import msgspec

from hydroscope.wire.frame import Refusal, decode_message, encode_message
from hydroscope.wire.messages import Ack, Call

__all__ = ["Split", "decode_large", "encode_large"]

_LENGTH = struct.Struct("!I")


class Split(msgspec.Struct, frozen=True):
    """The body of a call or an answer in two: its form, and long bytes that its value has apart from it."""

    form: bytes
    apart: tuple[bytes | memoryview, ...]
    size_bytes: int

    def __len__(self) -> int:
        return self.size_bytes


def encode_large(message: Call | Ack) -> Sequence[bytes | memoryview]:
    """Return a message as pieces of bytes that belong one after the other. Cost: that of its form."""
    body: Any = message.body  # `bytes` by its type, which is that of what travels
    apart: tuple[bytes | memoryview, ...] = ()
    if type(body) is Split:
        apart, body = body.apart, body.form
    form = encode_message(type(message)(message.number, body))
    return (*apart, form, _LENGTH.pack(len(form)))


def decode_large(data: BytesIO) -> Call | Ack | Refusal:
    """Return the message that was gathered, whose buffer is used up; not one: a `Refusal`. Cost: that of its form."""
    with data.getbuffer() as view:
        n_apart = len(view) - _LENGTH.size
        if n_apart >= 0:
            n_apart -= _LENGTH.unpack_from(view, n_apart)[0]
        if n_apart < 0:
            return Refusal("length")
        message = decode_message(view[n_apart : -_LENGTH.size])
    if type(message) is not Call and type(message) is not Ack:
        return message if isinstance(message, Refusal) else Refusal("body")
    if not n_apart:
        return message
    data.truncate(n_apart)
    apart = data.getvalue()  # the very buffer, given up by its owner
    body: Any = Split(message.body, (apart,), len(message.body) + n_apart)
    return type(message)(message.number, body)
