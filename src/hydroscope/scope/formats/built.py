"""Timelines made from what other tools have written, record by record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hydroscope.ground.errors import DataError
from hydroscope.ground.record.layout import DATA_BYTES, Kind
from hydroscope.scope.decoding import Labels
from hydroscope.scope.events import MESSAGES, Events, Node
from hydroscope.scope.rules import Rule
from hydroscope.scope.timeline import Timeline

__all__ = ["Entry", "Records"]

MOST_NODES = 2**16


class Entry(NamedTuple):
    """A record that is to be, as its source tells of it."""

    node: str
    lane: str
    kind: Kind
    ns: int
    label: str
    text: str
    id: int = 0
    peer: str | None = None
    """The node at the other end."""
    n_bytes: int = 0
    data: bytes = b""


@dataclass(slots=True)
class Records:
    """Owner of the records of a timeline that is being made; nodes are numbered as they are first named."""

    one_clock: bool = True
    """All times are of one clock; else each node has its own."""
    nodes: dict[str, int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=lambda: {"": 0})
    """Of lanes."""
    labels: dict[str, int] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)
    rows: list[tuple[int, int, int, int, int, int, int, int, int, int]] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)

    def node(self, name: str) -> int:
        """Return the number of a node."""
        number = self.nodes.setdefault(name, len(self.nodes))
        if number >= MOST_NODES:
            raise DataError(f"{name!r} is one node too many: a timeline has at most {MOST_NODES:,}")
        return number

    def add(self, entry: Entry) -> None:
        """Add a record; those of a node that have one time are in the order they were added."""
        node, lane, kind, ns, label, text, number, peer, n_bytes, data = entry
        names = self.names
        self.rows.append(
            (
                self.node(node),
                names.setdefault(lane, len(names)),
                kind,
                ns,
                number,
                -1 if peer is None else self.node(peer),
                0 if kind in MESSAGES else names.setdefault(label, len(names)),
                min(n_bytes, 2**32 - 1),
                self.labels.setdefault(label, len(self.labels)),
                self.texts.setdefault(text, len(self.texts)),
            )
        )
        self.data.append(data[:DATA_BYTES])

    def timeline(self, rules: Sequence[Rule] | str = (), complaints: Sequence[str] = ()) -> Timeline:
        """Return the timeline of what was added.

        Parameters
        ----------
        rules : sequence of Rule, or str
        complaints : sequence of str
            What is to be noted of how the records were read.

        Notes
        -----
        Cost: a sort of the records.
        """
        by_column = zip(*self.rows, strict=True) if self.rows else ((),) * len(_COLUMNS)
        columns = {
            name: np.array(column, kind) for (name, kind), column in zip(_COLUMNS.items(), by_column, strict=True)
        }
        at_ns, node = columns["at_ns"], columns["node"]
        at_ns -= min(int(at_ns.min(initial=0)), 0)
        by = np.lexsort((at_ns, node))
        columns = {name: column[by] for name, column in columns.items()}
        columns["stamp"] = _rising(columns["at_ns"], columns["node"])
        columns["data"] = np.array([self.data[k] for k in by], f"S{DATA_BYTES}").view(f"V{DATA_BYTES}")
        labels = Labels.given(tuple(self.labels), columns.pop("label"), tuple(self.texts), columns.pop("text"))
        labels.complaints = tuple(complaints)
        return Timeline(Events.sorted(self._described(columns), tuple(self.names), columns), rules, labels=labels)

    def _described(self, columns: Mapping[str, npt.NDArray[Any]]) -> list[Node]:
        first = np.full(len(self.nodes), -1, np.int64)
        nodes, places = np.unique(columns["node"], return_index=True)
        first[nodes] = columns["at_ns"][places]
        found = []
        for k, name in enumerate(self.nodes):
            if first[k] < 0:
                found.append(Node(name, read="nothing"))
            else:
                opened, boot = (0, b"one clock") if self.one_clock else (int(first[k]), b"")
                found.append(Node(name, 0, opened, opened, boot, "import"))
        return found


_COLUMNS = {
    "node": "u2",
    "lane": "u4",
    "kind": "u2",
    "at_ns": "i8",
    "id": "u8",
    "peer": "i4",
    "subject": "u4",
    "n_bytes": "u4",
    "label": "u4",
    "text": "u4",
}
"""Of a row."""


def _rising(at_ns: npt.NDArray[np.int64], node: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint64]:
    """Return stamps that are near the times and rise within each node."""
    places = np.arange(at_ns.size)
    rising = at_ns.copy()
    for k in np.unique(node):
        here = slice(*np.searchsorted(node, [k, k + 1]))
        rising[here] = np.maximum.accumulate(at_ns[here] - places[here]) + places[here]
    rising -= min(int(rising.min(initial=0)), 0)
    return rising.astype(np.uint64)
