"""The simulated engine as its users have it: programs, faults, what is said to them."""

from __future__ import annotations

import pytest

from hydroscope.engine.simulated.faults import Faults
from hydroscope.engine.simulated.world import World
from hydroscope.ground.errors import UserError
from hydroscope.node.membership import Settings
from hydroscope.node.ports import NodeLost


def count(keys, n):
    for _ in range(n):
        yield keys.atomic("visits", "add", 1)


def read(keys, key):
    return (yield keys.get(key))


def run(world, program, *arguments, member=0):
    thread = world.spawn(program, *arguments, member=member)
    world.run()
    return thread.result


@pytest.mark.parametrize(
    "faults",
    [
        {},
        {"drop": 0.6},
        {"duplicate": 0.5, "slow": 0.3},
        {"damage": 0.3},
        {"partitions": 3, "pauses": 2, "window_s": 0.1},
        {"skew": 0.05, "drop": 0.2},
    ],
    ids=lambda faults: "+".join(faults) or "none",
)
def test_nothing_is_counted_twice_or_forgotten(faults):
    world = World(members=3, seed=5, **faults)
    for member in range(3):
        world.spawn(count, 20, member=member)
    world.run()
    assert run(world, read, "visits", member=2) == 60


def test_a_program_has_all_operations():
    def program(keys):
        yield keys.put("a/1", [1, 2.5, "x"])
        yield keys.put("a/2", b"bytes", wait=True)
        yield keys.put("b", 1, wait=True)
        yield keys.fence()
        names = yield keys.keys("a/")
        yield keys.remove("a/1", wait=True)
        began = world.agenda.now
        yield keys.sleep(2.0)
        return names, (yield keys.get("a/1")), (yield keys.get("a/2")), world.agenda.now - began

    world = World(members=3, seed=1, drop=0.1)
    names, removed, kept, slept = run(world, program, member=1)
    assert names == ("a/1", "a/2")
    assert removed is None
    assert kept == b"bytes"
    assert slept >= 2.0


def test_what_the_store_refuses_is_raised_in_the_program():
    def program(keys):
        yield keys.atomic("k", "no such function")

    with pytest.raises(UserError, match="no function 'no such function' is registered"):
        run(World(members=2, seed=1), program)


def test_a_large_value_arrives_whole_though_streams_stall():
    large = bytes(range(256)) * 4000

    def writes(keys):
        yield keys.put("@0/large", large, wait=True)

    world = World(members=2, seed=3, stall=0.2, drop=0.2, damage=0.05)
    world.spawn(writes, member=1)
    world.run()
    assert run(world, read, "@0/large", member=1) == large
    assert world.network.counters["streams stalled"]


def test_what_a_dead_member_held_is_lost_by_name_and_what_was_durable_is_not():
    def writes(keys):
        yield keys.put("@2/plain", 1, wait=True)
        yield keys.put("@2/durable", 2, wait=True, durable=True)

    world = World(members=3, seed=2, joins=True, settings=Settings(3, heartbeat_s=0.1, lease_s=0.6, detect_s=1.0))
    world.spawn(writes)
    world.run()
    home = next(place for place, process in world.processes.items() if process.member.number == 2)
    other = next(place for place in world.processes if place not in (0, home))
    world.crash(home)
    began = world.agenda.now
    durable = world.spawn(read, "@2/durable", member=other)
    world.run()
    assert durable.result == 2
    assert world.agenda.now - began < 60
    with pytest.raises(NodeLost) as caught:
        run(world, read, "@2/plain", member=other)
    assert caught.value.keys == ("@2/plain",)


def test_the_same_seed_is_the_same_run_and_another_is_not():
    def lines(seed):
        world = World(members=3, seed=seed, trace=True, drop=0.3, duplicate=0.2)
        world.spawn(count, 10, member=0)
        world.run()
        return world.lines

    assert lines(1) == lines(1)
    assert lines(1) != lines(2)


def test_faults_say_what_they_do():
    assert World(members=2, seed=1, drop=0.1).faults == Faults(drop=0.1)
    with pytest.raises(TypeError):
        World(members=2, seed=1, dorp=0.1)


def test_a_program_that_lists_keys_is_told_of_a_lost_member():
    def put(keys):
        yield keys.put("@1/gone", 1, wait=True)
        yield keys.put("@0/here", 1, wait=True)
        return (yield keys.keys())

    def look(keys):
        here = yield keys.keys("@0/")
        try:
            yield keys.keys()
        except NodeLost as error:
            return here, str(error), (yield keys.keys(partial=True))

    world = World(members=2, seed=1, encode=False, joins=True, restarts=False)
    putting = world.spawn(put)
    world.run()
    assert putting.result == ("@0/here", "@1/gone")
    world.crash(1)
    world.rest()
    looking = world.spawn(look)
    world.run()
    here, error, left = looking.result
    assert here == left == ("@0/here",)
    assert "member 1 was lost" in error
