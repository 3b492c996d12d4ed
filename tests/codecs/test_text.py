"""Strings and UUIDs: lossless, the smaller form, and the same from kernels and reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.codecs.chunk import HEADER_BYTES
from hydroscope.codecs.decode import decode_int
from hydroscope.codecs.invariants import check
from hydroscope.codecs.reference_text import text_candidates, texts
from hydroscope.codecs.table import Codec
from hydroscope.codecs.text import decode_text, decode_uuid, encode_text, encode_uuid, text_bytes
from tests.codecs.columns import arrow, describe, string_columns


@settings(deadline=None)  # the first example compiles
@given(string_columns(), st.sampled_from([b"", b"xyz"]), st.sampled_from([b"", b"junk below a missing row"]))
def test_strings_come_back_and_the_smaller_form_is_taken(strings, before, below):
    offsets, data, valid = arrow(strings, before, below)
    chunk = check(encode_text(offsets, data, valid))
    out_offsets, out_data, out_valid = decode_text(chunk)
    assert texts(out_offsets, out_data, out_valid) == strings
    assert out_offsets[0] == 0
    assert out_offsets[-1] == len(out_data)
    assert (out_valid is None) == (None not in strings)
    assert text_bytes(chunk) == len(out_data)
    smallest = min(text_candidates(strings), key=lambda each: (each.nbytes, each.codec))
    if chunk.decimals:
        assert 4 * (chunk.nbytes - HEADER_BYTES) <= 3 * (smallest.nbytes - HEADER_BYTES)
    else:
        assert describe(chunk) == describe(smallest)


def test_distinct_texts_of_one_length_have_no_lengths():
    strings = [b"%06x" % (k * 7919) for k in range(500)]
    chunk = check(encode_text(*arrow(strings)[:2]))
    assert (chunk.codec, chunk.bias, len(chunk.buffers[0]), len(chunk.buffers[2])) == (Codec.STRING, 6, 0, 0)


def test_repeated_texts_become_codes():
    strings = [[b"UA", b"AA", None, b"", b"B6"][k % 5] for k in range(1000)]
    chunk = check(encode_text(*arrow(strings)))
    assert chunk.codec == Codec.STRING_DICT
    assert chunk.n_missing == 200
    assert bytes(chunk.buffers[1]) == b"UAAAB6"
    assert decode_int(chunk.inner)[:5].tolist() == [0, 1, -(2**63), 2, 3]


def test_text_that_compresses_is_compressed():
    rng = np.random.default_rng(3)
    words = [b"flow", b"weir", b"gauge", b"stream", b"ford", b"delta"]
    strings = [b" ".join(words[k] for k in rng.integers(0, 6, 12)) + b" %d" % row for row in range(3000)]
    chunk = check(encode_text(*arrow(strings)))
    assert (chunk.codec, chunk.decimals) == (Codec.STRING, 1)
    assert chunk.nbytes < 0.75 * sum(map(len, strings))
    assert texts(*decode_text(chunk)) == strings


def test_noise_is_not_compressed():
    data = np.random.default_rng(3).integers(0, 256, 80_000, dtype=np.uint8)
    chunk = check(encode_text(np.arange(0, 80_001, 20), data))
    assert (chunk.codec, chunk.decimals) == (Codec.STRING, 0)
    np.testing.assert_array_equal(chunk.buffers[1], data)


@pytest.mark.parametrize("length", [0, 255, 256, 65_535, 65_536])
def test_lengths_take_the_narrowest_width(length):
    strings = [b"x" * length, b"yz", None]
    chunk = check(encode_text(*arrow(strings)))
    assert texts(*decode_text(chunk)) == strings
    if chunk.codec == Codec.STRING:
        assert chunk.buffers[0].itemsize == (1 if length < 256 else 2 if length < 65_536 else 4)


def test_a_long_common_prefix_does_not_make_texts_equal():
    strings = [b"0123456789abcdef" * 3 + bytes([97 + k % 26]) for k in range(400)]
    strings += [each[:-1] for each in strings]
    assert texts(*decode_text(check(encode_text(*arrow(strings))))) == strings


@settings(deadline=None)  # the first example compiles
@given(st.lists(st.one_of(st.none(), st.uuids()), max_size=40))
def test_uuids_come_back(uuids):
    words = np.zeros(2 * len(uuids), np.uint64)
    for row, each in enumerate(uuids):
        words[2 * row : 2 * row + 2] = (each.int >> 64, each.int & (2**64 - 1)) if each else (1, 2)
    valid = np.array([each is not None for each in uuids], dtype=np.bool_)
    chunk = check(encode_uuid(words, valid))
    out, out_valid = decode_uuid(chunk)
    assert (out_valid is None) == bool(valid.all())
    np.testing.assert_array_equal(out.reshape(-1, 2), np.where(valid[:, None], words.reshape(-1, 2), 0))
    assert chunk.n_missing == np.count_nonzero(~valid)
