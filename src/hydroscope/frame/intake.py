"""Tables of other libraries into columns: which kinds of data `Frame(...)` takes, and how.

Everything becomes, per column, one of three things: a Vec that exists already, a NumPy
array of numbers, or a pyarrow ChunkedArray (all the rest goes through Arrow).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame.access import encode_leaf
from hydroscope.frame.arrow_in import check_ints, vec_from_arrow
from hydroscope.frame.layout import Layout
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.errors import DataError, UserError, unknown_name
from hydroscope.node import ports

__all__ = ["check_names", "take_in", "type_named"]

_KINDS = (
    "a dict of columns, a 2-D or structured NumPy array, a pandas, polars or Arrow table, "
    "or anything with __arrow_c_stream__"
)


def take_in(
    data: object, columns: Sequence[str] | None = None, types: Mapping[str, str] | None = None
) -> tuple[dict[str, Vec], Layout]:
    """Return the columns of `data` and their layout. Cost: one parallel pass."""
    found = _columns(data)
    if columns is not None:
        found = _renamed(found, columns)
    names = check_names(name for name, _ in found)
    wanted = _wanted_types(types or {}, names)
    n_rows = {name: _length(name, values) for name, values in found}
    if len(set(n_rows.values())) > 1:
        shown = ", ".join(f"{name!r}: {n:,}" for name, n in list(n_rows.items())[:8])
        raise DataError(f"columns differ in their number of rows ({shown}); all must have the same")
    vec_layouts = [values.layout for _, values in found if isinstance(values, Vec)]
    layout = vec_layouts[0] if vec_layouts else Layout.regular(next(iter(n_rows.values()), 0))
    return {name: _encode(name, values, layout, wanted.get(name)) for name, values in found}, layout


def check_names(names: Iterable[object]) -> list[str]:
    """Return the column names after refusing what cannot be one: no str, empty, twice the same."""
    seen: dict[str, None] = {}
    for name in names:
        if not isinstance(name, str) or not name:
            raise UserError(f"column name {name!r} must be a text of at least one character")
        if name in seen:
            raise UserError(f"column name {name!r} occurs twice; names must differ, so rename one of them before")
        seen[name] = None
    return list(seen)


def type_named(name: object, column: str) -> VecType:
    """Return the column type of that name."""
    try:
        return VecType(str(name))
    except ValueError:
        raise unknown_name(
            "column type", name, [str(each) for each in VecType], f"types of column {column!r}"
        ) from None


def _wanted_types(types: Mapping[str, str], names: list[str]) -> dict[str, VecType]:
    for name in types:
        if name not in names:
            raise unknown_name("column", name, names, "the data that types= is for")
    return {name: type_named(type, name) for name, type in types.items()}


def _columns(data: object) -> list[tuple[str, Any]]:
    if isinstance(data, Mapping):
        return [(name, _values(str(name), values)) for name, values in data.items()]
    if isinstance(data, np.ndarray):
        return _numpy_columns(data)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return [(str(name), _values(str(name), data.iloc[:, i])) for i, name in enumerate(data.columns)]
    if hasattr(data, "__arrow_c_stream__"):
        return _arrow_columns(data)
    if isinstance(data, list) and data and all(isinstance(row, Mapping) for row in data):
        names = list(dict.fromkeys(name for row in data for name in row))
        return [(name, _values(str(name), [row.get(name) for row in data])) for name in names]
    hint = "; call its collect() first" if callable(getattr(data, "collect", None)) else ""
    raise UserError(f"a Frame cannot be made of {type(data).__name__}; it takes {_KINDS}{hint}")


def _arrow_columns(data: Any) -> list[tuple[str, Any]]:
    import pyarrow as pa

    if not isinstance(data, pa.Table | pa.RecordBatch):
        kind = type(data).__name__
        try:
            data = pa.RecordBatchReader.from_stream(data).read_all()
        except pa.ArrowInvalid as error:
            reason = str(error).splitlines()[0].rstrip(".")
            if "non-struct" in reason:
                raise UserError(f"a {kind} is one column, not a table; name it: Frame({{'x': values}})") from None
            raise DataError(f"the {kind} cannot be read through Arrow: {reason}; convert that column before") from None
    return [(name, data.column(i)) for i, name in enumerate(data.schema.names)]


def _numpy_columns(data: npt.NDArray[Any]) -> list[tuple[str, Any]]:
    if data.dtype.names is not None:
        if data.ndim != 1:
            raise UserError(f"a structured array must have one dimension, not {data.ndim}")
        return [(name, _values(name, data[name])) for name in data.dtype.names]
    if data.ndim == 1:
        data = data.reshape(-1, 1)
    if data.ndim != 2:
        raise UserError(f"an array of shape {data.shape} has {data.ndim} dimensions; a table has two: rows and columns")
    return [(f"C{i + 1}", _values(f"C{i + 1}", data[:, i])) for i in range(data.shape[1])]


def _renamed(found: list[tuple[str, Any]], columns: Sequence[str]) -> list[tuple[str, Any]]:
    if isinstance(columns, str) or len(columns) != len(found):
        n_given = 1 if isinstance(columns, str) else len(columns)
        raise UserError(f"columns= has {n_given} names for {len(found)} columns; give one name a column")
    return [(name, values) for name, (_, values) in zip(columns, found, strict=True)]


def _values(name: str, values: Any) -> Any:
    """Return what a user gave for one column as a Vec, an array of numbers or a ChunkedArray."""
    vec = getattr(values, "vec", None)
    if isinstance(vec, Vec):
        return vec
    if isinstance(values, Vec):
        return values
    if isinstance(values, np.ma.MaskedArray):
        return _to_arrow(name, values.data, mask=np.ma.getmaskarray(values))
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise DataError(f"column {name!r} has shape {values.shape}; a column has one dimension")
        if values.dtype.kind in "biuf" and values.dtype.itemsize <= 8:
            return values
        if values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] not in ("s", "ms", "us", "ns", "D"):
            values = values.astype("datetime64[ms]")
        return _to_arrow(name, values.astype(object) if values.dtype.kind == "T" else values)
    if hasattr(values, "__arrow_c_stream__") or hasattr(values, "__arrow_c_array__"):
        return _arrow_column(values)
    if hasattr(values, "__arrow_array__") or type(values).__module__.split(".")[0] == "pandas":
        return _to_arrow(name, values)
    if isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable):
        raise DataError(f"column {name!r} is {values!r}; a column is a list or an array with one value a row")
    return _from_sequence(name, list(values))


def _arrow_column(values: Any) -> Any:
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        return values
    if isinstance(values, pa.Array) or not hasattr(values, "__arrow_c_stream__"):
        return pa.chunked_array([pa.array(values)])
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(values, pandas.Series):
        plain = getattr(values.array, "dtype", None)
        if isinstance(plain, np.dtype) and plain.kind in "biuf":
            return values.to_numpy()
        return _to_arrow(str(values.name), values)
    return pa.chunked_array(values)


def _from_sequence(name: str, values: list[Any]) -> Any:
    import uuid

    first = next((each for each in values if each is not None), None)
    if isinstance(first, uuid.UUID):
        import pyarrow as pa

        for row, each in enumerate(values):
            if each is not None and not isinstance(each, uuid.UUID):
                raise DataError(f"column {name!r}, row {row}: {each!r} is no UUID as the values before it")
        raw = [None if each is None else each.bytes for each in values]
        return pa.chunked_array([pa.array(raw, pa.binary(16))])
    return _to_arrow(name, values)


def _to_arrow(name: str, values: Any, mask: npt.NDArray[np.bool_] | None = None) -> Any:
    import pyarrow as pa

    try:
        found = pa.array(values, from_pandas=True, mask=mask)
    except (pa.ArrowException, OverflowError, UnicodeError, TypeError, ValueError) as error:
        mixed = _floats(values) if isinstance(values, list) else None
        if mixed is not None:
            return mixed
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(
            f"column {name!r} cannot be held: {reason}; all values of a column must be of one kind "
            "(numbers, truth values, texts, times or UUIDs; None where missing), and integers within 64 bits"
        ) from None
    return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])


def _floats(values: list[Any]) -> npt.NDArray[np.float64] | None:
    """Return a mix of ints and floats as floats where each int is one exactly, else None."""
    kinds = {type(each) for each in values if each is not None}
    if not kinds <= {int, float} or float not in kinds:
        return None
    if any(isinstance(each, int) and (abs(each) > 2**1000 or int(float(each)) != each) for each in values):
        return None
    return np.array([np.nan if each is None else float(each) for each in values])


def _length(name: str, values: Any) -> int:
    if isinstance(values, Vec):
        return values.n_rows
    return len(values)


def _encode(name: str, values: Any, layout: Layout, wanted: VecType | None) -> Vec:
    if isinstance(values, Vec):
        from hydroscope.frame.rows import rechunk

        if wanted is not None and wanted is not values.type:
            raise UserError(f"column {name!r} is held as {values.type} already; use astype({str(wanted)!r})")
        return rechunk(values, layout)
    if not isinstance(values, np.ndarray):
        return vec_from_arrow(name, values, layout, wanted)
    type = {"b": VecType.BOOL, "i": VecType.INT, "u": VecType.INT, "f": VecType.REAL}[values.dtype.kind]
    if wanted is not None and wanted is not type:
        import pyarrow as pa

        native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        return vec_from_arrow(name, pa.chunked_array([pa.array(native, from_pandas=True)]), layout, wanted)
    items = []
    for leaf, (first, last) in enumerate(layout.leaves):
        start, stop = layout.leaf_rows(leaf)
        items.append((name, type, layout.starts[first : last + 1] - start, values[start:stop], start))
    return Vec(type, layout, tuple(ports.current().map(_encode_numbers, items)))


def _encode_numbers(
    name: str, type: VecType, bounds: npt.NDArray[np.int64], values: npt.NDArray[Any], first_row: int
) -> tuple[Chunk, ...]:
    """Encode one leaf of a NumPy array."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 8 and len(values) and values.max() > 2**63 - 1:
        row = first_row + int(values.argmax())
        raise DataError(
            f"column {name!r}, row {row}: {values.max()} exceeds 2**63 - 1, the largest int; "
            f"use types={{{name!r}: 'real'}} if 53 bits of precision will do"
        )
    if type is VecType.INT:
        wide = np.ascontiguousarray(values, np.int64)
        check_ints(name, wide, first_row)
        return encode_leaf(type, bounds, wide)
    return encode_leaf(type, bounds, values)
