"""Small programs in every order of their messages: each answer is explained by one order of the operations."""

from __future__ import annotations

import pytest

from hydroscope.ground.errors import InternalError
from hydroscope.kv.cache import CacheTable
from hydroscope.kv.effects import Lost, Value
from hydroscope.kv.home import HomeTable
from hydroscope.kv.states import (
    CACHE,
    HOME,
    CacheAction,
    CacheEvent,
    CacheState,
    CacheStep,
    HomeAction,
    HomeEvent,
    HomePhase,
    HomeStep,
)
from hydroscope.kv.store import Store
from tests.kv.explore import Run, Step, explore
from tests.kv.network import Network
from tests.kv.reference import is_linearizable

K = "@0/k"
"""At home at member 0."""

PROGRAMS = {
    "two writers and a reader": ([], [(1, [Step.put(K, "a")]), (2, [Step.put(K, "b")]), (0, [Step.get(K)])]),
    "a writer at home, readers": ([1], [(0, [Step.put(K, "a")]), (1, [Step.get(K)]), (2, [Step.get(K)])]),
    "a writer that holds a replica, another reader of its member": (
        [1],
        [(1, [Step.put(K, "a")]), (1, [Step.get(K), Step.get(K)]), (0, [Step.get(K)])],
    ),
    "joined gets of an absent key while it is put": (
        [],
        [(0, [Step.put(K, "a"), Step.put(K, "b")]), (1, [Step.get(K)]), (1, [Step.get(K)])],
    ),
    "two writes of one member, a reader": (
        [],
        [(1, [Step.put(K, "a")]), (1, [Step.put(K, None)]), (0, [Step.get(K), Step.get(K)])],
    ),
    "atomics of two members and a put": (
        [],
        [(1, [Step.atomic(K, "add", 1)]), (2, [Step.atomic(K, "add", 2)]), (0, [Step.put(K, 10), Step.get(K)])],
    ),
    "an atomic that may leave the value as it is": (
        [2],
        [(1, [Step.atomic(K, "create", "c")]), (0, [Step.put(K, None)]), (2, [Step.get(K)])],
    ),
    "a get underway when an own write begins": (
        [],
        [(1, [Step.get(K)]), (1, [Step.put(K, "a")]), (0, [Step.put(K, 1)])],
    ),
}
"""Members that hold a replica of the first value; members and what a thread of each does."""


def make(readers, threads):
    network = Network(3, checks=False)
    if readers:
        network.run(0, "put", K, "first", True)
        for reader in readers:
            network.reads(reader, K)
    return Run(network, threads)


def judge(readers, run):
    assert all(call.outcome is not None for call in run.calls), "an operation never ended"
    assert is_linearizable(run.calls, "first" if readers else None), run.calls
    run.network.check_at_rest()


@pytest.mark.parametrize("name", PROGRAMS)
def test_operations_that_wait_are_linearizable_in_every_order(name):
    readers, threads = PROGRAMS[name]
    n_runs = explore(lambda: make(readers, threads), lambda run: judge(readers, run))
    assert n_runs > 20


CHANGES = {
    "a leaf joins": (0, [Network.join]),
    "a leaf leaves": (1, [lambda network: network.kill(2)]),
    "a leaf joins and leaves": (0, [Network.join, lambda network: network.kill(2)]),
}
"""Leaves there are at the start, and how the view changes."""


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("readers", [[], [1]])
def test_replicas_that_stay_when_leaves_come_and_go_are_right_in_every_order(change, readers):
    n_leaves, changes = CHANGES[change]
    threads = [(0, [Step.put(K, "a")]), (1, [Step.get(K), Step.get(K)])]

    def begin():
        network = Network(2, n_leaves, checks=False)
        if readers:
            network.run(0, "put", K, "first", True)
            network.reads(1, K)
        return Run(network, threads, changes)

    assert explore(begin, lambda run: judge(readers, run)) > 100


def test_replicas_have_to_go_when_a_home_is_gone(monkeypatch):
    """Who kept them would go on reading what is lost, while others are told that it is."""
    lost = "@2/k"

    def begin():
        network = Network(3, checks=False)
        network.run(2, "put", lost, "first", True)
        network.reads(0, lost)
        threads = [(1, [Step.get(lost)]), (0, [Step.get(lost)])]
        return Run(network, threads, [lambda network: network.kill(2)])

    def agree(run):
        asked = {call.member: call for call in run.calls}
        if asked[0].op in asked[1].after:
            return
        was_lost = isinstance(asked[1].outcome, Lost)
        assert not (was_lost and asked[1].op in asked[0].after and isinstance(asked[0].outcome, Value)), run.calls

    assert explore(begin, agree) > 20
    monkeypatch.setattr(Store, "drop_replicas", lambda store, view: None)
    with pytest.raises(AssertionError):
        explore(begin, agree)


def switches_first():
    """A value is switched before its replicas are gone (repair 1 undone)."""
    at_once = HomeStep(HomePhase.OPEN, (HomeAction.SWITCH, HomeAction.REPLY))
    return {**HOME, (HomePhase.OPEN, HomeEvent.START): at_once}, CACHE


def registers_while_closing():
    """A closing value is given out as if it were not (I5)."""
    kept = {(phase, HomeEvent.GET): HomeStep(phase, (HomeAction.ANSWER_KEPT,)) for phase in HomePhase}
    return {**HOME, **kept}, CACHE


def joiners_accept_anything():
    """Who joined late takes any answer (repair 5 undone)."""
    accepted = CacheStep(CacheState.EMPTY, (CacheAction.FINISH_ALL,))
    return HOME, {**CACHE, (CacheState.ASKING, CacheEvent.GOT_UNKEPT_JOINED): accepted}


def keeps_while_writing():
    """A value is kept though an own write is underway, which home counts on not to happen."""
    kept = CACHE[CacheState.ASKING, CacheEvent.GOT_KEPT]
    return HOME, {**CACHE, (CacheState.ASKING, CacheEvent.GOT_BUSY): kept}


BROKEN = [switches_first, registers_while_closing, joiners_accept_anything, keeps_while_writing]


@pytest.mark.parametrize("broken", BROKEN)
def test_each_rule_is_needed(broken, monkeypatch):
    """With a rule broken some program has an order in which an answer is wrong, or an invariant stops it."""
    home_table, cache_table = broken()
    monkeypatch.setattr(HomeTable, "table", home_table)
    monkeypatch.setattr(CacheTable, "table", cache_table)

    def is_found(readers, threads):
        try:
            explore(lambda: make(readers, threads), lambda run: judge(readers, run))
        except (AssertionError, InternalError):
            return True
        return False

    assert any(is_found(readers, threads) for readers, threads in PROGRAMS.values())


DATA, FLAG = "@0/data", "!@2/flag"


def test_whoever_sees_a_volatile_flag_sees_the_plain_data_put_before_it():
    """Data at home at member 0, the flag at member 2, written by member 1, read by member 0 or 2."""

    def judge_message(run):
        seen = {call.step.arguments[0]: call.outcome.value for call in run.calls if call.step.operation == "get"}
        assert seen[FLAG] is None or seen[DATA] == 1, run.calls
        run.network.check_at_rest()

    n_runs = 0
    for reader in (0, 2):
        threads = [(1, [Step.plain(DATA, 1), Step.put(FLAG, 1)]), (reader, [Step.get(FLAG), Step.get(DATA)])]
        n_runs += explore(lambda threads=threads: Run(Network(3, checks=False), threads), judge_message)
    assert n_runs > 20


def test_plain_puts_of_two_members_leave_one_value_everywhere():
    def judge_rest(run):
        run.network.check_at_rest()
        last = run.network.order[K][-1][1]
        assert {run.network.reads(n, K) for n in range(3)} == {last}

    threads = [(1, [Step.plain(K, "a"), Step.plain(K, "b")]), (2, [Step.plain(K, "c")])]
    assert explore(lambda: Run(Network(3, checks=False), threads), judge_rest) > 20
