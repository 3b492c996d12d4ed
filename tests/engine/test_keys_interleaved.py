"""The local store under every interleaving of small programs, and broken stores that this finds out."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from hydroscope.engine import keys_local
from tests.engine.stepping import Conductor, Step, SteppedLock, explore, stepped_store
from tests.sim.checkers.linearizable import by_brute_force, is_linearizable

Program = tuple[Any, list[list[Step]]]

GET: Step = ("get", None)
REMOVE: Step = ("remove", None)

PROGRAMS: dict[str, Program] = {
    "a read beside an atomic": (10, [[("add", 1)], [GET, GET]]),
    "a read of an absent key beside an atomic": (None, [[("add", 1)], [GET, GET]]),
    "a put and a read beside an atomic": (10, [[("add", 1)], [("put", 20), GET]]),
    "a remove and a read beside an atomic": (10, [[("add", 1)], [REMOVE, GET]]),
    "an atomic that removes": (10, [[("swap", None)], [("put", 20), GET]]),
    "two atomics": (10, [[("add", 1)], [("add", 2), GET]]),
    "two atomics and a read": (10, [[("add", 1)], [("add", 2)], [GET]]),
    "an atomic, a put and a read": (10, [[("add", 1)], [("put", 20)], [GET]]),
    "an atomic, a put and a remove": (10, [[("add", 1)], [("put", 20)], [REMOVE]]),
    "an atomic and two puts": (10, [[("add", 1)], [("put", 20)], [("put", 30)]]),
    "a value that comes back": (10, [[("add", 1)], [("put", 20), ("put", 10)], [GET]]),
    "a put of an absent key, and a remove": (None, [[("add", 1)], [("put", 20)], [REMOVE]]),
    "compare and swap beside a put": (10, [[("swap_if", (10, 11))], [("put", 20)], [GET]]),
    "compare and swap beside another": (10, [[("swap_if", (10, 11))], [("swap_if", (10, 12))], [GET]]),
    "a lost race to create": (None, [[("swap_if", (None, 1))], [("swap_if", (None, 2))], [REMOVE]]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_interleaving_is_linearizable(name: str) -> None:
    initial, programs = PROGRAMS[name]
    n = 0
    for history in explore(programs, initial, n_preemptions=2):
        assert is_linearizable(history, initial), "\n".join(map(str, history))
        n += 1
    assert n > 20


def get_without_a_second_look(conductor: Conductor) -> keys_local.LocalKeys:
    store = stepped_store(conductor)
    store.get, _ = keys_local._quick(store._front, [], lambda _, default: default, store._put_looking)
    return store


def remove_without_the_lock(conductor: Conductor) -> keys_local.LocalKeys:
    store = stepped_store(conductor)
    store.remove = lambda key, wait=False: store._front.pop(key, None)
    return store


def atomics_side_by_side(conductor: Conductor) -> keys_local.LocalKeys:
    store = stepped_store(conductor)
    store._ordering = contextlib.nullcontext()
    return store


def locks_that_do_not_lock(conductor: Conductor) -> keys_local.LocalKeys:
    store = stepped_store(conductor)
    store._moving = SteppedLock(conductor)
    store._moving.__class__ = type("Open", (SteppedLock,), {"__enter__": lambda _: conductor.pause()})
    return store


@pytest.mark.parametrize(
    "broken", [get_without_a_second_look, remove_without_the_lock, atomics_side_by_side, locks_that_do_not_lock]
)
def test_a_broken_store_is_found_out(broken: Any) -> None:
    assert any(
        not is_linearizable(history, initial)
        for initial, programs in PROGRAMS.values()
        for history in explore(programs, initial, 2, broken)
    )


@pytest.mark.parametrize(
    "swap",
    [
        pytest.param(lambda front, key, old, new: front.__setitem__(key, new), id="the new value is just stored"),
        pytest.param(
            lambda front, key, old, new: (front.pop(key, None), new is None or front.setdefault(key, new)),
            id="who was overtaken does not notice",
        ),
        pytest.param(
            lambda front, key, old, new: front.pop(key, None) is old and new is not None and front.setdefault(key, new),
            id="what was found is not put back",
        ),
    ],
)
def test_a_broken_swap_is_found_out(swap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_local, "_swap", swap)
    assert any(
        not is_linearizable(history, initial)
        for initial, programs in PROGRAMS.values()
        for history in explore(programs, initial, 2)
    )


def test_the_checker_agrees_with_brute_force() -> None:
    initial, programs = PROGRAMS["an atomic, a put and a read"]
    for history in explore(programs, initial, 1):
        assert is_linearizable(history, initial) == by_brute_force(history, initial)
