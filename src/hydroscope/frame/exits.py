"""Frames as tables of other libraries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.frame.access import column_values
from hydroscope.frame.arrow_out import batches, schema
from hydroscope.frame.layout import Layout
from hydroscope.frame.statistics import python_values
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.errors import UserError
from hydroscope.ground.limits import INT_MISSING

__all__ = ["arrow_reader", "arrow_table", "numpy_column", "numpy_table", "pandas_table", "polars_table"]


def arrow_table(vecs: Mapping[str, Vec], layout: Layout) -> Any:
    """Return a pyarrow Table with one chunk a leaf."""
    import pyarrow as pa

    return pa.Table.from_batches(list(batches(vecs, layout)), schema(vecs))


def arrow_reader(vecs: Mapping[str, Vec], layout: Layout) -> Any:
    """Return a pyarrow RecordBatchReader that decodes leaf by leaf as it is read."""
    import pyarrow as pa

    return pa.RecordBatchReader.from_batches(schema(vecs), batches(vecs, layout))


def pandas_table(vecs: Mapping[str, Vec], layout: Layout) -> Any:
    """Return a pandas DataFrame."""
    try:
        import pandas as pd
    except ImportError as error:
        raise UserError("to_pandas() needs the package pandas: pip install pandas") from error
    import pyarrow as pa

    # pandas' own choice for ints with missing values is float64, which loses digits above 2**53.
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    table = arrow_table(vecs, layout)
    columns = {}
    for name in vecs:
        column = table.column(name)
        mapper = nullable.get if column.null_count else None
        columns[name] = pa.table({"x": column}).to_pandas(types_mapper=mapper)["x"]
    return pd.DataFrame(columns, columns=list(vecs), index=pd.RangeIndex(layout.n_rows))


def polars_table(vecs: Mapping[str, Vec], layout: Layout) -> Any:
    """Return a polars DataFrame."""
    try:
        import polars as pl
    except ImportError as error:
        raise UserError("to_polars() needs the package polars: pip install polars") from error
    table = arrow_table(vecs, layout)
    for i, (name, vec) in enumerate(vecs.items()):
        if vec.type is VecType.UUID:  # polars has no such type; text says more than 16 bytes
            table = table.set_column(i, name, _uuid_texts(table.column(i)))
    return pl.from_arrow(table)


def _uuid_texts(column: Any) -> Any:
    import pyarrow as pa

    return pa.chunked_array(
        [pa.array([None if each is None else str(each) for each in column.to_pylist()], pa.string())]
    )


def numpy_column(vec: Vec) -> npt.NDArray[Any]:
    """Return one column as an array; see `Frame.to_numpy`."""
    values = column_values(vec)
    if vec.type is VecType.REAL:
        return np.asarray(values)
    if vec.type in (VecType.STRING, VecType.UUID, VecType.ENUM):
        found = np.empty(vec.n_rows, object)
        found[:] = python_values(vec.type, values, vec.domain)
        return found
    if vec.type is VecType.TIME:
        return np.asarray(values.view("datetime64[ms]"))  # NaT is the same bits as INT_MISSING
    gone = values == INT_MISSING
    if gone.any():
        reals = values.astype(np.float64)
        reals[gone] = np.nan
        return np.asarray(reals)
    return np.asarray(values.astype(np.bool_)) if vec.type is VecType.BOOL else np.asarray(values)


def numpy_table(vecs: Mapping[str, Vec], layout: Layout) -> npt.NDArray[Any]:
    """Return a 2-D array of one dtype; see `Frame.to_numpy`."""
    arrays = [numpy_column(vec) for vec in vecs.values()]
    if not arrays:
        return np.empty((layout.n_rows, 0))
    numeric = all(each.dtype.kind in "bif" for each in arrays)
    one_kind = numeric or len({each.dtype for each in arrays}) == 1
    dtype = np.result_type(*arrays) if one_kind else np.dtype(object)
    out = np.empty((layout.n_rows, len(arrays)), dtype, order="F")
    for i, (each, vec) in enumerate(zip(arrays, vecs.values(), strict=True)):
        if dtype.kind == "O" and each.dtype.kind in "bifM":
            out[:, i] = python_values(vec.type, column_values(vec), vec.domain)
        else:
            out[:, i] = each
    return out
