"""A member dies: nothing hangs, nothing is answered wrongly, what is lost is named."""

from __future__ import annotations

import pytest

from hydroscope.ground.errors import InternalError
from hydroscope.kv.effects import Lost, Names, Refused, Value, Wrote
from hydroscope.kv.homes import Homes, home_of, runner_up_of
from hydroscope.wire.messages import Failed, Get, View
from tests.kv.network import Network, key_at

DEAD = 0


def scene(n_stores=3):
    """A network, a key at home at member 0, its successor, and another member."""
    network = Network(n_stores)
    key = key_at(DEAD, network)
    successor = runner_up_of(key, network.view)
    other = next(n for n in range(1, n_stores) if n != successor)
    return network, key, successor, other


def die(network, number=DEAD):
    network.kill(number)
    network.enter_all()
    network.drain()


def test_what_was_not_durable_is_lost_and_said_to_be_until_it_is_written():
    network, key, successor, other = scene()
    network.run(other, "put", key, "precious", wait=True)
    die(network)
    assert key not in network.fronts[other], "replicas are dropped"
    for number in (successor, other):
        assert network.run(number, "get", key) == Lost((key,))
        assert network.run(number, "atomic", key, "add", (1,)) == Lost((key,))
    assert isinstance(network.run(other, "put", key, "new", wait=True), Wrote)
    assert [network.reads(n, key) for n in (successor, other)] == ["new", "new"]
    assert network.run(other, "atomic", key, "replace", ("new", "newer")).result is True
    network.check_at_rest()


def test_a_key_that_was_never_written_is_not_known_to_be_absent_after_its_home_died():
    network, key, successor, other = scene()
    die(network)
    assert network.run(other, "get", key) == Lost((key,))
    assert network.run(successor, "put", key, None, wait=True).version > 0
    assert network.reads(other, key) is None
    assert network.reads(successor, key) is None
    assert network.run(other, "atomic", key, "add", (2,)).result == 2


def test_a_lost_key_at_the_last_member_is_lost_for_its_own_functions_too():
    network = Network(2)
    key = key_at(DEAD, network)
    die(network)
    assert network.run(1, "atomic", key, "append", (1,)) == Lost((key,))
    assert network.run(1, "atomic", key, "append", (1,)) == Lost((key,)), "its record exists now"
    network.run(1, "put", key, [1])
    assert network.run(1, "atomic", key, "append", (2,)).result == [1, 2]


def test_keys_of_the_living_are_not_touched():
    network, *_ = scene()
    keys = [key_at(n, network) for n in (1, 2)]
    for key in keys:
        network.run(1, "put", key, key, wait=True)
        assert network.reads(2, key) == key
    die(network)
    for key in keys:
        assert [network.reads(n, key) for n in (1, 2)] == [key, key]
    network.check_at_rest()


def test_a_get_underway_moves_on_to_the_successor():
    network, key, successor, other = scene()
    network.run(DEAD, "put", key, "kept", wait=True, durable=True)
    at_other = [network.begin(other, "get", key, thread=thread) for thread in range(2)]
    at_successor = network.begin(successor, "get", key)
    die(network)
    assert [network.outcomes[op].value for op in (*at_other, at_successor)] == ["kept"] * 3
    network.check_at_rest()


def test_a_write_that_was_sent_ends_as_lost_and_is_not_repeated():
    network, key, successor, other = scene()
    put = network.begin(other, "put", key, 1, wait=True)
    atomic = network.begin(successor, "atomic", key, "add", (1,))
    network.pass_on("call", DEAD, "Put")  # ordered, but nobody will ever hear of it
    assert network.order[key][-1][1] == 1
    die(network)
    assert network.outcomes[put] == Lost((key,))
    assert network.outcomes[atomic] == Lost((key,))
    assert network.run(other, "get", key) == Lost((key,))
    network.check_at_rest()


def test_a_write_that_was_not_sent_goes_to_the_successor():
    network, key, successor, other = scene()
    sent = network.begin(other, "put", key, "sent")
    waiting = network.begin(other, "put", key, "waiting")
    atomic = network.begin(other, "atomic", key, "replace", ("waiting", "replaced"), thread=1)
    assert network.fronts[other][key] == "waiting"
    die(network)
    assert network.outcomes[sent] == Lost((key,))
    assert isinstance(network.outcomes[waiting], Wrote)
    assert network.outcomes[atomic].result is True
    assert [network.reads(n, key) for n in (successor, other)] == ["replaced"] * 2
    network.check_at_rest()


def test_a_write_that_waits_behind_a_lost_one_at_the_new_home_itself():
    network, key, successor, _ = scene()
    sent = network.begin(successor, "put", key, "sent")
    waiting = network.begin(successor, "put", key, "waiting", wait=True, thread=1)
    die(network)
    assert network.outcomes[sent] == Lost((key,))
    assert isinstance(network.outcomes[waiting], Wrote)
    assert network.fronts[successor][key] == "waiting"
    network.check_at_rest()


def test_a_fence_names_the_plain_puts_that_were_lost_once():
    network, key, _, other = scene()
    network.begin(other, "put", key, "gone")
    network.begin(other, "put", key_at(other, network), "here")
    fence = network.begin(other, "fence")
    die(network)
    assert network.outcomes[fence] == Lost((key,))
    assert network.run(other, "fence") == Wrote(0)


def test_a_durable_write_is_acknowledged_when_the_runner_up_has_it():
    network, key, successor, other = scene()
    put = network.begin(other, "put", key, "kept", wait=True, durable=True)
    network.pass_on("call", DEAD, "Put")
    assert put not in network.outcomes
    network.pass_on("call", successor, "Backup")
    assert put not in network.outcomes
    network.pass_on("answer", DEAD, "Done")
    network.pass_on("answer", other, "Written")
    version = network.outcomes[put].version
    network.drain()
    die(network)
    assert network.run(other, "get", key) == Value("kept", version)
    assert network.run(successor, "get", key) == Value("kept", version)
    network.check_at_rest()


def test_a_durable_key_survives_one_death_after_the_other():
    network, key, successor, other = scene(4)
    network.run(other, "put", key, ["a"], wait=True, durable=True)
    die(network)
    network.check_at_rest()
    assert network.run(other, "atomic", key, "append", ("b",)).version > 0
    die(network, successor)
    network.check_at_rest()
    assert network.reads(other, key) == ["a", "b"]
    assert network.run(other, "scan", "") == Names((key,), lost=tuple(sorted((DEAD, successor))))


def test_every_write_of_a_key_that_was_durable_once_is_backed_up():
    network, key, _, other = scene()
    network.run(other, "put", key, 1, wait=True, durable=True)
    network.run(other, "put", key, 2, wait=True)
    network.run(DEAD, "put", key, None, wait=True)
    network.run(other, "put", key, 3)
    die(network)
    assert network.reads(other, key) == 3
    network.check_at_rest()


def test_a_durable_remove_is_remembered():
    network, key, _, other = scene()
    network.run(other, "put", key, 1, wait=True, durable=True)
    network.run(other, "put", key, None, wait=True)
    die(network)
    assert network.reads(other, key) is None
    assert network.run(other, "scan", "") == Names((), lost=(DEAD,))


def test_the_home_dies_between_the_second_copy_and_the_switch():
    network, key, successor, other = scene()
    network.run(other, "put", key, "old", wait=True, durable=True)
    put = network.begin(other, "put", key, "new", wait=True)
    network.pass_on("call", DEAD, "Put")
    network.pass_on("call", successor, "Backup")
    network.kill(DEAD)
    network.enter_all()
    network.drain()
    assert network.outcomes[put] == Lost((key,)), "its fate is known to nobody"
    assert [network.reads(n, key) for n in (successor, other)] == ["new", "new"], "and is one for all"


def test_the_runner_up_dies_while_it_is_waited_for():
    network, key, successor, other = scene()
    put = network.begin(other, "put", key, "kept", wait=True, durable=True)
    network.pass_on("call", DEAD, "Put")
    die(network, successor)
    assert isinstance(network.outcomes[put], Wrote)
    network.check_at_rest()
    die(network, DEAD)
    assert network.reads(other, key) == "kept"


def test_a_durable_write_that_the_runner_up_cannot_keep_is_not_done():
    network, key, successor, other = scene()
    network.run(other, "put", key, "old", wait=True)
    put = network.begin(DEAD, "put", key, "odd", wait=True, durable=True)
    after = network.begin(other, "atomic", key, "replace", ("old", "new"))
    network.drain(but=lambda message: message.name == "Backup")
    backup = network.flying.pop()
    network.perform(DEAD, network.members[DEAD].answered(backup.number, Failed("refused", "no type 'Odd' here")))
    network.drain()
    assert network.outcomes[put] == Refused("refused", "no type 'Odd' here")
    assert network.outcomes[after].result is True
    assert network.reads(successor, key) == "new"
    network.check_at_rest()


def test_the_last_member_keeps_durable_keys_alone():
    network, key, successor, other = scene()
    for dead in (successor, other):
        network.kill(dead)
        network.enter_all()
    assert isinstance(network.run(DEAD, "put", key, 1, wait=True, durable=True), Wrote)


@pytest.mark.parametrize("what", ["replica", "get", "invalidation"])
def test_a_writer_does_not_wait_for_a_dead_reader(what):
    network, key, successor, other = scene()
    network.run(DEAD, "put", key, "old", wait=True)
    get = network.begin(other, "get", key)
    if what == "get":
        network.pass_on("call", DEAD, "Get")
    else:
        network.drain()
    put = None
    if what != "replica":
        put = network.begin(DEAD, "put", key, "new", wait=True)
        assert put not in network.outcomes
    die(network, other)
    put = put or network.begin(DEAD, "put", key, "new", wait=True)
    assert isinstance(network.outcomes[put], Wrote)
    assert network.reads(successor, key) == "new"
    assert get
    network.check_at_rest()


def test_writes_of_the_dead_that_wait_in_line_are_dropped_and_the_one_underway_is_done():
    network = Network(4)
    key = key_at(DEAD, network)
    network.run(1, "put", key, "old", wait=True)
    for number, value in ((2, "underway"), (3, "in line")):
        network.begin(number, "put", key, value, wait=True)
        network.pass_on("call", DEAD, "Put", sender=number)
    own = network.begin(DEAD, "atomic", key, "replace", ("underway", "seen"))
    network.kill(2, 3)
    network.enter_all()
    network.drain()
    assert network.outcomes[own].result is True
    assert [value for _, value, _ in network.order[key]] == ["old", "underway", "seen"]
    assert network.reads(1, key) == "seen"
    network.check_at_rest()


def test_the_first_write_at_a_successor_waits_for_those_who_may_still_read_the_old_value():
    network, key, successor, other = scene()
    network.run(DEAD, "put", key, "old", wait=True, durable=True)
    assert network.reads(other, key) == "old"
    waiting = network.begin(successor, "put", key, "x", thread=1)  # sent to the dead: lost
    follows = network.begin(successor, "put", key, "new", wait=True)
    network.kill(DEAD)
    network.enter(successor)
    network.drain()
    assert network.outcomes[waiting] == Lost((key,))
    assert network.fronts[other][key] == "old"
    assert follows not in network.outcomes, "somebody in the old epoch still reads the old value"
    network.enter(other)
    network.drain()
    assert isinstance(network.outcomes[follows], Wrote)
    assert network.reads(other, key) == "new"
    network.check_at_rest()


def test_a_replica_registered_in_an_earlier_epoch_is_not_kept():
    network, key, successor, other = scene()
    key = key_at(successor, network)
    network.run(successor, "put", key, "v", wait=True)
    get = network.begin(other, "get", key)
    late = network.begin(other, "get", key, thread=1)
    network.pass_on("call", successor, "Get")
    network.kill(DEAD)
    network.enter_all()
    network.pass_on("answer", other, "Got")
    assert network.outcomes[get].value == "v"
    assert network.fronts[other] == {}
    assert late not in network.outcomes
    network.drain()
    assert network.outcomes[late].value == "v"
    network.check_at_rest()


def test_a_scan_underway_begins_again():
    network, key, _, other = scene()
    network.run(DEAD, "put", key, 1, wait=True, durable=True)
    scan = network.begin(other, "scan", "")
    die(network)
    assert network.outcomes[scan] == Names((key,), lost=(DEAD,))


def test_a_scan_says_who_may_have_held_more_keys():
    network, key, successor, other = scene()
    for name in (key, "@1/a", "@0/a", "!@0/b"):
        network.run(other, "put", name, 1, wait=True)
    assert network.run(other, "scan", "").lost == ()
    die(network)
    assert network.run(other, "scan", "") == Names(("@1/a",), lost=(DEAD,))
    assert network.run(successor, "scan", key) == Names((), lost=(DEAD,))
    assert network.run(other, "scan", "@0/") == Names((), lost=(DEAD,))
    assert network.run(other, "scan", "!@0/b") == Names((), lost=(DEAD,))
    assert network.run(other, "scan", "@1/") == Names(("@1/a",)), "these live on a member that lives"
    assert network.run(other, "scan", "@0") == Names((), lost=(DEAD,)), "and of @01/ nothing can be said"
    assert network.run(other, "scan", "@7/") == Names((), lost=(DEAD,)), "nobody has that number: any member may"


def test_a_scan_that_all_had_answered_is_complete_although_one_has_died_since():
    network, key, _, other = scene()
    network.run(other, "put", key, 1, wait=True)
    scan = network.begin(other, "scan", "")
    network.pass_on("call", DEAD, "Scan")
    network.pass_on("answer", other, "Names", sender=DEAD)
    die(network)
    assert network.outcomes[scan] == Names((key,))


def test_a_watch_is_complete_when_the_living_know():
    network, key, successor, other = scene()
    network.run(DEAD, "put", key, 1, wait=True, durable=True)
    watch = network.begin(other, "watch", "")
    die(network)
    assert network.outcomes[watch] == Names(())
    network.run(successor, "put", key, 2, wait=True)
    assert (other, (key,)) in network.changed


def test_calls_of_the_dead_are_not_answered():
    network, key, successor, _ = scene()
    die(network)
    assert network.members[successor].serve(DEAD, 99, Get(key)) == []
    assert network.members[successor].counters["a call of a member that is gone"] == 1


def test_whoever_leaves_ends_everything_as_lost():
    network, key, _, other = scene()
    ops = [
        network.begin(other, "get", key_at(1 if other != 1 else 2, network)),
        network.begin(other, "put", key, 1),
        network.begin(other, "put", key, 2),
        network.begin(other, "put", key, 3),
        network.begin(other, "atomic", key, "add", (1,), thread=1),
        network.begin(other, "fence"),
        network.begin(other, "scan", ""),
        network.begin(other, "watch", ""),
    ]
    network.perform(other, network.members[other].leave())
    assert all(isinstance(network.outcomes[op], Lost) for op in ops)
    assert network.fronts[other] == {}


def test_nobody_is_home_when_all_founders_are_gone():
    network = Network(1, n_leaves=2)
    ops = [network.begin(1, "get", "a"), network.begin(1, "put", "a", 1), network.begin(1, "put", "a", 2, wait=True)]
    die(network, 0)
    assert [network.outcomes[op] for op in ops] == [Lost(("a",))] * 3
    assert network.run(2, "put", "a", 1) == Lost(("a",))
    assert network.run(2, "get", "a") == Lost(("a",))


def test_views_go_forward_and_keep_their_founders():
    network, *_ = scene()
    store = network.members[0]
    with pytest.raises(InternalError, match="cannot enter 1"):
        store.enter(network.view)
    with pytest.raises(InternalError, match="would move the homes"):
        store.enter(View(2, network.view.members, (0, 1)))


def test_a_key_asked_of_a_member_that_is_not_its_home_is_refused():
    network, key, successor, other = scene()
    tag = network.begin(other, "get", key)
    network.flying[0].receiver = successor
    network.drain()
    assert isinstance(network.outcomes[tag], Refused)
    assert "at home at member 0" in network.outcomes[tag].text


class TestHomes:
    """Rendezvous hashing: who is home to what."""

    keys = tuple(f"key {i}" for i in range(3000))

    def homes_of(self, view):
        return list(map(Homes(view).of, self.keys))

    def test_all_founders_get_their_share(self):
        homes = self.homes_of(Network(5).view)
        counts = [homes.count(n) for n in range(5)]
        assert min(counts) > 500
        assert max(counts) < 700

    def test_a_death_moves_only_the_keys_of_the_dead_each_to_its_runner_up(self):
        network = Network(4)
        before = network.view
        network.kill(2)
        after = network.view
        before_it, after_it = Homes(before), Homes(after)
        for key, home, then in zip(self.keys, self.homes_of(before), self.homes_of(after), strict=True):
            assert then == (before_it.runner_up(key) if home == 2 else home)
            assert after_it.original(key) == home

    def test_a_key_may_name_its_home(self):
        network = Network(3)
        assert [home_of(f"@{n}/x", network.view) for n in range(3)] == [0, 1, 2]
        assert home_of("!@2/x", network.view) == 2
        assert home_of("@7/x", network.view) in range(3), "nobody has that number"
        runner_up = runner_up_of("@2/x", network.view)
        network.kill(2)
        assert home_of("@2/x", network.view) == runner_up

    def test_the_map_is_the_same_for_ever(self):
        """Members of different releases must agree: these are written down."""
        view = Network(3).view
        assert [home_of(key, view) for key in ("a", "b", "job/1", "ключ", "\N{SNOWMAN}")] == [2, 2, 2, 1, 1]
