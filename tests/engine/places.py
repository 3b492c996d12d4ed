"""Work that tests send to engines: module-level functions, which a worker process can import."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.mapreduce.task import MapReduce
from hydroscope.node import jobs, ports


def double(x: Any) -> Any:
    return 2 * x


def signs(x: int) -> tuple[int, int]:
    return x, -x


def add(left: Any, right: Any) -> Any:
    return left + right


def join(left: str, right: str) -> str:
    """Not associative in what it returns, so that it shows the shape of the tree."""
    return f"({left}{right})"


def put_into(left: list[int], right: list[int]) -> list[int]:
    return [*left, *right]


def keep(text: str, left: Any, right: Any, separator: str) -> str:
    """A merge with something bound to it."""
    return text + separator


def total(values: npt.NDArray[np.float64]) -> float:
    return float(values.sum())


def ones(n: int) -> npt.NDArray[np.float64]:
    return np.ones(n)


def fail_at(index: int, bad: tuple[int, ...]) -> int:
    if index in bad:
        raise LookupError(f"item {index} is bad")
    return index


class Total(MapReduce):
    sum: int = 0

    def map(self, x):  # compiled for the column's type
        self.sum += x


class UnsendableError(Exception):
    """Holds what no process can send to another."""

    def __init__(self) -> None:
        super().__init__("kept here")
        self.local = lambda: None


def fail_unsendable(_: int) -> None:
    raise UnsendableError


def die(_: int) -> None:
    os._exit(3)


def die_once(path: str, value: int) -> int:
    """Take the process down at the first attempt; the second finds a trace of it."""
    if not Path(path).exists():
        Path(path).touch()
        os._exit(3)
    return value


def surroundings(_: int) -> tuple[int, str, int, bool]:
    engine = ports.current()
    return os.getpid(), engine.name, engine.n_threads, jobs.current() is None


def nested(n: int) -> Any:
    """A map, a reduce and a parallel inside an item."""
    engine = ports.current()
    doubled = engine.get(engine.map(double, [(i,) for i in range(n)]))
    return engine.reduce(add, doubled) + sum(engine.parallel(double, n))


def descendants() -> list[int]:
    """Return the processes that this one started, and those which they started (Linux; elsewhere none)."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            pid, _, rest = path.read_text().partition(" ")
            parents[int(pid)] = int(rest.rpartition(")")[2].split()[1])
    found, n_before = {os.getpid()}, 0
    while len(found) > n_before:
        n_before = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return sorted(found - {os.getpid()})


def listening(pids: list[int]) -> set[tuple[str, int]]:
    """Return the addresses and TCP ports at which processes listen (Linux)."""
    sockets = set()
    for pid in pids:
        for path in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                sockets.add(os.readlink(path))
    found = set()
    for family, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                text, _, port = fields[1].partition(":")
                words = [bytes.fromhex(text[k : k + 8])[::-1] for k in range(0, len(text), 8)]
                host = ipaddress.ip_address(socket.inet_ntop(family, b"".join(words)))
                found.add((str(getattr(host, "ipv4_mapped", None) or host), int(port, 16)))
    return found


def is_running(pid: int) -> bool:
    """Tell whether a process is there (one that ended and whose parent did not ask yet is not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(started: str, until: str) -> str:
    """Say that it runs, and run until told to stop (or interrupted)."""
    Path(started).touch()
    while not Path(until).exists():
        pass
    return started
