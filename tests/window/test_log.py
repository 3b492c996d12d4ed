"""A window-log: its state, its past, its limits; compared with a replay of all changes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.ground.clocks.hlc import HybridClock, time_ns
from hydroscope.ground.clocks.simulated import START_NS, SimulatedClock
from hydroscope.ground.errors import HydroscopeError, UserError
from hydroscope.window import ledger
from hydroscope.window.absent import ABSENT
from hydroscope.window.errors import WindowError
from hydroscope.window.history import GONE, ROW_BYTES
from hydroscope.window.log import BATCH, WindowLog, open_logs
from tests.window.history_of import forked, replay, state_of


def stamped(log, changes):
    """Write (key, value) in turn and return (stamp, key, value)."""
    return [(log.put(key, value), key, value) for key, value in changes]


def agrees(log):
    """Tell whether what a log says of its past, change by change, leads to its state."""
    history = log.history()
    state = {}
    for numbers, old, new in zip(*(each.tolist() for each in history.columns(0, history.n_entries)[1:]), strict=True):
        if state.get(numbers, old) != old:
            return False
        state[numbers] = new
    values = {history.keys[number]: history.value(number, slot) for number, slot in state.items()}
    return values.items() <= dict(log.items()).items()


def test_it_reads_like_a_dictionary():
    log = WindowLog("node")
    log["a"] = 1
    log["b"] = [2]
    log["a"] = 3
    assert (log["a"], log.get("b"), log.get("c", "none"), len(log), sorted(log)) == (3, [2], "none", 2, ["a", "b"])
    del log["a"]
    assert "a" not in log
    assert log.items() == [("b", [2])]
    with pytest.raises(KeyError):
        del log["a"]
    with pytest.raises(KeyError):
        log["a"]


def test_a_key_that_cannot_be_one_is_refused_at_once():
    log = WindowLog("node")
    with pytest.raises(TypeError, match="unhashable"):
        log[[]] = 1
    assert len(log) == 0


def test_any_object_is_a_value():
    log = WindowLog("node")
    nested, array = [[1, 2], [3, 4]], np.zeros((2, 2))
    for key, value in enumerate((nested, array, None, ABSENT.__class__, ())):
        log[key] = value
    cut = log.cut()
    assert cut.value(0) is nested
    assert cut.value(1) is array
    assert cut.value(2) is None
    assert len(cut.items()) == 5


operations = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.one_of(st.integers(0, 9), st.just(ABSENT)),
        st.one_of(st.none(), st.integers(1, 40)),
    ),
    max_size=40,
)


@given(operations, st.booleans())
@settings(deadline=None)
def test_every_cut_is_the_replay_of_the_changes_up_to_it_in_whatever_order_they_came(written, looks):
    clock = HybridClock(SimulatedClock())
    log = WindowLog("node", seconds=3600, clock=clock)
    base, changes = log.start, []
    for key, value, offset in written:
        if value is ABSENT and key not in log:
            continue
        stamp = None if offset is None else base + offset
        changes.append((log.put(key, value, stamp), key, value))
        if looks:
            assert state_of(log.cut()) == replay(changes, 2**64)
    assert dict(log.items()) == replay(changes, 2**64)
    assert len(log) == len(replay(changes, 2**64))
    for stamp in {base, log.tick(), *(each[0] + step for each in changes for step in (-1, 0))}:
        assert state_of(log.cut(stamp)) == replay(changes, stamp)


@given(operations, st.lists(st.integers(0, 60), max_size=8))
@settings(deadline=None)
def test_a_cut_that_moves_is_the_cut_there_also_while_the_log_goes_on(written, moves):
    """What is written into the past that it knows already it sees when it has to ask the log again."""
    clock = HybridClock(SimulatedClock())
    log = WindowLog("node", seconds=3600, clock=clock)
    base, changes = log.start, []
    cut, known = log.cut(), []
    moves = iter(moves)
    for key, value, offset in written:
        if value is ABSENT and key not in log:
            continue
        changes.append((log.put(key, value, None if offset is None else base + offset), key, value))
        if (move := next(moves, None)) is not None:
            stamp, history = min(base + move, log.tick()), cut.history
            cut.move(stamp, log)
            known = known if cut.history is history else list(changes)
            assert state_of(cut) == replay(known, stamp)


def test_a_cut_stays_as_it_is_whatever_is_written_later_even_behind_it():
    log = WindowLog("node")
    first = log.put("a", 1)
    second = log.put("a", 2)
    cut = log.cut(second)
    log.put("a", 5, first)
    log["a"] = 3
    assert cut.value("a") == 2
    assert [log.cut(stamp).value("a") for stamp in (first, second)] == [5, 2]


def test_a_gap_without_events_has_the_state_before_it():
    clock = SimulatedClock()
    log = WindowLog("node", seconds=100, clock=HybridClock(clock))
    log["a"] = 1
    clock.set(50.0)
    log["a"] = 2
    clock.set(90.0)
    for second, value in ((0.01, 1), (25.0, 1), (49.9, 1), (50.1, 2), (89.9, 2)):
        assert log.cut(START_NS + round(second * 1e9)).value("a") == value


def test_before_the_window_and_after_now_its_limits_are_said():
    log = WindowLog("till")
    log["a"] = 1
    with pytest.raises(
        WindowError, match=r"log 'till' reaches back to \d\d:\d\d:\d\d\.\d+ \(stamp \d+\).*more seconds"
    ):
        log.cut(log.start - 1)
    with pytest.raises(WindowError, match=r"known until .* is later: ask again"):
        log.cut(log.tick() + 10**10)
    with pytest.raises(WindowError, match="reaches back"):
        log.put("a", 2, log.start)
    assert log["a"] == 1


def test_what_is_older_than_the_window_is_forgotten_by_time():
    clock = SimulatedClock()
    log = WindowLog("node", seconds=10, clock=HybridClock(clock))
    log._ledger._wall_ns = clock.wall_ns
    changes = []
    for tick in range(3000):
        clock.set(tick / 100)
        changes += stamped(log, [(tick % 7, tick)])
    reach_s = (time_ns(log.tick()) - time_ns(log.start)) / 1e9
    assert 10 <= reach_s <= 10 + 10 / 8 + 1
    assert log.history().n_entries <= 1200
    for stamp in range(log.start, log.tick(), 10**8):
        assert state_of(log.cut(stamp)) == replay(changes, stamp)


def test_what_exceeds_the_bytes_is_forgotten():
    log = WindowLog("node", seconds=3600, bytes=100_000)
    changes = stamped(log, [(n % 5, bytes(500) + b"%d" % n) for n in range(2000)])
    assert log.n_bytes <= 100_000
    entries = log.history().n_entries
    assert 100_000 * 0.7 / (540 + ROW_BYTES) < entries < 100_000 / (500 + ROW_BYTES)
    for stamp in range(log.start, log.tick(), (log.tick() - log.start) // 20):
        assert state_of(log.cut(stamp)) == replay(changes, stamp)
    log["large"] = bytes(200_000)
    assert log.n_bytes <= 100_000
    assert log["large"] == bytes(200_000), "what is now is never forgotten"


def test_a_cut_keeps_its_values_while_the_window_moves_on_past_them():
    log = WindowLog("node", seconds=3600, bytes=100_000)
    random, changes, cuts = np.random.default_rng(0), [], []
    for n in range(9000):
        key = int(random.integers(30)) if n % 2 else n % 3000
        changes += stamped(log, [(key, n)])
        if key % 11 == 3:
            changes += stamped(log, [(key, ABSENT)])
        if n % 1000 == 300:
            cuts.append(log.cut((log.start + log.tick()) // 2))
            cuts.append(log.cut())
    assert log.start > cuts[-3].stamp, "otherwise this shows nothing"
    for cut in cuts:
        expected = replay(changes, cut.stamp)
        assert {key: cut.value(key) for key in expected} == expected
        assert state_of(cut) == expected


def test_large_values_do_not_wait_by_the_thousand():
    log = WindowLog("node", bytes=10_000_000)
    for _ in range(100):
        log["a"] = bytes(100_000)
    assert len(log._pending) * 100_000 // 3 <= 10_000_000 // 8


def test_keys_that_come_and_go_leave_nothing():
    log = WindowLog("node", seconds=3600, bytes=100_000)
    keep = log.cut()
    for n in range(12_000):
        log[f"request {n}"] = n
        del log[f"request {n}"]
    log["stays"] = 1
    assert len(log._ledger.keys) < 6_000
    assert dict(log.items()) == {"stays": 1}
    assert keep.items() == []
    keep.move(log.tick(), log)
    assert keep.items() == [("stays", 1)]
    at = log.history().stamp(5)
    assert len(log.cut(at).items()) == (log.history().chunks[0].new[5] != GONE)


def test_a_stamp_from_the_future_is_refused_and_forgets_nothing():
    log = WindowLog("node")
    old = log.put("a", 1)
    with pytest.raises(UserError, match="over a minute ahead"):
        log.put("a", 2, old + 100 * 10**9)
    ahead = log.put("b", 2, old + 30 * 10**9)
    assert log.put("c", 3) > ahead, "as the hybrid clock has it: what is written later is stamped later"
    assert log.cut(old).items() == [("a", 1)], "30 s ahead is no reason to forget 10 s"
    with pytest.raises(UserError, match="not a stamp"):
        log.put("a", 1, 2**64)


def test_the_state_of_a_stamp_has_all_changes_with_it_or_none():
    log = WindowLog("node")
    stamp = log.put("a", 1)
    log.put("b", 2, stamp)
    assert state_of(log.cut(stamp)) == {"a": 1, "b": 2}
    assert state_of(log.cut(stamp - 1)) == {}


def test_what_was_received_is_before_what_is_written_next():
    sender, receiver = WindowLog("sender"), WindowLog("receiver")
    sender["sent"] = True
    stamp = sender.tick() + 10**9
    assert receiver.merge(stamp)
    receiver["received"] = True
    assert receiver.cut().history.stamp(0) > stamp
    assert not receiver.merge(stamp + 10**12)


def test_a_clock_that_goes_back_does_not_turn_the_order():
    clock = SimulatedClock()
    log = WindowLog("node", clock=HybridClock(clock))
    first = log.put("a", 1)
    clock.jump(-5.0)
    assert log.put("a", 2) > first
    deferred = WindowLog("node")
    deferred["a"] = 1
    deferred._now = lambda: 10**9
    deferred["a"] = 2
    stamps = [deferred.history().stamp(place) for place in (0, 1)]
    assert stamps == sorted(set(stamps))
    assert deferred["a"] == 2


@pytest.mark.parametrize("in_files", [False, True], ids=["memory", "files"])
def test_threads_write_at_once_and_every_cut_has_a_beginning_of_what_each_wrote(tmp_path, in_files):
    """Thread t writes its count to key t and then to key -t: no cut has the second ahead of the first."""
    log = WindowLog("node", seconds=60, folder=tmp_path if in_files else None)
    n, n_threads, stop = 1500 if in_files else 6000, 4, threading.Event()
    problems = []

    def write(thread):
        for count in range(1, n + 1):
            log["first", thread] = count
            log["second", thread] = count

    def look():
        while not stop.is_set():
            cut = log.cut()
            for thread in range(n_threads):
                first, second = (cut.value((name, thread), 0) for name in ("first", "second"))
                if first - second not in (0, 1):
                    problems.append((thread, first, second))

    threads = [threading.Thread(target=write, args=(each,)) for each in range(n_threads)]
    reader = threading.Thread(target=look)
    for each in (*threads, reader):
        each.start()
    for each in threads:
        each.join(60)
    stop.set()
    reader.join(60)
    assert not problems
    assert dict(log.items()) == {(name, each): n for name in ("first", "second") for each in range(n_threads)}
    history = log.history()
    assert history.n_entries == 2 * n * n_threads
    stamps = np.concatenate([chunk.stamps for chunk in history.chunks])
    assert np.all(stamps[1:] > stamps[:-1])
    log.close()


def test_who_interrupts_the_holder_of_the_lock_may_write_but_is_told_that_it_cannot_read(monkeypatch):
    log, told = WindowLog("node"), []

    def handler(_value):
        log["from the handler"] = 1
        with pytest.raises(HydroscopeError, match="very code that was interrupted"):
            log.get("a")
        told.append(True)
        return 50

    log["a"] = 1
    monkeypatch.setattr(ledger.sys, "getsizeof", handler)
    assert log["a"] == 1
    monkeypatch.undo()
    assert told
    assert log["from the handler"] == 1


def test_an_interrupted_fold_changes_nothing(monkeypatch):
    """Ctrl-C in the middle of it: the next one does the whole."""
    log = WindowLog("node")
    log["a"] = 1
    assert log["a"] == 1
    for n in range(20):
        log["a"] = n
        log[f"b{n}"] = n

    def interrupt(_value):
        raise KeyboardInterrupt

    monkeypatch.setattr(ledger.sys, "getsizeof", interrupt)
    with pytest.raises(KeyboardInterrupt):
        log.get("a")
    monkeypatch.undo()
    assert log["a"] == 19
    history = log.history()
    assert history.n_entries == 41
    assert [chunk.old[0] for chunk in history.chunks] == [GONE]
    assert len(log) == 21


def test_ctrl_c_at_any_moment_leaves_a_log_that_agrees_with_itself():
    """A timer interrupts writing and folding some hundred times; what the log says of its past must fit its state."""

    class Interrupted(Exception):
        pass

    def interrupt(*_):
        raise Interrupted

    log, n_interrupts = WindowLog("node", seconds=60), 0
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        deadline = time.monotonic() + 30
        while n_interrupts < 100 and time.monotonic() < deadline:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.00001 * (n_interrupts % 50))
                while True:
                    for n in range(50):
                        log[n % 7] = n
                    log.get(0)
            except Interrupted:
                n_interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert agrees(log)


def test_logs_are_listed_while_somebody_holds_them():
    log = WindowLog("node")
    assert log in open_logs()
    log.close()
    assert log not in open_logs()
    log["a"] = 1
    assert log["a"] == 1


@pytest.mark.parametrize(("seconds", "n_bytes"), [(0, 1000), (-1, 1000), (float("nan"), 1000), (10, 0)])
def test_a_window_that_holds_nothing_is_refused(seconds, n_bytes):
    with pytest.raises(UserError, match="holds nothing"):
        WindowLog("node", seconds=seconds, bytes=n_bytes)


@pytest.fixture
def restless():
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_however_many_threads_write_the_list_of_what_waits_stays_short():
    log, longest, n_threads = WindowLog("node", seconds=60), [0] * 4, 4

    def write(thread):
        for n in range(20_000):
            log[thread, n % 100] = n
            longest[thread] = max(longest[thread], len(log._pending) // 3)

    threads = [threading.Thread(target=write, args=(each,)) for each in range(n_threads)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert max(longest) <= BATCH + n_threads
    assert log.history().n_entries == 80_000


def test_a_child_that_is_forked_while_others_write_has_a_log_that_agrees_with_itself():
    log, stop = WindowLog("node", bytes=200_000), threading.Event()

    def write():
        n = 0
        while not stop.is_set():
            n += 1
            log[n % 7] = n

    threads = [threading.Thread(target=write) for _ in range(2)]
    for each in threads:
        each.start()
    try:
        for _ in range(5):
            child = forked(lambda: agrees(log) and log.put("child", 1) and log["child"] == 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        for each in threads:
            each.join(60)
    assert agrees(log)


@pytest.mark.usefixtures("restless")
def test_logs_can_be_listed_while_other_threads_make_some():
    kept, stop = [WindowLog(f"kept {n}") for n in range(300)], threading.Event()

    def make():
        while not stop.is_set():
            WindowLog("passing")

    thread = threading.Thread(target=make)
    thread.start()
    try:
        for _ in range(200):
            assert set(kept) <= set(open_logs())
    finally:
        stop.set()
        thread.join(60)


def test_stamps_may_be_numpy_s_and_what_is_none_is_said():
    log = WindowLog("node")
    stamp = np.uint64(log.put("a", 1) + 1)
    assert type(log.put("a", 2, stamp)) is int
    assert log.merge(stamp + np.uint64(10))
    assert type(log.tick()) is int
    assert log.cut(stamp).value("a") == 2
    for wrong in (None, "soon", 1.5e18, True, -1, 0, 2**64):
        with pytest.raises(UserError, match="not a stamp, a whole number"):
            log.merge(wrong)
        if wrong is not None:
            with pytest.raises(UserError, match="not a stamp, a whole number"):
                log.put("a", 3, wrong)


def test_a_window_of_all_time_is_limited_by_its_bytes_alone():
    log = WindowLog("node", seconds=float("inf"), bytes=float("inf"))
    first = log.put("a", 1)
    log["a"] = 2
    assert log.cut(first).value("a") == 1
    for arguments in ({"name": 5}, {"name": "n", "seconds": "10"}, {"name": "n", "bytes": None}):
        with pytest.raises(UserError, match=r"called by a text|give two numbers"):
            WindowLog(**arguments)
