"""Slices, filters, splits and joins of rows: against lists, whatever way the rows are cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.frame.frame import Frame
from hydroscope.frame.layout import Layout
from hydroscope.frame.rows import rechunk
from hydroscope.ground.errors import DataError, UserError
from hydroscope.ground.limits import CHUNKS_PER_LEAF, ROWS_PER_CHUNK, ROWS_PER_LEAF
from hydroscope.node.ports import Engine
from tests.frame.cut import cut_frames, frame_cut, rows_of
from tests.frame.tables import assert_same, few

Cut = tuple[dict[str, list[Any]], Frame]


@few
@given(cut_frames(), st.one_of(st.none(), st.integers(-15, 15)), st.one_of(st.none(), st.integers(-15, 15)))
def test_a_slice_is_that_of_a_list(cut: Cut, start: int | None, stop: int | None) -> None:
    table, frame = cut
    assert_same(frame[start:stop].to_dict(), rows_of(table, range(frame.n_rows)[start:stop]))
    assert frame[start:stop].types == frame.types


@few
@given(cut_frames(), st.data())
def test_a_filter_keeps_order_and_leaves_missing_conditions_out(cut: Cut, data: st.DataObject) -> None:
    table, frame = cut
    n = frame.n_rows
    kept = data.draw(st.lists(st.sampled_from([True, False, None]), min_size=n, max_size=n))
    expected = rows_of(table, [row for row in range(n) if kept[row]])
    condition = Frame({"kept": kept}, types={"kept": "bool"})["kept"]  # cut in another way than the frame
    assert_same(frame[condition].to_dict(), expected)
    assert_same(frame[np.array([each is True for each in kept], np.bool_)].to_dict(), expected)


@few
@given(st.lists(cut_frames(), min_size=1, max_size=4), st.data())
def test_frames_one_after_the_other_are_lists_one_after_the_other(cuts: list[Cut], data: st.DataObject) -> None:
    first, *others = [frame for _, frame in cuts]
    shuffled = [each[list(data.draw(st.permutations(each.columns)))] for each in others]
    whole = first.concat(*shuffled)
    assert_same(whole.to_dict(), {name: [v for table, _ in cuts for v in table[name]] for name in first.columns})
    assert whole["enum"].levels == tuple(sorted(set().union(*(frame["enum"].levels for _, frame in cuts))))


@few
@given(cut_frames(), cut_frames())
def test_columns_cut_differently_combine_row_by_row(one: Cut, two: Cut) -> None:
    n = min(one[1].n_rows, two[1].n_rows)
    left, right = one[1][:n], two[1][:n]
    joined = left.assign(other=right["int"], same=left["int"] == right["int"])
    assert joined["other"].to_list() == two[0]["int"][:n]
    pairs = zip(one[0]["int"][:n], two[0]["int"][:n], strict=True)
    assert joined["same"].to_list() == [None if None in pair else pair[0] == pair[1] for pair in pairs]


@few
@given(cut_frames(), st.integers(-14, 13))
def test_one_value_by_its_row(cut: Cut, row: int) -> None:
    table, frame = cut
    for name, values in table.items():
        if -len(values) <= row < len(values):
            assert_same({name: [frame[name][row]]}, {name: [values[row]]})
        else:
            with pytest.raises(UserError, match="row"):
                frame[name][row]


def test_rows_of_many_leaves(engine: Engine) -> None:
    n = 2 * ROWS_PER_LEAF + 1234
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"row": np.arange(n), "x": rng.integers(0, 9, n), "y": rng.normal(size=n).round(2)})
    table.loc[::11, "y"] = np.nan
    frame = Frame(table)
    a, b = ROWS_PER_CHUNK - 3, ROWS_PER_LEAF + ROWS_PER_CHUNK + 5
    pd.testing.assert_frame_equal(frame[a:b].to_pandas(), table[a:b].reset_index(drop=True))
    mask = (table.x == 3) & (table.y > 0)
    kept = frame[(frame["x"] == 3) & (frame["y"] > 0)]
    pd.testing.assert_frame_equal(kept.to_pandas(), table[mask].reset_index(drop=True))
    inside = frame[a:b]
    kept = inside[inside["x"] < 2]
    pd.testing.assert_frame_equal(kept.to_pandas(), table[a:b].query("x < 2").reset_index(drop=True))
    twice = kept.concat(frame[:7], kept)
    expected = pd.concat([kept.to_pandas(), table[:7], kept.to_pandas()], ignore_index=True)
    pd.testing.assert_frame_equal(twice.to_pandas(), expected)


def test_a_slice_shares_the_chunks_it_covers() -> None:
    n = 3 * ROWS_PER_CHUNK
    frame = Frame({"x": np.arange(n), "s": np.arange(n).astype(str)})
    part = frame[10:]
    for name in frame:
        whole, cut = frame.vecs[name].chunks(), part.vecs[name].chunks()
        assert [a is b for a, b in zip(whole, cut, strict=True)] == [False, True, True]
        assert cut[0].n_rows == ROWS_PER_CHUNK - 10
    assert frame[:].vecs["x"] is frame.vecs["x"]


def test_a_filter_leaves_full_chunks() -> None:
    n = 5 * ROWS_PER_CHUNK
    frame = Frame({"x": np.arange(n)})
    kept = frame[frame["x"] % 3 == 0]
    assert np.diff(kept.layout.starts).tolist() == [ROWS_PER_CHUNK, kept.n_rows - ROWS_PER_CHUNK]
    none = frame[frame["x"] < 0]
    assert (none.shape, none.columns, none.layout.n_chunks) == ((0, 1), ["x"], 0)
    assert frame[frame["x"] >= 0]["x"].sum() == n * (n - 1) // 2


def test_many_tiny_pieces_are_laid_out_anew() -> None:
    pieces = [Frame({"x": [i]}) for i in range(200)]
    whole = pieces[0].concat(*pieces[1:])
    assert whole.layout.n_chunks == 1
    assert whole["x"].to_list() == list(range(200))


def test_concat_widens_types_and_says_what_does_not_go_together() -> None:
    ints, reals = Frame({"x": [1, None]}), Frame({"x": [0.5]})
    texts, levels = Frame({"x": ["a", None]}), Frame({"x": ["b"]}, types={"x": "enum"})
    nothing = Frame({"x": [None]})
    assert ints.concat(reals)["x"].to_list() == [1.0, None, 0.5]
    assert ints.concat(Frame({"x": [True]})).types == {"x": "int"}
    assert texts.concat(levels).types == {"x": "string"}
    assert levels.concat(nothing)["x"].to_list() == ["b", None]
    assert levels.concat(nothing).types == {"x": "enum"}
    assert ints.concat(Frame({"x": []}))["x"].to_list() == [1, None]
    with pytest.raises(DataError, match="column 'x' is int and string in the frames to join"):
        ints.concat(texts)
    with pytest.raises(UserError, match="no column 'x' in frame of 1 column; it has 'y'"):
        ints.concat(Frame({"y": [1]}))


@given(n=st.integers(0, 400), shares=st.lists(st.floats(0.01, 0.3), min_size=1, max_size=3), seed=st.integers(0, 9))
def test_a_split_deals_every_row_once_and_in_order(n: int, shares: list[float], seed: int) -> None:
    frame = Frame({"row": np.arange(n)})
    parts = frame.split(shares, seed=seed)
    rows = [each["row"].to_list() for each in parts]
    assert len(parts) == len(shares) + 1
    assert all(each == sorted(each) for each in rows)
    assert sorted(row for each in rows for row in each) == list(range(n))
    assert [each["row"].to_list() for each in frame.split(shares, seed=seed)] == rows


def test_a_split_has_about_its_shares_and_another_seed_another_split() -> None:
    n = 200_000
    frame = Frame({"row": np.arange(n)})
    first, second = frame.split([0.8], seed=1)
    assert abs(first.n_rows / n - 0.8) < 6 * math.sqrt(0.8 * 0.2 / n)
    assert first["row"].to_list() != frame.split([0.8], seed=2)[0]["row"].to_list()
    assert len(frame.split([0.5, 0.5])) == 2
    for bad in ([], [0.0], [1.2], [0.6, 0.6]):
        with pytest.raises(UserError, match="give shares between 0 and 1"):
            frame.split(bad)
    assert second.n_rows == n - first.n_rows


def test_a_slice_of_a_slice_of_a_filter() -> None:
    table = {"int": list(range(40))}
    frame = frame_cut(table, [0, 1, 7, 30, 40])
    kept = frame[frame["int"] % 2 == 0][3:15][2:-2]
    assert kept.to_dict() == {"int": list(range(0, 40, 2))[3:15][2:-2]}


@given(cut_frames(("int", "string")), st.data())
def test_a_column_can_be_cut_anew_and_keeps_its_values(cut: Cut, data: st.DataObject) -> None:
    table, frame = cut
    n = frame.n_rows
    inner = data.draw(st.sets(st.integers(1, n - 1))) if n > 1 else set()
    layout = Layout(np.array(sorted({0, n} | inner)))
    for name, values in table.items():
        vec = rechunk(frame.vecs[name], layout)
        assert vec.layout is layout
        assert [chunk.n_rows for chunk in vec.chunks()] == np.diff(layout.starts).tolist()
        assert Frame.from_vecs({name: vec})[name].to_list() == values


def test_what_is_no_choice_of_rows_is_refused() -> None:
    frame = Frame({"x": [1, 2], "s": ["a", "b"]})
    for key, match in (
        (slice(None, None, 2), "step 1"),
        (0, r"one row is frame\[i:i \+ 1\]"),
        (frame["x"], "truth values, not by a column of type int"),
        (Frame({"b": [True]})["b"], "1 rows does not fit a frame of 2 rows"),
        (np.array([True]), "1 rows does not fit"),
        (["x", 1], "column name"),
    ):
        with pytest.raises(UserError, match=match):
            frame[key]


def test_a_leaf_is_so_many_chunks() -> None:
    layout = Layout.regular(ROWS_PER_LEAF + 1)
    assert layout.leaves == ((0, CHUNKS_PER_LEAF), (CHUNKS_PER_LEAF, CHUNKS_PER_LEAF + 1))
    assert layout.leaf_rows(1) == (ROWS_PER_LEAF, ROWS_PER_LEAF + 1)
    assert (Layout.regular(0).n_chunks, Layout.regular(0).leaves) == (0, ())
