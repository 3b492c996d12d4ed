"""A cell: a process that may die, in which a suspect task runs alone.

The cell's process is fresh and has one thread. It is told the task once, and forks for every
trial, so that the fork can do its worst, the cell learns the exact wait status, and the next
trial (fewer rows) starts in milliseconds. Whoever is cancelled takes the cell along, and a
cell whose owner dies is ended by the kernel.

What crosses is pickled, between a worker and its own child.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import IO, Any

from hydroscope.engine.ray.exits import Traces, killed_by_kernel, memory_in_use, oom_counter, oom_kills
from hydroscope.ground.errors import HydroscopeError
from hydroscope.mapreduce import part
from hydroscope.mapreduce.run import map_leaves

__all__ = ["Cell", "Crashed", "task_text"]

_PROGRAM = "import sys; from hydroscope.engine.ray.cell import main; main(int(sys.argv[1]))"
_PDEATHSIG = 1

Rows = tuple[int, int]

THRESHOLD = "RAY_memory_usage_threshold"
"""The environment variable with the share of the memory at which Ray begins to kill workers."""

SHORT_OF_MEMORY = 0.02
"""Share of the memory by which a trial stays below where Ray begins to kill workers."""

WAIT_S = 0.02
"""At most, between two looks at a trial."""


class Crashed(Exception):
    """The trial's process ended: how (`Traces`), its pid, the bytes it held at most, and the seconds it ran."""

    def __init__(self, traces: Traces, pid: int, held_bytes: int, seconds: float) -> None:
        super().__init__(traces, pid, held_bytes, seconds)
        self.traces, self.pid, self.held_bytes, self.seconds = traces, pid, held_bytes, seconds


class Cell:
    """The owner's side. A context manager; the process ends with the block."""

    def __init__(self, dumps: Callable[[Any], bytes]) -> None:
        self._dumps = dumps
        ours, theirs = Pipe()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
        command = [sys.executable, "-c", _PROGRAM, str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL)
        theirs.close()
        self._pipe = ours

    def __enter__(self) -> Cell:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.wait()

    def lock_up(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Bring in the task."""
        self._pipe.send_bytes(self._dumps((function, arguments)))

    def run(self, rows: Rows | None, stopped_s: float) -> Any:
        """Run it in a fork (with only some rows of its own) and return its value; raise its error, or Crashed."""
        try:
            self._pipe.send((rows, stopped_s))
            kind, value = pickle.loads(self._pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise HydroscopeError(
                f"the process for suspect tasks ended (exit code {self._process.poll()}); see the worker's log"
            ) from error
        if kind == "value":
            return value
        raise value


def task_text(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[str, tuple[int, int] | None]:
    """Return what the user calls a task ("" for most) and the rows it works on, first and last."""
    if function is not map_leaves:
        return "", None
    first, end = part.rows_of(*arguments)
    return part.name_of(*arguments), (first, max(end - 1, first))


def main(descriptor: int) -> None:
    """Live in the cell: take the task, then fork a trial for each request, until the owner goes."""
    die_with_parent()
    pipe = Connection(descriptor)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        text = pipe.recv_bytes()
        try:
            function, arguments = pickle.loads(text)
        except Exception as error:
            function, arguments = None, error
        _settle()
        if function is map_leaves:
            part.warm_up()  # once here, and not in every fork
        while True:
            rows, stopped_s = pipe.recv()
            if function is None:
                pipe.send_bytes(_packed("error", arguments))
            else:
                pipe.send_bytes(_trial(function, arguments, rows, stopped_s))


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)


def _trial(function: Callable[..., Any], arguments: tuple[Any, ...], rows: Rows | None, stopped_s: float) -> bytes:
    """Run the task in a fork and return its value, its error, or how it ended, packed."""
    with tempfile.TemporaryFile() as result, tempfile.TemporaryFile() as stack:
        began = time.monotonic()
        n_oom_anywhere = oom_kills("")
        pid = os.fork()
        if pid == 0:
            _do(function, arguments, rows, result, stack)
        status, held_bytes, stopped, killed, crowded = _await(pid, stopped_s)
        result.seek(0)
        packed = result.read()
        if status == 0 and packed:
            return packed
        stack.seek(0)
        traces = Traces(
            status=status,
            oom_kills=killed if killed >= 0 else oom_kills("") - n_oom_anywhere,
            kernel=killed_by_kernel(pid, began),
            stopped_s=stopped,
            crowded=crowded,
            stack=stack.read().decode("utf-8", "replace").strip(),
        )
        return _packed("error", Crashed(traces, pid, held_bytes, time.monotonic() - began))


def _await(pid: int, stopped_s: float) -> tuple[int, int, float, int, float]:
    """Return wait status, most bytes held, seconds stopped if that killed it, OOM kills in its group (-1: unknown),
    and the share of memory in use if that killed it.

    Ray kills workers when memory runs short, and would not choose the cell, which it does not
    know, but the worker that owns it and others: so the cell goes before.
    """
    stopped_at: float | None = None
    stopped = crowded = 0.0
    limit = float(os.environ.get(THRESHOLD, "0.95")) - SHORT_OF_MEMORY
    counter = oom_counter(pid)
    n_oom = oom_kills(counter)
    options = os.WUNTRACED | os.WCONTINUED | os.WNOHANG
    pause = 0.0005
    while True:
        found, status, usage = os.wait4(pid, options)
        if found == 0:
            now = oom_counter(pid)
            if now and now != counter:  # it moved to another group
                counter, n_oom = now, oom_kills(now)
            if stopped_at is not None and time.monotonic() - stopped_at >= stopped_s and not stopped:
                stopped = time.monotonic() - stopped_at
                os.kill(pid, signal.SIGKILL)
            in_use = memory_in_use()
            if in_use >= limit and not crowded:
                crowded = in_use
                os.kill(pid, signal.SIGKILL)
            time.sleep(pause)
            pause = min(2 * pause, WAIT_S)
        elif os.WIFSTOPPED(status):
            stopped_at = time.monotonic()
        elif os.WIFCONTINUED(status):
            stopped_at = None
        else:
            return status, usage.ru_maxrss * 1024, stopped, oom_kills(counter) - n_oom if counter else -1, crowded


def _do(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    rows: Rows | None,
    result: IO[bytes],
    stack: IO[bytes],
) -> None:
    """Be the fork: run, leave the result behind, end."""
    die_with_parent()
    faulthandler.enable(stack, all_threads=False)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")  # should memory run out, this is the one to go
    try:
        if rows is not None:
            assert function is map_leaves, "only rows of maps are taken apart"
            arguments = part.part_of(*rows, *arguments)
        packed = _packed("value", function(*arguments))
    except BaseException as error:
        packed = _packed("error", error)
    result.write(packed)
    result.flush()
    os._exit(0)


def _settle() -> None:
    """Make this process a place for one task: one thread, nothing on the screen."""
    from hydroscope.engine.display import Display
    from hydroscope.engine.local import LocalEngine
    from hydroscope.engine.threads import ThreadHost
    from hydroscope.node import ports

    ports.install(LocalEngine(1))
    ports.install_host(ThreadHost(Display(enabled=False)))


def _packed(kind: str, value: Any) -> bytes:
    try:
        text = pickle.dumps((kind, value), protocol=5)
        if kind == "error":
            pickle.loads(text)
    except Exception:
        if kind == "value":
            try:
                from ray import cloudpickle

                return bytes(cloudpickle.dumps((kind, value)))
            except Exception as error:
                return _packed("error", HydroscopeError(f"a result cannot be sent between processes: {error}"))
        said = f"a task failed with an error that cannot be sent between processes:\n{type(value).__name__}: {value}"
        text = pickle.dumps((kind, HydroscopeError(said)))
    return text
