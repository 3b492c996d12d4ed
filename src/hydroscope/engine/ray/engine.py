"""The Ray engine: the same work as Ray tasks over chunks held as Ray objects."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from hydroscope.engine.boot import boot_keys
from hydroscope.engine.local import LocalEngine, item_note
from hydroscope.engine.ray.flight import LOOK_EVERY_S, Flight
from hydroscope.engine.ray.guard import STOPPED_S, Guard
from hydroscope.engine.ray.homecoming import raise_home
from hydroscope.engine.ray.keys import Keyring, keyring_of
from hydroscope.engine.ray.task import Place, run_item, run_merge
from hydroscope.engine.ray.warden import Introduction
from hydroscope.engine.recording import item_text, lane, name_of, recorder, task_id
from hydroscope.ground.errors import UserError
from hydroscope.mapreduce.plan import reduce_levels
from hydroscope.node import jobs, ports
from hydroscope.node.deaths import Death
from hydroscope.node.ports import EngineError, Handle

__all__ = ["RayEngine"]

TASKS_PER_CPU = 4
"""Tasks in flight for each CPU: enough that none idles while the driver hands over more."""

RERUNS_MAX = 20
"""Times a task may run again: so many losses of a node one leaf survives."""

_UNHANDLED = "RAY_IGNORE_UNHANDLED_ERRORS"
"""Ray logs errors that nobody fetched: of items after the first that failed, nobody does."""


class RayEngine:
    """Runs work as tasks of a Ray cluster; a handle is an object reference.

    Parameters
    ----------
    ray : module
    owns : bool
        Whether `shutdown` ends the connection (and the cluster, if it was started by it).
    n_threads_here : int
        Threads of this process, for `parallel`.
    stopped_s : float
        Seconds for which a worker process may be stopped before it is given up.
    """

    name = "ray"

    def __init__(self, ray: Any, owns: bool, n_threads_here: int, stopped_s: float = STOPPED_S) -> None:
        recorder("driver")
        self._ray = ray
        self._owns = owns
        self._closed = False
        self._ignores_unhandled = os.environ.get(_UNHANDLED)
        os.environ[_UNHANDLED] = "1"
        self.n_threads = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._max_in_flight = self.n_threads * TASKS_PER_CPU
        self._here = LocalEngine(n_threads_here)
        self._guard = Guard(ray, stopped_s)
        self._keyring: Keyring | None = None
        if self._is_outside():  # workers could not reach this process
            self._guard.introduce(Introduction("", "", 0.0))
        else:
            self._keyring = keyring_of(ray, self._guard)
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
            raise_home(self._ray, error, "while fetching a value")
        values = [next(fetched) if self._is_ref(each) else each for each in handles]
        return values if isinstance(handle, list) else values[0]

    def _bring(self, refs: list[Any]) -> None:
        """Wait until values are here (or lost), and look now and then whether the job was cancelled."""
        missing = list(dict.fromkeys(refs)) if jobs.current() is not None else []
        while missing:
            jobs.check()
            self._guard.look()
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

    @property
    def deaths(self) -> list[Death]:
        """Workers that died in the middle of a task which then ran well elsewhere."""
        return self._guard.deaths

    @property
    def lost_nodes(self) -> list[str]:
        """Nodes that were lost while this engine was in use."""
        return self._guard.lost_nodes

    def workers(self) -> list[dict[str, Any]]:
        """Return what every worker is doing now: pid, task, seconds, state, rss. Cost: a message to each node."""
        return self._guard.workers()

    @property
    def has_keys(self) -> bool:
        """Whether `open_keys` returns at once."""
        return self._keyring is None or self._keyring.is_open

    def open_keys(self) -> ports.Keys:
        """Return the cluster's key/value store; through ray:// this process's own. Cost: free, once it is open."""
        return boot_keys() if self._keyring is None else self._keyring.open()

    def shutdown(self) -> None:
        """Leave the cluster; one that was started here ends, and its objects with it."""
        self._here.shutdown()
        if self._closed:
            return
        self._closed = True
        if self._keyring is not None:
            self._keyring.close()
        if self._owns:
            self._ray.shutdown()
        if self._ignores_unhandled is None:
            os.environ.pop(_UNHANDLED, None)

    def _is_outside(self) -> bool:
        """Tell whether this process is reached by the cluster through its client port only."""
        return bool(self._ray.util.client.ray.is_connected())

    def _is_ref(self, value: object) -> bool:
        return isinstance(value, self._ref_type)

    def _check_open(self) -> None:
        if self._closed or not self._ray.is_initialized():  # Ray itself would start another, empty one
            raise EngineError("this Ray engine was shut down; choose it again with hydroscope.init('ray')")

    def _make_task(self, run: Callable[..., Any], function: Callable[..., Any], n_returns: int) -> Any:
        """Wrap `function` as a remote function, which Ray ships once to each worker; `run` is what a worker calls."""

        def task(
            bound: tuple[tuple[Any, ...], dict[str, Any]] | None, place: Place, *arguments: Any
        ) -> tuple[Any, ...]:
            whole = function if bound is None else partial(function, *bound[0], **bound[1])
            values: tuple[Any, ...] = run(whole, n_returns, place, arguments)
            return values

        task.__name__ = task.__qualname__ = getattr(function, "__name__", "task")
        return self._ray.remote(num_cpus=1, num_returns=n_returns + 1, max_retries=RERUNS_MAX)(task)

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
        ports.fence()
        if not items:
            return []
        task, bound = self._bound_task(run, function, n_returns)
        n_items, stopped_s = len(items), self._guard.stopped_s
        placed = [(bound, (i, n_items, stopped_s), *item) for i, item in enumerate(items)]
        name, here = name_of(function), lane()

        def queued(index: int, ended: Any) -> None:
            if here is not None and (task_of := getattr(ended, "task_id", None)) is not None:  # none through ray://
                here.queued(task_id(task_of().hex()), item_text(name, index, n_items))

        flight = Flight(self._ray, task, placed, self._max_in_flight, self._guard.look, self._guard.note, queued)
        try:
            flight.land_all(counted)
        except BaseException as error:  # cancelled, Ctrl-C, or an item's error: the rest is not needed
            flight.cancel()
            if flight.failed is not None:
                error.add_note(item_note(function, flight.failed, n_items))
            raise
        return flight.handles
