"""Threads of this process: the crew that helps with batches, and the host of jobs.

Only C-level locks are used, and never held while Python code that may be interrupted runs:
Ctrl-C arrives in the main thread between any two bytecodes, and `threading.Condition` (so
also `Event` and `Queue`) may then be left locked for good. Threads are daemons, so that a
running job never keeps the process from ending.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

from hydroscope.engine.display import Display
from hydroscope.engine.latch import Latch
from hydroscope.engine.recording import lane, task_id
from hydroscope.node.ports import Progress

__all__ = ["Crew", "ThreadHost", "Ticket"]

EXIT_WAIT_S = 2.0
"""Seconds given to cancelled jobs at the end of the process before they are abandoned."""


class Ticket(Protocol):
    """An invitation to help."""

    def help(self) -> None:
        """Work until there is nothing left to take; never raises."""


class Crew:
    """Daemon threads that take tickets, started when the first ticket comes."""

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._tickets: SimpleQueue[Ticket | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._threads: list[threading.Thread] = []

    def invite(self, ticket: Ticket, n_helpers: int) -> None:
        """Ask up to `n_helpers` idle threads to help with `ticket`; returns at once."""
        if len(self._threads) < self.n_threads:
            self._start()
        for _ in range(min(n_helpers, self.n_threads)):
            self._tickets.put(ticket)

    def dismiss(self) -> None:
        """Let the threads end once they are idle."""
        for _ in self._threads:
            self._tickets.put(None)
        self._threads = []

    def _start(self) -> None:
        with self._starting:
            while len(self._threads) < self.n_threads:
                name = f"hydroscope-{len(self._threads) + 1}"
                thread = threading.Thread(target=_serve, args=(self._tickets,), name=name, daemon=True)
                thread.start()
                self._threads.append(thread)


def _serve(tickets: SimpleQueue[Ticket | None]) -> None:
    """Help until dismissed; holds no ticket (nor the data it refers to) while it waits."""
    while (ticket := tickets.get()) is not None:
        ticket.help()
        del ticket


class ThreadHost:
    """The provider of `node.ports.Host`: threads, gates, the clock, a display of progress, the flight recorder."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self._live: weakref.WeakSet[Progress] = weakref.WeakSet()
        atexit.register(self._at_exit)

    def spawn(self, function: Callable[[], object], job: Progress) -> None:
        """Run `function` on a daemon thread; at the end of the process `job` is cancelled."""
        self._live.add(job)
        threading.Thread(target=function, name=f"hydroscope-{job.description}", daemon=True).start()

    def latch(self) -> Latch:
        """Return a closed gate."""
        return Latch()

    def seconds(self) -> float:
        """Return the time since 1970 UTC."""
        return time.time()

    def show(self, job: Progress) -> Callable[[], None]:
        """Show the job's progress if it lasts; the function returned waits until that is off the screen."""
        return self.display.show(job)

    def note(self, job: Progress, state: str, error: BaseException | None) -> None:
        """Record that a job has begun, or how it ended."""
        here = lane()
        if here is None:
            return
        ident, text = task_id("job", os.getpid(), job.id), f"job {job.description}"
        if state == "RUNNING":
            here.started(ident, text)
            return
        if state == "FAILED" and error is not None:
            here.failed(error, ident)
        here.ended(ident, f"{state} {text}")

    def _at_exit(self) -> None:
        """Cancel what still runs and give it a moment, so that no thread is cut off inside a library."""
        live = list(self._live)
        for job in live:
            job.cancel()
        deadline = time.monotonic() + EXIT_WAIT_S
        for job in live:
            job.ended.wait(deadline - time.monotonic())
