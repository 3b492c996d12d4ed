"""Rollups: against exact fractions, NumPy and pandas; the same on every engine; made once."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.frame import rollups as rooms
from hydroscope.frame.frame import Frame
from hydroscope.frame.rollups import BINS, EXTREMES, rollups
from hydroscope.ground.limits import ROWS_PER_LEAF
from hydroscope.node.ports import Engine
from tests.frame.cut import cut_frames
from tests.frame.tables import INT_MAX, TYPES, few

Cut = tuple[dict[str, list[Any]], Frame]


@given(cut_frames(("int", "bool")))
def test_sums_of_integers_are_exact(cut: Cut) -> None:
    table, frame = cut
    for name, values in table.items():
        present = [int(each) for each in values if each is not None]
        known = frame[name].rollups
        assert (known.n, known.n_missing, known.n_zeros) == (len(present), values.count(None), present.count(0))
        assert known.total == sum(present)
        assert known.smallest == tuple(sorted(present)[:EXTREMES])
        assert known.largest == tuple(sorted(present, reverse=True)[:EXTREMES])
        assert (known.min, known.max) == (min(present, default=None), max(present, default=None))


@given(cut_frames(("real",)))
def test_counts_and_extremes_of_reals(cut: Cut) -> None:
    table, frame = cut
    present = [each for each in table["real"] if each is not None]
    known = frame["real"].rollups
    assert (known.n, known.n_missing) == (len(present), table["real"].count(None))
    assert known.n_zeros == present.count(0.0)
    assert known.n_inf == sum(math.isinf(each) for each in present)
    assert known.smallest == tuple(sorted(present)[:EXTREMES])
    assert known.largest == tuple(sorted(present, reverse=True)[:EXTREMES])


moderate = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-9, 9).map(float)), max_size=30)


@given(moderate, st.integers(-(10**6), 10**6))
def test_moments_are_those_of_exact_arithmetic(values: list[float | None], shift: int) -> None:
    column = Frame({"x": values}, types={"x": "real"})["x"] + shift
    present = [Fraction(each + shift) for each in values if each is not None]
    scale = max([1.0, *(abs(float(each)) for each in present)])
    assert column.sum() == pytest.approx(float(sum(present)), abs=1e-9 * scale)
    if present:
        assert column.mean() == pytest.approx(float(statistics.mean(present)), abs=1e-12 * scale)
    else:
        assert math.isnan(column.mean())
    if len(present) > 1:
        assert column.var() == pytest.approx(float(statistics.variance(present)), rel=1e-9, abs=1e-12 * scale**2)
    else:
        assert math.isnan(column.sd())


def test_a_large_mean_does_not_drown_the_variance() -> None:
    values = np.array([1e9 + k % 7 for k in range(300_000)])
    column = Frame({"x": values})["x"]
    assert column.var() == pytest.approx(statistics.variance(range(7)) * 6 / 7, rel=1e-5)
    assert column.sd() == pytest.approx((values - 1e9).std(ddof=1), rel=1e-12)


@pytest.fixture(scope="module")
def columns() -> dict[str, npt.NDArray[Any]]:
    n = ROWS_PER_LEAF + 90_001
    rng = np.random.default_rng(11)
    reals = rng.normal(3, 2, n)
    reals[rng.random(n) < 0.1] = np.nan
    return {
        "real": reals,
        "tenths": rng.integers(-50, 900, n) / 10,
        "int": rng.integers(-(10**9), 10**9, n),
        "small": rng.integers(0, 30, n),
        "sparse": np.where(rng.random(n) < 0.99, 0.0, rng.normal(size=n)),
        "constant": np.full(n, 7),
    }


@pytest.mark.parametrize("name", ["real", "tenths", "int", "small", "sparse", "constant"])
def test_many_leaves_agree_with_pandas(engine: Engine, columns: dict[str, npt.NDArray[Any]], name: str) -> None:
    column, expected = Frame({name: columns[name]})[name], pd.Series(columns[name])
    assert column.sum() == pytest.approx(expected.sum(), rel=1e-12, abs=1e-7)
    assert column.mean() == pytest.approx(expected.mean(), rel=1e-12, abs=1e-12)
    assert column.sd() == pytest.approx(expected.std(), rel=1e-10)
    assert (column.min(), column.max()) == (expected.min(), expected.max())
    assert column.n_missing == expected.isna().sum()
    assert column.rollups.smallest == tuple(expected.nsmallest(5, keep="all")[:5])
    assert column.rollups.largest == tuple(expected.nlargest(5, keep="all")[:5])
    assert column.rollups.n_zeros == (expected == 0).sum()
    q = [0.0, 0.001, 0.25, 0.5, 0.77, 1.0]
    np.testing.assert_allclose(column.quantile(q), np.nanquantile(columns[name], q), rtol=1e-12, atol=1e-12)
    counts = column.histogram()
    assert counts.counts.sum() == expected.count()
    edges = counts.edges
    bins = np.clip(np.searchsorted(edges, expected.dropna(), side="right") - 1, 0, len(counts.counts) - 1)
    moved = np.abs(counts.counts - np.bincount(bins, minlength=len(counts.counts))).sum()
    assert moved <= (4 if name in ("real", "sparse") else 1000 if name == "tenths" else 0)  # a value on an edge


@given(st.lists(st.one_of(st.none(), st.integers(-INT_MAX, INT_MAX), st.integers(-50, 50)), min_size=1))
def test_a_histogram_of_integers_is_exact(values: list[int | None]) -> None:
    present = [each for each in values if each is not None]
    found = Frame({"x": values}, types={"x": "int"})["x"].histogram()
    if not present:
        assert len(found.counts) == 0
        return
    expected = Counter((each - int(found.base)) // int(found.width) for each in present)
    assert {i: n for i, n in enumerate(found.counts.tolist()) if n} == dict(expected)
    assert len(found.counts) <= BINS
    if max(present) - min(present) < BINS:
        assert (found.base, found.width) == (min(present), 1)


def test_a_histogram_leaves_out_what_has_no_place() -> None:
    found = Frame({"x": [np.inf, -np.inf, None, 1.0, 2.0, 2.0]})["x"].histogram()
    assert (found.counts.sum(), found.base) == (3, 1.0)
    assert found.edges[-1] == pytest.approx(2.0)
    assert Frame({"x": [1e308, -1e308]})["x"].histogram().counts.sum() == 2
    assert Frame({"x": [5.0, 5.0]})["x"].histogram().counts.tolist() == [2]
    assert len(Frame({"x": [np.inf]})["x"].histogram().counts) == 0


def test_infinities_are_counted_and_spoil_only_what_they_must() -> None:
    column = Frame({"x": [np.inf, 1.0, None]})["x"]
    assert (column.max(), column.min(), column.sum(), column.rollups.n_inf) == (np.inf, 1.0, np.inf, 1)
    assert math.isnan(column.sd())
    assert math.isnan(Frame({"x": [np.inf, -np.inf]})["x"].sum())


def test_they_are_made_when_asked_for_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    known = rooms._summarise
    monkeypatch.setattr(rooms, "_summarise", lambda *args: passes.append(1) or known(*args))
    frame = Frame({"x": np.arange(10)})
    part = frame[["x"]].rename({"x": "y"})
    assert passes == []
    assert (frame["x"].sum(), frame["x"].max(), part["y"].mean(), frame["x"].sd()) == (
        45,
        9,
        4.5,
        np.arange(10).std(ddof=1),
    )
    assert passes == [1]
    assert rollups(frame.vecs["x"]) is frame["x"].rollups


@few
@given(cut_frames())
def test_distinct_values_and_their_counts(cut: Cut) -> None:
    table, frame = cut
    for name in TYPES:
        counts = Counter(each + 0.0 if name == "real" else each for each in table[name] if each is not None)
        assert frame[name].unique().to_list() == sorted(counts)
        assert frame[name].unique().type == name
        found = frame[name].value_counts().to_dict()
        assert found["count"] == sorted(counts.values(), reverse=True)
        assert dict(zip(found[name], found["count"], strict=True)) == counts
        with_missing = frame[name].value_counts(missing=True).to_dict()
        assert with_missing["count"] == [*found["count"], table[name].count(None)]


def test_few_distinct_values_are_remembered_and_many_are_not() -> None:
    frame = Frame({"few": np.arange(20_000) % 10, "many": np.arange(20_000)})
    assert [len(frame[name].unique()) for name in frame] == [10, 20_000]
    assert ["tally" in frame.vecs[name].remembered for name in frame] == [True, False]


@few
@given(cut_frames(("enum", "time", "string", "uuid")))
def test_extremes_of_what_are_no_numbers(cut: Cut) -> None:
    table, frame = cut
    for name, values in table.items():
        present = [each for each in values if each is not None]
        assert frame[name].min() == min(present, default=None)
        assert frame[name].max() == max(present, default=None)
        assert frame[name].n_missing == values.count(None)


@given(cut_frames(("int", "real")), st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_quantiles_are_type_7(cut: Cut, probabilities: list[float]) -> None:
    table, frame = cut
    for name, values in table.items():
        present = sorted(each for each in values if each is not None)
        found = frame[name].quantile(probabilities)
        for p, each in zip(probabilities, found, strict=True):
            if not present:
                assert math.isnan(each)
                continue
            place = (len(present) - 1) * p
            low, high = present[math.floor(place)], present[math.ceil(place)]
            if math.isfinite(low) and math.isfinite(high):
                exact = Fraction(low) + (Fraction(high) - Fraction(low)) * Fraction(place - math.floor(place))
                assert each == pytest.approx(float(exact), rel=1e-9, abs=1e-300)
            elif low == high:
                assert each == low
