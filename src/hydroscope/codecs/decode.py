"""Chunks into arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.codecs import reference
from hydroscope.codecs.chunk import Chunk

__all__ = ["decode_int", "decode_real"]


def decode_int(chunk: Chunk, out: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
    """Return the chunk's integers, INT_MISSING where missing, in `out` when given."""
    values = reference.decode_int(chunk)
    if out is None:
        return values
    out[:] = values
    return out


def decode_real(chunk: Chunk, out: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
    """Return the chunk's reals, NaN where missing, in `out` when given."""
    values = reference.decode_real(chunk)
    if out is None:
        return values
    out[:] = values
    return out
