"""Black boxes: what a worker notes is there after its end, however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hydroscope.engine.ray.box import N_LINES, NOTE, SIZE_BYTES, Box, is_watched, read_box
from hydroscope.ground.processes import memory_held, start_ticks


def test_what_is_noted_is_read(tmp_path: Path) -> None:
    box = Box(str(tmp_path), {"worker": "w1"})
    with box.task({"id": "t1", "task": "first", "rows": [0, 9]}, 0):
        pass
    with box.task({"id": "t2", "task": "second", "rows": None}, 2):
        found = read_box(box.path)
    assert found is not None
    assert (found.pid, found.ticks) == (os.getpid(), start_ticks(os.getpid()))
    assert (found.about["worker"], found.note["task"], found.running) == ("w1", "second", True)
    assert (found.runs, found.reruns, found.attempt, found.left_code) == (2, 1, 2, None)
    assert found.past == ("first", "second")
    assert found.held_bytes > 0
    after = read_box(box.path)
    assert after is not None
    assert not after.running


def test_the_last_tasks_are_kept(tmp_path: Path) -> None:
    box = Box(str(tmp_path), {})
    for k in range(N_LINES + 3):
        with box.task({"task": f"task {k}"}, 0):
            pass
    found = read_box(box.path)
    assert found is not None
    assert found.past == tuple(f"task {k}" for k in range(3, N_LINES + 3))


def test_a_note_that_is_too_long_is_cut(tmp_path: Path) -> None:
    box = Box(str(tmp_path), {})
    with box.task({"id": "t", "task": "x" * 5000}, 0):
        found = read_box(box.path)
    assert found is not None
    assert found.note == {"id": "t", "task": "x" * 80}


def test_how_it_left_and_who_watches(tmp_path: Path) -> None:
    box = Box(str(tmp_path), {})
    assert not box.watched
    is_watched(box.path)
    assert box.watched
    box.leaving(5)
    box.goodbye()
    found = read_box(box.path)
    assert found is not None
    assert (found.left_code, found.goodbye, found.watched) == (5, True, True)


def test_a_box_outlives_a_kill(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from hydroscope.engine.ray.box import Box\n"
        "with Box(sys.argv[1], {}).task({'id': 'a', 'task': 'the last'}, 1): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    [path] = tmp_path.glob("*.box")
    found = read_box(path)
    assert found is not None
    assert (found.note["task"], found.running, found.goodbye) == ("the last", True, False)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\0" * SIZE_BYTES])
def test_what_is_no_box(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "1.box"
    path.write_bytes(content)
    assert read_box(path) is None
    assert read_box(tmp_path / "none.box") is None


def test_a_note_that_was_half_written_says_nothing(tmp_path: Path) -> None:
    box = Box(str(tmp_path), {})
    with box.task({"task": "whole"}, 0):
        page = bytearray(Path(box.path).read_bytes())
    page[NOTE + 4 : NOTE + 9] = b"\0\0\0\0\0"
    path = tmp_path / "2.box"
    path.write_bytes(page)
    found = read_box(path)
    assert found is not None
    assert found.note == {}


def test_a_process_that_is_gone_holds_nothing() -> None:
    assert memory_held(2**22 + 1) is None
    assert start_ticks(2**22 + 1) == 0
