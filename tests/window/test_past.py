"""What a log leaves in its files: after it was closed, while it is written, after its process was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.ground.errors import CorruptError, UnknownNameError, UserError
from hydroscope.window.absent import ABSENT
from hydroscope.window.errors import WindowError
from hydroscope.window.log import WindowLog
from hydroscope.window.past import read_window
from hydroscope.window.tape import HEADER_BYTES, RECORD
from tests.house.source import ROOT
from tests.window.history_of import replay, state_of

values = st.one_of(
    st.none(), st.integers(), st.text(max_size=5), st.binary(max_size=5), st.tuples(st.integers(0, 9), st.booleans())
)


@given(st.lists(st.tuples(st.sampled_from(["a", 1, ("t", 2)]), values, st.booleans()), max_size=20))
@settings(deadline=None, max_examples=25)
def test_the_files_say_what_the_log_says(tmp_path_factory, written):
    folder = tmp_path_factory.mktemp("log")
    log, changes = WindowLog("node", folder=folder), []
    for key, value, is_removal in written:
        if is_removal and key not in log:
            continue
        changes.append((log.put(key, ABSENT if is_removal else value), key, ABSENT if is_removal else value))
    past = read_window(folder)
    assert past.name == "node"
    assert past.is_alive
    assert past.start == log.start
    for stamp in {log.start, *(each[0] + step for each in changes for step in (-1, 0))}:
        assert state_of(past.cut(stamp)) == replay(changes, stamp) == state_of(log.cut(stamp))
    log.close()
    log["after"] = 1
    assert "after" not in state_of(read_window(folder).cut())


def test_late_changes_and_plain_ones_come_back_in_the_order_of_their_stamps(tmp_path):
    log = WindowLog("node", folder=tmp_path)
    first = log.put("a", 1)
    second = log.put("b", 2)
    log["a"] = 3
    log.put("a", 4, second)
    del log["b"]
    past = read_window(tmp_path)
    for stamp in (first - 1, first, second, log.history().stamp(3), past.history().until):
        assert state_of(past.cut(stamp)) == state_of(log.cut(stamp))


def test_what_would_not_come_back_the_same_is_refused_and_not_written(tmp_path):
    log = WindowLog("node", folder=tmp_path)
    with pytest.raises(UserError, match="of type set, which cannot be stored"):
        log["a"] = {1, 2}
    assert "a" not in log
    value = [1]
    log["a"] = value
    value.append(2)
    assert read_window(tmp_path).cut().value("a") == [1], "packed when it was put"


def test_files_stay_within_the_bytes_and_keep_what_was_not_changed_for_long(tmp_path):
    limit = 400_000
    log = WindowLog("node", seconds=3600, bytes=limit, folder=tmp_path)
    for n in range(300):
        log[f"cold {n}"] = n
    del log["cold 7"]
    changes = []
    for n in range(40_000):
        key, value = f"hot {n % 20}", n
        log[key] = value
        if n >= 39_000:
            changes.append((log.tick(), key, value))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size <= limit * 1.25
    past = read_window(tmp_path)
    assert past.history().n_entries < 20_000
    cold = {f"cold {n}": n for n in range(300) if n != 7}
    for stamp, key, value in changes[::50]:
        state = state_of(past.cut(stamp))
        assert state[key] == value
        assert {each: state.get(each) for each in cold} == cold
        assert "cold 7" not in state
    assert state_of(past.cut()) == dict(log.items())
    with pytest.raises(WindowError, match="reaches back"):
        past.cut(past.start - 1)


@pytest.mark.parametrize("seed", range(3))
def test_when_files_have_gone_every_moment_from_the_windows_start_on_is_still_right(tmp_path, seed):
    """What a key was before its first change that is left may have lain in a file that went."""
    random = np.random.default_rng(seed)
    log = WindowLog("node", seconds=3600, bytes=150_000, folder=tmp_path)
    changes = []
    for n in range(8_000):
        key = f"key {int(random.integers(30 if n % 3 else 400))}"
        if key in log and random.random() < 0.1:
            changes.append((log.remove(key), key, ABSENT))
        else:
            changes.append((log.put(key, n), key, n))
    past = read_window(tmp_path)
    left = [each[0] for each in changes if each[0] >= past.start]
    assert 500 < len(left) < 7_000
    for stamp in (past.start, *left[::97], left[-1]):
        assert state_of(past.cut(stamp)) == replay(changes, stamp)
    ledger_end = past.history().stamp(past.history().n_entries - 1)
    assert ledger_end == changes[-1][0]


def test_more_state_than_the_bytes_allow_for_is_kept_whole(tmp_path):
    log = WindowLog("node", seconds=0.001, bytes=100_000, folder=tmp_path)
    for turn in range(3):
        for n in range(5_000):
            log[f"key {n}"] = turn
    assert state_of(read_window(tmp_path).cut()) == dict(log.items())
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 4 * 5_000 * 32


@pytest.mark.parametrize("n_bytes", [2**28, 200_000], ids=["one file", "files come and go"])
def test_what_a_killed_process_had_written_is_there(tmp_path, n_bytes):
    command = [sys.executable, "-m", "tests.window.writer", str(tmp_path), str(n_bytes)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        said = 0
        try:
            deadline = time.monotonic() + 60
            while said < 10_000 and time.monotonic() < deadline:
                said = int(process.stdout.readline())
            assert read_window(tmp_path).is_alive
        finally:
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
        process.wait(30)
    said = int(rest[-1]) if rest and rest[-1].endswith("00") else said
    past = read_window(tmp_path)
    assert not past.is_alive
    state = state_of(past.cut())
    last = max(value for key, value in state.items() if key != "cold")
    assert last >= said - 100
    assert state == {"cold": "written once", **{f"key-{n % 50}": n for n in range(last - 49, last + 1)}}
    history = past.history()
    stamp = history.stamp(history.n_entries - 1001)
    assert state_of(past.cut(stamp)) == {
        "cold": "written once",
        **{f"key-{n % 50}": n for n in range(last - 1049, last - 999)},
    }


def test_a_record_that_was_not_finished_is_not_there_and_ends_the_file(tmp_path):
    log = WindowLog("node", folder=tmp_path)
    for n in range(3):
        log["a"] = n
    log.close()
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    record_bytes = RECORD.size + 8
    at = HEADER_BYTES + 2 * record_bytes
    data[at + 8 : at + 16] = bytes(8)  # the stamp, which is stored last
    path.write_bytes(data)
    assert state_of(read_window(tmp_path).cut()) == {"a": 1}
    data[HEADER_BYTES + record_bytes : HEADER_BYTES + record_bytes + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    with pytest.raises(CorruptError, match="byte 41"):
        read_window(tmp_path)
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(CorruptError, match="not a window-log"):
        read_window(tmp_path)


def test_which_log_is_said(tmp_path):
    with pytest.raises(UserError, match="no files of window-logs"):
        read_window(tmp_path)
    first, second = WindowLog("a/b", folder=tmp_path), WindowLog("c", folder=tmp_path)
    first["x"], second["x"] = 1, 2
    assert read_window(tmp_path, "a/b").cut().value("x") == 1
    with pytest.raises(UserError, match="has the logs a/b, c; say which"):
        read_window(tmp_path)
    with pytest.raises(UnknownNameError, match=r"no log 'cc'.*did you mean 'c'"):
        read_window(tmp_path, "cc")
    third = WindowLog("c", folder=tmp_path)
    third["x"] = 3
    assert read_window(tmp_path, "c").cut().value("x") == 3, "the last of a name counts"


def test_a_forked_child_leaves_the_files_to_its_parent(tmp_path):
    log = WindowLog("node", folder=tmp_path)
    log["a"] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of threads, of which none writes here
        child = os.fork()
    if child == 0:
        code = 1
        try:
            log["a"] = 2
            log["b"] = 3
            code = 0 if log.items() == [("a", 2), ("b", 3)] else 1
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    log["c"] = 4
    assert state_of(read_window(tmp_path).cut()) == {"a": 1, "c": 4}
