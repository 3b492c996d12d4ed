"""The peers of the store's benchmark: a dictionary behind a lock, Redis, a Ray actor, bare sockets."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import shutil
import socket
import subprocess
import threading
import time
from typing import Any, Final

from benchmarks._harness import register_child, say

__all__ = ["LockedDict", "RayStore", "RedisStore", "fetch", "frame_sizes", "ping"]

START_S: Final = 20


class LockedDict:
    """What one would write first."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Any:
        """Return the value."""
        with self._lock:
            return self._values.get(key)

    def put(self, key: str, value: Any) -> None:
        """Write the value."""
        with self._lock:
            self._values[key] = value


class RedisStore:
    """A server of our own on a free port of this machine, without persistence; its Python client."""

    def __init__(self) -> None:
        import redis

        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = int(free.getsockname()[1])
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
        )
        register_child(self._process)
        self.client = redis.Redis(port=self.port)
        until = time.monotonic() + START_S
        while True:
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    @staticmethod
    def is_here() -> bool:
        """Tell whether Redis and its client are installed; say so when they are not."""
        if shutil.which("redis-server") is None:
            say("redis: absent (no redis-server: apt-get install redis-server)")
            return False
        if importlib.util.find_spec("redis") is None:
            say("redis: absent (package 'redis' is not installed)")
            return False
        return True


class RayStore:
    """An actor that holds a dictionary."""

    def __init__(self) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self._ray = ray
        ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")

        class Store:
            def __init__(self) -> None:
                self.values: dict[str, Any] = {}

            def get(self, key: str) -> Any:
                return self.values.get(key)

            def put(self, key: str, value: Any) -> None:
                self.values[key] = value

            def add(self, key: str, amount: int) -> int:
                self.values[key] = self.values.get(key, 0) + amount
                return int(self.values[key])

        def count(store: Any, key: str, n: int) -> float:
            start = time.perf_counter()
            for _ in range(n):
                ray.get(store.add.remote(key, 1))
            return time.perf_counter() - start

        self.store = ray.remote(num_cpus=0)(Store).remote()
        self._count = ray.remote(num_cpus=1)(count)

    def get(self, key: str) -> Any:
        """Return the value."""
        return self._ray.get(self.store.get.remote(key))

    def put(self, key: str, value: Any) -> None:
        """Write the value and wait."""
        self._ray.get(self.store.put.remote(key, value))

    def put_all(self, keys: list[str], value: Any) -> None:
        """Write values, and wait once."""
        self._ray.get([self.store.put.remote(key, value) for key in keys])

    def count(self, n_callers: int, key: str, n: int) -> float:
        """Let several processes add to a counter; returns the seconds of the slowest."""
        return float(max(self._ray.get([self._count.remote(self.store, key, n) for _ in range(n_callers)])))

    def close(self) -> None:
        """End Ray."""
        self._ray.shutdown()


def frame_sizes(value_bytes: int) -> tuple[int, int]:
    """Return the bytes of a datagram that asks for a value, and of the one that brings it."""
    from hydroscope.wire import bodies
    from hydroscope.wire.frame import Framing
    from hydroscope.wire.messages import Ack, Call, Get, Got, Packet

    framing = Framing(1, bytes(32))
    call, ack = (
        Call(1000, bodies.encode(Get("@1/miss/0/500"))),
        Ack(1000, bodies.encode(Got(bytes(value_bytes), 1 << 40, True, 1))),
    )
    asked, answered = (framing.pack(Packet(1, 0, 1, 1, 2, 1, 1 << 60, message)) for message in (call, ack))
    return len(asked), len(answered)


def ping(port: int, request: bytes, n: int, spins: bool) -> float:
    """Send `n` datagrams, each after the answer to the one before; returns seconds.

    With `spins` the answer is looked for as a member does: first without sleeping, then in a poll.
    """
    from hydroscope.engine.sockets.member import SPIN_S

    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as ours:
        ours.connect(("127.0.0.1", port))
        ours.setblocking(False)
        poll = select.poll()
        poll.register(ours.fileno(), select.POLLIN)
        clock = time.perf_counter
        start = clock()
        for _ in range(n):
            ours.send(request)
            until = clock() + SPIN_S if spins else 0.0
            while True:
                try:
                    ours.recv(65_536)
                    break
                except BlockingIOError:
                    if clock() >= until:
                        poll.poll()
        return clock() - start


def fetch(port: int, n: int, n_bytes: int) -> tuple[float, list[bytearray]]:
    """Fetch `n` values over one TCP connection; returns the seconds, and the values."""
    values = [bytearray(n_bytes) for _ in range(n)]
    start = time.perf_counter()
    with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as stream:
        for i, value in enumerate(values):
            stream.sendall(bytes([i + 1]))
            room = memoryview(value)
            while room:
                room = room[stream.recv_into(room) :]
    return time.perf_counter() - start, values
