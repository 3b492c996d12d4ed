"""Plain puts that are underway, by thread, and what waits for them.

A release fence of a thread (the `fence` operation, and the beginning of each write that waits) waits for the plain
puts that the thread issued before it, not for later ones. So puts are counted in generations: the first fence after
some puts closes their generation, and is let go when all generations up to that one are done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hydroscope.kv.effects import Effect, Finish, Lost, Wrote
from hydroscope.kv.records import Fence, Generation, Write

__all__ = ["FenceTable"]


class FenceTable:
    """Generations of plain puts, by thread; a thread without any has no entry."""

    def __init__(self, release: Callable[[Write, list[Effect]], None]) -> None:
        self.threads: dict[int, deque[Generation]] = {}
        self.lost: dict[int, list[str]] = {}
        self._release = release

    def begin(self, thread: int) -> Generation:
        """Count a plain put in."""
        generations = self.threads.get(thread)
        if generations is None:
            generations = self.threads[thread] = deque((Generation(thread, []),))
        elif generations[-1].waiters:
            generations.append(Generation(thread, []))
        generation = generations[-1]
        generation.count += 1
        return generation

    def end(self, generation: Generation, lost: str | None, out: list[Effect]) -> None:
        """Count a plain put out; with the key, if it was lost."""
        if lost is not None:
            self.lost.setdefault(generation.thread, []).append(lost)
        generation.count -= 1
        if generation.count:
            return
        generations = self.threads[generation.thread]
        free: list[Write | Fence] = []
        while generations and not generations[0].count:
            free += generations.popleft().waiters
        if not generations:
            del self.threads[generation.thread]
        for waiter in free:
            if type(waiter) is Fence:
                self._finish(waiter, generation.thread, out)
            elif type(waiter) is Write:
                waiter.fenced = False
                self._release(waiter, out)

    def hold(self, thread: int, waiter: Write) -> bool:
        """Make a write wait if its thread has plain puts underway."""
        generations = self.threads.get(thread)
        if generations is None:
            return False
        generations[-1].waiters.append(waiter)
        waiter.fenced = True
        return True

    def fence(self, thread: int, fence: Fence, out: list[Effect]) -> None:
        """Finish a fence when the thread's plain puts are ordered."""
        generations = self.threads.get(thread)
        if generations is None:
            self._finish(fence, thread, out)
        else:
            generations[-1].waiters.append(fence)

    def _finish(self, fence: Fence, thread: int, out: list[Effect]) -> None:
        lost = self.lost.pop(thread, None)
        out.append(Finish(fence.op, Lost(tuple(dict.fromkeys(lost))) if lost else Wrote(0)))

    def leave(self, out: list[Effect]) -> None:
        """End all fences as lost."""
        for generations in self.threads.values():
            for generation in generations:
                out.extend(Finish(each.op, Lost(())) for each in generation.waiters if isinstance(each, Fence))
        self.threads.clear()
