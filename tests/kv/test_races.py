"""The sixteen places where the published protocol is silent or wrong, each with what ours does there.

R1 to R16 as in the description of the protocol: who races with whom. Every test directs the network into the race.
"""

from __future__ import annotations

from hydroscope.kv.effects import Value, Wrote
from hydroscope.kv.states import HomePhase
from tests.kv.network import Network, key_at

HOME, ONE, TWO = 0, 1, 2


def network_with_value(value="old", readers=()):
    """A key at home at member 0 with a value, and members that hold a replica of it."""
    network = Network(3)
    key = key_at(HOME, network)
    network.run(HOME, "put", key, value, wait=True)
    for reader in readers:
        assert network.reads(reader, key) == value
        assert network.fronts[reader] == {key: value}
    return network, key


def values_in_order(network, key):
    return [value for _, value, _ in network.order[key]]


def test_r1_two_writers_are_ordered_at_home_and_the_second_overwrites_the_first():
    network, key = network_with_value()
    first, second = network.begin(ONE, "put", key, "a", wait=True), network.begin(TWO, "put", key, "b", wait=True)
    network.pass_on("call", HOME, sender=TWO)
    network.drain()
    assert values_in_order(network, key) == ["old", "b", "a"]
    assert network.outcomes[first].version > network.outcomes[second].version
    assert {network.reads(n, key) for n in range(3)} == {"a"}
    network.check_at_rest()


def test_r2_the_next_write_waits_until_replicas_of_the_value_before_are_gone():
    network, key = network_with_value(readers=[ONE])
    first = network.begin(HOME, "put", key, "a", wait=True)
    second = network.begin(TWO, "put", key, "b", wait=True)
    network.pass_on("call", HOME, "Put")
    assert network.members[HOME].home.records[key].phase is HomePhase.INVALIDATING
    assert first not in network.outcomes
    assert second not in network.outcomes
    assert network.members[HOME].counters["a write waited for the one before"] == 1
    network.drain()
    assert values_in_order(network, key) == ["old", "a", "b"]
    network.check_at_rest()


def test_r3_an_invalidation_cannot_overtake_the_answer_that_makes_a_replica():
    network, key = network_with_value()
    get = network.begin(ONE, "get", key)
    network.pass_on("call", HOME, "Get")
    network.begin(HOME, "put", key, "new", wait=True)
    assert [message.kind for message in network.flying] == ["answer"], "nothing is invalidated before it is used"
    assert network.members[HOME].home.records[key].phase is HomePhase.DRAINING
    network.pass_on("answer", ONE)
    assert network.outcomes[get].value == "old"
    network.pass_on("settled", HOME)
    network.pass_on("call", ONE, "Invalidate")
    assert network.fronts[ONE] == {}
    network.drain()
    assert network.reads(ONE, key) == "new"
    assert network.members[HOME].counters["a write waited for gets"] == 1


def test_r4_a_reader_that_finds_a_closing_value_gets_it_unregistered_at_once():
    network, key = network_with_value(readers=[ONE])
    network.begin(HOME, "put", key, "new", wait=True)
    get = network.begin(TWO, "get", key)
    network.pass_on("call", HOME, "Get")
    network.pass_on("answer", TWO, "Got")
    assert network.outcomes[get].value == "old"
    assert network.fronts[TWO] == {}
    assert network.members[HOME].counters["a get was answered while closing"] == 1
    network.drain()
    network.check_at_rest()


def test_r5_an_answer_that_meets_a_newer_own_put_is_used_and_not_kept():
    network, key = network_with_value()
    get = network.begin(ONE, "get", key)
    network.pass_on("call", HOME, "Get")
    network.begin(ONE, "put", key, "mine")
    network.pass_on("answer", ONE, "Got")
    assert network.outcomes[get].value == "old"
    assert network.fronts[ONE] == {key: "mine"}
    network.drain()
    assert network.reads(TWO, key) == "mine"
    network.check_at_rest()


def test_r6_answers_that_nobody_waits_for_change_nothing():
    network, key = network_with_value(readers=[ONE])
    member = network.members[ONE]
    assert member.answered(12345, None) == []
    assert network.members[HOME].settled(ONE, 12345) == []
    assert member.failed(12345) == []
    assert network.fronts[ONE] == {key: "old"}
    network.check_at_rest()


def test_r7_nobody_reads_the_new_value_while_somebody_can_read_the_old_one():
    network, key = network_with_value(readers=[ONE])
    put = network.begin(HOME, "put", key, "new", wait=True)
    for _ in range(2):
        assert network.fronts[HOME][key] == "old"
        assert network.members[HOME].get(f"probe {network.n_ops}", 9, key)[0].outcome.value == "old"
    network.pass_on("call", ONE, "Invalidate")
    assert network.fronts[ONE] == {}
    assert put not in network.outcomes
    network.pass_on("answer", HOME)
    assert network.fronts[HOME][key] == "new"
    assert network.outcomes[put].version > 0


def test_r8_a_put_that_waits_is_not_shown_before_home_has_ordered_it():
    network, key = network_with_value(readers=[ONE])
    network.begin(ONE, "put", key, "new", wait=True)
    assert key not in network.fronts[ONE]
    get = network.begin(ONE, "get", key, thread=1)
    network.pass_on("call", HOME, "Get")
    network.pass_on("answer", ONE, "Got")
    assert network.outcomes[get].value == "old"
    network.drain()
    assert network.reads(ONE, key) == "new"


def test_r8_writes_of_a_volatile_key_wait_without_being_told_to():
    network = Network(3)
    key = key_at(HOME, network, "!flag")
    network.begin(ONE, "put", key, "up")
    assert key not in network.fronts[ONE]
    network.drain()
    assert network.fronts[ONE] == {key: "up"}


def test_r9_an_own_put_is_not_read_any_more_once_it_was_ordered_and_overwritten():
    network, key = network_with_value()
    network.begin(ONE, "put", key, "mine")
    network.pass_on("call", HOME, "Put")
    assert values_in_order(network, key) == ["old", "mine"]
    other = network.begin(TWO, "put", key, "theirs", wait=True)
    network.pass_on("call", HOME, "Put", sender=TWO)
    assert network.fronts[ONE] == {key: "mine"}, "the answer is late: its threads do not know yet"
    assert other not in network.outcomes, "so the next put cannot return yet"
    network.pass_on("answer", ONE, "Written")
    assert network.fronts[ONE] == {key: "mine"}, "a replica now"
    network.drain()
    assert network.fronts[ONE] == {}
    assert network.outcomes[other].version > 0
    assert network.reads(ONE, key) == "theirs"
    network.check_at_rest()


def test_r10_an_invalidation_of_the_value_before_leaves_an_own_put_alone():
    network, key = network_with_value(readers=[ONE])
    network.begin(TWO, "put", key, "theirs", wait=True)
    network.pass_on("call", HOME, "Put", sender=TWO)
    first = network.begin(ONE, "put", key, "mine")
    network.pass_on("call", ONE, "Invalidate")
    assert network.fronts[ONE] == {key: "mine"}
    assert network.members[ONE].counters["an invalidation came before the answer to an own write"] == 1
    second = network.begin(ONE, "put", key, "mine again", wait=True)
    assert sum(message.name == "Put" and message.sender == ONE for message in network.flying) == 1
    network.drain()
    assert values_in_order(network, key) == ["old", "theirs", "mine", "mine again"]
    assert network.outcomes[first].version < network.outcomes[second].version
    assert {network.reads(n, key) for n in range(3)} == {"mine again"}
    network.check_at_rest()


def test_r11_a_put_after_a_remove_is_ordered_after_it():
    network, key = network_with_value()
    network.begin(ONE, "put", key, None)
    assert network.fronts[ONE] == {key: None}, "known absent"
    network.begin(ONE, "put", key, "again", wait=True)
    assert [message.body.value for message in network.flying] == [None], "one underway at a time"
    network.drain()
    assert values_in_order(network, key) == ["old", None, "again"]
    assert network.reads(TWO, key) == "again"
    network.check_at_rest()


def test_r12_who_joined_a_get_later_does_not_accept_that_the_key_is_absent():
    network = Network(3)
    key = key_at(HOME, network)
    early = network.begin(ONE, "get", key)
    network.pass_on("call", HOME, "Get")
    put = network.begin(TWO, "put", key, "there", wait=True)
    network.drain(but=lambda message: message.receiver == ONE)
    assert put in network.outcomes
    late = network.begin(ONE, "get", key, thread=1)
    network.pass_on("answer", ONE, "Got")
    assert network.outcomes[early].value is None
    assert late not in network.outcomes
    network.drain()
    assert network.outcomes[late].value == "there"
    assert network.members[ONE].counters["a joiner asked again"] == 1
    network.check_at_rest()


def test_r12_who_joined_later_does_not_accept_a_closing_value():
    network, key = network_with_value(readers=[TWO])
    put = network.begin(HOME, "put", key, "new", wait=True)
    early = network.begin(ONE, "get", key)
    network.pass_on("call", HOME, "Get")
    network.drain(but=lambda message: message.receiver == ONE)
    assert put in network.outcomes
    late = network.begin(ONE, "get", key, thread=1)
    network.drain()
    assert (network.outcomes[early].value, network.outcomes[late].value) == ("old", "new")


def test_r12_who_joined_later_accepts_a_value_that_is_registered():
    network, key = network_with_value()
    ops = [network.begin(ONE, "get", key, thread=thread) for thread in range(3)]
    assert len(network.flying) == 1
    network.drain()
    assert [network.outcomes[op].value for op in ops] == ["old"] * 3


def test_r13_an_atomic_does_not_overtake_an_own_put():
    network = Network(3)
    key = key_at(HOME, network)
    network.begin(ONE, "put", key, 10)
    total = network.begin(ONE, "atomic", key, "add", (5,))
    assert [message.name for message in network.flying] == ["Put"]
    network.drain()
    assert network.outcomes[total] == Wrote(network.outcomes[total].version, 15)
    assert values_in_order(network, key) == [10, 15]
    assert network.members[ONE].counters["an atomic waited for an own write"] == 1


def test_r14_leaves_hold_replicas_like_everybody():
    network = Network(2, n_leaves=3)
    key = key_at(HOME, network)
    for number in range(2, 5):
        network.run(number, "put", key, number, wait=True)
        assert {network.reads(n, key) for n in range(5)} == {number}
    network.check_at_rest()


def test_r15_what_was_asked_does_not_change_afterwards():
    network, key = network_with_value()
    network.begin(ONE, "put", key, "a")
    sent = network.flying[0].body
    for value in "bcd":
        network.begin(ONE, "put", key, value)
    assert sent.value == "a"
    assert network.fronts[ONE] == {key: "d"}
    network.drain()
    assert values_in_order(network, key) == ["old", "a", "d"], "what was not sent was replaced by what came later"


def test_r16_a_put_of_an_equal_value_is_a_write_like_any_other():
    network, key = network_with_value("same", readers=[ONE])
    put = network.begin(HOME, "put", key, "same", wait=True)
    assert put not in network.outcomes
    assert [message.name for message in network.flying] == ["Invalidate"]
    network.drain()
    assert len(network.order[key]) == 2
    assert network.outcomes[put].version == network.order[key][1][0]


def test_a_put_makes_its_writer_a_replica_and_the_next_writer_invalidates_it():
    network, key = network_with_value()
    put = network.run(ONE, "put", key, "mine", wait=True)
    assert network.fronts[ONE] == {key: "mine"}
    assert network.run(ONE, "get", key) == Value("mine", put.version)
    assert network.members[HOME].home.records[key].replicas == {ONE}
    network.begin(TWO, "put", key, "theirs", wait=True)
    network.pass_on("call", HOME, "Put")
    network.pass_on("call", ONE, "Invalidate")
    assert network.fronts[ONE] == {}
    network.drain()
    network.check_at_rest()


def test_a_writer_that_alone_holds_a_replica_is_not_asked_to_drop_it():
    network, key = network_with_value()
    network.run(ONE, "put", key, "a", wait=True)
    network.begin(ONE, "put", key, "b", wait=True)
    assert network.fronts[ONE] == {}, "it has dropped it by itself"
    network.pass_on("call", HOME, "Put")
    assert [(message.kind, message.name) for message in network.flying] == [("answer", "Written")]
