"""Which rows are in which node: each tile's rows, sorted by node.

The rows of a tile are numbered from its first, and the numbers lie in runs, one a *slot*; a
slot is a leaf of the tree as it is so far. A split parts the runs of its slot stably, in
place, tile by tile::

    order    [ 0 2 3 5 | 1 4 ]          two slots
    starts   [ 0         4     6 ]
                                        slot 0 is split; its right side waits in scratch:
    order    [ 2 5 | 0 3 | 1 4 ]
    starts   [ 0     2     4     6 ]

Two bytes a row move, and no further than their tile: the rows' bins and gradients stay
where they are and are read in ascending order while the tile is in the second-level cache.
(To keep the rows of a node together over all tiles, as most libraries do, costs 8 ns a row
and level with the gradients gathered; this costs 3.)

A split is a table of 256 bytes: entry b is 1 when bin b goes left. Thresholds, missing
values, subsets of categories and levels never seen are all the same to the loop.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import kernel

__all__ = ["TILE_ROWS", "part_bag", "settle_tiles", "split_tiles"]

TILE_ROWS = 16_384
"""Rows of a tile: their gradients and the words of two groups are 256 KB."""

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]
U16 = npt.NDArray[np.uint16]
U8 = npt.NDArray[np.uint8]


@kernel
def part_bag(bag: U8, first: int, last: int, order: U16, starts: I32) -> None:
    """Set up the tile of rows first..last with two slots: rows in the bag, and the others."""
    n = 0
    for i in range(last - first):
        n += 1 if bag[first + i] != 0 else 0
    starts[1], starts[2] = n, last - first
    inside, outside = first, first + n
    for i in range(last - first):
        if bag[first + i] != 0:
            order[inside] = i
            inside += 1
        else:
            order[outside] = i
            outside += 1


@kernel
def split_tiles(
    words: U32, line: I64, group: I64, shift: I64, tables: U8, tile_rows: int, first: int, last: int, order: U16,
    before: I32, after: I32,
) -> None:  # fmt: skip
    """Part the runs of the slots that are split, in tiles first..last.

    Parameters
    ----------
    words : ndarray of uint32, shape (n_groups, n_rows)                              # IN
    line : ndarray of int64, shape (n_slots,)                                        # IN
        Which split, -1 for none.
    group, shift : ndarray of int64, shape (n_splits,)                               # IN
        Where the byte of a split's feature is.
    tables : ndarray of uint8, shape (n_splits, 256)                                 # IN
    tile_rows, first, last : int                                                     # IN
    order : ndarray of uint16, shape (n_rows,)                                       # IN, OUT
    before : ndarray of int32, shape (n_tiles, n_slots + 1)                          # IN
        Where each slot begins in the tile.
    after : ndarray of int32, shape (n_tiles, n_slots + n_split + 1)                 # OUT
        The same afterwards: a split slot has become two.

    Notes
    -----
    Cost: one pass, 3 ns a row. (Unsigned numbers: signed ones are first asked whether they count
    from the end, which doubles the time.)
    """
    spare = np.empty(tile_rows, np.uint16)
    for tile in range(first, last):
        base = tile * tile_rows
        begins, n_after = before[tile], 0
        after[tile, 0] = 0
        for slot in range(len(line)):
            k = line[slot]
            if k >= 0:
                word = words[group[k], base:]
                bits = np.uint32(shift[k])
                table = tables[k]
                run = order[base + begins[slot] : base + begins[slot + 1]]
                left = np.uint64(0)
                right = np.uint64(0)
                for i in range(np.uint64(len(run))):
                    place = run[i]
                    flag = np.uint64(table[(word[np.uint64(place)] >> bits) & np.uint32(255)])
                    run[left] = place  # both are written, one of the two counts: no branch to mispredict
                    spare[right] = place
                    left += flag
                    right += np.uint64(1) - flag
                for i in range(right):
                    run[left + i] = spare[i]
                n_after += 1
                after[tile, n_after] = begins[slot] + np.int64(left)
            n_after += 1
            after[tile, n_after] = begins[slot + 1]


@kernel
def settle_tiles(
    words: U32, line: I64, group: I64, shift: I64, tables: U8, child: I64, tile_rows: int, first: int, last: int,
    order: U16, starts: I32, out: U32, n_left: I64,
) -> None:  # fmt: skip
    """Write the leaf of each row of tiles first..last, after a last level of splits.

    Parameters
    ----------
    words, line, group, shift, tables, tile_rows, first, last, order, starts :       # IN
        As in `split_tiles`.
    child : ndarray of int64, shape (n_slots,)                                       # IN
        The leaf of a slot, or the left child when it is split; the right one follows.
    out : ndarray of uint32, shape (n_rows,)                                         # OUT
    n_left : ndarray of int64, shape (n_slots,)                                      # OUT
        Rows that went left are added to it.
    """
    for tile in range(first, last):
        base = tile * tile_rows
        found = out[base:]
        for slot in range(len(line)):
            k = line[slot]
            leaf = np.uint32(child[slot])
            run = order[base + starts[tile, slot] : base + starts[tile, slot + 1]]
            if k < 0:
                for i in range(np.uint64(len(run))):
                    found[np.uint64(run[i])] = leaf
                continue
            word = words[group[k], base:]
            bits = np.uint32(shift[k])
            table = tables[k]
            n = np.uint32(0)
            for i in range(np.uint64(len(run))):
                place = np.uint64(run[i])
                flag = np.uint32(table[(word[place] >> bits) & np.uint32(255)])
                found[place] = leaf + np.uint32(1) - flag
                n += flag
            n_left[slot] += np.int64(n)
