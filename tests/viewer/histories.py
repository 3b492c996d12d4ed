"""A timeline with everything in it that the viewer shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from hydroscope.ground.record.layout import SAMPLE, Kind
from hydroscope.scope.events import COLUMNS, Events, Missing, Node
from hydroscope.scope.timeline import Timeline
from tests.scope.histories import Plan, simulate

__all__ = ["changed", "changed_states", "everything"]

WORDS = ("", "cart/apples", "cart/pears", "load", "<script>&amp;", "x" * 300, "Ωμέγα")


def everything(seed: int = 3, n_records: int = 1000) -> Timeline:
    """Return a timeline of messages, tasks, keys, errors, notes and samples; one of its nodes is missing."""
    history = simulate(Plan(n_nodes=4, n_records=n_records, loss=0.1, duplicated=0.1, seconds=2), seed)
    rng = np.random.default_rng(seed)
    columns = {name: getattr(history.events, name).copy() for name in COLUMNS}
    n = len(history.events)
    spare = np.flatnonzero(np.isin(columns["kind"], (Kind.STARTED, Kind.ENDED)))
    spare = rng.permutation(spare)[: spare.size // 2]
    columns["kind"][spare] = rng.choice(
        [Kind.PUT, Kind.REMOVED, Kind.SPILLED, Kind.FAILED, Kind.NOTE, Kind.SAMPLE, Kind.QUEUED], spare.size
    )
    names = list(history.events.names)
    first = len(names)
    names += [word for word in WORDS if word]
    columns["subject"][spare] = rng.integers(first, len(names), spare.size)
    columns["n_bytes"][spare] = rng.integers(0, 60, spare.size)
    columns["id"][rng.permutation(n)[:20]] = 2**64 - 1 - np.arange(20, dtype=np.uint64)
    for row in np.flatnonzero(columns["kind"] == Kind.SAMPLE):
        columns["n_bytes"][row] = SAMPLE.size
        raw = SAMPLE.pack(int(row) * 10, 2**33 + int(row), 7)
        columns["data"][row] = np.void(raw.ljust(columns["data"].dtype.itemsize, b"\0"))
    nodes = [*history.events.nodes, Node("a node whose name is long enough to be cut off", read="nothing")]
    events = Events.sorted(nodes, names, columns)
    return Timeline(events, missing=[Missing(nodes[-1].name, "it did not answer within 2 s")])


def changed(events: Events, row: int | slice, **values: Any) -> Events:
    """Return events of which one record, or a slice of them, is another."""
    columns = {name: getattr(events, name).copy() for name in COLUMNS}
    for name, value in values.items():
        columns[name][row] = value
    return Events.sorted(events.nodes, events.names, columns)


def changed_states(timeline: Timeline, seed: int = 5, n: int = 400) -> SimpleNamespace:
    """Return changes of states, with stamps of records, as columns; several share a stamp."""
    rng = np.random.default_rng(seed)
    events = timeline.events
    rows = rng.choice(np.arange(len(events)), n)
    by = np.argsort(events.stamp[rows], kind="stable")
    states: dict[str, dict[str, str]] = {}
    stamps, nodes, keys, olds, news = [], [], [], [], []
    for row in rows[by]:
        node = events.nodes[events.node[row]].name
        state = states.setdefault(node, {"kept": "0"})
        key = str(rng.choice(["kept", "cart/apples", "cart/pears", "votes:7"]))
        new = None if rng.random() < 0.3 else str(rng.integers(100))
        stamps.append(int(events.stamp[row]))
        nodes.append(node)
        keys.append(key)
        olds.append(state.get(key))
        news.append(new)
        if new is None:
            state.pop(key, None)
        else:
            state[key] = new
    return SimpleNamespace(stamp=np.array(stamps, np.uint64), node=nodes, key=keys, old=olds, new=news)
