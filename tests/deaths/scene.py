"""A Ray cluster of several nodes on this machine, and what its workers' black boxes tell."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

import hydroscope as hs
from hydroscope.engine.ray.box import Remains, read_box

__all__ = ["QUICK", "Scene", "Totals", "kill_when", "quiet"]

STORE_BYTES = 150 * 2**20

QUICK = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
"""How soon Ray sees that a node is lost: 2 s in place of its usual 15."""

ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",  # on the loopback interface
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "HYDROSCOPE_PROGRESS": "0",
}


def quiet() -> None:
    """Have Ray stay on the loopback interface and say nothing; before Ray starts."""
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
    from ray._private import ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = False
    logging.getLogger("ray").setLevel(logging.CRITICAL)


class Totals:
    """Sums over all black boxes of the session, those of the dead included."""

    def __init__(self, boxes: list[Remains]) -> None:
        self.runs = sum(box.runs for box in boxes)
        self.reruns = sum(box.reruns for box in boxes)

    def since(self, before: Totals) -> tuple[int, int]:
        """Return tasks begun and tasks begun again since then."""
        return self.runs - before.runs, self.reruns - before.reruns


class Scene:
    """A head, to which this process is attached and which is not lost, and nodes of one CPU each."""

    def __init__(self, n_nodes: int, stopped_s: float = 2.0, head_cpus: int = 0) -> None:
        quiet()
        head = {
            "num_cpus": head_cpus,
            "include_dashboard": False,
            "include_log_monitor": False,
            "object_store_memory": STORE_BYTES,
            "_system_config": QUICK,
        }
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.n_nodes = n_nodes
        self.nodes: list[Any] = []
        for _ in range(n_nodes):
            self.add()
        from hydroscope.engine.ray.engine import RayEngine
        from hydroscope.node import ports

        ray.init(address=self.cluster.address, logging_level=logging.CRITICAL, log_to_driver=False)
        self.engine = RayEngine(ray, True, 1, stopped_s)
        ports.install(self.engine)
        job = ray.get_runtime_context().get_job_id()
        self.folder = Path(ray._private.worker._global_node.get_session_dir_path(), "hydroscope", job)

    def add(self) -> Any:
        """Start a node."""
        node = self.cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        self.nodes.append(node)
        return node

    def full(self, n_nodes: int | None = None) -> None:
        """Start nodes until there are as many again (as in the beginning), and wait for their wardens."""
        while len(self.nodes) < (self.n_nodes if n_nodes is None else n_nodes):
            self.add()
        self.cluster.wait_for_nodes()
        self.engine._guard._looked = 0.0
        self.engine._guard.look()
        self.engine._guard.all_deaths()

    def boxes(self) -> list[Remains]:
        """Return what all boxes say."""
        return [box for path in self.folder.glob("*/*.box") if (box := read_box(path)) is not None]

    def boxes_of(self, node: Any) -> list[Remains]:
        """Return the boxes of one node's workers."""
        return [box for path in self.folder.glob(f"{node.node_id}/*.box") if (box := read_box(path)) is not None]

    def totals(self) -> Totals:
        """Return the sums so far."""
        return Totals(self.boxes())

    def busy(self) -> tuple[Any, Remains] | None:
        """Return a node, and the box of a worker there that runs a task."""
        for node in self.nodes:
            for box in self.boxes_of(node):
                if box.running and _lives(box.pid):
                    return node, box
        return None

    def lose(self, how: str, node: Any, box: Remains) -> None:
        """Kill a node, its raylet, or a worker of it."""
        if how == "worker":
            with contextlib.suppress(ProcessLookupError):
                os.kill(box.pid, signal.SIGKILL)
            return
        self.nodes.remove(node)
        if how == "raylet":
            for process in node.all_processes["raylet"]:
                process.process.kill()
        self.cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        """End everything."""
        hs.shutdown()
        self.engine.shutdown()
        self.cluster.shutdown()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@contextlib.contextmanager
def kill_when(scene: Scene, how: str, n_runs: int) -> Iterator[dict[str, Any]]:
    """While the block runs: wait until so many more tasks have begun, then kill. Yields what will be known of it."""
    before = scene.totals().runs
    known: dict[str, Any] = {"killed": 0, "in_flight": 0}
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            if scene.totals().runs - before < n_runs:
                continue  # a look costs a fraction of a millisecond a worker
            found = scene.busy()
            if found is None:
                continue
            node, box = found
            known["in_flight"] = 1 if how == "worker" else sum(each.running for each in scene.boxes_of(node))
            known["task"] = str(box.note.get("task", ""))
            known["at"] = time.monotonic()
            known["killed"] = 1
            scene.lose(how, node, box)
            return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield known
    finally:
        stop.set()
        thread.join(60)


def timed(work: Callable[[], str]) -> tuple[str, float]:
    """Return what the work gave and the seconds it took."""
    began = time.monotonic()
    result = work()
    return result, time.monotonic() - began
