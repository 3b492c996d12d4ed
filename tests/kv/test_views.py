"""Members come and go that are home to nothing: replicas stay, and are overwritten as if nothing had happened."""

from __future__ import annotations

import pytest

from hydroscope.kv.effects import Wrote
from tests.kv.network import Network, key_at


def scene(n_leaves=0):
    """A network, a key at home at member 0 that all others have a replica of."""
    network = Network(3, n_leaves)
    key = key_at(0, network)
    network.run(1, "put", key, "old", wait=True)
    for number in range(1, 3 + n_leaves):
        assert network.reads(number, key) == "old"
    return network, key


def change(network, how):
    if how == "a leaf joins":
        network.join()
    else:
        network.kill(3)
    network.enter_all()
    network.drain()


@pytest.mark.parametrize("how", ["a leaf joins", "a leaf leaves"])
def test_replicas_stay_and_are_overwritten(how):
    network, key = scene(n_leaves=1)
    change(network, how)
    assert [network.fronts[n].get(key) for n in (1, 2)] == ["old", "old"]
    assert not network.flying, "nobody had to ask again"
    put = network.begin(2, "put", key, "new", wait=True)
    network.pass_on("call", 0, "Put")
    assert put not in network.outcomes, "member 1 reads the old value still"
    network.drain()
    assert isinstance(network.outcomes[put], Wrote)
    assert [network.reads(n, key) for n in network.members] == ["new"] * len(network.members)
    network.check_at_rest()


def test_a_value_on_its_way_when_a_leaf_joins_is_used_and_not_kept():
    network, key = scene()
    network.run(0, "put", key, "newer", wait=True)
    get = network.begin(2, "get", key)
    network.pass_on("call", 0, "Get")
    network.join()
    network.enter_all()
    network.drain()
    assert network.outcomes[get].value == "newer"
    assert key not in network.fronts[2]
    assert isinstance(network.run(0, "put", key, "newest", wait=True), Wrote)
    assert network.reads(2, key) == "newest"
    network.check_at_rest()


def test_an_invalidation_on_its_way_when_a_leaf_joins_is_waited_for():
    network, key = scene()
    put = network.begin(0, "put", key, "new", wait=True)
    network.join()
    network.enter_all()
    assert network.fronts[1][key] == "old"
    assert put not in network.outcomes
    network.drain()
    assert isinstance(network.outcomes[put], Wrote)
    assert network.reads(1, key) == "new"
    network.check_at_rest()
