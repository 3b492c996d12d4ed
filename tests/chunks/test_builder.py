"""Values in pieces of any size come out as full chunks, in order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.chunks.builder import Builder
from hydroscope.chunks.families import DECIMAL, INT, REAL, TEXT, UUID
from hydroscope.codecs.decode import decode_int, decode_real
from hydroscope.codecs.invariants import check
from hydroscope.codecs.reference_text import texts
from hydroscope.codecs.text import decode_text, decode_uuid
from hydroscope.ground.limits import INT_MISSING, ROWS_PER_CHUNK
from tests.codecs.columns import arrow

pieces = st.lists(st.integers(0, 25), max_size=12)


def built(family, values, rows_per_chunk=10):
    """Return all chunks, after asserting that all but the last are full."""
    builder = Builder(family, rows_per_chunk)
    chunks = [chunk for piece in values for chunk in builder.add(*piece)]
    assert all(chunk.n_rows == rows_per_chunk for chunk in chunks)
    last = builder.finish()
    assert [0 < chunk.n_rows < rows_per_chunk for chunk in last] in ([], [True])
    assert builder.finish() == []
    return [check(chunk) for chunk in chunks + last]


def joined(arrays, dtype):
    return np.concatenate([np.empty(0, dtype), *arrays])


@settings(deadline=None)
@given(pieces)
def test_ints_and_reals(sizes):
    rng = np.random.default_rng(sum(sizes))
    ints = [np.where(rng.random(n) < 0.2, INT_MISSING, rng.integers(-9, 9, n)) for n in sizes]
    chunks = built(INT, [(piece,) for piece in ints])
    np.testing.assert_array_equal(joined([decode_int(each) for each in chunks], np.int64), joined(ints, np.int64))
    reals = [np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)) for n in sizes]
    chunks = built(REAL, [(piece,) for piece in reals])
    np.testing.assert_array_equal(joined([decode_real(each) for each in chunks], float), joined(reals, float))


@settings(deadline=None)
@given(pieces)
def test_decimals(sizes):
    rng = np.random.default_rng(sum(sizes))
    values = [(rng.integers(-(10**6), 10**6, n), rng.integers(0, 5, n).astype(np.uint8)) for n in sizes]
    chunks = built(DECIMAL, values)
    expected = joined([mantissa / 10.0**decimals for mantissa, decimals in values], float)
    np.testing.assert_array_equal(joined([decode_real(each) for each in chunks], float), expected)


@settings(deadline=None)
@given(st.lists(st.lists(st.one_of(st.none(), st.binary(max_size=5)), max_size=25), max_size=12), st.booleans())
def test_texts(strings, omit):
    values = []
    for piece in strings:
        offsets, data, valid = arrow(piece, before=b"before")
        values.append((offsets, data, None if omit and None not in piece else valid))
    out = [each for chunk in built(TEXT, values) for each in texts(*decode_text(chunk))]
    assert out == [each for piece in strings for each in piece]


@settings(deadline=None)
@given(pieces, st.booleans())
def test_uuids(sizes, omit):
    rng = np.random.default_rng(sum(sizes))
    values = []
    for k, n in enumerate(sizes):
        words = rng.integers(1, 2**63, 2 * n).astype(np.uint64)
        values.append((words, None if omit and k % 2 else rng.random(n) < 0.7))
    rows, valids = [], []
    for chunk in built(UUID, values):
        words, valid = decode_uuid(chunk)
        rows.append(words)
        valids.append(np.ones(chunk.n_rows, np.bool_) if valid is None else valid)
    expected = joined([np.ones(len(w) // 2, np.bool_) if v is None else v for w, v in values], np.bool_)
    np.testing.assert_array_equal(joined(valids, np.bool_), expected)
    all_words = joined([w for w, _ in values], np.uint64)
    np.testing.assert_array_equal(joined(rows, np.uint64), np.where(np.repeat(expected, 2), all_words, 0))


def test_full_size_is_the_default():
    builder = Builder(INT)
    values = np.arange(2 * ROWS_PER_CHUNK + 5)
    assert [chunk.n_rows for chunk in builder.add(values)] == [ROWS_PER_CHUNK] * 2
    assert [chunk.n_rows for chunk in builder.finish()] == [5]


def test_more_rows_than_a_chunk_holds_are_our_fault():
    with pytest.raises(AssertionError, match="at most 65536"):
        Builder(INT, ROWS_PER_CHUNK + 1)
