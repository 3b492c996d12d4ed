"""The rules as first published, for comparison: what the simulator says of them.

A store with the same face as `hydroscope.kv.store.Store`, written from the published rules and
from nothing of ours. It differs from ours in what the simulator convicts:

- a put at home shows at once, while replicas of the old value are still read elsewhere;
- a put elsewhere shows at its own member at once, even one that is waited for;
- a reader whose replica was invalidated sees its member's own put that is still under way;
- an invalidation drops whatever is there, be it newer;
- the sender of a put stays registered without being invalidated;
- a remove leaves nothing behind that would hold the next put back;
- who joins a get under way takes its answer, though it may be older than the question;
- an atomic may overtake a put of its own member.

So that only these are compared, a put that is waited for first waits for the thread's plain
puts, as ours does (there is a write barrier among the published operations).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hydroscope.kv.effects import Answer, Ask, Effect, Finish, Names, Ordered, Value, Wrote
from hydroscope.kv.functions import Functions
from hydroscope.kv.homes import home_of
from hydroscope.node import member as member_module
from hydroscope.wire.messages import Atomic, Done, Get, Got, Invalidate, Put, View, Written
from tests.sim.silence import silenced

__all__ = ["OriginalStore", "original_rules"]

Then = Callable[[], None]


class Kept:
    """A value at its home: who may have a replica, and how many gets or invalidations of it are open."""

    def __init__(self, value: Any, version: int) -> None:
        self.value = value
        self.version = version
        self.n_open = 0
        self.replicas: set[int] = set()
        self.is_dead = False
        self.when_free: list[Then] = []

    def close_one(self) -> None:
        self.n_open -= 1
        if not self.n_open:
            waiting, self.when_free = self.when_free, []
            for then in waiting:
                then()


class Mine:
    """A member's own put under way."""

    def __init__(self, value: Any, thread: int) -> None:
        self.value = value
        self.thread = thread
        self.after: list[Then] = []


class OriginalStore:
    """One member's store under the published rules."""

    def __init__(self, me: int, functions: Functions, front: dict[str, Any]) -> None:
        self.me = me
        self.front = front
        self.counters: Counter[str] = Counter()
        self._functions = functions
        self._view: View | None = None
        self._kept: dict[str, Kept] = {}
        self._versions: dict[str, int] = {}
        self._gets: dict[str, list[Any]] = {}
        self._pending: dict[str, list[Mine]] = {}
        self._counted: dict[tuple[int, int], Kept] = {}
        self._asked: dict[int, Callable[[Any], None]] = {}
        self._n_tags = 0
        self._effects: list[Effect] = []

    # --- what the owner says ----------------------------------------------------------------------------------------

    def enter(self, view: View) -> list[Effect]:
        self._view = view
        return self._take()

    def drop_replicas(self, view: View) -> None:
        """The published rules know one view, before which there are none."""

    def get(self, op: Any, thread: int, key: str) -> list[Effect]:
        if key in self.front:
            self._finish(op, Value(self.front[key], -1))
        elif self._home(key) == self.me:
            kept = self._kept.get(key)
            self._finish(op, Value(kept.value if kept else None, kept.version if kept else 0))
        elif self._pending.get(key):
            self._finish(op, Value(self._pending[key][-1].value, -1))
        elif key in self._gets:
            self._gets[key].append(op)
        else:
            self._gets[key] = [op]
            self._ask(self._home(key), Get(key), lambda got: self._got(key, got))
        return self._take()

    def put(self, op: Any, thread: int, key: str, value: Any, wait: bool, durable: bool) -> list[Effect]:
        if wait:
            self._after_puts_of(thread, lambda: self._put(op, thread, key, value))
        else:
            self._put(op, thread, key, value)
        return self._take()

    def atomic(
        self, op: Any, thread: int, key: str, name: str, arguments: tuple[Any, ...], durable: bool
    ) -> list[Effect]:
        home = self._home(key)

        def done(reply: Written) -> None:
            self._finish(op, Wrote(reply.version, reply.result, reply.aborted))

        if home == self.me:
            self._apply(key, name, arguments, op, done)
        else:
            self._ask(home, Atomic(key, name, arguments), done)
        return self._take()

    def fence(self, op: Any, thread: int) -> list[Effect]:
        self._after_puts_of(thread, lambda: self._finish(op, Names(())))
        return self._take()

    def serve(self, peer: int, number: int, request: Any) -> list[Effect]:
        if isinstance(request, Get):
            kept = self._kept.get(request.key)
            if kept is None or kept.value is None:
                self._answer(peer, number, Got(None, kept.version if kept else 0, False, 1))
            else:
                kept.n_open += 1
                kept.replicas.add(peer)
                self._counted[peer, number] = kept
                self._answer(peer, number, Got(kept.value, kept.version, True, 1))
        elif isinstance(request, Put):
            self._order(
                request.key,
                request.value,
                peer,
                (peer, number),
                lambda version: self._answer(peer, number, Written(version)),
            )
        elif isinstance(request, Atomic):
            self._apply(
                request.key,
                request.name,
                request.arguments,
                (peer, number),
                lambda reply: self._answer(peer, number, reply),
            )
        elif isinstance(request, Invalidate):
            self.front.pop(request.key, None)
            self._answer(peer, number, Done())
        return self._take()

    def settled(self, peer: int, number: int) -> list[Effect]:
        kept = self._counted.pop((peer, number), None)
        if kept is not None:
            kept.close_one()
        return self._take()

    def answered(self, tag: int, reply: Any) -> list[Effect]:
        self._asked.pop(tag)(reply)
        return self._take()

    def failed(self, tag: int) -> list[Effect]:
        raise NotImplementedError("nobody dies under these rules")

    def check(self) -> None:
        """Say nothing: other rules, other invariants."""

    def check_at_rest(self) -> None:
        """Say nothing."""

    # --- home -------------------------------------------------------------------------------------------------------

    def _order(self, key: str, value: Any, sender: int | None, op: Any, then: Callable[[int], None]) -> None:
        """Put into the table (the order point), then lock the old value and invalidate its replicas."""
        old = self._kept.get(key)
        version = self._versions[key] = self._versions.get(key, 0) + 1
        new = self._kept[key] = Kept(value, version)
        new.n_open = 1
        if sender is not None and value is not None:
            new.replicas.add(sender)
        if value is None:
            self.front.pop(key, None)
        else:
            self.front[key] = value
        self._effects.append(Ordered(key, version, value, op))
        if old is None:
            new.close_one()
            then(version)
        elif old.n_open:
            old.when_free.append(lambda: self._invalidate(key, old, new, sender, then))
        else:
            self._invalidate(key, old, new, sender, then)

    def _invalidate(self, key: str, old: Kept, new: Kept, sender: int | None, then: Callable[[int], None]) -> None:
        old.is_dead = True
        left = [peer for peer in old.replicas if peer != sender]
        n_left = [len(left)]

        def acknowledged(_: Any) -> None:
            n_left[0] -= 1
            if not n_left[0]:
                then(new.version)
            new.close_one()

        for peer in left:
            new.n_open += 1
            self._ask(peer, Invalidate(old.version, key), acknowledged)
        if not left:
            then(new.version)
        new.close_one()

    def _apply(self, key: str, name: str, arguments: tuple[Any, ...], op: Any, then: Callable[[Written], None]) -> None:
        kept = self._kept.get(key)
        applied = self._functions.apply(name, kept.value if kept else None, arguments)
        if not applied.aborted:
            self._order(key, applied.value, None, op, lambda version: then(Written(version, applied.result)))
            return
        reply = Written(kept.version if kept else 0, applied.result, True)
        if kept is not None and kept.n_open:
            kept.when_free.append(lambda: then(reply))
        else:
            then(reply)

    # --- elsewhere --------------------------------------------------------------------------------------------------

    def _put(self, op: Any, thread: int, key: str, value: Any) -> None:
        home = self._home(key)
        if home == self.me:
            self._order(key, value, None, op, lambda version: self._finish(op, Wrote(version)))
            return
        pending = self._pending.setdefault(key, [])
        before = pending[-1] if pending and key in self.front else None  # a remove leaves no entry that would tell
        mine = Mine(value, thread)
        pending.append(mine)
        if value is None:
            self.front.pop(key, None)
        else:
            self.front[key] = value

        def written(reply: Written) -> None:
            self._pending[key].remove(mine)
            self._finish(op, Wrote(reply.version))
            for then in mine.after:
                then()

        def send() -> None:
            self._ask(home, Put(key, value), written)

        if before is None:
            send()
        else:
            before.after.append(send)

    def _got(self, key: str, got: Got) -> None:
        for op in self._gets.pop(key):
            self._finish(op, Value(got.value, got.version))
        if got.keep and key not in self.front:
            self.front[key] = got.value

    def _after_puts_of(self, thread: int, then: Then) -> None:
        for pending in self._pending.values():
            for mine in pending:
                if mine.thread == thread:
                    mine.after.append(lambda: self._after_puts_of(thread, then))
                    return
        then()

    # --- small ------------------------------------------------------------------------------------------------------

    def _home(self, key: str) -> int:
        assert self._view is not None
        return home_of(key, self._view)

    def _ask(self, peer: int, request: Any, then: Callable[[Any], None]) -> None:
        self._n_tags += 1
        self._asked[self._n_tags] = then
        self._effects.append(Ask(peer, request, self._n_tags))

    def _answer(self, peer: int, number: int, reply: Any) -> None:
        self._effects.append(Answer(peer, number, reply))

    def _finish(self, op: Any, outcome: Any) -> None:
        self._effects.append(Finish(op, outcome))

    def _take(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects


@contextmanager
def original_rules(store_class: type = OriginalStore) -> Iterator[None]:
    """Let members have another store."""
    ours = member_module.Store
    member_module.Store = store_class
    try:
        with silenced():
            yield
    finally:
        member_module.Store = ours
