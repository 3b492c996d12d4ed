"""Keys at home: the only place where writes get their order.

The picture of a write (phases as in `states`):

    1. It waits in line until the write before it is done (first come, first served).
    2. *Close*: from now on gets are answered with the old value unregistered, so that no new replica appears.
    3. *Drain*: wait until all counted answers are settled. An answer is counted if it makes its receiver a replica; it
       is settled when the receiver has used it. So an invalidation can never overtake the answer it must undo.
    4. *Invalidate* every replica, by version, and wait for all acknowledgements. The writer itself needs none: a member
       has no replica of a key while a write of its own is underway (`cache`, `slots`).
    5. *Back up* the new value at the runner-up, if the key is durable. By now no replica of the old one is left, so
       whichever of the two the runner-up serves after our death, nobody can have seen a newer one.
    6. *Switch*, in one step: readers see the old value before it and the new one after it.
    7. *Acknowledge* to the writer. A put that is acknowledged makes its writer a replica, with the answer counted as in
       3. This also covers plain puts, which the writer's threads have been reading all the time: the next write cannot
       switch before the writer has heard of its own, so nobody goes on reading a value that was overwritten.

Readers never wait. With no replicas and no counted answers a write is done at once.

A key whose first home died is LOST until it is written; its successor does not know who may still hold a replica, so
the first write invalidates it at everybody. What the dead home had backed up here is served at once: it is not older
than any replica. Versions have the epoch in their upper bits: a successor's are larger than those of the dead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hydroscope.kv.desk import Desk, Purpose
from hydroscope.kv.effects import Adopted, Answer, Effect, Finish, Lost, Ordered, Outcome, Refused, Value, Wrote
from hydroscope.kv.functions import FunctionError, Functions
from hydroscope.kv.records import LOST, Record, Write
from hydroscope.kv.states import HOME, HomeAction, HomeEvent, HomePhase, HomeStep
from hydroscope.wire.messages import NOBODY, Backup, Failed, Got, Invalidate, Reply, Written

if TYPE_CHECKING:
    from hydroscope.kv.slots import SlotTable
    from hydroscope.kv.watching import Watching

__all__ = ["EPOCH_SHIFT", "HomeTable"]

EPOCH_SHIFT = 40
"""Bits of a version below the epoch: writes of one home in one epoch."""

# Names of our own: to look up a member of an enum takes as long as the rest of a step.
_OPEN, _DRAINING, _INVALIDATING, _BACKING_UP = HomePhase
(
    _GET,
    _GET_ABSENT,
    _GET_LOST,
    _SETTLED,
    _START_FREE,
    _START,
    _LEFT,
    _DRAINED,
    _INVALIDATE_ACKED,
    _INVALIDATED,
    _BACKUP_ACKED,
    _BACKUP_REFUSED,
    _BACKED_UP,
    _PEERS_LOST,
) = HomeEvent
_INVALIDATE = Purpose.INVALIDATE


class HomeTable:
    """The keys that one member is home to."""

    table: dict[tuple[HomePhase, HomeEvent], HomeStep | None] = HOME

    def __init__(self, desk: Desk, functions: Functions) -> None:
        self.records: dict[str, Record] = {}
        self.counted: dict[tuple[int, int], Record] = {}
        self.backups: dict[str, tuple[Any, int]] = {}
        self.version = 0
        self.slots: SlotTable
        self.watching: Watching
        self._desk = desk
        self._functions = functions
        self._actions: list[Callable[[Record, int, int, list[Effect]], None]] = [
            getattr(self, f"_{action.name.lower()}") for action in HomeAction
        ]

    # --- what happens -----------------------------------------------------------------------------------------------

    def serve_get(self, peer: int, number: int, key: str, out: list[Effect]) -> None:
        """A peer asks for the value."""
        record = self.records.get(key)
        if record is None:
            if self.is_inherited(key):
                out.append(Answer(peer, number, _lost(key)))
            else:
                out.append(Answer(peer, number, Got(None, self.version, False, self._desk.epoch)))
            return
        value = record.value
        if value is None:
            event = _GET_ABSENT
        elif value is LOST:
            event = _GET_LOST
        else:
            event = _GET
        self._step(record, event, peer, number, out)

    def submit(self, write: Write, out: list[Effect]) -> None:
        """A write arrives, of a peer or of this member."""
        key = write.key
        record = self.records.get(key)
        if record is None:
            record = self._begin(key)
        if record.closing is None and not record.queue and not record.running:
            record.running = True
            self._start(record, write, out)
            record.running = False
        else:
            if record.closing is not None:
                self._desk.counters["a write waited for the one before"] += 1
            if record.queue is None:
                record.queue = deque()
            record.queue.append(write)
        self._run(record, out)

    def write_now(
        self, op: Any, key: str, value: Any, name: str | None, arguments: tuple[Any, ...], out: list[Effect]
    ) -> bool:
        """Do a write of this member at once, if nothing at all has to be waited for, and nothing remembered.

        It comes to what the tables would do for a slot that is free and a record that is open: START_FREE and ENDED.
        """
        record = self.records.get(key)
        if record is None:
            if self.is_inherited(key):
                return False
            record = Record(key, None, self.version)
        else:
            is_busy = record.closing is not None or record.readers or record.replicas or record.running
            if is_busy or record.durable or record.value is LOST:  # of what is lost a function has nothing to work on
                return False
        result, aborted = None, False
        if name is not None:
            try:
                value, result, aborted = self._functions.apply(name, record.value, arguments)
            except FunctionError as error:
                out.append(Finish(op, Refused(error.kind, error.text)))
                return True
        if not aborted:
            self.version += 1
            record.value, record.version = value, self.version
            if value is None:
                self._desk.front.pop(key, None)
                if not record.inherited:
                    self.records.pop(key, None)
            else:
                self._desk.front[key] = value
                self.records[key] = record
            self._desk.recent.append((key, _START_FREE, self._desk.me))
            out.append(Ordered(key, self.version, value, op))
            if self.watching.is_watched:
                self.watching.changed(key, out)
        out.append(Finish(op, Wrote(record.version, result, aborted)))
        return True

    def settled(self, peer: int, number: int, out: list[Effect]) -> str | None:
        """A peer has used our answer; returns the key if it was a counted one."""
        record = self.counted.pop((peer, number), None)
        if record is None:
            return None
        self._step(record, _SETTLED, peer, number, out)
        self._run(record, out)
        return record.key

    def invalidated(self, record: Record, peer: int, out: list[Effect]) -> None:
        """A peer has dropped its replica."""
        self._step(record, _INVALIDATE_ACKED, peer, 0, out)
        self._run(record, out)

    def backed_up(self, record: Record, peer: int, reply: Reply, out: list[Effect]) -> None:
        """The runner-up has the new value, or says why it has not."""
        if type(reply) is Failed:
            if record.closing is not None:
                record.closing.reply = reply
            self._step(record, _BACKUP_REFUSED, peer, 0, out)
        else:
            self._step(record, _BACKUP_ACKED, peer, 0, out)
        self._run(record, out)

    def keep_backup(self, backup: Backup) -> None:
        """Keep a second copy for another home; messages may arrive in any order."""
        known = self.backups.get(backup.key)
        if known is None or known[1] < backup.version:
            self.backups[backup.key] = (backup.value, backup.version)

    def enter(self, gone: frozenset[int], out: list[Effect]) -> None:
        """A newer view, without the members that are `gone`."""
        self.version = max(self.version, self._desk.epoch << EPOCH_SHIFT)
        if not gone:
            return
        for peer, number in [call for call in self.counted if call[0] in gone]:
            record = self.counted.pop((peer, number))
            record.readers -= 1
            if record.value is None and not record.readers:
                self._forget(record)
        busy = [record for record in self.records.values() if record.replicas or record.closing or record.durable]
        for record in busy:  # of millions of keys most are idle: a view must be entered within a lease
            self._step(record, _PEERS_LOST, self._desk.me, 0, out)
        self._adopt(out)
        for record in busy:
            self._run(record, out)

    def _adopt(self, out: list[Effect]) -> None:
        """Become home to what the dead had backed up here."""
        for key in [key for key in self.backups if self._desk.homes.of(key) == self._desk.me]:
            value, version = self.backups.pop(key)
            record = self.records[key] = Record(key, value, version)
            record.inherited = record.durable = True
            record.replicas = self._others()
            out.append(Adopted(key, version, value))
            self._back_up_again(record, out)
            self.show(key)
            self.watching.changed(key, out)

    # --- what is known ----------------------------------------------------------------------------------------------

    def is_inherited(self, key: str) -> bool:
        """Tell whether the first home of the key died, so that a key not known here is not known to be absent."""
        homes = self._desk.homes
        return len(homes.live) != len(homes.founders) and homes.original(key) != self._desk.me

    def look(self, key: str) -> Outcome:
        """Return what a get by this member's own threads finds."""
        record = self.records.get(key)
        if record is None:
            return Lost((key,)) if self.is_inherited(key) else Value(None, self.version)
        return Lost((key,)) if record.value is LOST else Value(record.value, record.version)

    def names(self, prefix: str) -> list[str]:
        """Return the keys here that begin with `prefix`."""
        return [
            key
            for key, record in self.records.items()
            if record.value is not None and record.value is not LOST and key.startswith(prefix)
        ]

    def show(self, key: str) -> None:
        """Let own threads read the value, unless they see a plain put of theirs that is not ordered yet."""
        slot = self.slots.slots.get(key)
        if slot is not None and slot.shown is not None:
            return
        record = self.records.get(key)
        if record is None or record.value is None or record.value is LOST:
            self._desk.front.pop(key, None)
        else:
            self._desk.front[key] = record.value

    # --- inside -----------------------------------------------------------------------------------------------------

    def _begin(self, key: str) -> Record:
        """Make the record of a key that is about to be written."""
        inherited = self.is_inherited(key)
        record = self.records[key] = Record(key, LOST if inherited else None, self.version)
        if inherited:
            record.inherited = True
            record.replicas = self._others()
        return record

    def _others(self) -> set[int]:
        return {number for number in self._desk.live if number != self._desk.me}

    def _step(self, record: Record, event: HomeEvent, peer: int, number: int, out: list[Effect]) -> None:
        """Do what the table says."""
        step = self.table[record.phase, event]
        if step is None:
            self._desk.impossible(
                record.key, f"{event.name} (member {peer}) cannot happen in phase {record.phase.name}"
            )
        self._desk.recent.append((record.key, event, peer))
        record.phase = step.phase
        for action in step.actions:
            self._actions[action](record, peer, number, out)

    def _run(self, record: Record, out: list[Effect]) -> None:
        """Go as far as nothing has to be waited for."""
        if record.running:  # the end of an own write has begun the next one: the loop below gets to it
            return
        record.running = True
        while True:
            phase = record.phase
            if phase is _OPEN:
                if not record.queue:
                    break
                self._start(record, record.queue.popleft(), out)
            elif phase is _DRAINING:
                if record.readers:
                    break
                self._step(record, _DRAINED, self._desk.me, 0, out)
            elif phase is _INVALIDATING:
                if record.awaiting:
                    break
                self._step(record, _INVALIDATED, self._desk.me, 0, out)
            else:
                if record.backing is not None:
                    break
                self._step(record, _BACKED_UP, self._desk.me, 0, out)
        record.running = False
        if record.value is None and not record.readers:
            self._forget(record)

    def _start(self, record: Record, write: Write, out: list[Effect]) -> None:
        """Begin with the next write."""
        record.closing = write
        self._step(record, self._begun(record, write), write.peer, write.number, out)

    def _forget(self, record: Record) -> None:
        """Drop the record of an absent key; later versions are larger all the same."""
        idle = record.phase is _OPEN and not record.inherited and not record.durable
        if idle and self.records.get(record.key) is record:
            del self.records[record.key]

    def _begun(self, record: Record, write: Write) -> HomeEvent:
        """Compute the new value; nothing can come between this and the switch."""
        if write.name is None:
            record.new = write.value
            write.reply = None
        elif record.value is LOST:
            write.reply = _lost(record.key)
            return _LEFT
        else:
            try:
                applied = self._functions.apply(write.name, record.value, write.arguments)
            except FunctionError as error:
                write.reply = Failed(error.kind, error.text, (record.key,))
                return _LEFT
            if applied.aborted:
                write.reply = Written(record.version, applied.result, True)
                return _LEFT
            record.new = applied.value
            write.reply = applied.result
        record.new_version = 0
        replicas = record.replicas
        if (
            record.readers
            or record.durable
            or write.durable
            or (replicas and (len(replicas) > 1 or write.peer not in replicas))
        ):
            return _START
        return _START_FREE

    # --- actions of the table ---------------------------------------------------------------------------------------

    def _answer_kept(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        self._count(record, peer, number)
        out.append(Answer(peer, number, Got(record.value, record.version, True, self._desk.epoch)))

    def _answer_unkept(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        if record.phase is not _OPEN:
            self._desk.counters["a get was answered while closing"] += 1
        out.append(Answer(peer, number, Got(record.value, record.version, False, self._desk.epoch)))

    def _answer_lost(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        out.append(Answer(peer, number, _lost(record.key)))

    def _uncount(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        record.readers -= 1

    def _close(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        if record.readers:
            self._desk.counters["a write waited for gets"] += 1

    def _invalidate(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        assert record.closing is not None
        awaiting = record.replicas or set()
        awaiting.discard(record.closing.peer)
        record.replicas, record.awaiting = None, awaiting
        for replica in sorted(awaiting):
            self._desk.ask(replica, Invalidate(record.version, record.key), _INVALIDATE, record, out)

    def _strike(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        if record.awaiting is None or peer not in record.awaiting:
            self._desk.impossible(record.key, f"member {peer} acknowledged an invalidation that it was not sent")
        record.awaiting.discard(peer)

    def _back_up(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        assert record.closing is not None
        if record.durable or record.closing.durable:
            self.version += 1
            record.new_version = self.version
            self._send_backup(record, out)

    def _send_backup(self, record: Record, out: list[Effect]) -> None:
        runner_up = self._desk.homes.runner_up(record.key)
        if runner_up == NOBODY:  # nobody is left to keep a second copy: ours has to do
            record.backing = None
            return
        record.backing = runner_up
        self._desk.ask(runner_up, Backup(record.key, record.new, record.new_version), Purpose.BACKUP, record, out)

    def _back_up_again(self, record: Record, out: list[Effect]) -> None:
        runner_up = self._desk.homes.runner_up(record.key)
        if runner_up != NOBODY and record.value is not LOST:
            backup = Backup(record.key, record.value, record.version)
            self._desk.ask(runner_up, backup, Purpose.BACKUP_AGAIN, record, out)

    def _strike_backup(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        record.backing = None

    def _abandon(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        record.backing = record.new = None

    def _switch(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        write = record.closing
        if write is None or record.readers or record.awaiting or record.backing is not None:
            self._desk.impossible(record.key, "the value was switched while something had to be waited for (I6)")
        if not record.new_version:
            self.version += 1
            record.new_version = self.version
        if record.new_version <= record.version:
            self._desk.impossible(record.key, f"version {record.new_version} does not come after the last (I8)")
        key, value = record.key, record.new
        record.value, record.version = value, record.new_version
        record.new = record.replicas = record.awaiting = None
        record.durable = record.durable or write.durable
        write.reply = Written(record.version, write.reply)
        if write.peer != self._desk.me and write.name is None and write.peer in self._desk.live:
            self._count(record, write.peer, write.number)
        self.show(key)
        out.append(
            Ordered(key, record.version, value, write.op if write.op is not None else (write.peer, write.number))
        )
        if self.watching.is_watched:
            self.watching.changed(key, out)

    def _count(self, record: Record, peer: int, number: int) -> None:
        """Register a replica; nothing is switched until the peer has used the answer that makes it one."""
        if record.value is not None:
            if record.replicas is None:
                record.replicas = {peer}
            else:
                record.replicas.add(peer)
        record.readers += 1
        self.counted[peer, number] = record

    def _reply(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        write = record.closing
        assert write is not None
        record.closing = None
        if write.peer == self._desk.me:
            self.slots.ended(write, write.reply, out)
        elif write.peer in self._desk.live:
            out.append(Answer(write.peer, write.number, write.reply))

    def _forget_lost(self, record: Record, peer: int, number: int, out: list[Effect]) -> None:
        live = self._desk.live
        if record.replicas:
            record.replicas &= live
        if record.awaiting:
            record.awaiting &= live
        if record.queue:
            record.queue = deque(write for write in record.queue if write.peer in live)
        if record.backing is not None and record.backing not in live:
            self._send_backup(record, out)
        if record.durable:
            self._back_up_again(record, out)


def _lost(key: str) -> Failed:
    return Failed("lost", f"what key {key!r} held was lost with its home; write or remove it to use it again", (key,))
