"""The simulated store behind the face of the others, which wait: each call lets simulated time pass until it has ended.

A simulated program is a generator. Here each thread that calls has one, which does what it is
handed; whoever calls turns the world's clock, one at a time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from hydroscope.engine.simulated import Keys, World
from hydroscope.engine.watching import Watch
from hydroscope.ground.errors import InternalError
from hydroscope.kv.names import check_key
from hydroscope.wire.values import verify

__all__ = ["SimulatedKeys"]

LIMIT_S = 400.0
"""Simulated seconds after which a call hangs."""
LOOK_EVERY_S = 0.001


class Desk:
    """What one thread wants done by its program, and what came of it."""

    def __init__(self) -> None:
        self.wanted: deque[Any] = deque()
        self.result: Any = None
        self.error: Exception | None = None

    def work(self, keys: Keys) -> Generator[Any, Any, None]:
        """Do what is wanted, for ever."""
        while True:
            while not self.wanted:
                yield keys.sleep(LOOK_EVERY_S)
            try:
                self.result = yield self.wanted[0]
            except Exception as error:  # the program goes on; whoever waits is told
                self.error = error
            self.wanted.popleft()


class SimulatedKeys:
    """The part of one member of a simulated cluster."""

    name = "simulated"
    shared = True

    def __init__(self, world: World, member: int) -> None:
        self._world = world
        self._member = member
        self._mutex = threading.RLock()
        self._own = threading.local()
        self._do = Keys()
        self._watches: list[Watch] = []
        world.on_changed = lambda process, effect: self._changed(effect.keys) if process.place == member else None

    @property
    def me(self) -> str:
        """Who this member is."""
        return f"simulated member {self._member}"

    def members(self) -> list[str]:
        """Return who belongs."""
        return [f"simulated member {process.place}" for process in self._world.live()]

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value."""
        check_key(key)
        value = self._call(self._do.get(key))
        return default if value is None else value

    def put(self, key: str, value: Any, wait: bool = False, durable: bool = False) -> None:
        """Write."""
        check_key(key)
        if value is not None:
            verify(value)
        self._call(self._do.put(key, value, wait=wait or durable or key[0] == "!", durable=durable))

    def remove(self, key: str, wait: bool = False) -> None:
        """Make the key absent."""
        self.put(key, None, wait)

    def atomic(self, key: str, function: str, *arguments: Any) -> Any:
        """Apply a function."""
        check_key(key)
        verify(arguments)
        return self._call(self._do.atomic(key, function, *arguments))

    def keys(self, prefix: str = "", partial: bool = False) -> list[str]:
        """Return the keys; nobody dies here, so there are no others to be told of."""
        return sorted(self._call(self._do.keys(prefix)))

    def fence(self) -> None:
        """Wait for the thread's puts."""
        self._call(self._do.fence())

    def watch(self, prefix: str = "") -> Watch:
        """Begin to watch."""
        watch = SettledWatch(prefix, self.get, lambda closed: self._watches.remove(closed))
        watch.settle = self._settle
        with self._mutex:
            self._watches.append(watch)
            self._world.watch(self._member, prefix)
        self._settle()
        return watch

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """Name a function, at all members."""
        self._world.functions.register(name, function)

    def shutdown(self) -> None:
        """Close the watches."""
        for watch in list(self._watches):
            watch.close()

    def _call(self, do: Any) -> Any:
        """Let time pass until an operation of this thread has ended."""
        with self._mutex:
            desk: Desk | None = getattr(self._own, "desk", None)
            if desk is None:
                desk = self._own.desk = Desk()
                self._world.spawn(desk.work, member=self._member)
            desk.wanted.append(do)
            agenda = self._world.agenda
            if not agenda.run(agenda.now + LIMIT_S, lambda: not desk.wanted):
                raise InternalError(f"no end of {do} within {LIMIT_S} s")
            error, desk.error = desk.error, None
            if error is not None:
                raise error
            return desk.result

    def _settle(self) -> None:
        """Let time pass until nothing is under way."""
        with self._mutex:
            agenda = self._world.agenda
            agenda.run(agenda.now + LIMIT_S, self._world.is_at_rest)

    def _changed(self, keys: tuple[str, ...]) -> None:
        for watch in self._watches:
            for key in keys:
                watch.tell(key)


class SettledWatch(Watch):
    """A watch that first lets what is on its way arrive: nobody else turns the clock while it waits."""

    settle: Callable[[], None]

    def poll(self, timeout_s: float | None = 0.0) -> dict[str, Any]:
        """Return what has changed."""
        self.settle()
        return super().poll(timeout_s)
