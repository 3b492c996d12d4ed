"""More rows than 32 bits count: chunks without buffers make them cheap, and every row number is beyond."""

from __future__ import annotations

import numpy as np
import pytest

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.encode import encode_int
from hydroscope.codecs.table import Codec
from hydroscope.frame.frame import Frame
from hydroscope.frame.layout import Layout
from hydroscope.frame.rows import rechunk
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.limits import CHUNKS_PER_LEAF, ROWS_PER_CHUNK, ROWS_PER_LEAF

N_LEAVES = 8200
N = N_LEAVES * ROWS_PER_LEAF - 5
LAST = N - 1


@pytest.fixture(scope="module")
def frame() -> Frame:
    """Two columns of 2,149,580,795 rows: always 7, and missing but for 1..n in the last chunk."""
    assert N > 2**31
    layout = Layout.regular(N)
    short = ROWS_PER_CHUNK - 5
    seven = Chunk(Codec.CONSTANT, ROWS_PER_CHUNK, 0, bias=7)
    gone = Chunk(Codec.MISSING, ROWS_PER_CHUNK, ROWS_PER_CHUNK)
    ends = {
        "seven": (seven, Chunk(Codec.CONSTANT, short, 0, bias=7)),
        "late": (gone, encode_int(np.arange(1, short + 1))),
    }
    vecs = {}
    for name, (full, end) in ends.items():
        leaf = (full,) * CHUNKS_PER_LEAF
        vecs[name] = Vec(VecType.INT, layout, (leaf,) * (N_LEAVES - 1) + ((*leaf[1:], end),))
    return Frame.from_vecs(vecs)


def test_rows_are_counted(frame: Frame) -> None:
    assert frame.shape == (N, 2)
    assert len(frame["late"]) == N
    assert frame.layout.leaf_rows(N_LEAVES - 1) == (N - ROWS_PER_LEAF + 5, N)
    assert f"{N - 10:,} more rows" in repr(frame)


def test_sums_and_counts(frame: Frame) -> None:
    present = ROWS_PER_CHUNK - 5
    assert frame["seven"].sum() == 7 * N
    assert (frame["seven"].mean(), frame["seven"].sd(), frame["seven"].n_missing) == (7.0, 0.0, 0)
    assert frame["seven"].rollups.largest == (7,) * 5
    assert frame["late"].n_missing == N - present
    assert frame["late"].sum() == present * (present + 1) // 2
    assert frame["late"].max() == present


def test_values_by_row(frame: Frame) -> None:
    assert (frame["late"][LAST], frame["late"][-2], frame["late"][2**31]) == (
        ROWS_PER_CHUNK - 5,
        ROWS_PER_CHUNK - 6,
        None,
    )
    assert frame["seven"][2**31] == 7


def test_slices_beyond_32_bits(frame: Frame) -> None:
    assert frame.tail(2).to_dict() == {"seven": [7, 7], "late": [ROWS_PER_CHUNK - 6, ROWS_PER_CHUNK - 5]}
    part = frame[2**31 - 3 : 2**31 + 3]
    assert part.to_dict() == {"seven": [7] * 6, "late": [None] * 6}
    rest = frame[3:]
    assert (rest.n_rows, rest["seven"].sum(), rest["late"][LAST - 3]) == (N - 3, 7 * (N - 3), ROWS_PER_CHUNK - 5)


def test_frames_joined_and_cut_anew(frame: Frame) -> None:
    both = frame[N - 3 :].concat(frame)
    assert (both.n_rows, both["late"][2], both["late"][-1]) == (N + 3, ROWS_PER_CHUNK - 5, ROWS_PER_CHUNK - 5)
    assert both["late"].sum() == frame["late"].sum() + frame["late"][N - 3 :].sum()
    layout = frame.layout
    assert rechunk(frame.vecs["late"], Layout(layout.starts.copy())).leaves == frame.vecs["late"].leaves


def test_filters_and_expressions_over_the_last_rows(frame: Frame) -> None:
    end = frame[2**31 + 100_000 :]
    kept = end[end["late"] > ROWS_PER_CHUNK - 8]
    assert kept.assign(twice=kept["late"] * 2)["twice"].to_list() == [2 * (ROWS_PER_CHUNK - k) for k in (7, 6, 5)]


def test_bytes_are_those_of_what_is_held_once_for_each_chunk(frame: Frame) -> None:
    table = frame.codecs().to_dict()
    assert table["uncompressed"] == [8 * N, 8 * N]
    assert table["codecs"] == [f"constant {frame.layout.n_chunks:,}", f"missing {frame.layout.n_chunks - 1:,}, int16 1"]
