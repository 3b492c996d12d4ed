"""What was recorded, by all nodes, as columns: what everything in this room reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.ground.record.layout import DATA_BYTES, Kind
from hydroscope.ground.record.reader import Ring
from hydroscope.scope.bundles import unbundled

__all__ = ["COLUMNS", "MESSAGES", "Events", "Missing", "Node"]

COLUMNS: dict[str, str] = {
    "node": "u2",
    "lane": "u4",
    "kind": "u2",
    "stamp": "u8",
    "at_ns": "i8",
    "id": "u8",
    "peer": "i4",
    "subject": "u4",
    "n_bytes": "u4",
    "data": f"V{DATA_BYTES}",
}
"""Name and type of each column."""

NOBODY = -1

MESSAGES = (Kind.SENT, Kind.RECEIVED, Kind.DROPPED, Kind.RESENT)
"""Records that have another end, which is a node. What others name is their subject."""


@dataclass(frozen=True, slots=True)
class Node:
    """A process that has recorded, or that others have named."""

    name: str
    pid: int = 0
    opened_wall_ns: int = 0
    opened_at_ns: int = 0
    """The same moment, on the wall and by the clock of `at_ns`."""
    boot: bytes = b""
    """Which run of which machine: where it is the same, so is the clock of `at_ns`. Empty: unknown."""
    read: str = "ring"
    """How its records were read; "nothing" if there are none."""
    n_torn: int = 0
    """Records that were being written when they were read, or for ever."""
    damage: tuple[str, ...] = ()
    """What else is wrong with its ring, in words."""
    recorded_as: str = ""
    """What it and others call it, where a later process has the name."""
    closed_at_ns: int = 0
    """When its recording ended in good order, by the clock of `at_ns`; 0: it did not, or nobody knows."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A node whose records could not be had."""

    name: str
    why: str
    """In words that go on after "nothing of NAME was read: "."""


@dataclass(frozen=True, slots=True)
class Events:
    """Records of all nodes, node after node, each node's by stamp: in the order in which it wrote them.

    Use `Events.sorted` or `Events.of`, which see to that.
    """

    nodes: tuple[Node, ...]
    names: tuple[str, ...]
    """Of lanes and subjects; the first is the empty text, which is nobody's."""
    node: npt.NDArray[np.uint16]
    """Index into `nodes`."""
    lane: npt.NDArray[np.uint32]
    """Index into `names`."""
    kind: npt.NDArray[np.uint16]
    """`ground.record.layout.Kind`."""
    stamp: npt.NDArray[np.uint64]
    """Hybrid logical time."""
    at_ns: npt.NDArray[np.int64]
    """Of the node's own clock, which never goes back."""
    id: npt.NDArray[np.uint64]
    peer: npt.NDArray[np.int32]
    """The other end of a message, as an index into `nodes`; -1: none, or unknown."""
    subject: npt.NDArray[np.uint32]
    """What it is about, as an index into `names`: a task, a key, an error's type, a note's text; 0: nothing."""
    n_bytes: npt.NDArray[np.uint32]
    data: npt.NDArray[np.void]
    starts: npt.NDArray[np.int64] = field(repr=False)
    """Node k has the records `starts[k]:starts[k + 1]`."""

    def __len__(self) -> int:
        return int(self.node.size)

    @property
    def first_bytes(self) -> npt.NDArray[np.uint8]:
        """The bytes of `data`, a row each. Cost: free; a copy where they do not lie in one piece."""
        return np.ascontiguousarray(self.data).view(np.uint8).reshape(len(self), DATA_BYTES)

    @classmethod
    def sorted(cls, nodes: Sequence[Node], names: Sequence[str], columns: Mapping[str, npt.ArrayLike]) -> Events:
        """Return the events of columns that are in any order.

        Parameters
        ----------
        nodes : sequence of Node
        names : sequence of str
            The first is empty.
        columns : mapping of str to array
            All of `COLUMNS`, of one length.

        Notes
        -----
        Cost: a sort by stamp and node, unless they are in order.
        """
        arrays: dict[str, Any] = {name: np.ascontiguousarray(columns[name], kind) for name, kind in COLUMNS.items()}
        node, stamp = arrays["node"], arrays["stamp"]
        same = node[1:] == node[:-1]
        if not (np.all(node[1:] >= node[:-1]) and np.all(stamp[1:][same] >= stamp[:-1][same])):
            by = np.lexsort((stamp, node))
            arrays = {name: array[by] for name, array in arrays.items()}
        starts = np.searchsorted(arrays["node"], np.arange(len(nodes) + 1)).astype(np.int64)
        names = tuple(names) or ("",)
        assert not names[0], "name 0 is nobody's"
        return cls(tuple(nodes), names, **arrays, starts=starts)

    @classmethod
    def of(cls, rings: Iterable[Ring]) -> Events:
        """Return the events of rings that were read.

        Parameters
        ----------
        rings : iterable of Ring
            Of one process each. A peer is the node of this name, or the one node that has a lane of this name (a member
            of a cluster is a lane of its process); without either it becomes a node without records. Of several
            rings of one name (a process that was started again), the last keeps it, and the others have their process
            id behind it.

        Notes
        -----
        Cost: a copy of the records, and a sort by stamp within each ring.
        """
        nodes, rings, lives = _nodes(unbundled(ring) for ring in rings)
        for name, k in _lanes(rings).items():
            lives.setdefault(name, (np.zeros(1, np.uint64), np.array([k])))
        names = {"": 0}
        parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in COLUMNS}
        for k, ring in enumerate(rings):
            records = ring.records
            for name in ("kind", "stamp", "at_ns", "id", "n_bytes", "data"):
                parts[name].append(records[name])
            parts["node"].append(np.full(records.size, k))
            is_message = np.isin(records["kind"], MESSAGES)
            peer, lane = (np.where(records[name] < len(ring.names), records[name], 0) for name in ("peer", "lane"))
            peers = np.full(records.size, NOBODY)
            for place in np.unique(peer[is_message]):
                if name := ring.names[place]:
                    if name not in lives:
                        lives[name] = (np.zeros(1, np.uint64), np.array([len(nodes)]))
                        nodes.append(Node(name, read="nothing"))
                    here = np.flatnonzero(is_message & (peer == place))
                    opened, which = lives[name]
                    life = np.searchsorted(opened, records["stamp"][here], "right") - 1 if which.size > 1 else 0
                    peers[here] = which[np.maximum(life, 0)]
            parts["peer"].append(peers)
            places = np.array([names.setdefault(name, len(names)) for name in ring.names], np.uint32)
            places[:1] = 0
            parts["subject"].append(np.where(is_message, 0, places[peer]))
            parts["lane"].append(places[lane])
        columns = {name: np.concatenate(each) if each else np.empty(0, COLUMNS[name]) for name, each in parts.items()}
        return cls.sorted(nodes, list(names), columns)

    def parties(self) -> npt.NDArray[np.int64]:
        """Return, for each node, the first node that is called so by others: an earlier life of it. Cost: O(nodes)."""
        seen: dict[str, int] = {}
        names = [node.recorded_as or node.name for node in self.nodes]
        return np.array([seen.setdefault(name, k) for k, name in enumerate(names)], np.int64)

    def clocks(self) -> npt.NDArray[np.int64]:
        """Return a number for each node's clock: nodes of one machine have one. Cost: O(nodes)."""
        seen: dict[object, int] = {}
        return np.array([seen.setdefault(node.boot or k, len(seen)) for k, node in enumerate(self.nodes)], np.int64)

    def wall_ns(self, clocks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return each record's time as the wall clock said it when the ring (the first of its clock) was opened.

        Parameters
        ----------
        clocks : (n_nodes,)
            As `clocks` returns them.

        Notes
        -----
        Later settings of the wall clock are not in it. Cost: O(n).
        """
        ahead = np.array([node.opened_wall_ns - node.opened_at_ns for node in self.nodes], np.int64)
        _, first, which = np.unique(clocks, return_index=True, return_inverse=True)
        return self.at_ns + np.repeat(ahead[first[which]], np.diff(self.starts))


def _lanes(rings: Iterable[Ring]) -> dict[str, int]:
    """Return the lanes that one ring alone has used, and which that is."""
    owners: dict[str, int] = {}
    shared = set()
    for k, ring in enumerate(rings):
        for place in np.flatnonzero(np.bincount(ring.records["lane"], minlength=1)):
            name = ring.names[place] if place < len(ring.names) else ""
            if owners.setdefault(name, k) != k:
                shared.add(name)
    return {name: k for name, k in owners.items() if name and name not in shared}


Lives = dict[str, tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]]


def _nodes(rings: Iterable[Ring]) -> tuple[list[Node], list[Ring], Lives]:
    """Return a node for each ring, the rings in the same order, and of each name when its nodes began, and which."""
    named: dict[str, list[Ring]] = {}
    for k, ring in enumerate(rings):
        named.setdefault(f"?{k}" if ring.about is None else ring.about.name, []).append(ring)
    nodes: list[Node] = []
    ordered: list[Ring] = []
    lives: Lives = {}
    for name, same in named.items():
        same.sort(key=lambda ring: ring.about.opened_wall_ns if ring.about else 0)
        opened = [ring.about.opened_wall_ns if ring.about else 0 for ring in same]
        lives[name] = (np.array(opened, np.uint64), np.arange(len(nodes), len(nodes) + len(same)))
        for ring in same:
            about, is_last = ring.about, ring is same[-1]
            if about is None:
                nodes.append(Node(name, read="damaged ring", n_torn=ring.n_torn, damage=ring.damage))
                continue
            nodes.append(
                Node(
                    name if is_last else f"{name} (pid {about.pid})",
                    about.pid,
                    about.opened_wall_ns,
                    about.opened_at_ns,
                    about.boot,
                    n_torn=ring.n_torn,
                    damage=ring.damage,
                    recorded_as="" if is_last else name,
                    closed_at_ns=about.closed_at_ns,
                )
            )
        ordered += same
    return nodes, ordered, lives
