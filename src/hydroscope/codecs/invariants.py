"""What holds for every chunk, checked: after reading one from a file, and in tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.decode import decode_int
from hydroscope.codecs.table import MANTISSA_MAX, MAX_DECIMALS, RAW_CODECS, Codec
from hydroscope.codecs.text import decode_text
from hydroscope.ground.errors import CorruptError
from hydroscope.ground.limits import DICT_MAX, INT_MISSING, ROWS_PER_CHUNK

__all__ = ["check"]


def check(chunk: Chunk) -> Chunk:
    """Return the chunk if it is well formed.

    Parameters
    ----------
    chunk : Chunk

    Returns
    -------
    Chunk
        The same, so that a reader can say `check(Chunk(...))`.

    Raises
    ------
    CorruptError
        It says what does not hold. (Whether text is UTF-8 is not looked at.)

    Notes
    -----
    Cost: O(rows), about as much as decoding; compressed text is decompressed.
    """
    _require(chunk, 0 <= chunk.n_rows <= ROWS_PER_CHUNK, f"0 to {ROWS_PER_CHUNK} rows")
    _require(chunk, 0 <= chunk.n_missing <= chunk.n_rows, "no more missing rows than rows")
    _require(chunk, (chunk.inner is not None) == (chunk.codec in (Codec.SPARSE, Codec.STRING_DICT)), "the right inner")
    for buffer in chunk.buffers:
        sound = buffer.ndim == 1 and buffer.flags.c_contiguous and buffer.dtype.isnative
        _require(chunk, sound, "flat, contiguous buffers of this machine's byte order")
        _require(chunk, not buffer.flags.writeable, "read-only buffers")
    if chunk.codec not in (*RAW_CODECS, Codec.CONSTANT, Codec.SPARSE, Codec.STRING):
        _require(chunk, (chunk.bias, chunk.step, chunk.decimals) == (0, 1, 0), "no bias, step or decimals")
    _CHECKS[chunk.codec](chunk)
    return chunk


def _require(chunk: Chunk, holds: bool | np.bool_, rule: str) -> None:
    if not holds:
        raise CorruptError(
            f"a {chunk.codec.name} chunk of {chunk.n_rows} rows breaks its rule: {rule}; "
            "the file it came from is damaged or of another version, so write it anew"
        )


def _shapes(chunk: Chunk, *wanted: tuple[str, int]) -> list[npt.NDArray[np.generic]]:
    """Require buffers of these dtypes and lengths (-1: any) and return them."""
    rule = "buffers " + ", ".join(f"{dtype}[{'' if length < 0 else length}]" for dtype, length in wanted)
    _require(chunk, len(chunk.buffers) == len(wanted), rule)
    for buffer, (dtype, length) in zip(chunk.buffers, wanted, strict=True):
        _require(chunk, buffer.dtype == np.dtype(dtype) and length in (-1, len(buffer)), rule)
    return list(chunk.buffers)


def _missing(chunk: Chunk, n_missing: int | np.intp) -> None:
    _require(chunk, chunk.n_missing == int(n_missing), f"n_missing = {int(n_missing)}, as its values say")


def _check_missing(chunk: Chunk) -> None:
    _shapes(chunk)
    _missing(chunk, chunk.n_rows)


def _check_constant(chunk: Chunk) -> None:
    _shapes(chunk)
    _missing(chunk, 0)
    _require(chunk, -(2**63) <= chunk.bias < 2**63 and (chunk.step, chunk.decimals) == (1, 0), "an int64 as bias")


def _check_small(chunk: Chunk) -> None:
    per_byte = 8 if chunk.codec == Codec.BIT else 4
    (packed,) = _shapes(chunk, ("u1", -(-chunk.n_rows // per_byte)))
    bits = np.unpackbits(packed.view(np.uint8), bitorder="little").reshape(-1, 8 // per_byte)
    _require(chunk, not bits[chunk.n_rows :].any(), "zeros after the last row")
    _missing(chunk, 0 if chunk.codec == Codec.BIT else np.count_nonzero(bits.all(axis=1)))


def _check_raw(chunk: Chunk) -> None:
    dtype = RAW_CODECS[chunk.codec]
    (raw,) = _shapes(chunk, (dtype.str, chunk.n_rows))
    missing_raw = 2 ** (8 * dtype.itemsize) - 1
    present = raw.view(dtype)[raw != missing_raw]
    _missing(chunk, chunk.n_rows - len(present))
    _require(chunk, 1 <= chunk.step < 2**63 and 0 <= chunk.decimals <= MAX_DECIMALS, "a step and decimals in range")
    high = chunk.bias + chunk.step * int(present.max(initial=0))
    _require(chunk, chunk.bias > INT_MISSING and high < 2**63, "values of 64 bits")
    if chunk.decimals:
        _require(chunk, max(abs(chunk.bias), abs(high)) <= MANTISSA_MAX, "mantissas of 51 bits")


def _check_wide(chunk: Chunk) -> None:
    dtype = {Codec.INT64: "i8", Codec.FLOAT32: "f4", Codec.FLOAT64: "f8"}[chunk.codec]
    (values,) = _shapes(chunk, (dtype, chunk.n_rows))
    _missing(chunk, np.count_nonzero(values == INT_MISSING if dtype == "i8" else values != values))


def _check_dictionary(chunk: Chunk) -> None:
    narrow = chunk.codec == Codec.DICT8
    table_type = "f8" if chunk.buffers and chunk.buffers[-1].dtype == np.float64 else "i8"
    codes, table = _shapes(chunk, ("u1" if narrow else "u2", chunk.n_rows), (table_type, -1))
    _require(chunk, 0 < len(table) <= (DICT_MAX if narrow else ROWS_PER_CHUNK), "a table of a size that codes can say")
    _require(chunk, len(np.unique(table.view(np.int64))) == len(table), "distinct values in its table")
    indices = codes.astype(np.int64)
    _require(chunk, indices.max(initial=0) < len(table), "codes within its table")
    absent = table.view(np.int64) == INT_MISSING if table_type == "i8" else table != table
    _missing(chunk, np.count_nonzero(absent[indices]))


def _check_sparse(chunk: Chunk) -> None:
    inner = chunk.inner
    assert inner is not None
    _require(chunk, chunk.bias in (0, 1) and (chunk.step, chunk.decimals) == (1, 0), "bias 0 or 1")
    _require(chunk, inner.codec < Codec.SPARSE, "a dense inner chunk of numbers")
    check(inner)
    (rows,) = _shapes(chunk, ("u2", inner.n_rows))
    ascending = rows.astype(np.int64)
    _require(chunk, np.all(np.diff(ascending, append=chunk.n_rows) > 0), "ascending rows")
    _missing(chunk, inner.n_missing + (chunk.n_rows - inner.n_rows if chunk.bias else 0))


def _check_valid(chunk: Chunk, bits: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_] | None:
    _require(chunk, len(bits) == (-(-chunk.n_rows // 8) if chunk.n_missing else 0), "a validity bit a row, if needed")
    if len(bits) == 0:
        return None
    valid = np.unpackbits(bits.view(np.uint8), bitorder="little").astype(np.bool_)
    _require(chunk, not valid[chunk.n_rows :].any(), "zeros after the last row")
    _missing(chunk, chunk.n_rows - np.count_nonzero(valid))
    return valid[: chunk.n_rows]


def _check_uuid(chunk: Chunk) -> None:
    words, bits = _shapes(chunk, ("u8", 2 * chunk.n_rows), ("u1", -1))
    valid = _check_valid(chunk, bits)
    if valid is not None:
        _require(chunk, not words.view(np.uint64)[np.repeat(~valid, 2)].any(), "zeros in missing rows")


def _check_string(chunk: Chunk) -> None:
    length_type = chunk.buffers[0].dtype.str if chunk.buffers else "u1"
    _require(chunk, length_type[1:] in ("u1", "u2", "u4", "u8"), "unsigned lengths")
    lengths, text, bits = _shapes(chunk, (length_type, -1), ("u1", -1), ("u1", -1))
    _require(chunk, chunk.bias >= 0 and chunk.step == 1 and chunk.decimals in (0, 1), "a length, and a flag")
    _require(chunk, len(lengths) in (0, chunk.n_rows), "one length a row, or a common one")
    valid = _check_valid(chunk, bits)
    if len(lengths) == 0:
        _require(chunk, chunk.bias == 0 or valid is None, "missing rows of length 0")
        n_bytes = chunk.n_rows * chunk.bias
    else:
        _require(chunk, chunk.bias == 0, "no common length beside lengths")
        _require(chunk, valid is None or not lengths[~valid].any(), "missing rows of length 0")
        n_bytes = int(lengths.astype(np.uint64).sum())
    if not chunk.decimals:
        _require(chunk, len(text) == n_bytes, f"text of {n_bytes} bytes, the sum of lengths")
        return
    try:
        n_decoded = len(decode_text(chunk)[1])
    except (OSError, MemoryError, ValueError, OverflowError) as error:
        _require(chunk, False, f"text that decompresses ({error})")
    else:
        _require(chunk, n_decoded == n_bytes, f"text of {n_bytes} bytes, the sum of lengths")


def _check_string_dict(chunk: Chunk) -> None:
    inner = chunk.inner
    assert inner is not None
    table, text = _shapes(chunk, ("u4", -1), ("u1", -1))
    offsets = table.astype(np.int64)
    _require(
        chunk, len(offsets) > 1 and offsets[0] == 0 and offsets[-1] == len(text), "offsets from 0 to its text's end"
    )
    _require(chunk, np.all(np.diff(offsets) >= 0), "ascending offsets")
    _require(chunk, inner.codec not in (Codec.FLOAT32, Codec.FLOAT64) and inner.codec < Codec.UUID, "codes of integers")
    _require(chunk, inner.n_rows == chunk.n_rows and inner.n_missing == chunk.n_missing, "a code a row")
    codes = decode_int(check(inner))
    present = codes[codes != INT_MISSING]
    _require(chunk, present.min(initial=0) >= 0 and present.max(initial=0) < len(offsets) - 1, "codes within its table")


_CHECKS: dict[Codec, Callable[[Chunk], None]] = {
    Codec.MISSING: _check_missing,
    Codec.CONSTANT: _check_constant,
    Codec.BIT: _check_small,
    Codec.CRUMB: _check_small,
    Codec.INT8: _check_raw,
    Codec.INT16: _check_raw,
    Codec.INT32: _check_raw,
    Codec.INT64: _check_wide,
    Codec.FLOAT32: _check_wide,
    Codec.FLOAT64: _check_wide,
    Codec.DICT8: _check_dictionary,
    Codec.DICT16: _check_dictionary,
    Codec.SPARSE: _check_sparse,
    Codec.UUID: _check_uuid,
    Codec.STRING: _check_string,
    Codec.STRING_DICT: _check_string_dict,
}
