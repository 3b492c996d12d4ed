"""Snapshots of the key/value store: cuts through simulated runs, and a cluster of real processes."""

from __future__ import annotations

import socket
import time
from functools import partial
from pathlib import Path

import msgspec
import pytest

import hydroscope as hs
from hydroscope.engine import past_keys
from hydroscope.engine.dump import logs
from hydroscope.engine.past_keys import PastKeys
from hydroscope.engine.simulated.world import World
from hydroscope.engine.sockets import connect, serve
from hydroscope.engine.sockets.start import Parts
from hydroscope.ground.errors import UnknownNameError, UserError
from hydroscope.kv.effects import Adopted, Ordered
from hydroscope.node import ports
from hydroscope.node.actions import Transmit
from hydroscope.scope.snapshots import snapshot
from tests.scope.cuts import KeysHistory, check_keys, problems
from tests.sockets.worker import SkewedClock


@pytest.mark.parametrize("seed", range(8))
def test_every_cut_is_what_was_ordered_by_then_and_has_all_the_money(seed):
    """`python -m tests.scope.cuts` makes 10,000."""
    check_keys(seed, 25)


def test_states_of_different_moments_do_not_have_the_same_money(tmp_path):
    """So the check above would notice."""
    n_wrong = 0
    for seed in range(4):
        run = KeysHistory(seed, tmp_path / str(seed), 30)
        past = run.past()
        stamps = sorted(each[0] for each in run.changes)
        for place in range(20, len(stamps) - 20, 5):
            snap = snapshot(stamps[place], past)
            for shift, name in enumerate(snap.nodes):
                snap.cuts[name].move(stamps[place + 8 * shift - 8], snap.sources[name])
            n_wrong += bool(problems(snap))
    assert n_wrong > 10


class Watched(World):
    """A world in which what a member does is looked at."""

    def _perform(self, process, actions):
        placed = [
            (place, action.stamp) for place, action in enumerate(actions) if isinstance(action, Ordered | Adopted)
        ]
        sent = [
            (place, action.packet.hlc)
            for place, action in enumerate(actions)
            if isinstance(action, Transmit) and not action.again
        ]
        for place, stamp in placed:
            assert stamp > 0
            assert all((stamp < hlc) == (place < at) for at, hlc in sent)
        self.n_followed = getattr(self, "n_followed", 0) + sum(at > place for place, _ in placed for at, _ in sent)
        super()._perform(process, actions)


def test_a_change_is_stamped_before_whatever_tells_of_it():
    world = Watched(3, 5, joins=True, crashes=1, restarts=False, drop=0.1)
    for member in range(3):
        world.spawn(KeysHistory._clerk, member, 20, member=member)
    world.run_programs()
    assert world.n_followed > 50


def test_a_cluster_of_one_is_asked_without_logs_being_named():
    with hs.start_cluster() as cluster:
        hs.kv.put("a", 1, wait=True)
        before = hs.snapshot()
        hs.kv.put("a", 2, wait=True)
        hs.kv.put("large", bytes(100_000), wait=True)
        hs.kv.atomic("n", "add", 5)
        hs.kv.remove("a", wait=True)
        snap = hs.snapshot()
        assert (sorted(snap), len(snap), snap.get("a"), snap["n"], snap.missing) == (["large", "n"], 2, None, 5, ())
        assert repr(snap["large"]) == "<bytes of length 100,000, not kept>"
        assert (before["a"], dict(before.items())) == (1, {"a": 1})
        assert before.diff(snap).removed == {"a": 1}
        assert set(before.diff(snap).added) == {"large", "n"}
        assert snap.step(-1) == 1
        assert snap["a"] == 2
        (change,) = snap.changes()
        assert (change.key, change.old, change.new) == ("n", hs.snapshot(before.at).get("n", change.old), 5)
        assert hs.last_time(lambda state: state.get("a") == 1)["a"] == 1
        assert hs.first_time(lambda state: "n" in state)["n"] == 5
        guard = hs.watch(lambda state: state.get("n", 0) < 10)
        hs.kv.atomic("n", "add", 6)
        hs.kv.atomic("n", "add", -3)
        assert [broken["n"] for broken in guard.check()] == [11]
        rows = hs.history().sql("select new_number as n from changes where key = 'n' order by stamp").to_dict()
        assert rows == {"n": [5.0, 11.0, 8.0]}
        assert hs.snapshot(logs=hs.read_keys(cluster=cluster.address))["n"] == 8
        with pytest.raises(UserError, match="is not the address of a cluster"):
            hs.read_keys(cluster="elsewhere/x")
        with pytest.raises(UserError, match="no window-log of cluster 1; there are logs of"):
            hs.read_keys(cluster=1)
        (name,) = snap.nodes
        assert hs.snapshot(nodes="member-0").nodes == hs.snapshot(nodes=["member-0.*"]).nodes == (name,)
        assert snap.owner("n") == name
        assert snap.owner("a") == name
        assert hs.snapshot().owner("a") is None
        assert hs.snapshot().node(name)["n"] == 8
        with pytest.raises(UnknownNameError, match="no member 'member-7'"):
            hs.snapshot(nodes="member-7")


def test_without_a_cluster_or_with_logs_turned_off_only_logs_of_the_process_are_asked(monkeypatch, tmp_path):
    log = hs.WindowLog("a test's own")
    log["a"] = 1
    monkeypatch.setenv("HYDROSCOPE_HISTORY", "0")
    with hs.start_cluster():
        hs.kv.put("a", 2, wait=True)
        assert "a test's own" in hs.snapshot().nodes
    monkeypatch.setenv("HYDROSCOPE_HISTORY", "soon")
    with pytest.raises(UserError, match="HYDROSCOPE_HISTORY='soon' must be seconds"):
        hs.start_cluster()
    with pytest.raises(UserError, match="no members' window-logs lie in"):
        hs.read_keys(Path(tmp_path))
    log.close()


def test_a_timeline_of_the_cluster_has_the_changes_of_its_keys():
    with hs.start_cluster():
        for n in range(3):
            hs.kv.put("a", n, wait=True)
        timeline = hs.timeline()
        (name,) = hs.snapshot().nodes
    found = timeline.changes
    assert list(zip(found.node, found.key, found.old, found.new, strict=True)) == [
        (name, "a", None, "0"),
        (name, "a", "0", "1"),
        (name, "a", "1", "2"),
    ]


@pytest.fixture
def elsewhere(monkeypatch):
    """A cluster of one whose log seems to lie on another machine, so that its post has to send it."""
    monkeypatch.setattr(logs, "here", lambda cluster, folders=None, complete=None: ([], []))
    with hs.start_cluster():
        keys = ports.keys_in_use()
        keys.post.place += 1
        yield keys


def test_logs_of_another_machine_come_through_a_post_there(elsewhere):
    for n in range(1000):
        hs.kv.put("a", n)
    hs.kv.put("b", "x" * 10_000, wait=True)
    snap = hs.snapshot()
    assert (snap["a"], snap["b"], snap.missing) == (999, "x" * 10_000, ())
    before = snap.copy()
    hs.kv.put("a", "new", wait=True)
    snap.roll(0)
    assert (snap["a"], snap.step(-1), snap["a"], before["a"]) == ("new", 1, 999, 999)


def test_a_machine_where_nobody_answers_is_missing_when_the_deadline_is_over(elsewhere, monkeypatch):
    hs.kv.put("a", 1, wait=True)
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = msgspec.structs.replace(elsewhere.posts()[0], port=silent.getsockname()[1])
        monkeypatch.setattr(type(elsewhere), "posts", lambda self: (where,))
        with pytest.raises(UserError, match=r"no member's window-log could be had: .*no answer"):
            hs.snapshot(deadline_s=0.5)
    assert time.monotonic() - began < 20


AHEAD_S = 7.0


@pytest.fixture
def apart(monkeypatch):
    """Two members, of which the first's clock is far ahead; and what reads all logs, asked by one of them."""
    monkeypatch.setattr(past_keys, "CATCH_UP_S", 30.0)  # on a busy machine, too
    parts = Parts("127.0.0.1")
    parts.clock = SkewedClock(AHEAD_S)
    first = serve(members=2, parts=parts)
    second = connect(first.address, first.secret)
    yield first, second, lambda keys, deadline_s=60.0: PastKeys(partial(past_keys._of_cluster, keys, deadline_s))
    second.shutdown()
    first.shutdown()


@pytest.mark.parametrize("is_remote", [False, True])
@pytest.mark.parametrize("asker", [0, 1])
def test_what_was_answered_before_is_in_a_snapshot_though_clocks_are_apart(apart, monkeypatch, asker, is_remote):
    *members, read = apart
    if is_remote:
        monkeypatch.setattr(logs, "here", lambda cluster, folders=None, complete=None: ([], []))
        members[asker].post.place += 1
    for n in range(3):
        for home in (0, 1):
            key = f"@{home}/k"
            members[asker].put(key, n, wait=True)
            snap = snapshot(logs=read(members[asker]))
            assert (snap.missing, snap.get(key)) == ((), n)
            assert all(each.socket.member.stamp() > snap.at for each in members), "nothing comes in behind it"


def test_of_a_member_that_hangs_its_machine_s_clock_says_how_complete_its_log_is(apart, monkeypatch):
    first, second, read = apart
    monkeypatch.setattr(past_keys, "CATCH_UP_S", 0.1)
    second.put("@1/k", 1, wait=True)
    assert second.socket.halt(30.0)
    try:
        first.put("@0/k", 1, wait=True)
        snap = snapshot(logs=read(first))
        assert (snap.missing, snap.get("@0/k"), snap["@1/k"]) == ((), None, 1)
    finally:
        second.socket.go_on()
    monkeypatch.setattr(past_keys, "CATCH_UP_S", 30.0)
    assert snap.roll(0)["@0/k"] == 1


def test_a_stamp_too_far_ahead_is_refused_and_leaves_a_member_s_clock_as_it_is(apart):
    _, second, _ = apart
    far = second.socket.member.stamp() + 100 * 10**9
    assert "too far ahead of the clock here" in second.post.catch_up(far)
    assert logs.catch_up(second.posts(), second.post.key, far, 30.0) == {}
    assert second.socket.member.stamp() < far
