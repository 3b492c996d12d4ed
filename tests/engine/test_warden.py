"""Wardens and the driver's guard, without a Ray: workers are plain processes, the cluster is a list."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hydroscope.engine.latch import Latch
from hydroscope.engine.ray import guard as guards
from hydroscope.engine.ray import warden as wardens
from hydroscope.engine.ray.guard import Guard
from hydroscope.engine.ray.warden import Introduction, Warden, ask_deaths, ask_introduction
from hydroscope.node.deaths import Death
from hydroscope.weave.notice import HydroscopeWarning

WAIT_S = 60.0
STOPPED_S = 0.5

WORKER = """
import os, signal, socket, sys, time
from hydroscope.engine.ray.box import Box
folder, address, doom = sys.argv[1:]
box = Box(folder, {{"worker": "w"}})
door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
door.sendto(box.path.encode(), "\\0" + address)
while not box.watched:
    time.sleep(0.001)
with box.task({{"id": "t1", "task": "the task", "rows": [5, 9]}}, 0):
    print("running", flush=True)
    sys.stdin.readline()
    exec(doom)
sys.stdin.readline()
"""

time_passes = Latch()
"""Never opened."""


@pytest.fixture
def warden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warden:
    monkeypatch.setattr(wardens, "_verdict", lambda worker: "")
    return Warden(str(tmp_path), "job", f"{os.getpid()}-{tmp_path.name}", "127.0.0.1", STOPPED_S)


Begin = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def begin(warden: Warden, tmp_path: Path) -> Iterator[Begin]:
    """Start a worker that does something bad once it is given a line."""
    started: list[subprocess.Popen[str]] = []

    def start(doom: str) -> subprocess.Popen[str]:
        address = wardens.address_of("job", f"{os.getpid()}-{tmp_path.name}").removeprefix("\0")
        command = [sys.executable, "-c", WORKER.format(), str(tmp_path), address, doom]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=WAIT_S)


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_worker_that_is_killed(warden: Warden, begin: Begin) -> None:
    process = begin("os.kill(os.getpid(), signal.SIGKILL)")
    assert [worker["task"] for worker in warden.workers()] == ["the task"]
    assert warden.deaths_of("t1", 0) == []
    go(process)
    [death] = warden.deaths_of("t1", 1)
    assert (death.cause, death.pid, death.task, death.rows) == ("SIGKILL", process.pid, "the task", (5, 9))
    assert death.rss is not None
    assert death.node.startswith("127.0.0.1 (")
    assert warden.workers() == []
    assert [each.pid for each in warden.ended()] == [process.pid]
    assert warden.deaths_of("t2", 1) == []
    assert warden.deaths_of("t1", 0) == [], "an attempt is no death of itself"


def test_a_worker_that_ended_its_task_killed_nobody_by_it(warden: Warden, begin: Begin) -> None:
    process = begin("pass")
    go(process)
    while any(worker["task"] for worker in warden.workers()):
        assert not time_passes.wait(0.001)
    process.kill()
    process.wait(WAIT_S)
    assert warden.deaths_of("t1", 1) == []


def test_a_worker_that_is_stopped_is_killed(warden: Warden, begin: Begin) -> None:
    process = begin("os.kill(os.getpid(), signal.SIGSTOP)")
    go(process)
    assert process.wait(WAIT_S) == -signal.SIGKILL
    [death] = warden.deaths_of("t1", 1)
    assert (death.cause, death.signal) == ("stopped", "SIGKILL")


def test_the_desk(warden: Warden, begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = f"{os.getpid()}-{tmp_path.name}"
    assert ask_deaths("job", node, "t1", 1) == []
    process = begin("os._exit(3)")
    go(process)
    found = ask_deaths("job", node, "t1", 1)
    assert found is not None
    assert [death.cause for death in found] == ["exit code 3"]
    assert ask_introduction("job", node) is None
    warden.introduce(Introduction("a", "b", 1.0))
    assert ask_introduction("job", node) == Introduction("a", "b", 1.0)
    assert ask_deaths("job", "elsewhere", "t1", 1) is None, "nobody there can tell"
    monkeypatch.setattr(wardens, "_is_of_this_user", lambda asker: False)
    assert ask_introduction("job", node) is None, "the secret is not told to other users"


class Handle:
    """Stands in for an actor: its methods return what they are asked for."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.told: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        handle = self

        class Method:
            def remote(self, *arguments: Any) -> tuple[str, str]:
                handle.told.append((name, *arguments))
                return handle.node, name

        return Method()


class FakeRay:
    """A cluster of which a test says what nodes there are and which actors live."""

    class exceptions:
        class RayError(Exception):
            pass

    def __init__(self) -> None:
        self.alive: list[str] = []
        self.ended: set[tuple[str, str]] = set()
        self.sent: list[Handle] = []

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": node, "NodeManagerAddress": "10.0.0.1", "Alive": True} for node in self.alive]

    def remote(self, **_: Any) -> Callable[[Any], Any]:
        return lambda cls: cls

    def wait(self, refs: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        done = [ref for ref in refs if ref[1] != "live" or ref in self.ended]
        return done, [ref for ref in refs if ref not in done]

    def get(self, ref: Any) -> Any:
        return [ref]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    ray = FakeRay()

    def send(self: Guard, node: str) -> Handle:
        ray.sent.append(Handle(node))
        return ray.sent[-1]

    monkeypatch.setattr(Guard, "_send", send)
    monkeypatch.setattr(guards, "LOOK_EVERY_S", -1.0)
    return ray


def test_each_node_gets_a_warden_and_a_lost_one_is_told(cluster: FakeRay) -> None:
    cluster.alive = ["aaaaaaaaaa", "bbbbbbbbbb"]
    guard = Guard(cluster, 1.0)
    assert set(guard.wardens) == {"aaaaaaaaaa", "bbbbbbbbbb"}
    cluster.alive = ["bbbbbbbbbb", "cccccccccc"]
    with pytest.warns(HydroscopeWarning, match=r"node 10.0.0.1 \(aaaaaaaa\) was lost; what it held is made again"):
        guard.look()
    assert set(guard.wardens) == {"bbbbbbbbbb", "cccccccccc"}
    assert guard.lost_nodes == ["10.0.0.1 (aaaaaaaa)"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        guard.look()


def test_a_warden_that_died_is_replaced_and_introduced(cluster: FakeRay) -> None:
    cluster.alive = ["aaaaaaaaaa"]
    guard = Guard(cluster, 1.0)
    guard.introduce(Introduction("where", "secret", 1.0))
    cluster.ended = {("aaaaaaaaaa", "live")}
    guard.look()
    first, second = cluster.sent
    assert first is not second
    assert ("introduce", Introduction("where", "secret", 1.0)) in second.told
    assert guard.lost_nodes == []


def test_deaths_are_kept_and_told(cluster: FakeRay) -> None:
    guard = Guard(cluster, 1.0)
    death = Death("SIGKILL", "SIGKILL", None, 7, "n", "the task")
    with pytest.warns(HydroscopeWarning, match="process 7 on node n ended by SIGKILL in the task; the task ran again"):
        guard.note([death])
    assert guard.deaths == [death]
