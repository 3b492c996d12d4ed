"""Packets with every type of message, drawn by Hypothesis or from a seed."""

from __future__ import annotations

import datetime
import random

from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hydroscope.wire.messages import (
    Ack,
    AckAck,
    Announce,
    Call,
    Heartbeat,
    Hello,
    MemberInfo,
    Message,
    Nack,
    Packet,
    Piece,
    PieceAck,
    Probe,
    Refuse,
    View,
    Welcome,
)

__all__ = ["CLUSTER", "MESSAGES", "PACKETS", "SECRET", "U64", "random_message"]

CLUSTER = 0x1234_5678_9ABC_DEF0
SECRET = bytes(range(32))

U16, U32, U64 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
TEXT = st.text(max_size=20)
BODIES = st.binary(max_size=200)
MEMBERS = st.builds(MemberInfo, U16, U64, TEXT, U16, U16, st.booleans(), U16, U32, U64)
VIEWS = st.builds(View, U32, st.lists(MEMBERS, max_size=3).map(tuple), st.lists(U16, max_size=3).map(tuple))
MESSAGES = st.one_of(
    st.builds(Hello, U64, MEMBERS),
    st.builds(Welcome, U64, U64, U16),
    st.builds(Heartbeat, U32, st.booleans(), U64, U64, st.lists(U16, max_size=3).map(tuple)),
    st.builds(Announce, VIEWS, st.booleans()),
    st.builds(Refuse, TEXT, U32),
    st.builds(Call, U64, BODIES),
    st.builds(Probe, U64),
    st.builds(Nack, U64),
    st.builds(Ack, U64, BODIES),
    st.builds(AckAck, U64),
    st.builds(Piece, U64, U32, U32, U64, U32, BODIES.map(memoryview)),
    st.builds(PieceAck, U64, U32),
)
PACKETS = st.builds(Packet, st.just(CLUSTER), U16, U64, U16, U64, U32, U64, MESSAGES)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.datetimes(timezones=st.just(datetime.UTC)).map(lambda time: time.replace(fold=0))
)
KEYS = st.text(max_size=5) | st.integers(-(2**63), 2**64 - 1)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=20,
)
DTYPES = hnp.integer_dtypes() | hnp.floating_dtypes() | hnp.boolean_dtypes() | hnp.datetime64_dtypes()
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))


def form(value: object) -> str:
    """Return a text that tells types and NaN apart."""
    return f"{type(value).__name__}:{value!r}"


def random_message(draw: random.Random) -> Message:
    """Return a message that a member could send, of any type."""
    info = MemberInfo(draw.randrange(9), draw.getrandbits(64), "127.0.0.1", draw.randrange(2**16), 7)
    view = View(draw.randrange(9), (info,), (info.number,))
    number = draw.choice((0, 1, 2, 3, draw.getrandbits(63)))
    body = draw.randbytes(draw.randrange(60))
    makers = (
        lambda: Hello(draw.getrandbits(64), info),
        lambda: Welcome(draw.getrandbits(64), info.life, info.number),
        lambda: Heartbeat(draw.randrange(9), True, draw.getrandbits(60), draw.getrandbits(60), (1, 2)),
        lambda: Announce(view, draw.random() < 0.5),
        lambda: Refuse("view", 3),
        lambda: Call(number, body),
        lambda: Probe(number),
        lambda: Nack(number),
        lambda: Ack(number, body),
        lambda: AckAck(number),
        lambda: Piece(number, draw.randrange(4), draw.randrange(4), 100, draw.getrandbits(32), memoryview(body)),
        lambda: PieceAck(number, draw.randrange(-1, 4)),
    )
    return draw.choice(makers)()
