"""What the upper floors need of an engine, as Protocols; the providers live on floor 9.

A *handle* stands for a value that may live elsewhere. On the local engine a handle is the
value itself; on Ray it is an object reference. Only `Engine.get` turns one into a value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hydroscope.ground.errors import InternalError

__all__ = ["Engine", "Handle", "current", "install", "on_first_use", "restore"]

Handle = Any


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

        Returns a list of handles, one an item (n_returns > 1: of tuples of handles).
        """

    def reduce(self, merge: Callable[[Any, Any], Any], handles: Sequence[Handle]) -> Any:
        """Merge the handles' values with the tree of `mapreduce.plan`, and return the value."""

    def parallel(self, function: Callable[[int], Any], n_items: int) -> list[Any]:
        """Call `function(i)` for i in range(n_items) on this process's threads; for kernels."""

    def shutdown(self) -> None:
        """Let go of threads and connections."""


_engine: Engine | None = None
_boot: Callable[[], Engine] | None = None


def on_first_use(boot: Callable[[], Engine]) -> None:
    """Say how to start the default engine when none was chosen."""
    global _boot
    _boot = boot


def current() -> Engine:
    """Return the engine in use; the first call starts the default one."""
    global _engine
    if _engine is None:
        if _boot is None:
            raise InternalError("no engine was installed and none can be started")
        _engine = _boot()
    return _engine


def install(engine: Engine | None) -> Engine | None:
    """Make `engine` the one in use and return the one that was."""
    global _engine
    before, _engine = _engine, engine
    return before


def restore(engine: Engine | None) -> None:
    """Undo an `install`."""
    install(engine)
