"""Jobs: their states, their progress, their cancellation, who gets their result."""

from __future__ import annotations

import contextvars
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.engine.latch import Latch
from hydroscope.ground.errors import CancelledError, InternalError, UserError
from hydroscope.node import jobs
from hydroscope.node.jobs import TRANSITIONS, Job, JobState

EVENTS = ("begin", "return", "raise", "stop")
ENDS = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


def test_every_state_answers_every_event() -> None:
    assert set(TRANSITIONS) == set(JobState)
    assert all(tuple(row) == EVENTS for row in TRANSITIONS.values())


def test_nothing_leaves_an_end() -> None:
    assert all(after is None for end in ENDS for after in TRANSITIONS[end].values())


@given(st.lists(st.sampled_from(EVENTS), max_size=6))
def test_any_story_ends_once_or_is_refused(events: list[jobs.Event]) -> None:
    job = Job("story")
    for event in events:
        before = job.state
        if TRANSITIONS[before][event] is None:
            with pytest.raises(InternalError, match=f"'{event}' in state {before}"):
                job._move(event)
            assert job.state is before
        else:
            job._move(event)
            assert before not in ENDS


def test_a_job_returns_what_its_function_returns() -> None:
    job = jobs.start(divmod, 7, 2, description="division")
    assert job.result(30) == (3, 1)
    assert (job.state, job.progress, job.description) == (JobState.DONE, 1.0, "division")
    assert job.exception() is None
    assert job.started is not None
    assert job.finished is not None
    assert job.started <= job.finished
    assert repr(job) == f"<Job {job.id} 'division' DONE 100%>"


def test_a_job_is_named_after_its_function() -> None:
    assert jobs.start(sum, [1]).description == "sum"


def test_a_job_raises_what_its_function_raises() -> None:
    job = jobs.start(int, "x")
    with pytest.raises(ValueError, match="invalid literal"):
        job.result(30)
    assert isinstance(job.exception(), ValueError)
    assert job.state is JobState.FAILED


def test_waiting_no_longer_than_asked() -> None:
    gate = Latch()
    job = jobs.start(gate.wait, 30, description="slow")
    with pytest.raises(TimeoutError, match=r"\(slow\) is at 0% after 0 s; wait again"):
        job.result(timeout=0)
    gate.open()
    assert job.result(30) is True


def test_cancelled_work_stops_at_its_next_check() -> None:
    began, gate = Latch(), Latch()

    def work() -> None:
        began.open()
        gate.wait(30)
        jobs.check()
        raise AssertionError("was not stopped")

    job = jobs.start(work)
    assert began.wait(30)
    assert not job.cancelled
    assert job.cancel()
    gate.open()
    with pytest.raises(CancelledError, match=r"job \d+ \(work\) was cancelled at 0%"):
        job.result(30)
    assert job.state is JobState.CANCELLED
    assert not job.cancel()


def test_work_that_never_asks_is_done_all_the_same() -> None:
    began, gate = Latch(), Latch()
    job = jobs.start(lambda: (began.open(), gate.wait(30))[1])
    began.wait(30)
    job.cancel()
    gate.open()
    assert job.result(30) is True


def test_a_job_cancelled_before_it_began_never_begins() -> None:
    job = Job("too late")
    job.cancel()
    contextvars.copy_context().run(job._run, pytest.fail, ("was begun",), {})
    assert (job.state, job.started) == (JobState.CANCELLED, None)


def test_cancelling_a_job_cancels_those_inside_it() -> None:
    with jobs.running("outer") as outer:
        inner = Job("inner")
        assert not inner.cancelled
        outer.cancel()
        assert inner.cancelled
        with pytest.raises(CancelledError), jobs.running("another inside"):
            pytest.fail("was begun")


def test_a_job_cannot_wait_for_itself() -> None:
    def work() -> None:
        job = jobs.current()
        assert job is not None
        job.result()

    with pytest.raises(UserError, match="cannot wait for itself"):
        jobs.start(work).result(30)


def test_a_block_is_a_job_of_this_thread() -> None:
    assert jobs.current() is None
    with jobs.running("block") as job:
        assert jobs.current() is job
        assert job.state is JobState.RUNNING
    assert jobs.current() is None
    assert job.state is JobState.DONE


@pytest.mark.parametrize(
    ("error", "state"),
    [(ValueError, JobState.FAILED), (CancelledError, JobState.CANCELLED), (KeyboardInterrupt, JobState.CANCELLED)],
)
def test_a_block_that_raises_ends_its_job(error: type[BaseException], state: JobState) -> None:
    with pytest.raises(error), jobs.running("block") as job:
        raise error
    assert job.state is state
    assert jobs.current() is None


def test_checks_and_reports_without_a_job_do_nothing() -> None:
    jobs.check()
    jobs.report(0.5, "nobody listens")
    jobs.count(1, 2)
    with jobs.share(0.0, 0.5):
        jobs.report(1.0)


def test_reports_are_seen() -> None:
    with jobs.running("block") as job:
        jobs.report(0.25, "a quarter")
        assert (job.progress, job.message) == (0.25, "a quarter")
        assert "RUNNING 25% (a quarter)" in repr(job)
        jobs.report(None, "still")
        assert (job.progress, job.message) == (0.25, "still")


@given(st.floats(allow_nan=False))
def test_progress_stays_between_nothing_and_all(fraction: float) -> None:
    with jobs.running("block") as job:
        job.update(fraction)
        assert 0.0 <= job.progress <= 1.0
        jobs.report(fraction)
        assert 0.0 <= job.progress <= 1.0


def test_shares_nest() -> None:
    with jobs.running("block") as job:
        with jobs.share(0.5, 1.0, "second half"):
            assert (job.progress, job.message) == (0.5, "second half")
            with jobs.share(0.5, 1.0):
                jobs.report(0.5)
                assert job.progress == 0.875
            assert job.progress == 1.0
        jobs.report(0.1)
        assert job.progress == 0.1


def test_counted_progress_yields_to_what_is_told() -> None:
    with jobs.running("block") as job:
        jobs.count(1, 4)
        assert job.progress == 0.25
        jobs.report(0.5)
        jobs.count(1, 4)
        assert job.progress == 0.5


def test_a_job_inside_a_job_reports_to_its_share() -> None:
    with jobs.running("outer") as outer:
        with jobs.share(0.2, 0.6), jobs.running("inner") as inner:
            jobs.report(0.5, "half of it")
            assert inner.progress == 0.5
            assert outer.progress == pytest.approx(0.4)
            assert outer.message == "half of it"
        assert outer.progress == pytest.approx(0.6)
        with jobs.running("not shared"):
            jobs.report(0.1)
        assert outer.progress == pytest.approx(0.6)


def test_a_started_job_belongs_to_the_one_that_started_it() -> None:
    with jobs.running("outer") as outer:
        job = jobs.start(jobs.current)
        assert job.result(30) is job
        assert job.parent is outer


def test_numbers_are_never_given_twice() -> None:
    running = [jobs.start(lambda: Job("x").id) for _ in range(8)]
    ids = [job.id for job in running] + [job.result(30) for job in running]
    assert len(set(ids)) == 16


def test_job_threads_do_not_keep_the_process_alive() -> None:
    assert jobs.start(lambda: threading.current_thread().daemon).result(30)
