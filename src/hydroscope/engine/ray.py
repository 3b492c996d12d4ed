"""The Ray engine: the same work as Ray tasks over chunks held as Ray objects. The only import of Ray.

A handle is a Ray object reference. What tasks return stays where it was made, and because
a task made it Ray can make it again (lineage) when the node that held it is lost. Each
task returns, beside its values, an empty object that tells how it ended: the driver waits
for those and never fetches a value to learn of an error.

Ray pickles what crosses processes; that is Ray's business and the reason why this engine is
for machines you trust. One that is started here listens on the loopback interface only.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from typing import Any, Never

from hydroscope.engine.local import LocalEngine, item_note
from hydroscope.engine.merge import merge_run
from hydroscope.ground.errors import CancelledError, HydroscopeError, UserError
from hydroscope.mapreduce.plan import reduce_levels
from hydroscope.node import jobs, ports
from hydroscope.node.ports import EngineError, Handle

__all__ = ["RayEngine", "connect"]

TASKS_PER_CPU = 4
"""Tasks in flight for each CPU: enough that none idles while the driver hands over more."""

LOOK_EVERY_S = 0.1
"""Seconds between two looks at whether the job was cancelled, while tasks run."""

KNOCK_S = 5.0
"""Seconds for a cluster to answer the door."""

DOORMEN = 3
"""Times to ask for a process behind the client port: Ray gives the first on a cold machine 30 s to start, too few."""

_UNHANDLED = "RAY_IGNORE_UNHANDLED_ERRORS"
"""Ray logs errors that nobody fetched: of items after the first that failed, nobody does."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a FutureWarning about GPUs
}
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""How Ray is told to use 127.0.0.1, on Linux too: given as an address, it would be replaced by an outward one."""


def connect(address: str | None, n_threads: int | None, memory_bytes: int | None, n_threads_here: int = 1) -> RayEngine:
    """Attach to a Ray cluster, or start one on this machine.

    Parameters
    ----------
    address : str or None
        "ray://host:port", or None: the one this process is attached to already, else that
        of the environment variable RAY_ADDRESS, else a new one.
    n_threads, memory_bytes : int or None
        CPUs and size of the object store of a new one; None: `n_threads_here`, what Ray thinks fit.
    n_threads_here : int
        Threads of this process, for `parallel`.
    """
    with _environment(_QUIET):
        try:
            import ray
        except ImportError as error:
            raise UserError("the Ray engine needs the package ray: pip install 'hydroscope[ray]'") from error
        if ray.is_initialized() and address is None:
            _refuse_sizes("in use in this process", n_threads, memory_bytes)
            return RayEngine(ray, False, n_threads_here)
        address = address or os.environ.get("RAY_ADDRESS") or None
        try:
            if address is None:
                _start(ray, n_threads or n_threads_here, memory_bytes)
            else:
                _refuse_sizes(f"at {address!r}", n_threads, memory_bytes)
                _attach(ray, address)
        except HydroscopeError:
            raise
        except Exception as error:
            where = f"at {address!r}" if address else "on this machine"
            step = (
                "if it asks for a token, set RAY_AUTH_MODE=token and give it this user's ~/.ray/auth_token"
                if address
                else "use init('local')"
            )
            raise EngineError(f"no Ray could be reached {where}: {_first_line(error)}; {step}") from error
    return RayEngine(ray, True, n_threads_here)


class RayEngine:
    """Runs work as tasks of a Ray cluster; a handle is an object reference.

    Parameters
    ----------
    ray : module
    owns : bool
        Whether `shutdown` ends the connection (and the cluster, if it was started by it).
    n_threads_here : int
        Threads of this process, for `parallel`.
    """

    name = "ray"

    def __init__(self, ray: Any, owns: bool, n_threads_here: int) -> None:
        self._ray = ray
        self._owns = owns
        self._closed = False
        self._ignores_unhandled = os.environ.get(_UNHANDLED)
        os.environ[_UNHANDLED] = "1"
        self.n_threads = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._max_in_flight = self.n_threads * TASKS_PER_CPU
        self._here = LocalEngine(n_threads_here)
        self._ref_type = type(ray.put(None))  # a driver outside the cluster (ray://) has references of its own type
        self._task = lru_cache(maxsize=256)(self._make_task)

    def __repr__(self) -> str:
        return f"<hydroscope engine: ray, {self.n_threads} CPU{'s' * (self.n_threads > 1)}>"

    def put(self, value: object) -> Handle:
        """Copy `value` into the object store. Cost: its bytes. For data of the driver only:
        what is put cannot be made again if its node is lost."""
        self._check_open()
        return self._ray.put(value)

    def get(self, handle: Handle) -> Any:
        """Fetch the value (of each handle of a list). Cost: its bytes, once a node."""
        self._check_open()
        handles = handle if isinstance(handle, list) else [handle]
        refs = [each for each in handles if self._is_ref(each)]
        try:
            self._bring(refs)
            fetched = iter(self._ray.get(refs))
        except self._ray.exceptions.RayError as error:
            _raise_home(self._ray, error, "while fetching a value")
        values = [next(fetched) if self._is_ref(each) else each for each in handles]
        return values if isinstance(handle, list) else values[0]

    def _bring(self, refs: list[Any]) -> None:
        """Wait until values are here (or lost), and look now and then whether the job was cancelled."""
        missing = list(dict.fromkeys(refs)) if jobs.current() is not None else []
        while missing:
            jobs.check()
            _, missing = self._ray.wait(missing, num_returns=len(missing), timeout=LOOK_EVERY_S)

    def map(
        self, function: Callable[..., Any], items: Sequence[tuple[Any, ...]], n_returns: int = 1
    ) -> list[Handle] | list[tuple[Handle, ...]]:
        """Call `function(*item)` in a task for every item. Cost: about 0.5 ms a task beside the work itself."""
        rows = self._run(run_item, function, items, n_returns, counted=True)
        return rows if n_returns > 1 else [row[0] for row in rows]

    def reduce(self, merge: Callable[[Any, Any], Any], handles: Sequence[Handle]) -> Any:
        """Merge the values with the tree of `mapreduce.plan`, a task a node, and fetch the result."""
        if not handles:
            raise UserError("nothing to merge: there must be at least one partial result")
        for level in reduce_levels(len(handles)):
            runs = [tuple(handles[k] for k in run) for run in level]
            handles = [row[0] for row in self._run(run_merge, merge, runs, 1, counted=False)]
        return self.get(handles[0])

    def parallel(self, function: Callable[[int], Any], n_items: int) -> list[Any]:
        """Call `function(i)` for i in range(n_items) on this process's threads."""
        return self._here.parallel(function, n_items)

    def shutdown(self) -> None:
        """Leave the cluster; one that was started here ends, and its objects with it."""
        self._here.shutdown()
        if self._closed:
            return
        self._closed = True
        if self._owns:
            self._ray.shutdown()
        if self._ignores_unhandled is None:
            os.environ.pop(_UNHANDLED, None)

    def _is_ref(self, value: object) -> bool:
        return isinstance(value, self._ref_type)

    def _check_open(self) -> None:
        if self._closed or not self._ray.is_initialized():  # Ray itself would start another, empty one
            raise EngineError("this Ray engine was shut down; choose it again with hydroscope.init('ray')")

    def _make_task(self, run: Callable[..., Any], function: Callable[..., Any], n_returns: int) -> Any:
        """Wrap `function` as a remote function, which Ray ships once to each worker; `run` is what a worker calls."""

        def task(bound: tuple[tuple[Any, ...], dict[str, Any]] | None, *arguments: Any) -> tuple[Any, ...]:
            whole = function if bound is None else partial(function, *bound[0], **bound[1])
            values: tuple[Any, ...] = run(whole, n_returns, arguments)
            return values

        task.__name__ = task.__qualname__ = getattr(function, "__name__", "task")
        return self._ray.remote(num_cpus=1, num_returns=n_returns + 1)(task)

    def _bound_task(self, run: Callable[..., Any], function: Callable[..., Any], n_returns: int) -> tuple[Any, Any]:
        """Return the remote function and what is bound to it: of a partial only the arguments are shipped anew."""
        bound: Any = None
        if isinstance(function, partial):
            bound, function = self._ray.put((function.args, function.keywords)), function.func
        try:
            return self._task(run, function, n_returns), bound
        except TypeError:  # not hashable
            return self._make_task(run, function, n_returns), bound

    def _run(
        self,
        run: Callable[..., Any],
        function: Callable[..., Any],
        items: Sequence[tuple[Any, ...]],
        n_returns: int,
        counted: bool,
    ) -> list[tuple[Handle, ...]]:
        self._check_open()
        jobs.check()
        if not items:
            return []
        task, bound = self._bound_task(run, function, n_returns)
        flight = Flight(self._ray, task, [(bound, *item) for item in items], self._max_in_flight)
        try:
            flight.land_all(counted)
        except BaseException as error:  # cancelled, Ctrl-C, or an item's error: the rest is not needed
            flight.cancel()
            if flight.failed is not None:
                error.add_note(item_note(function, flight.failed, len(items)))
            raise
        return flight.handles


class Flight:
    """The tasks of one map: submitted in item order, a bounded number at a time.

    As they are submitted in order, everything before a failed item is on its way, and
    waiting for that suffices to know the first error.
    """

    def __init__(self, ray: Any, task: Any, items: Sequence[tuple[Any, ...]], max_in_flight: int) -> None:
        self._ray = ray
        self._task = task
        self._items = items
        self._max_in_flight = max_in_flight
        self._pending: dict[Any, int] = {}  # how a task ended -> its item
        self._errors: dict[int, BaseException] = {}
        self.handles: list[tuple[Handle, ...]] = []
        self.failed: int | None = None
        """The item whose error was raised."""

    def land_all(self, counted: bool) -> None:
        """Run all tasks; raise the error of the first item that failed."""
        n_items = len(self._items)
        while True:
            while not self._errors and len(self.handles) < n_items and len(self._pending) < self._max_in_flight:
                self._submit()
            waited_for = self._waited_for()
            if not waited_for:
                break
            self._land(waited_for)
            jobs.check()
            if counted and not self._errors:
                jobs.count(len(self.handles) - len(self._pending), n_items)
        if self._errors:
            first = min(self._errors)
            error = self._errors[first]
            self._errors.clear()
            if not isinstance(error, CancelledError):
                self.failed = first
            raise error

    def cancel(self) -> None:
        """Ask Ray to stop what still runs."""
        for ended in self._pending:
            self._ray.cancel(ended, force=False)
        self._pending.clear()

    def _submit(self) -> None:
        index = len(self.handles)
        *values, ended = self._task.remote(*self._items[index])
        self._pending[ended] = index
        self.handles.append(tuple(values))

    def _waited_for(self) -> list[Any]:
        """Return what must end before all is known: with an error, only the items before it."""
        if not self._errors:
            return list(self._pending)
        first = min(self._errors)
        return [ended for ended, index in self._pending.items() if index < first]

    def _land(self, waited_for: list[Any]) -> None:
        """Wait a moment for one to end, and take in all that have."""
        done, _ = self._ray.wait(waited_for, num_returns=1, timeout=LOOK_EVERY_S, fetch_local=False)
        if done and len(waited_for) > 1:
            done, _ = self._ray.wait(waited_for, num_returns=len(waited_for), timeout=0, fetch_local=False)
        for ended in done:
            index = self._pending.pop(ended)
            try:
                self._ray.get(ended)
            except self._ray.exceptions.RayError as error:
                self._errors[index] = _home(self._ray, error)


def run_item(function: Callable[..., Any], n_returns: int, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Run one item in a worker; returns its values and the empty object that tells it ended well."""
    enter_worker()
    value = function(*arguments)
    if n_returns == 1:
        return value, None
    assert len(value) == n_returns, f"{function!r} returned {len(value)} values, not {n_returns}"
    return *value, None


def run_merge(merge: Callable[[Any, Any], Any], n_returns: int, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Merge one run of partial results in a worker."""
    enter_worker()
    return merge_run(merge, *arguments), None


@cache
def enter_worker() -> None:
    """Make this process a place for one task at a time: one thread, nothing on the screen. Done once."""
    from hydroscope.engine.display import Display
    from hydroscope.engine.threads import ThreadHost

    ports.install(LocalEngine(1))
    ports.install_host(ThreadHost(Display(enabled=False)))


def _start(ray: Any, n_threads: int, memory_bytes: int | None) -> None:
    """Start a small, quiet cluster on this machine that only this machine can reach."""
    from ray._private import ray_constants

    enabled = ray_constants.ENABLE_RAY_CLUSTER  # Ray read the environment when it was imported
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        with _environment(_LOOPBACK):  # and its processes read it now
            ray.init(
                address="local",
                num_cpus=n_threads,
                object_store_memory=memory_bytes,
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = enabled


def _attach(ray: Any, address: str) -> None:
    """Join a cluster that runs: by itself as one of its processes, or through its client port."""
    _refuse_silence(address)
    if ray.is_initialized():
        raise UserError(f"this process is attached to a Ray already; call ray.shutdown() to go to {address!r}")
    if not address.startswith("ray://"):
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        return
    for attempt in range(DOORMEN):
        try:
            ray.init(address=address, logging_level=logging.ERROR)
        except ConnectionAbortedError as error:
            if "Starting Ray client server failed" not in str(error) or attempt == DOORMEN - 1:
                raise
        else:
            return


def _home(ray: Any, error: BaseException) -> BaseException:
    """Turn what Ray raised into what the item raised, with the worker's traceback as a note."""
    exceptions = ray.exceptions
    text = re.sub(r"\x1b\[\d*m", "", str(error)).strip()
    if isinstance(error, exceptions.TaskCancelledError):
        return CancelledError("a task was cancelled on the Ray cluster")
    cause: BaseException = error
    while isinstance(cause, exceptions.RayTaskError) and cause.cause is not None:
        cause = cause.cause
    if isinstance(error, exceptions.UnserializableException) or isinstance(cause, exceptions.RayError):
        if isinstance(error, exceptions.RayTaskError | exceptions.UnserializableException):
            return HydroscopeError(f"a task failed with an error that cannot be sent between processes:\n{text}")
        return EngineError(
            f"a Ray worker was lost, and so were its further attempts: {type(error).__name__}: {_first_line(error)} "
            "If memory ran out, use smaller input or more machines; Ray's logs are under /tmp/ray/session_latest/logs"
        )
    cause.add_note(text)
    return cause


def _raise_home(ray: Any, error: BaseException, doing: str) -> Never:
    home = _home(ray, error)
    home.add_note(doing)
    raise home from None


def _refuse_sizes(where: str, n_threads: int | None, memory_bytes: int | None) -> None:
    for name, value in (("threads", n_threads), ("memory", memory_bytes)):
        if value is not None:
            raise UserError(f"{name}={value}: the Ray {where} has its own size; leave {name} out")


def _refuse_silence(address: str) -> None:
    """Knock at the address first: Ray itself tries for minutes before it gives up."""
    match = re.fullmatch(r"(?:ray://)?([^\s/:]+):(\d+)", address)
    if match is None:  # "auto" and the like
        return
    try:
        socket.create_connection((match[1], int(match[2])), timeout=KNOCK_S).close()
    except OSError as error:
        raise EngineError(
            f"no Ray answers at {address!r}: {error}; start one with `ray start --head`, or use init('ray')"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set what the user did not set, and put back what was."""
    added = [name for name in variables if name not in os.environ]
    os.environ.update({name: variables[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
