"""The authority's roster, leases and standing: who belongs, from when to when, and what each is told."""

from __future__ import annotations

import math

import pytest

from hydroscope.ground.errors import InternalError
from hydroscope.node.membership import Lease, Roster, Settings
from hydroscope.node.standing import Effect, Enter, Leave, Standing, Tell
from hydroscope.wire.messages import NOBODY, Announce, Heartbeat, Hello, MemberInfo, Packet, Refuse, Welcome

CLUSTER = 99
SETTINGS = Settings(n_founders=3, heartbeat_s=1.0, lease_s=6.0, detect_s=10.0)


def info(number: int, life: int | None = None, stores: bool = True) -> MemberInfo:
    return MemberInfo(number, 100 + number if life is None else life, stores=stores)


def newcomer(life: int, stores: bool = True) -> MemberInfo:
    return MemberInfo(NOBODY, life, stores=stores)


def full_roster() -> Roster:
    roster = Roster(info(0), SETTINGS)
    assert [roster.hello(newcomer(life), 0.0) for life in (101, 102)] == [1, 2]
    assert roster.decide(0.0)
    return roster


def opened_roster() -> Roster:
    roster = full_roster()
    for number in (1, 2):
        roster.heard(number, 1, (), 0.0)
    assert roster.decide(0.0)
    assert roster.is_open
    return roster


class TestRoster:
    def test_who_suspects_the_dead_is_not_given_up_for_it(self) -> None:
        roster = opened_roster()
        for now in range(1, 10):
            roster.heard(2, 1, (1,) if now > 7 else (), float(now))  # 2 waits for 1, which is dead since 0
            roster.decide(float(now))
            assert roster.view is not None
            assert [each.number for each in roster.view.members] == [0, 1, 2]
        roster.decide(10.0)
        assert [each.number for each in roster.view.members] == [0, 2]

    def test_the_first_view_waits_for_all_founders(self) -> None:
        roster = Roster(info(0), SETTINGS)
        roster.hello(newcomer(101), 0.0)
        assert not roster.decide(0.0)
        assert roster.view is None
        roster.hello(newcomer(200, stores=False), 0.0)  # a leaf is no founder
        assert not roster.decide(0.0)
        roster.hello(newcomer(102), 0.0)
        assert roster.decide(0.0)
        assert roster.view is not None
        assert (roster.view.epoch, roster.view.founders) == (1, (0, 1, 3))
        assert [each.number for each in roster.view.members] == [0, 1, 2, 3]

    def test_a_view_opens_once_everybody_has_entered_it(self) -> None:
        roster = full_roster()
        roster.heard(1, 1, (), 0.0)
        assert not roster.decide(0.0)
        assert not roster.is_open
        roster.heard(2, 1, (), 0.0)
        assert roster.decide(0.0)
        assert roster.is_open
        assert not roster.decide(0.0)

    def test_the_same_life_gets_the_same_number_and_a_lost_one_none(self) -> None:
        roster = full_roster()
        assert roster.hello(newcomer(101), 1.0) == 1
        roster.lose(1)
        assert roster.hello(newcomer(101), 2.0) is None
        assert roster.hello(newcomer(555), 2.0) == 3, "numbers are never given twice"

    def test_who_is_silent_is_given_up_and_stays_a_founder(self) -> None:
        roster = opened_roster()
        for second in range(1, 10):
            roster.heard(1, 1, (), float(second))
            assert not roster.decide(float(second)) or roster.is_open
        assert roster.decide(10.0)
        assert roster.view is not None
        assert (roster.view.epoch, roster.view.founders) == (2, (0, 1, 2))
        assert [each.number for each in roster.view.members] == [0, 1]

    def test_who_comes_later_stores_nothing(self) -> None:
        roster = full_roster()
        number = roster.hello(newcomer(300), 1.0)
        roster.decide(1.0)
        assert roster.view is not None
        assert roster.view.founders == (0, 1, 2)
        assert [each.stores for each in roster.view.members if each.number == number] == [False]

    def test_an_authority_that_was_stopped_gives_nobody_up_for_it(self) -> None:
        roster = full_roster()
        roster.decide(1.0)
        roster.decide(100.0)
        assert roster.view is not None
        assert roster.view.epoch == 1
        assert roster.next_silence() == pytest.approx(109.0)

    def test_of_two_that_cannot_hear_each_other_one_is_given_up(self) -> None:
        roster = opened_roster()
        roster.heard(1, 1, (2,), 1.0)
        assert roster.decide(1.0)
        assert roster.view is not None
        assert [each.number for each in roster.view.members] == [0, 1]

    def test_the_one_that_nobody_hears_is_given_up_though_it_accuses_too(self) -> None:
        roster = Roster(info(0), Settings(n_founders=4))
        for life in (101, 102, 103):
            roster.hello(newcomer(life), 0.0)
        roster.decide(0.0)
        for number in (1, 2, 3):
            roster.heard(number, 1, (), 0.0)
        assert roster.decide(0.0)
        roster.heard(1, 1, (2, 3), 1.0)
        roster.heard(2, 1, (1,), 1.0)
        roster.heard(3, 1, (1,), 1.0)
        assert roster.decide(1.0)
        assert roster.view is not None
        assert [each.number for each in roster.view.members] == [0, 2, 3]

    def test_a_founder_that_dies_before_the_first_view_is_replaced(self) -> None:
        roster = Roster(info(0), SETTINGS)
        roster.hello(newcomer(101), 0.0)
        assert not roster.decide(9.0)
        assert roster.hello(newcomer(102), 9.0) == 2
        assert roster.decide(9.5), "all three have come"
        roster = Roster(info(0), SETTINGS)
        roster.hello(newcomer(101), 0.0)
        assert not roster.decide(5.0)
        assert not roster.decide(10.0)
        roster.hello(newcomer(102), 10.0)
        assert not roster.decide(10.0), "the first of them is dead: one is missing still"
        assert roster.n_missing == 1
        roster.hello(newcomer(103), 11.0)
        assert roster.decide(11.0)
        assert roster.view is not None
        assert roster.view.founders == (0, 2, 3)
        assert [each.number for each in roster.view.members] == [0, 2, 3]

    def test_a_founder_that_dies_before_the_first_view_opens_held_nothing(self) -> None:
        roster = full_roster()
        assert roster.hello(newcomer(103), 0.0) == 3
        assert roster.decide(0.0)
        assert roster.view is not None
        assert [each.stores for each in roster.view.members] == [True, True, True, False]
        roster.heard(2, roster.view.epoch, (), 1.0)
        roster.heard(3, roster.view.epoch, (), 1.0)
        roster.lose(1)
        assert roster.decide(1.0)
        assert roster.view.founders == (0, 2, 3), "the one that came too late takes its place"
        assert [each.stores for each in roster.view.members] == [True, True, True]
        assert not roster.is_open
        for number in (2, 3):
            roster.heard(number, roster.view.epoch, (), 1.0)
        roster.decide(1.0)
        assert roster.is_open
        roster.lose(2)
        assert roster.decide(1.0)
        assert roster.view.founders == (0, 2, 3), "what it held is lost"

    def test_too_few_of_a_view_that_has_not_opened_wait_for_others(self) -> None:
        roster = full_roster()
        roster.heard(1, 1, (), 0.0)
        roster.lose(2)
        assert not roster.decide(0.0)
        assert not roster.is_open, "all that are left have entered it, and it names one that is dead"
        assert roster.hello(newcomer(103), 1.0) == 3
        assert roster.decide(1.0)
        assert roster.view is not None
        assert (roster.view.epoch, roster.view.founders) == (2, (0, 1, 3))

    def test_a_view_waits_for_the_lease_of_who_was_given_up_although_it_is_there(self) -> None:
        roster = opened_roster()
        roster.heard(1, 1, (2,), 1.0)
        roster.heard(2, 1, (), 1.0)
        assert roster.decide(1.0)
        assert roster.view is not None
        assert [each.number for each in roster.view.members] == [0, 1]
        roster.heard(1, 2, (), 5.0)
        assert not roster.decide(5.0)
        assert roster.next_silence() == pytest.approx(11.0)
        roster.heard(1, 2, (), 10.9)
        assert not roster.decide(10.9)
        assert roster.decide(11.0)
        assert roster.is_open

    def test_a_view_opens_at_once_when_who_was_given_up_has_stopped(self) -> None:
        roster = opened_roster()
        roster.heard(1, 1, (2,), 1.0)
        roster.heard(2, 1, (), 1.0)
        roster.decide(1.0)
        roster.heard(1, 2, (), 1.1)
        roster.stopped(2)
        assert roster.decide(1.1)
        assert roster.is_open

    def test_it_cannot_give_itself_up(self) -> None:
        with pytest.raises(InternalError):
            full_roster().lose(0)


class TestLease:
    def test_it_counts_from_when_the_acknowledged_was_sent(self) -> None:
        lease = Lease(SETTINGS, 0.0)
        assert lease.until == -math.inf
        lease.echoed(2_000_000, 5.0)
        assert lease.until == 8.0
        lease.echoed(1_000_000, 6.0)  # an older echo, late
        assert lease.until == 8.0

    def test_what_was_sent_before_a_standstill_counts_no_more(self) -> None:
        lease = Lease(SETTINGS, 0.0)
        lease.echoed(2_000_000, 5.0)
        lease.void(4_000_000)
        assert lease.until == -math.inf
        lease.echoed(4_000_000, 5.5)  # an answer that lay in the socket all the time
        assert lease.until == -math.inf
        assert lease.heard == 5.5
        lease.echoed(4_000_001, 6.0)
        assert lease.until == pytest.approx(10.000001)

    def test_it_has_run_out_before_its_holder_is_given_up(self) -> None:
        """Sent at s, heard at h >= s: the lease ends at s + lease_s, which is before h + detect_s."""
        assert SETTINGS.lease_s < SETTINGS.detect_s
        with pytest.raises(AssertionError):
            Roster(info(0), Settings(lease_s=10.0, detect_s=10.0))

    def test_an_authority_silent_for_twice_the_time_is_gone(self) -> None:
        lease = Lease(SETTINGS, 0.0)
        assert not lease.is_over(19.9)
        assert lease.is_over(20.0)


class Net:
    """Standings that hear each other at once; `cut` ways lose everything."""

    def __init__(self, n_members: int) -> None:
        self.now = 1.0
        who = [info(0), *(newcomer(100 + i) for i in range(1, n_members))]
        self.all = [self.standing(i, each) for i, each in enumerate(who)]
        self.blame: dict[int, tuple[int, ...]] = {}
        self.cut: set[frozenset[int]] = set()
        self.entered: list[tuple[int, int]] = []
        self.left: dict[int, str] = {}
        for i, each in enumerate(self.all):
            self.do(i, each.start(self.now) if i == 0 else each.join(7, self.now))

    def standing(self, i: int, who: MemberInfo) -> Standing:
        return Standing(who, CLUSTER, 0, SETTINGS, lambda now: self.blame.get(i, ()), tuple)

    def join(self, life: int) -> None:
        self.all.append(self.standing(len(self.all), newcomer(life)))
        self.do(len(self.all) - 1, self.all[-1].join(7, self.now))

    def do(self, sender: int, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Tell(peer=peer, life=life, message=message):
                    here = self.all[sender]
                    number = NOBODY if isinstance(message, Hello) else here.me.number
                    packet = Packet(CLUSTER, number, here.me.life, peer, life, here.epoch, 0, message)
                    to = next((i for i, each in enumerate(self.all) if each.me.life == life), 0)
                    if frozenset((sender, to)) not in self.cut:
                        self.hand(to, packet)
                case Enter(view=view):
                    self.entered.append((sender, view.epoch))
                case Leave(reason=reason):
                    self.left[sender] = reason

    def hand(self, to: int, packet: Packet) -> None:
        there = self.all[to]
        if there.refusal(packet) is None:
            self.do(to, there.receive(packet, self.now))
        else:
            self.do(to, there.answer_stranger(packet))

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1.0
            for i, each in enumerate(self.all):
                if each.deadline <= self.now:
                    self.do(i, each.expire(self.now))


class TestStanding:
    def test_three_come_together_and_may_work(self) -> None:
        net = Net(3)
        net.run(3)
        assert [each.me.number for each in net.all] == [0, 1, 2]
        assert [each.epoch for each in net.all] == [1, 1, 1]
        assert all(each.lease_until > net.now for each in net.all)
        assert sorted(net.entered) == [(0, 1), (1, 1), (2, 1)]

    def test_who_stood_still_works_again_when_the_authority_has_heard_of_it_since(self) -> None:
        net = Net(3)
        net.run(3)
        woken = net.all[2]
        assert woken.lease_until > net.now
        net.cut = {frozenset((0, 2))}
        net.do(2, woken.wake(net.now))  # what it says is lost
        assert woken.lease_until == -math.inf
        net.cut = set()
        net.do(2, woken.wake(net.now))
        net.run(2)
        assert woken.lease_until > net.now
        assert net.left == {}

    def test_who_is_cut_off_stops_working_before_the_others_go_on_without_it(self) -> None:
        net = Net(3)
        net.run(3)
        net.cut = {frozenset((0, 2)), frozenset((1, 2))}
        stopped = replaced = math.inf
        for _ in range(15):
            net.run(1)
            if net.all[2].lease_until <= net.now:
                stopped = min(stopped, net.now)
            if net.all[0].epoch == 2:
                replaced = min(replaced, net.now)
        assert stopped < replaced < math.inf

    def test_back_from_the_cut_it_learns_that_it_was_given_up(self) -> None:
        net = Net(3)
        net.run(3)
        net.cut = {frozenset((0, 2)), frozenset((1, 2))}
        net.run(12)
        net.cut = set()
        net.run(2)
        assert net.left == {2: "the authority has given it up"}
        assert net.all[2].lease_until == -math.inf
        assert [each.epoch for each in net.all[:2]] == [2, 2]

    def test_without_the_authority_everybody_ends(self) -> None:
        net = Net(3)
        net.run(3)
        net.cut = {frozenset((0, 1)), frozenset((0, 2))}
        net.run(22)
        assert set(net.left) == {1, 2}

    def test_a_founder_that_dies_before_the_others_come_is_replaced(self) -> None:
        net = Net(2)
        net.run(3)
        assert net.all[0].n_missing == 1
        net.cut = {frozenset((0, 1))}
        net.run(12)
        net.join(102)
        net.run(3)
        assert [each.epoch for each in (net.all[0], net.all[2])] == [0, 0], "two of three"
        net.cut = set()
        net.run(2)
        assert net.left == {1: "the authority has given it up"}, "and does not wait for ever"
        net.join(103)
        net.run(3)
        assert net.all[0].n_missing == 0
        for each in (net.all[0], net.all[2], net.all[3]):
            assert each.view is not None
            assert each.view.founders == (0, 2, 3)
            assert each.lease_until > net.now

    def test_who_is_given_up_says_that_it_has_stopped(self) -> None:
        net = Net(3)
        net.run(3)
        net.blame = {1: (2,)}
        net.run(1)
        assert net.all[0].epoch == 2
        net.blame = {}
        net.run(2)
        assert set(net.left) == {2}
        assert net.all[0].is_open

    def test_a_farewell_is_heard_at_once(self) -> None:
        net = Net(3)
        net.run(3)
        net.do(1, net.all[1].farewell())
        net.run(1)
        assert net.all[0].view is not None
        assert [each.number for each in net.all[0].view.members] == [0, 2]

    def test_packets_that_do_not_count(self) -> None:
        net = Net(3)
        net.run(3)
        one = net.all[1]
        beat = Heartbeat(1, True, 1, 1)
        right = Packet(CLUSTER, 0, 100, 1, 101, 1, 0, beat)
        assert one.refusal(right) is None
        cases = {
            "other cluster": Packet(98, 0, 100, 1, 101, 1, 0, beat),
            "meant for another life": Packet(CLUSTER, 0, 100, 1, 999, 1, 0, beat),
            "from a life that does not belong": Packet(CLUSTER, 0, 999, 1, 101, 1, 0, beat),
            "hello to a member that is not the authority": Packet(CLUSTER, NOBODY, 5, 1, 0, 0, 0, Hello(1, info(9))),
            "unasked welcome": Packet(CLUSTER, 0, 100, 1, 101, 1, 0, Welcome(7, 100, 4)),
        }
        assert {one.refusal(packet) for packet in cases.values()} == set(cases)

    def test_an_old_heartbeat_said_again_is_no_sign_of_life(self) -> None:
        net = Net(3)
        net.run(3)
        authority = net.all[0]
        beat = Packet(CLUSTER, 2, 102, 0, 100, 1, 0, Heartbeat(1, True, 10**9, 1))
        authority.receive(beat, net.now)
        net.cut = {frozenset((0, 2)), frozenset((1, 2))}
        for _ in range(12):
            net.run(1)
            authority.receive(beat, net.now)
        assert authority.epoch == 2
        assert authority.counters["heartbeat that is not newer"] >= 10

    def test_it_is_known_when_a_peer_last_heard_us(self) -> None:
        net = Net(3)
        net.run(3)
        assert net.all[1].reached(0) >= net.now - 2
        net.cut = {frozenset((0, 1))}
        cut_at = net.now
        net.run(5)
        assert net.all[1].reached(0) <= cut_at

    def test_only_the_authority_can_announce_or_exclude(self) -> None:
        net = Net(3)
        net.run(3)
        one, view = net.all[1], net.all[1].view
        assert view is not None
        for message in (Announce(view, True), Refuse("view", 5)):
            packet = Packet(CLUSTER, 2, 102, 1, 101, 1, 0, message)
            assert one.receive(packet, net.now) == []
        assert not one.is_out
        assert one.counters["membership from a member that has no say"] == 2
