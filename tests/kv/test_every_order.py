"""Small programs in every order of their messages: each answer is explained by one order of the operations."""

from __future__ import annotations

import pytest

from hydroscope.kv.cache import CacheTable
from hydroscope.kv.effects import Finish
from hydroscope.kv.home import HomeTable
from hydroscope.kv.states import CACHE, HOME, CacheEvent, CacheState, HomeEvent, HomePhase, HomeStep
from hydroscope.kv.store import Store
from tests.kv.explore import Run, Step, explore
from tests.kv.network import Network
from tests.kv.reference import is_linearizable

K = "@0/k"
"""At home at member 0."""


def linearizable(run):
    assert all(call.outcome is not None for call in run.calls), "an operation never ended"
    assert is_linearizable(run.calls), run.calls
    run.network.check_at_rest()


PROGRAMS = {
    "two writers and a reader": (
        [],
        [(1, [Step.put(K, "a")]), (2, [Step.put(K, "b")]), (0, [Step.get(K), Step.get(K)])],
    ),
    "a writer at home, readers that hold replicas": (
        [1, 2],
        [(0, [Step.put(K, "a")]), (1, [Step.get(K)]), (2, [Step.get(K), Step.get(K)])],
    ),
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
        [(1, [Step.get(K)]), (1, [Step.put(K, "a"), Step.get(K)]), (0, [Step.put(K, "b")])],
    ),
}


def make(readers, threads, store=Store):
    network = Network(3, store=store, checks=store is Store)
    if readers:
        network.run(0, "put", K, 0, True)
        for reader in readers:
            network.reads(reader, K)
    run = Run(network, threads)
    if readers:
        first = Run(network, [(0, [Step.put(K, 0)])])
        first.time = -2
        first.do(("begin", 0))
        network.drain()
        first.time = -1
        first.do(("deliver", 0, 0, 0, ""))
        run.calls.append(first.calls[0])
        for reader in readers:
            network.reads(reader, K)
    return run


@pytest.mark.parametrize("name", PROGRAMS)
def test_operations_that_wait_are_linearizable_in_every_order(name):
    readers, threads = PROGRAMS[name]
    n_runs = explore(lambda: make(readers, threads), linearizable)
    assert n_runs > 20
