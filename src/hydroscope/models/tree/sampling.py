"""Which rows a tree sees: a pure function of (seed, tree, row). The compiled twin of `ground.rng`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import kernel

__all__ = ["sample_rows"]

U8 = npt.NDArray[np.uint8]


@kernel
def sample_rows(kept: U8, first_row: int, stream: np.uint64, share: float, first: int, last: int, out: U8) -> None:
    """Mark with 1 the rows first..last that are kept and whose number of the stream is below `share`.

    Parameters
    ----------
    kept : ndarray of uint8, or empty when all are kept                              # IN
    first_row : int                                                                  # IN
        Number of the stream that belongs to row 0.
    stream : uint64                                                                  # IN
        A `ground.rng.key`.
    share : float                                                                    # IN
    first, last : int                                                                # IN
    out : ndarray of uint8, shape (n_rows,)                                          # OUT

    Notes
    -----
    Cost: 1 ns a row.
    """
    some = len(kept) > 0
    for row in range(first, last):
        value = np.uint64(first_row + row) * np.uint64(0x9E3779B97F4A7C15) + stream
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value ^= value >> np.uint64(31)
        drawn = np.float64(value >> np.uint64(11)) * 1.1102230246251565e-16 < share
        out[row] = 1 if drawn and (not some or kept[row] != 0) else 0
