"""The specification of the codecs in obvious NumPy and Python: choose, encode, decode.

Every codec that can hold the values is tried and the smallest result is taken, ties going
to the lower codec number. `kernels` does the same from statistics; a property test says
that both give the same chunk.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.table import MANTISSA_MAX, MAX_DECIMALS, RAW_CODECS, Codec
from hydroscope.ground.limits import DICT_MAX, INT_MISSING, ROWS_PER_CHUNK

__all__ = [
    "common_decimals",
    "decode_int",
    "decode_real",
    "encode_decimal",
    "encode_int",
    "encode_real",
    "int_candidates",
    "real_candidates",
]

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


def encode_int(values: Ints) -> Chunk:
    """Return the smallest chunk for int64 values, INT_MISSING where missing."""
    return _smallest(int_candidates(values))


def encode_real(values: Reals) -> Chunk:
    """Return the smallest chunk for float64 values, NaN where missing."""
    return _smallest(real_candidates(values))


def encode_decimal(mantissa: Ints, decimals: npt.NDArray[np.uint8]) -> Chunk:
    """Return the smallest chunk for mantissa / 10**decimals, INT_MISSING where missing."""
    present = mantissa != INT_MISSING
    n_decimals = max((int(d) for d in decimals[present]), default=0)
    scaled = [int(m) * 10 ** (n_decimals - int(d)) for m, d in zip(mantissa[present], decimals[present], strict=True)]
    values = np.full(len(mantissa), np.nan)
    values[present] = mantissa[present] / np.array([float(10 ** int(d)) for d in decimals[present]])
    if any(abs(m) > MANTISSA_MAX for m in scaled):
        return encode_real(values)
    common = np.full(len(mantissa), INT_MISSING, dtype=np.int64)
    common[present] = scaled
    return _smallest(_with_sparse(values, (common, n_decimals)))


def common_decimals(values: Reals) -> tuple[Ints, int] | None:
    """Return mantissas and the fewest decimals that give `values` exactly, or None.

    value == mantissa / 10**decimals (correctly rounded) with |mantissa| <= 2**51, a bound
    within which rounding value * 10**decimals is sure to find the mantissa. None when there
    is none, or when a value is -0.0, which no integer can say.
    """
    present = values[~np.isnan(values)]
    if np.any((present == 0) & np.signbit(present)):
        return None
    for decimals in range(MAX_DECIMALS + 1):
        power = float(10**decimals)
        with np.errstate(over="ignore"):
            mantissa = np.rint(present * power)
        if np.all((np.abs(mantissa) <= MANTISSA_MAX) & (mantissa / power == present)):
            whole = np.full(len(values), INT_MISSING, dtype=np.int64)
            whole[~np.isnan(values)] = mantissa.astype(np.int64)
            return whole, decimals
    return None


def int_candidates(values: Ints) -> Iterator[Chunk]:
    """Yield a chunk for each way to encode an int column's values."""
    yield from _with_sparse(None, (values, 0))


def real_candidates(values: Reals) -> Iterator[Chunk]:
    """Yield a chunk for each way to encode a real column's values."""
    yield from _with_sparse(canonical(values), common_decimals(values))


def canonical(values: Reals) -> Reals:
    """Return a copy in which every NaN is the canonical one."""
    return np.where(np.isnan(values), np.nan, values)


def _smallest(candidates: Iterator[Chunk]) -> Chunk:
    chunk = min(candidates, key=lambda each: (each.nbytes, each.codec))
    for each in (chunk, chunk.inner):
        for buffer in each.buffers if each is not None else ():
            buffer.flags.writeable = False
    return chunk


def _with_sparse(reals: Reals | None, decimal: tuple[Ints, int] | None) -> Iterator[Chunk]:
    """Yield the dense chunks of the values, then the zero-sparse and the missing-sparse one."""
    yield from _dense(reals, decimal)
    if reals is not None:
        is_zero = reals.view(np.int64) == 0
        missing = np.isnan(reals)
    else:
        assert decimal is not None
        is_zero = decimal[0] == 0
        missing = decimal[0] == INT_MISSING
    for bias, absent in enumerate((is_zero, missing)):
        rows = np.flatnonzero(~absent)
        if 0 < len(rows) < len(absent):
            inner = _smallest(
                _dense(
                    None if reals is None else reals[rows], None if decimal is None else (decimal[0][rows], decimal[1])
                )
            )
            yield Chunk(
                Codec.SPARSE,
                len(absent),
                int(missing.sum()),
                bias=bias,
                buffers=(rows.astype(np.uint16),),
                inner=inner,
            )


def _dense(reals: Reals | None, decimal: tuple[Ints, int] | None) -> Iterator[Chunk]:
    """Yield every chunk but the sparse ones; `reals` is None in an int column."""
    words = reals.view(np.int64) if reals is not None else decimal[0] if decimal is not None else np.empty(0, np.int64)
    missing = np.isnan(reals) if reals is not None else words == INT_MISSING
    n_rows, n_missing = len(words), int(missing.sum())
    assert n_rows <= ROWS_PER_CHUNK, f"{n_rows} rows in a chunk; at most {ROWS_PER_CHUNK}"
    if n_missing == n_rows:
        yield Chunk(Codec.MISSING, n_rows, n_missing)
        return
    if np.all(words == words[0]):
        yield Chunk(Codec.CONSTANT, n_rows, 0, bias=int(words[0]))
    if decimal is not None:
        yield from _small(*decimal, n_missing)
        yield from _raw(*decimal, n_missing)
    if reals is None:
        yield Chunk(Codec.INT64, n_rows, n_missing, buffers=(words.copy(),))
    else:
        with np.errstate(over="ignore"):
            narrow = reals.astype(np.float32)
        if np.array_equal(narrow.astype(np.float64).view(np.int64)[~missing], words[~missing]):
            yield Chunk(Codec.FLOAT32, n_rows, n_missing, buffers=(narrow,))
        yield Chunk(Codec.FLOAT64, n_rows, n_missing, buffers=(reals.copy(),))
    yield from _dictionary(words, n_missing, np.dtype(np.int64 if reals is None else np.float64))


def _small(mantissa: Ints, decimals: int, n_missing: int) -> Iterator[Chunk]:
    missing = mantissa == INT_MISSING
    unit = 10**decimals
    present = mantissa[~missing]
    present_or_zero = np.where(missing, 0, mantissa)
    if n_missing == 0 and np.all((present == 0) | (present == unit)):
        bits = np.packbits(mantissa != 0, bitorder="little")
        yield Chunk(Codec.BIT, len(mantissa), 0, buffers=(bits,))
    if np.all((present == 0) | (present == unit) | (present == 2 * unit)):
        raw = np.where(missing, 3, 1 * (present_or_zero != 0) + (present_or_zero == 2 * unit)).astype(np.uint8)
        raw = np.pad(raw, (0, -len(raw) % 4)).reshape(-1, 4)
        crumbs = raw[:, 0] | raw[:, 1] << 2 | raw[:, 2] << 4 | raw[:, 3] << 6
        yield Chunk(Codec.CRUMB, len(mantissa), n_missing, buffers=(crumbs.astype(np.uint8),))


def _raw(mantissa: Ints, decimals: int, n_missing: int) -> Iterator[Chunk]:
    missing = mantissa == INT_MISSING
    present = mantissa[~missing]
    low, high = int(present.min()), int(present.max())
    above_low = mantissa.astype(np.uint64) - np.uint64(low % 2**64)
    common = int(np.gcd.reduce(above_low[~missing]))
    for step in (1, common):
        for codec, dtype in RAW_CODECS.items():
            missing_raw = 2 ** (8 * dtype.itemsize) - 1
            if 0 < step < 2**63 and (high - low) // step < missing_raw:
                raw = np.where(missing, np.uint64(missing_raw), above_low // np.uint64(step)).astype(dtype)
                yield Chunk(codec, len(mantissa), n_missing, low, step, decimals, (raw,))


def _dictionary(words: Ints, n_missing: int, dtype: np.dtype[np.generic]) -> Iterator[Chunk]:
    """Yield the dictionary chunk: a table of distinct bit patterns in order of first appearance."""
    distinct, first, inverse = np.unique(words, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first)
    rank = np.empty(len(distinct), dtype=np.int64)
    rank[by_appearance] = np.arange(len(distinct))
    codec, code_type = (Codec.DICT8, np.uint8) if len(distinct) <= DICT_MAX else (Codec.DICT16, np.uint16)
    table = distinct[by_appearance].view(dtype)
    yield Chunk(codec, len(words), n_missing, buffers=(rank[inverse].astype(code_type), table))


def decode_int(chunk: Chunk) -> Ints:
    """Return the integers of a chunk of an int column, INT_MISSING where missing."""
    if chunk.codec in RAW_CODECS or chunk.codec in (Codec.BIT, Codec.CRUMB):
        assert chunk.decimals == 0
        return _mantissa(chunk)
    if chunk.codec == Codec.MISSING:
        return np.full(chunk.n_rows, INT_MISSING, dtype=np.int64)
    if chunk.codec == Codec.CONSTANT:
        return np.full(chunk.n_rows, chunk.bias, dtype=np.int64)
    if chunk.codec == Codec.INT64:
        return chunk.buffers[0].astype(np.int64)
    if chunk.codec in (Codec.DICT8, Codec.DICT16):
        whole: Ints = chunk.buffers[1].view(np.int64)[chunk.buffers[0].astype(np.int64)]
        return whole
    assert chunk.codec == Codec.SPARSE, f"{chunk.codec!r} holds no integers"
    assert chunk.inner is not None
    values = np.full(chunk.n_rows, INT_MISSING if chunk.bias else 0, dtype=np.int64)
    values[chunk.buffers[0]] = decode_int(chunk.inner)
    return values


def decode_real(chunk: Chunk) -> Reals:
    """Return the reals of a chunk of a real column, the canonical NaN where missing."""
    if chunk.codec in RAW_CODECS or chunk.codec in (Codec.BIT, Codec.CRUMB):
        mantissa = _mantissa(chunk)
        return np.where(mantissa == INT_MISSING, np.nan, mantissa / float(10**chunk.decimals))
    if chunk.codec == Codec.MISSING:
        return np.full(chunk.n_rows, np.nan)
    if chunk.codec == Codec.CONSTANT:
        return np.full(chunk.n_rows, chunk.bias, dtype=np.int64).view(np.float64)
    if chunk.codec in (Codec.FLOAT32, Codec.FLOAT64):
        return canonical(chunk.buffers[0].astype(np.float64))
    if chunk.codec in (Codec.DICT8, Codec.DICT16):
        coded: Reals = chunk.buffers[1].view(np.float64)[chunk.buffers[0].astype(np.int64)]
        return coded
    assert chunk.codec == Codec.SPARSE, f"{chunk.codec!r} holds no reals"
    assert chunk.inner is not None
    values = np.full(chunk.n_rows, np.nan if chunk.bias else 0.0)
    values[chunk.buffers[0]] = decode_real(chunk.inner)
    return values


def _mantissa(chunk: Chunk) -> Ints:
    """Return bias + step * raw of BIT, CRUMB and INT8..INT32, INT_MISSING where missing."""
    buffer = chunk.buffers[0]
    if chunk.codec == Codec.BIT:
        return np.unpackbits(buffer.view(np.uint8), count=chunk.n_rows, bitorder="little").astype(np.int64)
    if chunk.codec == Codec.CRUMB:
        raw = (buffer.view(np.uint8)[:, None] >> np.array([0, 2, 4, 6], np.uint8) & 3).ravel()[: chunk.n_rows]
        return np.where(raw == 3, INT_MISSING, raw.astype(np.int64))
    raw = buffer.astype(np.uint64)
    values = np.uint64(chunk.bias % 2**64) + np.uint64(chunk.step) * raw
    missing_raw = np.uint64(2 ** (8 * buffer.itemsize) - 1)
    whole: Ints = np.where(raw == missing_raw, np.int64(INT_MISSING), values.astype(np.int64))
    return whole
