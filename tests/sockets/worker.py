"""One member as a process of its own: does what it reads from stdin, a line of JSON each, and answers on stdout.

Commands with the same `thread` are done one after the other, others at the same time. Ends with its stdin.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import mmap
import os
import queue
import resource
import sys
import threading
import time
from typing import Any

from hydroscope.engine.sockets import SocketKeys, connect, serve
from hydroscope.engine.sockets.start import Parts
from hydroscope.ground.clocks.system import SystemClock
from hydroscope.ground.errors import HydroscopeError
from tests.sockets.faults import FaultyDatagrams, Weather


class SkewedClock(SystemClock):
    """A clock on a wall that was set wrongly."""

    __slots__ = ("skew_s",)

    def __init__(self, skew_s: float) -> None:
        self.skew_s = skew_s

    def wall_ns(self) -> int:
        return super().wall_ns() + int(self.skew_s * 1e9)


class TestParts(Parts):
    """Parts as the conductor wants them."""

    __test__ = False

    def __init__(self, host: str, port: int, asked: dict[str, Any]) -> None:
        self.port = port
        self.clock = SkewedClock(asked.get("skew_s", 0.0))
        weather = Weather(**asked.get("weather", {}))
        self.datagrams = FaultyDatagrams(host, port, asked.get("seed", 1), weather)
        self.advertised_tcp_port = asked.get("advertised_tcp_port", 0)


def blob(seed: int, size_bytes: int) -> bytes:
    """Return bytes that do not compress and are the same everywhere."""
    block = hashlib.shake_128(seed.to_bytes(8, "little")).digest(min(size_bytes, 2**20))
    return (block * (size_bytes // max(len(block), 1) + 1))[:size_bytes]


class Worker:
    """Carries out commands."""

    def __init__(self, keys: SocketKeys, parts: TestParts, board: mmap.mmap) -> None:
        self.keys = keys
        self.parts = parts
        self.stopping = threading.Event()
        self._board = board

    @property
    def progress(self) -> int:
        return int.from_bytes(self._board[:8], "little")

    @progress.setter
    def progress(self, n: int) -> None:
        self._board[:8] = n.to_bytes(8, "little")  # in a file, so that it can be read after a kill -9

    def get(self, key: str) -> Any:
        return self.keys.get(key)

    def put(self, key: str, value: Any, wait: bool = False, durable: bool = False) -> None:
        self.keys.put(key, value, wait=wait, durable=durable)

    def remove(self, key: str, wait: bool = False) -> None:
        self.keys.remove(key, wait=wait)

    def atomic(self, key: str, name: str, *arguments: Any) -> Any:
        return self.keys.atomic(key, name, *arguments)

    def names(self, prefix: str) -> list[str]:
        return self.keys.keys(prefix)

    def fence(self) -> None:
        self.keys.fence()

    def count(self, key: str, n: int, pause_s: float = 0.0) -> list[int]:
        """Add 1 n times; return what each addition returned."""
        seen = []
        for _ in range(n):
            seen.append(self.keys.atomic(key, "add", 1))
            time.sleep(pause_s)
        return seen

    def count_until_stopped(self, key: str) -> int:
        """Add 1 until `stop`, or an error; return how often it was confirmed (its board has it, whatever happens)."""
        self.progress = 0
        while not self.stopping.is_set():
            self.keys.atomic(key, "add", 1)
            self.progress += 1
        return self.progress

    def write_until_stopped(self, key: str) -> int:
        """Put 1, 2, ... until `stop`, or an error; the board has the last one that was confirmed."""
        self.progress = 0
        while not self.stopping.is_set():
            self.keys.put(key, self.progress + 1, wait=True)
            self.progress += 1
        return self.progress

    def stream(self, prefix: str, n: int) -> None:
        """Plain puts, as fast as they go, then a fence."""
        for i in range(n):
            self.keys.put(f"{prefix}{i}", i)
        self.keys.fence()

    def stop(self) -> None:
        self.stopping.set()

    def put_blob(self, key: str, seed: int, size_bytes: int) -> None:
        self.keys.put(key, blob(seed, size_bytes), wait=True)

    def sha_of(self, key: str) -> list[Any]:
        value = self.keys.get(key)
        return [len(value), hashlib.sha256(value).hexdigest()]

    def is_held(self, key: str) -> bool:
        return key in self.keys.socket.front

    def weather(self, changes: dict[str, Any]) -> None:
        self.parts.datagrams.weather = Weather(**changes)

    def counters(self) -> dict[str, int]:
        socket = self.keys.socket
        member = socket.member
        counts = dict(socket.counters + self.parts.datagrams.counters + member.counters + member.standing.counters)
        for peer, link in list(member.links.items()):
            for name, n in dict(link.counters).items():
                counts[f"link {peer}: {name}"] = n
        counts["refused frames"] = sum(dict(socket.framing.refused).values())
        return {name: n for name, n in counts.items() if n}

    def members(self) -> list[int]:
        view = self.keys.socket.member.standing.view
        return [info.number for info in view.members] if view is not None else []

    def n_known(self) -> int:
        """At the authority: how many have said hello."""
        return len({0, *self.keys.socket.member.standing.lives})

    def check(self) -> None:
        self.keys.socket.check()

    def recorded(self) -> list[list[Any]]:
        return [[base64.b64encode(d).decode(), h, p] for d, h, p in list(self.parts.datagrams.recorded)]

    def state(self) -> str:
        """What the member is about, for a look at one that hangs."""
        member = self.keys.socket.member
        lines = {
            peer: (line.link.deadline, line.bulk.deadline, line.bulk.counters) for peer, line in member.lines.items()
        }
        return f"now {self.keys.socket.now():.3f}, deadline {member.deadline:.3f}, lines {lines}"

    def memory(self) -> int:
        """Peak of resident bytes."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def out(self) -> str | None:
        return self.keys.out


def answer(reply: dict[str, Any]) -> None:
    line = json.dumps(reply) + "\n"
    with _printing:
        sys.stdout.write(line)
        sys.stdout.flush()


_printing = threading.Lock()


def perform(worker: Worker, commands: queue.SimpleQueue[dict[str, Any]]) -> None:
    while True:
        command = commands.get()
        began = time.monotonic()
        reply: dict[str, Any] = {"id": command["id"]}
        try:
            reply["value"] = getattr(worker, command["do"])(*command["arguments"])
        except HydroscopeError as error:
            reply |= {"error": type(error).__name__, "text": str(error), "keys": list(getattr(error, "keys", ()))}
        except Exception as error:
            reply |= {"error": type(error).__name__, "text": repr(error), "keys": []}
        answer(reply | {"seconds": time.monotonic() - began})


def main() -> None:
    with contextlib.suppress(PermissionError):  # a machine that is busy with other tests shall not look like a dead one
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    asked = json.loads(sys.stdin.readline())
    host, port = asked["host"], asked.get("port", 0)
    parts = TestParts(host, port, asked)
    secret = bytes.fromhex(asked["secret"])
    try:
        if asked["role"] == "authority":
            keys = serve(host, secret=secret, members=asked["members"], detect_s=asked["detect_s"], parts=parts)
        else:
            keys = connect(
                asked["address"], secret, host=host, stores=asked.get("stores", True), detect_s=asked["detect_s"],
                timeout_s=asked.get("join_s", 30.0), parts=parts,
            )  # fmt: skip
    except HydroscopeError as error:
        answer({"id": 0, "error": type(error).__name__, "text": str(error), "keys": [], "seconds": 0.0})
        return
    with open(asked["board"], "r+b") as file:
        worker = Worker(keys, parts, mmap.mmap(file.fileno(), 8))
    answer(
        {"id": 0, "seconds": 0.0, "value": {
            "address": str(keys.address), "number": keys.socket.member.number,
            "udp_port": parts.datagrams.port, "tcp_port": keys.socket.tcp_port,
        }}
    )  # fmt: skip
    threads: dict[str, queue.SimpleQueue[dict[str, Any]]] = {}
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            command = json.loads(line)
            if command["do"] == "shutdown":
                keys.shutdown()
                answer({"id": command["id"], "value": None, "seconds": 0.0})
                continue
            name = command["thread"]
            if name not in threads:
                threads[name] = queue.SimpleQueue()
                threading.Thread(target=perform, args=(worker, threads[name]), daemon=True).start()
            threads[name].put(command)
    os._exit(0)


if __name__ == "__main__":
    main()
