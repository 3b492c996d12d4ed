"""What the upper floors need of an engine, as Protocols; the providers live on floor 9.

A *handle* stands for a value that may live elsewhere. On the local engine a handle is the
value itself; on Ray it is an object reference. Only `Engine.get` turns one into a value.

This module also keeps which providers are in use: one engine and one host a process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hydroscope.ground.errors import HydroscopeError, InternalError

__all__ = [
    "Engine",
    "EngineError",
    "Handle",
    "Host",
    "Latch",
    "Progress",
    "current",
    "host",
    "install",
    "install_host",
    "on_first_use",
    "restore",
]

Handle = Any


class EngineError(HydroscopeError):
    """A worker, or the way to it, was lost; the frames that were loaded are still there."""


class Engine(Protocol):
    """A place where work runs.

    Rules every provider keeps: results come in the order of the items; the first error in
    that order is raised and the rest is cancelled; the running job (`node.jobs.current`)
    is told of progress and asked for cancellation between items; nothing waits for ever.
    """

    name: str
    n_threads: int

    def put(self, value: object) -> Handle:
        """Return a handle for `value`."""

    def get(self, handle: Handle) -> Any:
        """Return the value of one handle (a list of handles: the list of values)."""

    def map(
        self, function: Callable[..., Any], items: Sequence[tuple[Any, ...]], n_returns: int = 1
    ) -> list[Handle] | list[tuple[Handle, ...]]:
        """Call `function(*item)` for every item, handles among its arguments resolved.

        Returns a list of handles, one an item (n_returns > 1: of tuples of handles). Only
        handles that are arguments themselves are resolved, not those inside a list.
        """

    def reduce(self, merge: Callable[[Any, Any], Any], handles: Sequence[Handle]) -> Any:
        """Merge the handles' values with the tree of `mapreduce.plan`, and return the value.

        `merge(left, right)` returns a new value and changes neither: values that came
        from another process are read-only.
        """

    def parallel(self, function: Callable[[int], Any], n_items: int) -> list[Any]:
        """Call `function(i)` for i in range(n_items) on this process's threads; for kernels."""

    def shutdown(self) -> None:
        """Let go of threads and connections."""


class Latch(Protocol):
    """A gate that opens once and stays open."""

    def open(self) -> None:
        """Let everybody through, now and later; from any thread, any number of times."""

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is open; False when `timeout_s` went by first."""


class Progress(Protocol):
    """What a display reads of a job."""

    @property
    def description(self) -> str:
        """What is being done."""

    @property
    def progress(self) -> float:
        """How much of it is done, 0..1."""

    @property
    def message(self) -> str:
        """What is going on just now."""

    @property
    def ended(self) -> Latch:
        """Open once there is nothing more to show."""

    def cancel(self) -> bool:
        """Ask for an early end."""


class Host(Protocol):
    """What this process lends to jobs: threads, gates, a clock, a place to show progress."""

    def spawn(self, function: Callable[[], object], job: Progress) -> None:
        """Run `function` on a thread of its own that does not keep the process from ending."""

    def latch(self) -> Latch:
        """Return a closed gate."""

    def seconds(self) -> float:
        """Return the time since 1970 UTC."""

    def show(self, job: Progress) -> Callable[[], None]:
        """Show the job's progress if it lasts; the function returned waits until that is off the screen."""


_engine: Engine | None = None
_host: Host | None = None
_boot_engine: Callable[[], Engine] | None = None
_boot_host: Callable[[], Host] | None = None


def on_first_use(boot_engine: Callable[[], Engine], boot_host: Callable[[], Host]) -> None:
    """Say how to start the default engine and the host when none was chosen."""
    global _boot_engine, _boot_host
    _boot_engine, _boot_host = boot_engine, boot_host


def current() -> Engine:
    """Return the engine in use; the first call starts the default one."""
    global _engine
    if _engine is None:
        if _boot_engine is None:
            raise InternalError("no engine was installed and none can be started")
        _engine = _boot_engine()
    return _engine


def install(engine: Engine | None) -> Engine | None:
    """Make `engine` the one in use and return the one that was."""
    global _engine
    before, _engine = _engine, engine
    return before


def restore(engine: Engine | None) -> None:
    """Undo an `install`."""
    install(engine)


def host() -> Host:
    """Return the host of this process; the first call starts it."""
    global _host
    if _host is None:
        if _boot_host is None:
            raise InternalError("no host was installed and none can be started")
        _host = _boot_host()
    return _host


def install_host(provider: Host | None) -> Host | None:
    """Make `provider` the host and return the one that was."""
    global _host
    before, _host = _host, provider
    return before
