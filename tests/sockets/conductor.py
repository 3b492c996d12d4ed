"""Starts members as processes, tells them what to do, treats them badly, and always cleans up."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from tests.house.source import ROOT

DETECT_S = 2.0
"""Seconds after which members of a test cluster are given up."""

HANG_S = 60.0
"""Whatever takes longer hangs."""


class Refused(Exception):
    """What a command raised in its worker."""

    def __init__(self, kind: str, text: str, keys: list[str], seconds: float) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text
        self.keys = keys
        self.seconds = seconds


class Reply:
    """What a command will answer."""

    def __init__(self, worker: Worker, what: str) -> None:
        self._worker = worker
        self._what = what
        self._box: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.seconds = 0.0

    def set(self, answer: dict[str, Any] | None) -> None:
        self._box.put(answer)

    def result(self, within_s: float = HANG_S) -> Any:
        """Wait for the value; raises Refused for an error, AssertionError when the process died or hangs."""
        try:
            answer = self._box.get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"{self._worker}: {self._what} hangs for more than {within_s:.0f} s") from None
        assert answer is not None, f"{self._worker}: died during {self._what}"
        self.seconds = answer["seconds"]
        if "error" in answer:
            raise Refused(answer["error"], answer["text"], answer["keys"], answer["seconds"])
        return answer["value"]

    def error(self, within_s: float = HANG_S) -> Refused:
        """Wait for the error that must come."""
        try:
            value = self.result(within_s)
        except Refused as error:
            return error
        raise AssertionError(f"{self._worker}: {self._what} returned {value!r} instead of an error")

    def either(self, within_s: float = HANG_S) -> Any:
        """Wait for the value or the error, whichever it is."""
        try:
            return self.result(within_s)
        except Refused as error:
            return error


class Worker:
    """A process with a member in it."""

    def __init__(self, asked: dict[str, Any], prefix: list[str]) -> None:
        self._board = tempfile.NamedTemporaryFile(prefix="hydroscope-")  # noqa: SIM115 # closed in `close`
        self._board.write(bytes(8))
        self._board.flush()
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.sockets.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
        )  # fmt: skip
        self.asked = asked
        self.number = -1
        self.address = ""
        self.udp_port = self.tcp_port = 0
        self._replies: dict[int, Reply] = {}
        self._n = 0
        self._lock = threading.Lock()
        self.ready = self._replies[0] = Reply(self, "start")
        threading.Thread(target=self._listen, daemon=True).start()

    def __repr__(self) -> str:
        return f"member {self.number}"

    @property
    def place(self) -> int:
        """On which host it is, where there are several."""
        return int(self.asked["place"])

    def go(self, address: str) -> None:
        """Let it serve, or join the cluster at this address."""
        self._write({**self.asked, "address": address, "board": self._board.name})

    def wait(self, within_s: float = HANG_S) -> None:
        """Wait until it belongs to the cluster."""
        told = self.ready.result(within_s)
        self.number, self.address = told["number"], told["address"]
        self.udp_port, self.tcp_port = told["udp_port"], told["tcp_port"]

    def begin(self, do: str, *arguments: Any, thread: str = "main") -> Reply:
        """Give it a command."""
        with self._lock:
            self._n += 1
            reply = self._replies[self._n] = Reply(self, f"{do}{arguments!r:.60}")
            try:
                self._write({"id": self._n, "do": do, "arguments": arguments, "thread": thread})
            except OSError:
                reply.set(None)
        return reply

    def do(self, do: str, *arguments: Any, thread: str = "main", within_s: float = HANG_S) -> Any:
        """Give it a command and wait for the answer."""
        return self.begin(do, *arguments, thread=thread).result(within_s)

    def look(self, do: str, *arguments: Any) -> Any:
        """Like `do`, beside whatever is being done."""
        return self.do(do, *arguments, thread="look")

    def signal(self, number: int) -> None:
        """Send it a signal (`ip netns exec` replaces itself by what it runs)."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        self.process.wait(HANG_S)

    def close(self) -> None:
        """End it whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(HANG_S)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.stdout.close()
        self._board.close()

    @property
    def progress(self) -> int:
        """How much was confirmed to it; also after its death."""
        self._board.seek(0)
        return int.from_bytes(self._board.read(8), "little")

    def _write(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                answer = json.loads(line)
                self._replies.pop(answer["id"]).set(answer)
        except ValueError:  # closed, or cut off in the middle of a line
            pass
        for reply in list(self._replies.values()):
            reply.set(None)


class Cluster:
    """n members: `cluster[0]` is the authority. Options may be given for all, or by place in `each`."""

    def __init__(
        self,
        n: int,
        *,
        detect_s: float = DETECT_S,
        host: str | Callable[[int], str] = "127.0.0.1",
        prefix: Callable[[int], list[str]] = lambda _: [],
        each: dict[int, dict[str, Any]] | None = None,
        **options: Any,
    ) -> None:
        self.members: list[Worker] = []
        self.detect_s = detect_s
        self._n = n
        self._host = host
        self._prefix = prefix
        self._each = each or {}
        self._options = options
        self._secret = secrets.token_hex(32)

    def __enter__(self) -> Self:
        try:
            self.members += [self._start(i, "member" if i else "authority") for i in range(self._n)]
            first = self.members[0]
            first.go("")
            first.wait()
            for n_known, member in enumerate(self.members[1:], 2):  # one by one: numbers are given in this order
                member.go(first.address)
                until(lambda n=n_known: first.look("n_known") == n)
            for member in self.members[1:]:
                member.wait()
            assert [member.number for member in self.members] == list(range(self._n))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for member in self.members:
            member.close()

    def __getitem__(self, place: int) -> Worker:
        return self.members[place]

    def add(self, **options: Any) -> Worker:
        """Start one more (it holds replicas only)."""
        worker = self._start(options.pop("place", len(self.members)), "member", **options)
        self.members.append(worker)
        worker.go(self.members[0].address)
        return worker

    def _start(self, place: int, role: str, **options: Any) -> Worker:
        host = self._host if isinstance(self._host, str) else self._host(place)
        asked = {
            "role": role, "host": host, "secret": self._secret, "members": self._n, "detect_s": self.detect_s,
            "seed": 100 + place, "place": place,
            **self._options, **self._each.get(place, {}), **options,
        }  # fmt: skip
        return Worker(asked, self._prefix(place))


def until(what: Callable[[], object], within_s: float = 20, every_s: float = 0.02) -> None:
    """Look until `what` is true; fails when it is not within the time."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s"
        time.sleep(every_s)
