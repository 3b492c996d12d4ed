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

One load of a row's number and packed gradient and two of words serve eight cells; measured
0.35 to 0.6 ns a cell against 0.7 to 1.4 with one byte array per feature. A level is walked
tile by tile: a tile's words and gradients stay in the second-level cache while all nodes of
the level take what is theirs.

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
    "add_into",
    "node_counts",
    "node_histograms",
    "root_counts",
    "root_histogram",
]

BINS = 256
"""Cells of one feature: up to 255 of values, and the missing one."""

MISSING_BIN = 255

GROUP = 4
"""Features of one word."""

BYTE, SHIFT_1, SHIFT_2, SHIFT_3 = np.uint32(255), np.uint32(8), np.uint32(16), np.uint32(24)
AT_1, AT_2, AT_3 = np.uint32(256), np.uint32(512), np.uint32(768)
"""A word's parts and where their cells begin. Unsigned: a signed number is first asked whether it
counts from the end, which costs a seventh of the time."""

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]
U16 = npt.NDArray[np.uint16]


@kernel
def root_histogram(word: U32, packed: I64, first: int, last: int, out: I64) -> None:
    """Add rows first..last, every one, to the four histograms of one group.

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
        out[x & BYTE] += p
        out[((x >> SHIFT_1) & BYTE) + AT_1] += p
        out[((x >> SHIFT_2) & BYTE) + AT_2] += p
        out[(x >> SHIFT_3) + AT_3] += p


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
def node_histograms(
    low: U32, high: U32, packed: I64, order: U16, starts: I32, slots: I64, tile_rows: int, first: int, last: int,
    low_at: int, high_at: int, out: I64,
) -> None:  # fmt: skip
    """Add the rows of several nodes to their histograms of two groups.

    Parameters
    ----------
    low, high : ndarray of uint32, shape (n_rows,)                                   # IN
        Words of two groups; the same one twice when there is but one.
    packed : ndarray of int64, shape (n_rows,)                                       # IN
    order, starts : ndarrays, starts of shape (n_tiles, n_slots + 1)                 # IN
        Each tile's rows by slot; see `tree.partition`.
    slots : ndarray of int64, shape (n_nodes,)                                       # IN
        Where the nodes' rows are.
    tile_rows : int                                                                  # IN
    first, last : int                                                                # IN
        Tiles.
    low_at, high_at : int                                                            # IN
        Where the groups' cells begin in a line of `out`.
    out : ndarray of int64, shape (n_nodes, n_cells)                                 # OUT
    """
    for tile in range(first, last):
        base = tile * tile_rows
        low_words, high_words, values = low[base:], high[base:], packed[base:]
        for k in range(len(slots)):
            run = order[base + starts[tile, slots[k]] : base + starts[tile, slots[k] + 1]]
            a, b = out[k, low_at : low_at + 1024], out[k, high_at : high_at + 1024]
            if low_at == high_at:
                for i in range(np.uint64(len(run))):
                    row = np.uint64(run[i])
                    x = low_words[row]
                    p = values[row]
                    a[x & BYTE] += p
                    a[((x >> SHIFT_1) & BYTE) + AT_1] += p
                    a[((x >> SHIFT_2) & BYTE) + AT_2] += p
                    a[(x >> SHIFT_3) + AT_3] += p
            else:
                for i in range(np.uint64(len(run))):
                    row = np.uint64(run[i])
                    x = low_words[row]
                    y = high_words[row]
                    p = values[row]
                    a[x & BYTE] += p
                    a[((x >> SHIFT_1) & BYTE) + AT_1] += p
                    a[((x >> SHIFT_2) & BYTE) + AT_2] += p
                    a[(x >> SHIFT_3) + AT_3] += p
                    b[y & BYTE] += p
                    b[((y >> SHIFT_1) & BYTE) + AT_1] += p
                    b[((y >> SHIFT_2) & BYTE) + AT_2] += p
                    b[(y >> SHIFT_3) + AT_3] += p


@kernel
def node_counts(
    word: U32, count: I64, order: U16, starts: I32, slots: I64, tile_rows: int, at: int, out: I64
) -> None:  # fmt: skip
    """Count the rows of some nodes (or add up `count` unless it is empty) in each bin of one group, all tiles."""
    counted = len(count) > 0
    for tile in range(starts.shape[0]):
        base = tile * tile_rows
        for k in range(len(slots)):
            cells = out[k]
            for i in range(base + starts[tile, slots[k]], base + starts[tile, slots[k] + 1]):
                row = base + order[i]
                x = word[row]
                p = count[row] if counted else 1
                cells[at + (x & 255)] += p
                cells[at + 256 + ((x >> 8) & 255)] += p
                cells[at + 512 + ((x >> 16) & 255)] += p
                cells[at + 768 + (x >> 24)] += p


@kernel
def add_into(part: I64, total: I64) -> None:
    """Add the cells of `part` to `total`, both flat."""
    for i in range(len(part)):
        total[i] += part[i]
