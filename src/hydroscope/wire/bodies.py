"""Requests and replies as bytes, encoded once: what a link sends again is the same bytes.

A user's value within is packed by `wire.values` and travels as plain bytes, so that reading a
request's form does not yet read its value. The types that travel are made from those of
`wire.messages`, with bytes in place of what is open.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import msgspec

from hydroscope.ground.errors import DataError
from hydroscope.wire import values
from hydroscope.wire.large import Split
from hydroscope.wire.messages import REPLIES, REQUESTS, Atomic, Backup, Got, Put, Reply, Request, Written

__all__ = ["decode_reply", "decode_request", "encode"]

OPEN: dict[type[msgspec.Struct], str] = {
    Put: "value",
    Atomic: "arguments",
    Backup: "value",
    Got: "value",
    Written: "result",
}
"""The one field of each type that holds a user's value."""


def _twin(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return the type as it travels."""
    config = kind.__struct_config__
    fields = [
        (field.name, bytes)
        if field.name == OPEN[kind]
        else (field.name, field.type)
        if field.required
        else (field.name, field.type, field.default)
        for field in msgspec.structs.fields(kind)
    ]
    return msgspec.defstruct(
        kind.__name__,
        _defaults_last(fields),
        tag=config.tag,
        array_like=True,
        forbid_unknown_fields=True,
        frozen=True,
    )


def _defaults_last(fields: list[Any]) -> list[Any]:
    """Return the fields such that none without a default follows one with (its twin always carries all)."""
    first_open = max((index for index, field in enumerate(fields) if len(field) == 2), default=-1)
    return [field[:2] if index <= first_open else field for index, field in enumerate(fields)]


_TWINS = {kind: _twin(kind) for kind in OPEN}
_PLACES = {kind: kind.__struct_fields__.index(field) for kind, field in OPEN.items()}
_ORIGINALS = {twin: (kind, _PLACES[kind]) for kind, twin in _TWINS.items()}
_HEADS = {kind: (kind.__struct_config__.tag, place + 1) for kind, place in _PLACES.items()}
"""What the array begins with that a twin travels as, and where its open field is in it."""
_ENCODER = msgspec.msgpack.Encoder()
_REQUEST = msgspec.msgpack.Decoder(reduce(or_, [_TWINS.get(kind, kind) for kind in REQUESTS]))
_REPLY = msgspec.msgpack.Decoder(reduce(or_, [_TWINS.get(kind, kind) for kind in REPLIES]))


def encode(body: Request | Reply) -> bytes | Split:
    """Return a request or reply as bytes, split where its value has long parts.

    A value that cannot be stored: `UserError`. Cost: O(size), but for long bytes, which are not copied.
    """
    head = _HEADS.get(type(body))
    if head is None:
        return _ENCODER.encode(body)
    tag, place = head
    fields = [tag, *msgspec.structs.astuple(body)]
    fields[place], apart = values.pack_apart(fields[place])
    form = _ENCODER.encode(fields)
    return Split(form, tuple(apart), len(form) + sum(map(len, apart))) if apart else form


def decode_request(data: bytes | Split) -> Request:
    """Return the request that `encode` made these bytes of; others: `DataError`."""
    request: Request = _decoded(_REQUEST, data, "request")
    if type(request) is Atomic and not isinstance(request.arguments, tuple):
        raise DataError("bytes that are not a request: the arguments of an atomic are not a tuple")
    return request


def decode_reply(data: bytes | Split) -> Reply:
    """Return the reply that `encode` made these bytes of; others: `DataError`."""
    reply: Reply = _decoded(_REPLY, data, "reply")
    return reply


def _decoded(decoder: msgspec.msgpack.Decoder[Any], data: bytes | Split, what: str) -> Any:
    apart = b""
    if type(data) is Split:
        apart = b"".join(data.apart)  # of one, as it comes in: that very object
        data = data.form
    if type(data) is not bytes and not isinstance(data, bytearray | memoryview):
        raise DataError(f"a body that is {type(data).__name__} rather than bytes is not a {what}")
    try:
        body = decoder.decode(data)
    except (ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"bytes that are not a {what}: {error}") from error
    original = _ORIGINALS.get(type(body))
    if original is None:
        if apart:
            raise DataError(f"bytes that are not a {what}: {len(apart)} beside a {type(body).__name__}, which has none")
        return body
    kind, place = original
    fields = list(msgspec.structs.astuple(body))
    fields[place] = values.unpack(fields[place], apart)
    return kind(*fields)
