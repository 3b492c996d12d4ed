"""Values into chunks: gather statistics, choose the smallest codec that is lossless, encode.

The same chunks as `reference` gives, from a few compiled passes::

    ints      ->                         words --+
    decimals  -> rescale             ->  words --+-> word_stats -> constant, bit, crumb,
    reals     -> decimal_mantissas   ->  words --+   int8..int64 (+ gcd), dictionary, sparse
         no decimals -> canonical_words -> bits  --> float32, float64, dictionary, sparse
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs import kernels
from hydroscope.codecs.choose import RAW_BYTES, dictionary_limit, hash_slots, narrowest, step_needed
from hydroscope.codecs.chunk import HEADER_BYTES, Chunk
from hydroscope.codecs.table import MANTISSA_MAX, MAX_DECIMALS, RAW_CODECS, Codec
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

    @property
    def unit(self) -> int:
        """The word of the value 1 (0 if bits, where 1 is no better than others)."""
        return 0 if self.decimals is None else min(10**self.decimals, MANTISSA_MAX)

    def table(self, words: Ints) -> Buffer:
        """Return the words as values of their column."""
        if not self.real:
            return words
        bits = words
        if self.decimals is not None:
            bits = np.empty(len(words), np.int64)
            kernels.decimal_words(words, float(10**self.decimals), bits)
        return bits.view(np.float64)


@dataclass(frozen=True, slots=True)
class _Stats:
    n_missing: int
    n_zero: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """A dense codec for some words, and the bytes of its buffers."""

    words: Ints
    stats: _Stats
    form: _Form
    codec: Codec
    n_bytes: int
    step: int = 1


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
    common, uniform = kernels.most_decimals(wide, places)
    if uniform:
        stats = _Stats(*kernels.word_stats(wide, INT_MISSING))
        if stats.n_missing == len(wide) or -MANTISSA_MAX <= stats.low <= stats.high <= MANTISSA_MAX:
            return _encode(wide, _Form(True, min(common, MAX_DECIMALS)), stats)
    else:
        words = np.empty(len(wide), dtype=np.int64)
        if kernels.rescale(wide, places, common, words):
            return _encode(words, _Form(True, common))
    return encode_real(_divide(wide, places))


def _divide(mantissa: Ints, decimals: npt.NDArray[np.uint8]) -> Reals:
    """Return the correctly rounded mantissa / 10**decimals."""
    present = mantissa != INT_MISSING
    assert decimals[present].max() <= MAX_DECIMALS, "a decimal has more than 22 decimals"
    assert np.abs(mantissa[present]).max() <= 2**53, "a mantissa is beyond 2**53"
    powers = np.array([float(10**d) for d in range(MAX_DECIMALS + 1)])
    reals = np.full(len(mantissa), np.nan)
    reals[present] = mantissa[present] / powers[decimals[present]]
    return reals


def _encode(words: Ints, form: _Form, known: _Stats | None = None) -> Chunk:
    """Return the smallest chunk for the words: a dense one, a sparse one or a dictionary."""
    n_rows = len(words)
    assert n_rows <= ROWS_PER_CHUNK, f"{n_rows} rows in a chunk; at most {ROWS_PER_CHUNK}"
    stats = _Stats(*kernels.word_stats(words, form.missing)) if known is None else known
    plan = _plan(words, stats, form)
    if plan.n_bytes == 0:
        return _build(plan)
    sparse = None
    for bias, n_fill in enumerate((stats.n_zero, stats.n_missing)):
        n_bytes = plan.n_bytes if sparse is None else sparse.nbytes - HEADER_BYTES
        n_present = n_rows - n_fill
        if n_fill and n_present and not (bias == 1 and _as_wide_without_missing(plan, n_present)):
            sparse = _sparse(words, stats.n_missing, form, bias, n_present, n_bytes) or sparse
    if sparse is not None:  # a dictionary as small as that would be taken
        return _dictionary(plan, sparse.nbytes - HEADER_BYTES + 1) or sparse
    return _dictionary(plan, plan.n_bytes) or _build(plan)


def _sparse(words: Ints, n_missing: int, form: _Form, bias: int, n_present: int, n_bytes: int) -> Chunk | None:
    """Return the sparse chunk if its buffers and inner chunk take less than `n_bytes`."""
    if HEADER_BYTES + 2 * n_present >= n_bytes:
        return None
    fill = form.missing if bias else 0
    bits = kernels.least_bits(words, fill, form.unit)
    if HEADER_BYTES + 2 * n_present + -(-n_present * bits // 8) >= n_bytes:
        return None
    rows, present = np.empty(n_present, np.uint16), np.empty(n_present, np.int64)
    kernels.gather(words, fill, rows, present)
    plan = _plan(present, _Stats(*kernels.word_stats(present, form.missing)), form)
    inner = _dictionary(plan, plan.n_bytes) or _build(plan)
    sparse = Chunk(Codec.SPARSE, len(words), n_missing, bias, buffers=_frozen(rows), inner=inner)
    return sparse if sparse.nbytes - HEADER_BYTES < n_bytes else None


def _as_wide_without_missing(plan: _Plan, n_present: int) -> bool:
    """Tell that leaving missing rows out cannot pay, without trying.

    The rest has the same range and step, so a row of it costs as much (a dictionary, one
    entry less), and 2 bytes more for its number. Two thirds of the rows are where a
    dictionary of 257 values, which loses its second byte, would break even.
    """
    if plan.codec < Codec.INT8 or plan.stats.low == plan.stats.high:
        return False
    row_bytes = max(1, plan.n_bytes // len(plan.words))
    return 3 * n_present >= 2 * len(plan.words) and n_present * (row_bytes + 2) >= plan.n_bytes


def _plan(words: Ints, stats: _Stats, form: _Form) -> _Plan:
    """Choose the smallest dense codec but dictionaries."""
    n_rows = len(words)
    if stats.n_missing == n_rows:
        return _Plan(words, stats, form, Codec.MISSING, 0)
    if stats.n_missing == 0 and stats.low == stats.high:
        return _Plan(words, stats, form, Codec.CONSTANT, 0)
    if form.decimals is None:
        if kernels.fits_float32(words.view(np.float64)):
            return _Plan(words, stats, form, Codec.FLOAT32, 4 * n_rows)
        return _Plan(words, stats, form, Codec.FLOAT64, 8 * n_rows)
    width = _small_width(words, stats, 10**form.decimals)
    if width:
        return _Plan(words, stats, form, Codec.BIT if width == 1 else Codec.CRUMB, -(-n_rows * width // 8))
    largest, step = stats.high - stats.low, 1
    enough = step_needed(largest)
    if enough is not None:
        common = int(kernels.common_step(words, stats.low, largest, enough))
        step = common if enough <= common < 2**63 else 1
    codec = narrowest(largest // step)
    if codec is not None:
        return _Plan(words, stats, form, codec, n_rows * RAW_BYTES[codec], step)
    if not form.real:
        return _Plan(words, stats, form, Codec.INT64, 8 * n_rows)
    bits = form.table(words).view(np.int64)
    return _plan(bits, _Stats(*kernels.word_stats(bits, _NAN_BITS)), _Form(True, None))


def _small_width(words: Ints, stats: _Stats, unit: int) -> int:
    """Return 1 or 2, the bits that 0, 1 and 2 need, or 0 when there are other values."""
    if stats.low < 0 or stats.high > 2 * unit or (unit > MANTISSA_MAX and stats.high > 0):
        return 0
    if stats.high > 0 and unit > 1 and int(kernels.common_step(words, 0, unit, unit)) != unit:
        return 0
    return 1 if stats.n_missing == 0 and stats.high <= unit else 2


def _build(plan: _Plan) -> Chunk:
    """Encode as planned."""
    words, stats, form, codec = plan.words, plan.stats, plan.form, plan.codec
    n_rows = len(words)
    if codec == Codec.MISSING:
        return Chunk(codec, n_rows, n_rows)
    if codec == Codec.CONSTANT:
        return Chunk(codec, n_rows, 0, bias=int(form.table(words[:1]).view(np.int64)[0]))
    if codec in (Codec.BIT, Codec.CRUMB):
        packed = np.empty(plan.n_bytes, np.uint8)
        kernels.pack_small(words, form.unit, 1 if codec == Codec.BIT else 2, packed)
        return Chunk(codec, n_rows, stats.n_missing, buffers=_frozen(packed))
    if codec in RAW_CODECS:
        assert form.decimals is not None
        raw = np.empty(n_rows, RAW_CODECS[codec])
        shift = (plan.step & -plan.step).bit_length() - 1
        inverse = pow(plan.step >> shift, -1, 2**32)
        buffers: list[Any] = [raw if raw.dtype == no.dtype else no for no in (_NO_U8, _NO_U16, _NO_U32)]
        kernels.pack(words, stats.low, shift, inverse, *buffers)
        return Chunk(codec, n_rows, stats.n_missing, stats.low, plan.step, form.decimals, _frozen(raw))
    if codec == Codec.INT64:
        values: Buffer = words.copy()
    elif codec == Codec.FLOAT32:
        values = words.view(np.float64).astype(np.float32)
    else:  # bits were written for this chunk and nobody else has them
        words.flags.writeable = False
        values = words.view(np.float64)
    return Chunk(codec, n_rows, stats.n_missing, buffers=_frozen(values))


def _dictionary(plan: _Plan, n_bytes: int) -> Chunk | None:
    """Return a dictionary chunk if its buffers take less than `n_bytes`."""
    n_rows = len(plan.words)
    limit = dictionary_limit(n_rows, n_bytes)
    if limit < 2 or plan.codec < Codec.INT16:
        return None
    population = kernels.sketch_words(plan.words, limit, np.zeros(kernels.SKETCH_CELLS, np.uint64))
    if population < 0:
        return None
    codes, table = np.empty(n_rows, np.uint16), np.empty(limit, np.int64)
    n_distinct, n_slots = -2, hash_slots(population)
    while n_distinct == -2:
        n_distinct = kernels.number_words(plan.words, limit, np.zeros(n_slots, np.int32), codes, table)
        n_slots *= 4
    if n_distinct < 0:
        return None
    codec = Codec.DICT8 if n_distinct <= DICT_MAX else Codec.DICT16
    buffers = _frozen(
        codes.astype(np.uint8) if codec == Codec.DICT8 else codes, plan.form.table(table[:n_distinct].copy())
    )
    chunk = Chunk(codec, n_rows, plan.stats.n_missing, buffers=buffers)
    return chunk if chunk.nbytes - HEADER_BYTES < n_bytes else None


def _frozen(*buffers: Buffer) -> tuple[Buffer, ...]:
    for buffer in buffers:
        buffer.flags.writeable = False
    return buffers
