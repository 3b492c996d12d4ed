"""Two real processes: jobs, models and leaderboards of one are seen by the other."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hydroscope as hs
from hydroscope.engine.cluster import Cluster
from hydroscope.ground.errors import CancelledError, UserError
from hydroscope.node import jobs
from hydroscope.node.ports import EngineError

WAIT_S = 120.0
DETECT_S = 3.0


@pytest.fixture
def cluster() -> Iterator[tuple[Cluster, subprocess.Popen[bytes]]]:
    with hs.start_cluster(members=2, detect_s=DETECT_S) as mine:
        command = [sys.executable, "-m", "tests.engine.two", mine.address, mine.secret.hex()]
        other = subprocess.Popen(command, cwd=Path(__file__).parents[2])
        try:
            mine.wait(WAIT_S)
            until(lambda: hs.kv.get("ready"))
            yield mine, other
        finally:
            other.kill()
            other.wait(WAIT_S)


def until(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    with hs.kv.watch() as watch:
        while not (found := look()):
            assert time.monotonic() < deadline, "nothing came of it"
            with contextlib.suppress(hs.NodeLost):  # the other process is killed in the end
                watch.poll(0.1)
    return found


def let_do(order: str) -> Any:
    hs.kv.put(f"to do/{order}", order)
    return until(lambda: hs.kv.get(f"done/{order}"))


def test_what_one_process_does_the_other_sees(cluster: tuple[Cluster, subprocess.Popen[bytes]]) -> None:
    mine, other = cluster
    me = hs.node.ports.keys().me

    predicted = let_do("train")
    x = hs.Frame({"x": [float(k) for k in range(400)]})
    assert repr(hs.get_model("sevens").predict(x).to_dict()["predict"][:5]) == predicted
    [theirs] = [each for each in mine.members if each != me]
    assert hs.ls().to_dict()["owner"] == [theirs]
    hs.leaderboard("board", "rmse").add("ours", {"rmse": 1e9})
    assert [row["name"] for row in hs.leaderboard("board", "rmse").rows] == ["theirs", "ours"]

    def work() -> None:
        while True:
            jobs.check()
            time.sleep(0.001)

    job = jobs.start(work, description="to be cancelled")
    try:
        until(lambda: [each for each in hs.jobs(running=True) if each.id == job.id])  # short ones are not recorded
        assert let_do("cancel") == me
        assert isinstance(job.exception(WAIT_S), CancelledError)
    finally:
        job.cancel()

    number = int(let_do("begin"))
    [record] = until(lambda: [each for each in hs.jobs(running=True) if each.owner == theirs])
    assert (record.id, record.description, record.state) == (number, "theirs for ever", "RUNNING")
    other.kill()
    until(lambda: theirs not in mine.members)
    [record] = [each for each in hs.jobs() if (each.owner, each.id) == (theirs, number)]
    assert (record.state, record.message) == ("LOST", f"its process {theirs} was lost")


def test_joining_needs_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDROSCOPE_SECRET", raising=False)
    with pytest.raises(UserError, match="give secret=, or set HYDROSCOPE_SECRET"):
        hs.join_cluster("127.0.0.1:1/2")
    monkeypatch.setenv("HYDROSCOPE_SECRET", "not hexadecimal")
    with pytest.raises(UserError, match="HYDROSCOPE_SECRET is text, and must hold hexadecimal digits"):
        hs.join_cluster("127.0.0.1:1/2")


def test_the_secret_may_be_given_as_it_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDROSCOPE_SECRET", raising=False)
    secret = "0123456789abcdef" * 4
    with hs.start_cluster(secret=secret) as cluster:
        assert cluster.secret.hex() == secret
        with hs.join_cluster(cluster.address, secret, stores=False) as other:
            assert len(other.members) == 2
        for text in (str(cluster.secret), "secret", secret[:-1]):
            with pytest.raises(
                UserError, match=r"secret= is text, and must hold hexadecimal digits: .*\.secret\.hex\(\)"
            ):
                hs.join_cluster(cluster.address, text)
    with pytest.raises(UserError, match="at least 16 bytes"):
        hs.start_cluster(secret="abcdef")
    with pytest.raises(UserError, match="secret= is of type int"):
        hs.start_cluster(secret=7)


JOIN = "import hydroscope as hs, sys; cluster = hs.join_cluster(sys.argv[1]); sys.stdin.read(); cluster.leave()"


def test_a_founder_that_dies_before_work_begins_is_replaced() -> None:
    with hs.start_cluster(members=3, detect_s=1.0) as mine, contextlib.ExitStack() as stack:

        def begin() -> subprocess.Popen[bytes]:
            command = [sys.executable, "-c", JOIN, mine.address]
            environment = os.environ | {"HYDROSCOPE_SECRET": mine.secret.hex()}
            process = stack.enter_context(subprocess.Popen(command, env=environment, stdin=subprocess.PIPE))
            stack.callback(process.kill)
            return process

        def expect(missing: int) -> None:
            deadline = time.monotonic() + WAIT_S
            while True:
                with pytest.raises(EngineError, match="has not begun within") as told:
                    mine.wait(0.05)
                if f"{3 - missing} of 3 members that store are there; {missing} have not come" in str(told.value):
                    return
                assert time.monotonic() < deadline, told.value

        expect(missing=2)
        dead = begin()
        expect(missing=1)
        dead.kill()
        expect(missing=2)
        for _ in range(2):
            begin()
        mine.wait(WAIT_S)
        assert len(mine.members) == 3
        for k in range(30):
            hs.kv.put(f"key {k}", k, wait=True)
        assert len(hs.kv.keys("key ")) == 30


def test_leaving_gives_back_the_keys_of_this_process() -> None:
    hs.kv.put("mine", 1)
    hs.kv.register("triple", lambda value: 3 * value)
    with hs.start_cluster() as cluster:
        assert hs.kv.get("mine") is None
        hs.kv.put("theirs", 2, wait=True)
        assert hs.kv.atomic("theirs", "triple") == 6
        assert repr(cluster) == f"<hydroscope cluster at {cluster.address}, 1 members>"
    assert hs.kv.get("mine") == 1
    assert hs.kv.get("theirs") is None
    cluster.leave()


def test_shutdown_leaves_the_cluster() -> None:
    hs.kv.put("mine", 1)
    with hs.start_cluster():
        hs.kv.put("theirs", 2)
        hs.shutdown()
        assert hs.kv.keys() == []
        hs.kv.put("new", 3)
    assert hs.kv.keys() == ["new"]
    hs.shutdown()
