"""What a worker does with an item: note it in its black box, run it, and look twice at one that was run before.

A task that Ray runs again was lost with its node, or is needed again because its result was
(lineage), or *it killed its worker*. The wardens know which. In the last case it runs in a
cell, a process of its own, and if it kills that too it is convicted: no third worker, and of a
map over rows the row that does it is found by halving.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import IO, Any

from hydroscope.engine import recording
from hydroscope.engine.local import LocalEngine, item_note
from hydroscope.engine.merge import merge_run
from hydroscope.engine.ray.box import Box
from hydroscope.engine.ray.warden import address_of, ask_deaths, ask_introduction, folder_of
from hydroscope.ground.errors import CancelledError
from hydroscope.node import ports
from hydroscope.node.deaths import Death, WorkerDied

__all__ = ["Place", "Worker", "enter_worker", "run_item", "run_merge"]

Place = tuple[int, int, float]
"""Number of the item, how many there are, and for how many seconds a process may be stopped."""

PULSE_S = 0.1
"""Between two notes of how much memory a worker holds."""

PRESENT_S = 0.3
"""For the node's warden to take hold of a new worker."""

KEYS_S = 30.0
"""For the driver to open the key/value store."""

HALVING_S = 60.0
"""To find the row that kills workers; then the rows found so far must do."""

OOM_DEATHS_MAX = 4
"""Workers that may be killed for memory while a task runs in them: it may be others that took the memory."""


def run_item(function: Callable[..., Any], n_returns: int, place: Place, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Run one item in a worker; returns its values, and the object that tells how it went."""
    value, ended = enter_worker().attend(function, function, arguments, place)
    if n_returns == 1:
        return value, ended
    assert len(value) == n_returns, f"{function!r} returned {len(value)} values, not {n_returns}"
    return *value, ended


def run_merge(merge: Callable[[Any, Any], Any], n_returns: int, place: Place, arguments: tuple[Any, ...]) -> Any:
    """Merge one run of partial results in a worker."""
    return enter_worker().attend(partial(merge_run, merge), merge, arguments, place)


@cache
def enter_worker() -> Worker:
    """Make this process a place for one task at a time: one thread, nothing on the screen, a black box. Done once."""
    from hydroscope.engine.display import Display
    from hydroscope.engine.threads import ThreadHost

    recording.recorder("worker")
    worker = Worker()
    ports.install(Bench(worker))
    ports.install_host(ThreadHost(Display(enabled=False)))
    return worker


class Bench(LocalEngine):
    """The engine inside an item: one thread, and the cluster's key/value store."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(1)
        self._worker = worker

    def open_keys(self) -> ports.Keys:
        """Join the cluster's store as a leaf. Cost: two round trips, once a worker."""
        return self._worker.join_keys()


class Worker:
    """This process, as a worker of Ray."""

    def __init__(self) -> None:
        import ray
        from ray._private import worker

        self._ray = ray
        self._core = worker.global_worker.core_worker
        self._context = ray.get_runtime_context()
        self._node, self._job = self._context.get_node_id(), self._context.get_job_id()
        session = worker._global_node.get_session_dir_path()
        self.box = Box(folder_of(session, self._job, self._node), {"worker": self._context.get_worker_id()})
        self._stack: IO[bytes] = open(self.box.path + ".stack", "wb")  # noqa: SIM115 - for as long as the process lives
        faulthandler.enable(self._stack, all_threads=False)
        atexit.register(self.box.goodbye)
        _note_exits(self.box)
        threading.Thread(target=self._pulse, name="hydroscope-pulse", daemon=True).start()
        self._present(address_of(self._job, self._node))

    def attend(
        self, function: Callable[..., Any], shown: Callable[..., Any], arguments: tuple[Any, ...], place: Place
    ) -> tuple[Any, tuple[Death, ...] | None]:
        """Run `function(*arguments)`; return its value and the deaths that it caused before (None: as usual)."""
        from hydroscope.engine.ray.cell import task_text

        attempt: int = self._core.get_current_task_attempt_number()
        task_id = self._context.get_task_id()
        name, rows = task_text(function, arguments)
        item = item_note(shown, place[0], place[1]).removeprefix("in ")
        task = f"{name}, {item}" if name else item
        with self.box.task({"id": task_id, "task": task, "rows": rows}, attempt), _recorded(task_id, shown, place):
            earlier = ask_deaths(self._job, self._node, task_id, attempt) if attempt else []
            if earlier == []:
                value = function(*arguments)
                ports.fence()  # what it put into the key/value store is there when its end is known
                return value, None
            deaths = tuple(earlier or ())  # when nobody can tell, it is a suspect
            return self._try_alone(function, arguments, (task, rows), deaths, place[2]), deaths

    def join_keys(self) -> ports.Keys:
        """Join the key/value store, as soon as the driver has opened it."""
        from hydroscope.engine.boot import boot_keys
        from hydroscope.engine.ray.keys import leaf_keys

        until = time.monotonic() + KEYS_S
        while (introduction := ask_introduction(self._job, self._node)) is None:
            if time.monotonic() > until:
                raise ports.EngineError(f"this cluster's key/value store was not open within {KEYS_S:.0f} s; try again")
            time.sleep(0.05)
        if not introduction.address:  # the driver is outside of the cluster
            return boot_keys()
        return leaf_keys(introduction, self._ray.util.get_node_ip_address())

    def _present(self, address: str) -> None:
        """Show this process to the node's warden, and let it take hold before anything can happen."""
        import socket

        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
                door.sendto(self.box.path.encode(), address)
        except OSError:  # there is none yet; it will look around when it comes
            return
        until = time.monotonic() + PRESENT_S
        while not self.box.watched and time.monotonic() < until:
            time.sleep(0.001)

    def _pulse(self) -> None:
        beat = threading.Event()
        while not beat.wait(PULSE_S):
            self.box.sample()

    def _try_alone(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        what: tuple[str, tuple[int, int] | None],
        earlier: tuple[Death, ...],
        stopped_s: float,
    ) -> Any:
        """Run a suspect in a cell; raise WorkerDied when it kills that, too."""
        from hydroscope.engine.ray.cell import Cell, Crashed

        if len([death for death in earlier if death.cause != "out of memory"]) >= 2 or len(earlier) >= OOM_DEATHS_MAX:
            raise WorkerDied(earlier)
        with Cell(self._ray.cloudpickle.dumps) as cell:
            cell.lock_up(function, arguments)
            try:
                return cell.run(None, stopped_s)
            except Crashed as crash:
                death = self._death(crash, what)
            raise WorkerDied((*earlier, self._narrowed(cell, death, stopped_s)))

    def _narrowed(self, cell: Any, death: Death, stopped_s: float) -> Death:
        """Halve the rows as long as one half kills the cell; return the last death."""
        from hydroscope.engine.ray.cell import Crashed

        if death.rows is None or death.cause == "out of memory":
            return death
        first, until = death.rows[0], time.monotonic() + HALVING_S
        low, high = 0, death.rows[1] - first + 1
        while high - low > 1 and time.monotonic() < until:
            middle = (low + high) // 2
            for part in ((low, middle), (middle, high)):
                try:
                    cell.run(part, min(stopped_s, 1.0))
                except Crashed as crash:
                    low, high = part
                    found = self._death(crash, (death.task, (first + low, first + high - 1)))
                    death = replace(found, task=death.task)
                    break
                except Exception:  # of half the rows it raises: that is no death
                    continue
            else:
                break
        return death

    def _death(self, crash: Any, what: tuple[str, tuple[int, int] | None]) -> Death:
        cause, name, code, evidence = crash.traces.conclude()
        return Death(
            cause=cause,
            signal=name,
            exit_code=code,
            pid=crash.pid,
            node=f"{self._ray.util.get_node_ip_address()} ({self._node[:8]})",
            task=what[0],
            rows=what[1],
            rss=crash.held_bytes,
            seconds=crash.seconds,
            evidence=("alone in a process of its own", *evidence),
            stack=crash.traces.stack,
        )


@contextmanager
def _recorded(task: str, shown: Callable[..., Any], place: Place) -> Iterator[None]:
    """Record that a task begins and ends, and if it fails, how."""
    here = recording.lane()
    if here is None:
        yield
        return
    ident = recording.task_id(task)
    text = recording.item_text(recording.name_of(shown), place[0], place[1])
    here.started(ident, text)
    try:
        yield
    except Exception as error:
        if not isinstance(error, CancelledError):
            here.failed(error, ident)
        raise
    finally:
        here.ended(ident, text)


def _note_exits(box: Box) -> None:
    """Have os._exit leave a trace, for kernels that tell the wait status to parents only."""
    leave = os._exit

    def leaving(status: int) -> Any:
        box.leaving(status)
        leave(status)

    os._exit = leaving
