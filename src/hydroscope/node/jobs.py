"""Jobs: long work with progress, cancellation and a result.

A job is a small state machine (`TRANSITIONS`) around one call. The call runs on a thread of
its own (`start`) or in the caller's (`running`, which also shows progress). Code below asks
the job it runs in through the module functions `check` and `report`, which cost next to
nothing and do nothing when no job runs.

Progress comes from two sources. *Told*: the work calls `report`. *Counted*: as long as
nobody told anything, an engine's `map` reports the share of its items that are done (so a
call that is one map shows its progress for free). Inside `with share(a, b)` both are scaled
into that part of the job, and so is the progress of a job that runs inside a job.

Jobs that last are recorded where the other processes of a cluster see them (`node.records`).
"""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Literal

from hydroscope.ground.errors import CancelledError, InternalError, UserError
from hydroscope.node import ports
from hydroscope.node.records import Entry, JobRecord

__all__ = [
    "TRANSITIONS",
    "Job",
    "JobState",
    "check",
    "count",
    "current",
    "report",
    "running",
    "share",
    "start",
]


class JobState(StrEnum):
    """Where a job is in its life."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


Event = Literal["begin", "return", "raise", "stop"]
C, R, D, F, X = JobState  # the table reads better with one letter a state

TRANSITIONS: dict[JobState, dict[Event, JobState | None]] = {
    # `stop`: the work ended because it was cancelled. None: cannot happen, and raises.
    C: {"begin": R, "return": None, "raise": None, "stop": X},
    R: {"begin": None, "return": D, "raise": F, "stop": X},
    D: {"begin": None, "return": None, "raise": None, "stop": None},
    F: {"begin": None, "return": None, "raise": None, "stop": None},
    X: {"begin": None, "return": None, "raise": None, "stop": None},
}

_numbers = itertools.count(1)
_job: contextvars.ContextVar[Job | None] = contextvars.ContextVar("job", default=None)
_part: contextvars.ContextVar[tuple[float, float] | None] = contextvars.ContextVar("part", default=None)


class Job:
    """One piece of work: watch it, cancel it, wait for its result.

    Its state has one owner, the thread that does the work; `cancel` only asks.

    Attributes
    ----------
    id : int
        Counts from 1 in this process.
    description : str
    state : JobState
    progress : float
        0..1.
    message : str
        What the work said last.
    started, finished : float or None
        Seconds since 1970 UTC.
    ended : Latch
        Open once the state is DONE, FAILED or CANCELLED.
    parent : Job or None
        The job inside which this one was made: cancelling it cancels this one.
    """

    def __init__(self, description: str) -> None:
        self.id = next(_numbers)
        self.description = description
        self.state = JobState.CREATED
        self.progress = 0.0
        self.message = ""
        self.started: float | None = None
        self.finished: float | None = None
        self.ended: ports.Latch = ports.host().latch()
        self.parent = _job.get()
        self._part_of_parent = _part.get()
        self._told = False
        self._asked_to_stop = False
        self._entry: Entry | None = None
        self._value: Any = None
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        text = f"<Job {self.id} {self.description!r} {self.state} {self.progress:.0%}"
        return text + (f" ({self.message})>" if self.message else ">")

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked this job, or one around it, to stop."""
        job: Job | None = self
        while job is not None:
            if job._asked_to_stop:
                return True
            job = job.parent
        return False

    def cancel(self) -> bool:
        """Ask the work to stop; it does at its next check. False when it has ended already.

        Nothing that was loaded or computed before is lost. Cost: free.
        """
        self._asked_to_stop = True
        return self.state in (JobState.CREATED, JobState.RUNNING)

    def check(self) -> None:
        """Raise CancelledError when the job was cancelled, here or by another process."""
        job: Job | None = self
        stop = False
        while job is not None:
            if job._entry is not None:
                job._entry.look()
            stop = stop or job._asked_to_stop
            job = job.parent
        if stop:
            raise CancelledError(f"job {self.id} ({self.description}) was cancelled at {self.progress:.0%}")

    def update(self, fraction: float | None, message: str | None = None) -> None:
        """Tell how much is done (0..1, None: unchanged) and what is going on."""
        if fraction is not None:
            self._told = True
        self._show(fraction, message)

    def record(self, owner: str) -> JobRecord:
        """Return what other processes see of it; `owner` is how they name this one."""
        message = self.message if self._error is None else f"{type(self._error).__name__}: {self._error}"[:500]
        state, progress = str(self.state), self.progress
        return JobRecord(self.id, owner, self.description, state, progress, message, self.started, self.finished)

    def ask_to_stop(self) -> None:
        """Note that the job is to end at its next check."""
        self._asked_to_stop = True

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return what the work returned, or raise what it raised.

        Parameters
        ----------
        timeout : float or None
            Seconds to wait at most; the job goes on after a TimeoutError. Ctrl-C, too,
            ends the waiting and not the job: that is what `cancel` is for.
        """
        self._wait(timeout)
        if self._error is not None:
            raise self._error
        return self._value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the end and return the error the work raised, or None."""
        self._wait(timeout)
        return self._error

    def _wait(self, timeout: float | None) -> None:
        if self is _job.get():
            raise UserError(f"job {self.id} ({self.description}) cannot wait for itself; return instead")
        if not self.ended.wait(timeout):
            raise TimeoutError(
                f"job {self.id} ({self.description}) is at {self.progress:.0%} after {timeout} s; "
                "wait again with result(), or stop it with cancel()"
            )

    def _move(self, event: Event) -> None:
        after = TRANSITIONS[self.state][event]
        if after is None:
            raise InternalError(f"job {self.id} ({self.description}): {event!r} in state {self.state}")
        self.state = after

    def _begin(self, has_thread: bool) -> None:
        self._move("begin")
        self.started = ports.host().seconds()
        ports.host().note(self, self.state, None)
        if has_thread or self.parent is None:
            self._entry = Entry(self, self.started, has_thread)

    def _end(self, error: BaseException | None, value: object = None) -> None:
        """Close the job; the latch opens last, so that who waited sees everything else.

        Closing it again finishes what an interrupt cut short.
        """
        if self.state not in (JobState.CREATED, JobState.RUNNING):
            self.ended.open()
            return
        stopped = isinstance(error, (CancelledError, KeyboardInterrupt))
        self._error, self._value = error, value
        if error is None:
            self._show(1.0, None)
        self._move("stop" if stopped else "return" if error is None else "raise")
        self.finished = ports.host().seconds()
        ports.host().note(self, self.state, error)
        if self._entry is not None:
            self._entry.close()
        self.ended.open()

    def _show(self, fraction: float | None, message: str | None) -> None:
        if fraction is not None:
            self.progress = min(max(float(fraction), 0.0), 1.0)
        if message is not None:
            self.message = message
        if self._entry is not None:
            self._entry.look()
        parent = self.parent
        if parent is None or parent.state is not JobState.RUNNING:
            return
        if self._part_of_parent is not None:
            low, high = self._part_of_parent
            parent._show(low + (high - low) * self.progress, message)
        elif not parent._told:
            parent._show(self.progress, message)

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Do the work in this thread and keep what comes of it; never raises."""
        _job.set(self)
        _part.set(None)
        try:
            self.check()  # cancelled before it began: straight from CREATED to CANCELLED
            self._begin(has_thread=True)
            value = function(*args, **kwargs)
            ports.fence()  # what it put is there for whoever waited for it
        except BaseException as error:  # a thread has no caller: whoever asks for the result gets it
            self._end(error)
        else:
            self._end(None, value)


def start(function: Callable[..., Any], *args: Any, description: str | None = None, **kwargs: Any) -> Job:
    """Call `function(*args, **kwargs)` on a thread of its own and return its job at once.

    Parameters
    ----------
    function : callable
    description : str or None
        What to call the work; default: the function's name.

    Examples
    --------
    >>> import hydroscope.node.jobs as jobs
    >>> jobs.start(sum, [1, 2, 3]).result()
    6
    """
    name: str = getattr(function, "__name__", type(function).__name__)
    job = Job(description or name)
    ports.fence()  # what was put before is there for it
    context = contextvars.copy_context()
    ports.host().spawn(lambda: context.run(job._run, function, args, kwargs), job)
    return job


@contextmanager
def running(description: str) -> Generator[Job]:
    """Make the block a job of the caller's thread and show its progress while it lasts.

    A block inside another job becomes part of that one and is not shown by itself.
    """
    job = Job(description)
    hide: Callable[[], None] | None = None
    try:  # from here on, for Ctrl-C may arrive between any two steps
        _job.set(job)
        _part.set(None)
        job.check()
        job._begin(has_thread=False)
        if job.parent is None:
            hide = ports.host().show(job)
        yield job
        job._end(None)
    except BaseException as error:
        job._end(error)
        raise
    finally:
        _job.set(job.parent)
        _part.set(job._part_of_parent)
        if hide is not None:
            hide()


@contextmanager
def share(start: float, end: float, message: str | None = None) -> Generator[None]:
    """Let the block be the part `start`..`end` (0..1) of the running job.

    `report(f)` inside means start + (end - start) * f, and so do items of maps and jobs.
    """
    before = _part.get()
    low, high = before or (0.0, 1.0)
    width = high - low
    inner = (low + width * start, low + width * end)
    job = _job.get()
    if job is not None:
        job.update(inner[0], message)
    try:
        _part.set(inner)
        yield
    finally:
        _part.set(before)
    if job is not None:
        job.update(inner[1])


def current() -> Job | None:
    """Return the job this code runs in, or None."""
    return _job.get()


def check() -> None:
    """Raise CancelledError when the running job was cancelled; call it between pieces of work."""
    job = _job.get()
    if job is not None:
        job.check()


def report(fraction: float | None, message: str | None = None) -> None:
    """Tell the running job how much of it (of its `share`) is done, 0..1."""
    job = _job.get()
    if job is None:
        return
    if fraction is not None:
        low, high = _part.get() or (0.0, 1.0)
        fraction = low + (high - low) * min(max(fraction, 0.0), 1.0)
    job.update(fraction, message)


def count(done: int, n_items: int) -> None:
    """Report counted progress: for engines. It yields to what the work tells itself."""
    job = _job.get()
    if job is None or n_items == 0:
        return
    part = _part.get()
    if part is not None:
        job._show(part[0] + (part[1] - part[0]) * done / n_items, None)
    elif not job._told:
        job._show(done / n_items, None)
