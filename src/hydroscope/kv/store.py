"""The store of one member: keys it is home to, replicas of others, its threads' operations.

`Store` decides and does nothing: each method takes an event and returns effects, to be performed in order.
The parts are

    home      keys at home: the order of writes, replicas, closing and switching  (read this first)
    cache     keys at home elsewhere: replicas, gets underway
    slots     own writes: one underway a key; fences: those a thread has not seen ordered
    scans, watching

and share a `desk`. `states` has their tables, `invariants` what must always hold.

What the owner must guarantee: calls are executed exactly once and answered (`rpc`); between its entering a view and the
moment when all members have entered it no request is served and no operation begun (`node`), so that when work goes on
nobody has a replica that its home does not know of; numbers of members are never used twice; founders do not change.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hydroscope.ground.errors import InternalError
from hydroscope.kv import invariants
from hydroscope.kv.cache import CacheTable
from hydroscope.kv.desk import Desk, Purpose
from hydroscope.kv.effects import Answer, Effect, Finish, Lost, Value
from hydroscope.kv.functions import Functions
from hydroscope.kv.home import HomeTable
from hydroscope.kv.homes import Homes
from hydroscope.kv.names import is_volatile
from hydroscope.kv.records import Fence, Write
from hydroscope.kv.scans import Scans
from hydroscope.kv.slots import SlotTable
from hydroscope.kv.watching import Watching
from hydroscope.wire.messages import (
    Atomic,
    Backup,
    Done,
    Failed,
    Get,
    Invalidate,
    Names,
    Notify,
    Put,
    Reply,
    Request,
    Scan,
    View,
    Watch,
)

__all__ = ["Store"]

# Names of our own: to look up a member of an enum takes as long as the rest of a step.
_MISS, _WRITE, _INVALIDATE, _BACKUP, _BACKUP_AGAIN, _SCAN, _WATCH, _NOTIFY = Purpose


class Store:
    """The key/value store of one member.

    Parameters
    ----------
    me : int
        This member's number.
    functions : Functions
        What `atomic` can apply.
    front : dict
        What this member's threads may read without asking, written only here: the value of a key, None for one that
        they have removed. A key that is not in it may exist: `get` asks.
    """

    home_table = HomeTable
    cache_table = CacheTable
    slot_table = SlotTable

    def __init__(self, me: int, functions: Functions, front: dict[str, Any]) -> None:
        self.desk = desk = Desk(me, front)
        self.home = self.home_table(desk, functions)
        self.cache = self.cache_table(desk)
        self.slots = self.slot_table(desk)
        self.watching = Watching(desk)
        self.scans = Scans(desk, self.home, self.slots)
        self.view: View | None = None
        self.home.slots, self.home.watching = self.slots, self.watching
        self.cache.home, self.cache.slots = self.home, self.slots
        self.slots.home, self.slots.cache = self.home, self.cache
        desk.describe = self.describe

    @property
    def counters(self) -> Counter[str]:
        """How often something happened that the protocol provides for but that is rare."""
        return self.desk.counters

    # --- views ------------------------------------------------------------------------------------------------------

    def enter(self, view: View) -> list[Effect]:
        """Enter the first or a newer view: what was begun with those who are gone ends or moves on.

        Replicas go when a home is gone. When all homes are still there each of them knows whom it has registered, and
        goes on from that: replicas stay.

        What becomes of an operation whose home is gone: a get asks the successor; a write that was sent ends as lost,
        since nobody can know whether it was done; one that was not sent goes to the successor. What home does for those
        who are gone: their replicas and unsettled answers count no more, their writes that wait in line are dropped.
        """
        desk, out = self.desk, []  # type: tuple[Desk, list[Effect]]
        if self.view is not None:
            if view.epoch <= self.view.epoch:
                raise InternalError(f"member {desk.me} is in epoch {self.view.epoch} and cannot enter {view.epoch}")
            if view.founders != self.view.founders:
                raise InternalError(
                    f"the founders were {self.view.founders}; {view.founders} would move the homes of keys"
                )
        live = frozenset(member.number for member in view.members)
        gone = desk.live - live
        self.drop_replicas(view)
        self.view, desk.live, desk.epoch, desk.homes = view, live, view.epoch, Homes(view)
        self.watching.enter(gone)
        orphans = [desk.asks.pop(tag) for tag in [tag for tag, asked in desk.asks.items() if asked[0] in gone]]
        self.home.enter(gone, out)
        for peer, purpose, what in orphans:
            self._orphaned(peer, purpose, what, out)
        return out

    def drop_replicas(self, view: View) -> None:
        """Forget what other homes than those of now may overwrite in this view; `enter` follows when work may go on."""
        if Homes(view).live != self.desk.homes.live:
            self.cache.clear()

    def _orphaned(self, peer: int, purpose: Purpose, what: Any, out: list[Effect]) -> None:
        """Nobody will answer what we asked `peer`."""
        if purpose is _MISS:
            self.cache.home_lost(what, out)
        elif purpose is _WRITE:
            self.slots.lost(self.slots.slots[what.key], out)
        elif purpose is _SCAN:
            self.scans.again(what, out)
        elif purpose is _WATCH:
            self.watching.acknowledged(what, out)
        # INVALIDATE and BACKUP: `home.enter` has seen to it; BACKUP_AGAIN and NOTIFY: nobody waits

    def leave(self) -> list[Effect]:
        """Stop: this member does not belong any more. All operations end as lost."""
        out: list[Effect] = []
        for miss in self.cache.misses.values():
            out.extend(Finish(op, Lost((miss.key,))) for op in (*miss.askers, *miss.joiners))
        self.cache.misses.clear()
        self.cache.clear()
        self.slots.leave(out)
        self.scans.leave(out)
        self.watching.leave(out)
        self.desk.asks.clear()
        self.desk.front.clear()
        self.home.records.clear()
        self.home.counted.clear()
        return out

    # --- operations of this member's threads ------------------------------------------------------------------------

    def get(self, op: Any, thread: int, key: str) -> list[Effect]:
        """Read a key; what `front` has is the answer."""
        desk, out = self.desk, []  # type: tuple[Desk, list[Effect]]
        if key in desk.front:
            value = desk.front[key]
            if value is None:
                desk.counters["a key was read that own threads have removed"] += 1
            return [Finish(op, Value(value, self._version(key)))]
        if desk.homes.of(key) == desk.me:
            return [Finish(op, self.home.look(key))]
        self.cache.get(op, key, out)
        invariants.check_key(self, key)
        return out

    def put(
        self, op: Any, thread: int, key: str, value: Any, wait: bool = False, durable: bool = False
    ) -> list[Effect]:
        """Write a key (None removes it). Without `wait` own threads read it at once; finished when it is ordered."""
        out: list[Effect] = []
        waits = wait or is_volatile(key)
        if not durable and self._is_free(key, thread, waits) and self.home.write_now(op, key, value, None, (), out):
            invariants.check_key(self, key)
            return out
        write = Write(key, value, None, (), durable, self.desk.me, 0)
        if waits:
            self.slots.waited(op, thread, write, out)
        else:
            self.slots.plain(op, thread, write, out)
        invariants.check_key(self, key)
        return out

    def atomic(
        self, op: Any, thread: int, key: str, name: str, arguments: tuple[Any, ...] = (), durable: bool = False
    ) -> list[Effect]:
        """Apply a registered function at home, exactly once."""
        out: list[Effect] = []
        free = not durable and self._is_free(key, thread, True)
        if free and self.home.write_now(op, key, None, name, arguments, out):
            invariants.check_key(self, key)
            return out
        self.slots.waited(op, thread, Write(key, None, name, arguments, durable, self.desk.me, 0), out)
        invariants.check_key(self, key)
        return out

    def fence(self, op: Any, thread: int) -> list[Effect]:
        """Finish when the thread's plain puts are ordered; `Lost` names those that were lost since its last fence."""
        out: list[Effect] = []
        self.slots.fences.fence(thread, Fence(op), out)
        return out

    def scan(self, op: Any, prefix: str) -> list[Effect]:
        """List the keys that begin with `prefix`: finished with `Names`, which says whether some may be missing."""
        out: list[Effect] = []
        self.scans.begin(op, prefix, out)
        return out

    def watch(self, op: Any, prefix: str) -> list[Effect]:
        """Hear of changes of keys that begin with `prefix`, as `Changed`. Finished (`Names(())`) when homes know."""
        out: list[Effect] = []
        self.watching.watch(op, prefix, out)
        return out

    def unwatch(self, op: Any, prefix: str) -> list[Effect]:
        """Hear of them no longer; as often as `watch` was called."""
        out: list[Effect] = []
        self.watching.unwatch(op, prefix, out)
        return out

    # --- calls of peers ---------------------------------------------------------------------------------------------

    def serve(self, peer: int, number: int, request: Request) -> list[Effect]:
        """Do a peer's call; the `Answer` may come later."""
        desk, out = self.desk, []  # type: tuple[Desk, list[Effect]]
        if peer not in desk.live:
            desk.counters["a call of a member that is gone"] += 1
            return out
        if type(request) is Get or type(request) is Put or type(request) is Atomic:
            key = request.key
            home = desk.homes.of(key)
            if home != desk.me:
                text = f"key {key!r} is at home at member {home}, not {desk.me}, in epoch {desk.epoch}"
                return [Answer(peer, number, Failed("not home", text, (key,)))]
            if type(request) is Get:
                self.home.serve_get(peer, number, key, out)
            elif type(request) is Put:
                self.home.submit(Write(key, request.value, None, (), request.durable, peer, number), out)
            elif type(request) is Atomic:
                write = Write(key, None, request.name, request.arguments, request.durable, peer, number)
                self.home.submit(write, out)
            invariants.check_key(self, key)
            return out
        if type(request) is Invalidate:
            self.cache.serve_invalidate(peer, number, request, out)
            invariants.check_key(self, request.key)
            return out
        if type(request) is Backup:
            self.home.keep_backup(request)
        elif type(request) is Watch:
            self.watching.serve(peer, request)
        elif type(request) is Notify:
            self.watching.told(request.keys, out)
        elif type(request) is Scan:
            out.append(Answer(peer, number, Names(tuple(sorted(self.home.names(request.prefix))))))
            return out
        out.append(Answer(peer, number, Done()))
        return out

    def settled(self, peer: int, number: int) -> list[Effect]:
        """A peer has used our answer to its call."""
        out: list[Effect] = []
        key = self.home.settled(peer, number, out)
        if key is not None:
            invariants.check_key(self, key)
        return out

    # --- answers of peers -------------------------------------------------------------------------------------------

    def answered(self, tag: int, reply: Reply) -> list[Effect]:
        """A peer has answered what we asked."""
        out: list[Effect] = []
        asked = self.desk.asks.pop(tag, None)
        if asked is None:
            self.desk.counters["an answer that nobody waits for"] += 1
            return out
        peer, purpose, what = asked
        if purpose is _MISS:
            self.cache.got(what, reply, out)
            invariants.check_key(self, what.key)
            return out
        if purpose is _WRITE:
            self.slots.ended(what, reply, out)
            invariants.check_key(self, what.key)
            return out
        if purpose is _INVALIDATE:
            self.home.invalidated(what, peer, out)
            invariants.check_key(self, what.key)
            return out
        if purpose is _BACKUP:
            self.home.backed_up(what, peer, reply, out)
            invariants.check_key(self, what.key)
            return out
        if purpose is _SCAN:
            self.scans.names(what, reply, out)
        elif purpose is _WATCH:
            self.watching.acknowledged(what, out)
        elif purpose is _NOTIFY:
            self.watching.delivered(peer, out)
        return out

    def failed(self, tag: int) -> list[Effect]:
        """Nobody will answer what we asked: the peer is lost. The view without it says what follows from that."""
        self.desk.counters["a call failed"] += 1
        return []

    # --- invariants -------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Check the invariants of all keys."""
        invariants.check(self)

    def check_at_rest(self) -> None:
        """Check that nothing is underway, and what must hold then."""
        invariants.check_at_rest(self)

    def describe(self, key: str) -> str:
        """Return all that this member knows about a key, for people."""
        parts = {
            "home": self.desk.homes.of(key),
            "record": self.home.records.get(key),
            "replica": self.cache.replicas.get(key),
            "miss": self.cache.misses.get(key),
            "own writes": self.slots.slots.get(key),
            "backup": self.home.backups.get(key),
            "front": self.desk.front.get(key, "nothing"),
        }
        return ", ".join(f"{name} {part!r}" for name, part in parts.items() if part is not None)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _is_free(self, key: str, thread: int, waits: bool) -> bool:
        """Tell whether the key is at home here, has no own write underway, and its thread no plain puts to wait for."""
        if self.desk.homes.of(key) != self.desk.me or key in self.slots.slots:
            return False
        return not waits or thread not in self.slots.fences.threads

    def _version(self, key: str) -> int:
        """Return the version of what `front` shows."""
        slot = self.slots.slots.get(key)
        if slot is not None and slot.shown is not None:
            return 0
        replica = self.cache.replicas.get(key)
        return replica if replica is not None else self.home.records[key].version
