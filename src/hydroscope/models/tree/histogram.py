"""Histograms of gradients: the loop in which a boosted tree spends most of its time.

A row's gradient and hessian are integers (see `models.quantise`) packed into one int64::

     63                     shift                      0
    +------------------------+-------------------------+
    |  gradient, signed      |  hessian, never negative |
    +------------------------+-------------------------+

One addition adds both. The sums fit whatever the subset of rows, so the fields never run
into each other, and integer sums are associative: the same histogram comes out for any
number of threads, spans or blocks, and a sibling is an exact difference.

Bins are bytes, four features to a *word*, words of one group side by side::

    words[group, row] = bin of feature 4*group | 4*group+1 << 8 | 4*group+2 << 16 | 4*group+3 << 24

One load of a row's number, packed gradient and word serves four cells; measured 0.35 to
0.6 ns a cell against 0.7 to 1.4 with one byte array per feature. Rows of a node are
ascending, so a level is walked tile by tile: a tile's words stay in the second-level cache
while all nodes of the level take what is theirs.

`models.tree.reference` has the obvious twins.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import kernel

__all__ = [
    "BINS",
    "GROUP",
    "MISSING_BIN",
    "TILE_ROWS",
    "add_into",
    "gather",
    "node_counts",
    "node_histograms",
    "root_counts",
    "root_histogram",
    "tile_cuts",
]

BINS = 256
"""Cells of one feature: up to 255 of values, and the missing one."""

MISSING_BIN = 255

GROUP = 4
"""Features of one word."""

TILE_ROWS = 65_536
"""Rows; their words of one group are 256 KB, half of a common second-level cache."""

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]


@kernel
def root_histogram(word: U32, packed: I64, first: int, last: int, out: I64) -> None:
    """Add rows first..last to the four histograms of one group.

    Parameters
    ----------
    word : ndarray of uint32, shape (n_rows,)                                        # IN
    packed : ndarray of int64, shape (n_rows,)                                       # IN
    first, last : int                                                                # IN
    out : ndarray of int64, shape (4 * 256,)                                         # OUT
    """
    for row in range(first, last):
        x = word[row]
        p = packed[row]
        out[x & 255] += p
        out[256 + ((x >> 8) & 255)] += p
        out[512 + ((x >> 16) & 255)] += p
        out[768 + (x >> 24)] += p


@kernel
def node_histograms(word: U32, rows: I32, gathered: I64, cuts: I64, out: I64) -> None:
    """Add the rows of several nodes to their histograms of one group.

    Parameters
    ----------
    word : ndarray of uint32, shape (n_rows,)                                        # IN
    rows : ndarray of int32, shape (n_rows_of_tree,)                                 # IN
        Row numbers, ascending within a node.
    gathered : ndarray of int64, shape (n_rows_of_tree,)                             # IN
        packed[rows], where a node that is built has its rows.
    cuts : ndarray of int64, shape (n_tiles + 1, n_nodes)                            # IN
        Where in `rows` each tile of each node begins; see `tile_cuts`.
    out : ndarray of int64, shape (n_nodes, 4 * 256)                                 # OUT
    """
    for tile in range(cuts.shape[0] - 1):
        for node in range(cuts.shape[1]):
            cells = out[node]
            for i in range(cuts[tile, node], cuts[tile + 1, node]):
                x = word[rows[i]]
                p = gathered[i]
                cells[x & 255] += p
                cells[256 + ((x >> 8) & 255)] += p
                cells[512 + ((x >> 16) & 255)] += p
                cells[768 + (x >> 24)] += p


@kernel
def root_counts(word: U32, count: I64, first: int, last: int, out: I64) -> None:
    """Like `root_histogram` with `count` (empty: 1 a row) in place of the gradients."""
    counted = len(count) > 0
    for row in range(first, last):
        x = word[row]
        p = count[row] if counted else 1
        out[x & 255] += p
        out[256 + ((x >> 8) & 255)] += p
        out[512 + ((x >> 16) & 255)] += p
        out[768 + (x >> 24)] += p


@kernel
def node_counts(word: U32, rows: I32, count: I64, start: int, end: int, out: I64) -> None:
    """Count the rows of one node (or add up `count` unless it is empty) in each bin of one group."""
    counted = len(count) > 0
    for i in range(start, end):
        row = rows[i]
        x = word[row]
        p = count[row] if counted else 1
        out[x & 255] += p
        out[256 + ((x >> 8) & 255)] += p
        out[512 + ((x >> 16) & 255)] += p
        out[768 + (x >> 24)] += p


@kernel
def gather(values: I64, rows: I32, start: int, end: int, out: I64) -> None:
    """Set out[i] = values[rows[i]] for i in start..end. Cost: one random read a row."""
    for i in range(start, end):
        out[i] = values[rows[i]]


@kernel
def tile_cuts(rows: I32, starts: I64, ends: I64, tile_rows: int, out: I64) -> None:
    """Find where each node's rows pass from one tile to the next.

    Parameters
    ----------
    rows : ndarray of int32                                                          # IN
    starts, ends : ndarray of int64, shape (n_nodes,)                                # IN
    tile_rows : int                                                                  # IN
    out : ndarray of int64, shape (n_tiles + 1, n_nodes)                             # OUT

    Notes
    -----
    Cost: O(n_tiles * n_nodes * log(rows of a node)).
    """
    for node in range(len(starts)):
        low = starts[node]
        for tile in range(out.shape[0] - 1):
            wanted = tile * tile_rows
            high = ends[node]
            while low < high:
                middle = (low + high) // 2
                if rows[middle] < wanted:
                    low = middle + 1
                else:
                    high = middle
            out[tile, node] = low
        out[out.shape[0] - 1, node] = ends[node]


@kernel
def add_into(part: I64, total: I64) -> None:
    """Add the cells of `part` to `total`, both flat."""
    for i in range(len(part)):
        total[i] += part[i]
