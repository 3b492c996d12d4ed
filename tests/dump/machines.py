"""Machines for tests: folders with rings of processes that live, are stopped or were killed, and posts there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hydroscope.engine.dump.post import Post
from hydroscope.ground.processes import state_and_start
from hydroscope.wire.dumps import Where, dump_key

SECRET = bytes(range(32))
KEY = dump_key(SECRET)
HOST = "127.0.0.1"

RECORDS = """
import sys
import hydroscope as hs
rec = hs.Recorder(sys.argv[1], seconds=0.1, folder=sys.argv[2])
for k in range(int(sys.argv[3])):
    rec.sent("peer", k, b"x" * 5)
print("ready", flush=True)
for line in sys.stdin:
    if line == "close\\n":
        rec.close()
        print("closed", flush=True)
"""

WAIT_S = 20.0


class Process:
    """A process that records so many messages as sent, and then waits."""

    def __init__(self, name: str, folder: Path, n: int = 100) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-c", RECORDS, name, str(folder), str(n)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.pid = self._process.pid
        assert self._hears() == "ready"

    def _hears(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """Let it close its ring."""
        assert self._process.stdin is not None
        self._process.stdin.write("close\n")
        self._process.stdin.flush()
        assert self._hears() == "closed"

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        await_that(lambda: (state_and_start(self.pid) or ("", 0))[0] == "T")

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def end(self) -> None:
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGCONT)
        self.kill()


def await_that(holds: object, within_s: float = WAIT_S) -> None:
    """Look until something holds, which must be soon."""
    assert callable(holds)
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "it does not come to hold"
        time.sleep(0.002)


@contextlib.contextmanager
def processes(folder: Path, *names: str, n: int = 100) -> Iterator[list[Process]]:
    """Within the block, these processes run."""
    running: list[Process] = []
    try:
        for name in names:
            running.append(Process(name, folder, n))
        yield running
    finally:
        for each in running:
            each.end()


@contextlib.contextmanager
def post_at(folder: Path, key: bytes = KEY, others: tuple[Where, ...] = ()) -> Iterator[Post]:
    """Within the block, somebody answers for the folder."""
    post = Post(HOST, key, lambda: "post", lambda: others, folder=folder)
    try:
        yield post
    finally:
        post.close()
