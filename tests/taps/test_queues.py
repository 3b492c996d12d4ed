"""Taps on queues and pipes of `multiprocessing`, between processes."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os

import pytest

import hydroscope as hs
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.about import rings
from hydroscope.ground.record.layout import Kind
from hydroscope.ground.record.reader import read_ring
from hydroscope.scope.timeline import Timeline
from tests.taps.rings import Broken, both, ids, messages, unmatched

SECONDS = 20
FORK = multiprocessing.get_context("fork")


def of_folder(folder) -> Timeline:
    return Timeline.of([read_ring(each.path) for each in rings(folder)])


def work(questions, answers) -> None:
    while (each := questions.get(timeout=SECONDS)) is not None:
        answers.put(each * 2)


@pytest.mark.parametrize("wrapped", ["each", "all"])
def test_queues_between_processes_are_matched(here, tmp_path, wrapped):
    questions, answers = FORK.Queue(), FORK.Queue()
    tap = None
    if wrapped == "all":
        tap = hs.taps.install(here)
    else:
        for queue in (questions, answers):
            assert hs.taps.queue(here, queue) is queue
            assert hs.taps.queue(here, queue) is queue
    child = FORK.Process(target=work, args=(questions, answers))
    child.start()
    for k in range(20):
        questions.put("x" * k)
        assert answers.get(timeout=SECONDS) == "xx" * k
    questions.put(None)
    child.join(SECONDS)
    if tap is not None:
        tap.remove()
    for queue in (questions, answers):
        assert hs.taps.remove(queue) == (wrapped == "each")
        queue.close()
    found = of_folder(tmp_path)
    assert len(ids(here, Kind.SENT)) == 21
    assert sorted(node.name for node in found.events.nodes) == ["here", f"here.{child.pid}"]
    assert unmatched(found) == 0
    assert all(about.closed_at_ns for each in rings(tmp_path) if (about := read_ring(each.path).about).pid == child.pid)
    assert found.events.peer[found.events.kind == Kind.SENT].min() >= 0


def test_both_ends_of_a_pipe(here, there):
    ours, theirs = multiprocessing.Pipe()
    hs.taps.queue(here, ours)
    hs.taps.queue(there, theirs)
    ours.send({"a": 1})
    assert theirs.recv() == {"a": 1}
    theirs.send_bytes(b"some bytes")
    buffer = bytearray(20)
    assert ours.recv_bytes_into(buffer) == 10
    both(here, there)
    assert hs.taps.remove(ours)
    ours.send("not recorded")
    assert theirs.recv() == "not recorded"
    assert len(messages(here)) == 2
    ours.close()
    with pytest.raises(EOFError):
        theirs.recv()
    theirs.close()


def test_what_is_too_long_is_as_too_long_as_ever(here):
    ours, theirs = multiprocessing.Pipe()
    hs.taps.queue(here, theirs)
    ours.send_bytes(b"x" * 100)
    with pytest.raises(OSError, match="bad message length"):
        theirs.recv_bytes(10)
    ours.close()


def test_a_recorder_that_fails_is_not_noticed(here):
    here.sent = here.received = Broken()
    queue = hs.taps.queue(here, FORK.SimpleQueue())
    queue.put(17)
    assert queue.get() == 17
    queue.close()


def test_all_pipes_are_as_before_when_the_tap_is_removed(here):
    before = dict(vars(multiprocessing.connection.Connection))
    with hs.taps.install(here):
        hs.taps.install(here)
        assert dict(vars(multiprocessing.connection.Connection)) != before
    assert dict(vars(multiprocessing.connection.Connection)) == before


def test_a_pool_is_recorded(here, tmp_path):
    with hs.taps.install(here), FORK.Pool(2) as pool:
        assert pool.map(abs, range(-10, 0), chunksize=1) == list(range(10, 0, -1))
        pool.close()
        pool.join()
    found = of_folder(tmp_path)
    assert len(found.events.nodes) == 3
    assert len(ids(here, Kind.RECEIVED)) >= 10
    assert os.getpid() in {node.pid for node in found.events.nodes}


def test_what_is_no_queue_is_refused(here):
    with pytest.raises(UserError, match="no queue"):
        hs.taps.queue(here, [])


def test_another_recorder_records_the_pipes_that_are_open(here, there):
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        for rec in (here, there):
            with hs.taps.install(rec):
                ours.send(17)
                assert theirs.recv() == 17
    assert len(messages(here)) == len(messages(there)) == 2
