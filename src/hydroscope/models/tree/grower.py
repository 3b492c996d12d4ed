"""Growing one tree, level by level, over blocks of rows.

The planner: it decides from summed histograms, and `tree.tasks` do what touches rows.
A level is

1. histograms of the smaller child of every pair, summed over blocks (integers: exactly);
   the sibling is the parent's less that;
2. the best split of every node;
3. rows parted among the children.

When a level's histograms would not fit `HISTOGRAM_BYTES_MAX` (very deep trees) its nodes
are done in batches, each built directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.models.tree import splitting, tasks
from hydroscope.models.tree.histogram import BINS, GROUP
from hydroscope.models.tree.predictor import Forest, pack_table
from hydroscope.models.tree.splitting import ANY, BY_COUNT, FEATURE, FEATURE_BIN, LEFT, Rules
from hydroscope.models.tree.tasks import Plan
from hydroscope.node import ports

__all__ = ["HISTOGRAM_BYTES_MAX", "Blocks", "Grown", "Shape", "add", "grow"]

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
F64 = npt.NDArray[np.float64]

HISTOGRAM_BYTES_MAX = 256 * 2**20
"""Bytes of one level's histograms that are kept so that siblings can be subtracted."""

HESSIAN_PER_WEIGHT_MAX = 0.2506
"""p (1 - p) is at most a quarter of the weight; the rest is for rounding to steps."""

MANY_SPLITS = 256
"""Node-feature pairs that one thread looks at in one go: 400 us, long against handing over."""


@dataclass(frozen=True)
class Blocks:
    """The rows of a training table, cut into blocks; one handle a block everywhere.

    Attributes
    ----------
    words : list of handles to ndarray of uint32, shape (n_groups, n_rows of the block)
    count : list of handles to ndarray of int64
        Weights as integers, empty when all are 1.
    kept : list of handles to ndarray of uint8
        1 for rows to train on, those with a target and a weight; empty when all are.
    all_kept : bool
        Whether all rows of all blocks are.
    first_rows : list of int
        Number of each block's first row.
    threads : bool
        Whether a task may spread over this process's threads.
    """

    words: list[Any]
    count: list[Any]
    kept: list[Any]
    all_kept: bool
    first_rows: list[int]
    threads: bool


@dataclass(frozen=True)
class Shape:
    """What bounds a tree and describes its features.

    Attributes
    ----------
    max_depth : int
    learning_rate : float
    features : ndarray of int32
        Features this tree may split by, ascending.
    n_bins : ndarray of int32, shape (n_features,)
    is_enum : ndarray of uint8, shape (n_features,)
    edges : list of ndarray of float64
        Upper ends of the bins of each feature (empty for categories).
    rules : Rules
    hessian_is_weight : bool
        Whether the hessian counts rows, so that `min_rows` needs nothing else.
    min_count : int
        `min_rows` in units of `Blocks.count`.
    count_unit : float
        Weight of one such unit.
    """

    max_depth: int
    learning_rate: float
    features: I32
    n_bins: I32
    is_enum: U8
    edges: list[F64]
    rules: Rules
    hessian_is_weight: bool
    min_count: int
    count_unit: float


@dataclass
class Grown:
    """A tree while it grows: lists with one entry a node. Owned by `grow`."""

    total: list[int] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    table: dict[int, U8] = field(default_factory=dict)
    threshold: list[float] = field(default_factory=list)
    gain: list[float] = field(default_factory=list)
    depth: int = 0

    def add(self, total: int) -> int:
        """Add a leaf and return its number."""
        node = len(self.total)
        self.total.append(total)
        self.feature.append(-1)
        self.left.append(node)
        self.threshold.append(np.nan)
        self.gain.append(0.0)
        return node


@dataclass(frozen=True)
class Splits:
    """The best splits of some nodes: one line a node."""

    gain: F64
    found: I64
    table: U8

    @classmethod
    def empty(cls, n: int) -> Splits:
        """Return room for n."""
        return cls(np.zeros(n), np.full((n, 4), -1, np.int64), np.zeros((n, BINS), np.uint8))

    def put(self, at: Sequence[int], other: Splits) -> None:
        """Replace the lines `at`."""
        self.gain[at], self.found[at], self.table[at] = other.gain, other.found, other.table


def add(left: I64, right: I64) -> I64:
    """Return the sum of two histograms: what blocks' parts are merged by."""
    return left + right


def grow(blocks: Blocks, packed: list[Any], sample: tuple[int, float], shape: Shape) -> tuple[Forest, list[Any]]:
    """Grow one tree.

    Parameters
    ----------
    blocks : Blocks
    packed : list of handles to ndarray of int64
        Packed gradients of each block's rows.
    sample : (int, float)
        Stream and share of the row sample.
    shape : Shape

    Returns
    -------
    Forest
        Of one tree.
    list of handles to ndarray of int32
        For each block, the leaf of each of its rows.
    """
    level = Level(blocks, packed, sample, shape)
    tree = Grown()
    active = [0]
    root = level.build(active)
    first = int(shape.features[0]) * BINS
    tree.add(int(root[0, first : first + BINS].sum()))
    histograms: I64 | None = root
    while True:
        splits = level.find(tree, active, histograms)
        chosen = [k for k in range(len(active)) if splits.found[k, FEATURE] >= 0]
        if not chosen:
            leaves, counts = level.assign(tree, [], [], None)
            break
        tree.depth += 1
        _record(tree, active, splits, chosen, shape)
        if tree.depth == shape.max_depth:
            leaves, counts = level.assign(tree, [active[k] for k in chosen], chosen, splits)
            break
        nodes = [active[k] for k in chosen]
        level.part(tree, nodes, chosen, splits)
        active = [child for node in nodes for child in (tree.left[node], tree.left[node] + 1)]
        histograms = level.descend(tree, active, histograms, chosen)
    return _finish(tree, counts, shape), leaves


class Level:
    """The present level's rows in all blocks. Owned by one `grow`; changes from level to level."""

    def __init__(self, blocks: Blocks, packed: list[Any], sample: tuple[int, float], shape: Shape) -> None:
        self.blocks, self.packed, self.shape = blocks, packed, shape
        self.engine = ports.current()
        self.n_cells = -(-len(shape.n_bins) // GROUP) * GROUP * BINS
        self.groups = np.unique(shape.features // GROUP).astype(np.int64)
        whole = sample[1] >= 1.0 and blocks.all_kept
        self.slots = [(0, True)] if whole else [(0, True), (0, False)]
        items = [
            (words, kept, first, *sample, blocks.threads)
            for words, kept, first in zip(blocks.words, blocks.kept, blocks.first_rows, strict=True)
        ]
        self._set(self.engine.map(tasks.start, items, 2))

    def _set(self, pairs: list[Any]) -> None:
        self.order = [pair[0] for pair in pairs]
        self.starts = [pair[1] for pair in pairs]
        self.slot = {node: at for at, (node, in_bag) in enumerate(self.slots) if in_bag}

    def _places(self) -> list[tuple[Any, Any]]:
        return list(zip(self.order, self.starts, strict=True))

    def build(self, nodes: Sequence[int]) -> I64:
        """Return the nodes' histograms, summed over blocks."""
        return self._summed(tasks.node_histogram, self.packed, nodes)

    def count(self, nodes: Sequence[int]) -> I64:
        """Return the nodes' histograms of weights, summed over blocks."""
        return self._summed(tasks.count_histogram, self.blocks.count, nodes)

    def _summed(self, task: Callable[..., I64], values: list[Any], nodes: Sequence[int]) -> I64:
        slots = np.array([self.slot[node] for node in nodes], np.int64)
        items = [
            (words, value, *places, slots, self.groups, self.blocks.threads)
            for words, value, places in zip(self.blocks.words, values, self._places(), strict=True)
        ]
        summed: I64 = self.engine.reduce(add, self.engine.map(task, items))
        return summed

    def descend(self, tree: Grown, active: list[int], parents: I64 | None, chosen: list[int]) -> I64 | None:
        """Return the histograms of the new level: the smaller child of a pair built, the other subtracted."""
        if len(active) * self.n_cells * 8 > HISTOGRAM_BYTES_MAX or parents is None:
            return None
        smaller = self._smaller(tree, active)
        built = self.build([active[2 * pair + smaller[pair]] for pair in range(len(chosen))])
        out = np.empty((len(active), self.n_cells), np.int64)

        def share(pair: int) -> None:
            out[2 * pair + smaller[pair]] = built[pair]
            splitting.subtract(parents[chosen[pair]], built[pair], out[2 * pair + 1 - smaller[pair]])

        tasks.run(len(chosen) * self.n_cells > tasks.SMALL_WORK, share, len(chosen))
        return out

    def _smaller(self, tree: Grown, active: list[int]) -> list[int]:
        """Return for each pair of children which one (0, 1) is cheaper to build; either gives the same sums."""
        if len(self.starts) == 1:
            taken = np.diff(self.engine.get(self.starts[0]), axis=1).sum(axis=0).tolist()
            size = {node: taken[slot] for node, slot in self.slot.items()}
        else:
            mask = (1 << self.shape.rules.shift) - 1
            size = {node: tree.total[node] & mask for node in active}
        return [int(size[active[k]] > size[active[k + 1]]) for k in range(0, len(active), 2)]

    def find(self, tree: Grown, active: list[int], histograms: I64 | None) -> Splits:
        """Return the best split of every active node."""
        splits = Splits.empty(len(active))
        batch = len(active) if histograms is not None else max(1, HISTOGRAM_BYTES_MAX // (self.n_cells * 8))
        if tree.depth == self.shape.max_depth:
            return splits
        for start in range(0, len(active), batch):
            nodes = active[start : start + batch]
            cells = histograms if histograms is not None else self.build(nodes)
            splits.put(range(start, start + len(nodes)), self._find(tree, nodes, cells, None))
            doubted = [k for k in range(len(nodes)) if self._in_doubt(tree.total[nodes[k]], splits.found[start + k])]
            if doubted:
                counts = self.count([nodes[k] for k in doubted])
                better = self._find(tree, [nodes[k] for k in doubted], cells[doubted], counts)
                splits.put([start + k for k in doubted], better)
        return splits

    def _in_doubt(self, total: int, found: I64) -> bool:
        """Tell whether the hessians leave open if both sides of a split have `min_rows`."""
        if self.shape.hessian_is_weight or found[FEATURE] < 0:
            return False
        mask = (1 << self.shape.rules.shift) - 1
        h_left = int(found[LEFT]) & mask
        least = min(h_left, (total & mask) - h_left) * self.shape.rules.h_unit
        return least < HESSIAN_PER_WEIGHT_MAX * self.shape.min_count * self.shape.count_unit

    def _find(self, tree: Grown, nodes: Sequence[int], cells: I64, counts: I64 | None) -> Splits:
        shape, out = self.shape, Splits.empty(len(nodes))
        rules = shape.rules
        if counts is not None:
            rules = rules._replace(mode=BY_COUNT, min_count=shape.min_count)
        elif not shape.hessian_is_weight:
            rules = rules._replace(mode=ANY)
        totals = np.array([tree.total[node] for node in nodes], np.int64)
        weights = np.zeros((0, 0), np.int64) if counts is None else counts
        size = max(1, MANY_SPLITS // len(shape.features))
        cuts = tasks.pieces(0, len(nodes), size if self.blocks.threads else len(nodes))

        def search(i: int) -> None:
            splitting.find_nodes(
                cells, weights, totals, shape.features, shape.n_bins, shape.is_enum, rules, *cuts[i],
                out.gain, out.found, out.table,
            )  # fmt: skip

        tasks.run(True, search, len(cuts))
        return out

    def part(self, tree: Grown, nodes: list[int], chosen: list[int], splits: Splits) -> None:
        """Move the rows of `nodes` to their children."""
        plan = self._plan(tree, nodes, chosen, splits)
        slots = []
        for at, (node, in_bag) in enumerate(self.slots):
            left = tree.left[node]
            slots += [(node, in_bag)] if plan.line[at] < 0 else [(left, in_bag), (left + 1, in_bag)]
        items = [
            (words, *places, plan, self.blocks.threads)
            for words, places in zip(self.blocks.words, self._places(), strict=True)
        ]
        self.slots = slots
        self._set(self.engine.map(tasks.split_rows, items, 2))

    def assign(
        self, tree: Grown, nodes: list[int], chosen: list[int], splits: Splits | None
    ) -> tuple[list[Any], dict[int, int]]:
        """Return the leaf of each row, by block, and the rows of each leaf; `nodes` are split a last time."""
        plan = self._plan(tree, nodes, chosen, splits)
        child = np.array([tree.left[node] for node, _ in self.slots], np.int64)
        items = [
            (words, *places, plan, child, self.blocks.threads)
            for words, places in zip(self.blocks.words, self._places(), strict=True)
        ]
        pairs = self.engine.map(tasks.settle_rows, items, 2)
        n_left, n_all = self.engine.reduce(add, [pair[1] for pair in pairs]).tolist()
        counts: dict[int, int] = {}
        for node, at in self.slot.items():
            if plan.line[at] < 0:
                counts[node] = n_all[at]
            else:
                counts[int(child[at])] = n_left[at]
                counts[int(child[at]) + 1] = n_all[at] - n_left[at]
        return [pair[0] for pair in pairs], counts

    def _plan(self, tree: Grown, nodes: list[int], chosen: list[int], splits: Splits | None) -> Plan:
        split = {node: k for k, node in enumerate(nodes)}
        features = np.array([tree.feature[node] for node in nodes], np.int64)
        return Plan(
            line=np.array([split.get(node, -1) for node, _ in self.slots], np.int64),
            group=features // GROUP,
            shift=8 * (features % GROUP),
            tables=np.zeros((0, BINS), np.uint8) if splits is None else splits.table[chosen],
        )


def _record(tree: Grown, active: list[int], splits: Splits, chosen: list[int], shape: Shape) -> None:
    """Turn the chosen nodes into splits and add their children."""
    shift = shape.rules.shift
    mask = (1 << shift) - 1
    for k in chosen:
        node, found = active[k], splits.found[k]
        left, total = int(found[LEFT]), tree.total[node]
        h_left, g_left = left & mask, left >> shift
        right = (((total >> shift) - g_left) << shift) + (total & mask) - h_left
        feature = int(found[FEATURE])
        tree.feature[node], tree.gain[node], tree.table[node] = feature, float(splits.gain[k]), splits.table[k]
        if found[FEATURE_BIN] >= 0:
            edges = shape.edges[feature]
            place = int(found[FEATURE_BIN])
            tree.threshold[node] = float(edges[place]) if place < len(edges) else np.inf
        tree.left[node] = tree.add(left)
        tree.add(right)


def _masks(tree: Grown) -> npt.NDArray[np.uint64]:
    tables = np.ones((len(tree.total), BINS), np.uint8)
    for node, table in tree.table.items():
        tables[node] = table
    return pack_table(tables)


def _finish(tree: Grown, counts: dict[int, int], shape: Shape) -> Forest:
    """Return the tree as arrays; values are shrunk by the learning rate."""
    shift, n = shape.rules.shift, len(tree.total)
    gradient = np.array([total >> shift for total in tree.total], np.float64) * shape.rules.g_unit
    hessian = np.array([total & ((1 << shift) - 1) for total in tree.total], np.float64) * shape.rules.h_unit
    bottom = hessian + shape.rules.l2
    value = np.zeros(n)
    np.divide(-shape.learning_rate * gradient, bottom, out=value, where=bottom > 0)
    n_rows = np.zeros(n, np.int64)
    for node in range(n - 1, -1, -1):
        left = tree.left[node]
        n_rows[node] = counts.get(node, 0) if left == node else n_rows[left] + n_rows[left + 1]
    return Forest(
        starts=np.array([0, n], np.int64),
        depths=np.array([tree.depth], np.int32),
        output=np.zeros(1, np.int32),
        feature=np.array(tree.feature, np.int32),
        left=np.array(tree.left, np.int32),
        mask=_masks(tree),
        threshold=np.array(tree.threshold, np.float64),
        value=value,
        gain=np.array(tree.gain, np.float64),
        cover=hessian,
        n_rows=n_rows,
    )
