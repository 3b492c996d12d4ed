"""Operations where nothing races: what each returns, costs in messages, and shows."""

from __future__ import annotations

import pytest

from hydroscope.kv.effects import Lost, Names, Ordered, Refused, Value, Wrote
from hydroscope.kv.functions import Functions
from hydroscope.kv.store import Store
from hydroscope.wire.messages import Failed, MemberInfo, View
from tests.kv.network import Network, key_at


@pytest.fixture
def network():
    return Network(3)


def test_a_store_alone_does_everything_at_once():
    front = {}
    store = Store(7, Functions(lambda: 0.0), front)
    assert store.enter(View(1, (MemberInfo(7, 1),), (7,))) == []
    ordered, finished = store.put("op", 0, "k", 5)
    version = ordered.version
    assert ordered == Ordered("k", version, 5, "op")
    assert (finished.op, finished.outcome) == ("op", Wrote(version))
    assert front == {"k": 5}
    assert store.atomic("op", 0, "k", "add", (2,))[1].outcome == Wrote(version + 1, 7)
    assert store.get("op", 0, "k")[0].outcome == Value(7, version + 1)
    assert store.put("op", 0, "k", None, wait=True)[1].outcome == Wrote(version + 2)
    assert store.get("op", 0, "k")[0].outcome == Value(None, version + 2)
    assert store.scan("op", "")[0].outcome == Names(())
    assert front == {}
    assert store.home.records == {}, "nothing is remembered of a removed key"
    store.check_at_rest()


def test_a_miss_is_one_question_and_then_the_value_is_in_front(network):
    key = key_at(0, network)
    network.run(0, "put", key, "v", wait=True)
    op = network.begin(1, "get", key)
    assert [message.name for message in network.flying] == ["Get"]
    network.drain()
    assert network.outcomes[op].value == "v"
    assert network.fronts[1] == {key: "v"}
    network.begin(1, "get", key)
    assert network.flying == []


def test_an_absent_key_is_not_remembered(network):
    key = key_at(0, network)
    assert network.reads(1, key) is None
    assert network.fronts[1] == {}
    assert network.members[0].home.records == {}


def test_versions_grow_over_removals(network):
    key = key_at(0, network)
    versions = [
        network.run(n % 3, "put", key, value, wait=True).version for n, value in enumerate([1, None, 2, None, 3])
    ]
    assert versions == sorted(set(versions))
    assert network.run(2, "get", key).version == versions[-1]
    network.run(1, "put", key, None, wait=True)
    assert network.run(2, "get", key).version > versions[-1], "absent as of a version after the last value"


def test_plain_puts_are_shown_at_once_and_those_not_sent_are_replaced(network):
    key = key_at(0, network)
    ops = []
    for value in range(5):
        ops.append(network.begin(1, "put", key, value))
        assert network.fronts[1] == {key: value}
        assert network.members[1].get("probe", 0, key)[0].outcome == Value(value, 0)
    assert len(network.flying) == 1
    network.drain()
    outcomes = [network.outcomes[op] for op in ops]
    assert [value for _, value, _ in network.order[key]] == [0, 4]
    assert [outcome.merged for outcome in outcomes] == [False, True, True, True, False]
    assert {outcome.version for outcome in outcomes[1:]} == {network.order[key][1][0]}


def test_writes_that_wait_are_never_replaced(network):
    key = key_at(0, network)
    for value in range(4):
        network.begin(1, "put", key, value, value % 2 == 1, thread=value)
    network.begin(1, "atomic", key, "append", ("x",), thread=9)
    network.begin(1, "put", key, "last")
    network.drain()
    values = [value for _, value, _ in network.order[key]]
    assert values[:4] == [0, 1, 2, 3]
    assert values[-1] == "last"


def test_a_fence_waits_for_the_plain_puts_of_its_own_thread(network):
    mine, theirs = key_at(0, network, "mine"), key_at(2, network, "theirs")
    network.begin(1, "put", mine, 1, thread=1)
    network.begin(1, "put", theirs, 1, thread=2)
    fence = network.begin(1, "fence", thread=1)
    later = network.begin(1, "put", mine, 2, thread=1)
    assert fence not in network.outcomes
    network.drain(but=lambda message: message.name in ("Put", "Written") and 2 in (message.sender, message.receiver))
    assert network.outcomes[fence] == Wrote(0)
    assert later in network.outcomes
    assert network.run(1, "fence", thread=3) == Wrote(0)
    network.drain()


def test_a_fence_does_not_wait_for_later_plain_puts(network):
    key, other = key_at(0, network, "a"), key_at(2, network, "b")
    network.begin(1, "put", key, 1)
    fence = network.begin(1, "fence")
    later = network.begin(1, "put", other, 1)
    network.drain(but=lambda message: message.receiver == 2)
    assert network.outcomes[fence] == Wrote(0)
    assert later not in network.outcomes
    network.drain()


@pytest.mark.parametrize("operation", [("put", "!flag", 1), ("put", "flag", 1, True), ("atomic", "flag", "add", (1,))])
def test_a_write_that_waits_goes_after_the_plain_puts_of_its_thread(network, operation):
    data = key_at(0, network, "data")
    name, key, *rest = operation
    network.begin(1, "put", data, 1)
    flag = network.begin(1, name, key, *rest)
    other = network.begin(1, "put", "@2/other", 1, True, thread=5)
    network.drain(but=lambda message: message.receiver == 0 and message.name == "Put" and message.body.key == data)
    assert other in network.outcomes
    assert flag not in network.outcomes
    network.drain()
    assert network.outcomes[flag].version > 0
    network.check_at_rest()


def test_a_write_that_waits_keeps_its_place_in_line(network):
    network.begin(1, "put", "@0/data", 1)
    first = network.begin(1, "put", "@2/k", "first", True)
    second = network.begin(1, "put", "@2/k", "second", True, thread=1)
    assert network.fronts[1] == {"@0/data": 1}
    network.drain()
    assert [value for _, value, _ in network.order["@2/k"]] == ["first", "second"]
    assert network.outcomes[first].version < network.outcomes[second].version


def test_a_function_that_aborts_or_fails_changes_nothing(network):
    key = key_at(0, network)
    network.run(2, "put", key, 3, wait=True)
    aborted = network.run(1, "atomic", key, "create", (9,))
    assert (aborted.aborted, aborted.result) == (True, False)
    failed = network.run(1, "atomic", key, "append", (9,))
    assert isinstance(failed, Refused)
    assert failed.kind == "function"
    unknown = network.run(1, "atomic", key, "ad", (1,))
    assert unknown.kind == "unknown function"
    assert "'add'" in unknown.text
    assert len(network.order[key]) == 1
    assert network.reads(1, key) == 3
    network.check_at_rest()


def test_each_atomic_is_applied_once():
    network = Network(4)
    key = key_at(2, network)
    for thread in range(5):
        for member in range(4):
            for _ in range(5):
                network.begin(member, "atomic", key, "add", (1,), thread=thread)
    network.drain()
    assert network.reads(0, key) == 100
    assert [value for _, value, _ in network.order[key]] == list(range(1, 101))


def test_a_removing_atomic_removes(network):
    key = key_at(0, network)
    network.run(1, "atomic", key, "append", ("x",))
    assert network.run(2, "atomic", key, "discard", ("x",)).version > 0
    assert network.reads(1, key) is None
    assert network.run(1, "scan", "") == Names(())


class TestScan:
    def test_it_merges_the_homes(self, network):
        keys = sorted(f"job/{i}" for i in range(30))
        for i, key in enumerate(keys):
            network.run(i % 3, "put", key, i)
        network.run(0, "put", "other", 1)
        assert network.run(1, "scan", "job/") == Names(tuple(keys))
        assert network.run(1, "scan", "nothing/") == Names(())

    def test_own_plain_writes_count_before_they_are_ordered(self, network):
        network.run(0, "put", "@0/old", 1, wait=True)
        network.begin(1, "put", "@0/new", 1)
        network.begin(1, "put", "@0/old", None)
        scan = network.begin(1, "scan", "@0/")
        network.pass_on("call", 0, "Scan")
        network.drain()
        assert network.outcomes[scan] == Names(("@0/new",))

    def test_a_write_that_waits_counts_when_it_is_ordered(self, network):
        network.begin(1, "put", "@0/new", 1, True)
        scan = network.begin(1, "scan", "")
        network.pass_on("call", 0, "Scan")
        network.drain()
        assert network.outcomes[scan] == Names(())
        assert network.run(1, "scan", "") == Names(("@0/new",))

    def test_a_home_that_cannot_answer_makes_it_fail(self, network):
        scan = network.begin(1, "scan", "")
        for message in network.flying:
            if message.receiver == 0:
                network.perform(1, network.members[1].answered(message.number, Failed("refused", "no such request")))
        network.drain()
        assert network.outcomes[scan] == Refused("refused", "no such request")


class TestWatch:
    def test_whoever_watches_is_told_wherever_the_key_lives(self, network):
        assert network.run(1, "watch", "job/") == Names(())
        keys = [f"job/{i}" for i in range(10)]
        for key in keys:
            network.run(2, "put", key, 1)
        network.run(2, "put", "other", 1)
        assert sorted(key for number, told in network.changed for key in told) == keys
        assert {number for number, _ in network.changed} == {1}

    def test_several_changes_are_told_as_one_and_the_last_is_told(self, network):
        network.run(1, "watch", "")
        for value in range(10):
            network.begin(0, "put", "@0/k", value)
        assert sum(message.name == "Notify" for message in network.flying) == 1
        network.pass_on("call", 1, "Notify")
        network.begin(0, "put", "@0/k", 10)
        network.drain()
        assert network.changed == [(1, ("@0/k",))] * 2
        network.check_at_rest()

    def test_it_ends_and_begins_again(self, network):
        network.run(1, "watch", "a")
        network.run(1, "watch", "a")
        network.run(1, "unwatch", "a")
        network.run(0, "put", "abc", 1)
        assert network.changed == [(1, ("abc",))]
        ops = [network.begin(1, name, "a") for name in ("unwatch", "watch", "unwatch", "watch", "unwatch")]
        assert sum(message.name == "Watch" for message in network.flying) == 2, "one order at a time, to two homes"
        network.drain()
        assert [network.outcomes[op] for op in ops] == [Names(())] * 5
        network.run(0, "put", "abc", 2)
        assert len(network.changed) == 1
        assert not any(member.watching.is_watched for member in network.members.values())
        network.run(1, "unwatch", "never watched")

    def test_nobody_has_to_wait_for_it(self, network):
        network.perform(1, network.members[1].watch(None, ""))
        network.drain()
        assert None not in network.outcomes


def test_outcomes_of_a_network_without_faults_are_never_lost(network):
    for i in range(50):
        network.run(i % 3, "put", f"k{i % 7}", i, i % 2 == 0)
    assert not any(isinstance(outcome, Lost | Refused) for outcome in network.outcomes.values())
    network.check_at_rest()
