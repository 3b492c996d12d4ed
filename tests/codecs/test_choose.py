"""The arithmetic of choosing, against its definition by search."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.codecs.choose import dictionary_limit, narrowest, step_needed
from hydroscope.codecs.table import CODECS, Codec


@pytest.mark.parametrize(
    ("largest", "codec"),
    [(0, 4), (254, 4), (255, 5), (65_534, 5), (65_535, 6), (2**32 - 2, 6), (2**32 - 1, None), (2**64, None)],
)
def test_the_narrowest_width_leaves_room_for_missing(largest, codec):
    assert narrowest(largest) == codec


@given(st.integers(1, 2**64 - 1))
def test_the_step_needed_is_the_least_that_narrows(largest):
    step = step_needed(largest)
    before = narrowest(largest)
    if step is None:
        assert before == Codec.INT8
        return
    wide = Codec.INT64 if before is None else before
    assert (narrowest(largest // step) or Codec.INT64) < wide
    assert (narrowest(largest // (step - 1)) or Codec.INT64) == wide


@given(st.integers(1, 65_536), st.integers(0, 8))
def test_the_dictionary_limit_is_the_most_values_that_save(n_rows, row_bytes):
    dense_bytes = n_rows * row_bytes

    def size(n_values):
        return (n_rows if n_values <= 256 else 2 * n_rows) + 8 * n_values

    limit = dictionary_limit(n_rows, dense_bytes)
    assert limit == max((k for k in range(1, 65_537) if size(k) < dense_bytes), default=0)


def test_every_codec_has_one_row_of_the_table():
    assert [row.codec for row in CODECS] == list(Codec)
    assert len({row.name for row in CODECS}) == len(Codec)
