"""A value comes back as what it was, or is refused when it is put; other bytes are refused when they are read."""

from __future__ import annotations

import datetime
import decimal
import enum
import tracemalloc
import uuid
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.ground.errors import DataError, UserError
from hydroscope.wire import bodies, values
from hydroscope.wire.messages import (
    REPLIES,
    REQUESTS,
    Atomic,
    Backup,
    Done,
    Failed,
    Get,
    Got,
    Invalidate,
    Names,
    Notify,
    Put,
    Scan,
    Watch,
    Written,
)
from tests.wire.examples import ARRAYS, VALUES, form


class Job(msgspec.Struct, frozen=True):
    """A type that a user registers."""

    name: str
    tags: set[str]
    key: uuid.UUID


class Stranger(msgspec.Struct):
    """One that nobody registers."""

    name: str


class Open(msgspec.Struct):
    """One whose field says nothing."""

    payload: dict[str, list[Any]]


class Chain(msgspec.Struct):
    """One that refers to itself."""

    next: Chain | None = None


class Colour(enum.Enum):
    RED = "red"


values.register(Job, "tests.Job")
values.register(Chain, "tests.Chain")


@given(VALUES)
def test_a_value_comes_back_as_it_was(value):
    assert form(values.unpack(values.pack(value))) == form(value)


@given(st.lists(st.integers(-(2**70), 2**70) | st.booleans()))
def test_whole_numbers_of_any_size_come_back(value):
    assert form(values.unpack(values.pack(value))) == form(value)


def test_an_array_is_verified_without_being_copied():
    array = np.zeros(2**25)
    tracemalloc.start()
    try:
        values.verify({"a": [array, bytes(10)], "b": (1.5, 2)})
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@given(ARRAYS)
def test_an_array_comes_back_to_the_bit_and_cannot_be_written(array):
    back = values.unpack(values.pack({"a": array}))["a"]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()
    assert not back.flags.writeable


@pytest.mark.parametrize("value", [np.float32(1.5), np.int64(-3), np.bool_(True), np.datetime64("2026-01-02", "s")])
def test_a_number_of_numpy_comes_back_as_its_type(value):
    assert form(values.unpack(values.pack(value))) == form(value)


def test_a_registered_type_comes_back():
    job = Job("j", {"a", "b"}, uuid.UUID(int=7))
    assert values.unpack(values.pack([job, {"x": (job,)}])) == [job, {"x": (job,)}]


def test_a_type_may_refer_to_itself():
    assert values.unpack(values.pack(Chain(Chain()))) == Chain(Chain())


def test_a_type_that_may_hold_anything_is_not_registered():
    with pytest.raises(UserError, match=r"Open\.payload holds.*say what it holds"):
        values.register(Open)


def test_a_value_that_is_not_what_its_type_says_is_refused_when_it_is_put():
    with pytest.raises(UserError, match=r"value\[0\] is not what its type Job says.*Expected `str`"):
        values.pack([Job(5, set(), uuid.UUID(int=1))])


def test_buffers_come_back_as_bytes():
    assert values.unpack(values.pack([bytearray(b"a"), memoryview(b"b")])) == [b"a", b"b"]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({1, 2}, "value is of type set"),
        ([0, {"k": frozenset()}], r"value\[1\]\['k'\] is of type frozenset"),
        (decimal.Decimal(1), "Decimal"),
        (uuid.UUID(int=1), "UUID"),
        (Colour.RED, "Colour"),
        (datetime.datetime(2026, 1, 2), "without a zone"),
        (datetime.date(2026, 1, 2), "type date"),
        ({2**64: 1}, "key 18446744073709551616, which does not fit 64 bits"),
        (["x", "\ud800"], "surrogates"),
        ({"\ud800": 1}, "surrogates"),
        ({(1, 2): 3}, "key of type tuple"),
        (lambda: 1, "function"),
        (object(), "object"),
        (int, "type"),
        (Stranger("x"), r"not registered; call .*register\(Stranger\)"),
        (np.array([object()]), "object"),
        (np.zeros(2, [("a", "i4")]), "i4"),
        (np.ma.masked_array([1, 2]), "MaskedArray"),
        ("\ud800", "surrogates"),
        (1j, "complex"),
    ],
)
def test_what_would_not_come_back_the_same_is_refused_with_its_place(value, says):
    with pytest.raises(UserError, match=says):
        values.pack(value)
    with pytest.raises(UserError, match=says):
        values.verify(value)


@given(VALUES | st.integers() | st.text(st.characters()))
def test_what_is_verified_can_be_packed(value):
    try:
        values.verify(value)
    except UserError:
        with pytest.raises(UserError):
            values.pack(value)
    else:
        assert len(values.pack(value)) <= values._size(value, "value", 0)


def test_a_value_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(values, "VALUE_BYTES", 100)
    for value in (b"x" * 90, "x" * 90, [1] * 9):
        values.verify(value)
        assert len(values.pack(value)) <= 100
    for value in (b"x" * 101, "x" * 101, [b"x" * 50] * 2, np.zeros(20)):
        with pytest.raises(UserError, match="100 are allowed: store it in parts"):
            values.verify(value)


def test_a_value_that_is_too_deep_or_contains_itself_is_refused():
    endless: list = []
    endless.append(endless)
    with pytest.raises(UserError, match="64 levels"):
        values.pack(endless)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x91" * 100_000,
        b"\x91" * 70 + b"\xc0",
        b"\xdd\xff\xff\xff\xff",
        b"\xd4\x63\x00",
        b"\xd4\xff\x00",
        b"\xa2\xff\xfe",
        b"\xc0\xc0",
        msgspec.msgpack.encode(msgspec.msgpack.Ext(1, b"\x01")),
        msgspec.msgpack.encode(msgspec.msgpack.Ext(2, msgspec.msgpack.encode(("os.system", b"\xa2ls")))),
        msgspec.msgpack.encode(msgspec.msgpack.Ext(2, msgspec.msgpack.encode(("tests.Job", b"\x80")))),
        msgspec.msgpack.encode(msgspec.msgpack.Ext(3, msgspec.msgpack.encode(("|O", (1,), b"12345678")))),
        msgspec.msgpack.encode(msgspec.msgpack.Ext(3, msgspec.msgpack.encode(("<i8,O", (1,), b"1" * 16)))),
        msgspec.msgpack.encode(msgspec.msgpack.Ext(3, msgspec.msgpack.encode(("<i8", (2**62, 4), b"")))),
        msgspec.msgpack.encode(msgspec.msgpack.Ext(3, msgspec.msgpack.encode(("<i8", (-1, -1), b"12345678")))),
        msgspec.msgpack.encode(msgspec.msgpack.Ext(3, msgspec.msgpack.encode(("<U0", (10**9,), b"")))),
        msgspec.msgpack.encode(msgspec.msgpack.Ext(3, msgspec.msgpack.encode(("<i8", (1,) * 99, b"12345678")))),
        msgspec.msgpack.encode(msgspec.msgpack.Ext(3, msgspec.msgpack.encode(("?" * 10**5, (1,), b"1")))),
        msgspec.msgpack.encode(msgspec.msgpack.Ext(4, msgspec.msgpack.encode(("<i8", (0,), b"")))),
    ],
)
def test_bytes_that_are_no_value_are_refused(data):
    with pytest.raises(DataError):
        values.unpack(data)


def nested_tuples(depth: int) -> bytes:
    data = b"\xc0"
    for _ in range(depth):
        data = msgspec.msgpack.encode(msgspec.msgpack.Ext(1, b"\x91" + data))
    return data


def test_tuples_within_tuples_end_somewhere():
    with pytest.raises(DataError):
        values.unpack(nested_tuples(2_000))


@given(st.binary(max_size=100))
def test_bytes_from_anywhere_are_a_value_or_refused(data):
    try:
        value = values.unpack(data)
    except DataError:
        return
    assert values.pack(value) is not None or value is not None


def test_a_name_is_registered_once():
    with pytest.raises(UserError, match="a type is registered as"):
        values.register(Stranger, "tests.Job")
    with pytest.raises(UserError, match="complete"):
        values.register(dict)
    values.register(Job, "tests.Job")


BODIES = [
    Get("k"),
    Put("k", {"a": (1, 2)}),
    Put("k", None, True),
    Atomic("k", "add", (1, "x"), True),
    Atomic("k", "add"),
    Invalidate(3, "k"),
    Scan("p"),
    Watch("p", False),
    Notify(("a", "b")),
    Backup("k", [1.5], 7),
    Got((1,), 3, True, 4),
    Written(3),
    Written(3, {"r": None}, True),
    Done(),
    Names(("a",)),
    Failed("lost", "text", ("k",)),
]


@pytest.mark.parametrize("body", BODIES, ids=repr)
def test_requests_and_replies_come_back_as_they_were(body):
    decode = bodies.decode_request if isinstance(body, REQUESTS) else bodies.decode_reply
    other = bodies.decode_reply if isinstance(body, REQUESTS) else bodies.decode_request
    data = bodies.encode(body)
    assert form(decode(data)) == form(body)
    with pytest.raises(DataError):
        other(data)


def test_every_body_has_an_example():
    assert {type(body) for body in BODIES} == {*REQUESTS, *REPLIES}


@pytest.mark.parametrize("data", [b"", b"\x91\x28", b"\x92\x29\xa1k", b"\x91" * 100_000, None, object(), [40, "k"]])
def test_bytes_that_are_no_body_are_refused(data):
    for decode in (bodies.decode_request, bodies.decode_reply):
        with pytest.raises(DataError):
            decode(data)


def test_arguments_that_are_no_tuple_are_refused():
    data = msgspec.msgpack.encode((42, "k", "add", values.pack([1, 2]), False))
    with pytest.raises(DataError, match="not a tuple"):
        bodies.decode_request(data)


@given(st.binary(max_size=60), st.sampled_from(BODIES), st.integers(0, 200), st.integers(1, 255))
def test_changed_bodies_are_a_body_or_refused(noise, body, place, change):
    data = bytearray(bodies.encode(body) + noise[:1])
    data[place % len(data)] ^= change
    for decode in (bodies.decode_request, bodies.decode_reply):
        try:
            taken = decode(bytes(data))
        except DataError:
            continue
        assert isinstance(taken, (*REQUESTS, *REPLIES))
