"""Values into chunks: gather statistics, choose the smallest codec that is lossless, encode.

The same chunks as `reference` gives, from a few compiled passes::

    ints      ->                         words --+
    decimals  -> common_mantissas    ->  words --+-> word_stats -> constant, bit, crumb,
    reals     -> decimal_mantissas   ->  words --+   int8..int64 (+ gcd), dictionary, sparse
         no decimals -> canonical_words -> bits  --> float32, float64, dictionary, sparse
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hydroscope.codecs import kernels
from hydroscope.codecs.choose import RAW_BYTES, dictionary_limit, narrowest, step_needed
from hydroscope.codecs.chunk import HEADER_BYTES, Chunk
from hydroscope.codecs.table import MANTISSA_MAX, RAW_CODECS, Codec
from hydroscope.ground.limits import DICT_MAX, INT_MISSING, ROWS_PER_CHUNK

__all__ = ["encode_decimal", "encode_int", "encode_real"]

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Buffer = npt.NDArray[np.generic]

_NAN_BITS = 0x7FF8000000000000
_NO_U8, _NO_U16, _NO_U32 = np.empty(0, np.uint8), np.empty(0, np.uint16), np.empty(0, np.uint32)


@dataclass(frozen=True, slots=True)
class _Form:
    """What words mean: integers, mantissas of `decimals`, or bits of float64 (decimals None)."""

    real: bool
    decimals: int | None

    @property
    def missing(self) -> int:
        return _NAN_BITS if self.decimals is None else INT_MISSING

    def table(self, words: Ints) -> Buffer:
        """Return the words as values of their column."""
        if not self.real:
            return words
        if self.decimals is None:
            return words.view(np.float64)
        reals: Reals = np.where(words == INT_MISSING, np.nan, words / float(10**self.decimals))
        return reals


@dataclass(frozen=True, slots=True)
class _Stats:
    n_missing: int
    n_zero: int
    low: int
    high: int


def encode_int(values: Ints) -> Chunk:
    """Encode the int64 values of an int, bool, enum or time column into the smallest chunk.

    Parameters
    ----------
    values : ndarray of int64, shape (n_rows,), n_rows <= 65,536
        INT_MISSING where missing. It is only read, never kept.

    Returns
    -------
    Chunk

    Notes
    -----
    Cost: O(n_rows), two or three passes of about 0.5 ns a row; a dictionary adds 2 ns.
    """
    return _encode(np.ascontiguousarray(values, dtype=np.int64), _Form(False, 0))


def encode_real(values: Reals) -> Chunk:
    """Encode the float64 values of a real column into the smallest chunk.

    Parameters
    ----------
    values : ndarray of float64, shape (n_rows,), n_rows <= 65,536
        Every NaN is missing and comes back as the canonical NaN; all else, -0.0 and the
        infinities included, comes back bit by bit.

    Returns
    -------
    Chunk

    Notes
    -----
    Cost: O(n_rows). Values such as 12.34 are found to be decimals and kept as integers.
    """
    reals = np.ascontiguousarray(values, dtype=np.float64)
    words = np.empty(len(reals), dtype=np.int64)
    decimals = kernels.decimal_mantissas(reals, words)
    if decimals < 0:
        kernels.canonical_words(reals, words)
    return _encode(words, _Form(True, None if decimals < 0 else decimals))


def encode_decimal(mantissa: Ints, decimals: npt.NDArray[np.uint8]) -> Chunk:
    """Encode the values mantissa / 10**decimals of a real column, as a tokeniser reads them.

    Parameters
    ----------
    mantissa : ndarray of int64, shape (n_rows,), n_rows <= 65,536
        INT_MISSING where missing, otherwise |mantissa| <= 2**53. (-0.0 has no mantissa.)
    decimals : ndarray of uint8, shape (n_rows,)
        At most 22; of no matter where the mantissa is missing.

    Returns
    -------
    Chunk
        It decodes to the correctly rounded float64 of each decimal.

    Notes
    -----
    Cost: O(n_rows). Decimals that need more than 51 bits in common go through float64.
    """
    wide = np.ascontiguousarray(mantissa, dtype=np.int64)
    places = np.ascontiguousarray(decimals, dtype=np.uint8)
    words = np.empty(len(wide), dtype=np.int64)
    common, uniform = kernels.common_mantissas(wide, places, words)
    if common < 0:
        reals = np.full(len(wide), np.nan)
        present = wide != INT_MISSING
        assert places[present].max() <= 22, "a decimal has more than 22 decimals"
        assert np.abs(wide[present]).max() <= 2**53, "a mantissa is beyond 2**53"
        np.divide(wide, np.power(10.0, places, where=present, out=np.ones(len(wide))), where=present, out=reals)
        return encode_real(reals)
    return _encode(wide if uniform else words, _Form(True, common))


def _encode(words: Ints, form: _Form) -> Chunk:
    """Return the smallest chunk for the words: a dense one, unless a sparse one is smaller."""
    n_rows = len(words)
    assert n_rows <= ROWS_PER_CHUNK, f"{n_rows} rows in a chunk; at most {ROWS_PER_CHUNK}"
    stats = _Stats(*kernels.word_stats(words, form.missing))
    best = _dense(words, stats, form)
    for bias, (fill, n_fill) in enumerate(((0, stats.n_zero), (form.missing, stats.n_missing))):
        n_present = n_rows - n_fill
        if 0 < n_fill < n_rows and 2 * HEADER_BYTES + 2 * n_present < best.nbytes:
            rows, present = np.empty(n_present, np.uint16), np.empty(n_present, np.int64)
            kernels.gather(words, fill, rows, present)
            inner = _dense(present, _Stats(*kernels.word_stats(present, form.missing)), form)
            sparse = Chunk(Codec.SPARSE, n_rows, stats.n_missing, bias, buffers=_frozen(rows), inner=inner)
            if sparse.nbytes < best.nbytes:
                best = sparse
    return best


def _dense(words: Ints, stats: _Stats, form: _Form) -> Chunk:
    """Return the smallest chunk but sparse ones."""
    n_rows = len(words)
    if stats.n_missing == n_rows:
        return Chunk(Codec.MISSING, n_rows, n_rows)
    if stats.n_missing == 0 and stats.low == stats.high:
        value = form.table(words[:1])
        return Chunk(Codec.CONSTANT, n_rows, 0, bias=int(value.view(np.int64)[0]))
    if form.decimals is None:
        codec = Codec.FLOAT32 if kernels.fits_float32(words.view(np.float64)) else Codec.FLOAT64
        buffer: Buffer = words.view(np.float64)
        if codec == Codec.FLOAT64:
            buffer = buffer if buffer.flags.owndata else buffer.copy()
        n_bytes = n_rows * (4 if codec == Codec.FLOAT32 else 8)
        chunk = _dictionary(words, stats, form, n_bytes)
        if chunk is None:
            buffer = buffer.astype(np.float32) if codec == Codec.FLOAT32 else buffer
            chunk = Chunk(codec, n_rows, stats.n_missing, buffers=_frozen(buffer))
        return chunk
    width = _small_width(words, stats, 10**form.decimals)
    if width:
        packed = np.empty(-(-n_rows * width // 8), np.uint8)
        kernels.pack_small(words, min(10**form.decimals, MANTISSA_MAX), width, packed)
        codec = Codec.BIT if width == 1 else Codec.CRUMB
        return Chunk(codec, n_rows, stats.n_missing, buffers=_frozen(packed))
    return _raw(words, stats, form)


def _raw(words: Ints, stats: _Stats, form: _Form) -> Chunk:
    """Return the chunk of an integer or decimal codec, or a smaller dictionary."""
    assert form.decimals is not None
    n_rows = len(words)
    largest, step = stats.high - stats.low, 1
    enough = step_needed(largest)
    if enough is not None:
        common = int(kernels.common_step(words, stats.low, np.uint64(largest), np.uint64(enough)))
        step = common if enough <= common < 2**63 else 1
    codec = narrowest(largest // step)
    if codec is None and form.real:
        bits = form.table(words).view(np.int64)
        reals = _Form(True, None)
        return _dense(bits, _Stats(*kernels.word_stats(bits, reals.missing)), reals)
    n_bytes = n_rows * (8 if codec is None else RAW_BYTES[codec])
    chunk = _dictionary(words, stats, form, n_bytes)
    if chunk is not None:
        return chunk
    if codec is None:
        return Chunk(Codec.INT64, n_rows, stats.n_missing, buffers=_frozen(words.copy()))
    raw = np.empty(n_rows, RAW_CODECS[codec])
    shift = (step & -step).bit_length() - 1
    inverse = pow(step >> shift, -1, 2**32)
    buffers = [raw if raw.dtype == no.dtype else no for no in (_NO_U8, _NO_U16, _NO_U32)]
    kernels.pack(words, stats.low, shift, np.uint32(inverse), *buffers)
    return Chunk(codec, n_rows, stats.n_missing, stats.low, step, form.decimals, _frozen(raw))


def _small_width(words: Ints, stats: _Stats, unit: int) -> int:
    """Return 1 or 2, the bits that 0, 1 and 2 need, or 0 when there are other values."""
    if stats.low < 0 or stats.high > 2 * unit:
        return 0
    if stats.high > 0 and unit > 1:
        if unit > MANTISSA_MAX or int(kernels.common_step(words, 0, np.uint64(unit), np.uint64(unit))) != unit:
            return 0
    return 1 if stats.n_missing == 0 and stats.high <= unit else 2


def _dictionary(words: Ints, stats: _Stats, form: _Form, dense_bytes: int) -> Chunk | None:
    """Return a dictionary chunk if it is smaller than `dense_bytes`."""
    n_rows = len(words)
    limit = dictionary_limit(n_rows, dense_bytes)
    if limit < 2:
        return None
    codes, table = np.empty(n_rows, np.uint16), np.empty(limit, np.int64)
    n_distinct = kernels.dictionary(words, limit, codes, table)
    if n_distinct < 0:
        return None
    values = form.table(table[:n_distinct].copy())
    if n_distinct <= DICT_MAX:
        return Chunk(Codec.DICT8, n_rows, stats.n_missing, buffers=_frozen(codes.astype(np.uint8), values))
    if 2 * n_rows + 8 * n_distinct >= dense_bytes:
        return None
    return Chunk(Codec.DICT16, n_rows, stats.n_missing, buffers=_frozen(codes, values))


def _frozen(*buffers: Buffer) -> tuple[Buffer, ...]:
    for buffer in buffers:
        buffer.flags.writeable = False
    return buffers
