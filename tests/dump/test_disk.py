"""Which rings belong to what is going on, and how their processes are."""

from __future__ import annotations

import os

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.engine.dump import disk
from hydroscope.ground.processes import start_ticks
from hydroscope.ground.record import folder
from hydroscope.ground.record.folder import boot_id
from hydroscope.ground.record.reader import read_ring
from hydroscope.wire.dumps import Lying
from tests.dump.machines import processes

S = 10**9
NOW = 1_000 * S


def ring(name: str, opened_s: float, newest_s: float, state: str = "", closed: bool = False, pid: int = 1) -> Lying:
    return Lying(name, name, pid, 7, int(opened_s * S), 0, int(closed), b"boot", 4096, int(newest_s * S), state)


def names(rings: list[Lying]) -> set[str]:
    return {each.name for each in rings}


def test_what_runs_or_has_just_ended_is_wanted_and_earlier_runs_are_not():
    found = [
        ring("idle", 1, 2, "S"),
        ring("stopped", 900, 990, "T"),
        ring("killed just now", 100, 970),
        ring("closed just now", 100, 999, "S", closed=True),
        ring("killed before", 100, 930),
        ring("closed before", 100, 930, "S", closed=True),
        ring("a member once", 100, 200, pid=44),
    ]
    assert names(disk.wanted(found, NOW, pids={44})) == {
        "idle", "stopped", "killed just now", "closed just now", "a member once",
    }  # fmt: skip


def test_where_nothing_runs_it_is_the_run_that_ended_last():
    found = [ring("a", 100, 300), ring("b", 250, 400), ring("c", 401, 402), ring("before", 10, 90)]
    assert disk.wanted(found, NOW) == []
    assert names(disk.last_run(found)) == {"a", "b", "c"}


def test_seconds_are_counted_back_from_now_and_infinity_is_all():
    found = [ring("old", 1, 500), ring("newer", 1, 900), ring("runs", 1, 2, "S")]
    assert names(disk.wanted(found, NOW, NOW - 200 * S)) == {"newer", "runs"}
    assert names(disk.wanted(found, NOW, 0)) == {"old", "newer", "runs"}
    assert disk.wanted([], NOW) == []


def test_the_folder_tells_names_processes_states_and_the_newest_stamp(tmp_path):
    with processes(tmp_path, "running", "stopped", "killed", "closed", n=6000) as (running, stopped, killed, closed):
        stopped.stop()
        killed.kill()
        closed.close()
        found = {each.name: each for each in disk.lying(tmp_path).values()}
        assert {name: each.pid for name, each in found.items()} == {
            each.name: each.pid for each in (running, stopped, killed, closed)
        }
        assert found["running"].state in ("S", "R", "D")
        assert found["stopped"].state == "T"
        assert found["killed"].state == ""
        assert [bool(found[name].closed_at_ns) for name in ("running", "stopped", "killed", "closed")] == [
            False, False, False, True,
        ]  # fmt: skip
        for each in found.values():  # 6,000 records are more than a part: the newest is not in the first
            stamps = read_ring(each.file).records["stamp"]
            assert each.newest_ns == int(stamps.max())


def test_a_process_that_has_the_number_of_another_is_not_that_one():
    pid, ticks = os.getpid(), start_ticks(os.getpid())
    assert disk.state_of(pid, ticks, boot_id()) in ("R", "S", "D")
    assert disk.state_of(pid, ticks + 1, boot_id()) == ""
    assert disk.state_of(pid, ticks, b"another machine!") == ""


def test_where_the_system_does_not_tell_states_it_is_asked_who_is_there(monkeypatch):
    monkeypatch.setattr(disk, "state_and_start", lambda pid: None)
    monkeypatch.setattr(folder, "state_and_start", lambda pid: None)
    monkeypatch.setattr(folder.os.path, "exists", lambda path: False)
    assert disk.state_of(os.getpid(), 0, boot_id()) == "?"
    assert disk.state_of(2**22 + 5, 0, boot_id()) == ""


def test_a_ring_is_cut_at_a_stamp(tmp_path):
    rec = hs.Recorder("cut", seconds=0.1, folder=tmp_path)
    stamps = [rec.sent("peer", k) for k in range(50)]
    whole, cut = disk.read(str(rec.path)), disk.read(str(rec.path), stamps[30])
    rec.close(remove=True)
    assert np.array_equal(cut.records, whole.records[whole.records["stamp"] >= stamps[30]])
    assert (cut.names, cut.about) == (whole.names, whole.about)


def test_a_place_is_a_folder_and_not_a_machine(tmp_path):
    (tmp_path / "a").mkdir(mode=0o700)
    (tmp_path / "b").mkdir(mode=0o700)
    assert disk.place(tmp_path / "a") == disk.place(tmp_path / "a") != disk.place(tmp_path / "b")
    assert disk.place() not in (0, disk.place(tmp_path / "a"))


@pytest.mark.parametrize("pid", [0, 2**22 + 1])
def test_nobody_is_gone(pid):
    from hydroscope.ground.record.folder import boot_id

    assert disk.state_of(pid, 0, boot_id()) == ""
    assert disk.state_of(1, 0, bytes(16)) == ""
