"""Ints, reals and decimals: lossless, the smallest, and the same from kernels and reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from hydroscope.codecs import reference
from hydroscope.codecs.chunk import HEADER_BYTES
from hydroscope.codecs.decode import decode_int, decode_real
from hydroscope.codecs.encode import encode_decimal, encode_int, encode_real
from hydroscope.codecs.invariants import check
from hydroscope.codecs.table import Codec
from hydroscope.ground.limits import INT_MISSING, ROWS_PER_CHUNK
from tests.codecs.columns import canonical_bits, decimal_columns, describe, int_columns, real_columns


@settings(deadline=None)  # the first example compiles
@given(int_columns)
def test_ints_come_back_and_no_codec_is_smaller(values):
    chunk = check(encode_int(values))
    np.testing.assert_array_equal(decode_int(chunk), values)
    assert chunk.n_missing == np.count_nonzero(values == INT_MISSING)
    assert describe(chunk) == describe(reference.encode_int(values))
    for other in reference.int_candidates(values):
        assert chunk.nbytes <= other.nbytes, (chunk.codec, other.codec)
        np.testing.assert_array_equal(decode_int(other), values)
        np.testing.assert_array_equal(reference.decode_int(other), values)


@settings(deadline=None)  # the first example compiles
@given(real_columns)
def test_reals_come_back_to_the_bit_and_no_codec_is_smaller(values):
    chunk = check(encode_real(values))
    bits = canonical_bits(values)
    np.testing.assert_array_equal(decode_real(chunk).view(np.int64), bits)
    assert chunk.n_missing == np.count_nonzero(np.isnan(values))
    assert describe(chunk) == describe(reference.encode_real(values))
    for other in reference.real_candidates(values):
        assert chunk.nbytes <= other.nbytes, (chunk.codec, other.codec)
        np.testing.assert_array_equal(decode_real(other).view(np.int64), bits)
        np.testing.assert_array_equal(reference.decode_real(other).view(np.int64), bits)


@settings(deadline=None)  # the first example compiles
@given(decimal_columns())
def test_decimals_come_back_as_python_reads_them(column):
    mantissa, decimals = column
    chunk = check(encode_decimal(mantissa, decimals))
    read = [
        np.nan if m == INT_MISSING else float(f"{m}e-{d}")
        for m, d in zip(mantissa.tolist(), decimals.tolist(), strict=True)
    ]
    values = np.array(read, dtype=np.float64) + 0.0
    np.testing.assert_array_equal(decode_real(chunk).view(np.int64), canonical_bits(values))
    assert describe(chunk) == describe(reference.encode_decimal(mantissa, decimals))
    if np.abs(mantissa[mantissa != INT_MISSING]).max(initial=0) <= 10**6 and decimals.max(initial=0) <= 9:
        assert chunk.nbytes <= encode_real(values).nbytes


M = INT_MISSING
EXAMPLES = {
    Codec.MISSING: [M, M],
    Codec.CONSTANT: [7] * 5,
    Codec.BIT: [0, 1] * 9,
    Codec.CRUMB: [0, 2, M, 1] * 9,
    Codec.INT8: [10, 264, M, 11] * 9,
    Codec.INT16: [*range(-400, 400), M],
    Codec.INT32: [0, 2**32 - 2, 70_001, M],
    Codec.INT64: [-(2**63) + 1, 2**63 - 1, 5, M],
    Codec.DICT8: [10**15, 3, -(10**14), 17, M] * 200,
    Codec.DICT16: [10**12 + k * k * k for k in range(300)] * 9,
    Codec.SPARSE: [0] * 500 + [9, M, 8],
}


@pytest.mark.parametrize(("codec", "values"), EXAMPLES.items(), ids=lambda x: getattr(x, "name", ""))
def test_each_int_codec_is_chosen_where_it_fits_best(codec, values):
    values = np.array(values, dtype=np.int64)
    chunk = check(encode_int(values))
    assert chunk.codec == codec
    np.testing.assert_array_equal(decode_int(chunk), values)


@pytest.mark.parametrize("width", [254, 255, 65_534, 65_535, 2**32 - 2, 2**32 - 1])
@pytest.mark.parametrize("low", [-(2**63) + 1, -1, 0, 1, 2**62])
def test_the_widest_range_of_a_width_and_one_more(low, width):
    values = np.array([low, low + width, low + 1, M], dtype=np.int64)
    chunk = check(encode_int(np.tile(values, 200)))
    np.testing.assert_array_equal(decode_int(chunk), np.tile(values, 200))
    assert describe(chunk) == describe(reference.encode_int(np.tile(values, 200)))


def test_a_step_saves_width():
    values = 1_700_000_000_000 + 86_400_000 * np.arange(200)
    chunk = check(encode_int(values))
    assert (chunk.codec, chunk.bias, chunk.step) == (Codec.INT8, 1_700_000_000_000, 86_400_000)
    np.testing.assert_array_equal(decode_int(chunk), values)


def test_a_step_beyond_int64_is_not_used():
    values = np.array([-(2**63) + 1, 2**63 - 1] * 50)
    chunk = check(encode_int(values))
    assert chunk.step == 1
    np.testing.assert_array_equal(decode_int(chunk), values)


def test_decimals_are_kept_as_integers():
    values = np.append(np.arange(-400, 400) * 0.25 + 0.01, np.nan)
    chunk = check(encode_real(values))
    assert (chunk.codec, chunk.decimals, chunk.n_missing) == (Codec.INT16, 2, 1)
    assert chunk.nbytes == HEADER_BYTES + 2 * len(values)


def test_negative_zero_is_not_zero():
    for values in ([-0.0, -0.0], [0.0, -0.0, 1.0] * 400, [0.0] * 900 + [-0.0]):
        values = np.array(values)
        chunk = check(encode_real(values))
        np.testing.assert_array_equal(np.signbit(decode_real(chunk)), np.signbit(values))
    assert check(encode_real(np.array([0.0, -0.0] * 400))).codec != Codec.BIT


def test_every_nan_is_missing_and_comes_back_canonical():
    payloads = np.array([0x7FF0000000000001, 0xFFF8000000000000, 0x7FF8000000000000, 0x7FFFFFFFFFFFFFFF], np.uint64)
    for rest in ([], [0.5], [1e300, -0.0] * 50, np.random.default_rng(1).normal(size=300)):
        values = np.concatenate((payloads.view(np.float64), np.asarray(rest, np.float64)))
        chunk = check(encode_real(values))
        assert chunk.n_missing == 4
        np.testing.assert_array_equal(decode_real(chunk).view(np.uint64)[:4], 0x7FF8000000000000)


def full_columns():
    rng = np.random.default_rng(7)
    n = ROWS_PER_CHUNK
    yield "noise", rng.normal(size=n)
    yield "noise with holes", np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    yield "float32", rng.normal(size=n).astype(np.float32).astype(np.float64)
    yield "prices", rng.integers(0, 10**6, n) / 100
    yield "49,151 values", rng.normal(size=49_151)[np.arange(n) % 49_151]
    yield "49,152 values", rng.normal(size=49_152)[np.arange(n) % 49_152]
    yield "257 values", rng.normal(size=257)[rng.integers(0, 257, n)]
    yield "mostly zero", np.where(rng.random(n) < 0.95, 0.0, rng.normal(size=n))
    yield "mostly missing", np.where(rng.random(n) < 0.95, np.nan, rng.normal(size=n))
    yield "the last value is odd", np.append(np.arange(n - 1) / 4, np.pi)
    yield "ever more decimals", np.array([round(k / 10**d, d) for k, d in enumerate(np.arange(n) // 8192)])


@pytest.mark.parametrize("values", [c for _, c in full_columns()], ids=[name for name, _ in full_columns()])
def test_full_chunks(values):
    chunk = check(encode_real(values))
    np.testing.assert_array_equal(decode_real(chunk).view(np.int64), canonical_bits(values))
    assert describe(chunk) == describe(reference.encode_real(values))
    words = values.view(np.int64)
    chunk = check(encode_int(words))
    np.testing.assert_array_equal(decode_int(chunk), words)
    assert describe(chunk) == describe(reference.encode_int(words))


def test_strided_and_read_only_values_are_taken_and_results_are_independent_of_them():
    values = np.arange(2000, dtype=np.int64) * 2**40
    values[::7] = M
    frozen = values.copy()
    frozen.flags.writeable = False
    expected = describe(encode_int(values[::2].copy()))
    assert describe(encode_int(values[::2])) == describe(encode_int(frozen[::2])) == expected
    noise = np.random.default_rng(0).normal(size=500)
    chunk = encode_real(noise)
    noise[:] = 0
    assert not np.any(decode_real(chunk) == 0)


def test_decoding_into_an_array_returns_it():
    for values in ([1, 2, 3, M] * 9, [0, 1], [M], [2**60, 1], [5] * 3, [0] * 99 + [7], [2**50, 3] * 40):
        values = np.array(values, dtype=np.int64)
        out = np.zeros(len(values), dtype=np.int64)
        assert decode_int(encode_int(values), out) is out
        np.testing.assert_array_equal(out, values)
        reals = np.where(values == M, np.nan, values / 3)
        into = np.zeros(len(values))
        assert decode_real(encode_real(reals), into) is into
        np.testing.assert_array_equal(into, reals)


def test_buffers_cannot_be_written():
    for buffer in (*encode_int(np.arange(9)).buffers, *encode_int(np.append(np.zeros(300, np.int64), 4)).buffers):
        with pytest.raises(ValueError, match="read-only"):
            buffer[0] = 1


def test_too_many_rows_for_a_chunk_are_our_fault():
    with pytest.raises(AssertionError, match="65537 rows in a chunk"):
        encode_int(np.zeros(ROWS_PER_CHUNK + 1, np.int64))
