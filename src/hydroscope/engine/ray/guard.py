"""The driver's eye on the cluster: a warden on every node, and what became of nodes and workers."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterable
from typing import Any

from hydroscope.engine.ray.warden import NodeWarden, name_of
from hydroscope.node.deaths import Death
from hydroscope.weave.notice import HydroscopeWarning

__all__ = ["STOPPED_S", "Guard"]

LOOK_EVERY_S = 2.0
"""Between two looks at which nodes there are."""

STOPPED_S = 10.0
"""For which a worker process may be stopped (SIGSTOP) before it is given up."""

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
        self._looked = -LOOK_EVERY_S
        self._class = ray.remote(num_cpus=0, max_restarts=0, max_concurrency=8)(NodeWarden)
        self.look()

    def look(self) -> None:
        """See which nodes came and went; at most every LOOK_EVERY_S. Cost: a millisecond or two, then."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        alive = {node["NodeID"]: node["NodeManagerAddress"] for node in self._ray.nodes() if node["Alive"]}
        for node in self._wardens.keys() - alive.keys():
            del self._wardens[node]
            name = self._names.pop(node)
            self.lost_nodes.append(name)
            _warn(f"node {name} was lost; what it held is made again where it is needed")
        for node, host in alive.items():
            if node not in self._wardens:
                self._names[node] = f"{host} ({node[:8]})"
                self._wardens[node] = self._send(node)

    def note(self, deaths: Iterable[Death]) -> None:
        """Keep, and tell of, deaths whose task ran well afterwards."""
        for death in deaths:
            self.deaths.append(death)
            _warn(f"{death}; the task ran again in a process of its own and ended well. Nothing else was affected")

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
