"""What the process records of its work: who is recorded item by item, what of it, and that it can be turned off."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.engine import recording
from hydroscope.engine.local import LocalEngine
from hydroscope.ground.record.about import rings
from hydroscope.ground.record.layout import Kind
from hydroscope.ground.record.reader import read_ring
from hydroscope.ground.record.recorder import Recorder
from hydroscope.node import jobs
from hydroscope.scope.timeline import Timeline

TASKS = (Kind.QUEUED, Kind.STARTED, Kind.ENDED)


@pytest.fixture
def rec(tmp_path, monkeypatch) -> Iterator[Recorder]:
    recorder = Recorder("test", seconds=0.5, folder=tmp_path)
    monkeypatch.setattr(recording, "_made", recorder)
    monkeypatch.setattr(recording, "_paces", {})
    yield recorder
    recorder.close(remove=True)


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    engine = LocalEngine(2)
    yield engine
    engine.shutdown()


def told(rec: Recorder) -> tuple[Timeline, list[tuple[Kind, int, str]]]:
    """Return the timeline, and (kind, id, text) of each record of a task or an error."""
    assert rec.path is not None
    timeline = Timeline.of([read_ring(rec.path)])
    events = timeline.events
    rows = np.flatnonzero(np.isin(events.kind, (*TASKS, Kind.FAILED)))
    return timeline, [(Kind(int(events.kind[k])), int(events.id[k]), timeline.text(int(k))) for k in rows]


def slow(index: int) -> int:
    time.sleep(0.002)
    return index


def quick(index: int) -> int:
    return index


def test_items_that_last_are_recorded_one_by_one_on_the_lane_of_their_thread(rec, engine):
    both = threading.Barrier(2)

    def together(index: int) -> int:
        both.wait(10)
        return index

    engine.parallel(together, 2)
    timeline, records = told(rec)
    assert Counter(kind for kind, _, _ in records) == dict.fromkeys(TASKS, 2)
    assert len({ident for _, ident, _ in records}) == 2
    assert all(text.endswith(("together 1/2", "together 2/2")) for _, _, text in records)
    events = timeline.events
    lanes = {events.names[lane] for lane in events.lane[events.kind == Kind.STARTED]}
    assert len(lanes) == 2
    assert "MainThread" in lanes
    assert timeline.rules
    assert timeline.order.violations == ()


def pace_of(function: Callable[[int], int], item_s: float, map_s: float, skip: int = 0) -> None:
    """Let it be known how long maps of a function last."""
    pace = recording._paces.setdefault(id(function.__code__), recording.Pace(function.__code__, function.__name__))
    pace.item_s, pace.map_s, pace.skip = item_s, map_s, skip


def test_items_that_are_quick_are_recorded_as_one_or_not_at_all(rec, engine):
    engine.parallel(quick, 500)
    first, last = told(rec)[1]  # of many items nobody knows yet how long they last
    assert (first[0], first[2], last[0]) == (Kind.STARTED, "quick x500", Kind.ENDED)
    assert first[1] == last[1]
    n_before = 2
    pace_of(quick, recording.ITEM_S / 2, recording.MAP_S)
    engine.parallel(quick, 500)
    n_as_one = len(told(rec)[1])
    assert n_as_one == n_before + 2
    pace_of(quick, recording.ITEM_S / 2, recording.MAP_S / 2)
    engine.parallel(quick, 500)
    assert len(told(rec)[1]) == n_as_one


def test_items_that_turn_slow_are_seen_before_long(rec, engine):
    pace_of(slow, 0.0, 0.0, skip=recording.SKIPPED)
    for _ in range(recording.SKIPPED):
        engine.parallel(slow, 1)
    engine.parallel(slow, 4)  # is timed
    assert told(rec)[1] == []
    engine.parallel(slow, 4)
    assert Counter(kind for kind, _, _ in told(rec)[1]) == dict.fromkeys(TASKS, 4)


def test_an_error_is_recorded_once_with_the_item_that_raised_it(rec, engine):
    def inner(index: int) -> int:
        if index == 1:
            raise ValueError("no such row")
        return index

    with pytest.raises(ValueError, match="no such row"):
        engine.map(lambda _: engine.parallel(inner, 2), [(0,)])
    _, records = told(rec)
    ((_, ident, text),) = [each for each in records if each[0] is Kind.FAILED]
    assert text.startswith("ValueError: no such row")
    assert {text for kind, each, text in records if each == ident and kind is Kind.STARTED} == {"inner 2/2"}


def test_jobs_are_tasks_and_say_how_they_ended(rec):
    def fail() -> None:
        raise KeyError("gone")

    jobs.start(len, "abc", description="count letters").result(10)
    assert isinstance(jobs.start(fail, description="look it up").exception(10), KeyError)
    texts = [text for _, _, text in told(rec)[1]]
    assert texts[:2] == ["job count letters", "DONE job count letters"]
    assert any(text.startswith("KeyError") for text in texts)
    assert texts[-1] == "FAILED job look it up"


def test_tasks_of_a_forked_child_have_ids_of_their_own(rec, engine):
    engine.map(slow, [(0,)])
    if not (child := os.fork()):
        recording.work(slow, 1)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    engine.map(slow, [(0,)])
    assert rec.path is not None
    of_both = [read_ring(found.path).records for found in rings(rec.path.parent)]
    in_child, here = [set(each["id"][each["kind"] == Kind.QUEUED].tolist()) for each in of_both]
    assert (len(in_child), len(here)) == (1, 2)
    assert not in_child & here


def test_names_are_what_a_reader_knows():
    class Many:
        def __call__(self) -> None: ...

    def outer() -> Any:
        return lambda: 0

    assert recording.name_of(outer()).endswith("outer")
    assert recording.name_of(Many()).endswith("Many")
    assert len(recording.item_text("x" * 100, 9, 10)) == 27


def ask(program: str, **environment: str) -> list[str]:
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return found.stdout.split()


USE = """
import sys
import hydroscope as hs
with hs.start_cluster() as cluster:
    hs.kv.put("k", 1, wait=True)
from hydroscope.engine.recording import recorder
rec = recorder()
print(rec is None, "" if rec is None else rec.path.name, rec is not None and rec.path.stat().st_size)
"""


def test_it_is_on_unless_turned_off_and_as_long_as_asked():
    off, *_ = ask(USE, HYDROSCOPE_RECORD="0")
    assert off == "True"
    on, name, size = ask(USE, HYDROSCOPE_RECORD_SECONDS="2")
    assert on == "False"
    assert name.startswith("authority-")
    assert int(size) == pytest.approx(2 * 50_000 * 64, rel=0.2)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf", "1e9"])
def test_seconds_that_make_no_sense_say_so(monkeypatch, text):
    monkeypatch.setenv("HYDROSCOPE_RECORD_SECONDS", text)
    monkeypatch.setattr(recording, "_made", None)
    monkeypatch.setattr(recording, "_is_off", False)
    with pytest.raises(hs.UserError, match="HYDROSCOPE_RECORD_SECONDS"):
        recording.recorder()
