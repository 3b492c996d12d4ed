"""What a log leaves in its files: after it was closed, while it is written, after its process was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.ground.errors import CorruptError, DataError, UnknownNameError, UserError
from hydroscope.window import layout, tape
from hydroscope.window.absent import ABSENT
from hydroscope.window.changes import changes
from hydroscope.window.errors import WindowError
from hydroscope.window.layout import HEADER_BYTES, MAGIC, RECORD, STAMP_MAX, SUFFIX
from hydroscope.window.log import WindowLog
from hydroscope.window.past import read_window
from hydroscope.window.tape import Tape
from tests.house.source import ROOT
from tests.window.history_of import forked, replay, state_of

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


def test_more_state_than_the_bytes_allow_for_is_kept_whole_and_not_copied_again_and_again(tmp_path, monkeypatch):
    log, n_records = WindowLog("node", seconds=0.001, bytes=100_000, folder=tmp_path), [0]
    put = Tape._put

    def counted(*arguments):
        n_records[0] += 1
        return put(*arguments)

    monkeypatch.setattr(Tape, "_put", counted)
    for turn in range(3):
        for n in range(5_000):
            log[f"key {n}"] = turn
    assert state_of(read_window(tmp_path).cut()) == dict(log.items())
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 4 * 5_000 * 32
    assert n_records[0] < 3 * 15_000


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

    def write():
        log["a"] = 2
        log["b"] = 3
        return log.items() == [("a", 2), ("b", 3)]

    child = forked(write)
    assert os.waitpid(child, 0)[1] == 0
    log["c"] = 4
    assert state_of(read_window(tmp_path).cut()) == {"a": 1, "c": 4}


def test_a_disk_that_was_full_for_a_while_costs_only_the_changes_that_were_refused(tmp_path, monkeypatch):
    log = WindowLog("node", seconds=3600, bytes=100_000, folder=tmp_path)
    real, changes, n_refused = os.posix_fallocate, [], 0

    def full(*_):
        raise OSError(28, "No space left on device")

    for n in range(3000):
        monkeypatch.setattr(tape.os, "posix_fallocate", full if n // 500 % 2 else real)
        try:
            changes.append((log.put(n % 40, n), n % 40, n))
        except OSError as error:
            n_refused += ".window" in str(error)
    monkeypatch.setattr(tape.os, "posix_fallocate", real)
    assert 100 < n_refused == 3000 - len(changes) < 1500
    assert dict(log.items()) == replay(changes, STAMP_MAX)
    past = read_window(tmp_path)
    for stamp in (past.start, *(stamp for stamp, _, _ in changes[::50] if stamp > past.start), changes[-1][0]):
        assert state_of(past.cut(stamp)) == replay(changes, stamp)


def test_a_log_whose_writer_died_while_it_was_read_is_not_said_to_be_whole(tmp_path, monkeypatch):
    log = WindowLog("node", folder=tmp_path)
    log["a"] = 1
    lives = iter([True])
    monkeypatch.setattr(layout, "is_alive", lambda *_: next(lives, False))
    past = read_window(tmp_path)
    assert past.is_alive
    assert past.history().until < STAMP_MAX
    log.close()
    assert read_window(tmp_path).history().until == STAMP_MAX


def test_one_damaged_file_keeps_nobody_from_reading_other_logs(tmp_path):
    for name in ("one", "other"):
        log = WindowLog(name, seconds=3600, bytes=50_000, folder=tmp_path)
        for n in range(1000):
            log["a"] = n
        log.close()
    (tmp_path / f"older.1.2.00000000{SUFFIX}").write_bytes(MAGIC + bytes(10_000))
    assert read_window(tmp_path, "one").cut().value("a") == 999
    with pytest.raises(CorruptError, match="not a window-log of version"):
        read_window(tmp_path, "older")
    files = sorted(each for each in tmp_path.iterdir() if each.name.startswith("one."))
    files[len(files) // 2].write_bytes(b"x" * 10_000)
    with pytest.raises(CorruptError, match="not a window-log of version"):
        read_window(tmp_path, "one")
    assert read_window(tmp_path, "other").cut().value("a") == 999


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_whatever_is_damaged_in_a_file_is_said_or_does_no_harm(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("log")
    log = WindowLog("node", bytes=50_000, folder=folder)
    for n in range(20):
        log["key", n % 3] = ("value", n, "x" * n)
    log.close()
    (path,) = folder.iterdir()
    content, end = bytearray(path.read_bytes()), HEADER_BYTES + 20 * 60
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(0, 120), st.integers(HEADER_BYTES, end)))
        n = data.draw(st.sampled_from((1, 1, 4, 8)))
        content[at : at + n] = bytes([data.draw(st.integers(0, 255))]) * n
    path.write_bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, end)))])
    with contextlib.suppress(CorruptError, DataError, UserError):
        past = read_window(folder)
        for stamp in (past.start, past.history().until):
            past.cut(stamp).items()
        changes([past])
