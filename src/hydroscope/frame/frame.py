"""A table: named vecs over one layout."""

from __future__ import annotations

import datetime
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from hydroscope.frame import describe, exits, files, rows, show
from hydroscope.frame.column import Column
from hydroscope.frame.intake import check_names, take_in
from hydroscope.frame.layout import Layout
from hydroscope.frame.statistics import compressed_bytes
from hydroscope.frame.vec import Vec
from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.node import jobs

__all__ = ["Frame"]


class Frame:
    """Named columns of equal length, compressed in memory.

    Columns are immutable and shared: selecting, renaming, dropping and adding columns copies
    nothing. The set of columns of one frame changes only by `frame["name"] = ...` and
    `del frame["name"]`; all methods return new frames.

    Parameters
    ----------
    data : dict, ndarray, pandas, polars or Arrow table, or anything with __arrow_c_stream__
        Of a dict, each value is a sequence, an array, or a column of another frame. None and NaN
        are missing. Texts become "string", Arrow dictionaries and categoricals "enum". The index
        of a pandas table is left out (`reset_index()` makes it a column).
    columns : list of str, optional
        Names instead of the data's own (arrays: instead of C1, C2, ...).
    types : dict of str to str, optional
        Types instead of those that follow from the data, by column: "int", "real", "bool",
        "enum", "time", "string", "uuid".

    Notes
    -----
    Cost: one parallel pass.

    Examples
    --------
    >>> frame = Frame({"x": [1, 2, None], "k": ["a", "b", "a"]}, types={"k": "enum"})
    >>> frame.shape, frame.types
    ((3, 2), {'x': 'int', 'k': 'enum'})
    >>> frame[frame["x"] > 1].to_dict()
    {'x': [2], 'k': ['b']}
    """

    _vecs: dict[str, Vec]
    _layout: Layout

    def __init__(
        self, data: Any = None, columns: Sequence[str] | None = None, types: Mapping[str, str] | None = None
    ) -> None:
        if isinstance(data, Frame):
            data = data.vecs
        with jobs.running("encoding a frame"):
            self._vecs, self._layout = take_in({} if data is None else data, columns, types)

    @classmethod
    def from_vecs(cls, vecs: Mapping[str, Vec]) -> Frame:
        """Return a frame of vecs that share one layout. Cost: free, nothing is copied."""
        frame = cls.__new__(cls)
        frame._vecs = dict(vecs)
        frame._layout = next(iter(vecs.values())).layout if vecs else Layout.regular(0)
        return frame

    @classmethod
    def _of(cls, parts: tuple[dict[str, Vec], Layout]) -> Frame:
        frame = cls.__new__(cls)
        frame._vecs, frame._layout = parts
        return frame

    # -- what it is ------------------------------------------------------------------

    @property
    def vecs(self) -> dict[str, Vec]:
        """The columns as they are held, by name. Cost: free."""
        return dict(self._vecs)

    @property
    def layout(self) -> Layout:
        """How its rows are cut. Cost: free."""
        return self._layout

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns. Cost: free."""
        return self._layout.n_rows, len(self._vecs)

    @property
    def n_rows(self) -> int:
        """Number of rows. Cost: free."""
        return self._layout.n_rows

    @property
    def n_columns(self) -> int:
        """Number of columns. Cost: free."""
        return len(self._vecs)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order. Cost: free."""
        return list(self._vecs)

    @property
    def types(self) -> dict[str, str]:
        """Type of each column: int, real, bool, enum, time, string or uuid. Cost: free."""
        return {name: str(vec.type) for name, vec in self._vecs.items()}

    @property
    def parse_report(self) -> Any:
        """How the text was read: bad lines, widened types, notes. None for rows not read from text. Cost: free."""
        return None if self._layout.origin is None else self._layout.origin.report

    def source_of(self, row: int) -> str | None:
        """Return the "file:line" that a row was read from; None for rows not read from text, or cut since.

        Cost: one leaf's text is cut into fields again; a compressed file is decompressed up to there.
        """
        return None if self._layout.origin is None else self._layout.origin.locate(row)

    @property
    def nbytes(self) -> int:
        """Compressed bytes of all columns. Cost: fast, no row is touched; free the second time."""
        return sum(compressed_bytes(vec) for vec in self._vecs.values())

    def codecs(self) -> Frame:
        """Return what each column costs: its codecs and how many chunks use them, bytes, ratio.

        Returns
        -------
        Frame
            One row a column: column, type, codecs, bytes, uncompressed (bytes of a plain array:
            8 a number, 4 an enum code, 1 a truth value, text and 4 a string), ratio
            (bytes / uncompressed).

        Notes
        -----
        Cost: fast; only codes of repeated strings are decoded, to know their length. Free the second time.
        """
        return Frame.from_vecs(describe.codecs_table(self._vecs))

    def describe(self) -> Frame:
        """Return a summary of the values.

        Returns
        -------
        Frame
            One row a column: column, type, missing, zeros, mean, sd, min, q25, median, q75, max
            (of numbers), values (in words: levels, span of times).

        Notes
        -----
        Cost: about three passes over each numeric column and one over others; the rollups
        are remembered.
        """
        with jobs.running("describing a frame"):
            return Frame.from_vecs(describe.summary_table(self._vecs))

    def __len__(self) -> int:
        return self._layout.n_rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._vecs)

    def __contains__(self, name: object) -> bool:
        return name in self._vecs

    def __repr__(self) -> str:
        return show.frame_text(self._vecs, self._layout, self._n_shown())

    def _repr_html_(self) -> str:
        return show.frame_html(self._vecs, self._layout, self._n_shown())

    def _n_shown(self) -> int:
        """Rows to show: the first ten, or all of a small table."""
        return self.n_rows if self.n_rows <= 4 * show.ROWS_SHOWN else show.ROWS_SHOWN

    def _ipython_key_completions_(self) -> list[str]:
        return self.columns

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self.__dict__.get("_vecs", ()):
            raise AttributeError(f"columns are not attributes: write frame[{name!r}]", name=name, obj=None)
        known = [each for each in dir(type(self)) if not each.startswith("_")]
        raise AttributeError(str(unknown_name("attribute", name, known, "Frame")), name=name, obj=None)

    # -- columns ---------------------------------------------------------------------

    @overload
    def __getitem__(self, key: str) -> Column: ...

    @overload
    def __getitem__(self, key: list[str] | tuple[str, ...] | slice | Column | npt.NDArray[np.bool_]) -> Frame: ...

    def __getitem__(self, key: Any) -> Column | Frame:
        """Return a column (str), columns (list of str), or rows (a slice, or a column of truth values).

        Cost: columns are free. A slice shares the chunks it covers wholly. A filter is one pass;
        rows keep their order, and where the condition is missing the row is left out.
        """
        if isinstance(key, str):
            return Column(self._vec(key), key)
        if isinstance(key, slice):
            return self._slice(key)
        if isinstance(key, Column):
            return self._filter(key)
        if isinstance(key, np.ndarray) and key.dtype == np.bool_:
            return self._filter(Frame({"rows": key})["rows"])
        if isinstance(key, list | tuple) and all(isinstance(each, str) for each in key):
            return self.select(*key)
        raise UserError(
            f"frame[{key!r}]: give a column name, a list of names, a slice of rows, or a column of truth values; "
            "one row is frame[i:i + 1]"
        )

    def __setitem__(self, name: str, values: Any) -> None:
        """Add or replace a column: an expression, a column, or a sequence or array with one value a row.

        Cost: one pass for an expression or for values, free for a column of the same layout.
        """
        changed = self.assign({name: values})
        self._vecs, self._layout = changed._vecs, changed._layout

    def __delitem__(self, name: str) -> None:
        """Remove a column from this frame. Cost: free."""
        self._vecs = self.drop(name)._vecs

    def assign(self, columns: Mapping[str, Any] | None = None, **named: Any) -> Frame:
        """Return the frame with columns added or replaced: expressions, columns, values, or one scalar.

        Cost: one pass for each expression or values; other columns are shared.
        """
        vecs, layout = dict(self._vecs), self._layout
        for name, values in {**(columns or {}), **named}.items():
            check_names([name])
            if values is None or isinstance(values, _SCALARS):
                values = _repeated(values, self.n_rows)
            if not isinstance(values, Column | Vec):
                values = Frame({name: values})._vecs[name]
            vec = values.vec if isinstance(values, Column) else values
            layout = layout if vecs else vec.layout
            vecs[name] = rows.rechunk(vec, layout)
        return Frame._of((vecs, layout))

    def select(self, *names: str) -> Frame:
        """Return the columns of those names in that order. Cost: free."""
        check_names(names)
        return Frame._of(({name: self._vec(name) for name in names}, self._layout))

    def drop(self, *names: str | Sequence[str]) -> Frame:
        """Return the frame without columns. Cost: free."""
        gone = _flat(names)
        for name in gone:
            self._vec(name)
        return Frame._of(({name: vec for name, vec in self._vecs.items() if name not in gone}, self._layout))

    def rename(self, names: Mapping[str, str] | Callable[[str], str]) -> Frame:
        """Return the frame with other names for some columns (old to new), in the same order. Cost: free."""
        if callable(names):
            names = {name: names(name) for name in self._vecs}
        for name in names:
            self._vec(name)
        renamed = [names.get(name, name) for name in self._vecs]
        check_names(renamed)
        return Frame._of((dict(zip(renamed, self._vecs.values(), strict=True)), self._layout))

    def _vec(self, name: str) -> Vec:
        vec = self._vecs.get(name)
        if vec is None:
            raise unknown_name(
                "column", name, self._vecs, f"frame of {self.n_columns} column{'s' * (self.n_columns != 1)}"
            )
        return vec

    # -- rows ------------------------------------------------------------------------

    def _slice(self, key: slice) -> Frame:
        if key.step not in (None, 1):
            raise UserError(f"a slice of rows has step 1, not {key.step}; filter with a column of truth values instead")
        start, stop, _ = key.indices(self.n_rows)
        return Frame._of(rows.slice_rows(self._vecs, self._layout, start, stop))

    def _filter(self, condition: Column) -> Frame:
        if len(condition) != self.n_rows:
            raise UserError(f"a condition of {len(condition):,} rows does not fit a frame of {self.n_rows:,} rows")
        if not condition.layout.same_rows(self._layout):
            condition = Column(rows.rechunk(condition.vec, self._layout))
        kept, counts = condition.true_rows()
        return Frame._of(rows.filter_rows(self._vecs, self._layout, kept, counts))

    def head(self, n: int = 10) -> Frame:
        """Return the first rows. Cost: at most one chunk a column is encoded anew."""
        return self[: max(n, 0)]

    def tail(self, n: int = 10) -> Frame:
        """Return the last rows. Cost: at most one chunk a column is encoded anew."""
        return self[max(self.n_rows - max(n, 0), 0) :]

    def split(self, ratios: Sequence[float], seed: int = 1) -> list[Frame]:
        """Return random parts, each with its rows in the order of the whole.

        Parameters
        ----------
        ratios : list of float
            Shares of all parts but the last, which gets what is left. Each row is drawn on its own,
            so parts have about these shares.
        seed : int
            The same seed gives the same parts, on any engine and for any number of threads.

        Notes
        -----
        Cost: one pass for each part.

        Examples
        --------
        >>> train, test = Frame({"x": range(1000)}).split([0.8], seed=7)
        >>> train.n_rows + test.n_rows
        1000
        """
        shares = [ratios] if isinstance(ratios, int | float) else list(ratios)
        if not shares or any(not 0 < each < 1 for each in shares) or sum(shares) > 1 + 1e-9:
            raise UserError(f"split({ratios!r}): give shares between 0 and 1 that add up to 1 at most, as in [0.8]")
        if sum(shares) > 1 - 1e-9:
            shares = shares[:-1]
        return [Frame._of(part) for part in rows.split_rows(self._vecs, self._layout, shares, seed)]

    def concat(self, *others: Frame) -> Frame:
        """Return the rows of this frame and then those of others with the same columns (in any order).

        Enum columns get all levels; int and real give real; enum and string give string.

        Cost: chunks are shared; a column whose type or levels differ is recoded in one pass.
        """
        parts = [self, *others]
        for each in others:
            for name in (*self._vecs, *each._vecs):
                self._vec(name)
                each._vec(name)
        filled = [each for each in parts if each.n_rows] or parts[:1]
        order = list(self._vecs)
        return Frame._of(rows.concat_rows([(each.select(*order)._vecs, each._layout) for each in filled]))

    # -- exits -----------------------------------------------------------------------

    def to_arrow(self) -> Any:
        """Return a pyarrow Table: enum as dictionary, time as timestamp[ms, UTC], missing as null.

        Cost: one parallel pass; the memory of the uncompressed table.
        """
        return exits.arrow_table(self._vecs, self._layout)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Stream the frame, decoded leaf by leaf, to whoever speaks Arrow (polars, pandas, DuckDB).

        Cost: one pass, the memory of a few leaves.
        """
        return exits.arrow_reader(self._vecs, self._layout).__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame: enum as category, int with missing values as Int64, bool as boolean.

        Cost: one parallel pass; the memory of the uncompressed table.
        """
        return exits.pandas_table(self._vecs, self._layout)

    def to_polars(self) -> Any:
        """Return a polars DataFrame: enum as categorical, UUIDs as text.

        Cost: one parallel pass; the memory of the uncompressed table.
        """
        return exits.polars_table(self._vecs, self._layout)

    def to_numpy(self) -> npt.NDArray[Any]:
        """Return a 2-D array, one column a column.

        Returns
        -------
        ndarray, shape (n_rows, n_columns)
            int64, float64 (as soon as one column is real, or an int or bool has missing values,
            which are NaN), bool, datetime64[ms] (missing: NaT), or object of Python values
            (missing: None) when there are texts, or times beside numbers.

        Notes
        -----
        Cost: one parallel pass; the memory of the array.
        """
        return exits.numpy_table(self._vecs, self._layout)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        values = self.to_numpy()
        return values if dtype is None else values.astype(dtype)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return lists of Python values by column, None where missing. Cost: one pass, much memory."""
        return {name: list(Column(vec, name)) for name, vec in self._vecs.items()}

    def write_csv(
        self, path: str | os.PathLike[str], overwrite: bool = False, columns: Sequence[str] | None = None
    ) -> None:
        """Write a CSV file (RFC 4180, UTF-8): every text in quotes, missing as nothing, reals exact.

        Parameters
        ----------
        path : path
            Written beside under another name and renamed when complete.
        overwrite : bool
            Replace a file that exists; otherwise it is an error.
        columns : list of str, optional
            Write only these.

        Notes
        -----
        Cost: one parallel pass.
        """
        part = self if columns is None else self.select(*columns)
        with jobs.running(f"writing {os.fspath(path)}"):
            files.write_csv(part._vecs, part._layout, path, overwrite)

    def write_parquet(
        self, path: str | os.PathLike[str], overwrite: bool = False, columns: Sequence[str] | None = None
    ) -> None:
        """Write a Parquet file (zstd, one row group a leaf); parameters as in `write_csv`. Cost: one pass."""
        part = self if columns is None else self.select(*columns)
        with jobs.running(f"writing {os.fspath(path)}"):
            files.write_parquet(part._vecs, part._layout, path, overwrite)


def _flat(names: Iterable[str | Sequence[str]]) -> list[str]:
    return [each for name in names for each in ([name] if isinstance(name, str) else name)]


_SCALARS = (str, int, float, np.generic, datetime.date, uuid.UUID)


def _repeated(value: Any, n_rows: int) -> Any:
    """Return a scalar as a column."""
    if value is None:
        return np.full(n_rows, np.nan)
    if isinstance(value, int | float | np.number | np.bool_):
        return np.full(n_rows, value)
    import pyarrow as pa

    if isinstance(value, str):
        return pa.DictionaryArray.from_arrays(np.zeros(n_rows, np.int32), pa.array([value]))
    if isinstance(value, uuid.UUID):
        return pa.repeat(pa.scalar(value.bytes, pa.binary(16)), n_rows)
    return pa.repeat(pa.array([value])[0], n_rows)
