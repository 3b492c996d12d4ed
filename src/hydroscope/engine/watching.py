"""Watches of keys: what the providers of `node.ports.Keys` hand out.

A watch is a queue of the names of keys that changed. A name is in it once: until it has been
taken out, further changes of the key add nothing. A name is first given free again and *then*
the key is read, so a change that comes after the reading puts it into the queue anew: the
last change is never missed, and what is told is never older than the change that told of it.

A member that is lost takes keys along whose names nobody else knows, so that no change of a
key can tell of it: the loss itself is in the queue, and who looks is raised a `NodeLost`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Self

from hydroscope.engine.latch import Latch
from hydroscope.node.ports import NodeLost

__all__ = ["Watch"]


class Watch:
    """A watch of the keys that begin with `prefix`.

    Parameters
    ----------
    prefix : str
    read : callable
        Returns the value of a key, None when absent.
    closing : callable
        Called once, with the watch, when it is closed.
    """

    def __init__(self, prefix: str, read: Callable[[str], Any], closing: Callable[[Watch], object]) -> None:
        self.prefix = prefix
        self._read = read
        self._closing = closing
        self._waiting: dict[str, object] = {}
        self._queue: SimpleQueue[str | NodeLost | None] = SimpleQueue()
        self._untold: deque[NodeLost] = deque()  # losses found behind changes, which were returned first
        self._closed = Latch()
        self._ended: NodeLost | None = None

    def tell(self, key: str) -> None:
        """Note that `key` has changed; from any thread."""
        mine = object()
        if key.startswith(self.prefix) and self._waiting.setdefault(key, mine) is mine:
            self._queue.put(key)

    def lose(self, loss: NodeLost) -> None:
        """Note that keys may have been lost; from any thread."""
        self._queue.put(loss)

    def poll(self, timeout_s: float | None = 0.0) -> dict[str, Any]:
        """Return the keys that changed since the last look with their values now (None: removed).

        Waits up to `timeout_s` (None: until then) for the first one; empty when there was none, or when closed.
        Raises NodeLost, once for each loss, when a member was lost that may have held such keys; later changes are told
        as before. When this process itself was given up there will be none, and every look raises it.
        """
        changed: dict[str, Any] = {}
        if self._untold:
            raise self._untold.popleft()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._closed.wait(0):
            try:
                if changed:
                    key = self._queue.get_nowait()
                else:
                    key = self._queue.get(timeout=_left(deadline))
            except Empty:
                break
            if key is None:
                self._queue.put(None)  # for whoever else waits
                break
            try:
                if isinstance(key, NodeLost):
                    raise key
                self._waiting.pop(key, None)
                changed.pop(key, None)
                changed[key] = self._read(key)
            except NodeLost as loss:
                if not changed:
                    raise
                self._untold.append(loss)
                break
        if self._ended is not None and not changed:
            raise NodeLost(str(self._ended), self._ended.keys)
        return changed

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        while not self._closed.wait(0):
            yield from self.poll(None).items()
        if self._ended is not None:
            raise NodeLost(str(self._ended), self._ended.keys)

    def end(self, why: NodeLost) -> None:
        """Look no longer, since no change will come; who waits is told why."""
        if not self._closed.wait(0):
            self._ended = why
            self._closed.open()
            self._queue.put(None)

    def close(self) -> None:
        """Look no longer; who waits comes back."""
        if not self._closed.wait(0):
            self._closed.open()
            self._queue.put(None)
            self._closing(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)
