"""What a Frame takes in, and what it says of what it does not take."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.frame.frame import Frame
from hydroscope.ground.errors import DataError, UserError
from tests.frame.tables import INT_MAX, UTC

NOON = datetime.datetime(2020, 1, 1, 12, 0, 1)
LONG = "longer than a view holds inline"

ARROW: dict[str, tuple[Any, str, list[Any]]] = {
    "chunks, one empty": (pa.chunked_array([[1, 2], [], [None, 4]]), "int", [1, 2, None, 4]),
    "slice of strings": (pa.array(["x", "yy", None, "zzz"]).slice(1, 2), "string", ["yy", None]),
    "slice of large strings": (pa.array(["x", "yy", None], pa.large_string()).slice(1), "string", ["yy", None]),
    "string views": (pa.array(["x", LONG, None], pa.string_view()), "string", ["x", LONG, None]),
    "slice of bools": (pa.array([True, None, False, True]).slice(1, 2), "bool", [None, False]),
    "slice of UUIDs": (
        pa.array([uuid.UUID(int=i).bytes for i in range(4)], pa.binary(16)).slice(1, 2),
        "uuid",
        [uuid.UUID(int=1), uuid.UUID(int=2)],
    ),
    "slice of a dictionary": (pa.array(["x", "y", None, "x"]).dictionary_encode().slice(1), "enum", ["y", None, "x"]),
    "dictionary of ints": (pa.array([5, 6, None, 5]).dictionary_encode(), "int", [5, 6, None, 5]),
    "dictionary with a null level": (
        pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), pa.array(["b", None])),
        "enum",
        ["b", None, None],
    ),
    "dictionary with a level twice": (
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int8()), pa.array(["b", "a", "b"])),
        "enum",
        ["b", "a", "b"],
    ),
    "dictionary of views without chunks": (
        pa.chunked_array([], pa.dictionary(pa.uint32(), pa.string_view())),
        "enum",
        [],
    ),
    "run ends": (
        pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([7, None])),
        "int",
        [7, 7, None],
    ),
    "nulls": (pa.nulls(2), "real", [None, None]),
    "no rows": (pa.array([], pa.string()), "string", []),
    "float16": (pa.array([np.float16(1.5), None]), "real", [1.5, None]),
    "float32": (pa.array([1.5, float("nan")], pa.float32()), "real", [1.5, None]),
    "date32": (
        pa.array([datetime.date(1900, 1, 1), None], pa.date32()),
        "time",
        [datetime.datetime(1900, 1, 1, tzinfo=UTC), None],
    ),
    "date64": (
        pa.array([datetime.date(2200, 1, 1)], pa.date64()),
        "time",
        [datetime.datetime(2200, 1, 1, tzinfo=UTC)],
    ),
    "decimal128": (pa.array([Decimal("12.34"), None, Decimal("-0.07")]), "real", [12.34, None, -0.07]),
    "slice of decimals": (pa.array([Decimal("1.5"), Decimal("2.5"), None]).slice(1), "real", [2.5, None]),
    "decimal128 beyond 15 digits": (
        pa.array([Decimal("12345678901234567890.123456789")]),
        "real",
        [12345678901234567890.123456789],
    ),
    "decimal128 of negative scale": (pa.array([Decimal("1200")], pa.decimal128(5, -2)), "real", [1200.0]),
    "decimal256": (pa.array([Decimal("12.34"), None], pa.decimal256(40, 2)), "real", [12.34, None]),
}


@pytest.mark.parametrize(("array", "type", "values"), ARROW.values(), ids=list(ARROW))
def test_arrow_arrays_of_every_form(array: Any, type: str, values: list[Any]) -> None:
    frame = Frame(pa.table({"x": array}))
    assert frame.types == {"x": type}
    assert frame["x"].to_list() == values
    assert Frame({"x": array})["x"].to_list() == values


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("sign", ["int", "uint"])
def test_integers_of_every_width_to_their_limits(sign: str, bits: int) -> None:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if sign == "int" else (0, min(2**bits - 1, INT_MAX))
    values = [max(low, -INT_MAX), None, high]
    frame = Frame({"x": pa.array(values, f"{sign}{bits}")})
    assert frame.types == {"x": "int"}
    assert frame["x"].to_list() == values
    assert Frame({"x": np.array(values[::2], f"{sign}{bits}")})["x"].to_list() == values[::2]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "+05:30"])
def test_timestamps_of_every_unit_and_zone(unit: str, zone: str | None) -> None:
    column = Frame({"x": pa.array([NOON, None], pa.timestamp(unit, zone))})["x"]
    assert (column.type, column.to_list()) == ("time", [NOON.replace(tzinfo=UTC), None])


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_times_between_milliseconds_are_refused_and_not_rounded(unit: str) -> None:
    with pytest.raises(DataError, match=r"no whole milliseconds .*nothing is rounded unasked"):
        Frame({"x": pa.array([1], pa.timestamp(unit))})


def test_chunks_with_dictionaries_of_their_own_are_united() -> None:
    index = pa.array([0, 99], pa.int8())
    chunks = [pa.DictionaryArray.from_arrays(index, pa.array([f"{k}-{i:02}" for i in range(100)])) for k in range(3)]
    column = Frame({"x": pa.chunked_array(chunks)})["x"]  # more levels than int8 counts
    assert len(column.levels) == 300
    assert column.to_list() == ["0-00", "0-99", "1-00", "1-99", "2-00", "2-99"]


@given(st.lists(st.one_of(st.none(), st.decimals(-(10**6), 10**6, places=3)), min_size=1))
def test_decimals_are_the_nearest_float(values: list[Decimal | None]) -> None:
    found = Frame({"x": pa.array(values, pa.decimal128(12, 3))})["x"].to_list()
    assert found == [None if each is None else float(each) for each in values]


def test_pandas_columns_of_every_kind() -> None:
    table = pd.DataFrame(
        {
            "int": pd.array([1, None], "Int64"),
            "int8": pd.array([1, None], "Int8"),
            "real": pd.array([1.5, None], "Float64"),
            "bool": pd.array([True, None], "boolean"),
            "text": pd.array(["x", None], "string"),
            "object": np.array(["q", None], object),
            "arrow": pd.array([2, None], "int64[pyarrow]"),
            "level": pd.Categorical(["b", None], ["b", "a"]),
            "number level": pd.Categorical([3, None]),
            "plain time": pd.to_datetime(["2020-01-01", None]),
            "zoned": pd.to_datetime(["2020-01-01T00:00:00+02:00", None]),
        },
        index=["left", "out"],
    )
    frame = Frame(table)
    assert list(frame.types.values()) == [
        "int", "int", "real", "bool", "string", "string", "int", "enum", "int", "time", "time",
    ]  # fmt: skip
    first = {name: values[0] for name, values in frame.to_dict().items()}
    midnight = datetime.datetime(2020, 1, 1, tzinfo=UTC)
    assert list(first.values()) == [
        1, 1, 1.5, True, "x", "q", 2, "b", 3, midnight, midnight - datetime.timedelta(hours=2),
    ]  # fmt: skip
    assert all(values[1] is None for values in frame.to_dict().values())
    assert frame["level"].levels == ("a", "b")
    loose = Frame({name: table[name].array for name in table})
    assert (loose.types, loose.to_dict()) == (frame.types, frame.to_dict())


def test_polars_columns_of_every_kind() -> None:
    table = pl.DataFrame(
        {
            "int": [1, None],
            "text": ["a", None],
            "categorical": pl.Series(["a", None], dtype=pl.Categorical),
            "enum": pl.Series(["x", None], dtype=pl.Enum(["y", "x"])),
            "date": [datetime.date(2020, 1, 1), None],
            "bool": [True, None],
            "small": pl.Series([2, None], dtype=pl.UInt8),
            "nothing": [None, None],
            "decimal": pl.Series([Decimal("1.25"), None]),
        }
    )
    frame = Frame(table)
    assert list(frame.types.values()) == ["int", "string", "enum", "enum", "time", "bool", "int", "real", "real"]
    assert [values[0] for values in frame.to_dict().values()] == [
        1, "a", "a", "x", datetime.datetime(2020, 1, 1, tzinfo=UTC), True, 2, None, 1.25,
    ]  # fmt: skip


def test_duckdb_reads_a_frame_by_its_name_and_is_read() -> None:
    frame = Frame({"k": ["a", "b", "a"], "v": [1, 2, None], "u": [uuid.UUID(int=5)] * 3}, types={"k": "enum"})
    assert frame.n_rows == 3  # found by DuckDB under its Python name
    assert duckdb.sql("select k, sum(v) from frame group by k order by k").fetchall() == [("a", 1), ("b", 2)]
    back = Frame(duckdb.sql("select v * 2 w, k from frame where k = 'a'"))
    assert back.to_dict() == {"w": [2, None], "k": ["a", "a"]}


def test_pandas_and_numpy_read_a_frame() -> None:
    frame = Frame({"x": [1, 2], "y": [0.5, None]})
    np.testing.assert_array_equal(np.asarray(frame), [[1.0, 0.5], [2.0, np.nan]])
    if hasattr(pd.DataFrame, "from_arrow"):
        pd.testing.assert_frame_equal(pd.DataFrame.from_arrow(frame), pd.DataFrame({"x": [1, 2], "y": [0.5, np.nan]}))


def test_numpy_arrays_of_every_kind() -> None:
    assert Frame(np.array([[1, 2]], ">i4")).to_dict() == {"C1": [1], "C2": [2]}
    assert Frame(np.arange(2)).to_dict() == {"C1": [0, 1]}
    structured = np.array([(1, 2.5, "x")], [("a", "i4"), ("b", "f4"), ("c", "U3")])
    assert Frame(structured).to_dict() == {"a": [1], "b": [2.5], "c": ["x"]}
    assert Frame({"a": np.ma.masked_array([1, 2], [0, 1])}).to_dict() == {"a": [1, None]}
    assert Frame({"a": np.array(["2020-01-01", "NaT"], "datetime64[D]")}).to_dict() == {
        "a": [datetime.datetime(2020, 1, 1, tzinfo=UTC), None]
    }
    table = np.arange(20.0).reshape(4, 5).T[::2]
    np.testing.assert_array_equal(Frame(table).to_numpy(), table)
    with pytest.raises(UserError, match="3 dimensions"):
        Frame(np.zeros((1, 1, 1)))


def test_python_values_of_every_kind() -> None:
    assert Frame({"a": range(3)}).to_dict() == {"a": [0, 1, 2]}
    assert Frame({"a": (i for i in range(2))}).to_dict() == {"a": [0, 1]}
    assert Frame({"a": [1, 2.5, None]}).to_dict() == {"a": [1.0, 2.5, None]}
    assert Frame([{"a": 1, "b": "x"}, {"a": None}]).to_dict() == {"a": [1, None], "b": ["x", None]}
    assert Frame().shape == (0, 0)
    assert Frame({"a": []}, types={"a": "enum"}).types == {"a": "enum"}
    assert Frame([[1.0]] and np.ones((1, 2)), columns=["p", "q"]).columns == ["p", "q"]


WANTED: list[tuple[list[Any], str, list[Any]]] = [
    ([0, 1, None], "bool", [False, True, None]),
    ([1.0, None], "int", [1, None]),
    ([True, None], "int", [1, None]),
    ([True, None], "real", [1.0, None]),
    ([5, None], "string", ["5", None]),
    ([5, None], "enum", ["5", None]),
    (["5", None], "int", [5, None]),
    (["0.5", None], "real", [0.5, None]),
    (["2020-01-01T12:00:01", None], "time", [NOON.replace(tzinfo=UTC), None]),
    (["2020-01-01T13:00:01+01:00", None], "time", [NOON.replace(tzinfo=UTC), None]),
    ([1000, None], "time", [datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), None]),
    ([str(uuid.UUID(int=5)), None], "uuid", [uuid.UUID(int=5), None]),
    ([None, None], "enum", [None, None]),
]


@pytest.mark.parametrize(("values", "type", "expected"), WANTED)
def test_types_that_are_asked_for(values: list[Any], type: str, expected: list[Any]) -> None:
    frame = Frame({"x": values}, types={"x": type})
    assert (frame.types, frame["x"].to_list()) == ({"x": type}, expected)
    if any(each is not None for each in values):
        assert Frame({"x": values})["x"].astype(type).to_list() == expected


REFUSED: list[tuple[Any, dict[str, str] | None, str]] = [
    ({"x": [1, "a"]}, None, "column 'x' cannot be held: .*of one kind"),
    ({"x": [2**70]}, None, "within 64 bits"),
    ({"x": ["\ud800"]}, None, "surrogates"),
    ({"x": 1}, None, "a column is a list or an array"),
    ({"x": "abc"}, None, "a column is a list or an array"),
    ({"x": {2, 1}}, None, "a column is a list or an array"),
    ({"x": [1], "y": [1, 2]}, None, r"number of rows \('x': 1, 'y': 2\)"),
    ({"": [1]}, None, "at least one character"),
    ({3: [1]}, None, "column name 3 must be a text"),
    (pa.table([pa.array([1]), pa.array([2])], ["x", "x"]), None, "'x' occurs twice"),
    ({"x": np.array([0, -(2**63)])}, None, r"row 1: -9223372036854775808 .*types=\{'x': 'real'\}"),
    ({"x": pa.array([0, -(2**63)])}, None, r"row 1: -9223372036854775808 .*types=\{'x': 'real'\}"),
    ({"x": np.array([1, 2**64 - 1], np.uint64)}, None, r"row 1: 18446744073709551615 exceeds"),
    ({"x": np.array([1j])}, None, "cannot be held"),
    ({"x": pa.array([[1]])}, None, "list<.*no column type holds.*leave it out"),
    ({"x": pa.array([datetime.timedelta(1)])}, None, "duration.*cast it to int64"),
    ({"x": np.zeros((2, 2))}, None, "has shape"),
    (pd.Series([1, 2]), None, r"a Series is one column, not a table; name it: Frame\({'x': values}\)"),
    (pa.chunked_array([[1]]), None, "a ChunkedArray is one column"),
    (pl.LazyFrame({"x": [1]}), None, r"LazyFrame; .*call its collect\(\) first"),
    ("abc", None, "cannot be made of str"),
    ({"x": ["a"]}, {"x": "int"}, "cannot be read as int"),
    ({"x": [2]}, {"x": "bool"}, "a bool is 0 or 1"),
    ({"x": [1.5]}, {"x": "int"}, "cannot be read as int"),
    ({"x": ["1-2"]}, {"x": "uuid"}, "is not a UUID"),
    ({"x": [1]}, {"y": "int"}, "no column 'y'"),
    ({"x": [1]}, {"x": "integer"}, "did you mean 'int'"),
]


@pytest.mark.parametrize(("data", "types", "match"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_held_is_refused_with_a_reason(data: Any, types: dict[str, str] | None, match: str) -> None:
    with pytest.raises((DataError, UserError), match=match):
        Frame(data, types=types)
