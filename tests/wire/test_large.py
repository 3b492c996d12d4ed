"""Long bytes and arrays go beside their value, uncopied, and come back as what they were; all else is refused."""

from __future__ import annotations

from io import BytesIO
from unittest import mock

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.ground.errors import DataError, UserError
from hydroscope.wire import bodies, values
from hydroscope.wire.frame import Refusal
from hydroscope.wire.large import Split, decode_large, encode_large
from hydroscope.wire.messages import Ack, AckAck, Atomic, Backup, Call, Got, Put, Written
from tests.wire.examples import ARRAYS, VALUES, form

N = values.APART_BYTES
LONG = bytes(range(256)) * (N // 256)


def there_and_back(message: Call | Ack) -> Call | Ack:
    """Return the message that arrives."""
    arrived = decode_large(gathered(encode_large(message)))
    assert not isinstance(arrived, Refusal)
    return arrived


def gathered(parts) -> BytesIO:
    data = BytesIO()
    for part in parts:
        data.write(part)
    return data


@given(VALUES, st.lists(st.binary(min_size=3, max_size=9) | ARRAYS, max_size=4))
def test_a_value_with_parts_apart_comes_back_as_it_was(value, long):
    value = {"a": [value, *long], "b": (long[:1], value), "c": long[-1] if long else None}
    with mock.patch.object(values, "APART_BYTES", 3):
        data, apart = values.pack_apart(value)
    assert all(memoryview(part).readonly and len(part) >= 3 for part in apart)
    assert form(values.unpack(data, b"".join(apart))) == form(value)
    assert len(data) + sum(map(len, apart)) <= values._size(value, "value", 0)


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"k": (1, [value])}])
def test_long_bytes_are_neither_copied_when_they_go_nor_when_they_come(wrap):
    data, apart = values.pack_apart(wrap(LONG))
    assert len(data) < 40
    assert apart[0] is LONG
    came = bytes(bytearray(LONG))
    value = values.unpack(data, came)
    assert (value["k"][1][0] if isinstance(value, dict) else value) is came


def test_an_array_that_comes_is_what_came_and_cannot_be_written():
    array = np.arange(N // 4, dtype=np.float64).reshape(-1, 2)
    data, (apart,) = values.pack_apart(array)
    apart = bytes(apart)
    value = values.unpack(data, apart)
    assert np.array_equal(value, array)
    assert np.shares_memory(value, np.frombuffer(apart, np.uint8))
    assert value.flags.aligned
    assert not value.flags.writeable


@pytest.mark.parametrize("value", [bytearray(LONG), memoryview(bytearray(LONG)), np.frombuffer(LONG, np.uint8).copy()])
def test_what_can_change_is_copied_when_it_goes(value):
    _, (apart,) = values.pack_apart(value)
    value[0] = 99
    assert apart == LONG


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array[1:],
        lambda array: array.T,
        lambda array: array[::-1],
        lambda array: array.copy(order="F"),
        lambda array: array.reshape(-1, 4),
        lambda array: array.view(np.uint32),
        lambda array: array.view("<M8[s]"),
    ],
)
def test_an_array_that_came_from_elsewhere_goes_on_as_what_it_is(change):
    data, (apart,) = values.pack_apart(np.arange(N // 4, dtype=np.int64).reshape(-1, 2))
    array = values.unpack(data, bytes(apart))
    other = change(array)
    data, (again,) = values.pack_apart(other)
    back = values.unpack(data, bytes(again))
    assert (back.dtype, back.shape) == (other.dtype, other.shape)
    assert back.tobytes() == other.tobytes()
    is_all = other.nbytes == array.nbytes and other.flags.c_contiguous
    assert np.shares_memory(np.frombuffer(again, np.uint8), array) == is_all


def test_long_parts_of_one_value_do_not_keep_each_other_in_memory():
    data, apart = values.pack_apart([LONG, np.ones(N // 8)])
    came = b"".join(apart)
    first, second = values.unpack(data, came)
    assert first == LONG
    assert not np.shares_memory(second, np.frombuffer(came, np.uint8))


def test_what_is_short_stays_within_its_value():
    data, apart = values.pack_apart([LONG[:-1], np.zeros(3)])
    assert apart == []
    assert values.unpack(data)[0] == LONG[:-1]


def test_a_value_that_is_too_long_with_what_is_apart_is_refused(monkeypatch):
    monkeypatch.setattr(values, "VALUE_BYTES", 2 * N)
    values.pack_apart([LONG, bytes(N // 2)])
    with pytest.raises(UserError, match="are allowed"):
        values.pack_apart([LONG, LONG])


EXT = msgspec.msgpack.Ext
ENCODE = msgspec.msgpack.encode


@pytest.mark.parametrize(
    ("data", "apart"),
    [
        (ENCODE(EXT(6, ENCODE(5))), b"1234"),
        (ENCODE(EXT(6, ENCODE(3))), b"1234"),
        (ENCODE(EXT(6, ENCODE(-1))), b"1234"),
        (ENCODE(EXT(6, ENCODE(2**63))), b"1234"),
        (ENCODE(EXT(6, ENCODE("4"))), b"1234"),
        (ENCODE(EXT(6, b"")), b"1234"),
        (ENCODE([EXT(6, ENCODE(4)), EXT(6, ENCODE(4))]), b"1234"),
        (ENCODE([EXT(6, ENCODE(4)), EXT(6, ENCODE(-4)), EXT(6, ENCODE(4))]), b"1234"),
        (ENCODE(None), b"1234"),
        (ENCODE(EXT(6, ENCODE(4))), b""),
        (ENCODE(EXT(7, ENCODE(("|u1", (4,), 4)))), b""),
        (ENCODE(EXT(7, ENCODE(("|u1", (5,), 4)))), b"1234"),
        (ENCODE(EXT(7, ENCODE(("|O", (1,), 4)))), b"1234"),
        (ENCODE(EXT(7, ENCODE(("<i8", (-1,), 4)))), b"1234"),
        (ENCODE(EXT(9, b"")), b"1234"),
    ],
)
def test_what_does_not_fit_what_is_beside_it_is_refused(data, apart):
    with pytest.raises(DataError):
        values.unpack(data, apart)


@pytest.mark.parametrize(
    "body",
    [
        Put("k", LONG),
        Put("k", {"a": [LONG, (LONG, 1)]}, True),
        Atomic("k", "set", (LONG, 2)),
        Backup("k", LONG, 7),
        Got(LONG, 3, True, 4),
        Written(3, LONG),
    ],
    ids=lambda body: type(body).__name__,
)
def test_bodies_with_long_values_come_back_as_they_were(body):
    kind, decode = (Call, bodies.decode_request) if hasattr(body, "key") else (Ack, bodies.decode_reply)
    data = bodies.encode(body)
    assert isinstance(data, Split)
    assert len(data) == len(data.form) + sum(map(len, data.apart))
    message = there_and_back(kind(7, data))
    assert (type(message), message.number) == (kind, 7)
    assert form(decode(message.body)) == form(body)
    assert decode(data) == body  # before it has travelled, too


def test_a_large_body_without_long_parts_travels_as_it_is():
    data = bodies.encode(Put("k", list(range(10_000))))
    assert type(data) is bytes
    assert there_and_back(Call(3, data)) == Call(3, data)


@pytest.mark.parametrize("body", [bodies.encode(Got(1, 2, True, 3)), bodies.encode(Written(3))])
def test_what_is_beside_a_body_without_room_for_it_is_refused(body):
    with pytest.raises(DataError):
        bodies.decode_reply(Split(body, (b"1234",), len(body) + 4))


def test_what_is_beside_a_body_that_has_no_value_is_refused():
    body = msgspec.msgpack.encode([62])
    assert bodies.decode_reply(body) is not None
    with pytest.raises(DataError, match="4 beside a Done"):
        bodies.decode_reply(Split(body, (b"1234",), len(body) + 4))


def test_the_buffer_that_was_gathered_becomes_the_value():
    message = decode_large(gathered(encode_large(Ack(1, bodies.encode(Got(LONG, 3, True, 4))))))
    assert bodies.decode_reply(message.body).value is message.body.apart[0]


FORM = msgspec.msgpack.encode(Call(1, b"?"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 3,
        b"\x00" * 4,
        b"\xff" * 40,
        FORM + (len(FORM) + 1).to_bytes(4, "big"),
        FORM + (len(FORM) - 1).to_bytes(4, "big"),
        b"1234" + FORM + (len(FORM) + 1).to_bytes(4, "big"),
        msgspec.msgpack.encode(AckAck(1)) + b"\x00\x00\x00\x02",
    ],
)
def test_bytes_that_are_no_large_message_are_refused(data):
    assert isinstance(decode_large(BytesIO(data)), Refusal)


@given(st.binary(max_size=60), st.integers(0, 255))
def test_bytes_from_anywhere_are_a_large_message_or_refused(data, n):
    for tail in (b"", n.to_bytes(4, "big")):
        message = decode_large(gathered([data, tail]))
        assert isinstance(message, Call | Ack | Refusal)
