"""The same rubbish at the real ports of a member: connections are closed, datagrams counted, nothing changes."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from hydroscope.engine.sockets.keys import SocketKeys
from hydroscope.engine.sockets.start import serve
from hydroscope.wire.frame import Framing
from hydroscope.wire.messages import Call, Hello, MemberInfo, Packet
from tests.sockets.conductor import until
from tests.wire.fuzz import state_of

CLOSED_WITHIN_S = 20.0


@pytest.fixture
def store() -> Iterator[SocketKeys]:
    """A cluster of one, with something in it."""
    store = serve()
    store.put("k", "mine", wait=True)
    yield store
    store.shutdown()


def state(store: SocketKeys) -> Any:
    store._socket.check()
    return state_of({"front": store._socket.front, "lines": store._socket.member.lines})


def rubbish(store: SocketKeys) -> dict[str, bytes]:
    """Return what somebody without the secret can send."""
    me = store._socket.member.standing.me
    cluster = store.address.cluster
    hello = Packet(cluster, 0xFFFF, 7, 0, 0, 0, 1, Hello(1, MemberInfo(0xFFFF, 7)))
    call = Packet(cluster, 0, me.life, 0, me.life, 1, 1, Call(1, b"?"))
    guessed = Framing(cluster, b"a guessed secret")
    draw = random.Random(1)
    return {
        "random bytes": draw.randbytes(1000),
        "HTTP": b"GET /3/Cloud HTTP/1.1\r\nHost: localhost\r\n\r\n" + b" " * 60,
        "TLS": bytes.fromhex("16030102000100 01fc0303") + draw.randbytes(200),
        "hello with a guessed secret": guessed.pack(hello),
        "call with a guessed secret": guessed.pack(call),
        "hello of another cluster": Framing(cluster ^ 1, store.secret).pack(
            Packet(cluster ^ 1, 0xFFFF, 7, 0, 0, 0, 1, Hello(1, MemberInfo(0xFFFF, 7)))
        ),
        "length 2**31": guessed.pack(hello)[:45] + b"\x80\x00\x00\x00" + guessed.pack(hello)[49:],
        "pickle": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94." * 5,
    }


def test_a_connection_that_does_not_speak_as_members_do_is_closed(store):
    before = state(store)
    refused = store._socket.framing.refused
    for name, data in rubbish(store).items():
        counted = sum(refused.values())
        with socket.create_connection((store.address.host, store._socket.tcp_port), CLOSED_WITHIN_S) as connection:
            connection.sendall(data)
            with contextlib.suppress(ConnectionResetError):  # closed while there was more to read
                assert connection.recv(1) == b"", f"{name} was answered"
        assert sum(refused.values()) == counted + 1, name
    assert state(store) == before
    assert store.get("k") == "mine"


def test_datagrams_that_are_no_frames_are_counted_by_reason(store):
    before = state(store)
    refused = store._socket.framing.refused
    family = socket.AF_INET6 if ":" in store.address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for data in rubbish(store).values():
            sender.sendto(data, (store.address.host, store.address.port))
    until(lambda: sum(refused.values()) == len(rubbish(store)), CLOSED_WITHIN_S)
    assert refused == {"magic": 4, "mac": 2, "cluster": 1, "too long": 1}
    assert state(store) == before
    assert store.get("k") == "mine"


def test_a_member_listens_at_this_machine_only_unless_told_otherwise(store):
    assert store.address.host in ("127.0.0.1", "::1")
    assert store._socket._listener._socket.getsockname()[0] == store.address.host
