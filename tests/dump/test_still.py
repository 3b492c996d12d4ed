"""A whole cluster stands still for longer than it takes to give a member up, and goes on as if nothing had been."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import hydroscope as hs
from hydroscope.cli.main import run
from hydroscope.engine.sockets import SocketKeys, connect, serve
from tests.dump.machines import WAIT_S, await_that

DETECT_S = 0.4
PAUSE_S = 2.5 * DETECT_S


@contextmanager
def cluster(n: int) -> Iterator[list[SocketKeys]]:
    """Within the block, members that store."""
    secret = bytes(range(32))
    members = [serve(members=n, secret=secret, detect_s=DETECT_S)]
    joined: dict[int, SocketKeys] = {}
    joining = [
        threading.Thread(target=lambda k=k: joined.update({k: connect(members[0].address, secret, detect_s=DETECT_S)}))
        for k in range(1, n)
    ]
    try:
        for each in joining:
            each.start()
        for each in joining:
            each.join(WAIT_S)
        members += joined.values()
        assert len(members) == n
        yield members
    finally:
        for each in reversed(members):
            each.shutdown()


def test_nobody_is_lost_and_no_write_is(tmp_path):
    with cluster(3) as members:
        first, stop = members[0], threading.Event()
        for k in range(20):
            first.put(f"k{k}", 0, wait=True)
        counted: dict[str, int] = {}
        failures: list[BaseException] = []

        def add(keys: SocketKeys, key: str) -> None:
            n = 0
            try:
                while not stop.is_set():
                    assert keys.atomic(key, "add", 1) == n + 1
                    n += 1
            except BaseException as error:
                failures.append(error)
            counted[key] = n

        threads = [threading.Thread(target=add, args=(keys, f"n{i}"), daemon=True) for i, keys in enumerate(members)]
        for each in threads:
            each.start()
        await_that(lambda: all(keys.get(f"n{i}", 0) > 10 for i, keys in enumerate(members)))
        for keys in members:
            assert keys.post is not None
            assert keys.post.freeze(WAIT_S) is None
        received = [keys.socket.counters["datagrams received"] for keys in members]
        assert all(keys.socket.trusted_until == -math.inf for keys in members)
        time.sleep(PAUSE_S)  # it is time that has to pass
        assert [keys.socket.counters["datagrams received"] for keys in members] == received
        for keys in members:
            keys.post.thaw()
        seen = [keys.get(f"n{i}", 0) for i, keys in enumerate(members)]
        await_that(lambda: all(keys.get(f"n{i}", 0) > seen[i] + 10 for i, keys in enumerate(members)))
        stop.set()
        for each in threads:
            each.join(WAIT_S)
        assert failures == []
        assert [keys.out for keys in members] == [None] * 3
        assert len(first.members()) == 3
        assert {key: first.get(key) for key in counted} == counted
        for keys in members:
            keys.socket.check()


def test_who_alone_stood_still_does_not_believe_what_it_knew(tmp_path):
    """The others may have given it up meanwhile, and written: what it holds must not be read before it is heard."""
    with cluster(2) as (first, second):
        first.put("k", 1, wait=True)
        assert second.get("k") == 1
        assert second.post is not None
        assert second.post.freeze(WAIT_S) is None
        await_that(lambda: len(first.members()) == 1)  # given up
        second.post.thaw()
        await_that(lambda: second.out is not None)
        assert "given it up" in second.out
        first.put("k", 2, wait=True)
        with pytest.raises(Exception, match="does not belong to the cluster any more"):
            second.get("k")


def test_an_operation_waits_for_as_long_as_all_stand_still():
    with cluster(2) as (first, second):
        for keys in (first, second):
            assert keys.post is not None
            assert keys.post.freeze(WAIT_S) is None
        done = threading.Event()

        def write() -> None:
            second.put("late", 5, wait=True)
            done.set()

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        assert not done.wait(0.2)
        for keys in (first, second):
            keys.post.thaw()
        assert done.wait(WAIT_S)
        thread.join(WAIT_S)
        assert first.get("late") == 5


def test_a_member_that_is_closed_while_it_stands_still_ends():
    with cluster(1) as (only,):
        assert only.post is not None
        assert only.post.freeze(WAIT_S) is None
        only.shutdown()
        assert only.post.still is only.socket


def test_one_address_is_enough_to_freeze_all_and_to_thaw_all(monkeypatch, capsys):
    with cluster(2) as (first, second):
        assert first.post is not None
        assert second.post is not None
        hs.timeline(nodes="none", addresses=first.post.address, secret=first.secret, mode="freeze")
        assert [keys.socket.trusted_until for keys in (first, second)] == [-math.inf] * 2
        monkeypatch.setenv("HYDROSCOPE_SECRET", first.secret.hex())
        assert run(["timeline", second.post.address, "--thaw"]) == 0
        assert capsys.readouterr().out == "thawed\n"
        second.put("k", 1, wait=True)
        assert first.get("k") == 1
