"""Chunks that no encoder makes are refused, with the rule they break."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.encode import encode_int, encode_real
from hydroscope.codecs.invariants import check
from hydroscope.codecs.table import Codec
from hydroscope.codecs.text import encode_text, encode_uuid
from hydroscope.ground.errors import CorruptError
from hydroscope.ground.limits import INT_MISSING
from tests.codecs.columns import arrow

M = INT_MISSING


def frozen(values, dtype):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def ints(*values):
    return encode_int(np.array(values, np.int64))


SPARSE = ints(*[0] * 300, 5, M, 9)
DICT = ints(*[10**15, 3, 17, M] * 100)
TEXT = encode_text(*arrow([b"one", b"three", None]))
CODED = encode_text(*arrow([b"one", b"three", None] * 100))
PACKED = encode_text(*arrow([b"stream and weir %d" % (k % 977) for k in range(977)]))
UUID = encode_uuid(np.arange(6, dtype=np.uint64), np.array([True, False, True]))

BROKEN = [
    ("rows", Chunk(Codec.MISSING, 65_537, 65_537)),
    ("no more missing", Chunk(Codec.MISSING, 1, 2)),
    ("n_missing", Chunk(Codec.MISSING, 2, 1)),
    ("n_missing", Chunk(Codec.CONSTANT, 2, 1)),
    ("int64 as bias", Chunk(Codec.CONSTANT, 2, 0, bias=2**63)),
    ("inner", replace(ints(1, 2), inner=ints(1))),
    ("inner", replace(SPARSE, inner=None)),
    ("flat", Chunk(Codec.INT64, 2, 0, buffers=(frozen([[1, 2]], np.int64),))),
    ("flat", Chunk(Codec.INT64, 2, 0, buffers=(frozen([1, 2, 3, 4], np.int64)[::2],))),
    ("byte order", Chunk(Codec.INT64, 2, 0, buffers=(frozen([1, 2], ">i8"),))),
    ("read-only", Chunk(Codec.INT64, 2, 0, buffers=(np.array([1, 2]),))),
    ("buffers", Chunk(Codec.INT64, 2, 0)),
    ("buffers", Chunk(Codec.INT64, 3, 0, buffers=(frozen([1, 2], np.int64),))),
    ("buffers", Chunk(Codec.INT64, 2, 0, buffers=(frozen([1, 2], np.float64),))),
    ("no bias", Chunk(Codec.INT64, 2, 0, bias=1, buffers=(frozen([1, 2], np.int64),))),
    ("n_missing", Chunk(Codec.INT64, 2, 0, buffers=(frozen([1, M], np.int64),))),
    ("n_missing", replace(encode_real(np.array([1e300, np.nan, 0.1])), n_missing=0)),
    ("zeros after", Chunk(Codec.BIT, 2, 0, buffers=(frozen([4], np.uint8),))),
    ("n_missing", Chunk(Codec.CRUMB, 2, 0, buffers=(frozen([3], np.uint8),))),
    ("n_missing", Chunk(Codec.INT8, 2, 0, buffers=(frozen([1, 255], np.uint8),))),
    ("step", Chunk(Codec.INT8, 2, 0, step=0, buffers=(frozen([1, 2], np.uint8),))),
    ("step", Chunk(Codec.INT8, 2, 0, decimals=23, buffers=(frozen([1, 2], np.uint8),))),
    ("64 bits", Chunk(Codec.INT8, 2, 0, bias=2**63 - 2, buffers=(frozen([1, 2], np.uint8),))),
    ("51 bits", Chunk(Codec.INT8, 2, 0, bias=2**51, decimals=1, buffers=(frozen([1, 2], np.uint8),))),
    ("codes within", replace(DICT, buffers=(frozen([4] * 400, np.uint8), DICT.buffers[1]))),
    ("distinct values", replace(DICT, buffers=(DICT.buffers[0], frozen([3, 3, 5, M], np.int64)))),
    ("table of a size", replace(DICT, buffers=(DICT.buffers[0], frozen([], np.int64)))),
    ("n_missing", replace(DICT, n_missing=0)),
    ("bias 0 or 1", replace(SPARSE, bias=2)),
    ("dense inner", replace(SPARSE, inner=SPARSE)),
    ("ascending rows", replace(SPARSE, buffers=(frozen([1, 1, 2], np.uint16),))),
    ("ascending rows", replace(SPARSE, buffers=(frozen([1, 2, 303], np.uint16),))),
    ("n_missing", replace(SPARSE, bias=1)),
    ("validity bit", replace(UUID, buffers=(UUID.buffers[0], frozen([], np.uint8)))),
    ("zeros in missing", replace(UUID, buffers=(frozen(range(6), np.uint64), UUID.buffers[1]))),
    ("sum of lengths", replace(TEXT, buffers=(TEXT.buffers[0], frozen([1], np.uint8), TEXT.buffers[2]))),
    ("unsigned lengths", replace(TEXT, buffers=(frozen([3, 5, 0], np.int64), *TEXT.buffers[1:]))),
    ("length 0", replace(TEXT, buffers=(frozen([3, 4, 1], np.uint8), *TEXT.buffers[1:]))),
    ("one length", replace(TEXT, buffers=(frozen([3, 5], np.uint8), *TEXT.buffers[1:]))),
    ("a flag", replace(TEXT, decimals=2)),
    ("decompresses", replace(PACKED, buffers=(PACKED.buffers[0], PACKED.buffers[1][:-9], PACKED.buffers[2]))),
    ("offsets from 0", replace(CODED, buffers=(frozen([0, 3, 9], np.uint32), CODED.buffers[1]))),
    ("ascending offsets", replace(CODED, buffers=(frozen([0, 9, 8], np.uint32), CODED.buffers[1]))),
    ("codes within", replace(CODED, inner=ints(*[0, 2, M] * 100))),
    ("codes within", replace(CODED, inner=ints(*[0, -1, M] * 100))),
    ("a code a row", replace(CODED, inner=ints(0, 1, M))),
    ("codes of integers", replace(CODED, inner=encode_real(np.random.default_rng(0).normal(size=300)))),
]


@pytest.mark.parametrize(("rule", "chunk"), BROKEN, ids=[f"{chunk.codec.name}: {rule}" for rule, chunk in BROKEN])
def test_a_broken_chunk_is_refused(rule, chunk):
    with pytest.raises(CorruptError, match=rule):
        check(chunk)


@pytest.mark.parametrize("chunk", [SPARSE, DICT, TEXT, CODED, PACKED, UUID], ids=lambda chunk: chunk.codec.name)
def test_what_they_were_made_of_is_sound(chunk):
    assert check(chunk) is chunk


def test_the_packed_one_is_packed():
    assert PACKED.decimals == 1
