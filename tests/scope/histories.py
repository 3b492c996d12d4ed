"""Simulated histories of several nodes whose truth is known: what happened when, and which receipt is of which copy.

Everything is drawn in whole columns, so that a million records take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hydroscope.ground.clocks.hlc import COUNTER_BITS
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.events import Events, Node

__all__ = ["History", "Plan", "simulate", "take"]

Ints = npt.NDArray[np.int64]
S = 10**9
STARTED_NS = 1_800_000_000 * S
TICK = 1 << COUNTER_BITS


@dataclass(frozen=True)
class Plan:
    """What a history is to be like."""

    n_nodes: int = 5
    n_records: int = 3000
    seconds: float = 10.0
    offset_s: float = 5.0
    drift_ppm: float = 200.0
    delay_ms: float = 0.3
    """Least delay of a pair, each direction its own up to three times this; more is exponential."""
    loss: float = 0.0
    duplicated: float = 0.0
    resent: bool = True
    """A lost message is sent again after 200 ms, twice at most."""
    n_lanes: int = 3
    truncated: float = 0.0
    """Up to this share of each node's oldest records is gone."""
    jump: tuple[int, float, float] | None = None
    """Node, true second, and the seconds that its clock then misses (a suspended machine)."""
    pairs: tuple[tuple[int, int], ...] | None = None
    """Who sends to whom; by default everybody to everybody."""


@dataclass(frozen=True)
class History:
    """Events, and the truth of each record."""

    events: Events
    true_ns: Ints
    copy: Ints
    """Of a receipt: the record of the copy that it is of; -1 if that is gone."""
    offset_ns: npt.NDArray[np.float64]
    """Of each node's clock, with `drift`: clock = true + offset + drift * (true - start)."""
    drift: npt.NDArray[np.float64]
    jump: tuple[int, float, float] | None

    def clock_ns(self, node: int, true_ns: Ints) -> Ints:
        """Return what a node's clock said at some true times."""
        said = STARTED_NS + true_ns + np.round(self.offset_ns[node] + self.drift[node] * true_ns).astype(np.int64)
        if self.jump is not None and self.jump[0] == node:
            said[true_ns > self.jump[1] * S] -= round(self.jump[2] * S)
        return said


def simulate(plan: Plan, seed: int) -> History:
    """Return a history of about `plan.n_records` records."""
    rng = np.random.default_rng(seed)
    rows = _messages(plan, rng)
    if plan.jump is not None:
        node, second, missed = plan.jump
        asleep = (rows["node"] == node) & (np.abs(rows["true"] - (second + missed / 2) * S) < missed / 2 * S)
        rows = {name: column[~asleep] for name, column in rows.items()}
    n = rows["true"].size
    by = np.lexsort((np.arange(n), rows["true"], rows["node"]))
    rows = {name: column[by] for name, column in rows.items()}
    offset = np.round(rng.uniform(-plan.offset_s, plan.offset_s, plan.n_nodes) * S)
    drift = rng.uniform(-plan.drift_ppm, plan.drift_ppm, plan.n_nodes) * 1e-6
    node, true = rows["node"], rows["true"]
    wall = STARTED_NS + true + np.round(offset[node] + drift[node] * true).astype(np.int64)
    if plan.jump is not None:
        late = (node == plan.jump[0]) & (true > plan.jump[1] * S)
        wall[late] -= round(plan.jump[2] * S)
    booted = rng.integers(1, 10**6, plan.n_nodes) * S
    opened = STARTED_NS + np.round(offset).astype(np.int64) - S
    at = wall - opened[node] + booted[node]
    source = _sources(rows)
    stamp = _stamps(node, wall, source)
    data = np.zeros(n, "V27")
    text = np.char.add("PING ", (rows["id"] % 7).astype("U"))
    data[:] = text.astype("S27").view("V27")
    columns = {
        "node": node,
        "lane": rows["lane"] + 1,
        "subject": np.zeros(n),
        "kind": rows["kind"],
        "stamp": stamp,
        "at_ns": at,
        "id": rows["id"],
        "peer": rows["peer"],
        "n_bytes": np.where(rows["peer"] >= 0, 6, 0),
        "data": data,
    }
    nodes = [Node(f"n{k}", 100 + k, int(opened[k]), int(booted[k])) for k in range(plan.n_nodes)]
    events = Events.sorted(nodes, ["", *(f"lane-{k}" for k in range(plan.n_lanes))], columns)
    history = History(events, true, source, offset, drift, plan.jump)
    keep = np.arange(n) - events.starts[node] >= np.floor(
        rng.uniform(0, plan.truncated, plan.n_nodes)[node] * np.diff(events.starts)[node]
    )
    return take(history, keep) if plan.truncated else history


def take(history: History, keep: npt.NDArray[np.bool_]) -> History:
    """Return the history of some of its records."""
    events = history.events
    places = np.where(keep, np.cumsum(keep) - 1, -1)
    columns = {
        name: getattr(events, name)[keep]
        for name in ("node", "lane", "kind", "stamp", "at_ns", "id", "peer", "subject", "n_bytes", "data")
    }
    copy = history.copy[keep]
    return replace(
        history,
        events=Events.sorted(events.nodes, events.names, columns),
        true_ns=history.true_ns[keep],
        copy=np.where(copy >= 0, places[copy], -1),
    )


def _messages(plan: Plan, rng: np.random.Generator) -> dict[str, Ints]:
    """Return the records in no order; `of` is the number of the copy, -1 for what is no message."""
    n = int(plan.n_records / (2.2 + plan.duplicated))
    end = plan.seconds * S
    if plan.pairs is None:
        sender = rng.integers(0, plan.n_nodes, n)
        receiver = (sender + rng.integers(1, plan.n_nodes, n)) % plan.n_nodes
    else:
        sender, receiver = np.array(plan.pairs)[rng.integers(0, len(plan.pairs), n)].T
    least = rng.uniform(1, 3, (plan.n_nodes, plan.n_nodes)) * plan.delay_ms * 1e6
    sent = rng.uniform(0, end, n)
    parts = []
    at, number, n_copies = sent, np.arange(n), 0
    for attempt in range(3 if plan.resent else 1):
        lost = rng.random(number.size) < plan.loss
        ends = sender[number], receiver[number]
        of = n_copies + np.arange(number.size)
        n_copies += number.size
        parts.append((ends[0], ends[1], Kind.RESENT if attempt else Kind.SENT, at, number, of))
        twice = rng.random(number.size) < plan.duplicated
        for arrived in (~lost, twice):
            delay = least[ends] + rng.exponential(plan.delay_ms * 1e6, number.size)
            parts.append(
                tuple(
                    part[arrived] if isinstance(part, np.ndarray) else part
                    for part in (ends[1], ends[0], Kind.RECEIVED, at + delay, number, of)
                )
            )
        number, at = number[lost & ~twice], (at + 0.2 * S)[lost & ~twice]
    n_tasks = n // 10
    who, begun = rng.integers(0, plan.n_nodes, n_tasks), rng.uniform(0, end, n_tasks)
    task, nobody = n + np.arange(n_tasks), np.full(n_tasks, -1)
    parts.append((who, nobody, Kind.STARTED, begun, task, nobody))
    parts.append((who, nobody, Kind.ENDED, begun + rng.exponential(5e6, n_tasks), task, nobody))
    columns = {
        name: np.concatenate([np.broadcast_to(part[k], part[3].shape) for part in parts]).astype(np.int64)
        for k, name in enumerate(("node", "peer", "kind", "true", "id", "of"))
    }
    columns["lane"] = rng.integers(0, plan.n_lanes, columns["node"].size)
    return columns


def _sources(rows: dict[str, Ints]) -> Ints:
    """Return for each receipt the record of its copy."""
    is_send = np.isin(rows["kind"], (Kind.SENT, Kind.RESENT))
    is_receipt = rows["kind"] == Kind.RECEIVED
    place = np.full(int(rows["of"].max()) + 1, -1)
    place[rows["of"][is_send]] = np.flatnonzero(is_send)
    return np.where(is_receipt, place[rows["of"]], -1)


def _stamps(node: Ints, wall: Ints, source: Ints) -> npt.NDArray[np.uint64]:
    """Return the stamps that hybrid clocks give: the fixed point of their rules, from below."""
    base = int(wall.min()) & -TICK
    stamp = (wall & -TICK) - base
    places = np.arange(wall.size)
    apart = node * (1 << 50)  # so that a maximum does not pass from node to node
    receipts = np.flatnonzero(source >= 0)
    while True:
        lifted = stamp.copy()
        np.maximum.at(lifted, receipts, stamp[source[receipts]] + 2)
        lifted = np.maximum.accumulate(lifted - places + apart) + places - apart
        if np.array_equal(lifted, stamp):
            return (stamp + base).astype(np.uint64)
        stamp = lifted
