"""What every engine promises in `node.ports.Engine`."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import numpy as np
import pytest

from hydroscope.ground.errors import CancelledError, UserError
from hydroscope.mapreduce.plan import reduce_levels
from hydroscope.node import jobs, ports
from hydroscope.node.ports import Engine
from tests.engine import places


def test_results_come_in_item_order(engine: Engine) -> None:
    handles = engine.map(places.double, [(i,) for i in range(50)])
    assert engine.get(handles) == [2 * i for i in range(50)]


def test_no_items_give_no_results(engine: Engine) -> None:
    assert engine.map(places.double, []) == []
    assert engine.parallel(places.double, 0) == []


def test_several_returns_give_a_handle_each(engine: Engine) -> None:
    rows = engine.map(places.signs, [(1,), (2,)], n_returns=2)
    assert [engine.get(list(row)) for row in rows] == [[1, -1], [2, -2]]


def test_handles_among_the_arguments_are_resolved(engine: Engine) -> None:
    made = engine.map(places.ones, [(1000,), (200_000,)])
    kept = engine.put(np.full(3, 2.0))
    sums = engine.map(places.total, [(made[0],), (made[1],), (kept,), (np.zeros(2),)])
    assert engine.get(sums) == [1000.0, 200_000.0, 6.0, 0.0]


def test_get_accepts_plain_values(engine: Engine) -> None:
    assert engine.get(engine.put("a")) == "a"
    assert engine.get([engine.put("a"), "b"]) == ["a", "b"]
    assert engine.get("b") == "b"


def test_first_error_in_item_order_comes_home(engine: Engine) -> None:
    items = [(i, (13, 7, 30)) for i in range(40)]
    with pytest.raises(LookupError, match="item 7 is bad") as caught:
        engine.map(places.fail_at, items)
    assert type(caught.value) is LookupError
    assert any("item 7 of 40 of tests.engine.places.fail_at" in note for note in caught.value.__notes__)


def test_engine_works_on_after_an_error(engine: Engine) -> None:
    with pytest.raises(LookupError):
        engine.map(places.fail_at, [(i, (0,)) for i in range(9)])
    assert engine.get(engine.map(places.fail_at, [(i, ()) for i in range(9)])) == list(range(9))


@pytest.mark.parametrize("n_items", [1, 2, 8, 9, 65])
def test_reduce_has_the_shape_of_the_plan(engine: Engine, n_items: int) -> None:
    names = [f"{i}." for i in range(n_items)]
    expected = names
    for level in reduce_levels(n_items):
        expected = [reduce(places.join, [expected[k] for k in run]) for run in level]
    assert engine.reduce(places.join, engine.map(str, [(name,) for name in names])) == expected[0]


def test_reduce_of_floats_has_the_bits_of_one_thread(engine: Engine, local: Engine) -> None:
    values = np.random.default_rng(1).normal(size=200) * 10.0 ** np.random.default_rng(2).integers(-9, 9, 200)
    ours = engine.reduce(places.add, engine.map(float, [(v,) for v in values]))
    assert ours == local.reduce(places.add, values.tolist())


def test_reduce_of_nothing_is_refused(engine: Engine) -> None:
    with pytest.raises(UserError, match="nothing to merge"):
        engine.reduce(places.add, [])


def test_error_in_a_merge_comes_home(engine: Engine) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        engine.reduce(places.add, [*engine.map(places.fail_at, [(0, ()), (1, ())]), engine.put("text")])


def test_map_inside_an_item(engine: Engine) -> None:
    assert engine.get(engine.map(places.nested, [(n,) for n in range(1, 7)])) == [2 * n * (n - 1) for n in range(1, 7)]


def test_parallel_runs_in_this_process(engine: Engine) -> None:
    seen: list[int] = []
    assert engine.parallel(lambda i: (seen.append(i), i * i)[1], 20) == [i * i for i in range(20)]
    assert sorted(seen) == list(range(20))


def test_an_item_sees_no_remote_engine(engine: Engine) -> None:
    [(_, name, n_threads, _)] = engine.get(engine.map(places.surroundings, [(0,)]))
    assert (name, n_threads) == ("local", 2 if engine.name == "local" else 1)


def test_a_cancelled_job_ends_and_the_engine_works_on(engine: Engine, tmp_path: Path) -> None:
    started, until = tmp_path / "started", tmp_path / "until"

    def work() -> None:
        items = [(str(started), str(until))] + [(str(tmp_path / f"{i}"), str(started)) for i in range(200)]
        ports.current().map(places.wait_for, items)

    job = jobs.start(work)
    while not started.exists():
        assert not job.ended.wait(0.001), job.exception()
    assert job.cancel()
    if engine.name == "local":  # a thread cannot be interrupted; its item ends by itself
        until.touch()
    with pytest.raises(CancelledError, match="cancelled"):
        job.result(30)
    assert job.state is jobs.JobState.CANCELLED
    assert engine.get(engine.map(places.double, [(4,), (5,)])) == [8, 10]


def test_items_are_the_progress_of_a_job_that_says_nothing(engine: Engine) -> None:
    with jobs.running("a map") as job:
        engine.map(places.double, [(i,) for i in range(8)])
        assert job.progress == 1.0
    with jobs.running("two halves") as job:
        with jobs.share(0.0, 0.5):
            engine.map(places.double, [(i,) for i in range(8)])
        assert job.progress == 0.5


def test_a_function_made_on_the_spot(engine: Engine) -> None:
    offset = 10
    assert engine.get(engine.map(lambda x: x + offset, [(1,), (2,)])) == [11, 12]
