"""Every interleaving of a few threads over the local store: its own code, stopped before each use of what is shared.

The store's dictionary and locks are replaced by ones that ask a conductor before they do
anything. The conductor lets one thread run at a time; which one is a list of choices, and
`explore` goes through all lists of choices with at most so many preemptions (a thread is left
though it could go on).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from hydroscope.engine import keys_local
from hydroscope.engine.keys_local import LocalKeys
from hydroscope.kv.changes import Change, Unchanged
from tests.sim.checkers.history import Operation

DEADLINE_S = 30.0

Step = tuple[str, Any]
"""What a thread does: (kind, argument) as in `tests.sim.checkers.history.Operation`."""

KEY = "key"


class Conductor:
    """Lets one of several threads run at a time."""

    def __init__(self, n_threads: int) -> None:
        self._turns = [threading.Lock() for _ in range(n_threads)]
        self._back = threading.Lock()
        for lock in (*self._turns, self._back):
            lock.acquire()
        self._of_thread: dict[int, int] = {}
        self._blocked: list[Callable[[], bool]] = [lambda: False] * n_threads
        self._ended = [False] * n_threads
        self.errors: list[BaseException] = []

    def start(self, work: Callable[[int], None]) -> None:
        """Start the threads; each stops before its first step."""
        self._threads = [
            threading.Thread(target=self._run, args=(i, work), daemon=True) for i in range(len(self._turns))
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, index: int, work: Callable[[int], None]) -> None:
        self._of_thread[threading.get_ident()] = index
        self._wait_for_turn(index)
        try:
            work(index)
        except BaseException as error:
            self.errors.append(error)
        self._ended[index] = True
        self._back.release()

    def _wait_for_turn(self, index: int) -> None:
        assert self._turns[index].acquire(timeout=DEADLINE_S), "the conductor went away"

    def pause(self, blocked: Callable[[], bool] = lambda: False) -> None:
        """Stop here until it is this thread's turn, and never while `blocked()`; others are not conducted."""
        index = self._of_thread.get(threading.get_ident())
        if index is not None:
            self._blocked[index] = blocked
            self._back.release()
            self._wait_for_turn(index)

    def able(self) -> list[int]:
        """Return the threads that could go on."""
        return [i for i, ended in enumerate(self._ended) if not ended and not self._blocked[i]()]

    def step(self, index: int) -> None:
        """Let one thread go to its next stop."""
        self._turns[index].release()
        assert self._back.acquire(timeout=DEADLINE_S), f"thread {index} does not come back"

    @property
    def ended(self) -> bool:
        return all(self._ended)


class SteppedLock:
    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._held = False

    def __enter__(self) -> None:
        self._conductor.pause(lambda: self._held)
        assert not self._held
        self._held = True

    def __exit__(self, *_: object) -> None:
        self._held = False


def stepped_dict(conductor: Conductor) -> dict[str, Any]:
    def stopped(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            conductor.pause()
            return method(*arguments)

        return call

    names = ("__getitem__", "__setitem__", "__contains__", "__iter__", "get", "pop", "setdefault")
    kind = type("SteppedDict", (dict,), {name: stopped(getattr(dict, name)) for name in names})
    made: dict[str, Any] = kind()
    return made


def plain_store() -> LocalKeys:
    store = LocalKeys()
    store.register("swap", lambda value, new: Change(new, value))
    store.register("swap_if", lambda value, old, new: Change(new, value) if value == old else Unchanged(value))
    return store


def stepped_store(conductor: Conductor) -> LocalKeys:
    store = plain_store()
    store._front = stepped_dict(conductor)
    store._ordering, store._moving = SteppedLock(conductor), SteppedLock(conductor)
    store.get, store.put = keys_local._quick(store._front, store._watches, store._get_missing, store._put_looking)
    return store


def perform(store: LocalKeys, kind: str, argument: Any) -> tuple[Any, bool]:
    """Do one operation on the key; return what was observed and whether it was aborted."""
    if kind == "get":
        return store.get(KEY), False
    if kind == "put":
        return store.put(KEY, argument), False
    if kind == "remove":
        return store.remove(KEY), False
    if kind == "swap_if":
        before = store.atomic(KEY, "swap_if", *argument)
        return before, before != argument[0]
    return store.atomic(KEY, kind, argument), False


def run(
    programs: list[list[Step]], initial: Any, choices: list[int], make: Callable[[Conductor], LocalKeys] = stepped_store
) -> tuple[list[Operation], list[tuple[int, list[int]]]]:
    """Run with these choices (then each thread to its end); return the history, and (choice, could) by step."""
    conductor = Conductor(len(programs))
    store = make(conductor)
    store.put(KEY, initial)
    clock = iter(range(1, 1 << 30))
    history: list[Operation] = []

    def work(index: int) -> None:
        for kind, argument in programs[index]:
            operation = Operation(len(history), 0, index, kind, KEY, argument, start=next(clock))
            history.append(operation)
            operation.observed, operation.aborted = perform(store, kind, argument)
            operation.end = next(clock)

    conductor.start(work)
    story: list[tuple[int, list[int]]] = []
    while not conductor.ended:
        able = conductor.able()
        assert able, "all wait for each other"
        last = story[-1][0] if story else 0
        chosen = choices[len(story)] if len(story) < len(choices) else (last if last in able else able[0])
        conductor.step(chosen)
        story.append((chosen, able))
    if conductor.errors:
        raise conductor.errors[0]
    final = Operation(len(history), 0, 99, "get", KEY, start=next(clock), observed=store.get(KEY), end=next(clock))
    return [*history, final], story


def explore(
    programs: list[list[Step]],
    initial: Any,
    n_preemptions: int,
    make: Callable[[Conductor], LocalKeys] = stepped_store,
) -> Iterator[list[Operation]]:
    """Yield the history of each interleaving with at most so many preemptions."""
    waiting: list[list[int]] = [[]]
    while waiting:
        choices = waiting.pop()
        history, story = run(programs, initial, choices, make)
        yield history
        spent = 0
        for i, (chosen, able) in enumerate(story):
            last = story[i - 1][0] if i else -1
            if i >= len(choices):
                for other in able:
                    cost = spent + (last in able and other != last)
                    if other != chosen and cost <= n_preemptions:
                        waiting.append([each for each, _ in story[:i]] + [other])
            spent += last in able and chosen != last
