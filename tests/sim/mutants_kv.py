"""Stores with one rule broken each: the simulator has to notice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from hydroscope.kv import slots as slots_module
from hydroscope.kv.cache import CacheTable
from hydroscope.kv.desk import Purpose
from hydroscope.kv.effects import Answer, Finish, Ordered, Value, Wrote
from hydroscope.kv.fences import FenceTable
from hydroscope.kv.functions import FunctionError
from hydroscope.kv.home import HomeTable
from hydroscope.kv.slots import SlotTable
from hydroscope.kv.states import CACHE, CacheAction, CacheEvent, CacheState, CacheStep, SlotEvent
from hydroscope.kv.store import Store
from hydroscope.node import member as member_module
from hydroscope.node.standing import Standing
from hydroscope.wire.messages import Atomic, Done, Put, Written

__all__ = ["KV_MUTANTS", "mutated"]


class SwitchesFirst(HomeTable):
    """Without repair 1: the new value is read while replicas of the old one still are."""

    def _close(self, record: Any, peer: int, number: int, out: list[Any]) -> None:
        super()._close(record, peer, number, out)
        write = record.closing
        self.version += 1
        record.new_version = self.version
        record.value, record.version = record.new, record.new_version
        if record.key not in self.slots.slots:
            self.show(record.key)
        op = write.op if write.op is not None else (write.peer, write.number)
        out.append(Ordered(record.key, record.version, record.value, op))

    def _switch(self, record: Any, peer: int, number: int, out: list[Any]) -> None:
        if not record.new_version or record.new_version != record.version:
            super()._switch(record, peer, number, out)
            return
        write = record.closing
        record.new = record.replicas = record.awaiting = None
        write.reply = Written(record.version, write.reply)
        if write.peer != self._desk.me and write.name is None:
            self._count(record, write.peer, write.number)


class ShowsEarly(SlotTable):
    """Without repair 2: the writer's member shows what is not ordered yet."""

    def waited(self, op: Any, thread: int, write: Any, out: list[Any]) -> None:
        if write.name is None:
            write.early = True
        super().waited(op, thread, write, out)


class InvalidatesAnything(CacheTable):
    """Without repair 3: an invalidation drops whatever is there."""

    def serve_invalidate(self, peer: int, number: int, request: Any, out: list[Any]) -> None:
        self.replicas.pop(request.key, None)
        self._desk.front.pop(request.key, None)
        out.append(Answer(peer, number, Done()))

    def _drop(self, key: str, _: Any, out: list[Any]) -> None:
        self.replicas.pop(key, None)
        self._desk.front.pop(key, None)


class SendsAtOnce(SlotTable):
    """Without repair 4: several writes of one key are under way from one member."""

    def __init__(self, desk: Any) -> None:
        super().__init__(desk)
        self.n_flying: Counter[str] = Counter()

    def _step(self, slot: Any, event: Any, write: Any, out: list[Any]) -> None:
        if event is not SlotEvent.RELEASED:
            self._queue(slot, write)
        if not write.fenced and write in slot.queue:
            slot.queue.remove(write)
            self.n_flying[slot.key] += 1
            home = slot.peer = self._desk.homes.of(slot.key)
            if home == self._desk.me:
                self.home.submit(write, out)
            elif write.name is None:
                self._desk.ask(home, Put(slot.key, write.value, write.durable), Purpose.WRITE, write, out)
            else:
                request = Atomic(slot.key, write.name, write.arguments, write.durable)
                self._desk.ask(home, request, Purpose.WRITE, write, out)

    def plain(self, op: Any, thread: int, write: Any, out: list[Any]) -> None:
        write.early = True
        write.op = op
        write.generation = self.fences.begin(thread)
        self._write(self.slots.get(write.key), SlotEvent.WRITE, write, out)

    def _released(self, write: Any, out: list[Any]) -> None:
        slot = self.slots.get(write.key)
        if slot is not None:
            self._step(slot, SlotEvent.RELEASED, write, out)

    def ended(self, write: Any, reply: Any, out: list[Any]) -> None:
        slot = self.slots[write.key]
        self.n_flying[write.key] -= 1
        is_last = not slot.queue and not self.n_flying[write.key]
        if slot.shown is write:
            slot.shown = None
        if is_last:
            del self.slots[write.key]
            if slot.shown is None:
                write.reply = reply
                self._hand_over(slot, write, reply, out)
        out.append(Finish(write.op, Wrote(reply.version, reply.result, reply.aborted)))
        if write.generation is not None:
            self.fences.end(write.generation, None, out)


class JoinersTakeAnything(CacheTable):
    """Without repair 5: who joined a get takes an answer that was not registered."""

    table: ClassVar[Any] = {
        **CACHE,
        (CacheState.ASKING, CacheEvent.GOT_UNKEPT_JOINED): CacheStep(CacheState.EMPTY, (CacheAction.FINISH_ALL,)),
        (CacheState.REPLICA_ASKING, CacheEvent.GOT_UNKEPT_JOINED): CacheStep(
            CacheState.REPLICA, (CacheAction.FINISH_ALL,)
        ),
    }


class Peeks(CacheTable):
    """A get of what is not held here gives the member's own put that is under way, wherever that stands by now."""

    def get(self, op: Any, key: str, out: list[Any]) -> None:
        slot = self.slots.slots.get(key)
        if slot is None or slot.flying is None or slot.flying.name is not None:
            super().get(op, key, out)
        else:
            out.append(Finish(op, Value(slot.flying.value, -1)))


class WaitsForNoGets(HomeTable):
    """A write does not wait for answers to gets that are under way."""

    def _count(self, record: Any, peer: int, number: int) -> None:
        super()._count(record, peer, number)
        record.readers -= 1
        del self.counted[peer, number]


class ForgetsTheSender(HomeTable):
    """The sender of a put keeps it, and is not invalidated when it is overwritten."""

    def _switch(self, record: Any, peer: int, number: int, out: list[Any]) -> None:
        writer = record.closing.peer
        super()._switch(record, peer, number, out)
        if record.replicas:
            record.replicas.discard(writer)


class AbortsAtOnce(HomeTable):
    """An atomic that aborts is answered from the newest value, before the others can see that."""

    def submit(self, write: Any, out: list[Any]) -> None:
        record = self.records.get(write.key)
        if write.name is not None and record is not None and record.closing is not None:
            try:
                applied = self._functions.apply(write.name, record.new, write.arguments)
            except FunctionError:
                applied = None
            if applied is not None and applied.aborted:
                reply = Written(0, applied.result, True)
                if write.peer == self._desk.me:
                    self.slots.ended(write, reply, out)
                else:
                    out.append(Answer(write.peer, write.number, reply))
                return
        super().submit(write, out)


class NoFence(FenceTable):
    """A write that waits does not wait for the plain puts of its thread."""

    def hold(self, thread: int, waiter: Any) -> bool:
        return False


class NoBackup(HomeTable):
    """Durable writes have no second copy."""

    def _send_backup(self, record: Any, out: list[Any]) -> None:
        record.backing = None

    def _back_up_again(self, record: Any, out: list[Any]) -> None:
        """Do nothing."""


class AnyLife(Standing):
    """Packets of and to other lives count, and of other epochs: a new life always comes with a new epoch."""

    def refusal(self, packet: Any) -> str | None:
        found = super().refusal(packet)
        return None if found in ("meant for another life", "from a life that does not belong") else found

    def is_of_this_epoch(self, packet: Any, now: float) -> bool:
        return True


class NoLease(Standing):
    """A member goes on working however long nobody has heard of it."""

    @property
    def lease_until(self) -> float:
        return -math.inf if self.is_out or self.view is None or not self.is_open else math.inf


KV_MUTANTS: dict[str, tuple[Any, str, Any, str]] = {
    "repair 1 dropped: switch, then close": (Store, "home_table", SwitchesFirst, "volatile"),
    "repair 2 dropped: early visibility": (Store, "slot_table", ShowsEarly, "volatile"),
    "repair 3 dropped: invalidation of anything": (Store, "cache_table", InvalidatesAnything, "plain"),
    "repair 4 dropped: several writes under way": (Store, "slot_table", SendsAtOnce, "plain_atomic"),
    "repair 5 dropped: joiners take anything": (Store, "cache_table", JoinersTakeAnything, "remove"),
    "own put under way is peeked at": (Store, "cache_table", Peeks, "volatile"),
    "no wait for pending gets": (Store, "home_table", WaitsForNoGets, "volatile"),
    "home excludes the sender from invalidation": (Store, "home_table", ForgetsTheSender, "volatile"),
    "aborted atomic answered without waiting": (Store, "home_table", AbortsAtOnce, "atomic"),
    "calls that writes wait for queue in the window": (member_module, "URGENT", frozenset(), "volatile"),
    "no release fence": (slots_module, "FenceTable", NoFence, "flags"),
    "no second copy of durable keys": (Store, "home_table", NoBackup, "crash"),
    "lease not checked": (member_module, "Standing", NoLease, "crash"),
    "life and epoch not checked": (member_module, "Standing", AnyLife, "crash"),
}
"""Name -> (who looks the class up, its name there, the mutant, the mix that should notice)."""


@contextmanager
def mutated(module: Any, name: str, replacement: Any) -> Iterator[None]:
    """Let a module or class use another class under a name."""
    ours = getattr(module, name)
    setattr(module, name, replacement)
    try:
        yield
    finally:
        setattr(module, name, ours)
