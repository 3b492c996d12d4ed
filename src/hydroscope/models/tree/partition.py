"""Moving a node's rows to its children, in order, and back to the rows in the end.

The rows of a tree are one array of row numbers in which every node is a range. A split
sorts its range stably into left and right::

    before   [ 0 2 3 5 8 9 ]            one node
                                        pieces of the range, each by one thread:
    scratch  [ 2 5 . | 8 . . ]  left    compacted in place ...
             [ 0 3 . | 9 . . ]  right
    after    [ 2 5 8   0 3 9 ]          ... then copied to where the counts say

A split is a table of 256 bytes: entry b is 1 when bin b goes left. Thresholds, missing
values, subsets of categories and levels never seen are all the same to the loop.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import kernel

__all__ = ["assign", "assign_split", "copy_rows", "split_rows"]

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint8]


@kernel
def split_rows(word: U32, shift: int, goes_left: U8, rows: I32, start: int, end: int, left: I32, right: I32) -> int:
    """Part rows[start:end] by a split; both sides stay in order. Return how many go left.

    Parameters
    ----------
    word : ndarray of uint32, shape (n_rows,)                                        # IN
    shift : int                                                                      # IN
        Where in the word the feature's byte is.
    goes_left : ndarray of uint8, shape (256,)                                       # IN
    rows : ndarray of int32                                                          # IN
    left, right : ndarray of int32, as long as rows                                  # OUT
        Each side from `start` on.
    """
    n_left = start
    n_right = start
    bits = np.uint32(shift)
    for i in range(start, end):
        row = rows[i]
        flag = goes_left[(word[row] >> bits) & np.uint32(255)]
        left[n_left] = row  # both are written, one of the two counts: no branch to mispredict
        right[n_right] = row
        n_left += flag
        n_right += 1 - flag
    return n_left - start


@kernel
def copy_rows(source: I32, start: int, n: int, out: I32, to: int) -> None:
    """Copy n row numbers from source[start] on to out[to] on."""
    for i in range(n):
        out[to + i] = source[start + i]


@kernel
def assign(rows: I32, start: int, end: int, node: int, out: I32) -> None:
    """Set out[row] = node for rows[start:end]."""
    for i in range(start, end):
        out[rows[i]] = node


@kernel
def assign_split(word: U32, shift: int, goes_left: U8, rows: I32, start: int, end: int, node: int, out: I32) -> int:
    """Set out[row] = node for rows that go left, node + 1 for the others; return how many go left."""
    n_left = 0
    bits = np.uint32(shift)
    for i in range(start, end):
        row = rows[i]
        flag = goes_left[(word[row] >> bits) & np.uint32(255)]
        out[row] = node + 1 - flag
        n_left += flag
    return n_left
