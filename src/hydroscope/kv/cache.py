"""Keys that are at home elsewhere: replicas of them, and gets that are underway.

A replica may be kept only if home registered it (`Got.keep`), and goes when home says so. Gets of one key at one time
ask only once. Whoever *joined* such a question late may use the answer only if it is registered: then it is current at
the moment it arrives, because home does not overwrite what it has not been told was used. Any other answer (the key was
absent, or being overwritten) may be older than a put that was complete before the late one began; for the late ones the
question is asked again.

While a write of this member is underway for a key (`slots`) there is no replica of it here, and none is taken in: that
is why home need not invalidate the writer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hydroscope.kv.desk import Desk, Purpose
from hydroscope.kv.effects import Answer, Effect, Finish, Lost, Outcome, Refused, Value
from hydroscope.kv.records import CACHE_STATES, Miss
from hydroscope.kv.states import CACHE, CacheAction, CacheEvent, CacheState, CacheStep
from hydroscope.wire.messages import NOBODY, Done, Failed, Get, Got, Invalidate, Reply

if TYPE_CHECKING:
    from hydroscope.kv.home import HomeTable
    from hydroscope.kv.slots import SlotTable

__all__ = ["CacheTable", "outcome_of_failure"]

# Names of our own: to look up a member of an enum takes as long as the rest of a step.
(
    _GET,
    _GOT_KEPT,
    _GOT_BUSY,
    _GOT_UNKEPT,
    _GOT_UNKEPT_JOINED,
    _INVALIDATE,
    _INVALIDATE_OTHER,
    _OWN_WRITE,
    _WRITTEN,
    _HOME_LOST,
) = CacheEvent
_MISS = Purpose.MISS


class CacheTable:
    """Replicas, by key their versions (the values are in `front`), and gets underway."""

    table: dict[tuple[CacheState, CacheEvent], CacheStep | None] = CACHE

    def __init__(self, desk: Desk) -> None:
        self.replicas: dict[str, int] = {}
        self.misses: dict[str, Miss] = {}
        self.home: HomeTable
        self.slots: SlotTable
        self._desk = desk
        self._actions: list[Callable[[str, Any, list[Effect]], None]] = [
            getattr(self, f"_{action.name.lower()}") for action in CacheAction
        ]

    # --- what happens -----------------------------------------------------------------------------------------------

    def get(self, op: Any, key: str, out: list[Effect]) -> None:
        """A thread reads a key that is at home elsewhere."""
        self._step(key, _GET, op, out)

    def got(self, miss: Miss, reply: Reply, out: list[Effect]) -> None:
        """Home has answered."""
        key = miss.key
        if type(reply) is Got and reply.keep and reply.epoch == self._desk.epoch:
            busy = key in self.slots.slots
            event = _GOT_BUSY if busy else _GOT_KEPT
        elif miss.joiners:
            event = _GOT_UNKEPT_JOINED
        else:
            event = _GOT_UNKEPT
        if self.misses.get(key) is not miss:
            self._desk.impossible(key, "an answer came for a get that is not underway")
        self._step(key, event, reply, out)

    def serve_invalidate(self, peer: int, number: int, request: Invalidate, out: list[Effect]) -> None:
        """Home tells us to drop a version.

        An older replica than the one named is dropped too: that happens after the death of a home, when its successor
        names a version that is above all that the dead one gave.
        """
        held = self.replicas.get(request.key)
        mine = held is not None and held <= request.version
        if not mine:
            busy = request.key in self.slots.slots
            what = (
                "an invalidation came before the answer to an own write"
                if busy
                else "an invalidation of what is not here"
            )
            self._desk.counters[what] += 1
        event = _INVALIDATE if mine else _INVALIDATE_OTHER
        self._step(request.key, event, (peer, number), out)

    def own_write(self, key: str, out: list[Effect]) -> None:
        """A write of this member begins."""
        self._step(key, _OWN_WRITE, None, out)

    def written(self, key: str, value: Any, version: int, out: list[Effect]) -> None:
        """A put of this member was ordered and is registered as our replica."""
        self._step(key, _WRITTEN, Got(value, version, True, self._desk.epoch), out)

    def clear(self) -> None:
        """Drop all replicas: a home is gone."""
        front = self._desk.front
        for key in self.replicas:
            front.pop(key, None)
        self.replicas.clear()

    def home_lost(self, miss: Miss, out: list[Effect]) -> None:
        """The home that was asked is gone: ask its successor."""
        self._step(miss.key, _HOME_LOST, None, out)

    def state(self, key: str) -> CacheState:
        """Return the state of a key."""
        return CACHE_STATES[(key in self.misses) + 2 * (key in self.replicas)]

    # --- inside -----------------------------------------------------------------------------------------------------

    def _step(self, key: str, event: CacheEvent, what: Any, out: list[Effect]) -> None:
        """Do what the table says; the next state follows from what the actions do (tests compare the two)."""
        state = CACHE_STATES[(key in self.misses) + 2 * (key in self.replicas)]  # as `state` says
        step = self.table[state, event]
        if step is None:
            self._desk.impossible(key, f"{event.name} cannot happen in state {state.name}")
        self._desk.recent.append((key, event, self._desk.me))
        for action in step.actions:
            self._actions[action](key, what, out)

    def _ask_home(self, miss: Miss, out: list[Effect]) -> None:
        """Send the question; when this member is home by now, or nobody is, it is answered on the spot."""
        key = miss.key
        home = self._desk.homes.of(key)
        if home == self._desk.me or home == NOBODY:
            del self.misses[key]
            found = Lost((key,)) if home == NOBODY else self.home.look(key)
            out.extend(Finish(op, found) for op in (*miss.askers, *miss.joiners))
            return
        miss.peer = home
        self._desk.ask(home, Get(key), _MISS, miss, out)

    # --- actions of the table ---------------------------------------------------------------------------------------

    def _ask(self, key: str, op: Any, out: list[Effect]) -> None:
        miss = self.misses[key] = Miss(key, NOBODY, [op], [])
        self._ask_home(miss, out)

    def _join(self, key: str, op: Any, out: list[Effect]) -> None:
        self.misses[key].joiners.append(op)

    def _keep(self, key: str, got: Got, out: list[Effect]) -> None:
        self.replicas[key] = got.version
        self._desk.front[key] = got.value

    def _drop(self, key: str, _: Any, out: list[Effect]) -> None:
        del self.replicas[key]
        del self._desk.front[key]

    def _finish_all(self, key: str, reply: Reply, out: list[Effect]) -> None:
        if key in self.slots.slots:
            self._desk.counters["an answer was used and not kept"] += 1
        miss = self.misses.pop(key)
        found = outcome_of(key, reply)
        for op in miss.askers:
            out.append(Finish(op, found))
        for op in miss.joiners:
            out.append(Finish(op, found))

    def _finish_askers(self, key: str, reply: Reply, out: list[Effect]) -> None:
        miss = self.misses[key]
        found = outcome_of(key, reply)
        out.extend(Finish(op, found) for op in miss.askers)
        if not miss.joiners:
            del self.misses[key]

    def _ask_again(self, key: str, _: Reply, out: list[Effect]) -> None:
        self._desk.counters["a joiner asked again"] += 1
        miss = self.misses[key]
        miss.askers, miss.joiners = miss.joiners, []
        self._ask_home(miss, out)

    def _move(self, key: str, _: Any, out: list[Effect]) -> None:
        miss = self.misses[key]
        miss.askers, miss.joiners = miss.askers + miss.joiners, []
        self._ask_home(miss, out)

    def _acknowledge(self, key: str, call: tuple[int, int], out: list[Effect]) -> None:
        out.append(Answer(call[0], call[1], Done()))


def outcome_of(key: str, reply: Reply) -> Outcome:
    """Return what the answer to a get means to whoever asked."""
    if type(reply) is Got:
        return Value(reply.value, reply.version)
    return outcome_of_failure(key, reply)


def outcome_of_failure(key: str, reply: Reply) -> Outcome:
    """Return what an answer that is not the expected one means."""
    if type(reply) is not Failed:
        return Refused("refused", f"member answered {type(reply).__name__} for key {key!r}: it speaks another version")
    return Lost(reply.keys or (key,)) if reply.kind == "lost" else Refused(reply.kind, reply.text)
