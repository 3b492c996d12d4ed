"""The key/value store of one process: the cost of a dictionary, and atomic functions besides.

All values are in one dictionary, `front`; a key that is not in it is absent. Reading and
overwriting go to the dictionary without a lock. What is assumed of it is that one of its own
operations is atomic: `d[k]`, `d[k] = v`, `d.pop(k, None)`, `d.setdefault(k, v)`, `list(d)`.

**The difficulty** is `atomic`: compare and swap is not an operation of a dictionary. It is made
of two, under the lock `moving`: *take* the value out (pop), and if it still is the one that the
function was applied to, *set* the new one (setdefault). Between the two the key is missing.

    thread A: atomic          thread B: get                thread C: put
    old = front[k]
    new = function(old)
    lock moving
      found = pop(k)          front[k]: missing            front[k] = v   (may come between)
      setdefault(k, new)      lock moving; front.get(k)
    unlock                                                   (who puts in between wins)

**Why it is linearizable** (one order for all that was done to a key, in which each operation
takes effect at a moment between its call and its return). Call the *value* of a key what `front`
holds, or while A is between pop and setdefault and nothing was put, what A popped. Then:

- A put takes effect when it stores. A remove, which takes `moving`, when it pops.
- A get that finds the key takes effect when it looks it up. One that does not looks again
  under `moving`, when nobody is between pop and setdefault, so that missing means absent.
- An atomic whose pop finds the very object `old` takes effect when its setdefault stores: since
  the pop nobody could remove (that needs `moving`), and `old` is the value.
  If a put came in between, setdefault stores nothing and the atomic takes effect just before
  the first such put: then the value was `old` still, and the put overwrote what the atomic wrote.
- An atomic whose pop finds something else (or nothing, where there was something) was overtaken
  by a put (or a remove) after it read `old`. It takes effect just before the first of those,
  while the value was `old`, and what it wrote was overwritten at once; so what was found is
  put back, unless a newer put has come meanwhile. Atomics are kept apart by the lock `ordering`,
  so that only puts and removes can overtake.
- An atomic that leaves the value as it is takes effect when it reads.

Each of these moments is between call and return, and the value read or found at it is the one
that the operations ordered before it left. Only C-level locks are used (Ctrl-C may arrive
between any two bytecodes), and `moving` is held for a few dictionary operations only, never
while a function runs. `tests/engine/test_keys_interleaved.py` runs this file's own functions
through every interleaving of small programs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from hydroscope.engine.watching import Watch
from hydroscope.ground.errors import UserError
from hydroscope.kv.functions import FunctionError, Functions
from hydroscope.kv.names import check_key
from hydroscope.wire.values import verify

__all__ = ["LocalKeys"]

PLAIN = frozenset({bool, int, float, bytes})
"""Types of which each value can travel (if it is not longer than `VALUE_BYTES`, which is not looked at here: 20 ns)."""


class Get(Protocol):
    """The signature of `get`."""

    def __call__(self, key: str, default: Any = None) -> Any: ...


class Put(Protocol):
    """The signature of `put`."""

    def __call__(self, key: str, value: Any, wait: bool = False, durable: bool = False) -> None: ...


class LocalKeys:
    """Keys and values of this process; the default.

    Parameters
    ----------
    seconds : callable
        The time since 1970 UTC, for functions that are given it.
    """

    name = "local"
    me = "local"
    shared = False

    def __init__(self, seconds: Callable[[], float] = time.time) -> None:
        self.functions = Functions(seconds)
        self._front: dict[str, Any] = {}
        self._ordering = threading.Lock()
        self._moving = threading.Lock()
        self._watches: list[Watch] = []
        self._applying: int | None = None  # the thread whose function runs
        self.get, self.put = _quick(self._front, self._watches, self._get_missing, self._put_looking)

    def __repr__(self) -> str:
        return f"<hydroscope keys: local, {len(self._front)} keys>"

    def atomic(self, key: str, function: str, *arguments: Any) -> Any:
        """Apply a registered function to the value."""
        check_key(key)
        for argument in arguments:
            verify(argument)
        if self._applying == threading.get_ident():
            raise UserError("a function that hs.kv.atomic applies cannot call it; hand it what it needs as arguments")
        front = self._front
        with self._ordering:
            old = front.get(key)
            self._applying = threading.get_ident()
            try:
                applied = self.functions.apply(function, old, arguments)
            except FunctionError as error:
                raise UserError(f"key {key!r}: {error.text}; nothing was written") from error.__cause__
            finally:
                self._applying = None
            if applied.aborted:
                return applied.result
            with self._moving:
                _swap(front, key, old, applied.value)
        self._tell(key)
        return applied.result

    def remove(self, key: str, wait: bool = False) -> None:
        """Make a key absent."""
        check_key(key)
        with self._moving:
            self._front.pop(key, None)
        self._tell(key)

    def keys(self, prefix: str = "", partial: bool = False) -> list[str]:
        """Return the keys that begin with `prefix`, sorted: always all."""
        with self._moving:
            names = list(self._front)
        return sorted(name for name in names if name.startswith(prefix))

    def watch(self, prefix: str = "") -> Watch:
        """Watch the keys that begin with `prefix`."""
        watch = Watch(prefix, self.get, self._watches.remove)
        self._watches.append(watch)  # a write stores first and looks for watches then: this one or the first poll's get
        return watch

    def fence(self) -> None:
        """Do nothing: a put is ordered when it returns."""

    def members(self) -> list[str]:
        """Return this process alone."""
        return [self.me]

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """Give a function for `atomic` a name."""
        self.functions.register(name, function)

    def shutdown(self) -> None:
        """Close all watches. The values stay as long as somebody holds this store."""
        for watch in list(self._watches):
            watch.close()

    def _get_missing(self, key: str, default: Any) -> Any:
        """Look again, when no atomic is between its two steps."""
        check_key(key)
        with self._moving:
            return self._front.get(key, default)

    def _put_looking(self, key: str, value: Any) -> None:
        """Put after a look at key and value."""
        if value is None:
            self.remove(key)
            return
        check_key(key)
        verify(value)
        self._front[key] = value
        self._tell(key)

    def _tell(self, key: str) -> None:
        for watch in tuple(self._watches):
            watch.tell(key)


def _swap(front: dict[str, Any], key: str, old: Any, new: Any) -> None:
    """Make `new` the value where `old` was; who writes meanwhile wins. Under `moving`."""
    taken: list[Any] = []
    try:
        # One call in C from pop to append, and then none before setdefault: Ctrl-C cannot lose what was taken.
        taken.extend(map(front.pop, (key,), (None,)))
    finally:
        if taken:
            kept = new if taken[0] is old else taken[0]
            if kept is not None:
                front.setdefault(key, kept)


def _quick(
    front: dict[str, Any],
    watches: list[Watch],
    get_missing: Callable[[str, Any], Any],
    put_looking: Callable[[str, Any], None],
) -> tuple[Get, Put]:
    """Return `get` and `put` as closures: a variable of a closure is found faster than an attribute."""

    def get(key: str, default: Any = None) -> Any:
        try:
            return front[key]
        except (KeyError, TypeError):
            return get_missing(key, default)

    def put(key: str, value: Any, wait: bool = False, durable: bool = False) -> None:
        try:
            kind = value.__class__
            if (
                kind in PLAIN or (kind is str and value.isascii())
            ) and key in front:  # a key that is there was looked at before
                front[key] = value
                if watches:
                    for watch in tuple(watches):
                        watch.tell(key)
                return
        except TypeError:  # not hashable
            check_key(key)
            raise
        put_looking(key, value)

    return get, put
