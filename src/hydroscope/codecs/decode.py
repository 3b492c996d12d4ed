"""Chunks into arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs import kernels
from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.table import RAW_CODECS, Codec
from hydroscope.ground.limits import INT_MISSING

__all__ = ["decode_int", "decode_real"]

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

_NO_RAW = tuple(np.empty(0, dtype) for dtype in RAW_CODECS.values())
_SMALL_INTS = np.array([0, 1, 2, INT_MISSING])
_SMALL_REALS = np.array([0.0, 1.0, 2.0, np.nan])


def decode_int(chunk: Chunk, out: Ints | None = None) -> Ints:
    """Return the integers of a chunk of an int, bool, enum or time column.

    Parameters
    ----------
    chunk : Chunk
    out : ndarray of int64, shape (n_rows,), optional
        Where to write; contiguous. Without it a new array is made.

    Returns
    -------
    ndarray of int64, shape (n_rows,)
        INT_MISSING where missing. Cost: O(n_rows), under 1 ns a row.
    """
    values = np.empty(chunk.n_rows, dtype=np.int64) if out is None else out
    if chunk.codec in RAW_CODECS:
        assert chunk.decimals == 0, "a chunk of decimals in an int column"
        raw8, raw16, raw32 = _raw(chunk)
        kernels.unpack_int(raw8, raw16, raw32, chunk.bias, chunk.step, values)
    elif chunk.codec == Codec.INT64:
        values[:] = chunk.buffers[0]
    elif chunk.codec == Codec.CONSTANT:
        values[:] = chunk.bias
    elif chunk.codec == Codec.MISSING:
        values[:] = INT_MISSING
    elif chunk.codec == Codec.SPARSE:
        assert chunk.inner is not None
        values[:] = INT_MISSING if chunk.bias else 0
        values[chunk.buffers[0]] = decode_int(chunk.inner)
    else:
        _coded(chunk, _SMALL_INTS, values)
    return values


def decode_real(chunk: Chunk, out: Reals | None = None) -> Reals:
    """Return the reals of a chunk of a real column.

    Parameters
    ----------
    chunk : Chunk
    out : ndarray of float64, shape (n_rows,), optional
        Where to write; contiguous. Without it a new array is made.

    Returns
    -------
    ndarray of float64, shape (n_rows,)
        The canonical NaN where missing. Cost: O(n_rows), under 1 ns a row.
    """
    values = np.empty(chunk.n_rows, dtype=np.float64) if out is None else out
    if chunk.codec in RAW_CODECS:
        raw8, raw16, raw32 = _raw(chunk)
        kernels.unpack_real(raw8, raw16, raw32, chunk.bias, chunk.step, float(10**chunk.decimals), values)
    elif chunk.codec in (Codec.FLOAT32, Codec.FLOAT64):
        values[:] = chunk.buffers[0]
    elif chunk.codec == Codec.CONSTANT:
        values.view(np.int64)[:] = chunk.bias
    elif chunk.codec == Codec.MISSING:
        values[:] = np.nan
    elif chunk.codec == Codec.SPARSE:
        assert chunk.inner is not None
        values[:] = np.nan if chunk.bias else 0.0
        values[chunk.buffers[0]] = decode_real(chunk.inner)
    else:
        _coded(chunk, _SMALL_REALS.view(np.int64), values.view(np.int64))
    return values


def _raw(chunk: Chunk) -> list[Any]:
    """Return the raw buffer in the place of its width, empty ones in the others."""
    buffer = chunk.buffers[0]
    return [buffer if no.dtype == buffer.dtype else no for no in _NO_RAW]


def _coded(chunk: Chunk, small: Ints, words: Ints) -> None:
    """Write the words of BIT, CRUMB, DICT8 and DICT16; of reals, their bits."""
    codes: Any = chunk.buffers[0]
    if chunk.codec in (Codec.BIT, Codec.CRUMB):
        kernels.unpack_small(codes, 1 if chunk.codec == Codec.BIT else 2, small, words)
        return
    assert chunk.codec in (Codec.DICT8, Codec.DICT16), f"{chunk.codec.name} holds no numbers"
    no_u8, no_u16, _ = _NO_RAW
    narrow = chunk.codec == Codec.DICT8
    kernels.look_up(codes if narrow else no_u8, no_u16 if narrow else codes, chunk.buffers[1].view(np.int64), words)
