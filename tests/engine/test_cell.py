"""Cells: what runs there may do its worst, and the worst is known exactly."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.engine.ray.cell import Cell, Crashed, task_text
from hydroscope.ground.errors import HydroscopeError
from hydroscope.mapreduce import part, run
from tests.engine import places

STOPPED_S = 0.3


def dumps(value: Any) -> bytes:
    return pickle.dumps(value, protocol=5)


def try_in_cell(function: Callable[..., Any], *arguments: Any) -> Any:
    with Cell(dumps) as cell:
        cell.lock_up(function, arguments)
        return cell.run(None, STOPPED_S)


def test_a_value_comes_out() -> None:
    np.testing.assert_array_equal(try_in_cell(places.ones, 300_000), np.ones(300_000))


def test_an_error_comes_out() -> None:
    with pytest.raises(LookupError, match="item 3 is bad"):
        try_in_cell(places.fail_at, 3, (3,))


def test_an_error_that_cannot_be_sent_is_told() -> None:
    with pytest.raises(HydroscopeError, match="cannot be sent between processes:\nUnsendableError: kept here"):
        try_in_cell(places.fail_unsendable, 0)


def test_what_cannot_be_unpacked_is_told() -> None:
    with Cell(lambda _: b"no pickle") as cell:
        cell.lock_up(places.double, (1,))
        with pytest.raises(pickle.UnpicklingError):
            cell.run(None, STOPPED_S)


def raise_signal(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_signal_is_known(number: signal.Signals) -> None:
    with pytest.raises(Crashed) as caught:
        try_in_cell(raise_signal, int(number))
    cause, name, code, _ = caught.value.traces.conclude()
    assert (cause, name, code) == (number.name, number.name, None)
    assert caught.value.held_bytes > 0


def test_an_exit_is_known_even_with_code_0() -> None:
    with pytest.raises(Crashed) as caught:
        try_in_cell(places.die, 0)
    assert caught.value.traces.conclude()[0] == "exit code 3"
    with pytest.raises(Crashed) as caught:
        try_in_cell(os._exit, 0)
    assert caught.value.traces.conclude()[0] == "exit code 0"


def test_a_process_that_stops_is_given_up() -> None:
    with pytest.raises(Crashed) as caught:
        try_in_cell(raise_signal, int(signal.SIGSTOP))
    assert caught.value.traces.conclude()[0] == "stopped"
    assert caught.value.traces.stopped_s >= STOPPED_S


def test_a_trial_goes_before_memory_runs_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.02")  # it is short already
    with pytest.raises(Crashed) as caught:
        try_in_cell(time.sleep, 60)
    assert caught.value.traces.conclude()[0] == "out of memory"
    assert caught.value.traces.crowded > 0


def test_a_cell_outlives_its_trials_and_ends_with_its_block() -> None:
    with Cell(dumps) as cell:
        cell.lock_up(places.fail_at, (1, (1,)))
        for _ in range(3):
            with pytest.raises(LookupError):
                cell.run(None, STOPPED_S)
        pid = cell._process.pid
    assert not places.is_running(pid)


class Sum(hs.MapReduce):
    total: int = 0
    n: int = 0

    def map(self, x, c):
        self.total += x
        self.n += c >= 0


class Pairs(hs.MapReduce):
    def map_chunk(self, x, c) -> float:
        return x * 2.0


@pytest.mark.parametrize("span", [(0, 300_000), (0, 1), (70_000, 70_001), (65_000, 200_000), (299_999, 300_000)])
def test_some_rows_of_a_map(span: tuple[int, int]) -> None:
    """A part gives what the whole gives for these rows, over all codecs."""
    x = np.where(np.arange(300_000) % 1000 == 0, np.arange(300_000), 0)
    frame = hs.Frame({"x": x, "c": np.full(300_000, 7)})
    given = run.matched(Sum(), [frame])
    layout = given.vecs[0].layout
    order = run.Order(given.recipe, run._loops(given.recipe, given.vecs), False, ())
    n_leaves = len(layout.leaves)
    chunks = [vec.leaves[leaf] for leaf in range(n_leaves) for vec in given.vecs]
    arguments = (order, 0, 0, *chunks)
    assert part.rows_of(*arguments) == (0, 300_000)
    assert task_text(run.map_leaves, arguments) == ("Sum.map", (0, 299_999))
    low, high = span
    found = run._finished(Sum(), given.recipe, run.map_leaves(*part.part_of(low, high, *arguments)))
    assert (found.total, found.n) == (x[low:high].sum(), high - low)


def test_some_rows_of_a_map_over_chunks() -> None:
    frame = hs.Frame({"x": np.arange(100_000.0), "c": np.ones(100_000)})
    given = run.matched(Pairs(), [frame])
    order = run.Order(given.recipe, None, False, run._types(given.outcome))
    arguments = (order, 0, 500, *[vec.leaves[0] for vec in given.vecs])
    narrowed = part.part_of(65_530, 65_540, *arguments)
    assert narrowed[2] == 500 + 65_530
    _, made = run.map_leaves(*narrowed)
    assert sum(chunk.n_rows for chunk in made) == 10


def test_other_tasks_have_no_rows() -> None:
    assert task_text(places.double, (1,)) == ("", None)
