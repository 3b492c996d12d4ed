"""Another process for the benchmark of the store: a member of its cluster, and what its peers need there.

Reads one JSON object a line, does it, answers with one a line. Started by `Helper`.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks._harness import REPOSITORY, register_child

__all__ = ["Helper", "value_of"]

TIMEOUT_S: Final = 120
PIECE_BYTES: Final = 1 << 20


class Helper:
    """A handle on such a process; `environment`: variables that it has beside this one's."""

    def __init__(self, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._kv_helper"],
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        register_child(self._process)

    def tell(self, **order: Any) -> None:
        """Begin something; `answer` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Return what the order told first has come to."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], TIMEOUT_S)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise RuntimeError(f"the helper gave no answer within {TIMEOUT_S} s")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["answer"]

    def ask(self, **order: Any) -> Any:
        """Do something and return what it came to."""
        self.tell(**order)
        return self.answer()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=TIMEOUT_S)


def value_of(number: int, n_bytes: int) -> bytes:
    """Return bytes that differ from number to number and do not compress."""
    import numpy as np

    return np.random.default_rng(number).bytes(n_bytes)


def np_text(target: Any) -> Any:
    """Return 0 and 1 as texts."""
    import numpy as np

    return np.array(["no", "yes"])[target]


class _Here:
    """What the process can do."""

    def __init__(self) -> None:
        self._keys: Any = None
        self._frame: Any = None

    def connect(self, address: str, secret: str) -> str:
        from hydroscope.engine.sockets.start import connect

        self._keys = connect(address, bytes.fromhex(secret))
        return str(self._keys.me)

    def serve(self, members: int) -> list[str]:
        """Start a cluster; returns its address and secret."""
        from hydroscope.engine.sockets.start import serve

        self._keys = serve(members=members)
        return [str(self._keys.address), self._keys.secret.hex()]

    def leave(self) -> None:
        self._keys.shutdown()

    def cpu_s(self) -> float:
        """Return the processor time of this process so far."""
        return time.process_time()

    def read(self, prefix: str, n: int) -> list[float]:
        """Read keys that another process has; returns the seconds on the wall and of the processor."""
        return self._timed(lambda: [self._keys.get(f"{prefix}{i}") for i in range(n)])

    def stream(self, prefix: str, n: int, n_bytes: int) -> list[float]:
        """Put without waiting, until all have arrived; returns as `read`."""
        return self._timed(lambda: self.fill(prefix, n, n_bytes))

    def gbm_load(self, rows: int) -> int:
        """Make the table of the benchmark of gradient boosting, and train on it once."""
        import hydroscope as hs
        from benchmarks._gbm_data import numeric

        table = numeric(rows)
        self._frame = hs.Frame({**table.columns, "target": np_text(table.target)})
        self.gbm_fit(2)
        return rows

    def gbm_fit(self, trees: int) -> list[float]:
        """Train; returns as `read`."""
        import hydroscope as hs

        model = hs.GBMClassifier(n_estimators=trees, max_depth=6, min_rows=20, scoring_interval=trees, random_state=1)
        return self._timed(lambda: model.fit(self._frame, "target"))

    def _timed(self, work: Callable[[], object]) -> list[float]:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return [time.perf_counter() - wall, time.process_time() - cpu]

    def get(self, key: str) -> bool:
        return self._keys.get(key) is not None

    def fill(self, prefix: str, n: int, n_bytes: int) -> None:
        """Put values that cost nothing to make."""
        for i in range(n):
            self._keys.put(f"{prefix}{i}", b"%016d" % i + bytes(n_bytes - 16))
        self._keys.fence()

    def fill_big(self, prefix: str, n: int, n_bytes: int) -> str:
        """Put large values; returns the SHA-256 of all of them in order."""
        digest = hashlib.sha256()
        for i in range(n):
            value = value_of(i, n_bytes)
            digest.update(value)
            self._keys.put(f"{prefix}{i}", value, True)
        return digest.hexdigest()

    def count(self, key: str, n: int) -> float:
        """Add to a counter; returns seconds."""
        atomic = self._keys.atomic
        start = time.perf_counter()
        for _ in range(n):
            atomic(key, "add", 1)
        return time.perf_counter() - start

    def redis_count(self, port: int, key: str, n: int) -> float:
        """Add to a counter of Redis; returns seconds."""
        import redis

        client = redis.Redis(port=port)
        client.ping()
        start = time.perf_counter()
        for _ in range(n):
            client.incr(key)
        return time.perf_counter() - start

    def echo(self, n_bytes: int) -> int:
        """Answer datagrams with others of `n_bytes`, sleeping in a selector between them; returns the port."""
        ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        ours.bind(("127.0.0.1", 0))
        ours.setblocking(False)
        answer = bytes(n_bytes)

        def serve() -> None:
            poll = select.epoll()
            poll.register(ours.fileno(), select.EPOLLIN)
            while True:
                poll.poll()
                _, sender = ours.recvfrom(65_536)
                ours.sendto(answer, sender)

        threading.Thread(target=serve, daemon=True).start()
        return int(ours.getsockname()[1])

    def tcp(self, n: int, n_bytes: int) -> int:
        """Send the large values to whoever connects, one for each byte that is received; returns the port."""
        listener = socket.create_server(("127.0.0.1", 0))
        values = [value_of(i, n_bytes) for i in range(n)]

        def serve() -> None:
            while True:
                stream, _ = listener.accept()
                with stream:
                    while number := stream.recv(1):
                        stream.sendall(values[number[0] - 1])

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])


def _main() -> None:
    here = _Here()
    for line in sys.stdin:
        order = json.loads(line)
        do: Callable[..., Any] = getattr(here, order.pop("do"))
        try:
            said = {"answer": do(**order)}
        except Exception as error:  # the other side tells it
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    _main()
