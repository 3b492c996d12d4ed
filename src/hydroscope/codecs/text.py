"""Strings in Arrow's form (offsets, UTF-8 bytes, validity) into chunks and back; UUIDs likewise.

Buffers of STRING: the lengths in the narrowest unsigned type (empty when all strings have
the length `bias`), the text (zstd when `decimals` is 1), the validity bits (empty when none
is missing; row 0 in the lowest bit). Buffers of STRING_DICT: offsets (uint32) and text of
the distinct strings in order of first appearance; `inner` holds the codes as an int chunk.
A missing string has length 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.decode import decode_int
from hydroscope.codecs.encode import encode_int
from hydroscope.codecs.table import Codec
from hydroscope.ground.limits import INT_MISSING

__all__ = ["decode_text", "decode_uuid", "encode_text", "encode_uuid"]

Valid = npt.NDArray[np.bool_] | None


def _frozen(*buffers: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.generic], ...]:
    for buffer in buffers:
        buffer.flags.writeable = False
    return buffers


def _bits(valid: Valid) -> npt.NDArray[np.uint8]:
    return np.empty(0, np.uint8) if valid is None else np.packbits(valid, bitorder="little")


def encode_text(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], valid: Valid = None) -> Chunk:
    """Encode the strings data[offsets[i]:offsets[i + 1]], missing where `valid` is False."""
    n_rows = len(offsets) - 1
    lengths = np.diff(offsets)
    if valid is not None:
        if valid.all():
            valid = None
        elif lengths[~valid].any():
            keep = np.repeat(valid, lengths)
            data = data[offsets[0] : offsets[-1]][keep]
            lengths = np.where(valid, lengths, 0)
            offsets = np.concatenate(([0], np.cumsum(lengths)))
    n_missing = 0 if valid is None else int(n_rows - valid.sum())
    if n_missing == n_rows:
        return Chunk(Codec.MISSING, n_rows, n_missing)
    blob = data[offsets[0] : offsets[-1]].tobytes()
    seen: dict[bytes, int] = {}
    codes = np.empty(n_rows, dtype=np.int64)
    starts = (offsets - offsets[0]).tolist()
    for row in range(n_rows):
        if valid is not None and not valid[row]:
            codes[row] = INT_MISSING
        else:
            codes[row] = seen.setdefault(blob[starts[row] : starts[row + 1]], len(seen))
    narrow = np.uint8
    for narrow in (np.uint8, np.uint16, np.uint32, np.uint64):  # type: ignore[assignment]
        if lengths.max() <= np.iinfo(narrow).max:
            break
    same = bool((lengths == lengths[0]).all())
    plain = Chunk(
        Codec.STRING,
        n_rows,
        n_missing,
        bias=int(lengths[0]) if same else 0,
        buffers=_frozen(
            np.empty(0, np.uint8) if same else lengths.astype(narrow), np.frombuffer(blob, np.uint8), _bits(valid)
        ),
    )
    table = np.cumsum([0, *(len(each) for each in seen)])
    distinct = Chunk(
        Codec.STRING_DICT,
        n_rows,
        n_missing,
        buffers=_frozen(table.astype(np.uint32), np.frombuffer(b"".join(seen), np.uint8)),
        inner=encode_int(codes),
    )
    return distinct if distinct.nbytes < plain.nbytes else plain


def decode_text(chunk: Chunk) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], Valid]:
    """Return offsets (int64, n + 1), UTF-8 bytes and validity (None when none is missing)."""
    n_rows = chunk.n_rows
    offsets = np.zeros(n_rows + 1, dtype=np.int64)
    if chunk.codec == Codec.MISSING:
        return offsets, np.empty(0, np.uint8), np.zeros(n_rows, dtype=np.bool_) if n_rows else None
    if chunk.codec == Codec.STRING_DICT:
        assert chunk.inner is not None
        codes = decode_int(chunk.inner)
        valid = None if chunk.n_missing == 0 else codes != INT_MISSING
        starts = chunk.buffers[0].astype(np.int64)
        blob = chunk.buffers[1].tobytes()
        codes = np.where(codes == INT_MISSING, len(starts) - 1, codes)
        distinct = [*(blob[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)), b""]
        np.cumsum(np.append(np.diff(starts), 0)[codes], out=offsets[1:])
        return offsets, np.frombuffer(b"".join([distinct[code] for code in codes]), np.uint8), valid
    lengths, data, bits = chunk.buffers
    np.cumsum(lengths if len(lengths) else np.full(n_rows, chunk.bias), out=offsets[1:])
    return offsets, data.view(np.uint8), _valid(bits, n_rows)


def _valid(bits: npt.NDArray[np.generic], n_rows: int) -> Valid:
    if len(bits) == 0:
        return None
    return np.unpackbits(bits.view(np.uint8), count=n_rows, bitorder="little").astype(np.bool_)


def encode_uuid(words: npt.NDArray[np.uint64], valid: Valid = None) -> Chunk:
    """Encode UUIDs given as (high, low) pairs, missing where `valid` is False."""
    n_rows = len(words) // 2
    if valid is not None and valid.all():
        valid = None
    n_missing = 0 if valid is None else int(n_rows - valid.sum())
    if n_missing == n_rows:
        return Chunk(Codec.MISSING, n_rows, n_missing)
    kept = words.copy() if valid is None else np.where(np.repeat(valid, 2), words, np.uint64(0))
    return Chunk(Codec.UUID, n_rows, n_missing, buffers=_frozen(kept, _bits(valid)))


def decode_uuid(chunk: Chunk) -> tuple[npt.NDArray[np.uint64], Valid]:
    """Return the (high, low) pairs, zeros where missing, and validity (None when none is missing)."""
    if chunk.codec == Codec.MISSING:
        return np.zeros(2 * chunk.n_rows, np.uint64), np.zeros(chunk.n_rows, np.bool_) if chunk.n_rows else None
    words, bits = chunk.buffers
    return words.view(np.uint64), _valid(bits, chunk.n_rows)
