"""The local engine beyond what all engines promise: who works, who waits, what a failure leaves behind."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.engine.latch import Latch
from hydroscope.engine.local import LocalEngine
from hydroscope.engine.merge import merge_run
from hydroscope.ground.errors import CancelledError, UserError
from hydroscope.mapreduce.plan import reduce_levels
from hydroscope.node import jobs
from tests.engine import places


@given(n_threads=st.integers(1, 5), n_items=st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_any_number_of_threads_gives_the_same_list(n_threads: int, n_items: int) -> None:
    engine = LocalEngine(n_threads)
    assert engine.parallel(lambda i: i * i, n_items) == [i * i for i in range(n_items)]
    engine.shutdown()


@given(
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=150),
    n_threads=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_reduce_repeats_to_the_last_bit(values: list[float], n_threads: int) -> None:
    engine = LocalEngine(n_threads)
    expected = values
    for level in reduce_levels(len(values)):
        expected = [merge_run(places.add, *(expected[k] for k in run)) for run in level]
    assert engine.reduce(places.add, values).hex() == expected[0].hex()
    engine.shutdown()


@given(bad=st.sets(st.integers(0, 29), min_size=1), n_threads=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_the_lowest_failing_item_is_the_one_raised(bad: set[int], n_threads: int) -> None:
    engine = LocalEngine(n_threads)
    with pytest.raises(LookupError, match=rf"item {min(bad)} is bad"):
        engine.parallel(lambda i: places.fail_at(i, tuple(bad)), 30)
    engine.shutdown()


def test_items_after_a_failure_are_dropped() -> None:
    done: list[int] = []

    def work(index: int) -> None:
        if index == 3:
            raise LookupError
        done.append(index)

    with pytest.raises(LookupError):
        LocalEngine(1).parallel(work, 1000)
    assert done == [0, 1, 2]


def test_one_item_stays_in_the_callers_thread(local: LocalEngine) -> None:
    assert local.parallel(lambda _: threading.current_thread(), 1) == [threading.current_thread()]


def test_one_thread_means_the_caller() -> None:
    before = threading.active_count()
    assert LocalEngine(1).parallel(lambda _: threading.current_thread(), 5) == [threading.current_thread()] * 5
    assert threading.active_count() == before


def test_all_threads_work_at_once() -> None:
    engine = LocalEngine(3)
    meeting = threading.Barrier(3)
    engine.parallel(lambda _: meeting.wait(30), 3)  # breaks unless three are in it together
    engine.shutdown()


def test_never_more_threads_than_asked_for() -> None:
    engine = LocalEngine(2)
    names = {thread.name for thread in engine.parallel(lambda _: threading.current_thread(), 200)}
    assert len(names) <= 2
    engine.shutdown()


def test_maps_nest_to_any_depth() -> None:
    engine = LocalEngine(2)

    def deep(level: int) -> int:
        return 1 if level == 0 else sum(engine.parallel(lambda _: deep(level - 1), 3))

    assert deep(5) == 3**5
    engine.shutdown()


def test_maps_from_many_threads_at_once(local: LocalEngine) -> None:
    running = [jobs.start(local.parallel, lambda i: i, 50) for _ in range(20)]
    assert all(job.result(30) == list(range(50)) for job in running)


def test_cancellation_is_seen_between_items(local: LocalEngine) -> None:
    done: list[int] = []

    def work(index: int) -> None:
        done.append(index)
        job = jobs.current()
        assert job is not None
        if index == 10:
            job.cancel()

    with pytest.raises(CancelledError), jobs.running("cancels itself"):
        local.parallel(work, 1000)
    assert len(done) < 1000


def test_an_interrupt_drops_the_rest_and_leaves_the_engine_usable() -> None:
    engine = LocalEngine(1)

    def work(index: int) -> int:
        if index == 2:
            raise KeyboardInterrupt
        return index

    with pytest.raises(KeyboardInterrupt):
        engine.parallel(work, 10)
    assert engine.parallel(lambda i: i, 4) == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_helper_survives_whatever_an_item_raises(error: type[BaseException]) -> None:
    engine = LocalEngine(2)
    caller = threading.current_thread()
    meeting = threading.Barrier(2)

    def work(_: int) -> None:
        meeting.wait(30)
        if threading.current_thread() is not caller:
            raise error

    with pytest.raises(error):
        engine.parallel(work, 2)
    meeting.reset()
    assert engine.parallel(lambda i: (meeting.wait(30), i)[1], 2) == [0, 1]
    engine.shutdown()


def test_results_are_not_kept_by_tickets_nobody_took() -> None:
    class Large:
        pass

    engine = LocalEngine(2)
    gate, entered = Latch(), Latch()
    blocked = jobs.start(engine.parallel, lambda i: (entered.open(), gate.wait(30)) if i else entered.wait(30), 2)
    assert entered.wait(30)  # the helper is busy now
    values = engine.parallel(lambda _: Large(), 2)
    seen = [weakref.ref(value) for value in values]
    del values
    gc.collect()
    assert [ref() for ref in seen] == [None, None]
    gate.open()
    blocked.result(30)
    engine.shutdown()


def test_work_goes_on_after_shutdown(local: LocalEngine) -> None:
    engine = LocalEngine(3)
    engine.parallel(lambda i: i, 3)
    engine.shutdown()
    assert engine.parallel(lambda i: i, 3) == [0, 1, 2]
    engine.shutdown()


def test_a_handle_of_another_engine_is_refused(local: LocalEngine) -> None:
    class ObjectRef:
        pass

    with pytest.raises(UserError, match=r"lives on a Ray engine.*init\('ray'\)"):
        local.map(places.double, [(ObjectRef(),)])
    with pytest.raises(UserError, match="lives on a Ray engine"):
        local.get([ObjectRef()])


def test_a_latch_lets_everybody_through_for_good() -> None:
    latch = Latch()
    assert not latch.wait(0)
    waiting = [jobs.start(latch.wait, 30) for _ in range(5)]
    latch.open()
    latch.open()
    assert all(job.result(30) for job in waiting)
    assert latch.wait()
    assert latch.wait(0)
