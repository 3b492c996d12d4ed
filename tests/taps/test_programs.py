"""A program under a tap gives byte for byte what it gives without one, exceptions included."""

from __future__ import annotations

import asyncio
import random
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hydroscope as hs
from hydroscope.ground.record.layout import Kind
from tests.taps.programs import CALLS, LOOPED, PROGRAMS, SECONDS
from tests.taps.rings import ids, messages, recorder

Step = tuple[int, str, int]
"""Which end, what it does, with how many bytes."""

DOES = ("send", "sendall", "sendmsg", "recv", "recv_into", "recvmsg", "recvmsg_into", "peek", "shutdown", "close")

STEPS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(DOES), st.integers(0, 3000)), max_size=40)


def does(sock: socket.socket, what: str, n_bytes: int, chance: random.Random) -> object:
    data = struct.pack(">I", n_bytes) + chance.randbytes(n_bytes)
    buffer = bytearray(n_bytes + 1)
    match what:
        case "send" | "sendall":
            return getattr(sock, what)(memoryview(data) if n_bytes % 2 else data)
        case "sendmsg":
            return sock.sendmsg([data[:3], memoryview(data)[3:]])
        case "recv":
            return sock.recv(n_bytes)
        case "recv_into":
            return sock.recv_into(buffer), bytes(buffer)
        case "recvmsg":
            return sock.recvmsg(n_bytes)
        case "recvmsg_into":
            parts = [memoryview(buffer)[:1], memoryview(buffer)[1:]]
            return sock.recvmsg_into(parts), bytes(buffer)
        case "peek":
            return sock.recv(n_bytes, socket.MSG_PEEK)
        case "shutdown":
            return sock.shutdown(socket.SHUT_WR) if n_bytes % 8 == 0 else None
    return sock.close() if n_bytes % 8 == 0 else sock.fileno() >= 0


def run(steps: list[Step], taps) -> list[object]:
    """Return what each step returned or raised."""
    ends, results, chance = socket.socketpair(), [], random.Random(len(steps))
    for sock in ends:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    for tap, sock in zip(taps, ends, strict=False):
        hs.taps.socket(tap, sock, framer=hs.taps.length_prefixed())
    for end, what, n_bytes in steps:
        try:
            results.append(does(ends[end], what, n_bytes, chance))
        except OSError as error:
            results.append((type(error), error.errno, str(error)))
    for sock in ends:
        sock.close()
    return results


@pytest.fixture(scope="module")
def recs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rings")
    return [recorder(folder, "left"), recorder(folder, "right")]


@given(steps=STEPS)
def test_results_are_the_same_with_and_without_a_tap(steps, recs):
    assert run(steps, recs) == run(steps, [])


def test_what_went_wrong_in_recording_was_nothing(recs):
    """Of the programs above: whatever they did, the recorders lost nothing and recorded something."""
    steps = [(0, "sendall", 100), (1, "recv", 3000), (1, "sendmsg", 10), (0, "recvmsg", 3000)]
    run(steps, recs)
    assert [rec.n_lost for rec in recs] == [0, 0]
    assert all(ids(rec, kind) for rec in recs for kind in (Kind.SENT, Kind.RECEIVED))


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_see_the_same_under_a_tap(here, name):
    without = PROGRAMS[name]()
    with hs.taps.install(here) as tap:
        assert PROGRAMS[name]() == without
        assert tap.n_lost == 0
    assert messages(here)


@pytest.mark.parametrize("name", LOOPED)
def test_programs_of_asyncio_see_the_same_under_either_tap(here, name):
    def run() -> object:
        return asyncio.run(asyncio.wait_for(LOOPED[name](), SECONDS))

    without = run()
    for install in (hs.taps.install, hs.taps.asyncio):
        with install(here) as tap:
            assert run() == without
            assert tap.n_lost == 0
    assert messages(here)


@pytest.mark.parametrize("name", CALLS)
def test_callers_see_the_same_under_a_tap(here, name):
    assert CALLS[name](here) == CALLS[name](None)
    assert messages(here)
    assert not [each for each in messages(here) if each[3].startswith(b"tap:")]
