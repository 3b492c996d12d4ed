"""A member of the key/value store is lost while operations wait for it: what each of them gets. Prints a table.

    python -m tests.deaths.members

The member is stopped first, so that operations wait, and then killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydroscope as hs
from hydroscope.engine.latch import Latch
from hydroscope.kv.homes import home_of, runner_up_of
from hydroscope.node import ports
from tests.deaths.scene import Scene

HIT = "get, a copy is here"
DURABLE = "afterwards: get of a durable key"

WAIT_S = 60.0
UNDER_WAY_S = 0.5
"""Seconds for operations to get under way before the member is killed."""
WATCH_S = 2.0
"""Seconds that a watch is looked at: there is nothing to be told."""


@dataclass
class Row:
    """One operation: what it got, and how long after the kill."""

    name: str
    got: str = "HUNG"
    seconds: float = WAIT_S
    done: Latch = field(default_factory=Latch)


def shown(work: Callable[[], Any]) -> str:
    """Return what an operation gave, or raised."""
    try:
        value = work()
    except hs.NodeLost as error:
        return f"NodeLost(keys={list(error.keys)})"
    except hs.HydroscopeError as error:
        return f"{type(error).__name__}: {error}"
    return repr(value)


def write(key: str, value: int) -> None:
    """Write a key, in a worker."""
    hs.kv.put(key, value, wait=True)


def thrice(value: int) -> int:
    """Return three times the value."""
    return 3 * value


def stop(pid: int) -> None:
    """Stop a process and wait until all of its threads are: until then they may still answer."""
    os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + WAIT_S
    while any(state != "T" for state in threads_of(pid)):
        assert time.monotonic() < until, threads_of(pid)
        time.sleep(0.001)


def threads_of(pid: int) -> list[str]:
    """Return the states of a process's threads."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            found.append(path.read_text().rpartition(")")[2].split()[0])
    return found


class Loss:
    """The store of a cluster, one member of which is to be lost."""

    def __init__(self, scene: Scene) -> None:
        scene.full()
        self.scene = scene
        self.store = ports.keys()
        numbers = scene.engine._keyring.members
        node = scene.nodes[0].node_id
        self.number = numbers[node]
        import ray

        self.pid = ray.get(scene.engine._guard.wardens[node].ready.remote())
        self.view = self.store.socket_keys.socket.member.standing.view

    def key(self, what: str) -> str:
        """Return a key whose home is the member that will be lost."""
        return next(name for k in range(10_000) if home_of(name := f"{what}/{k}", self.view) == self.number)

    def play(self) -> list[Row]:
        """Prepare, stop the member, begin the operations, kill it; return what they got."""
        keys = {what: self.key(what) for what in ("hit", "miss", "plain", "wait", "atomic", "durable", "kept", "lock")}
        for what in ("hit", "atomic"):
            self.store.put(keys[what], 1, wait=True)
        self.scene.engine.map(write, [(keys["miss"], 1)])  # by another process: there is no copy here
        self.store.put(keys["kept"], "safe", wait=True, durable=True)
        self.store.register("thrice", thrice)  # it gets to where the key lives
        assert self.store.atomic(keys["hit"], "thrice") == 3
        self.store.get(keys["hit"])
        watching = self.store.watch("plain")
        stop(self.pid)
        rows: list[Row] = []
        killed = Latch()
        clock = [0.0]

        def begin(name: str, work: Callable[[], Any]) -> None:
            row = Row(name)
            rows.append(row)

            def run() -> None:
                row.got = shown(work)
                row.seconds = time.monotonic() - clock[0] if clock[0] else 0.0
                row.done.open()

            threading.Thread(target=run, daemon=True).start()

        def plain() -> str:
            self.store.put(keys["plain"], 2)
            killed.wait(WAIT_S)
            try:
                self.store.fence()
            except hs.NodeLost as error:
                return f"seen here at once; fence: NodeLost(keys={list(error.keys)})"
            return "seen here at once; fence: ordered"

        def first_change() -> dict[str, Any]:
            with watching:
                return watching.poll(WATCH_S)

        begin(HIT, lambda: self.store.get(keys["hit"]))
        begin("get, no copy here", lambda: self.store.get(keys["miss"]))
        begin("plain put, then fence", plain)
        begin("put(wait=True)", lambda: self.store.put(keys["wait"], 2, wait=True))
        begin("atomic add", lambda: self.store.atomic(keys["atomic"], "add", 1))
        begin("put(durable=True)", lambda: self.store.put(keys["durable"], 2, wait=True, durable=True))
        begin("keys(prefix)", lambda: self.store.keys("hit"))
        begin("lock", lambda: hs.kv.lock(keys["lock"], wait_s=5.0).__enter__().number)
        begin(f"watch, {WATCH_S:g} s", first_change)
        time.sleep(UNDER_WAY_S)
        clock[0] = time.monotonic()
        os.kill(self.pid, signal.SIGKILL)
        killed.open()
        until = time.monotonic() + WAIT_S
        for row in rows:
            row.done.wait(max(until - time.monotonic(), 0.0))
        return rows + self._afterwards(keys)

    def _afterwards(self, keys: dict[str, str]) -> list[Row]:
        rows = []
        for name, work in (
            ("afterwards: get of a key it held", lambda: self.store.get(keys["miss"])),
            (DURABLE, lambda: self.store.get(keys["kept"])),
            ("afterwards: put of a key it held", lambda: self.store.put(keys["miss"], 5, wait=True)),
            ("afterwards: get of it again", lambda: self.store.get(keys["miss"])),
            ("afterwards: atomic on a new key of its", lambda: self.store.atomic(self.key("new"), "add", 1)),
        ):
            began = time.monotonic()
            row = Row(name, shown(work), time.monotonic() - began)
            rows.append(row)
        assert runner_up_of(keys["kept"], self.view) != self.number
        return rows


def run(scene: Scene) -> bool:
    """Lose a member and print the table; tell whether nothing hung, and what was durable is still there."""
    rows = Loss(scene).play()
    print(f"{'operation':<48} {'after the kill':>14}  what it got")
    for row in rows:
        print(f"{row.name:<48} {row.seconds:>13.1f}s  {row.got}", flush=True)
    n_hung = sum(row.got == "HUNG" for row in rows)
    got = {row.name: row.got for row in rows}
    told = sum(each.startswith("NodeLost") for each in got.values())
    print(f"{n_hung} of {len(rows)} hung, {told} were told of the loss", flush=True)
    return n_hung == 0 and told >= 6 and got[DURABLE] == "'safe'" and got[HIT] == "3"


def main() -> int:
    """Print the table; 1 when an operation hung."""
    warnings.simplefilter("ignore")
    scene = Scene(2)
    try:
        return 0 if run(scene) else 1
    finally:
        scene.close()


if __name__ == "__main__":
    from tests.deaths import members  # so that workers import what they are sent by its name

    sys.exit(members.main())
