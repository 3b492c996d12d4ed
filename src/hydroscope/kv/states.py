"""The coherence protocol as three tables; the rest of the room does what they say.

**A key at its home** (`HOME`). One write at a time, the others wait in line:

    OPEN ──start──> DRAINING ──drained──> INVALIDATING ──invalidated──> BACKING_UP ──backed up──> OPEN
     value is given    no reader is           no replica of it              the runner-up has         the new value,
     out and readers   registered any more;   is left anywhere              the new value (durable    in one step
     are registered    those underway end                                   keys only)

From DRAINING on the old value is *closing*: gets are still answered with it, but it must not be kept. The switch to the
new value is the last step, so that nobody can read the new value while somebody can still read the old one.

**A key in the cache** (`CACHE`): is there a replica, is a get underway. (Where a home is gone all replicas go at once.)

**A key's own writes** (`SLOT`): at most one write of this member is underway for a key; later ones wait behind it, and
a write that must be preceded by its thread's plain puts holds the line until those are ordered.

Every (state, event) pair has an entry. `None` cannot happen: whoever meets it raises, with the story of the key.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import NamedTuple

__all__ = [
    "CACHE",
    "HOME",
    "SLOT",
    "CacheAction",
    "CacheEvent",
    "CacheState",
    "CacheStep",
    "HomeAction",
    "HomeEvent",
    "HomePhase",
    "HomeStep",
    "SlotAction",
    "SlotEvent",
    "SlotState",
    "SlotStep",
]


class HomePhase(IntEnum):
    """How far the write underway has come."""

    OPEN = 0
    DRAINING = auto()
    INVALIDATING = auto()
    BACKING_UP = auto()


class HomeEvent(IntEnum):
    """What happens to a key at its home."""

    GET = 0
    """A peer asks; there is a value."""
    GET_ABSENT = auto()
    """A peer asks; there is none."""
    GET_LOST = auto()
    """A peer asks; what there was died with an earlier home."""
    SETTLED = auto()
    """A peer has used an answer that was counted."""
    START_FREE = auto()
    """The next write begins, and nothing has to be waited for."""
    START = auto()
    """The next write begins."""
    LEFT = auto()
    """The next write turned out to change nothing: aborted, or refused."""
    DRAINED = auto()
    """No counted answer is underway any more."""
    INVALIDATE_ACKED = auto()
    """A peer has dropped its replica."""
    INVALIDATED = auto()
    """No replica is left."""
    BACKUP_ACKED = auto()
    """The runner-up has the new value."""
    BACKUP_REFUSED = auto()
    """The runner-up cannot keep the new value (it does not know its type)."""
    BACKED_UP = auto()
    """A second copy exists, or none was asked for."""
    PEERS_LOST = auto()
    """A newer view: what was expected from those who are gone will not come."""


class HomeAction(IntEnum):
    """What home does about it, in this order."""

    ANSWER_KEPT = 0
    """Answer with the value, register the peer as a replica, count the answer until it is settled."""
    ANSWER_UNKEPT = auto()
    ANSWER_LOST = auto()
    UNCOUNT = auto()
    CLOSE = auto()
    """From now on the value is given out unregistered."""
    INVALIDATE = auto()
    STRIKE = auto()
    """One replica less to wait for."""
    BACK_UP = auto()
    STRIKE_BACKUP = auto()
    ABANDON = auto()
    """The write is not done, and its writer told why."""
    SWITCH = auto()
    """The new value becomes the value: the linearization point."""
    REPLY = auto()
    """Tell the writer."""
    FORGET_LOST = auto()


class HomeStep(NamedTuple):
    """Where to go and what to do."""

    phase: HomePhase
    actions: tuple[HomeAction, ...] = ()


def _home_table() -> dict[tuple[HomePhase, HomeEvent], HomeStep | None]:
    phase, event, action = HomePhase, HomeEvent, HomeAction
    table: dict[tuple[HomePhase, HomeEvent], HomeStep | None] = {(p, e): None for p in phase for e in event}
    for p in phase:
        kept = p is phase.OPEN
        table[p, event.GET] = HomeStep(p, (action.ANSWER_KEPT if kept else action.ANSWER_UNKEPT,))
        table[p, event.GET_ABSENT] = HomeStep(p, (action.ANSWER_UNKEPT,))
        if p is not phase.DRAINING:  # there is nothing to drain: nobody was given a value
            table[p, event.GET_LOST] = HomeStep(p, (action.ANSWER_LOST,))
        table[p, event.PEERS_LOST] = HomeStep(p, (action.FORGET_LOST,))
    table[phase.OPEN, event.SETTLED] = HomeStep(phase.OPEN, (action.UNCOUNT,))
    table[phase.DRAINING, event.SETTLED] = HomeStep(phase.DRAINING, (action.UNCOUNT,))
    table[phase.OPEN, event.START_FREE] = HomeStep(phase.OPEN, (action.SWITCH, action.REPLY))
    table[phase.OPEN, event.START] = HomeStep(phase.DRAINING, (action.CLOSE,))
    table[phase.OPEN, event.LEFT] = HomeStep(phase.OPEN, (action.REPLY,))
    table[phase.DRAINING, event.DRAINED] = HomeStep(phase.INVALIDATING, (action.INVALIDATE,))
    table[phase.INVALIDATING, event.INVALIDATE_ACKED] = HomeStep(phase.INVALIDATING, (action.STRIKE,))
    table[phase.INVALIDATING, event.INVALIDATED] = HomeStep(phase.BACKING_UP, (action.BACK_UP,))
    table[phase.BACKING_UP, event.BACKUP_ACKED] = HomeStep(phase.BACKING_UP, (action.STRIKE_BACKUP,))
    table[phase.BACKING_UP, event.BACKUP_REFUSED] = HomeStep(phase.OPEN, (action.ABANDON, action.REPLY))
    table[phase.BACKING_UP, event.BACKED_UP] = HomeStep(phase.OPEN, (action.SWITCH, action.REPLY))
    return table


HOME = _home_table()


class CacheState(IntEnum):
    """What this member has of a key that is at home elsewhere."""

    EMPTY = 0
    ASKING = auto()
    REPLICA = auto()
    REPLICA_ASKING = auto()
    """The answer to a get is still underway, but an own write has brought a replica meanwhile."""


class CacheEvent(IntEnum):
    """What happens to it."""

    GET = 0
    """A thread reads, and `front` does not have the key."""
    GOT_KEPT = auto()
    GOT_BUSY = auto()
    """As GOT_KEPT, but an own write of the key is underway: whoever waits may use the value, it is not kept."""
    GOT_UNKEPT = auto()
    GOT_UNKEPT_JOINED = auto()
    """As GOT_UNKEPT, and somebody joined after the question was sent."""
    INVALIDATE = auto()
    """Of the replica that is here."""
    INVALIDATE_OTHER = auto()
    """Of one that is not here (any more). There cannot be a newer one: home has not switched yet."""
    OWN_WRITE = auto()
    """A write of this member begins, and there is a replica."""
    WRITTEN = auto()
    """Our put was ordered and we are registered for it; no other write of ours waits."""
    HOME_LOST = auto()
    """A newer view in which another member is home: ask that one."""


class CacheAction(IntEnum):
    """What to do about it, in this order."""

    ASK = 0
    JOIN = auto()
    KEEP = auto()
    DROP = auto()
    FINISH_ALL = auto()
    FINISH_ASKERS = auto()
    ASK_AGAIN = auto()
    """For those who joined: the answer may be older than their question."""
    MOVE = auto()
    """Ask the new home, for everyone."""
    ACKNOWLEDGE = auto()


class CacheStep(NamedTuple):
    """Where to go and what to do."""

    state: CacheState
    actions: tuple[CacheAction, ...] = ()


def _cache_table() -> dict[tuple[CacheState, CacheEvent], CacheStep | None]:
    state, event, action = CacheState, CacheEvent, CacheAction
    table: dict[tuple[CacheState, CacheEvent], CacheStep | None] = {(s, e): None for s in state for e in event}
    asking, plain = (state.ASKING, state.REPLICA_ASKING), (state.EMPTY, state.REPLICA)
    table[state.EMPTY, event.GET] = CacheStep(state.ASKING, (action.ASK,))
    table[state.ASKING, event.GET] = CacheStep(state.ASKING, (action.JOIN,))
    table[state.ASKING, event.GOT_KEPT] = CacheStep(state.REPLICA, (action.KEEP, action.FINISH_ALL))
    table[state.REPLICA_ASKING, event.GOT_KEPT] = CacheStep(state.REPLICA, (action.FINISH_ALL,))
    for with_replica, without in ((state.REPLICA, state.EMPTY), (state.REPLICA_ASKING, state.ASKING)):
        table[with_replica, event.INVALIDATE] = CacheStep(without, (action.DROP, action.ACKNOWLEDGE))
        table[with_replica, event.OWN_WRITE] = CacheStep(without, (action.DROP,))
        table[without, event.WRITTEN] = CacheStep(with_replica, (action.KEEP,))
        table[without, event.INVALIDATE_OTHER] = CacheStep(without, (action.ACKNOWLEDGE,))
    for before, after in zip(asking, plain, strict=True):
        table[before, event.GOT_UNKEPT] = CacheStep(after, (action.FINISH_ASKERS,))
        table[before, event.GOT_UNKEPT_JOINED] = CacheStep(before, (action.FINISH_ASKERS, action.ASK_AGAIN))
    table[state.ASKING, event.GOT_BUSY] = CacheStep(state.EMPTY, (action.FINISH_ALL,))
    table[state.ASKING, event.HOME_LOST] = CacheStep(state.ASKING, (action.MOVE,))
    return table


CACHE = _cache_table()


class SlotState(IntEnum):
    """Own writes of one key."""

    FREE = 0
    FLYING = auto()
    """One is underway."""
    HELD = auto()
    """None is underway: the first in line waits for its thread's plain puts."""


class SlotEvent(IntEnum):
    """What happens to them."""

    WRITE = 0
    WRITE_FENCED = auto()
    """A write that has to wait for plain puts of its thread."""
    WRITE_MERGED = auto()
    """A plain put behind a plain put that has not been sent."""
    RELEASED = auto()
    """The plain puts that the first in line waited for are ordered."""
    ENDED = auto()
    """The write underway has ended and none waits."""
    ENDED_NEXT = auto()
    """The write underway has ended and another one can go."""
    ENDED_HELD = auto()
    """The write underway has ended and the next has to wait for plain puts of its thread."""


class SlotAction(IntEnum):
    """What to do about it, in this order."""

    QUEUE = 0
    MERGE = auto()
    SEND = auto()
    FINISH = auto()


class SlotStep(NamedTuple):
    """Where to go and what to do."""

    state: SlotState
    actions: tuple[SlotAction, ...] = ()


def _slot_table() -> dict[tuple[SlotState, SlotEvent], SlotStep | None]:
    state, event, action = SlotState, SlotEvent, SlotAction
    table: dict[tuple[SlotState, SlotEvent], SlotStep | None] = {(s, e): None for s in state for e in event}
    table[state.FREE, event.WRITE] = SlotStep(state.FLYING, (action.QUEUE, action.SEND))
    table[state.FREE, event.WRITE_FENCED] = SlotStep(state.HELD, (action.QUEUE,))
    for busy in (state.FLYING, state.HELD):
        table[busy, event.WRITE] = SlotStep(busy, (action.QUEUE,))
        table[busy, event.WRITE_FENCED] = SlotStep(busy, (action.QUEUE,))
        table[busy, event.WRITE_MERGED] = SlotStep(busy, (action.MERGE,))
    table[state.HELD, event.RELEASED] = SlotStep(state.FLYING, (action.SEND,))
    table[state.FLYING, event.RELEASED] = SlotStep(state.FLYING)
    table[state.FLYING, event.ENDED] = SlotStep(state.FREE, (action.FINISH,))
    table[state.FLYING, event.ENDED_NEXT] = SlotStep(state.FLYING, (action.FINISH, action.SEND))
    table[state.FLYING, event.ENDED_HELD] = SlotStep(state.HELD, (action.FINISH,))
    return table


SLOT = _slot_table()
