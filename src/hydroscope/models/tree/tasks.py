"""What growing a tree does to one block of rows. Each function is one task of the engine.

A block is some leaves of the table: on the local engine there is one block of all rows and
`threads` is true, so a task spreads over the engine's threads; elsewhere each block is a
task of its own and `threads` is false. Tasks change nothing they are given (on Ray it is
read-only) and return integers or per-tile floats, so that merging is exact.

The rows of a tree in one block are `rows` (see `tree.partition`) and `ranges`, an int64
array of one line (node, start, end) for every present leaf, in the order of `rows`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hydroscope.models.tree import histogram, partition, predictor, sampling
from hydroscope.models.tree.histogram import BINS, GROUP, TILE_ROWS
from hydroscope.node import ports

__all__ = ["assign_leaves", "count_histogram", "in_bag", "node_histogram", "pieces", "run", "split_nodes"]

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint8]
T = TypeVar("T")

PIECE_ROWS = 131_072
"""Rows one thread takes at a time: long against the 20 us of handing over, short against a level."""

SMALL_WORK = 400_000
"""Cells; a histogram below this is not worth a second thread."""

CELLS = GROUP * BINS


def run(threads: bool, function: Callable[[int], T], n_items: int) -> list[T]:
    """Call `function(i)` for range(n_items), on the engine's threads if there are any to be had."""
    if threads and n_items > 1:
        return ports.current().parallel(function, n_items)
    return [function(i) for i in range(n_items)]


def pieces(start: int, end: int, size: int = PIECE_ROWS) -> list[tuple[int, int]]:
    """Cut start..end into runs of at most `size`."""
    return [(a, min(a + size, end)) for a in range(start, end, size)]


def in_bag(kept: I32, first_row: int, stream: int, share: float) -> tuple[I32, I64]:
    """Return the rows of a new tree and their one range: those of `kept` that the sample takes.

    `first_row` is the number of the block's first row in the table: what the sample hangs on.
    """
    rows = kept
    if share < 1.0:
        rows = np.empty(len(kept), np.int32)
        rows = rows[: sampling.sample_rows(kept, first_row, np.uint64(stream), share, rows)]
    return rows, np.array([[0, 0, len(rows)]], np.int64)


def node_histogram(words: U32, packed: I64, rows: I32, ranges: I64, nodes: I64, groups: I64, threads: bool) -> I64:
    """Return the histograms of `nodes`: shape (n_nodes, n_groups * 4 * 256), packed sums.

    Groups that are not in `groups` stay zero. Cost: 0.4 to 1 ns a row of the nodes and feature.
    """
    n_groups, n_rows = words.shape
    starts, ends = _spans(ranges, nodes)
    n_taken = int((ends - starts).sum())
    out = np.zeros((len(nodes), n_groups * CELLS), np.int64)
    if n_taken == 0:
        return out
    small = n_taken * len(groups) * GROUP < SMALL_WORK
    n_threads = ports.current().n_threads if threads and not small else 1
    n_tiles = -(-n_rows // TILE_ROWS)
    n_spans = min(n_tiles, _spans_for(len(groups), n_threads))
    parts = [out] + [np.zeros_like(out) for _ in range(n_spans - 1)]
    limits = [n_tiles * s // n_spans for s in range(n_spans + 1)]
    if len(nodes) == 1 and n_taken == n_rows:

        def build(i: int) -> None:
            span, group = i % n_spans, int(groups[i // n_spans])
            first, last = limits[span] * TILE_ROWS, min(limits[span + 1] * TILE_ROWS, n_rows)
            cells = parts[span][0, group * CELLS : (group + 1) * CELLS]
            histogram.root_histogram(words[group], packed, first, last, cells)
    else:
        gathered = _gather(packed, rows, starts, ends, n_threads > 1)
        cuts = np.empty((n_tiles + 1, len(nodes)), np.int64)
        histogram.tile_cuts(rows, starts, ends, TILE_ROWS, cuts)

        def build(i: int) -> None:
            span, group = i % n_spans, int(groups[i // n_spans])
            cells = parts[span][:, group * CELLS : (group + 1) * CELLS]
            histogram.node_histograms(words[group], rows, gathered, cuts[limits[span] : limits[span + 1] + 1], cells)

    run(n_threads > 1, build, n_spans * len(groups))
    for part in parts[1:]:
        run(n_threads > 1, lambda node, part=part: histogram.add_into(part[node], out[node]), len(nodes))  # type: ignore[misc]
    return out


def count_histogram(words: U32, count: I64, rows: I32, ranges: I64, nodes: I64, groups: I64, threads: bool) -> I64:
    """Like `node_histogram`, adding up `count` (empty: 1 a row) in place of the gradients."""
    n_groups = words.shape[0]
    starts, ends = _spans(ranges, nodes)
    out = np.zeros((len(nodes), n_groups * CELLS), np.int64)

    def build(i: int) -> None:
        node, group = divmod(i, len(groups))
        group = int(groups[group])
        cells = out[node, group * CELLS : (group + 1) * CELLS]
        histogram.node_counts(words[group], rows, count, int(starts[node]), int(ends[node]), cells)

    run(threads, build, len(nodes) * len(groups))
    return out


def split_nodes(
    words: U32, rows: I32, ranges: I64, nodes: I64, features: I64, tables: U8, children: I64, threads: bool
) -> tuple[I32, I64]:
    """Part the rows of `nodes` among their children; return the new rows and ranges.

    Parameters
    ----------
    nodes, features : ndarray of int64, shape (n_splits,)
        Nodes in ascending order, and the feature each is split by.
    tables : ndarray of uint8, shape (n_splits, 256)
        For each bin, 1 when it goes left.
    children : ndarray of int64, shape (n_splits,)
        Number of the left child; the right one follows.
    """
    n = len(rows)
    left, right, out = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    split_of = {int(node): k for k, node in enumerate(nodes)}
    items = [
        (r, split_of.get(int(node), -1), a, b)
        for r, (node, start, end) in enumerate(ranges)
        for a, b in pieces(int(start), int(end))
    ]
    batches = _batches([b - a for _, _, a, b in items])
    n_left = np.zeros(len(items), np.int64)

    def part(batch: int) -> None:
        for i in range(*batches[batch]):
            _, k, a, b = items[i]
            if k >= 0:
                group, place = divmod(int(features[k]), GROUP)
                n_left[i] = partition.split_rows(words[group], 8 * place, tables[k], rows, a, b, left, right)

    run(threads, part, len(batches))
    new_ranges, to_left, to_right = _new_ranges(ranges, split_of, children, items, n_left)

    def move(batch: int) -> None:
        for i in range(*batches[batch]):
            _, k, a, b = items[i]
            if k < 0:
                partition.copy_rows(rows, a, b - a, out, a)
            else:
                count = int(n_left[i])
                partition.copy_rows(left, a, count, out, int(to_left[i]))
                partition.copy_rows(right, a, b - a - count, out, int(to_right[i]))

    run(threads, move, len(batches))
    return out, new_ranges


def assign_leaves(
    words: U32, rows: I32, ranges: I64, nodes: I64, features: I64, tables: U8, children: I64,
    tree: tuple[Any, ...] | None, threads: bool,
) -> tuple[I32, I64]:  # fmt: skip
    """Return the leaf of each row of the block, after a last level of splits, and each leaf's rows.

    Parameters
    ----------
    nodes, features, tables, children :
        As in `split_nodes`: the splits whose children are leaves.
    tree : (feature, left, mask, depth) or None
        The whole tree, to walk for rows that were not in the sample; None when all were.

    Returns
    -------
    ndarray of int32, shape (n_rows,)
    ndarray of int64, shape (n_leaves, 2)
        Lines (node, rows of the sample).
    """
    n_rows = words.shape[1]
    out = np.empty(n_rows, np.int32)
    if tree is not None:
        feature, left, mask, depth = tree
        every = np.arange(n_rows, dtype=np.int32)
        cuts = pieces(0, n_rows)
        run(
            threads,
            lambda i: predictor.leaf_of_rows(words, feature, left, mask, depth, every, *cuts[i], out),
            len(cuts),
        )
    split_of = {int(node): k for k, node in enumerate(nodes)}
    items = [
        (int(node), split_of.get(int(node), -1), a, b)
        for node, start, end in ranges
        for a, b in pieces(int(start), int(end))
    ]
    batches = _batches([b - a for _, _, a, b in items])
    n_left = np.zeros(len(items), np.int64)

    def place(batch: int) -> None:
        for i in range(*batches[batch]):
            node, k, a, b = items[i]
            if k < 0:
                partition.assign(rows, a, b, node, out)
            else:
                group, at = divmod(int(features[k]), GROUP)
                child = int(children[k])
                n_left[i] = partition.assign_split(words[group], 8 * at, tables[k], rows, a, b, child, out)

    run(threads, place, len(batches))
    counts: dict[int, int] = {}
    for i, (node, k, a, b) in enumerate(items):
        if k < 0:
            counts[node] = counts.get(node, 0) + b - a
        else:
            child = int(children[k])
            counts[child] = counts.get(child, 0) + int(n_left[i])
            counts[child + 1] = counts.get(child + 1, 0) + b - a - int(n_left[i])
    return out, np.array(sorted(counts.items()), np.int64).reshape(-1, 2)


def _spans(ranges: I64, nodes: I64) -> tuple[I64, I64]:
    """Return where each node's rows start and end."""
    where = {int(node): r for r, node in enumerate(ranges[:, 0])}
    at = [where[int(node)] for node in nodes]
    return np.ascontiguousarray(ranges[at, 1]), np.ascontiguousarray(ranges[at, 2])


def _spans_for(n_groups: int, n_threads: int) -> int:
    """Return into how many spans rows are cut, so that groups times spans keeps all threads busy alike."""
    if n_threads == 1:
        return 1
    for n_spans in range(1, n_threads + 1):
        if n_groups * n_spans >= n_threads and (
            n_groups * n_spans % n_threads == 0 or n_groups * n_spans > 8 * n_threads
        ):
            return n_spans
    return n_threads


def _gather(packed: I64, rows: I32, starts: I64, ends: I64, threads: bool) -> I64:
    """Return packed[rows] where the given nodes have their rows."""
    out = np.empty(len(rows), np.int64)
    items = [cut for a, b in zip(starts, ends, strict=True) for cut in pieces(int(a), int(b))]
    batches = _batches([b - a for a, b in items])

    def take(batch: int) -> None:
        for i in range(*batches[batch]):
            histogram.gather(packed, rows, *items[i], out)

    run(threads, take, len(batches))
    return out


def _batches(sizes: list[int]) -> list[tuple[int, int]]:
    """Put neighbours together until a batch has about PIECE_ROWS / 2 rows; return first and last+1 of each."""
    batches = []
    first = taken = 0
    for i, size in enumerate(sizes):
        taken += size
        if taken >= PIECE_ROWS // 2:
            batches.append((first, i + 1))
            first, taken = i + 1, 0
    if first < len(sizes):
        batches.append((first, len(sizes)))
    return batches


def _new_ranges(
    ranges: I64, split_of: dict[int, int], children: I64, items: list[tuple[int, int, int, int]], n_left: I64
) -> tuple[I64, I64, I64]:
    """Return the ranges after the splits, and where each piece's left and right rows go."""
    left_of = np.bincount([item[0] for item in items], weights=n_left, minlength=len(ranges)).astype(np.int64)
    lines = []
    for r, (node, start, end) in enumerate(ranges):
        k = split_of.get(int(node), -1)
        if k < 0:
            lines.append((node, start, end))
        else:
            middle = start + left_of[r]
            lines.append((children[k], start, middle))
            lines.append((children[k] + 1, middle, end))
    to_left, to_right = np.zeros(len(items), np.int64), np.zeros(len(items), np.int64)
    at_left, at_right, current = 0, 0, -1
    for i, (r, _, a, b) in enumerate(items):
        if r != current:
            current, at_left = r, int(ranges[r, 1])
            at_right = at_left + int(left_of[r])
        to_left[i], to_right[i] = at_left, at_right
        at_left += int(n_left[i])
        at_right += b - a - int(n_left[i])
    return np.array(lines, np.int64).reshape(-1, 3), to_left, to_right
