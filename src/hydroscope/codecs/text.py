"""Strings in Arrow's form (offsets, UTF-8 bytes, validity) into chunks and back; UUIDs likewise.

Buffers of STRING: the lengths in the narrowest unsigned type (empty when all strings have
the length `bias`), the text (a zstd frame when `decimals` is 1), the validity bits (empty
when none is missing; row 0 in the lowest bit). Buffers of STRING_DICT: offsets (uint32) and
text of the distinct strings in order of first appearance; `inner` holds the codes as an int
chunk. A missing string has length 0.

The smaller of the two is taken. Compression is tried where the smaller one takes more than
a quarter of the plain size, and kept where it saves another quarter; text of which a sample
does not compress is left alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs import text_kernels
from hydroscope.codecs.choose import hash_slots
from hydroscope.codecs.chunk import HEADER_BYTES, Chunk
from hydroscope.codecs.decode import decode_int
from hydroscope.codecs.encode import encode_int
from hydroscope.codecs.kernels import SKETCH_CELLS
from hydroscope.codecs.table import Codec
from hydroscope.ground.limits import INT_MISSING, ROWS_PER_CHUNK

__all__ = ["decode_text", "decode_uuid", "encode_text", "encode_uuid", "text_bytes"]

Ints = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Valid = npt.NDArray[np.bool_] | None
Buffer = npt.NDArray[np.generic]

_ZSTD_LEAST_BYTES = 4096
_ZSTD_SAMPLE_BYTES = 16_384


def encode_text(offsets: Ints, data: U8, valid: Valid = None) -> Chunk:
    """Encode strings into the smallest chunk.

    Parameters
    ----------
    offsets : ndarray of int64, shape (n_rows + 1,), n_rows <= 65,536
        Ascending; the first need not be 0.
    data : ndarray of uint8
        String i is data[offsets[i]:offsets[i + 1]].
    valid : ndarray of bool, shape (n_rows,), optional
        False where missing; what such a row holds is not kept.

    Returns
    -------
    Chunk

    Notes
    -----
    Cost: O(bytes): a hash of every string, and another pass if they repeat enough for a
    dictionary, or a compression at some 300 MB/s if they do not.
    """
    offsets = np.ascontiguousarray(offsets, dtype=np.int64)
    data = np.ascontiguousarray(data, dtype=np.uint8)
    n_rows = len(offsets) - 1
    assert n_rows <= ROWS_PER_CHUNK, f"{n_rows} rows in a chunk; at most {ROWS_PER_CHUNK}"
    lengths = np.diff(offsets)
    n_missing = 0 if valid is None else n_rows - int(np.count_nonzero(valid))
    if n_missing == n_rows:
        return Chunk(Codec.MISSING, n_rows, n_missing)
    if valid is None or n_missing == 0:
        valid = None
    elif lengths[~valid].any():
        offsets, data = _without_missing(offsets, data, np.where(valid, lengths, 0))
        lengths = np.diff(offsets)
    low, high = int(lengths.min()), int(lengths.max())
    narrow = np.empty(0, np.uint8) if low == high else lengths.astype(np.min_scalar_type(high))
    bits = _bits(valid)
    plain_bytes = narrow.nbytes + int(offsets[-1] - offsets[0]) + bits.nbytes
    best = _dictionary(offsets, data, valid, n_missing, plain_bytes)
    if best is not None and 4 * (best.nbytes - HEADER_BYTES) <= plain_bytes:
        return best
    text = data[offsets[0] : offsets[-1]]
    packed = _compressed(text, plain_bytes if best is None else best.nbytes - HEADER_BYTES, plain_bytes - len(text))
    if packed is None and best is not None:
        return best
    return Chunk(
        Codec.STRING,
        n_rows,
        n_missing,
        bias=low if low == high else 0,
        decimals=0 if packed is None else 1,
        buffers=_frozen(narrow, text if packed is None else packed, bits),
    )


def decode_text(chunk: Chunk) -> tuple[Ints, U8, Valid]:
    """Return the strings of a chunk.

    Returns
    -------
    offsets : ndarray of int64, shape (n_rows + 1,)
        The first is 0.
    data : ndarray of uint8
        UTF-8; possibly the chunk's own, read-only buffer.
    valid : ndarray of bool, shape (n_rows,), or None
        False where missing; None when none is.

    Notes
    -----
    Cost: O(bytes).
    """
    n_rows = chunk.n_rows
    offsets = np.zeros(n_rows + 1, dtype=np.int64)
    if chunk.codec == Codec.MISSING:
        return offsets, np.empty(0, np.uint8), np.zeros(n_rows, dtype=np.bool_) if n_rows else None
    if chunk.codec == Codec.STRING_DICT:
        assert chunk.inner is not None
        table, text = chunk.buffers[0].astype(np.int64), chunk.buffers[1].view(np.uint8)
        codes = decode_int(chunk.inner)
        valid: Valid = None
        lengths = np.diff(table)
        if chunk.n_missing:
            valid = codes != INT_MISSING
            codes[~valid] = 0
            np.cumsum(np.where(valid, lengths[codes], 0), out=offsets[1:])
        else:
            np.cumsum(lengths[codes], out=offsets[1:])
        data = np.empty(int(offsets[-1]), np.uint8)
        text_kernels.copy_texts(table, text, codes, offsets, data)
        return offsets, data, valid
    assert chunk.codec == Codec.STRING, f"{chunk.codec.name} holds no strings"
    narrow, stored, bits = chunk.buffers
    if len(narrow):
        np.cumsum(narrow, out=offsets[1:])
    else:
        offsets[:] = np.arange(n_rows + 1) * chunk.bias
    data = stored.view(np.uint8)
    if chunk.decimals:
        data = np.frombuffer(_zstd().decompress(stored, decompressed_size=int(offsets[-1])), np.uint8)
    return offsets, data, _unpacked(bits, n_rows)


def text_bytes(chunk: Chunk) -> int:
    """Return the bytes of all strings of a chunk. Cost: O(n_rows) at most; no text is touched."""
    if chunk.codec == Codec.STRING_DICT:
        assert chunk.inner is not None
        lengths = np.append(np.diff(chunk.buffers[0].astype(np.int64)), 0)
        codes = decode_int(chunk.inner)
        return int(lengths[np.where(codes == INT_MISSING, -1, codes)].sum())
    if chunk.codec == Codec.STRING:
        lengths = chunk.buffers[0].astype(np.int64)
        return int(lengths.sum()) if len(lengths) else chunk.n_rows * chunk.bias
    assert chunk.codec == Codec.MISSING, f"{chunk.codec.name} holds no strings"
    return 0


def encode_uuid(words: npt.NDArray[np.uint64], valid: Valid = None) -> Chunk:
    """Encode UUIDs.

    Parameters
    ----------
    words : ndarray of uint64, shape (2 * n_rows,), n_rows <= 65,536
        The high and the low half of each.
    valid : ndarray of bool, shape (n_rows,), optional
        False where missing; what such a row holds is not kept.

    Returns
    -------
    Chunk
        Cost: O(n_rows), one copy.
    """
    n_rows = len(words) // 2
    assert n_rows <= ROWS_PER_CHUNK, f"{n_rows} rows in a chunk; at most {ROWS_PER_CHUNK}"
    n_missing = 0 if valid is None else n_rows - int(np.count_nonzero(valid))
    if n_missing == n_rows:
        return Chunk(Codec.MISSING, n_rows, n_missing)
    kept = np.array(words, dtype=np.uint64)
    if valid is None or n_missing == 0:
        return Chunk(Codec.UUID, n_rows, 0, buffers=_frozen(kept, _bits(None)))
    kept[np.repeat(~valid, 2)] = 0
    return Chunk(Codec.UUID, n_rows, n_missing, buffers=_frozen(kept, _bits(valid)))


def decode_uuid(chunk: Chunk) -> tuple[npt.NDArray[np.uint64], Valid]:
    """Return the (high, low) pairs, zeros where missing, and validity (None when none is missing)."""
    if chunk.codec == Codec.MISSING:
        return np.zeros(2 * chunk.n_rows, np.uint64), np.zeros(chunk.n_rows, np.bool_) if chunk.n_rows else None
    assert chunk.codec == Codec.UUID, f"{chunk.codec.name} holds no UUIDs"
    words, bits = chunk.buffers
    return words.view(np.uint64), _unpacked(bits, chunk.n_rows)


def _without_missing(offsets: Ints, data: U8, lengths: Ints) -> tuple[Ints, U8]:
    """Return strings of the given lengths, each the start of the one it was."""
    packed = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    out = np.empty(int(packed[-1]), np.uint8)
    text_kernels.copy_texts(offsets, data, np.arange(len(lengths)), packed, out)
    return packed, out


def _dictionary(offsets: Ints, data: U8, valid: Valid, n_missing: int, plain_bytes: int) -> Chunk | None:
    """Return the dictionary chunk if its buffers and codes take less than `plain_bytes`."""
    n_rows = len(offsets) - 1
    codes, firsts = np.empty(n_rows, np.int64), np.empty(n_rows, np.int64)
    flags = np.empty(0, np.uint8) if valid is None else np.ascontiguousarray(valid).view(np.uint8)
    limit = plain_bytes - HEADER_BYTES
    hashes = np.empty(n_rows, np.uint64)
    population = text_kernels.hash_texts(offsets, data, flags, limit, hashes, np.zeros(SKETCH_CELLS, np.uint64))
    if population < 0:
        return None
    n_distinct, n_slots = -2, hash_slots(population)
    while n_distinct == -2:
        slots = np.zeros(n_slots, np.int32)
        n_distinct = text_kernels.number_texts(offsets, data, flags, limit, hashes, slots, codes, firsts)
        n_slots *= 4
    if n_distinct < 0:
        return None
    firsts = firsts[:n_distinct]
    table = np.concatenate((np.zeros(1, np.int64), np.cumsum(offsets[firsts + 1] - offsets[firsts])))
    text = np.empty(int(table[-1]), np.uint8)
    text_kernels.copy_texts(offsets, data, firsts, table, text)
    buffers = _frozen(table.astype(np.uint32), text)
    chunk = Chunk(Codec.STRING_DICT, n_rows, n_missing, buffers=buffers, inner=encode_int(codes))
    return chunk if chunk.nbytes - HEADER_BYTES < plain_bytes else None


def _compressed(text: U8, best_bytes: int, other_bytes: int) -> U8 | None:
    """Return a zstd frame if with it, and `other_bytes`, a quarter of `best_bytes` is saved."""
    if len(text) < _ZSTD_LEAST_BYTES:
        return None
    zstd = _zstd()
    room = 3 * best_bytes // 4 - other_bytes
    if len(text) > 2 * _ZSTD_SAMPLE_BYTES:
        middle = (len(text) - _ZSTD_SAMPLE_BYTES) // 2
        sample = zstd.compress(text[middle : middle + _ZSTD_SAMPLE_BYTES], asbytes=True)
        if len(sample) * (len(text) // _ZSTD_SAMPLE_BYTES) > room * 10 // 9:
            return None
    frame = zstd.compress(text, asbytes=True)
    return np.frombuffer(frame, np.uint8) if len(frame) <= room else None


def _zstd() -> Any:
    """Return Arrow's zstd codec, level 1. Imported here: few columns need it."""
    import pyarrow as pa

    return pa.Codec("zstd", compression_level=1)


def _bits(valid: Valid) -> U8:
    return np.empty(0, np.uint8) if valid is None else np.packbits(valid, bitorder="little")


def _unpacked(bits: Buffer, n_rows: int) -> Valid:
    if len(bits) == 0:
        return None
    return np.unpackbits(bits.view(np.uint8), count=n_rows, bitorder="little").view(np.bool_)


def _frozen(*buffers: Buffer) -> tuple[Buffer, ...]:
    """Make buffers read-only, each the owner of no more memory than it shows."""
    owned = tuple(buffer if buffer.flags.owndata else buffer.copy() for buffer in buffers)
    for buffer in owned:
        buffer.flags.writeable = False
    return owned
