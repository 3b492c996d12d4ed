"""Arithmetic, comparison and logic with missing values, as pandas' nullable types and DuckDB have them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.frame import expression
from hydroscope.frame.frame import Frame
from hydroscope.node.ports import Engine
from tests.frame.tables import few

ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
COMPARISON = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt}
COMPARISON |= {">=": operator.ge}
LOGIC = {"and": operator.and_, "or": operator.or_}

ints = st.one_of(st.none(), st.integers(-(2**30), 2**30), st.integers(-3, 3))
reals = st.one_of(st.none(), st.floats(-1e12, 1e12), st.sampled_from([0.0, 1.0, -2.0, 0.1]))
truths = st.one_of(st.none(), st.booleans())
TYPES = {"int": ("Int64", ints), "real": ("Float64", reals), "bool": ("boolean", truths)}


@st.composite
def pairs(draw: st.DrawFn, left: str, right: str) -> tuple[Frame, pd.DataFrame]:
    n = draw(st.integers(1, 12))
    values = {
        name: draw(st.lists(TYPES[type][1], min_size=n, max_size=n)) for name, type in (("x", left), ("y", right))
    }
    table = pd.DataFrame({"x": pd.array(values["x"], TYPES[left][0]), "y": pd.array(values["y"], TYPES[right][0])})
    return Frame(values, types={"x": left, "y": right}), table


def plain(values: Any) -> list[Any]:
    """Return values with one sign of missing; NaN is missing in hydroscope and a value in pandas."""
    return [None if pd.isna(each) or each != each else each for each in values]


@pytest.mark.parametrize("right", ["int", "real"])
@pytest.mark.parametrize("left", ["int", "real"])
@pytest.mark.parametrize("symbol", [*ARITHMETIC, *COMPARISON])
@few
@given(data=st.data())
def test_as_pandas_nullable_columns(symbol: str, left: str, right: str, data: st.DataObject) -> None:
    frame, table = data.draw(pairs(left, right))
    function = (ARITHMETIC | COMPARISON)[symbol]
    with np.errstate(all="ignore"):
        expected = function(table["x"], table["y"])
    assert plain(function(frame["x"], frame["y"])) == plain(expected)


@pytest.mark.parametrize("symbol", ["//", "%"])
@few
@given(data=st.data())
def test_floor_division_and_remainder_as_pandas_where_the_divisor_is_not_zero(symbol: str, data: st.DataObject) -> None:
    function = {"//": operator.floordiv, "%": operator.mod}[symbol]
    frame, table = data.draw(pairs("int", "int"))
    divisor = table["y"].mask(table["y"] == 0)  # pandas: 0; here: missing
    assert plain(function(frame["x"], frame["y"])) == plain(function(table["x"], divisor))


@pytest.mark.parametrize("symbol", LOGIC)
@few
@given(data=st.data())
def test_logic_as_pandas(symbol: str, data: st.DataObject) -> None:
    frame, table = data.draw(pairs("bool", "bool"))
    function = LOGIC[symbol]
    assert plain(function(frame["x"], frame["y"])) == plain(function(table["x"], table["y"]))
    assert plain(~frame["x"]) == plain(~table["x"])
    assert plain(frame["x"] ^ frame["y"]) == plain(table["x"] ^ table["y"])


EXPRESSIONS: list[tuple[str, Callable[[Frame], Any]]] = [
    ("x * 2 + y > z", lambda f: f["x"] * 2 + f["y"] > f["z"]),
    ("(x > 0 and y < 5) or not (z >= 1)", lambda f: ((f["x"] > 0) & (f["y"] < 5)) | ~(f["z"] >= 1)),
    ("(x + y) / (x - y + 0.5)", lambda f: (f["x"] + f["y"]) / (f["x"] - f["y"] + 0.5)),
    ("abs(x) - y % 3.0", lambda f: abs(f["x"]) - f["y"] % 3.0),
    ("coalesce(x, y) * z", lambda f: f["x"].fill_missing(f["y"]) * f["z"]),
    ("x is null and z is not null", lambda f: f["x"].is_missing() & ~f["z"].is_missing()),
    ("s < 'm' or s = t", lambda f: (f["s"] < "m") | (f["s"] == f["t"])),
    ("epoch_ms(a) - epoch_ms(b)", lambda f: f["a"] - f["b"]),
    ("a > timestamp '2020-06-01 00:00:00'", lambda f: f["a"] > "2020-06-01"),
    ("x * x * x - 5 * x", lambda f: f["x"] ** 3 - 5 * f["x"]),
    ("greatest(x, x + 1) - (-x)", lambda f: np.maximum(f["x"], f["x"] + 1) - (-f["x"])),
    ("round(z) + floor(z) - ceil(z)", lambda f: f["z"].round() + f["z"].floor() - f["z"].ceil()),
]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    n = expression.FUSE_FROM_ROWS + 5000
    rng = np.random.default_rng(8)

    def holes(values: Any) -> pd.Series:
        return pd.Series(values).mask(pd.Series(rng.random(n) < 0.2))

    times = np.datetime64("2020-01-01", "ms") + rng.integers(0, 365 * 86_400_000, (2, n)).astype("timedelta64[ms]")
    return pd.DataFrame(
        {
            "x": holes(pd.array(rng.integers(-9, 10, n), "Int64")),
            "y": holes(pd.array(rng.integers(0, 9, n), "Int64")),
            "z": holes(rng.normal(size=n)),
            "s": holes(np.array(list("azmbq"), object)[rng.integers(0, 5, n)]),
            "t": holes(np.array(["a", "zz", ""], object)[rng.integers(0, 3, n)]),
            "a": holes(times[0]),
            "b": holes(times[1]),
        }
    )


@pytest.mark.parametrize(("sql", "expression_"), EXPRESSIONS, ids=[sql for sql, _ in EXPRESSIONS])
def test_fused_expressions_as_duckdb(
    engine: Engine, table: pd.DataFrame, sql: str, expression_: Callable[[Frame], Any]
) -> None:
    cells = table  # found by DuckDB under this name
    column = expression_(Frame(cells))
    found = column.to_arrow().combine_chunks()
    expected = duckdb.sql(f"select {sql} v from cells").to_arrow_table().column("v").combine_chunks()
    assert found.null_count == expected.null_count
    ours, theirs = (each.to_numpy(zero_copy_only=False).astype(np.float64) for each in (found, expected))
    np.testing.assert_allclose(ours, theirs, rtol=1e-15)
