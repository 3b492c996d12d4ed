"""Starting and joining: what is refused, what strangers can do, and how waiting ends."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from hydroscope.engine.sockets import SocketKeys, connect, serve
from hydroscope.engine.sockets.address import Address, parse_address, require_exposure
from hydroscope.engine.sockets.waiting import Waiter
from hydroscope.ground.errors import InternalError, UserError
from hydroscope.kv.homes import home_of
from hydroscope.node import ports
from hydroscope.node.locks import lock
from hydroscope.node.ports import EngineError, NodeLost
from tests.sockets.conductor import until

WITHIN_S = 30.0


@pytest.fixture
def alone() -> Iterator[SocketKeys]:
    keys = serve()
    yield keys
    keys.shutdown()


@pytest.fixture
def two() -> Iterator[tuple[SocketKeys, SocketKeys]]:
    first = serve(members=2)
    second = connect(first.address, first.secret)
    yield first, second
    second.shutdown()
    first.shutdown()


@pytest.mark.parametrize("address", [Address("127.0.0.1", 4711, 0x5D0C), Address("fe80::1", 1, 2**63 - 1)])
def test_addresses_read_as_they_print(address):
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:0/1", "h:70000/1", "::1:80/1", "a b:1/1", 7]
)
def test_other_addresses_are_refused(text):
    with pytest.raises(UserError, match="must look like"):
        parse_address(text)


@pytest.mark.parametrize(
    ("host", "secret", "why"),
    [
        ("10.0.0.1", None, "reached from other machines"),
        ("fd00::1", None, "reached from other machines"),
        ("10.0.0.1", b"short", "at least 16 bytes"),
        ("127.0.0.1", b"short", "at least 16 bytes"),
        ("0.0.0.0", secrets.token_bytes(32), "every network"),
        ("::", secrets.token_bytes(32), "every network"),
    ],
)
def test_nobody_is_exposed_by_accident(host, secret, why):
    with pytest.raises(UserError, match=why):
        require_exposure(host, secret)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.8.9.10"])
def test_loopback_needs_no_secret(host):
    require_exposure(host, None)


@pytest.mark.parametrize("options", [{"members": 0}, {"members": 70_000}, {"detect_s": 0}, {"host": "no such host"}])
def test_what_cannot_be_served_is_refused(options):
    with pytest.raises(UserError):
        serve(**options)


def test_a_host_beyond_this_machine_must_be_told():
    with pytest.raises(UserError, match="give host="):
        connect("10.0.0.1:4711/1", secrets.token_bytes(32))


def test_a_port_in_use_is_refused():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="in use"):
            serve(port=other.getsockname()[1])


@pytest.mark.parametrize("change", ["secret", "cluster"])
def test_strangers_cannot_join(alone, change):
    address, secret = alone.address, alone.secret
    if change == "secret":
        secret = secrets.token_bytes(32)
    else:
        address = address._replace(cluster=address.cluster ^ 1)
    with pytest.raises(EngineError, match="cannot join the cluster"):
        connect(address, secret, timeout_s=0.5, detect_s=0.2)
    assert sum(alone.socket.framing.refused.values()) > 0
    assert len(alone.members()) == 1


def test_noise_changes_nothing(alone):
    alone.put("k", 1, wait=True)
    rng = random.Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for size_bytes in range(300):
            sender.sendto(rng.randbytes(size_bytes), (alone.address.host, alone.address.port))
    with socket.create_connection((alone.address.host, alone.socket.tcp_port)) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(100))
        stream.settimeout(WITHIN_S)
        with contextlib.suppress(ConnectionResetError):
            assert stream.recv(1) == b""  # closed
    until(lambda: sum(alone.socket.framing.refused.values()) > 250)
    assert alone.get("k") == 1
    assert len(alone.members()) == 1
    alone.socket.check()


def test_connections_that_say_nothing_do_not_keep_others_out(alone, two):
    first, second = two
    silent = [socket.create_connection((first.address.host, first.socket.tcp_port)) for _ in range(300)]
    second.put("@0/large", bytes(3_000_000), wait=True)
    assert len(first.get("@0/large")) == 3_000_000
    assert first.socket.counters["too many connections"] > 0
    for each in silent:
        each.close()


def test_who_waits_comes_back_when_the_member_is_closed(two):
    _first, second = two
    ended: list[BaseException] = []
    waiting = threading.Event()

    def wait() -> None:
        waiter = Waiter()
        try:
            waiting.set()
            second.socket.call(waiter, lambda now: [], WITHIN_S)
            ended.append(waiter.outcome)
        except BaseException as error:
            ended.append(error)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    waiting.wait(WITHIN_S)
    second.shutdown()
    for thread in threads:
        thread.join(WITHIN_S)
    assert [type(each) for each in ended] == [NodeLost] * 3


def test_after_the_end_every_call_says_so(two):
    first, second = two
    second.put("@0/k", 1, wait=True)
    second.shutdown()
    for call in (lambda: second.get("@0/k"), lambda: second.put("@0/k", 2, wait=True), lambda: second.keys()):
        with pytest.raises(NodeLost):
            call()
    until(lambda: len(first.members()) == 1)
    assert first.get("@0/k") == 1


def test_who_joins_is_told_that_others_are_missing():
    first = serve(members=3)
    try:
        with pytest.raises(EngineError, match="has not begun within 1 s; this process came as member 1, and others"):
            connect(first.address, first.secret, timeout_s=1.0)
    finally:
        first.shutdown()


def test_who_asks_before_the_cluster_has_begun_is_told_how_many_are_missing():
    first = serve(members=3)
    first._timeout_s = 0.2
    try:
        with pytest.raises(EngineError, match="has not begun within 0 s: 1 of 3 members that store are there; 2 have"):
            first.get("k")
    finally:
        first.shutdown()


def test_a_list_of_keys_that_cannot_be_complete_says_so(two):
    first, second = two
    for name in ("@0/a", "@1/a", "@1/b"):
        first.put(name, 1, wait=True)
    assert first.keys() == ["@0/a", "@1/a", "@1/b"]
    second.shutdown()
    until(lambda: len(first.members()) == 1)
    with pytest.raises(NodeLost, match=r"keys that begin with '' cannot all be listed: member 1 was lost"):
        first.keys()
    assert first.keys(partial=True) == ["@0/a"]
    assert first.keys("@0/") == ["@0/a"], "what lives here is here"


def test_watchers_are_told_of_a_member_that_held_keys_and_is_lost(two):
    first, second = two
    with first.watch("data/") as watch, first.watch("@0/") as of_mine:
        second.shutdown()
        with pytest.raises(NodeLost, match="member 1 was lost, and with it perhaps keys that begin with 'data/'"):
            watch.poll(WITHIN_S)
        assert watch.poll(0) == {}
        first.put("data/after", 1)
        assert watch.poll(WITHIN_S) == {"data/after": 1}
        assert of_mine.poll(0) == {}, "none of these was lost"


def test_a_watcher_that_was_given_up_does_not_wait_for_ever(two):
    first, second = two
    watch = second.watch("data/")
    first.socket.tell(lambda now: first.socket.member.lose(1, now))
    with pytest.raises(NodeLost, match="does not belong to the cluster any more"):
        watch.poll(WITHIN_S)


def test_who_waits_for_a_lock_goes_on_waiting_when_a_member_is_lost_that_does_not_hold_it(two):
    first, second = two
    view = first.socket.member.standing.view
    assert view is not None
    key = next(name for name in map(str, range(100)) if home_of(name, view) == 0)
    before = ports.install_keys(first)
    taken: list[int] = []
    try:
        held = lock(key)
        waiting = threading.Thread(target=lambda: taken.append(lock(key, wait_s=WITHIN_S).number))
        waiting.start()
        until(lambda: first._watches)
        second.shutdown()
        until(lambda: len(first.members()) == 1)
        assert held.release()
        waiting.join(WITHIN_S)
    finally:
        ports.install_keys(before)
    assert taken == [2]


def test_ctrl_c_ends_a_wait_and_breaks_nothing(two):
    first, second = two
    second.put("@0/k", 1, wait=True)
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        second.socket.call(Waiter(), lambda now: [], WITHIN_S)
    assert time.monotonic() - began < WITHIN_S
    timer.join()
    for i in range(50):
        second.put("@0/k", i, wait=True)
        assert first.get("@0/k") == i
    second.socket.check()


def test_a_forked_child_refuses(two):
    _, second = two
    second.put("@0/k", 1, wait=True)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            second.get("@0/k")
            told = b"a value"
        except InternalError as error:
            told = str(error).encode()
        except BaseException as error:
            told = repr(error).encode()
        os.write(write, told)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert b"forked" in pipe.read()
    os.waitpid(child, 0)
    assert second.get("@0/k") == 1


def test_a_value_that_arrives_over_a_stream_wakes_its_reader(two):
    first, second = two
    first.put("@0/large", bytes(300_000), wait=True)
    for i in range(10):
        first.put("@0/large", bytes([i]) * 300_000, wait=True)
        assert second.get("@0/large")[0] == i
    assert second.socket.counters["streams opened"] + first.socket.counters["streams opened"] <= 2
