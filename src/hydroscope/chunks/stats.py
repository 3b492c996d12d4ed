"""Bounds of a chunk's values, read from its compressed form: what to skip, what to narrow to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.decode import decode_int, decode_real
from hydroscope.codecs.table import RAW_CODECS, Codec
from hydroscope.ground.limits import INT_MISSING

__all__ = ["Bounds", "int_bounds", "real_bounds"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the largest value that is not missing (None: all are), and how many are missing."""

    low: int | float | None
    high: int | float | None
    n_missing: int
    n_rows: int


def int_bounds(chunk: Chunk) -> Bounds:
    """Return the bounds of a chunk of an int column. Cost: O(compressed bytes), nothing is decoded if raw."""
    if chunk.codec in RAW_CODECS:
        low, high = _raw_ends(chunk)
    else:
        low, high = _ends(_representatives(chunk, np.dtype(np.int64)))
    return Bounds(low, high, chunk.n_missing, chunk.n_rows)


def real_bounds(chunk: Chunk) -> Bounds:
    """Return the bounds of a chunk of a real column (-0.0 counts as 0.0). Cost as of `int_bounds`."""
    if chunk.codec in RAW_CODECS:
        power = float(10**chunk.decimals)
        low, high = (None if end is None else end / power for end in _raw_ends(chunk))
    else:
        low, high = (None if end is None else end + 0.0 for end in _ends(_representatives(chunk, np.dtype(np.float64))))
    return Bounds(low, high, chunk.n_missing, chunk.n_rows)


def _ends(values: npt.NDArray[Any]) -> tuple[Any, Any]:
    return (values.min().item(), values.max().item()) if len(values) else (None, None)


def _raw_ends(chunk: Chunk) -> tuple[int | None, int | None]:
    """Return the ends of INT8..INT32 without the division by 10**decimals."""
    raw = chunk.buffers[0].view(RAW_CODECS[chunk.codec])
    if chunk.n_missing:
        raw = raw[raw != 2 ** (8 * raw.itemsize) - 1]
    low, high = _ends(raw)
    return (None, None) if low is None else (chunk.bias + chunk.step * low, chunk.bias + chunk.step * high)


def _representatives(chunk: Chunk, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return values among which are the least and the largest, none of them missing."""
    if chunk.codec == Codec.SPARSE:
        assert chunk.inner is not None
        values = _representatives(chunk.inner, dtype)
        return values if chunk.bias or chunk.inner.n_rows == chunk.n_rows else np.append(values, dtype.type(0))
    if chunk.codec in (Codec.DICT8, Codec.DICT16):
        used = np.bincount(chunk.buffers[0].astype(np.int64), minlength=len(chunk.buffers[1])) > 0
        values = np.asarray(chunk.buffers[1].view(dtype)[used])
    else:
        shown = replace(chunk, n_rows=1) if chunk.codec == Codec.CONSTANT else chunk
        values = decode_real(shown) if dtype == np.float64 else decode_int(shown)
    present = values == values if dtype == np.float64 else values != INT_MISSING
    return values[np.asarray(present)] if chunk.n_missing else values
