"""This member's own writes: at most one underway for each key, in the order in which they were issued.

A plain put is *shown* to own threads at once, and until it is ordered (or a later plain put is). Its slot holds the key
meanwhile: no replica is taken in, later own writes wait behind it. A write that waits for its thread's plain puts takes
its place in line at once and is sent when it is first and they are ordered; this cannot lock up, because everything it
waits for was issued before it.

A plain put behind a plain put that has not been sent yet replaces it: one message less for each when a thread writes
faster than the network answers. That is legal because the place in the order that the replaced one gets, immediately
before its replacement, is one that it could have got anyway: own threads saw them in this order, nobody else saw the
first (as if it had been overwritten before anybody looked), and fences wait for the replacement instead. Other writes
are never replaced nor overtaken.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from hydroscope.kv.cache import outcome_of_failure
from hydroscope.kv.desk import Desk, Purpose
from hydroscope.kv.effects import Effect, Finish, Lost, Outcome, Wrote
from hydroscope.kv.fences import FenceTable
from hydroscope.kv.records import Slot, Write
from hydroscope.kv.states import SLOT, SlotAction, SlotEvent, SlotState, SlotStep
from hydroscope.wire.messages import NOBODY, Atomic, Failed, Put, Reply, Written

if TYPE_CHECKING:
    from hydroscope.kv.cache import CacheTable
    from hydroscope.kv.home import HomeTable

__all__ = ["SlotTable"]

# Names of our own: to look up a member of an enum takes as long as the rest of a step.
_FREE, _FLYING, _HELD = SlotState
_WRITE, _WRITE_FENCED, _WRITE_MERGED, _RELEASED, _ENDED, _ENDED_NEXT, _ENDED_HELD = SlotEvent
_QUEUE, _MERGE, _SEND, _FINISH = SlotAction
_OWN_WRITE = Purpose.WRITE


class SlotTable:
    """The slots of the keys that have own writes underway or waiting."""

    table: dict[tuple[SlotState, SlotEvent], SlotStep | None] = SLOT

    def __init__(self, desk: Desk) -> None:
        self.slots: dict[str, Slot] = {}
        self.fences = FenceTable(self._released)
        self.cache: CacheTable
        self.home: HomeTable
        self._desk = desk

    # --- what happens -----------------------------------------------------------------------------------------------

    def plain(self, op: Any, thread: int, write: Write, out: list[Effect]) -> None:
        """A thread puts and does not wait: own threads see it from here on."""
        write.early = True
        write.op = op
        write.generation = self.fences.begin(thread)
        slot = self.slots.get(write.key)
        if slot is not None and slot.queue and slot.queue[-1].early:
            self._step(slot, _WRITE_MERGED, write, out)
        else:
            self._write(slot, _WRITE, write, out)

    def waited(self, op: Any, thread: int, write: Write, out: list[Effect]) -> None:
        """A thread writes and waits until it is ordered; its plain puts go first."""
        write.op = op
        held = self.fences.hold(thread, write)
        slot = self.slots.get(write.key)
        if held:
            self._desk.counters["a write waited for its thread's plain puts"] += 1
        if slot is not None and write.name is not None:
            self._desk.counters["an atomic waited for an own write"] += 1
        self._write(slot, _WRITE_FENCED if held else _WRITE, write, out)

    def ended(self, write: Write, reply: Reply, out: list[Effect]) -> None:
        """The write underway was answered by its home."""
        slot = self.slots.get(write.key)
        if slot is None or slot.flying is not write:
            self._desk.impossible(write.key, f"the end of {write}, which is not underway")
        if not slot.queue:
            event = _ENDED
        else:
            event = _ENDED_HELD if slot.queue[0].fenced else _ENDED_NEXT
        write.reply = reply
        self._step(slot, event, write, out)

    def lost(self, slot: Slot, out: list[Effect]) -> None:
        """The home of the write underway is gone; whether it was done, nobody can know."""
        assert slot.flying is not None
        self.ended(slot.flying, Failed("lost", "", (slot.key,)), out)

    def leave(self, out: list[Effect]) -> None:
        """End all writes as lost."""
        for slot in self.slots.values():
            for write in (slot.flying, *slot.queue):
                if write is not None:
                    out.extend(Finish(op, Lost((slot.key,))) for op, _ in write.merged or ())
                    out.append(Finish(write.op, Lost((slot.key,))))
        self.slots.clear()
        self.fences.leave(out)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _write(self, slot: Slot | None, event: SlotEvent, write: Write, out: list[Effect]) -> None:
        if slot is None:
            slot = self.slots[write.key] = Slot(write.key, deque())
            if write.key in self.cache.replicas:
                self.cache.own_write(write.key, out)
        self._step(slot, event, write, out)

    def _released(self, write: Write, out: list[Effect]) -> None:
        """The plain puts that a write waited for are ordered."""
        slot = self.slots.get(write.key)
        if slot is not None and slot.queue and slot.queue[0] is write:
            self._step(slot, _RELEASED, write, out)

    def _step(self, slot: Slot, event: SlotEvent, write: Write, out: list[Effect]) -> None:
        """Do what the table says."""
        if slot.flying is not None:
            state = _FLYING
        else:
            state = _HELD if slot.queue else _FREE
        step = self.table[state, event]
        if step is None:
            self._desk.impossible(slot.key, f"{event.name} of {write} cannot happen in state {state.name}")
        self._desk.recent.append((slot.key, event, self._desk.me))
        for action in step.actions:
            if action is _QUEUE:
                self._queue(slot, write)
            elif action is _SEND:
                self._send(slot, out)
            elif action is _MERGE:
                self._merge(slot, write)
            else:
                self._finish(slot, write, out)

    # --- actions of the table ---------------------------------------------------------------------------------------

    def _queue(self, slot: Slot, write: Write) -> None:
        slot.queue.append(write)
        if write.early:
            slot.shown = write
            self._desk.front[write.key] = write.value

    def _merge(self, slot: Slot, write: Write) -> None:
        """Let the write take the place of the last in line."""
        self._desk.counters["a plain put replaced one that was not sent"] += 1
        replaced = slot.queue.pop()
        assert replaced.generation is not None
        write.merged = [*(replaced.merged or ()), (replaced.op, replaced.generation)]
        write.durable = write.durable or replaced.durable
        self._queue(slot, write)

    def _send(self, slot: Slot, out: list[Effect]) -> None:
        """Send the first in line to the key's home, which may be here."""
        write = slot.flying = slot.queue.popleft()
        key = write.key
        slot.peer = home = self._desk.homes.of(key)
        if home == self._desk.me:
            self.home.submit(write, out)
        elif home == NOBODY:
            self.lost(slot, out)
        elif write.name is None:
            self._desk.ask(home, Put(key, write.value, write.durable), _OWN_WRITE, write, out)
        else:
            request = Atomic(key, write.name, write.arguments, write.durable)
            self._desk.ask(home, request, _OWN_WRITE, write, out)

    def _finish(self, slot: Slot, write: Write, out: list[Effect]) -> None:
        """Tell the threads; keep the value if home has registered it for us."""
        slot.flying = None
        reply = write.reply
        if slot.shown is write:
            slot.shown = None
        if not slot.queue:
            del self.slots[slot.key]
        if slot.shown is None:
            self._hand_over(slot, write, reply, out)
        outcome: Outcome
        if type(reply) is Written:
            outcome = Wrote(reply.version, reply.result, reply.aborted)
        else:
            outcome = outcome_of_failure(write.key, reply)
        lost = write.key if type(outcome) is Lost else None
        for op, generation in write.merged or ():
            out.append(Finish(op, Wrote(outcome.version, merged=True) if type(outcome) is Wrote else outcome))
            self.fences.end(generation, lost, out)
        out.append(Finish(write.op, outcome))
        if write.generation is not None:
            self.fences.end(write.generation, lost, out)

    def _hand_over(self, slot: Slot, write: Write, reply: Reply, out: list[Effect]) -> None:
        """Let own threads read what is right now that no plain put is shown."""
        key = slot.key
        if self._desk.homes.of(key) == self._desk.me:
            self.home.show(key)
            return
        self._desk.front.pop(key, None)
        kept = type(reply) is Written and write.name is None and write.value is not None
        if kept and not slot.queue and slot.peer == self._desk.homes.of(key):
            assert type(reply) is Written
            self.cache.written(key, write.value, reply.version, out)
