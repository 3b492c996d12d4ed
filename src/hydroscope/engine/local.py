"""The default engine: threads of this process, one a core, over kernels that release the GIL.

The caller works along: a map of n items invites idle threads to help, takes items itself
until none is left, and then waits for what the helpers still hold. So a map inside an item
of a map cannot deadlock (whoever calls it can do all of it alone), a single item never
leaves the caller's thread, and on one core there are no other threads at all.

Waits end whatever happens: a thread waits only for items that were *taken*, each taker
gives back in a `finally`, and those it waits for are deeper in the nesting than itself.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hydroscope.engine.latch import Latch
from hydroscope.engine.merge import merge_run
from hydroscope.engine.recording import Work, failed, lane, work
from hydroscope.engine.threads import Crew
from hydroscope.ground.errors import CancelledError, UserError
from hydroscope.ground.record.recorder import Recorder
from hydroscope.mapreduce.plan import reduce_levels
from hydroscope.node import jobs, ports
from hydroscope.node.ports import Handle

__all__ = ["LocalEngine", "item_note"]


class LocalEngine:
    """Runs work on `n_threads` threads of this process; a handle is the value itself."""

    name = "local"

    def __init__(self, n_threads: int) -> None:
        assert n_threads >= 1
        self.n_threads = n_threads
        self._crew = Crew(n_threads - 1)

    def __repr__(self) -> str:
        return f"<hydroscope engine: local, {self.n_threads} thread{'s' * (self.n_threads > 1)}>"

    def put(self, value: object) -> Handle:
        """Return `value`. Cost: free."""
        return value

    def get(self, handle: Handle) -> Any:
        """Return the value (of each handle of a list). Cost: free."""
        for each in handle if isinstance(handle, list) else (handle,):
            _refuse_foreign(each)
        return handle

    def map(
        self, function: Callable[..., Any], items: Sequence[tuple[Any, ...]], n_returns: int = 1
    ) -> list[Handle] | list[tuple[Handle, ...]]:
        """Call `function(*item)` for every item. Cost: about 20 us beside the work itself."""
        for item in items:
            for argument in item:
                _refuse_foreign(argument)
        values = self._run(lambda i: function(*items[i]), len(items), function, counted=True)
        if n_returns > 1:
            for value in values:
                assert len(value) == n_returns, f"{function!r} returned {len(value)} values, not {n_returns}"
            return [tuple(value) for value in values]
        return values

    def reduce(self, merge: Callable[[Any, Any], Any], handles: Sequence[Handle]) -> Any:
        """Merge the values with the tree of `mapreduce.plan`. Cost: n - 1 calls of `merge`."""
        values = self.get(list(handles))
        if not values:
            raise UserError("nothing to merge: there must be at least one partial result")
        for level in reduce_levels(len(values)):
            previous = values

            def run(i: int, level: list[range] = level, previous: list[Any] = previous) -> Any:
                return merge_run(merge, *(previous[k] for k in level[i]))

            values = self._run(run, len(level), merge, counted=False)
        return values[0]

    def parallel(self, function: Callable[[int], Any], n_items: int) -> list[Any]:
        """Call `function(i)` for i in range(n_items). Cost: about 20 us beside the work itself."""
        return self._run(function, n_items, function, counted=False)

    def shutdown(self) -> None:
        """Let the threads go; those that work finish their item first."""
        self._crew.dismiss()

    def _run(self, call: Callable[[int], Any], n_items: int, shown: Callable[..., Any], counted: bool) -> list[Any]:
        jobs.check()
        ports.fence()
        told = work(shown, n_items)
        batch = Batch(call, n_items, shown, counted, told)
        n_helpers = min(self.n_threads, n_items) - 1
        if n_helpers > 0:
            self._crew.invite(batch, n_helpers)
        try:
            return batch.work()
        finally:
            if told is not None:
                told.ended(self.n_threads)


class Batch:
    """The items of one map: who takes which, what came of it. Owned by the calling thread.

    Items are taken in order. So when item k fails, everything before k has been taken, and
    waiting for what is in the helpers' hands suffices to know the first error.
    """

    def __init__(
        self,
        call: Callable[[int], Any],
        n_items: int,
        shown: Callable[..., Any],
        counted: bool,
        told: Work | None = None,
    ) -> None:
        self._call = call
        self._told = told
        self._n_items = n_items
        self._shown = shown
        self._counted = counted
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()  # guards the six below; held for a few instructions only
        self._next = 0
        self._in_hands = 0  # items that helpers have taken and not given back
        self._n_done = 0
        self._results: list[Any] = [None] * n_items
        self._errors: dict[int, BaseException] = {}
        self._given_back: Latch | None = None  # made by the caller when it has to wait

    def work(self) -> list[Any]:
        """Do the caller's part, wait for the helpers, and return the results in item order."""
        here = self._lane()
        try:
            while (index := self._take(helper=False)) is not None:
                self._do(index, here)
        except BaseException:  # Ctrl-C: drop what nobody has begun; helpers finish what they hold
            self._drop_rest()
            self._wait_for_helpers()
            raise
        self._wait_for_helpers()
        if self._errors:
            index = min(self._errors)
            error = self._errors[index]
            self._errors.clear()
            try:
                raise error
            finally:
                del error
        results, self._results = self._results, []  # a ticket nobody took yet must not keep them alive
        del self._call
        return results

    def help(self) -> None:
        """Take items until none is left (a thread of the crew does)."""
        if self._next < self._n_items:
            self._context.copy().run(self._help)

    def _help(self) -> None:
        here = self._lane()
        while (index := self._take(helper=True)) is not None:
            try:
                self._do(index, here)
            except BaseException as error:  # from a helper nothing may escape
                self._fail(index, error)
            finally:
                self._give_back()

    def _take(self, helper: bool) -> int | None:
        with self._lock:
            index = self._next
            if index >= self._n_items:
                return None
            self._next = index + 1
            self._in_hands += helper
        return index

    def _lane(self) -> Recorder | None:
        """Return where this thread's items are recorded, if they are one by one."""
        return lane() if self._told is not None and self._told.each else None

    def _do(self, index: int, here: Recorder | None) -> None:
        """Run one item; an Exception is kept, and ends the taking of further items."""
        try:
            jobs.check()
            if here is None or self._told is None:
                self._results[index] = self._call(index)
            else:
                self._results[index] = self._told.run(index, here, self._call)
            ports.fence()
        except Exception as error:
            self._fail(index, error)
            return
        with self._lock:
            self._n_done += 1
            n_done = self._n_done
        if self._counted:
            jobs.count(n_done, self._n_items)

    def _fail(self, index: int, error: BaseException) -> None:
        if isinstance(error, Exception) and not isinstance(error, CancelledError):
            if not hasattr(error, "__notes__"):  # else a map within this one has told
                failed(error, self._told, index)
            error.add_note(item_note(self._shown, index, self._n_items))
        with self._lock:
            self._errors[index] = error
            self._next = self._n_items

    def _drop_rest(self) -> None:
        with self._lock:
            self._next = self._n_items

    def _give_back(self) -> None:
        with self._lock:
            self._in_hands -= 1
            latch = self._given_back if self._in_hands == 0 else None
        if latch is not None:
            latch.open()

    def _wait_for_helpers(self) -> None:
        """Wait until no helper holds an item: without a deadline, woken by the last to give back."""
        latch = Latch()
        with self._lock:
            if self._in_hands == 0:
                return
            self._given_back = latch
        try:
            latch.wait()
        except BaseException:
            self._drop_rest()
            raise


def item_note(function: Callable[..., Any], index: int, n_items: int) -> str:
    """Say in which item an error happened."""
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"in item {index} of {n_items} of {getattr(function, '__module__', '?')}.{name}"


def _refuse_foreign(value: object) -> None:
    """Refuse a handle of a Ray engine: what it stands for is not in this process."""
    if type(value).__name__.endswith("ObjectRef"):
        raise UserError(
            "this data lives on a Ray engine that is no longer in use; "
            "choose it again with hydroscope.init('ray'), or load the data again"
        )
