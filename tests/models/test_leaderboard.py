"""Leaderboards: order, replacement, many writers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hydroscope as hs
from hydroscope.engine.keys_local import LocalKeys
from hydroscope.kv.built_in import BUILT_IN
from hydroscope.node import ports


@pytest.fixture(autouse=True)
def keys() -> Iterator[LocalKeys]:
    store = LocalKeys()
    before = ports.install_keys(store)
    yield store
    ports.install_keys(before)


def test_models_in_order() -> None:
    x = np.arange(300.0)
    frame = hs.Frame({"x": x, "late": (x % 10 > 4)})
    board = hs.leaderboard("late", sort_by="auc")
    for depth in (1, 3):
        model = hs.GBMClassifier(n_estimators=10, max_depth=depth, min_rows=1, random_state=1).fit(frame, "late")
        board.add(f"depth {depth}", model.metrics(frame))
    shown = board.to_frame()
    assert shown.columns[:2] == ["name", "auc"]
    assert shown.to_dict()["name"] == ["depth 3", "depth 1"]
    assert "Leaderboard 'late' by auc" in repr(board)
    assert "late by auc" in board._repr_html_()
    board.clear()
    assert len(board) == 0
    assert board.to_frame().columns == ["name", "auc"]


@pytest.mark.parametrize(("sort_by", "first"), [("auc", "high"), ("logloss", "low")])
def test_better_comes_first(sort_by: str, first: str) -> None:
    board = hs.leaderboard("b", sort_by)
    board.add("unknown", {sort_by: float("nan")})
    board.add("low", {sort_by: 0.1})
    board.add("high", {sort_by: 0.9})
    last = {"high": "low", "low": "high"}[first]
    assert [row["name"] for row in board.rows] == [first, last, "unknown"]


def test_a_name_is_there_once() -> None:
    board = hs.leaderboard("b", "rmse")
    board.add("m", {"rmse": 3.0})
    board.add("m", {"rmse": 2.0})
    assert board.rows == [{"name": "m", "rmse": 2.0}]


def test_many_writers() -> None:
    board = hs.leaderboard("b", "rmse")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: board.add(f"m{k}", {"rmse": float(k * 7 % 50)}), range(50)))
    assert [row["rmse"] for row in board.rows] == sorted(map(float, range(50)))


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 5) | st.none()), max_size=20), st.booleans())
def test_the_order_is_that_of_sorting_at_the_end(entries: list[tuple[str, Any]], descending: bool) -> None:
    rows: Any = None
    for name, number in entries:
        rows = BUILT_IN["insert"](rows, {"name": name, "m": number}, "m", descending, 100)
    last = dict(entries)
    sign = -1 if descending else 1
    with_number = sorted((sign * number, name) for name, number in last.items() if number is not None)
    without = sorted(name for name, number in last.items() if number is None)
    assert [row["name"] for row in rows or ()] == [name for _, name in with_number] + without


def test_a_board_keeps_the_best() -> None:
    rows: Any = None
    for number in range(20):
        rows = BUILT_IN["insert"](rows, {"name": f"{number:02}", "m": number}, "m", True, 5)
    assert [row["m"] for row in rows] == [19, 18, 17, 16, 15]


def test_slips_are_explained() -> None:
    with pytest.raises(hs.UnknownNameError, match="no metric 'acu' in leaderboards; did you mean 'auc'"):
        hs.leaderboard("b", "acu")
    with pytest.raises(hs.UnknownNameError, match="no metric 'auc' in the metrics of 'm'"):
        hs.leaderboard("b", "auc").add("m", {"rmse": 1.0})
    with pytest.raises(hs.UserError, match="1 to 200 characters"):
        hs.leaderboard("", "auc")
