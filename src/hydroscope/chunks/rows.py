"""Some rows of a chunk as a new chunk, without decoding numbers.

The codec stays, so the result is not always the smallest possible: to shrink it, decode and
encode (`Builder` does). Numbers never change family on the way, which is why no family need
be told: a CONSTANT is never made of something else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from hydroscope.codecs import kernels, text_kernels
from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.decode import decode_int
from hydroscope.codecs.table import RAW_CODECS, Codec
from hydroscope.codecs.text import decode_text, decode_uuid, encode_text, encode_uuid
from hydroscope.ground.limits import DICT_MAX, INT_MISSING, ROWS_PER_CHUNK

__all__ = ["slice_chunk", "take_chunk"]

Rows: TypeAlias = npt.NDArray[np.int64]
Buffer: TypeAlias = npt.NDArray[np.generic]


def slice_chunk(chunk: Chunk, start: int, stop: int) -> Chunk:
    """Return rows start..stop of a chunk.

    Parameters
    ----------
    chunk : Chunk
    start, stop : int
        0 <= start <= stop <= chunk.n_rows.

    Returns
    -------
    Chunk
        The chunk itself when that is all of it. Cost: O(rows kept), a copy of raw bytes.
    """
    assert 0 <= start <= stop <= chunk.n_rows, f"rows {start} to {stop} of {chunk.n_rows}"
    if stop - start == chunk.n_rows:
        return chunk
    if chunk.codec in (*RAW_CODECS, Codec.INT64, Codec.FLOAT32, Codec.FLOAT64):
        return _with_values(chunk, chunk.buffers[0][start:stop].copy())
    return _take(chunk, np.arange(start, stop))


def take_chunk(chunk: Chunk, which: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Chunk:
    """Return the chosen rows of a chunk.

    Parameters
    ----------
    chunk : Chunk
    which : ndarray of int, or of bool, shape (n_rows,)
        Row numbers in any order, repeated or not, at most 65,536; or a mask.

    Returns
    -------
    Chunk
        Cost: O(rows kept), 1 to 5 ns each; strings: O(bytes).
    """
    if which.dtype == np.bool_:
        assert len(which) == chunk.n_rows, f"a mask of {len(which)} rows for a chunk of {chunk.n_rows}"
        which = np.flatnonzero(which)
    rows = which.astype(np.int64, copy=False)
    assert len(rows) <= ROWS_PER_CHUNK, f"{len(rows)} rows in a chunk; at most {ROWS_PER_CHUNK}"
    assert len(rows) == 0 or (rows.min() >= 0 and rows.max() < chunk.n_rows), "a row number outside of the chunk"
    return _take(chunk, rows)


def _take(chunk: Chunk, rows: Rows) -> Chunk:
    n_rows = len(rows)
    if n_rows == 0 or chunk.codec == Codec.MISSING:
        return Chunk(Codec.MISSING, n_rows, n_rows)
    if chunk.codec == Codec.CONSTANT:
        return replace(chunk, n_rows=n_rows)
    if chunk.codec in (Codec.BIT, Codec.CRUMB):
        return _take_small(chunk, rows)
    if chunk.codec in (Codec.DICT8, Codec.DICT16):
        return _take_coded(chunk, rows)
    if chunk.codec == Codec.SPARSE:
        return _take_sparse(chunk, rows)
    if chunk.codec == Codec.UUID:
        words, valid = decode_uuid(chunk)
        return encode_uuid(words.reshape(-1, 2)[rows].ravel(), None if valid is None else valid[rows])
    if chunk.codec in (Codec.STRING, Codec.STRING_DICT):
        return _take_text(chunk, rows)
    return _with_values(chunk, chunk.buffers[0][rows])


def _with_values(chunk: Chunk, values: Buffer) -> Chunk:
    """Return the raw or wide chunk with other values in its only buffer."""
    if chunk.n_missing == 0:
        n_missing = 0
    elif chunk.codec in RAW_CODECS:
        n_missing = int(np.count_nonzero(values == 2 ** (8 * values.itemsize) - 1))
    else:
        n_missing = int(np.count_nonzero(values == INT_MISSING if chunk.codec == Codec.INT64 else values != values))
    return _finished(replace(chunk, n_rows=len(values), n_missing=n_missing, buffers=(values,)))


def _take_small(chunk: Chunk, rows: Rows) -> Chunk:
    values = decode_int(chunk)[rows]
    width = 1 if chunk.codec == Codec.BIT else 2
    packed = np.empty(-(-len(rows) * width // 8), np.uint8)
    kernels.pack_small(values, 1, width, packed)
    n_missing = int(np.count_nonzero(values == INT_MISSING)) if chunk.n_missing else 0
    return _finished(replace(chunk, n_rows=len(rows), n_missing=n_missing, buffers=(packed,)))


def _take_coded(chunk: Chunk, rows: Rows) -> Chunk:
    """Keep the table, unless it is longer than the rows: then keep what they use of it."""
    codes, table = chunk.buffers[0][rows], chunk.buffers[1]
    codec = chunk.codec
    if len(table) > len(rows):
        used, inverse = np.unique(codes, return_inverse=True)
        table = table[used.astype(np.int64)]
        codec = Codec.DICT8 if len(used) <= DICT_MAX else Codec.DICT16
        codes = inverse.astype(np.uint8 if codec == Codec.DICT8 else np.uint16)
    absent = table == INT_MISSING if table.dtype == np.int64 else table != table
    n_missing = int(np.count_nonzero(absent[codes.astype(np.int64)])) if chunk.n_missing else 0
    return _finished(replace(chunk, codec=codec, n_rows=len(rows), n_missing=n_missing, buffers=(codes, table)))


def _take_sparse(chunk: Chunk, rows: Rows) -> Chunk:
    inner = chunk.inner
    assert inner is not None
    there = chunk.buffers[0].astype(np.int64)
    place = np.searchsorted(there, rows)
    hit = np.flatnonzero(there[np.minimum(place, len(there) - 1)] == rows)
    if len(hit) == 0 and chunk.bias == 0:
        return Chunk(Codec.CONSTANT, len(rows), 0)  # 0, and the bits of 0.0
    taken = _take(inner, place[hit])
    n_missing = taken.n_missing + (len(rows) - len(hit) if chunk.bias else 0)
    buffers = (hit.astype(np.uint16),)
    return _finished(replace(chunk, n_rows=len(rows), n_missing=n_missing, buffers=buffers, inner=taken))


def _take_text(chunk: Chunk, rows: Rows) -> Chunk:
    if chunk.codec == Codec.STRING_DICT and len(chunk.buffers[0]) - 1 <= len(rows):
        assert chunk.inner is not None
        inner = _take(chunk.inner, rows)
        return _finished(replace(chunk, n_rows=len(rows), n_missing=inner.n_missing, inner=inner))
    offsets, data, valid = decode_text(chunk)
    taken = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(np.diff(offsets)[rows], out=taken[1:])
    out = np.empty(int(taken[-1]), np.uint8)
    text_kernels.copy_texts(offsets, data, rows, taken, out)
    return encode_text(taken, out, None if valid is None else valid[rows])


def _finished(chunk: Chunk) -> Chunk:
    """Return the chunk with read-only buffers, or the all-missing one."""
    if chunk.n_missing == chunk.n_rows:
        return Chunk(Codec.MISSING, chunk.n_rows, chunk.n_rows)
    for buffer in chunk.buffers:
        buffer.flags.writeable = False
    return chunk
