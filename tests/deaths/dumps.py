"""The button, pressed while processes of a cluster are dead, stopped or cut off: how long it takes, what is had, what
is told, and whether the others go on. Prints a table.

    python -m tests.deaths.dumps

Eight processes on four machines, under load, and one that presses. A machine is a folder for recordings that only its
two processes see, and each process has a network interface of its own, whose cable can be pulled: all of it in
namespaces, for which it takes root. Of four that are lost, two are one whole machine.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.sockets.hosts import Hosts, why_not

N = 8
LOST = {0: (), 1: (0,), 4: (0, 1, 2, 4)}
"""Processes 2k and 2k + 1 share a machine."""

DEADLINE_S = 5.0
DETECT_S = 3.0
SPARE_S = 2.0
"""That a press may take beside its deadline, on a machine that is busy with nine processes."""

LOAD_S = 2.0
SETTLE_S = DETECT_S + 3.0
WAIT_S = 60.0
PAUSE_S = 0.02

LOAD = """
import json, mmap, sys, time
import hydroscope as hs
asked = json.loads(sys.argv[1])
with open(asked["board"], "r+b") as file:
    board = mmap.mmap(file.fileno(), 8)
with hs.join_cluster(asked["address"], asked["secret"], host=asked["host"], detect_s=asked["detect_s"]):
    n = 0
    while True:
        try:
            hs.kv.put(f"k{n % 64}", n, wait=True)
            hs.kv.get(f"k{(7 * n) % 64}")
        except hs.NodeLost:
            pass
        n += 1
        board[:8] = n.to_bytes(8, "little")
        time.sleep(asked["pause_s"])
"""

DRIVER = """
import json, sys, time
import hydroscope as hs
from hydroscope.engine.sockets import serve
from hydroscope.node import ports
asked = json.loads(sys.argv[1])
keys = serve(asked["host"], secret=bytes.fromhex(asked["secret"]), members=asked["members"], stores=False,
             detect_s=asked["detect_s"])
ports.install_keys(keys)
print(json.dumps(str(keys.address)), flush=True)
assert keys.opened.wait(asked["wait_s"])
import hydroscope.scope.button  # what has to be loaded once is no part of what is measured
print(json.dumps("open"), flush=True)
for line in sys.stdin:
    began = time.monotonic()
    shown = hs.timeline(deadline_s=asked["deadline_s"])
    wall_s = time.monotonic() - began
    starts = shown.events.starts.tolist()
    rows = {node.name: end - begin for node, begin, end in zip(shown.events.nodes, starts, starts[1:])}
    print(json.dumps({"wall_s": wall_s, "rows": rows, "missing": [[m.name, m.why] for m in shown.missing]}), flush=True)
"""


@dataclass
class Row:
    """What one press gave."""

    what: str
    n: int
    wall_s: float = 0.0
    n_rings: int = 0
    n_records: int = 0
    before: float = 0.0
    after: float = 0.0
    missing: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Machines:
    """The folders that stand for machines, and commands that run on one of them."""

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self._hosts = hosts
        self._folder = folder

    def start(self, i: int, program: str, asked: dict[str, Any]) -> subprocess.Popen[str]:
        """Start a program as process i, whose /dev/shm is its machine's."""
        shared = self._folder / f"machine-{i // 2}"
        shared.mkdir(exist_ok=True)
        mounts = f'mount --bind {shared} /dev/shm && exec {sys.executable} -c "$0" "$1"'
        command = [*self._hosts.prefix(i), "unshare", "-m", "sh", "-c", mounts, program, json.dumps(asked)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def heard(stream: IO[str] | None) -> Any:
    assert stream is not None
    line = stream.readline()
    assert line, "a process has ended"
    return json.loads(line)


@contextlib.contextmanager
def cluster(hosts: Hosts) -> Iterator[tuple[subprocess.Popen[str], list[subprocess.Popen[str]], list[mmap.mmap]]]:
    """Within the block, the driver and eight processes under load, with what they count."""
    folder = Path(tempfile.mkdtemp(prefix="hydroscope-machines-", dir="/dev/shm"))
    counts = Path(tempfile.mkdtemp(prefix="hydroscope-boards-"))  # seen from all machines, as /dev/shm is not
    machines, running, boards = Machines(hosts, folder), [], []
    asked: dict[str, Any] = {"secret": "5a" * 32, "detect_s": DETECT_S, "pause_s": PAUSE_S, "wait_s": WAIT_S}
    try:
        more = {"host": hosts.address(N), "members": N, "deadline_s": DEADLINE_S}
        driver = machines.start(N, DRIVER, asked | more)
        running.append(driver)
        address = heard(driver.stdout)
        for i in range(N):
            path = counts / f"board-{i}"
            path.write_bytes(bytes(8))
            with path.open("r+b") as file:
                boards.append(mmap.mmap(file.fileno(), 8))
            more = {"host": hosts.address(i), "address": address, "board": str(path)}
            running.append(machines.start(i, LOAD, asked | more))
        assert heard(driver.stdout) == "open"
        yield driver, running[1:], boards
    finally:
        for each in running:
            with contextlib.suppress(ProcessLookupError):
                each.kill()
            each.communicate()
        for each in (folder, counts):
            shutil.rmtree(each, ignore_errors=True)


def rate(boards: list[mmap.mmap], which: list[int], seconds: float) -> float:
    """Return the operations a second that these processes do."""
    before = [int.from_bytes(boards[i][:8], "little") for i in which]
    time.sleep(seconds)
    after = [int.from_bytes(boards[i][:8], "little") for i in which]
    return sum(y - x for x, y in zip(before, after, strict=True)) / seconds


def lose(what: str, i: int, process: subprocess.Popen[str], hosts: Hosts) -> None:
    match what:
        case "killed":
            process.kill()
            process.wait()
        case "stopped":
            os.kill(process.pid, signal.SIGSTOP)
        case "cut off":
            hosts.pull(i)


def play(what: str, n: int, hosts: Hosts) -> Row:
    """Press once with n processes lost in some way; then see whether the others still work."""
    row, lost = Row(what, n), LOST[n]
    well = [i for i in range(N) if i not in lost]
    with cluster(hosts) as (driver, processes, boards):
        while not all(int.from_bytes(board[:8], "little") > 50 for board in boards):
            time.sleep(0.1)
        row.before = rate(boards, well, LOAD_S)
        for i in lost:
            lose(what, i, processes[i], hosts)
        assert driver.stdin is not None
        driver.stdin.write("press\n")
        driver.stdin.flush()
        got = heard(driver.stdout)
        row.wall_s, row.missing = got["wall_s"], [(name, why) for name, why in got["missing"]]
        rows = {name: count for name, count in got["rows"].items() if count}
        row.n_rings, row.n_records = len(rows), sum(rows.values())
        time.sleep(SETTLE_S)
        row.after = rate(boards, well, LOAD_S)
        names = {i: f"member-{processes[i].pid}" for i in range(N)}
        alone = {i for i in lost if i ^ 1 in lost}
        row.faults += [f"{names[i]} is not there" for i in range(N) if i not in alone and names[i] not in rows]
        told = " ".join(f"{name} {why}" for name, why in row.missing)
        row.faults += [f"nothing is told of {names[i]}" for i in lost if i not in alone and names[i] not in told]
        if len(row.missing) < len(lost):
            row.faults.append(f"{len(row.missing)} are told, {len(lost)} were lost")
        if row.wall_s > DEADLINE_S + SPARE_S:
            row.faults.append("it took too long")
        if row.after < row.before / 10:
            row.faults.append("the others do not go on")
        if what == "cut off":
            for i in lost:
                hosts.plug(i)
    return row


def main() -> int:
    """Print the table; 1 when something was not as it should be."""
    why = why_not()
    if why is not None:
        print(f"this needs network namespaces: {why}")
        return 1
    cases = [("none", 0), *((what, n) for what in ("killed", "stopped", "cut off") for n in (1, 4))]
    good = True
    print(f"{'lost':<12} {'wall':>7} {'rings':>6} {'records':>9} {'ops/s before':>13} {'after':>7}  told", flush=True)
    with Hosts(N + 1) as hosts:
        for what, n in cases:
            row = play(what, n, hosts)
            name = f"{n} {what}" if n else "none"
            head = f"{name:<12} {row.wall_s:>6.2f}s {row.n_rings:>4}/{N + 1} {row.n_records:>9,}"
            print(f"{head} {row.before:>13,.0f} {row.after:>7,.0f}  {len(row.missing)}", flush=True)
            for name, why in row.missing:
                print(f"    {name}: {why}", flush=True)
            for fault in row.faults:
                print(f"    FAULT: {fault}", flush=True)
            good = good and not row.faults
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
