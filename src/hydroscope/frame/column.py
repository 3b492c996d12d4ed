"""A column as users see it: a vec, or an expression that becomes one when it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hydroscope.frame import operators, statistics
from hydroscope.frame.convert import converted
from hydroscope.frame.expression import DEPTH_MAX, Node, evaluate, evaluate_rows
from hydroscope.frame.intake import type_named
from hydroscope.frame.layout import Layout
from hydroscope.frame.rollups import Histogram, Rollups, histogram
from hydroscope.frame.universal import UniversalFunctions
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.errors import UserError

if TYPE_CHECKING:
    from hydroscope.frame.frame import Frame

__all__ = ["Column"]


class Column(UniversalFunctions):
    """One column of a frame, or what an expression over columns gives.

    Arithmetic (`+ - * / // % **`), comparison and logic (`& | ~`) are lazy: they build
    a tree, which is run as one fused pass when values are needed, and then held compressed. A
    missing operand gives a missing result; in logic, what is known decides (False & missing
    is False).

    Parameters
    ----------
    source : Vec or Node
    name : str
    """

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("_name", "_node")

    def __init__(self, source: Vec | Node, name: str = "column") -> None:
        node = Node.of_vec(source) if isinstance(source, Vec) else source
        self._node = Node.of_vec(evaluate(node)) if node.depth > DEPTH_MAX else node
        self._name = name

    @property
    def name(self) -> str:
        """The name it had in its frame (of an expression: of its first column). Cost: free."""
        return self._name

    @property
    def type(self) -> str:
        """One of int, real, bool, enum, time, string, uuid. Cost: free."""
        return str(self._node.type)

    @property
    def vec(self) -> Vec:
        """The column as it is held. Cost: free, or one pass for an expression that was not needed before."""
        if self._node.op != "vec":
            self._node = Node.of_vec(evaluate(self._node))
        return self._node.vecs[0]

    @property
    def node(self) -> Node:
        """The tree it stands for."""
        return self._node

    @property
    def layout(self) -> Layout:
        """How its rows are cut."""
        assert self._node.layout is not None
        return self._node.layout

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels of an enum column, sorted. Cost: free."""
        if self._node.type is not VecType.ENUM:
            raise UserError(f"column {self._name!r} of type {self.type} has no levels; astype('enum') gives it some")
        return self._node.domain or ()

    @property
    def nbytes(self) -> int:
        """Compressed bytes. Cost: fast; one small task a leaf."""
        return statistics.compressed_bytes(self.vec)

    def __len__(self) -> int:
        return self.layout.n_rows

    @property
    def n_rows(self) -> int:
        """Rows, missing ones included. Cost: free."""
        return len(self)

    def __bool__(self) -> bool:
        raise UserError("a column has no single truth value; use .any() or .all(), and & | ~ instead of and or not")

    def __repr__(self) -> str:
        from hydroscope.frame.show import column_text

        return column_text(self)

    # -- statistics ------------------------------------------------------------------

    @property
    def rollups(self) -> Rollups:
        """Counts, moments and extremes. Cost: one pass the first time, then free."""
        return statistics.of_node(self._node)

    @property
    def n_missing(self) -> int:
        """Missing rows. Cost: one pass the first time, then free."""
        return self.rollups.n_missing

    def sum(self) -> int | float:
        """Return the sum of the values present (exact for int and bool; 0 when there is none).

        Cost: one pass the first time, then free.
        """
        return statistics.numbers(self, "sum").total

    def mean(self) -> float:
        """Return the mean of the values present; NaN when there is none. Cost: as `sum`."""
        return statistics.numbers(self, "mean").mean

    def var(self) -> float:
        """Return the variance (n - 1) of the values present. Cost: as `sum`."""
        return statistics.numbers(self, "var").variance

    def sd(self) -> float:
        """Return the standard deviation (n - 1) of the values present. Cost: as `sum`."""
        return statistics.numbers(self, "sd").sigma

    def min(self) -> Any:
        """Return the smallest value, None when there is none; a level of an enum, a datetime of a time column.

        Cost: one pass the first time, then free.
        """
        return statistics.extreme(self, "min")

    def max(self) -> Any:
        """Return the largest value, None when there is none. Cost: as `min`."""
        return statistics.extreme(self, "max")

    def any(self) -> bool:
        """Tell whether any value is true (bool columns; missing ones do not count). Cost: as `sum`."""
        return statistics.truths(self, "any").total > 0

    def all(self) -> bool:
        """Tell whether no value is false (bool columns; missing ones do not count). Cost: as `sum`."""
        known = statistics.truths(self, "all")
        return known.total == known.n

    def median(self) -> float:
        """Return the median of the values present. Cost: as `quantile`."""
        found: float = self.quantile(0.5)
        return found

    def quantile(self, q: float | Sequence[float] = 0.5) -> Any:
        """Return exact quantiles (type 7: linear between neighbours) of the values present.

        Parameters
        ----------
        q : float or list of float
            Probabilities, 0 to 1.

        Returns
        -------
        float, or list of float
            NaN when no value is present. Of a time column: datetimes.

        Notes
        -----
        Cost: one pass for the rollups, then two passes, whatever the number of probabilities (up
        to some dozens).
        """
        return statistics.quantile(self, q)

    def histogram(self) -> Histogram:
        """Return base, width and counts of up to 1,000 equal bins. Cost: a second pass the first time, then free."""
        statistics.numbers(self, "histogram", times=True)
        return histogram(self.vec)

    def unique(self) -> Column:
        """Return the distinct values present, ascending. Cost: one pass; memory for the distinct values."""
        return Column(statistics.unique(self.vec), self._name)

    def value_counts(self, missing: bool = False) -> Frame:
        """Return the distinct values and their counts, the most frequent first, ties by value.

        Parameters
        ----------
        missing : bool
            Count missing values too, as the last row.

        Notes
        -----
        Cost: one pass; memory for the distinct values.
        """
        from hydroscope.frame.frame import Frame

        return Frame.from_vecs(statistics.value_counts(self.vec, self._name, missing))

    # -- values ----------------------------------------------------------------------

    def is_missing(self) -> Column:
        """Return a bool column: where values are missing. Lazy; never missing itself."""
        return self._with(operators.is_missing(self._node))

    def fill_missing(self, value: Any) -> Column:
        """Return the column with `value` (or the other column's values) where values are missing.

        Lazy for numbers, truth values, times and enums (a new level is added); one pass for strings.
        """
        if self._node.type in (VecType.STRING, VecType.UUID):
            return Column(statistics.fill_texts(self.vec, value), self._name)
        value = self._operand(value)
        return self._with(operators.fill_missing(self._node, value))

    def astype(self, type: str) -> Column:
        """Return the column as another type; an error names what does not fit.

        Cost: free for its own type; else one pass, through text when strings are involved.
        """
        return Column(converted(self.vec, type_named(type, self._name), self._name), self._name)

    def __getitem__(self, rows: Any) -> Any:
        """Return one value (int), or the column of a slice of rows or of the rows where a bool column is true."""
        from hydroscope.frame.frame import Frame

        if isinstance(rows, int | np.integer):
            return statistics.value_at(self.vec, int(rows), self._name)
        return Frame.from_vecs({self._name: self.vec})[rows][self._name]

    def __iter__(self) -> Iterator[Any]:
        """Yield values, None where missing; decodes leaf by leaf."""
        return statistics.values(self.vec)

    def head(self, n: int = 10) -> Column:
        """Return the first rows. Cost: at most one chunk is encoded anew."""
        found: Column = self[:n]
        return found

    def round(self, decimals: int = 0) -> Column:
        """Return rounded values, halves to even as in NumPy; int stays int. Lazy."""
        if not 0 <= decimals <= 22:
            raise UserError(f"round(decimals={decimals}): the number of decimals lies between 0 and 22")
        if decimals == 0 or self._node.type is not VecType.REAL:
            return self._unary("rint")
        scale = 10.0**decimals
        return self._arithmetic("mul", scale)._unary("rint")._arithmetic("div", scale)

    def to_list(self) -> list[Any]:
        """Return the values as Python objects, None where missing. Cost: one pass, much memory."""
        return list(self)

    def to_numpy(self) -> npt.NDArray[Any]:
        """Return the values as an array; see `Frame.to_numpy` for how missing ones look. Cost: one parallel pass."""
        from hydroscope.frame.exits import numpy_column

        return numpy_column(self.vec)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        values = self.to_numpy()
        return values if dtype is None else values.astype(dtype)

    def to_arrow(self) -> Any:
        """Return the values as a pyarrow ChunkedArray, one chunk a leaf. Cost: one pass."""
        from hydroscope.frame.exits import arrow_table

        return arrow_table({self._name: self.vec}, self.layout).column(0)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def true_rows(self) -> tuple[list[Any], list[int]]:
        """Return, leaf by leaf, the rows where a bool column is true, and their counts. Cost: one pass."""
        if self._node.type is not VecType.BOOL:
            raise UserError(f"rows are chosen by truth values, not by a column of type {self.type}; compare it first")
        return evaluate_rows(self._node)

    # -- operators -------------------------------------------------------------------

    def _with(self, node: Node) -> Column:
        return Column(node, self._name)

    def _operand(self, value: Any) -> Any:
        """Return what stands beside an operator: a column's node, an array as a column, a scalar."""
        if isinstance(value, Column):
            return value._node
        if isinstance(value, np.ndarray) and value.ndim == 1:
            from hydroscope.frame.frame import Frame

            return Frame({self._name: value})[self._name]._node
        if isinstance(value, np.ndarray) and value.ndim == 0:
            return value.item()
        return value

    def _arithmetic(self, op: str, other: Any, swapped: bool = False) -> Column:
        left, right = self._node, self._operand(other)
        return self._with(operators.arithmetic(op, right, left) if swapped else operators.arithmetic(op, left, right))

    def _compare(self, op: str, other: Any) -> Column:
        return self._with(operators.compare(op, self._node, self._operand(other)))

    def _logic(self, op: str, other: Any) -> Column:
        return self._with(operators.logic(op, self._node, self._operand(other)))

    def _unary(self, op: str) -> Column:
        return self._with(operators.unary(op, self._node))
