"""The Ray engine beyond what all engines promise: lost workers, lineage, back-pressure, loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hydroscope.engine.local import LocalEngine
from hydroscope.engine.ray import cluster
from hydroscope.engine.ray.cluster import DOORMEN, attach, is_loopback
from hydroscope.engine.ray.engine import TASKS_PER_CPU, RayEngine
from hydroscope.engine.ray.flight import GRACE_S, Flight
from hydroscope.engine.ray.homecoming import home
from hydroscope.engine.ray.task import run_item
from hydroscope.ground.errors import CancelledError, HydroscopeError, UserError
from hydroscope.node import jobs
from hydroscope.node.deaths import WorkerDied
from hydroscope.node.ports import NodeLost
from hydroscope.weave.notice import HydroscopeWarning
from tests.engine import places


def test_a_task_that_kills_its_workers_is_convicted(ray_engine: RayEngine) -> None:
    with pytest.raises(WorkerDied, match=r"places.die kills the processes that run it \(exit code 3\)") as caught:
        ray_engine.map(places.die, [(0,)])
    assert "in item 0 of 1 of tests.engine.places.die" in caught.value.__notes__
    first, alone = caught.value.deaths
    assert first.exit_code == alone.exit_code == 3
    assert first.pid != alone.pid
    assert alone.evidence == ("alone in a process of its own", "wait status: exit code 3")
    assert ray_engine.get(ray_engine.map(places.double, [(1,)])) == [2]


def test_the_item_of_a_worker_that_died_is_tried_again(ray_engine: RayEngine, tmp_path: Path) -> None:
    items = [(str(tmp_path / f"item {i}") if i == 1 else __file__, i) for i in range(4)]
    with pytest.warns(HydroscopeWarning, match=r"ended by exit code 3 .* item 1 of 4 of tests.engine.places.die_once"):
        assert ray_engine.get(ray_engine.map(places.die_once, items)) == [0, 1, 2, 3]
    assert ray_engine.deaths[-1].exit_code == 3
    assert (tmp_path / "item 1").exists()


def test_fetching_looks_whether_the_job_was_cancelled(ray_engine: RayEngine, tmp_path: Path) -> None:
    task, _ = ray_engine._bound_task(run_item, places.wait_for, 1)
    began, until = str(tmp_path / "began"), str(tmp_path / "until")
    value, ended = task.remote(None, (0, 1, 10.0), began, until)  # as if its node were lost and it ran once more
    job = jobs.start(ray_engine.get, value)
    job.cancel()
    try:
        with pytest.raises(CancelledError):
            job.result(60)
    finally:
        Path(until).touch()
    assert ray_engine.get([value, value]) == [began, began]
    assert ray_engine.get(ended) is None


def test_an_error_brings_the_workers_traceback(ray_engine: RayEngine) -> None:
    with pytest.raises(LookupError) as caught:
        ray_engine.map(places.fail_at, [(0, (0,))])
    notes = "\n".join(caught.value.__notes__)
    assert "places.py" in notes
    assert "ip=127.0.0.1" in notes
    assert "\x1b" not in notes


def test_an_error_that_cannot_be_sent_is_told(ray_engine: RayEngine) -> None:
    with pytest.raises(HydroscopeError, match="cannot be sent between processes") as caught:
        ray_engine.map(places.fail_unsendable, [(0,)])
    assert "UnsendableError: kept here" in str(caught.value)


def test_items_run_in_other_processes_outside_any_job(ray_engine: RayEngine) -> None:
    [(pid, _, _, no_job)] = ray_engine.get(ray_engine.map(places.surroundings, [(0,)]))
    assert pid != os.getpid()
    assert no_job


def test_values_of_another_process_are_read_only(ray_engine: RayEngine) -> None:
    [handle] = ray_engine.map(places.ones, [(300_000,)])
    values = ray_engine.get(handle)
    assert not values.flags.writeable
    np.testing.assert_array_equal(values, np.ones(300_000))


def test_no_more_than_so_many_tasks_are_in_flight(ray_engine: RayEngine) -> None:
    most = 0

    class Watched(Flight):
        def _land(self, waited_for: list[Any]) -> None:
            nonlocal most
            most = max(most, len(self._pending))
            super()._land(waited_for)

    task, bound = ray_engine._bound_task(run_item, places.double, 1)
    items = [(bound, (i, 60, 10.0), i) for i in range(60)]
    flight = Watched(ray_engine._ray, task, items, 2 * TASKS_PER_CPU, lambda: None, list)
    flight.land_all(counted=False)
    assert len(flight.handles) == 60
    assert most == 2 * TASKS_PER_CPU


def test_a_function_is_wrapped_once(ray_engine: RayEngine) -> None:
    before = ray_engine._task.cache_info().misses
    for _ in range(3):
        ray_engine.map(places.total, [(np.ones(2),)])
    assert ray_engine._task.cache_info().misses <= before + 1


def test_of_a_partial_only_the_arguments_are_shipped(ray_engine: RayEngine) -> None:
    before = ray_engine._task.cache_info().misses
    for left in range(4):
        handles = ray_engine.map(partial(places.add, left), [(1,), (2,)])
        assert ray_engine.get(handles) == [left + 1, left + 2]
        assert ray_engine.reduce(partial(places.keep, "a", separator=","), handles) == "a,"
    assert ray_engine._task.cache_info().misses == before + 2


def test_a_function_that_cannot_be_hashed_works(ray_engine: RayEngine) -> None:
    class Unhashable:
        __hash__ = None

        def __call__(self, x: int) -> int:
            return x + 1

    assert ray_engine.get(ray_engine.map(Unhashable(), [(1,)])) == [2]


def test_ray_listens_on_the_loopback_interface_only(ray_engine: RayEngine) -> None:
    import ray

    assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
    listening = places.listening([os.getpid(), *places.descendants()])
    assert listening, "Ray's processes listen somewhere"
    assert {host for host, _ in listening} == {"127.0.0.1"}
    dashboard = 8265
    assert dashboard not in {port for _, port in listening}


@pytest.fixture
def on_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have addresses of this machine taken for those of another."""
    monkeypatch.setattr(cluster, "is_loopback", lambda host: False)


@pytest.fixture
def open_door() -> Iterator[str]:
    """A port that answers as a Ray does which asks for no token."""
    grpc = pytest.importorskip("grpc")
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait(30)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_ray_on_the_network_that_lets_in_anybody_is_refused(
    on_the_network: None, open_door: str, scheme: str
) -> None:
    door = SlowDoor(0)
    with pytest.raises(UserError, match=r"asks nobody for a token.*RAY_AUTH_MODE=token.*unauthenticated=True"):
        attach(door, scheme + open_door)
    assert door.n_asked == 0
    attach(door, scheme + open_door, unauthenticated=True)
    assert door.n_asked == 1


def test_a_ray_on_the_network_that_asks_for_a_token_is_joined(on_the_network: None, ray_engine: RayEngine) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address  # one that was started here asks for a token
    door = SlowDoor(0)
    attach(door, address)
    assert door.n_asked == 1


def test_a_ray_found_by_itself_is_left_when_it_lets_in_anybody(on_the_network: None, open_door: str) -> None:
    door = SlowDoor(0)
    door.gcs_address = open_door
    with pytest.raises(UserError, match="asks nobody for a token"):
        attach(door, "auto")
    assert door.n_left == 1


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("192.0.2.7", False), ("no.such.host.invalid", False)],
)  # fmt: skip
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_data_of_the_local_engine_can_be_used(ray_engine: RayEngine, local: LocalEngine) -> None:
    made = local.map(places.ones, [(10,), (20,)])
    assert ray_engine.get(ray_engine.map(places.total, [(value,) for value in made])) == [10.0, 20.0]


class SlowDoor:
    """Stands in for Ray's client port on a machine too slow for its 30 s: the first attempts fail."""

    def __init__(self, n_failures: int, text: str = "Starting Ray client server failed. See its log") -> None:
        self.n_failures = n_failures
        self.n_asked = self.n_left = 0
        self.text = text
        self.gcs_address = ""

    def is_initialized(self) -> bool:
        return False

    def shutdown(self) -> None:
        self.n_left += 1

    def get_runtime_context(self) -> SlowDoor:
        return self

    def init(self, **_: Any) -> None:
        self.n_asked += 1
        if self.n_asked <= self.n_failures:
            raise ConnectionAbortedError(self.text)


def test_a_slow_client_port_is_asked_again() -> None:
    door = SlowDoor(DOORMEN - 1)
    attach(door, "ray://")
    assert door.n_asked == DOORMEN


@pytest.mark.parametrize(
    ("text", "n_asked"),
    [("Starting Ray client server failed.", DOORMEN), ("psutil.ZombieProcess: (pid=8)", DOORMEN), ("no such token", 1)],
)
def test_it_is_not_asked_for_ever_nor_after_a_refusal(text: str, n_asked: int) -> None:
    door = SlowDoor(9, text)
    with pytest.raises(ConnectionAbortedError):
        attach(door, "ray://")
    assert door.n_asked == n_asked


def test_what_cannot_be_made_again_is_a_lost_node(ray_engine: RayEngine) -> None:
    import ray

    lost = ray.exceptions.ObjectLostError("ab" * 28, "127.0.0.1:1", "")
    in_a_task = ray.exceptions.RayTaskError("f", "traceback", lost)
    for error in (lost, in_a_task):
        found = home(ray, error)
        assert isinstance(found, NodeLost)
        assert "cannot be made again: ObjectLostError" in str(found)


class Cancelling:
    """Stands in for Ray while tasks 0 to 4 are on their way, of which 0 and 2 end in time."""

    def __init__(self) -> None:
        self.cancelled: list[int] = []
        self.waited_s = 0.0

    def wait(self, refs: list[int], num_returns: int, timeout: float, fetch_local: bool) -> tuple[list[int], list[int]]:
        self.waited_s += timeout
        return [ref for ref in refs if ref in (0, 2)], [ref for ref in refs if ref not in (0, 2)]

    def cancel(self, ref: int, force: bool) -> None:
        self.cancelled.append(ref)


def test_tasks_are_given_time_to_end_and_the_last_is_cancelled_first() -> None:
    ray = Cancelling()
    flight = Flight(ray, None, [], 8, lambda: None, lambda deaths: None)
    flight._pending = {i: i for i in range(5)}
    flight.cancel()
    assert ray.cancelled == [4, 3, 1]
    assert ray.waited_s == GRACE_S
    flight.cancel()
    assert ray.waited_s == GRACE_S, "nothing is left to wait for"
