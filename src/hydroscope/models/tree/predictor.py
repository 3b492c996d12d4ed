"""Trees as arrays, and walking them.

Nodes are numbered level by level, the right child follows the left one. A split is 256
bits, one a bin: set means left (see `models.tree.partition`). A leaf is its own child, so a
walk takes the same number of steps for every row and the loop has nothing to mispredict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import kernel

__all__ = ["PREDICT_TILE_ROWS", "Forest", "add_trees", "join", "pack_table"]

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U64 = npt.NDArray[np.uint64]
U32 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint8]
F64 = npt.NDArray[np.float64]

PREDICT_TILE_ROWS = 1024
"""Rows that meet one tree after another: their words and one tree's nodes fit the first-level cache."""


@dataclass(frozen=True)
class Forest:
    """Trees of one model, node arrays laid end to end.

    Attributes
    ----------
    starts : ndarray of int64, shape (n_trees + 1,)
        First node of each tree.
    depths : ndarray of int32, shape (n_trees,)
        Splits on the longest way down.
    output : ndarray of int32, shape (n_trees,)
        The class (0 when there is one score a row) a tree adds to.
    feature : ndarray of int32, shape (n_nodes,)
        -1 for leaves.
    left : ndarray of int32, shape (n_nodes,)
        Left child, counted from the tree's first node; right = left + 1; a leaf's is itself.
    mask : ndarray of uint64, shape (n_nodes, 4)
        Bit b: bin b goes left. All set for leaves.
    threshold : ndarray of float64, shape (n_nodes,)
        Numbers go left when <= threshold; NaN for categories and leaves.
    value : ndarray of float64, shape (n_nodes,)
        What a row that ends here adds to its score.
    gain, cover : ndarray of float64, shape (n_nodes,)
        Gain of the split (0 for leaves), sum of hessians.
    n_rows : ndarray of int64, shape (n_nodes,)
        Training rows that came by.
    """

    starts: I64
    depths: I32
    output: I32
    feature: I32
    left: I32
    mask: U64
    threshold: F64
    value: F64
    gain: F64
    cover: F64
    n_rows: I64

    @property
    def n_trees(self) -> int:
        """Trees in all."""
        return len(self.depths)

    def first(self, n_trees: int) -> Forest:
        """Return the first `n_trees` trees. Cost: free, arrays are shared."""
        end = int(self.starts[n_trees])
        return Forest(
            starts=self.starts[: n_trees + 1],
            depths=self.depths[:n_trees],
            output=self.output[:n_trees],
            feature=self.feature[:end],
            left=self.left[:end],
            mask=self.mask[:end],
            threshold=self.threshold[:end],
            value=self.value[:end],
            gain=self.gain[:end],
            cover=self.cover[:end],
            n_rows=self.n_rows[:end],
        )


def join(trees: Sequence[Forest]) -> Forest:
    """Return one forest of all trees. Cost: one copy."""
    if not trees:
        return Forest(
            np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32),
            np.zeros(0, np.int32), np.zeros((0, 4), np.uint64), np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0),
            np.zeros(0, np.int64),
        )  # fmt: skip
    sizes = np.concatenate([np.diff(tree.starts) for tree in trees])
    starts = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    names = ("depths", "output", "feature", "left", "mask", "threshold", "value", "gain", "cover", "n_rows")
    return Forest(starts, *(np.concatenate([getattr(tree, name) for tree in trees]) for name in names))


def pack_table(goes_left: U8) -> U64:
    """Return tables of bytes, shape (n, 256), as bits, shape (n, 4): bit b & 63 of word b >> 6 is bin b."""
    bits: U64 = np.packbits(goes_left, axis=1, bitorder="little").view("<u8")
    return bits


@kernel
def add_trees(
    words: U32,
    starts: I64,
    depths: I32,
    output: I32,
    feature: I32,
    left: I32,
    mask: U64,
    value: F64,
    first: int,
    last: int,
    scores: F64,
) -> None:
    """Add every tree's value to the scores of rows first..last, tree after tree.

    Parameters
    ----------
    words : ndarray of uint32, shape (n_groups, n_rows)                              # IN
    starts, depths, output, feature, left, mask, value :                             # IN
        See `Forest`.
    first, last : int                                                                # IN
    scores : ndarray of float64, shape (n_outputs, n_rows)                           # OUT

    Notes
    -----
    Cost: O(rows * trees * depth).
    """
    for begin in range(first, last, PREDICT_TILE_ROWS):
        end = min(begin + PREDICT_TILE_ROWS, last)
        for tree in range(len(depths)):
            base = starts[tree]
            depth = depths[tree]
            out = scores[output[tree]]
            for row in range(begin, end):
                node = base
                for _ in range(depth):
                    f = max(feature[node], 0)
                    b = (words[f >> 2, row] >> np.uint32((f & 3) * 8)) & np.uint32(255)
                    flag = (mask[node, b >> 6] >> np.uint64(b & 63)) & np.uint64(1)
                    node = base + left[node] + np.int64(flag ^ np.uint64(1))
                out[row] += value[node]
