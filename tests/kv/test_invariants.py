"""Each invariant stops a store whose state was spoiled: production code asserts them."""

from __future__ import annotations

import pytest

from hydroscope.ground.errors import InternalError
from hydroscope.kv.invariants import check_together, check_together_at_rest
from hydroscope.kv.records import Record
from hydroscope.kv.states import HomePhase
from tests.kv.network import Network, key_at


@pytest.fixture
def scene():
    """A key at home at member 0 that member 1 holds a replica of."""
    network = Network(3)
    key = key_at(0, network)
    network.run(0, "put", key, "v", wait=True)
    network.reads(1, key)
    network.check_at_rest()
    return network, key


def spoil_record(network, key, **changes):
    record = network.members[0].home.records[key]
    for name, value in changes.items():
        setattr(record, name, value)


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"readers": -1}, "I2"),
        ({"readers": 1}, "I2"),
        ({"replicas": {0, 1}}, "I3"),
        ({"awaiting": {1}}, "open key has a write underway"),
        ({"phase": HomePhase.DRAINING}, "no write underway"),
        ({"version": 1 << 60}, "I8"),
        ({"value": "other"}, "own threads see something else"),
        ({"running": True}, "half done"),
    ],
)
def test_a_spoiled_record_is_noticed(scene, changes, number):
    network, key = scene
    spoil_record(network, key, **changes)
    with pytest.raises(InternalError, match=number):
        network.members[0].check()


@pytest.mark.parametrize("phase", [HomePhase.DRAINING, HomePhase.INVALIDATING, HomePhase.BACKING_UP])
def test_a_phase_that_waits_for_nothing_is_noticed(scene, phase):
    network, key = scene
    network.begin(2, "put", key, "w", wait=True)
    network.pass_on("call", 0)
    spoil_record(network, key, phase=phase, awaiting=None)
    with pytest.raises(InternalError, match=f"{phase.name} waits for nothing"):
        network.members[0].check()


def test_a_registration_while_closing_is_noticed(scene):
    network, key = scene
    network.begin(2, "put", key, "w", wait=True)
    network.pass_on("call", 0)
    spoil_record(network, key, replicas={2})
    with pytest.raises(InternalError, match="I5"):
        network.members[0].check()


def test_a_replica_at_home_is_noticed(scene):
    network, key = scene
    network.members[0].cache.replicas[key] = 7
    with pytest.raises(InternalError, match="I1"):
        network.members[0].check()


def test_a_record_away_from_home_is_noticed(scene):
    network, key = scene
    network.members[2].home.records[key] = Record(key, "v", 1)
    with pytest.raises(InternalError, match="I1"):
        network.members[2].check()


def test_a_replica_beside_an_own_write_is_noticed(scene):
    network, key = scene
    network.begin(2, "put", key, "w")
    network.members[2].cache.replicas[key] = 7
    with pytest.raises(InternalError, match="I4"):
        network.members[2].check()


def test_a_write_that_waits_for_nothing_is_noticed(scene):
    network, key = scene
    network.begin(2, "put", key, "w")
    slot = network.members[2].slots.slots[key]
    slot.flying, slot.shown = None, None
    slot.queue.clear()
    with pytest.raises(InternalError, match="I7"):
        network.members[2].check()


@pytest.mark.parametrize("front", ["", "other"])
def test_a_plain_put_that_own_threads_do_not_see_is_noticed(scene, front):
    network, key = scene
    network.begin(2, "put", key, "w")
    network.fronts[2].clear()
    if front:
        network.fronts[2][key] = front
    with pytest.raises(InternalError, match="I9"):
        network.members[2].check()


def test_a_value_that_own_threads_see_for_no_reason_is_noticed(scene):
    network, key = scene
    network.fronts[2][key] = "stray"
    with pytest.raises(InternalError, match="own threads see something else"):
        network.members[2].check()


@pytest.mark.parametrize("what", ["version", "registration", "value"])
def test_a_replica_that_is_not_what_home_has_is_noticed(scene, what):
    network, key = scene
    if what == "version":
        network.members[1].cache.replicas[key] += 1
    elif what == "registration":
        spoil_record(network, key, replicas=None)
    else:
        network.fronts[1][key] = "other"
    with pytest.raises(InternalError, match="I4"):
        check_together(network.members.values())


def test_a_counted_answer_of_nothing_is_noticed(scene):
    network, key = scene
    network.members[0].home.counted[1, 99] = Record(key, "v", 1)
    with pytest.raises(InternalError, match="I2"):
        network.members[0].check()


def test_waiting_for_the_dead_is_noticed(scene):
    network, key = scene
    network.begin(2, "get", key)
    network.members[2].desk.live = frozenset({1, 2})
    with pytest.raises(InternalError, match="gone is waited for"):
        network.members[2].check()


@pytest.mark.parametrize("underway", ["get", "put", "scan"])
def test_what_is_underway_is_not_at_rest(scene, underway):
    network, key = scene
    network.begin(2, underway, *{"get": (key,), "put": (key, 1), "scan": ("",)}[underway])
    with pytest.raises(InternalError, match="I13"):
        network.members[2].check_at_rest()


def test_a_second_copy_that_differs_is_noticed():
    network = Network(2)
    key = key_at(0, network)
    network.run(0, "put", key, "v", wait=True, durable=True)
    network.check_at_rest()
    network.members[1].home.backups[key] = ("w", 1)
    with pytest.raises(InternalError, match="second copy"):
        check_together_at_rest(network.members.values())


def test_invariants_are_checked_with_each_event(scene):
    network, key = scene
    network.begin(1, "get", key_at(2, network))
    spoil_record(network, key, readers=-1)
    with pytest.raises(InternalError, match="I2"):
        network.run(2, "get", key)
