"""The driver's eye on the cluster: a warden on every node, and what became of nodes and workers."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any

from hydroscope.engine.ray.warden import Introduction, NodeWarden, name_of
from hydroscope.node.deaths import Death
from hydroscope.weave.notice import HydroscopeWarning

__all__ = ["STOPPED_S", "Guard"]

LOOK_EVERY_S = 2.0
"""Between two looks at which nodes there are."""

STOPPED_S = 10.0
"""For which a worker process may be stopped (SIGSTOP) before it is given up."""

WARDENS_MAX = 4
"""Wardens that a node is sent, one after the other: where they die at once, another will, too."""

ANSWER_S = 10.0
"""For a warden to answer."""


class Guard:
    """Keeps a warden on each node, and the list of what was lost.

    Attributes
    ----------
    deaths : list of Death
        Workers that died in the middle of a task which then ran well elsewhere.
    lost_nodes : list of str
    """

    def __init__(self, ray: Any, stopped_s: float) -> None:
        self._ray = ray
        self.stopped_s = stopped_s
        self.deaths: list[Death] = []
        self.lost_nodes: list[str] = []
        self._wardens: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        self._introduction: Introduction | None = None
        self._pulses: dict[str, Any] = {}
        self._n_sent: Counter[str] = Counter()
        self._looking = threading.Lock()
        self._looked = -LOOK_EVERY_S
        self._class = ray.remote(num_cpus=0, max_restarts=0, max_concurrency=8)(NodeWarden)
        self.look()

    @property
    def wardens(self) -> dict[str, Any]:
        """The wardens by Ray node id."""
        return dict(self._wardens)

    def ready_wardens(self, timeout_s: float) -> dict[str, Any]:
        """Wait for the wardens that there are to be at work; return those that are."""
        asked = {warden.ready.remote(): node for node, warden in self._wardens.items()}
        answered, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=timeout_s) if asked else ([], [])
        ready = {}
        for each in answered:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.get(each)
                ready[asked[each]] = self._wardens[asked[each]]
        return ready

    def introduce(self, introduction: Introduction) -> None:
        """Have all wardens, later ones too, tell workers how to join the key/value store."""
        self._introduction = introduction
        for warden in list(self._wardens.values()):
            warden.introduce.remote(introduction)

    def look(self) -> None:
        """See which nodes came and went; at most every LOOK_EVERY_S. Cost: a millisecond or two, then."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S or not self._looking.acquire(blocking=False):
            return
        try:
            self._looked = now
            self._look()
        finally:
            self._looking.release()

    def note(self, deaths: Iterable[Death]) -> None:
        """Keep, and tell of, deaths whose task ran well afterwards."""
        for death in deaths:
            self.deaths.append(death)
            _warn(f"{death}; the task ran again in a process of its own and ended well. Nothing else was affected")

    def _look(self) -> None:
        alive = {node["NodeID"]: node["NodeManagerAddress"] for node in self._ray.nodes() if node["Alive"]}
        for node in self._wardens.keys() - alive.keys():
            del self._wardens[node]
            self._pulses.pop(node, None)
            name = self._names.pop(node)
            self.lost_nodes.append(name)
            _warn(f"node {name} was lost; what it held is made again where it is needed")
        self._bury_wardens()
        if sys.platform != "linux":  # nothing to watch processes with: a task that runs again is a suspect
            return
        for node, host in alive.items():
            if node not in self._wardens and self._n_sent[node] < WARDENS_MAX:
                self._n_sent[node] += 1
                self._names[node] = f"{host} ({node[:8]})"
                self._wardens[node] = warden = self._send(node)
                self._pulses[node] = warden.live.remote()
                if self._introduction is not None:
                    warden.introduce.remote(self._introduction)

    def _bury_wardens(self) -> None:
        """Forget wardens that died though their node lives; another takes over, which is home to no keys."""
        nodes = {pulse: node for node, pulse in self._pulses.items()}
        ended, _ = self._ray.wait(list(nodes), num_returns=len(nodes), timeout=0) if nodes else ([], [])
        for pulse in ended:
            del self._pulses[nodes[pulse]], self._wardens[nodes[pulse]]

    def all_deaths(self) -> list[Death]:
        """Ask every warden which workers ended other than in an orderly way, idle ones too."""
        return [death for deaths in self._ask("ended") for death in deaths]

    def workers(self) -> list[dict[str, Any]]:
        """Ask every warden what its workers are doing."""
        return [worker for workers in self._ask("workers") for worker in workers]

    def _ask(self, what: str) -> list[Any]:
        asked = [getattr(warden, what).remote() for warden in self._wardens.values()]
        answered, _ = self._ray.wait(asked, num_returns=len(asked), timeout=ANSWER_S) if asked else ([], [])
        found = []
        for each in answered:
            with contextlib.suppress(self._ray.exceptions.RayError):  # a warden that went with its node
                found.append(self._ray.get(each))
        return found

    def _send(self, node: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node, soft=False)
        options = self._class.options(name=name_of(node), get_if_exists=True, scheduling_strategy=there)
        return options.remote(self.stopped_s)


def _warn(text: str) -> None:
    warnings.warn(text, HydroscopeWarning, stacklevel=4)
