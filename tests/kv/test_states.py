"""The tables are total, what they say is what the code does, and what cannot happen is said with its story."""

from __future__ import annotations

import random

import pytest

from hydroscope.ground.errors import InternalError
from hydroscope.kv.cache import CacheTable
from hydroscope.kv.effects import Lost, Value
from hydroscope.kv.home import HomeTable
from hydroscope.kv.homes import runner_up_of
from hydroscope.kv.slots import SlotTable
from hydroscope.kv.states import (
    CACHE,
    HOME,
    SLOT,
    CacheEvent,
    CacheState,
    HomeAction,
    HomeEvent,
    HomePhase,
    SlotEvent,
    SlotState,
)
from hydroscope.wire.messages import Done, Failed, Got
from tests.kv.network import Network, key_at
from tests.kv.test_random import go, random_run


@pytest.mark.parametrize(
    ("table", "states", "events"),
    [(HOME, HomePhase, HomeEvent), (CACHE, CacheState, CacheEvent), (SLOT, SlotState, SlotEvent)],
    ids=["home", "cache", "slot"],
)
def test_every_pair_has_an_entry_and_every_state_and_event_a_use(table, states, events):
    assert set(table) == {(state, event) for state in states for event in events}
    steps = {pair: step for pair, step in table.items() if step is not None}
    assert {event for _, event in steps} == set(events)
    assert {step[0] for step in steps.values()} == set(states)


def test_a_value_is_registered_only_while_open_and_switched_only_when_all_is_done():
    for (phase, event), step in HOME.items():
        if step is None:
            continue
        if HomeAction.ANSWER_KEPT in step.actions:
            assert phase is HomePhase.OPEN
        if HomeAction.SWITCH in step.actions:
            assert (phase, event) in [
                (HomePhase.OPEN, HomeEvent.START_FREE),
                (HomePhase.BACKING_UP, HomeEvent.BACKED_UP),
            ]


def test_tables_say_where_the_code_goes(monkeypatch):
    """Of caches and slots the state follows from what is there; in every step of many runs it is that of the table."""
    seen = set()

    def cache_step(self, key, event, what, out):
        before, step = self.state(key), self.table[self.state(key), event]
        cache_step_before(self, key, event, what, out)
        if key in self.misses or event is not CacheEvent.HOME_LOST:  # when this is the new home it answers on the spot
            assert self.state(key) is step.state, (before, event)
        seen.add(f"{before!r} {event!r}")

    def slot_step(self, slot, event, write, out):
        before = slot.state if slot.flying or slot.queue else SlotState.FREE
        slot_step_before(self, slot, event, write, out)
        seen.add(f"{before!r} {event!r}")

    def home_step(self, record, event, peer, number, out):
        seen.add(f"{record.phase!r} {event!r}")
        home_step_before(self, record, event, peer, number, out)

    cache_step_before, slot_step_before = CacheTable._step, SlotTable._step
    home_step_before = HomeTable._step
    monkeypatch.setattr(CacheTable, "_step", cache_step)
    monkeypatch.setattr(SlotTable, "_step", slot_step)
    monkeypatch.setattr(HomeTable, "_step", home_step)
    possible = {
        f"{state!r} {event!r}"
        for table in (HOME, CACHE, SLOT)
        for (state, event), step in table.items()
        if step is not None
    }
    do_what_is_rare()
    for seed in range(300):
        rng = random.Random(seed)
        run = random_run(rng, n_members=4, n_threads=6, waits=seed % 2 == 0)
        go(run, rng, [rng.randrange(10, 100)] if seed % 3 == 0 else [])
        assert seen <= possible
        if seen == possible:
            break
    else:
        raise AssertionError(f"never happened: {sorted(possible - seen)}")


def do_what_is_rare():
    """What the runs below hardly ever do: gets of a key whose home died, while it is written anew; a refused copy."""
    network = Network(2)
    key = key_at(0, network)
    network.begin(0, "put", key, "odd", wait=True, durable=True)
    network.perform(0, network.members[0].answered(network.flying.pop().number, Failed("refused", "why")))
    for is_removed in (False, True):
        network = Network(3)
        key = key_at(0, network)
        successor = runner_up_of(key, network.view)
        other = 3 - successor
        if is_removed:
            network.run(0, "put", key, "durable", wait=True, durable=True)
            network.run(0, "put", key, None, wait=True)
        network.kill(0)
        network.enter_all()
        network.drain()
        put = network.begin(successor, "put", key, "anew", wait=True, durable=True)
        before = Value(None, 0) if is_removed else Lost((key,))
        for name in ("Invalidate", "Backup"):
            get = network.begin(other, "get", key)
            network.pass_on("call", successor, "Get")
            network.pass_on("answer", other)
            assert type(network.outcomes[get]) is type(before)
            network.pass_on("call", other, name)
            network.pass_on("answer", successor, "Done")
        network.drain()
        assert network.outcomes[put].version > 0
        assert network.reads(other, key) == "anew"
        network.check_at_rest()


def test_what_cannot_happen_is_told_with_the_story_of_the_key():
    network = Network(2)
    key = key_at(0, network)
    network.run(1, "put", key, "x", wait=True)
    home = network.members[0]
    with pytest.raises(InternalError) as caught:
        home.home.invalidated(home.home.records[key], 1, [])
    text = str(caught.value)
    assert f"key {key!r} at member 0, epoch 1" in text
    assert "INVALIDATE_ACKED (member 1) cannot happen in phase OPEN" in text
    assert "START_FREE (member 1); SETTLED (member 1)" in text
    assert "replicas [1]" in text


def test_an_answer_to_a_get_that_is_not_underway_is_refused():
    network = Network(2)
    key = key_at(0, network)
    network.begin(1, "get", key)
    member = network.members[1]
    miss = member.cache.misses.pop(key)
    with pytest.raises(InternalError, match="not underway"):
        member.cache.got(miss, Got(1, 1, True, 1), [])


def test_an_end_of_a_write_that_is_not_underway_is_refused():
    network = Network(2)
    key = key_at(0, network)
    network.begin(1, "put", key, 1)
    member = network.members[1]
    write = member.slots.slots.pop(key).flying
    with pytest.raises(InternalError, match="not underway"):
        member.slots.ended(write, Done(), [])
