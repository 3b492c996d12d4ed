"""Compiled comparison of strings: byte by byte, which for UTF-8 is the order of code points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import typed_kernel

__all__ = ["text_signs"]

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@typed_kernel("const i8[], const u1[], const i8[], const u1[], i8, i8[]")
def text_signs(a_offsets: Ints, a: Bytes, b_offsets: Ints, b: Bytes, step: int, out: Ints) -> None:
    """Write -1, 0 or 1 as string i of `a` sorts before, with or after string i * step of `b`.

    With step 0 all are compared with the first of `b`. O(bytes up to the first difference).
    """
    for i in range(out.size):
        j = i * step
        p, p_end = a_offsets[i], a_offsets[i + 1]
        q, q_end = b_offsets[j], b_offsets[j + 1]
        while p < p_end and q < q_end and a[p] == b[q]:
            p += 1
            q += 1
        if p < p_end and q < q_end:
            out[i] = -1 if a[p] < b[q] else 1
        else:
            out[i] = (1 if p < p_end else 0) - (1 if q < q_end else 0)
