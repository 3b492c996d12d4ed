"""What must hold after every event, asserted in production: a wrong answer is worse than a stop.

Numbers as in the protocol's description: I1 replicas, closing and counted answers only at home. I2 the count of
unsettled answers is exactly what was counted, and never negative. I3 a home is not its own replica. I4 whoever holds a
replica is registered for its version, or is being told to drop it. I5 nobody is registered while a value is closing.
I6 the switch comes when nothing is left to wait for (asserted where it happens, `home`). I7 one own write underway a
key. I8 versions grow. I9 a plain put is what own threads see. I13 at rest nothing is underway, and replicas and backups
equal the home's value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from hydroscope.kv.records import LOST, Record
from hydroscope.kv.states import HomePhase

if TYPE_CHECKING:
    from hydroscope.kv.store import Store

__all__ = ["check", "check_at_rest", "check_key", "check_together", "check_together_at_rest"]

_MISSING = object()
_OPEN, _DRAINING, _INVALIDATING, _BACKING_UP = HomePhase


def check_key(store: Store, key: str) -> None:
    """Check one key at one member. Cost: some dictionary look-ups."""
    front = store.desk.front
    record = store.home.records.get(key)
    slot = store.slots.slots.get(key)
    version = store.cache.replicas.get(key)
    if record is not None:
        if version is not None:
            _broken(store, key, "I1: a replica of a key that is at home here")
        _check_record(store, record)
    if version is not None and slot is not None:
        _broken(store, key, "I4: a replica is held while an own write is underway")
    if slot is not None:
        if slot.flying is None and not (slot.queue and slot.queue[0].fenced):
            _broken(store, key, "I7: own writes wait for nothing")
        shown = slot.shown
        if shown is not None:
            if front.get(key, _MISSING) is not shown.value:
                _broken(store, key, "I9: a plain put is not what own threads see")
            return
    if version is not None:
        right = front.get(key) is not None
    elif record is not None and record.value is not None and record.value is not LOST:
        right = front.get(key) is record.value
    else:
        right = key not in front
    if not right:
        _broken(store, key, "own threads see something else than the store has")


def _check_record(store: Store, record: Record) -> None:
    """Check a key at its home."""
    key, me = record.key, store.desk.me
    if store.desk.homes.of(key) != me:
        _broken(store, key, "I1: a record at a member that is not its home")
    if record.readers < 0:
        _broken(store, key, "I2: more answers were settled than counted")
    if record.replicas is not None and me in record.replicas:
        _broken(store, key, "I3: a home is its own replica")
    if record.running:
        _broken(store, key, "a step was left half done")
    phase = record.phase
    if phase is _OPEN:
        if record.closing is not None or record.awaiting or record.queue or record.backing is not None:
            _broken(store, key, "an open key has a write underway")
        return
    if record.closing is None:
        _broken(store, key, "a closing key has no write underway")
    waits = (
        record.readers > 0
        if phase is _DRAINING
        else bool(record.awaiting)
        if phase is _INVALIDATING
        else record.backing is not None
    )
    if not waits:
        _broken(store, key, f"phase {phase.name} waits for nothing")
    if phase is not _DRAINING and (record.readers or record.replicas):
        _broken(store, key, "I5: somebody was registered while the value was closing")


def check(store: Store) -> None:
    """Check all keys at one member. Cost: O(keys)."""
    keys = {*store.home.records, *store.slots.slots, *store.cache.replicas, *store.cache.misses, *store.desk.front}
    for key in keys:
        check_key(store, key)
    counts = Counter(id(record) for record in store.home.counted.values())
    for record in store.home.records.values():
        if counts.pop(id(record), 0) != record.readers:
            _broken(store, record.key, "I2: the count of unsettled answers is not what was counted")
        if record.version > store.home.version and not record.inherited:
            _broken(store, record.key, "I8: a version that was not given yet")
    if counts:
        raise_for(store, "I2: answers are counted for records that are gone")
    for key, miss in store.cache.misses.items():
        if miss.key != key or not miss.askers:
            _broken(store, key, "a get underway that nobody asked for")
    if any(peer not in store.desk.live for peer, _, _ in store.desk.asks.values()):
        raise_for(store, "somebody who is gone is waited for")


def check_at_rest(store: Store) -> None:
    """Check that nothing is underway at one member (I13)."""
    check(store)
    for record in store.home.records.values():
        if record.phase is not _OPEN or record.readers:
            _broken(store, record.key, "I13: not at rest")
    underway = {
        "gets": store.cache.misses,
        "own writes": store.slots.slots,
        "plain puts of threads": store.slots.fences.threads,
        "scans": store.scans.scans,
        "questions": store.desk.asks,
        "counted answers": store.home.counted,
    }
    for name, table in underway.items():
        if table:
            raise_for(store, f"I13: {name} are underway at rest: {str(table)[:500]}")


def check_together(stores: Iterable[Store]) -> None:
    """Check what holds between members, which only a simulator can see (I4). All must be in the same view."""
    by_number = {store.desk.me: store for store in stores}
    for store in by_number.values():
        me = store.desk.me
        for key, version in store.cache.replicas.items():
            home = by_number.get(store.desk.homes.of(key))
            if home is None or home.desk.epoch != store.desk.epoch:
                continue
            record = home.home.records.get(key)
            if record is None or record.version != version:
                _broken(store, key, f"I4: a replica of version {version}; home has {record}")
            elif me not in (record.replicas or ()) and me not in (record.awaiting or ()):
                _broken(store, key, f"I4: a replica that home does not know: {record}")
            elif store.desk.front.get(key) != record.value:
                _broken(store, key, f"I4: a replica with another value than its home: {record}")


def check_together_at_rest(stores: Iterable[Store]) -> None:
    """Check all members at rest: replicas and backups are what their homes have (I13)."""
    stores = list(stores)
    check_together(stores)
    by_number = {store.desk.me: store for store in stores}
    for store in stores:
        check_at_rest(store)
        for key, record in store.home.records.items():
            runner_up = by_number.get(store.desk.homes.runner_up(key))
            if not record.durable or runner_up is None or record.value is LOST:
                continue
            if runner_up.home.backups.get(key) != (record.value, record.version):
                _broken(runner_up, key, f"I13: the second copy is not what home has: {record}")


def _broken(store: Store, key: str, what: str) -> NoReturn:
    store.desk.impossible(key, what)


def raise_for(store: Store, what: str) -> NoReturn:
    """Raise for something that does not belong to one key."""
    store.desk.impossible("", what)
