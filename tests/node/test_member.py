"""Members joined by a network of lists: operations from end to end, held work, lost members."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
import pytest

from hydroscope.ground.clocks.simulated import SimulatedClock
from hydroscope.kv import effects as kv
from hydroscope.kv.functions import Functions
from hydroscope.kv.homes import home_of
from hydroscope.node.actions import Action, Entered, Excluded, Transmit
from hydroscope.node.member import Member
from hydroscope.node.membership import Settings
from hydroscope.wire.messages import NOBODY, Ack, Announce, Call, Heartbeat, MemberInfo, Packet, Refuse, Welcome

CLUSTER = 5
STEP_S = 0.25


def alike(packet: Packet) -> tuple[int, ...]:
    """Return what the packets of one frame have in common."""
    return packet.sender_life, packet.receiver_life, packet.epoch


class Net:
    """Members that hear each other in order; packets over `cut` ways and those that `drop` names are lost."""

    def __init__(self, n_members: int, encode: bool = True) -> None:
        self.now = 1.0
        self.clock = SimulatedClock()
        settings = Settings(n_founders=n_members)
        self.members = [self._member(0 if i == 0 else NOBODY, 100 + i, encode, settings) for i in range(n_members)]
        self.cut: set[frozenset[int]] = set()
        self.drop: Any = lambda packet: False
        self.outcomes: dict[Any, Any] = {}
        self.entered: list[tuple[int, int, bool]] = []
        self.excluded: dict[int, str] = {}
        self.changed: list[tuple[int, tuple[str, ...]]] = []
        self.wire: deque[Packet] = deque()
        for i, member in enumerate(self.members):
            self.do(i, member.start(self.now) if i == 0 else member.join(77, self.now))
        self.settle()

    def _member(self, number: int, life: int, encode: bool, settings: Settings) -> Member:
        info = MemberInfo(number, life)
        functions = Functions(self.clock.seconds)
        return Member(info, CLUSTER, self.clock, functions, authority=0, encode=encode, settings=settings)

    def do(self, i: int, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Transmit(packet=packet):
                    self.wire.append(packet)
                case kv.Finish(op=op, outcome=outcome):
                    assert op not in self.outcomes or op is None, f"{op} ended twice"
                    self.outcomes[op] = outcome
                case Entered(view=view, is_open=is_open):
                    self.entered.append((i, view.epoch, is_open))
                case Excluded(reason=reason):
                    self.excluded[i] = reason
                case kv.Changed(keys=keys):
                    self.changed.append((i, tuple(keys)))

    def settle(self) -> None:
        """Deliver until nothing is on the way; what is alike but for its message comes in one frame."""
        while self.wire:
            packet = self.wire.popleft()
            frame = [packet]
            while self.wire and alike(self.wire[0]) == alike(packet):
                frame.append(self.wire.popleft())
            to = next((i for i, m in enumerate(self.members) if m.standing.me.life == packet.receiver_life), 0)
            sender = next(i for i, m in enumerate(self.members) if m.standing.me.life == packet.sender_life)
            taken = [each for each in frame if not self.drop(each)]
            if taken and frozenset((sender, to)) not in self.cut:
                self.do(to, self.members[to].receive(taken, self.now))
        for member in self.members:
            soonest = member.deadline
            assert all(soonest <= line.deadline for line in member.lines.values()), "something is slept over"

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self.clock.set(self.now)
            for i, member in enumerate(self.members):
                if member.deadline <= self.now:
                    self.do(i, member.expire(self.now))
            self.settle()
            for member in self.members:
                member.check()

    def key_at(self, home: int) -> str:
        view = self.members[0].standing.view
        assert view is not None
        return next(key for key in (f"key-{i}" for i in range(1000)) if home_of(key, view) == home)

    def put(self, i: int, op: Any, key: str, value: Any, **how: bool) -> None:
        self.do(i, self.members[i].put(op, 1, key, value, self.now, **how))
        self.settle()

    def get(self, i: int, op: Any, key: str) -> None:
        self.do(i, self.members[i].get(op, 1, key, self.now))
        self.settle()


def value_of(outcome: Any) -> Any:
    assert isinstance(outcome, kv.Value), outcome
    return outcome.value


@pytest.fixture(params=[True, False], ids=["bytes", "objects"])
def net(request: pytest.FixtureRequest) -> Net:
    net = Net(3, request.param)
    net.run(2)
    assert all(member.standing.is_open for member in net.members)
    return net


@pytest.mark.parametrize("home", [0, 1, 2])
@pytest.mark.parametrize("writer", [0, 1, 2])
def test_what_one_has_written_all_read(net: Net, home: int, writer: int) -> None:
    key = net.key_at(home)
    net.put(writer, "put", key, {"a": [1, 2.5, "x"]}, wait=True)
    for i in range(3):
        net.get(i, i, key)
        assert value_of(net.outcomes[i]) == {"a": [1, 2.5, "x"]}
        assert net.members[i].front[key] == {"a": [1, 2.5, "x"]}
    net.put(writer, "again", key, 2, wait=True)
    stale = [i for i in range(3) if net.members[i].front.get(key, 2) != 2]
    assert stale == []


def test_atomics_are_applied_once_each(net: Net) -> None:
    key = net.key_at(1)
    for n in range(9):
        net.do(n % 3, net.members[n % 3].atomic(n, 1, key, "add", (1,), net.now))
    net.settle()
    assert sorted(net.outcomes[n].result for n in range(9)) == list(range(1, 10))


def test_lost_packets_are_sent_again(net: Net) -> None:
    key = net.key_at(2)
    lost: list[Any] = []

    def drop(packet: Packet) -> bool:
        if isinstance(packet.message, Call | Ack) and len(lost) < 6:
            lost.append(packet)
            return True
        return False

    net.drop = drop
    net.put(0, "put", key, 1, wait=True)
    net.run(30)
    assert len(lost) == 6
    assert isinstance(net.outcomes["put"], kv.Wrote)


def test_operations_before_the_first_view_wait_for_it() -> None:
    net = Net(1)
    net.members[0] = early = net._member(0, 100, True, Settings(n_founders=2))
    net.do(0, early.start(net.now))
    net.put(0, "early", "k", 1, wait=True)
    assert "early" not in net.outcomes
    net.members.append(net._member(NOBODY, 101, True, Settings(n_founders=2)))
    net.do(1, net.members[1].join(77, net.now))
    net.settle()
    net.run(2)
    assert isinstance(net.outcomes["early"], kv.Wrote)


def test_keys_of_a_lost_member_are_lost_and_named(net: Net) -> None:
    key, other = net.key_at(2), net.key_at(1)
    net.put(0, "put", key, 1, wait=True)
    net.put(0, "other", other, 2, wait=True)
    net.cut = {frozenset((0, 2)), frozenset((1, 2))}
    net.put(1, "pending", key, 3, wait=True)
    net.run(15)
    assert net.outcomes["pending"] == kv.Lost((key,))
    net.get(0, "after", key)
    net.run(1)
    assert net.outcomes["after"] == kv.Lost((key,))
    net.get(0, "kept", other)
    net.run(1)
    assert value_of(net.outcomes["kept"]) == 2
    net.put(1, "anew", key, 4, wait=True)
    net.get(0, "now", key)
    net.run(1)
    assert value_of(net.outcomes["now"]) == 4


def test_durable_writes_survive_their_home(net: Net) -> None:
    key = net.key_at(2)
    net.put(0, "put", key, "kept", wait=True, durable=True)
    net.cut = {frozenset((0, 2)), frozenset((1, 2))}
    net.run(15)
    for i in (0, 1):
        net.get(i, i, key)
        net.run(1)
        assert value_of(net.outcomes[i]) == "kept"


def test_a_member_without_its_lease_holds_its_work_and_a_zombie_ends_it_as_lost(net: Net) -> None:
    key = net.key_at(2)
    net.put(2, "mine", key, 1, wait=True)
    net.cut = {frozenset((0, 2)), frozenset((1, 2))}
    net.run(7)
    assert net.members[2].lease_until <= net.now
    net.put(2, "held", key, 2, wait=True)
    assert "held" not in net.outcomes
    net.run(10)
    net.cut = set()
    net.run(3)
    assert net.excluded == {2: "the authority has given it up"}
    assert isinstance(net.outcomes["held"], kv.Lost)
    assert net.members[2].front == {}
    net.get(2, "late", key)
    assert isinstance(net.outcomes["late"], kv.Lost)


def test_a_write_under_way_does_not_end_at_a_member_that_was_stopped_past_its_lease(net: Net) -> None:
    key = net.key_at(2)
    net.get(1, "replica", key)
    net.put(2, "first", key, 1, wait=True)
    net.get(1, "replica again", key)
    late: list[Packet] = []

    def catch(packet: Packet) -> bool:
        caught = isinstance(packet.message, Ack) and packet.receiver == 2
        if caught:
            late.append(packet)
        return caught

    net.drop = catch
    net.put(2, "second", key, 2, wait=True)  # waits for member 1 to drop its replica
    assert late
    stopped = net.members[2]
    net.cut = {frozenset((0, 2)), frozenset((1, 2))}
    for _ in range(60):  # member 2 is stopped: it neither hears nor acts
        net.now += STEP_S
        net.clock.set(net.now)
        for i in (0, 1):
            if net.members[i].deadline <= net.now:
                net.do(i, net.members[i].expire(net.now))
        net.settle()
    assert net.members[0].standing.epoch == 2
    for packet in late:
        net.do(2, stopped.receive([packet], net.now))
    assert "second" not in net.outcomes
    assert stopped.counters["without a lease"] == len(late)
    net.cut, net.drop = set(), lambda packet: False
    net.do(2, stopped.expire(net.now))
    net.run(3)
    assert isinstance(net.outcomes["second"], kv.Lost)


def test_a_cut_shorter_than_the_lease_costs_nothing(net: Net) -> None:
    key = net.key_at(2)
    net.cut = {frozenset((0, 2))}
    net.put(0, "put", key, 1, wait=True)
    assert "put" not in net.outcomes
    net.run(3)
    net.cut = set()
    net.run(8)
    assert isinstance(net.outcomes["put"], kv.Wrote)
    assert net.members[0].standing.epoch == 1


def test_a_write_after_a_new_view_waits_until_all_have_entered_it() -> None:
    """Until then somebody might still read a replica that its home has forgotten."""
    net = Net(4)
    net.run(2)
    key = net.key_at(1)
    net.put(0, "first", key, 1, wait=True)
    net.get(2, "replica", key)
    assert net.members[2].front[key] == 1
    net.cut = {frozenset((i, 3)) for i in range(3)}
    net.drop = lambda packet: isinstance(packet.message, Announce) and packet.receiver == 2
    while net.members[1].standing.epoch == 1:
        net.run(STEP_S)
    assert net.members[2].standing.epoch == 1, "it has not heard of the new view"
    net.put(1, "second", key, 2, wait=True)
    net.run(2)
    assert "second" not in net.outcomes
    assert net.members[2].front[key] == 1
    net.drop = lambda packet: False
    net.run(3)
    assert isinstance(net.outcomes["second"], kv.Wrote)
    assert net.members[2].front.get(key, 2) == 2


def test_packets_of_a_former_life_change_nothing(net: Net) -> None:
    one = net.members[1]
    packet = Packet(CLUSTER, 0, 100, 1, 999, 1, 0, Heartbeat(1, True, 1, 1))
    assert one.receive([packet], net.now) == []
    assert one.counters["meant for another life"] == 1


def test_a_stamp_from_the_far_future_is_refused(net: Net) -> None:
    packet = Packet(CLUSTER, 0, 100, 1, 101, 1, 2**63, Heartbeat(1, True, 1, 1))
    assert net.members[1].receive([packet], net.now) == []
    assert net.members[1].counters["stamp from the future"] == 1


def test_each_message_of_a_frame_counts_as_if_it_had_come_alone(net: Net) -> None:
    one, other = net.members[1], net.members[2]
    view = net.members[0].standing.view
    assert view is not None
    newer = msgspec.structs.replace(view, epoch=2)
    calls = [Call(one._line(0).link.highest + n, b"") for n in (1, 2, 3)]
    messages = [calls[0], Welcome(5, 100, 1), calls[1], Announce(newer, True), calls[2]]
    packets = [Packet(CLUSTER, 0, 100, 1, 101, 1, 0, message) for message in messages]
    one.receive(packets, net.now)
    assert one.refusals == {1: "unasked welcome", 4: "of another epoch"}
    assert one.links[0].counters["executed"] == 2
    assert one.standing.epoch == 2
    one.receive([msgspec.structs.replace(packets[2], epoch=2)], net.now)
    assert one.refusals == {}
    other.receive(packets, net.now)
    assert other.refusals == dict.fromkeys(range(5), "meant for another life")


def test_a_request_that_cannot_be_read_is_answered() -> None:
    net = Net(2)
    net.run(2)
    number = net.members[1]._line(0).link.highest + 1
    packet = Packet(CLUSTER, 0, 100, 1, 101, 1, 0, Call(number, b"\xc1 not msgpack"))
    (action,) = net.members[1].receive([packet], net.now)
    assert isinstance(action, Transmit)
    assert isinstance(action.packet.message, Ack)
    assert net.members[1].counters["request that cannot be read"] == 1


def test_watchers_hear_of_changes(net: Net) -> None:
    key = net.key_at(2)
    net.do(0, net.members[0].watch("watch", key, net.now))
    net.settle()
    assert "watch" in net.outcomes
    net.put(1, "put", key, 1, wait=True)
    net.run(1)
    assert (0, (key,)) in net.changed


def test_a_write_waits_for_the_lease_of_a_reader_that_was_given_up_but_does_not_know(net: Net) -> None:
    """The way between the two is broken; the authority hears both, and gives up the reader."""
    key = net.key_at(1)
    net.put(1, "first", key, 1, wait=True)
    net.get(2, "replica", key)
    net.cut = {frozenset((1, 2))}
    net.drop = lambda packet: isinstance(packet.message, Refuse) and packet.receiver == 2
    net.put(1, "second", key, 2, wait=True)
    n_read_old = 0
    for _ in range(200):
        net.run(STEP_S)
        reader = net.members[2]
        reads_old = net.now < reader.lease_until and reader.front.get(key) == 1
        assert not (reads_old and "second" in net.outcomes)
        n_read_old += reads_old and net.members[0].standing.epoch == 2
        if "second" in net.outcomes:
            break
    assert isinstance(net.outcomes["second"], kv.Wrote)
    assert n_read_old > 10, "it did not know for a while, and had its lease"


def test_a_reader_that_was_given_up_and_says_that_it_stopped_is_not_waited_for(net: Net) -> None:
    key = net.key_at(1)
    net.put(1, "first", key, 1, wait=True)
    net.get(2, "replica", key)
    net.cut = {frozenset((1, 2))}
    net.put(1, "second", key, 2, wait=True)
    while net.members[0].standing.epoch == 1:
        net.run(STEP_S)
    net.run(1)
    assert isinstance(net.outcomes["second"], kv.Wrote)
    assert net.excluded == {2: "the authority has given it up"}
