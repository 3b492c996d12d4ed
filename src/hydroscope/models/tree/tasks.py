"""What growing a tree does to one block of rows. Each function is one task of the engine.

A block is some leaves of the table: on the local engine there is one block of all rows and
`threads` is true, so a task spreads over the engine's threads; elsewhere each block is a
task of its own and `threads` is false. Tasks change nothing they are given (on Ray it is
read-only) and return integers or per-tile floats, so that merging is exact.

The rows of a tree in one block are `order` and `starts`, see `tree.partition`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from hydroscope.models.tree import histogram, partition, sampling
from hydroscope.models.tree.histogram import BINS, GROUP
from hydroscope.models.tree.partition import TILE_ROWS
from hydroscope.node import ports

__all__ = ["Plan", "count_histogram", "node_histogram", "pieces", "run", "settle_rows", "split_rows", "start"]

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
T = TypeVar("T")

PIECE_ROWS = 131_072
"""Rows one thread takes at a time: long against the 20 us of handing over, short against a level."""

SMALL_WORK = 400_000
"""Cells; a histogram below this is not worth a second thread."""

SERIAL_ROWS = 65_536
"""Rows; to move fewer is not worth a second thread."""

CELLS = GROUP * BINS


class Plan(NamedTuple):
    """The splits of a level, as `tree.partition` reads them.

    Attributes
    ----------
    line : ndarray of int64, shape (n_slots,)
        Which split, -1 for none.
    group, shift : ndarray of int64, shape (n_splits,)
    tables : ndarray of uint8, shape (n_splits, 256)
    """

    line: I64
    group: I64
    shift: I64
    tables: U8


def run(threads: bool, function: Callable[[int], T], n_items: int) -> list[T]:
    """Call `function(i)` for range(n_items), on the engine's threads if there are any to be had."""
    if threads and n_items > 1:
        return ports.current().parallel(function, n_items)
    return [function(i) for i in range(n_items)]


def pieces(start: int, end: int, size: int = PIECE_ROWS) -> list[tuple[int, int]]:
    """Cut start..end into runs of at most `size`."""
    return [(a, min(a + size, end)) for a in range(start, end, size)]


def start(words: U32, kept: U8, first_row: int, stream: int, share: float, threads: bool) -> tuple[U16, I32]:
    """Return order and starts of a new tree: one slot of the rows in the bag, and a second of the others, if any.

    `first_row` is the number of the block's first row in the table: what the sample hangs on.
    """
    n_rows = words.shape[1]
    tiles = pieces(0, n_rows, TILE_ROWS)
    if share >= 1.0 and len(kept) == 0:
        starts = np.zeros((len(tiles), 2), np.int32)
        starts[:, 1] = [last - first for first, last in tiles]
        return np.tile(np.arange(TILE_ROWS, dtype=np.uint16), len(tiles))[:n_rows], starts
    bag, order = np.empty(n_rows, np.uint8), np.empty(n_rows, np.uint16)
    starts = np.zeros((len(tiles), 3), np.int32)

    def part(i: int) -> None:
        sampling.sample_rows(kept, first_row, np.uint64(stream), share, *tiles[i], bag)
        partition.part_bag(bag, *tiles[i], order, starts[i])

    run(threads and n_rows > SERIAL_ROWS, part, len(tiles))
    return order, starts


def node_histogram(words: U32, packed: I64, order: U16, starts: I32, slots: I64, groups: I64, threads: bool) -> I64:
    """Return the histograms of the nodes in `slots`: shape (n_nodes, n_groups * 4 * 256), packed sums.

    Groups that are not in `groups` stay zero. Cost: 0.4 to 1 ns a row of the nodes and feature.
    """
    n_groups, n_rows = words.shape
    out = np.zeros((len(slots), n_groups * CELLS), np.int64)
    whole = starts.shape[1] == 2
    n_taken = int((starts[:, slots + 1] - starts[:, slots]).sum())
    if n_taken == 0:
        return out
    n_threads = ports.current().n_threads if threads and n_taken * len(groups) * GROUP >= SMALL_WORK else 1
    pairs = [(int(groups[k]), int(groups[min(k + 1, len(groups) - 1)])) for k in range(0, len(groups), 2)]
    n_tiles = -(-n_rows // TILE_ROWS)
    n_spans = min(n_tiles, _spans_for(len(pairs), n_threads))
    parts = [out] + [np.zeros_like(out) for _ in range(n_spans - 1)]
    limits = [n_tiles * s // n_spans for s in range(n_spans + 1)]

    def build(i: int) -> None:
        span, (low, high) = i % n_spans, pairs[i // n_spans]
        if not whole:
            histogram.node_histograms(
                words[low], words[high], packed, order, starts, slots, TILE_ROWS, limits[span], limits[span + 1],
                low * CELLS, high * CELLS, parts[span],
            )  # fmt: skip
            return
        first, last = limits[span] * TILE_ROWS, min(limits[span + 1] * TILE_ROWS, n_rows)
        for group in {low, high}:
            cells = parts[span][0, group * CELLS : (group + 1) * CELLS]
            histogram.root_histogram(words[group], packed, first, last, cells)

    run(n_threads > 1, build, n_spans * len(pairs))
    for part in parts[1:]:
        run(n_threads > 1, lambda node, part=part: histogram.add_into(part[node], out[node]), len(slots))  # type: ignore[misc]
    return out


def count_histogram(words: U32, count: I64, order: U16, starts: I32, slots: I64, groups: I64, threads: bool) -> I64:
    """Like `node_histogram`, adding up `count` (empty: 1 a row) in place of the gradients."""
    n_groups, n_rows = words.shape
    out = np.zeros((len(slots), n_groups * CELLS), np.int64)

    def build(i: int) -> None:
        group = int(groups[i])
        if starts.shape[1] == 2:
            histogram.root_counts(words[group], count, 0, n_rows, out[0, group * CELLS : (group + 1) * CELLS])
        else:
            histogram.node_counts(words[group], count, order, starts, slots, TILE_ROWS, group * CELLS, out)

    run(threads, build, len(groups))
    return out


def split_rows(words: U32, order: U16, starts: I32, plan: Plan, threads: bool) -> tuple[U16, I32]:
    """Part the rows of the slots that are split; return order and starts afterwards."""
    order = order if threads else order.copy()
    after = np.zeros((len(starts), starts.shape[1] + int((plan.line >= 0).sum())), np.int32)
    cuts = _tile_cuts(words, threads)
    run(
        threads,
        lambda i: partition.split_tiles(words, *plan, TILE_ROWS, *cuts[i], order, starts, after),
        len(cuts),
    )
    return order, after


def settle_rows(words: U32, order: U16, starts: I32, plan: Plan, child: I64, threads: bool) -> tuple[U32, I64]:
    """Return the leaf of each row after a last level of splits, and of each slot how many rows went left.

    `child` is the leaf of a slot, or the left child of one that is split.
    """
    out = np.empty(words.shape[1], np.uint32)
    cuts = _tile_cuts(words, threads)
    n_left = np.zeros((len(cuts), len(child)), np.int64)
    run(
        threads,
        lambda i: partition.settle_tiles(words, *plan, child, TILE_ROWS, *cuts[i], order, starts, out, n_left[i]),
        len(cuts),
    )
    return out, np.stack([n_left.sum(axis=0), np.diff(starts, axis=1).sum(axis=0)])


def _tile_cuts(words: U32, threads: bool) -> list[tuple[int, int]]:
    """Return first and last+1 tile of what one thread takes at a time."""
    n_tiles = -(-words.shape[1] // TILE_ROWS)
    size = PIECE_ROWS // TILE_ROWS
    if threads and n_tiles > size // 2:
        n_threads = ports.current().n_threads
        size = max(1, min(size, -(-n_tiles // n_threads)))
    return pieces(0, n_tiles, size if threads else max(n_tiles, 1))


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
