"""Every type comes back from every way out, missing values and awkward ones included."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from hydroscope.frame.frame import Frame
from hydroscope.ground.errors import UserError
from tests.frame.tables import TYPES, assert_same, few, tables

AS_THEY_ARE = {name: name for name in TYPES}
tmp = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def frame_of(table: dict[str, list[Any]]) -> Frame:
    return Frame(table, types={name: name for name in table})


@few
@given(tables())
def test_a_dict_comes_back_as_it_was(table: dict[str, list[Any]]) -> None:
    assert_same(frame_of(table).to_dict(), table)


@few
@given(tables())
def test_arrow_holds_the_same_values_and_comes_back(table: dict[str, list[Any]]) -> None:
    frame = frame_of(table)
    arrow = frame.to_arrow()
    assert [str(each) for each in arrow.schema.types] == [
        "int64",
        "double",
        "bool",
        "dictionary<values=string, indices=int32, ordered=0>",
        "timestamp[ms, tz=UTC]",
        "large_string",
        "extension<arrow.uuid>",
    ]
    arrow.validate(full=True)
    assert_same(arrow.to_pydict(), table)
    back = Frame(arrow)
    assert back.types == AS_THEY_ARE
    assert_same(back.to_dict(), table)


@few
@given(tables())
def test_the_arrow_stream_can_be_read_by_others(table: dict[str, list[Any]]) -> None:
    frame = frame_of(table)
    assert_same(pa.RecordBatchReader.from_stream(frame).read_all().to_pydict(), table)


@few
@given(tables(("int", "real", "bool", "enum", "time", "string")))
def test_polars_comes_back(table: dict[str, list[Any]]) -> None:
    frame = frame_of(table)
    assert_same(frame.to_polars().to_dict(as_series=False), table)
    read = pl.DataFrame(frame)
    assert_same(Frame(read).to_dict(), table)
    assert Frame(read).types == frame.types


@few
@given(tables())
def test_pandas_comes_back(table: dict[str, list[Any]]) -> None:
    frame = frame_of(table)
    made = frame.to_pandas()
    for name in ("int", "bool", "string"):
        assert [None if pd.isna(each) else each for each in made[name]] == table[name]
    assert_same(Frame(made, types=AS_THEY_ARE).to_dict(), table)


@few
@given(tables())
def test_parquet_comes_back(tmp_path_factory: pytest.TempPathFactory, table: dict[str, list[Any]]) -> None:
    path = tmp_path_factory.mktemp("parquet") / "table.parquet"
    frame = frame_of(table)
    frame.write_parquet(path)
    assert_same(Frame(pq.read_table(path)).to_dict(), table)


@few
@given(tables())
def test_csv_read_by_arrow_has_the_same_values(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, list[Any]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    frame_of(table).write_csv(path)
    read = pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={
                "int": pa.int64(),
                "real": pa.float64(),
                "bool": pa.bool_(),
                "enum": pa.string(),
                "time": pa.timestamp("ms"),
                "string": pa.string(),
                "uuid": pa.string(),
            },
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    back = Frame(read, types={"enum": "enum", "uuid": "uuid"})
    assert_same(back.to_dict(), table)


@given(tables(("int", "real", "bool")))
def test_numpy_has_the_values_and_nan_where_missing(table: dict[str, list[Any]]) -> None:
    frame = frame_of(table)
    for name, values in table.items():
        array = frame[name].to_numpy()
        assert [None if each != each else each for each in array.tolist()] == [
            float(each) if each is not None and array.dtype == np.float64 else each for each in values
        ]
    matrix = frame.to_numpy()
    assert matrix.shape == (frame.n_rows, 3)


def test_numpy_of_one_kind_keeps_its_dtype() -> None:
    frame = Frame({"a": [1, 2], "b": [True, False], "t": np.array(["2020-01-01", "NaT"], "datetime64[ms]")})
    assert frame[["a"]].to_numpy().dtype == np.int64
    assert frame[["b"]].to_numpy().dtype == np.bool_
    assert frame[["t"]].to_numpy().dtype == np.dtype("datetime64[ms]")
    assert np.isnat(frame[["t"]].to_numpy()[1, 0])
    assert frame[["a", "t"]].to_numpy().dtype == object


def test_duckdb_queries_a_frame_through_the_stream() -> None:
    frame = Frame({"k": ["a", "b", "a"], "v": [1, 2, None]}, types={"k": "enum"})
    reader = pa.RecordBatchReader.from_stream(frame)
    found = duckdb.from_arrow(reader).query("t", "select k, sum(v) s from t group by k order by k").fetchall()
    assert found == [("a", 1), ("b", 2)]


def test_many_leaves_stream_as_record_batches() -> None:
    n = 300_000
    frame = Frame({"x": np.arange(n), "s": np.arange(n).astype(str)})
    table = frame.to_arrow()
    assert [len(each) for each in table.column("x").chunks] == [262_144, n - 262_144]
    assert table.column("s").to_pylist() == [str(i) for i in range(n)]


def test_csv_names_are_quoted_only_where_needed(tmp_path: Path) -> None:
    Frame({"plain": [1], "a,b": [2], 'q"': [3], " x": [4]}).write_csv(tmp_path / "x.csv")
    first = (tmp_path / "x.csv").read_bytes().splitlines()[0]
    assert first == b'plain,"a,b","q""'.replace(b'"q""', b'"q"""') + b'," x"'
    assert list(pd.read_csv(io.BytesIO((tmp_path / "x.csv").read_bytes())).columns) == ["plain", "a,b", 'q"', " x"]


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_what_an_exit_needs_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"to_{package}.* needs the package {package}: pip install {package}"):
        getattr(Frame({"x": [1]}), f"to_{package}")()
