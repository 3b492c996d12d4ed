"""The tasks of one map on their way: submitted, waited for, taken in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hydroscope.engine.ray.homecoming import home
from hydroscope.ground.errors import CancelledError
from hydroscope.node import jobs
from hydroscope.node.deaths import Death
from hydroscope.node.ports import Handle

__all__ = ["GRACE_S", "LOOK_EVERY_S", "Flight"]

LOOK_EVERY_S = 0.1
"""Seconds between two looks at whether the job was cancelled, while tasks run."""


GRACE_S = 0.5
"""Seconds in which tasks that are not needed any more may end by themselves."""


class Flight:
    """The tasks of one map: submitted in item order, a bounded number at a time.

    As they are submitted in order, everything before a failed item is on its way, and
    waiting for that suffices to know the first error.

    `look` is called while it waits; `note` is given the deaths of workers whose task then ended well; `queued` each
    item that was submitted, and what tells how it ended.
    """

    def __init__(
        self,
        ray: Any,
        task: Any,
        items: Sequence[tuple[Any, ...]],
        max_in_flight: int,
        look: Callable[[], None],
        note: Callable[[Sequence[Death]], None],
        queued: Callable[[int, Any], None] = lambda index, ended: None,
    ) -> None:
        self._ray = ray
        self._task = task
        self._items = items
        self._max_in_flight = max_in_flight
        self._look, self._note, self._queued = look, note, queued
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
        """Let what still runs end by itself; ask Ray to stop what does not end soon.

        Ray kills the driver's process when it is asked to cancel a task in the moment in which
        that is handed to a worker or comes back from one (a check in its core, at least in 2.60;
        issue 54846 of ray-project/ray). So as few as possible are cancelled, and the last first:
        a running one that goes would make room for the next.
        """
        if not self._pending:
            return
        _, pending = self._ray.wait(
            list(self._pending), num_returns=len(self._pending), timeout=GRACE_S, fetch_local=False
        )
        for ended in reversed(pending):
            self._ray.cancel(ended, force=False)
        self._pending.clear()

    def _submit(self) -> None:
        index = len(self.handles)
        *values, ended = self._task.remote(*self._items[index])
        self._pending[ended] = index
        self._queued(index, ended)
        self.handles.append(tuple(values))

    def _waited_for(self) -> list[Any]:
        """Return what must end before all is known: with an error, only the items before it."""
        if not self._errors:
            return list(self._pending)
        first = min(self._errors)
        return [ended for ended, index in self._pending.items() if index < first]

    def _land(self, waited_for: list[Any]) -> None:
        """Wait a moment for one to end, and take in all that have."""
        self._look()
        done, _ = self._ray.wait(waited_for, num_returns=1, timeout=LOOK_EVERY_S, fetch_local=False)
        if done and len(waited_for) > 1:
            done, _ = self._ray.wait(waited_for, num_returns=len(waited_for), timeout=0, fetch_local=False)
        for ended in done:
            index = self._pending.pop(ended)
            try:
                deaths = self._ray.get(ended)
            except self._ray.exceptions.RayError as error:
                self._errors[index] = home(self._ray, error)
            else:
                if deaths:
                    self._note(deaths)
