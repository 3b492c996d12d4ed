"""Which rows a tree sees: a pure function of (seed, tree, row). The compiled twin of `ground.rng`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import kernel

__all__ = ["sample_rows"]

I32 = npt.NDArray[np.int32]


@kernel
def sample_rows(rows: I32, first_row: int, stream: np.uint64, share: float, out: I32) -> int:
    """Write those of `rows` whose number of the stream is below `share`; return how many they are.

    Parameters
    ----------
    rows : ndarray of int32                                                          # IN
    first_row : int                                                                  # IN
        Number of the stream that belongs to row 0.
    stream : uint64                                                                  # IN
        A `ground.rng.key`.
    share : float                                                                    # IN
    out : ndarray of int32, as long as rows                                          # OUT

    Notes
    -----
    Cost: 1 ns a row.
    """
    n = 0
    for row in rows:
        value = np.uint64(first_row + row) * np.uint64(0x9E3779B97F4A7C15) + stream
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value ^= value >> np.uint64(31)
        out[n] = row
        if np.float64(value >> np.uint64(11)) * 1.1102230246251565e-16 < share:
            n += 1
    return n
