"""Rows of a chunk are those of its values, whatever the codec, and what comes out is well formed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.chunks.rows import slice_chunk, take_chunk
from hydroscope.chunks.stats import int_bounds, real_bounds
from hydroscope.codecs import reference
from hydroscope.codecs.decode import decode_int, decode_real
from hydroscope.codecs.invariants import check
from hydroscope.codecs.reference_text import text_candidates, texts
from hydroscope.codecs.text import decode_text, decode_uuid, encode_text, encode_uuid
from hydroscope.ground.limits import INT_MISSING
from tests.codecs.columns import arrow, canonical_bits, int_columns, real_columns, string_columns


def picks(n_rows, seed):
    """Return a slice, rows (some repeated) and a mask of a column, all by chance."""
    rng = np.random.default_rng(seed)
    start, stop = sorted(rng.integers(0, n_rows + 1, 2).tolist())
    rows = rng.integers(0, n_rows, rng.integers(0, n_rows + 3)) if n_rows else np.empty(0, np.int64)
    return start, stop, rows, rng.random(n_rows) < rng.random()


def assert_rows(chunk, seed, same):
    """Assert `same(part, rows)` for parts of the chunk by slice, by rows and by mask."""
    start, stop, rows, mask = picks(chunk.n_rows, seed)
    for part, expected in (
        (slice_chunk(chunk, start, stop), np.arange(start, stop)),
        (slice_chunk(chunk, 0, chunk.n_rows), np.arange(chunk.n_rows)),
        (slice_chunk(chunk, start, start), np.empty(0, np.int64)),
        (take_chunk(chunk, rows), rows),
        (take_chunk(chunk, mask), np.flatnonzero(mask)),
    ):
        check(part)
        assert part.n_rows == len(expected)
        same(part, expected)


@settings(deadline=None, max_examples=50)
@given(int_columns, st.integers(0, 2**32))
def test_ints(values, seed):
    for chunk in reference.int_candidates(values):
        for buffer in chunk.buffers:
            buffer.flags.writeable = False

        def same(part, rows):
            np.testing.assert_array_equal(decode_int(part), values[rows])
            bounds = int_bounds(part)
            present = values[rows][values[rows] != INT_MISSING].tolist()
            assert (bounds.low, bounds.high) == ((min(present), max(present)) if present else (None, None))
            assert (bounds.n_missing, bounds.n_rows) == (len(rows) - len(present), len(rows))

        assert_rows(chunk, seed, same)


@settings(deadline=None, max_examples=50)
@given(real_columns, st.integers(0, 2**32))
def test_reals(values, seed):
    bits = canonical_bits(values)
    for chunk in reference.real_candidates(values):
        for buffer in chunk.buffers:
            buffer.flags.writeable = False

        def same(part, rows):
            np.testing.assert_array_equal(decode_real(part).view(np.int64), bits[rows])
            bounds = real_bounds(part)
            present = values[rows][~np.isnan(values[rows])].tolist()
            assert (bounds.low, bounds.high) == ((min(present), max(present)) if present else (None, None))
            assert (bounds.n_missing, bounds.n_rows) == (len(rows) - len(present), len(rows))

        assert_rows(chunk, seed, same)


@settings(deadline=None, max_examples=50)
@given(string_columns(), st.integers(0, 2**32))
def test_strings(strings, seed):
    for chunk in (encode_text(*arrow(strings)), *text_candidates(strings)):
        for buffer in chunk.buffers:
            buffer.flags.writeable = False
        assert_rows(chunk, seed, lambda part, rows: _same_strings(part, [strings[row] for row in rows]))


def _same_strings(part, expected):
    assert texts(*decode_text(part)) == expected


@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(st.none(), st.integers(0, 2**64 - 1)), max_size=30), st.integers(0, 2**32))
def test_uuids(halves, seed):
    words = np.array([half for each in halves for half in (each or 0, 5)], np.uint64)
    valid = np.array([each is not None for each in halves], np.bool_)

    def same(part, rows):
        out, out_valid = decode_uuid(part)
        np.testing.assert_array_equal(np.ones(len(rows), np.bool_) if out_valid is None else out_valid, valid[rows])
        np.testing.assert_array_equal(out.reshape(-1, 2)[valid[rows]], words.reshape(-1, 2)[rows][valid[rows]])

    assert_rows(encode_uuid(words, valid), seed, same)


def test_wrong_rows_are_our_fault():
    chunk = reference.encode_int(np.arange(5))
    for wrong in (lambda: slice_chunk(chunk, 3, 2), lambda: slice_chunk(chunk, 0, 6)):
        with pytest.raises(AssertionError, match="rows"):
            wrong()
    for rows in (np.array([5]), np.array([-1]), np.array([True])):
        with pytest.raises(AssertionError, match=r"row number|mask"):
            take_chunk(chunk, rows)
