"""Snapshots of several logs: consistent, immovable, and movable; compared with a replay of all changes."""

from __future__ import annotations

import datetime
import threading
import time

import numpy as np
import pytest

from hydroscope.ground.clocks.hlc import HybridClock, time_ns
from hydroscope.ground.clocks.simulated import START_NS, SimulatedClock
from hydroscope.ground.errors import UnknownNameError, UserError
from hydroscope.scope.snapshots import snapshot
from hydroscope.scope.states import Change, Difference
from hydroscope.window.absent import ABSENT
from hydroscope.window.errors import WindowError
from hydroscope.window.log import WindowLog
from hydroscope.window.past import read_window
from hydroscope.window.times import shown, stamp_of
from tests.scope.bank import Bank, total
from tests.scope.cuts import check_logs


@pytest.mark.parametrize("seed", range(5))
def test_every_cut_is_what_a_replay_says_and_has_all_the_money(seed):
    """`python -m tests.scope.cuts` makes 10,000."""
    check_logs(seed, 60)


def test_cuts_by_wall_clocks_that_are_wrong_do_not_have_the_same_money():
    """So the check above would notice."""
    n_wrong = 0
    for seed in range(5):
        bank = Bank.simulate(seed)
        begin, end = bank.wall_span
        for stamp in np.linspace(begin, end - 1, 50).astype(np.uint64).tolist():
            n_wrong += total(snapshot(stamp, bank.by_wall)) != bank.total
    assert n_wrong > 25


def test_a_snapshot_of_now_is_consistent_while_threads_pass_messages():
    """What a log says that it received, the other one says that it sent."""
    first, second = WindowLog("first"), WindowLog("second")
    stop, turns = threading.Event(), []

    def play():
        n = 0
        while not stop.is_set():
            n += 1
            first["sent"] = n
            assert second.merge(first.tick())
            second["came"] = n
            assert first.merge(second.tick())
        turns.append(n)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        snap, n_looks = snapshot(logs=[first, second]), 0
        while n_looks < 150 and time.monotonic() < deadline:
            now = snapshot(logs=[first, second])
            for each in (now, snap.roll(now.at - 1000)):
                assert each.get(("first", "sent"), 0) - each.get(("second", "came"), 0) in (0, 1)
            n_looks += 1
    finally:
        stop.set()
        thread.join(60)
    assert turns[0] > 100


def test_it_is_read_like_a_dictionary():
    one, other = WindowLog("one"), WindowLog("other")
    one["a"], one["b"], other["a"] = 1, 2, 3
    alone, both = snapshot(logs=one), snapshot(logs=[one, other])
    assert (alone["a"], alone.get("c"), len(alone), sorted(alone), "b" in alone) == (1, None, 2, ["a", "b"], True)
    assert (both["other", "a"], len(both), sorted(both.values())) == (3, 3, [1, 2, 3])
    assert both.nodes == ("one", "other")
    assert dict(both.node("one")) == dict(both.node("one").items()) == {"a": 1, "b": 2}
    assert repr(both.node("one")) == "<State of one>"
    assert both.node("other")["a"] == 3
    with pytest.raises(KeyError):
        alone["c"]
    with pytest.raises(UserError, match=r"any of 2 logs; ask for \(name of the log, key\)"):
        both["a"]
    with pytest.raises(UnknownNameError, match="did you mean 'other'"):
        both["othr", "a"]
    assert snapshot(logs=[one, other], nodes=["other"])["a"] == 3
    with pytest.raises(UnknownNameError, match="no log 'x'"):
        snapshot(logs=[one, other], nodes=["x"])


def test_all_logs_of_the_process_are_meant_by_default():
    one, other = WindowLog("a test's one"), WindowLog("a test's other")
    one["a"] = other["a"] = 1
    assert {"a test's one", "a test's other"} <= set(snapshot().nodes)
    twin = WindowLog("a test's one")
    with pytest.raises(UserError, match='several logs are called "a test\'s one"'):
        snapshot()
    twin.close()
    with pytest.raises(UserError, match="no log to take a snapshot of"):
        snapshot(logs=[])


def test_steps_go_event_by_event_over_all_logs_and_back():
    one, other = WindowLog("one"), WindowLog("other")
    start = snapshot(logs=[one, other]).at
    stamps = []
    for n in range(3):
        stamps.append(one.put("a", n))
        other.merge(stamps[-1])
        stamps.append(other.put("b", n))
        one.merge(stamps[-1])
    other.put("c", 1, stamps[-1])
    snap = snapshot(start, [one, other])
    seen = []
    while snap.step():
        seen.append((snap.at, dict(snap.items())))
    assert [at for at, _ in seen] == stamps
    for at, state in seen:
        assert state == dict(snapshot(at, [one, other]).items())
    assert snap.changes() == [Change("other", "b", 1, 2), Change("other", "c", ABSENT, 1)]
    assert snap.step(-2) == 2
    assert (snap.at, dict(snap.items())) == seen[-3]
    assert snap.step(-10) == 4
    assert (snap.items(), snap.changes(), snap.step(-1)) == ([], [], 0)
    assert snap.step(100) == 6
    one["a"] = "later"
    assert (snap.step(), snap["one", "a"], snap.step()) == (1, "later", 0)


def test_a_difference_has_both_values():
    log = WindowLog("log")
    log["kept"] = log["changed"] = log["gone"] = 1
    array = np.arange(3)
    log["array"], log["same array"] = array, array
    before = snapshot(logs=log)
    log["changed"] = 2
    log["new"] = 3
    del log["gone"]
    log["array"], log["same array"] = np.arange(1, 4), array.copy()
    after = snapshot(logs=log)
    difference = before.diff(after)
    assert (difference.added, difference.removed) == ({"new": 3}, {"gone": 1})
    assert set(difference.changed) == {"changed", "array"}
    assert difference.changed["changed"] == (1, 2)
    assert after.diff(before).removed == {"new": 3}
    assert not before.diff(before.copy())
    some, many = Difference({}, {"gone": 1}, {}), Difference(dict.fromkeys(range(2000)), {}, {})
    assert repr(some) == "Difference(added={}, removed={'gone': 1}, changed={})"
    assert "19: None, ... 2,000 keys}" in repr(many)
    with pytest.raises(UserError, match="cannot be compared"):
        before.diff(snapshot(logs=WindowLog("x")))


def test_a_difference_is_the_same_whether_the_entries_between_are_known_or_not():
    log = WindowLog("log", seconds=3600, bytes=30_000)
    random = np.random.default_rng(1)
    snaps = []
    for n in range(3000):
        key = int(random.integers(40))
        if key % 3 and key in log:
            del log[key]
        else:
            log[key] = n
        if n % 500 == 0:
            snaps.append(snapshot(logs=log))
    log.put("late", 1, log.start + 1)
    snaps.append(snapshot(logs=log))
    for mine in snaps:
        for its in snaps:
            difference, left, right = mine.diff(its), dict(mine.items()), dict(its.items())
            assert difference.added == {key: right[key] for key in right.keys() - left.keys()}
            assert difference.removed == {key: left[key] for key in left.keys() - right.keys()}
            assert difference.changed == {
                key: (left[key], right[key]) for key in left.keys() & right.keys() if left[key] != right[key]
            }


def test_moments_are_given_in_many_ways():
    clock = SimulatedClock()
    log = WindowLog("log", seconds=3600, clock=HybridClock(clock))
    log["a"] = 1
    clock.set(10.0)
    log["a"] = 2
    clock.set(20.0)
    moment = datetime.datetime.fromtimestamp(START_NS / 1e9)
    five = moment + datetime.timedelta(seconds=5, milliseconds=250)
    for at in (
        START_NS + 5 * 10**9,
        five,
        five.astimezone(datetime.UTC),
        five.isoformat(),
        f"{five:%H:%M:%S.%f}",
        -15,
        -14.75,
        datetime.timedelta(seconds=-15),
    ):
        snap = snapshot(at, log)
        assert snap["a"] == 1
        assert abs((snap.time - five.astimezone(datetime.UTC)).total_seconds()) < 0.3
    for at in (None, 0, -0.001, f"{moment + datetime.timedelta(seconds=20):%H:%M:%S}"):
        assert snapshot(at, log)["a"] == 2
    assert snapshot(np.uint64(START_NS + 5 * 10**9), log)["a"] == snapshot(np.float64(-15), log)["a"] == 1
    never = (5, True, "soon", "25:00", object(), datetime.timedelta(seconds=3), float("-inf"), float("nan"))
    for at in never:
        with pytest.raises(UserError, match="is not a moment; give a stamp, a datetime"):
            snapshot(at, log)
    for at in (datetime.datetime.min, "0001-01-01", datetime.timedelta(days=-(10**6))):
        with pytest.raises(UserError):
            snapshot(at, log)


@pytest.fixture
def zone(monkeypatch):
    """Return what makes this process's place another one."""

    def go(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield go
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("place", "now", "text", "meant"),
    [
        ("UTC", "2026-11-22 14:03:09", "14:03:07.25", "2026-11-22 14:03:07.25"),
        ("UTC", "2026-11-22 14:03:09", "14:03:40", "2026-11-22 14:03:40"),
        ("America/New_York", "2026-11-22 02:00:00", "01:30Z", "2026-11-22 01:30"),
        ("Asia/Tokyo", "2026-11-22 14:00:00", "23:30+01:00", "2026-11-21 22:30"),
        ("Asia/Tokyo", "2026-11-22 14:00:00", "2026-11-22 22:59:30", "2026-11-22 13:59:30"),
        # The hour that comes twice, in its first and its second round:
        ("Europe/Berlin", "2026-10-25 00:40:00", "02:30", "2026-10-25 00:30"),
        ("Europe/Berlin", "2026-10-25 01:40:00", "02:30", "2026-10-25 01:30"),
        ("Europe/Berlin", "2026-10-25 01:40:00", "2026-10-25 02:30", "2026-10-25 01:30"),
        ("Europe/Berlin", "2026-10-25 01:40:00", "2026-10-25 02:30+02:00", "2026-10-25 00:30"),
    ],
)
def test_a_time_of_day_is_the_last_such_time_wherever_one_is(zone, place, now, text, meant):
    zone(place)
    now, meant = (datetime.datetime.fromisoformat(each).replace(tzinfo=datetime.UTC) for each in (now, meant))
    assert time_ns(stamp_of(text, round(now.timestamp()) * 10**9)) == time_ns(round(meant.timestamp() * 1e6) * 1000)


def test_a_time_of_day_that_has_not_come_is_of_yesterday():
    now = datetime.datetime(2026, 11, 21, 0, 30)
    stamp = stamp_of("23:59:00", round(now.timestamp()) * 10**9)
    assert abs(time_ns(stamp) / 1e9 - datetime.datetime(2026, 11, 20, 23, 59).timestamp()) < 1e-3
    assert shown(stamp + 10**6).startswith("2026-11-20 23:59:00")
    assert shown(2**64 - 1).startswith(("stamp", "2554"))


def test_before_the_window_nothing_moves():
    one = WindowLog("one")
    one["a"] = 1
    snap = snapshot(logs=one)
    at = snap.at
    with pytest.raises(WindowError, match="log 'one' reaches back to"):
        snap.roll(-3600)
    assert (snap.at, snap["a"]) == (at, 1)
    with pytest.raises(WindowError, match="is later"):
        snap.roll(at + 10**12)


def test_a_step_over_what_was_forgotten_meanwhile_is_refused():
    log = WindowLog("log", seconds=3600, bytes=20_000)
    log["a"] = -1
    snap = snapshot(logs=log)
    for n in range(5_000):
        log["a"] = n
    with pytest.raises(WindowError, match="log 'log' reaches back to"):
        snap.step()
    assert snap["a"] == -1
    assert (snap.roll(log.start)["a"] + 1, snap.step()) == (snap["a"], 1)


def test_what_is_no_log_and_no_snapshot_is_said():
    log, other = WindowLog("log"), WindowLog("other")
    for wrong in (5, "log", [5], {"log": 1}):
        with pytest.raises(UserError, match="is no log; give a WindowLog"):
            snapshot(logs=wrong)
    with pytest.raises(UserError, match="is no snapshot"):
        snapshot(logs=log).diff(-5)
    assert not snapshot(logs=[log, other]).diff(snapshot(logs=[other, log])), "in whatever order"


def test_a_log_that_died_and_one_that_lives_make_one_snapshot(tmp_path):
    dead, living = WindowLog("dead", folder=tmp_path), WindowLog("living")
    dead["sent"] = 1
    living.merge(dead.tick())
    living["came"] = 1
    past = read_window(tmp_path)
    snap = snapshot(logs=[past, living])
    assert dict(snap.items()) == {("dead", "sent"): 1, ("living", "came"): 1}
    assert snap.step(-1) == 1
    assert dict(snap.items()) == {("dead", "sent"): 1}
    assert snap.step(-1) == 0 or dict(snap.items()) == {}
