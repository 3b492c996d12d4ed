"""The warden of a node: an actor that holds on to every worker there and says how it ended.

It opens a descriptor of each worker process while that lives, so that the kernel tells it of
the end at once, with the wait status, though another process (Ray's) is the parent. It reads
the worker's black box, and counts what the kernel killed for memory. A process that is stopped
(SIGSTOP) answers nobody and would be waited for without end: after `stopped_s` it is killed,
and its task runs elsewhere.

It runs nothing of the user's and takes no CPU slot.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hydroscope.engine.ray.box import SUFFIX, Remains, is_watched, read_box
from hydroscope.engine.ray.exits import Traces, killed_by_kernel, oom_counter, oom_kills, state_of, status_of
from hydroscope.engine.recording import recorder
from hydroscope.ground.processes import memory_held, start_ticks
from hydroscope.node.deaths import Death

if TYPE_CHECKING:
    from hydroscope.engine.sockets.keys import SocketKeys

__all__ = [
    "Introduction",
    "NodeWarden",
    "Warden",
    "address_of",
    "ask_deaths",
    "ask_introduction",
    "folder_of",
    "name_of",
]

LOOK_EVERY_MS = 250
"""Between two looks at the states of workers and at new ones."""

ASK_S = 3.0
"""For the wardens of other nodes to answer; one that does not went with its node, though Ray may not know that yet."""

END_WAIT_S = 2.0
"""How long an end that must have happened is waited for: memory is given back before it shows."""


def folder_of(session: str, job: str, node: str) -> str:
    """Return where the boxes of a node's workers lie."""
    return os.path.join(session, "hydroscope", job, node)


def name_of(node: str) -> str:
    """Return the name by which a node's warden is found."""
    return f"hydroscope-warden-{node}"


def address_of(job: str, node: str) -> str:
    """Return the (abstract) socket at which new workers present themselves."""
    return f"\0hydroscope-{job}-{node}"


def desk_of(job: str, node: str) -> str:
    """Return the socket at which a worker asks who died of its task."""
    return f"\0hydroscope-desk-{job}-{node}"


class Introduction(msgspec.Struct, frozen=True):
    """What a process needs to join the key/value store: address ("": there is none) and secret (hexadecimal)."""

    address: str
    secret: str
    detect_s: float


def ask_deaths(job: str, node: str, task: str, attempt: int) -> list[Death] | None:
    """Ask the warden of this node what earlier attempts of a task did; None when nobody can tell."""
    answer = _ask_desk(job, node, f"deaths {task} {attempt}")
    return None if answer is None else msgspec.json.decode(answer, type=list[Death] | None)


def ask_introduction(job: str, node: str) -> Introduction | None:
    """Ask the warden of this node how to join the key/value store; None when it is not open (yet)."""
    answer = _ask_desk(job, node, "introduction")
    return None if answer is None else msgspec.json.decode(answer, type=Introduction | None)


def _ask_desk(job: str, node: str, question: str) -> bytes | None:
    """Ask the warden of this node.

    Not through Ray: a task that waits for Ray gives up its CPU, and gets a new worker started.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as desk:
            desk.settimeout(3 * ASK_S)
            desk.connect(desk_of(job, node))
            desk.sendall(question.encode())
            return b"".join(iter(lambda: desk.recv(65_536), b"")) or None
    except OSError:
        return None


def _is_of_this_user(asker: socket.socket) -> bool:
    """Tell whether the process at the other end runs as the same user: others on this machine get no answer."""
    _, uid, _ = struct.unpack("3i", asker.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return bool(uid == os.getuid())


@dataclass
class Watched:
    """One worker. Owned by the warden's thread."""

    path: str
    pid: int
    ticks: int
    pidfd: int
    counter: str = ""
    n_oom: int = 0
    held_bytes: int = 0
    stopped_at: float | None = None
    stopped_s: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)
    ended_at: float = 0.0
    status: int | None = None
    oom_delta: int = 0


class Warden:
    """Watches the workers of one job on one node.

    Parameters
    ----------
    folder : str
        Where their boxes lie.
    job, node, host : str
    stopped_s : float
        Seconds for which a worker may be stopped.
    """

    def __init__(self, folder: str, job: str, node: str, host: str, stopped_s: float) -> None:
        os.makedirs(folder, exist_ok=True)
        self._folder, self._node, self._stopped_s = folder, f"{host} ({node[:8]})", stopped_s
        self._introduction: Introduction | None = None
        self._watched: dict[str, Watched] = {}
        self._poll = select.poll()
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._door.setblocking(False)
        self._door.bind(address_of(job, node))
        desk = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        desk.bind(desk_of(job, node))
        desk.listen(128)
        threading.Thread(target=self._serve, args=(desk,), name="hydroscope-desk", daemon=True).start()
        self._poll.register(self._door, select.POLLIN)
        threading.Thread(target=self._watch, name="hydroscope-warden", daemon=True).start()

    def ready(self) -> int:
        """Return this process's id, once it watches."""
        return os.getpid()

    def introduce(self, introduction: Introduction) -> None:
        """Learn how this node's workers join the key/value store."""
        self._introduction = introduction

    def deaths_of(self, task: str, attempt: int) -> list[Death]:
        """Return the deaths in the middle of earlier attempts of a task (a Ray task id), on this node."""
        found = []
        for path in sorted(Path(self._folder).glob(f"*{SUFFIX}")):
            remains = read_box(path)
            if remains is None or not remains.running or remains.goodbye:
                continue
            if remains.note.get("id") == task and remains.attempt < attempt and self._has_ended(remains, str(path)):
                found.append((remains.attempt, self._death(remains, str(path))))
        return [death for _, death in sorted(found, key=lambda each: each[0])]

    def ended(self) -> list[Death]:
        """Return all deaths on this node, those of idle workers too; orderly ends are none."""
        found = []
        for path, watched in list(self._watched.items()):
            remains = read_box(path)
            if remains is not None and watched.ended.is_set() and not remains.goodbye:
                death = self._death(remains, path)
                if death.cause not in ("exit code 0", "SIGTERM"):  # how Ray lets idle workers go
                    found.append(death)
        return found

    def workers(self) -> list[dict[str, Any]]:
        """Return what every worker that lives is doing."""
        shown = []
        for path, watched in list(self._watched.items()):
            remains = read_box(path)
            if remains is None or watched.ended.is_set():
                continue
            task = str(remains.note.get("task", "")) if remains.running else ""
            seconds = time.monotonic() - remains.began if remains.running else 0.0
            held = memory_held(watched.pid)
            shown.append(
                {"pid": watched.pid, "task": task, "seconds": seconds, "state": state_of(watched.pid), "rss": held}
            )
        return shown

    def all_deaths_of(self, task: str, attempt: int) -> list[Death] | None:
        """Return the deaths in earlier attempts of a task on all nodes; None when that is not known."""
        return self.deaths_of(task, attempt)

    def _serve(self, desk: socket.socket) -> None:
        while True:
            asker, _ = desk.accept()
            threading.Thread(target=self._answer, args=(asker,), daemon=True).start()

    def _answer(self, asker: socket.socket) -> None:
        with asker, contextlib.suppress(OSError, ValueError):
            asker.settimeout(ASK_S)
            if not _is_of_this_user(asker):
                return
            match asker.recv(4096).decode().split():
                case ["deaths", task, attempt]:
                    asker.sendall(msgspec.json.encode(self.all_deaths_of(task, int(attempt))))
                case ["introduction"]:
                    asker.sendall(msgspec.json.encode(self._introduction))

    def _watch(self) -> None:
        looked = 0.0
        while True:
            for descriptor, _ in self._poll.poll(LOOK_EVERY_MS):
                if descriptor == self._door.fileno():
                    self._let_in()
                else:
                    self._bury(descriptor)
            now = time.monotonic()
            if now - looked >= LOOK_EVERY_MS / 1000:
                looked = now
                self._look(now)

    def _let_in(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._hold_on(self._door.recv(4096).decode())

    def _hold_on(self, path: str) -> None:
        remains = read_box(path)
        if remains is None or path in self._watched:
            return
        try:
            pidfd = os.pidfd_open(remains.pid)
        except OSError:  # it ended before
            return
        if start_ticks(remains.pid) != remains.ticks:
            os.close(pidfd)
            return
        watched = Watched(path, remains.pid, remains.ticks, pidfd, oom_counter(remains.pid))
        watched.n_oom = oom_kills(watched.counter)
        self._watched[path] = watched
        self._poll.register(pidfd, select.POLLIN)
        with contextlib.suppress(OSError):
            is_watched(path)

    def _bury(self, pidfd: int) -> None:
        self._poll.unregister(pidfd)
        for watched in self._watched.values():
            if watched.pidfd == pidfd:
                watched.status, watched.ended_at = status_of(watched.pid, pidfd), time.monotonic()
                watched.oom_delta = oom_kills(watched.counter) - watched.n_oom
                watched.ended.set()
        os.close(pidfd)

    def _look(self, now: float) -> None:
        for entry in os.scandir(self._folder):
            if entry.name.endswith(SUFFIX):
                self._hold_on(entry.path)
        for watched in self._watched.values():
            if watched.ended.is_set():
                continue
            watched.held_bytes = memory_held(watched.pid) or watched.held_bytes
            counter = oom_counter(watched.pid)
            if counter != watched.counter:
                watched.counter, watched.n_oom = counter, oom_kills(counter)
            if state_of(watched.pid) != "T":
                watched.stopped_at = None
                watched.n_oom = oom_kills(watched.counter)
                continue
            watched.stopped_at = watched.stopped_at or now
            if now - watched.stopped_at >= self._stopped_s and not watched.stopped_s:
                watched.stopped_s = now - watched.stopped_at
                with contextlib.suppress(OSError):
                    signal.pidfd_send_signal(watched.pidfd, signal.SIGKILL)

    def _has_ended(self, remains: Remains, path: str) -> bool:
        watched = self._watched.get(path)
        if watched is not None:
            return watched.ended.wait(END_WAIT_S)
        return start_ticks(remains.pid) != remains.ticks or state_of(remains.pid) in ("Z", "X")

    def _death(self, remains: Remains, path: str) -> Death:
        watched = self._watched.get(path)
        stack = ""
        with contextlib.suppress(OSError):
            stack = Path(path + ".stack").read_text(errors="replace").strip()
        traces = Traces(
            status=None if watched is None else watched.status,
            left_code=remains.left_code,
            oom_kills=0 if watched is None else watched.oom_delta,
            kernel=killed_by_kernel(remains.pid, remains.ticks / os.sysconf("SC_CLK_TCK")),
            ray=_verdict(remains.about.get("worker", "")),
            stopped_s=0.0 if watched is None else watched.stopped_s,
            stack=stack,
        )
        cause, name, code, evidence = traces.conclude()
        note = remains.note if remains.running else {}
        rows = note.get("rows")
        return Death(
            cause=cause,
            signal=name,
            exit_code=code,
            pid=remains.pid,
            node=self._node,
            task=str(note.get("task", "")),
            rows=None if rows is None else (int(rows[0]), int(rows[1])),
            rss=max(remains.held_bytes, 0 if watched is None else watched.held_bytes) or None,
            seconds=max(watched.ended_at - remains.began, 0.0) if watched is not None and note else None,
            evidence=evidence,
            stack=stack,
        )


class NodeWarden(Warden):
    """The warden as an actor: it finds out where it is."""

    def __init__(self, stopped_s: float) -> None:
        import ray
        from ray._private import worker

        recorder("warden")
        context = ray.get_runtime_context()
        node, job = context.get_node_id(), context.get_job_id()
        folder = folder_of(worker._global_node.get_session_dir_path(), job, node)
        self._ray, self._me = ray, node
        self._keys: SocketKeys | None = None
        super().__init__(folder, job, node, ray.util.get_node_ip_address(), stopped_s)

    def join(self, introduction: Introduction) -> int:
        """Become a home of the key/value store; return the number of this member, before the store is open."""
        from hydroscope.engine.sockets.start import connect

        host = self._ray.util.get_node_ip_address()
        secret = bytes.fromhex(introduction.secret)
        self._keys = keys = connect(introduction.address, secret, host=host, detect_s=introduction.detect_s)
        return int(keys.socket.member.number)

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """Learn a function for `atomic`."""
        if self._keys is not None:
            self._keys.register(name, function)

    def live(self) -> None:
        """Never return: who waits for it learns when this process ends."""
        threading.Event().wait()

    def all_deaths_of(self, task: str, attempt: int) -> list[Death] | None:
        """Ask the others, too."""
        found = self.deaths_of(task, attempt)
        if found:
            return found
        asked = [warden.deaths_of.remote(task, attempt) for warden in self._others()]
        answered, _ = self._ray.wait(asked, num_returns=len(asked), timeout=ASK_S) if asked else ([], [])
        for each in answered:
            with contextlib.suppress(self._ray.exceptions.RayError):  # it went with its node: nobody's fault
                found += self._ray.get(each)
        return found

    def _others(self) -> Iterable[Any]:
        for node in self._ray.nodes():
            if node["Alive"] and node["NodeID"] != self._me:
                with contextlib.suppress(ValueError):  # no warden there (yet)
                    yield self._ray.get_actor(name_of(node["NodeID"]))


def _verdict(worker: str) -> str:
    """Return what Ray wrote down about the end of a worker, "" if nothing."""
    from ray._private.state import state
    from ray.core.generated import gcs_pb2

    with contextlib.suppress(Exception):  # Ray's own tables: of any version, and only ever a second opinion
        for row in state._connect_and_get_accessor().get_worker_table():
            data = gcs_pb2.WorkerTableData.FromString(row)
            if data.worker_address.worker_id.hex() == worker and not data.is_alive:
                return str(data.exit_detail)
    return ""
