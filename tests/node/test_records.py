"""Records of jobs: what other processes see, how often it is written, and how a job is stopped from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hydroscope.engine.display import Display
from hydroscope.engine.keys_local import LocalKeys
from hydroscope.engine.latch import Latch
from hydroscope.engine.local import LocalEngine
from hydroscope.engine.threads import ThreadHost
from hydroscope.ground.errors import CancelledError, UserError
from hydroscope.node import jobs, ports, records
from hydroscope.node.jobs import Job

WAIT_S = 30.0


class Shared(LocalKeys):
    """The store of a process that is named "2" in a cluster with "1"; it counts what is written."""

    me = "2"
    shared = True

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, Any]] = []
        put = self.put

        def counted(key: str, value: Any, wait: bool = False, durable: bool = False) -> None:
            self.written.append((key, value))
            put(key, value, wait, durable)

        self.put = counted

    def members(self) -> list[str]:
        return ["1", "2"]


class Clock(ThreadHost):
    """A host whose time is told."""

    now_s = 1000.0

    def seconds(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def keys() -> Iterator[Shared]:
    store = Shared()
    before = ports.install_keys(store)
    yield store
    ports.install_keys(before)
    store.shutdown()


@pytest.fixture
def clock() -> Iterator[Clock]:
    host = Clock(Display(enabled=False))
    before = ports.install_host(host)
    yield host
    ports.install_host(before)


def described(description: str) -> records.JobRecord:
    [found] = [each for each in records.jobs() if each.description == description]
    return found


def test_a_running_job_is_listed_with_what_it_says() -> None:
    began, gate = Latch(), Latch()

    def work() -> None:
        jobs.report(0.25, "a quarter")
        began.open()
        gate.wait(WAIT_S)

    job = jobs.start(work, description="listed")
    assert began.wait(WAIT_S)
    record = described("listed")
    assert (record.id, record.owner, record.state) == (job.id, "2", "RUNNING")
    assert (record.progress, record.message, record.finished) == (0.25, "a quarter", None)
    assert record.started == job.started
    gate.open()
    job.result(WAIT_S)
    record = described("listed")
    assert (record.state, record.progress, record.finished) == ("DONE", 1.0, job.finished)
    assert record not in records.jobs(running=True)


def test_the_record_is_final_when_the_job_says_that_it_ended(keys: Shared) -> None:
    for k in range(20):
        job = jobs.start(int, "x" if k % 2 else "1")
        job.exception(WAIT_S)
        assert keys.get(f"job/2/{job.id}")["state"] == str(job.state)


def test_a_failed_job_says_why() -> None:
    jobs.start(int, "x", description="fails").exception(WAIT_S)
    record = described("fails")
    assert record.state == "FAILED"
    assert record.message == "ValueError: invalid literal for int() with base 10: 'x'"


def test_short_work_leaves_no_record(keys: Shared) -> None:
    with jobs.running("short"):
        jobs.report(0.5)
        jobs.check()
        assert [each.description for each in records.jobs()] == ["short"]  # of this process: listed all the same
    assert keys.written == []
    assert records.jobs() == []


def test_progress_is_written_now_and_then(keys: Shared, clock: Clock) -> None:
    with jobs.running("long") as job:
        for step in range(1000):
            jobs.report(step / 1000)
            jobs.check()
            clock.now_s += 0.001  # a thousand reports in a second
    key = f"job/2/{job.id}"
    assert {written for written, _ in keys.written} == {key}
    progress = [value["progress"] for _, value in keys.written]
    assert progress == sorted(progress)
    assert 18 <= len(progress) <= 21
    assert keys.written[-1][1]["state"] == "DONE"


def test_of_calls_in_a_hurry_few_look_at_the_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    monkeypatch.setattr(Clock, "seconds", lambda host: looks.append(host.now_s) or host.now_s)
    with jobs.running("hurried"):
        for _ in range(1600):
            jobs.check()
        assert len(looks) < 110
        looks.clear()
        for _ in range(16):
            clock.now_s += 1
            jobs.check()
        n_late = 16 - len(looks)
        assert n_late <= records.SKIPPED_MAX
        looks.clear()
        for _ in range(100):
            clock.now_s += 1
            jobs.check()
        assert len(looks) == 100


def test_a_job_inside_another_has_no_record_of_its_own(keys: Shared, clock: Clock) -> None:
    with jobs.running("outer") as outer, jobs.share(0.0, 0.5), jobs.running("inner"):
        clock.now_s += 1
        jobs.report(0.5)  # may be one that does not look
        jobs.report(0.5)
    assert {key for key, _ in keys.written} == {f"job/2/{outer.id}"}
    assert keys.written[0][1]["progress"] == 0.25


def test_another_process_stops_a_job(keys: Shared, clock: Clock) -> None:
    def work() -> None:
        with jobs.running("to be stopped") as job:
            clock.now_s += 1
            jobs.check()
            keys.put(f"job-stop/2/{job.id}", True)  # what JobRecord.cancel of another process does
            jobs.check()  # too soon after the last look
            clock.now_s += 1
            jobs.check()  # may be one of those that do not look
            jobs.check()
            pytest.fail("was not stopped")

    with pytest.raises(CancelledError):
        work()
    assert described("to be stopped").state == "CANCELLED"
    assert keys.keys("job-stop/") == []


def foreign(keys: Shared, owner: str, state: str = "RUNNING") -> records.JobRecord:
    record = records.JobRecord(7, owner, "elsewhere", state, 0.5, "", 1.0, None)
    keys.put(record.key, record._asdict())
    return described("elsewhere")


def test_cancelling_a_job_of_another_process_leaves_it_word(keys: Shared) -> None:
    assert foreign(keys, "1").cancel() is True
    assert keys.get("job-stop/1/7") is True


def test_cancelling_what_has_ended_does_nothing(keys: Shared) -> None:
    assert foreign(keys, "1", "DONE").cancel() is False
    assert keys.keys("job-stop/") == []


def test_cancelling_a_job_of_this_process_by_its_record() -> None:
    began, gate = Latch(), Latch()

    def work() -> None:
        began.open()
        gate.wait(WAIT_S)
        jobs.check()

    job = jobs.start(work, description="ours")
    assert began.wait(WAIT_S)
    assert described("ours").cancel() is True
    gate.open()
    assert isinstance(job.exception(WAIT_S), CancelledError)


def test_what_a_lost_process_was_doing_is_lost(keys: Shared) -> None:
    record = foreign(keys, "3")
    assert (record.state, record.message) == ("LOST", "its process 3 was lost")
    assert foreign(keys, "3", "DONE").state == "DONE"


def test_old_records_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "KEPT", 3)
    monkeypatch.setattr(records, "_ended", type(records._ended)())
    done = [jobs.start(sum, [k]) for k in range(6)]
    for job in done:
        job.result(WAIT_S)
    assert len(records.jobs()) == 3


def test_a_store_that_fails_does_no_harm_to_the_job(monkeypatch: pytest.MonkeyPatch, keys: Shared) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ports.NodeLost("gone", ["job/2/1"])

    monkeypatch.setattr(keys, "put", refuse)
    assert jobs.start(sum, [1, 2]).result(WAIT_S) == 3


def test_work_does_not_wait_for_a_store_that_is_not_open_yet(
    local: LocalEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "has_keys", False, raising=False)
    ports.install_keys(None)
    with jobs.running("early"):
        clock.now_s += 1
        jobs.check()
        assert ports.keys_in_use() is None
        monkeypatch.setattr(local, "has_keys", True)
        clock.now_s += 1
        jobs.check()
        assert ports.keys_in_use() is not None
    assert described("early").state == "DONE"


def test_a_key_that_holds_no_record_is_explained(keys: Shared) -> None:
    keys.put("job/1/1", {"id": "one"})
    with pytest.raises(UserError, match="key 'job/1/1' does not hold a job's record"):
        records.jobs()


def test_a_job_that_was_never_begun_is_not_listed() -> None:
    Job("only made")
    assert records.jobs() == []
