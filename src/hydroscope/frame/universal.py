"""Operators and NumPy's universal functions, in terms of four methods of a column."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from hydroscope.frame.program import LIBRARY
from hydroscope.ground.errors import UserError

if TYPE_CHECKING:
    from hydroscope.frame.column import Column

__all__ = ["UniversalFunctions"]

_ARITHMETIC = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div",
    "floor_divide": "floordiv", "remainder": "mod", "mod": "mod", "power": "power", "float_power": "power",
    "minimum": "min", "maximum": "max",
}  # fmt: skip
_COMPARISON = {
    "equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge",
}  # fmt: skip
_MIRRORED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_LOGIC = {
    "bitwise_and": "and", "logical_and": "and", "bitwise_or": "or", "logical_or": "or",
    "bitwise_xor": "xor", "logical_xor": "xor",
}  # fmt: skip
_UNARY = {
    "negative": "neg", "absolute": "abs", "fabs": "abs", "invert": "not", "logical_not": "not", "sign": "sign",
    "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint",
}  # fmt: skip
_UNARY |= {name: name for name in LIBRARY if name not in ("power", "arctan2", "hypot", "floor_divide", "remainder")}


class UniversalFunctions:
    """What a column can do because it can add, compare, decide and apply."""

    __slots__ = ()

    @abstractmethod
    def _arithmetic(self, op: str, other: Any, swapped: bool = False) -> Column: ...

    @abstractmethod
    def _compare(self, op: str, other: Any) -> Column: ...

    @abstractmethod
    def _logic(self, op: str, other: Any) -> Column: ...

    @abstractmethod
    def _unary(self, op: str) -> Column: ...

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Make np.log(column), 2 * column and array + column columns."""
        name = ufunc.__name__
        if method != "__call__" or options:
            raise UserError(f"np.{name} of a column takes no options and no method ({method}); call np.{name}(column)")
        if len(inputs) == 1 and name in _UNARY:
            return self._unary(_UNARY[name])
        if len(inputs) == 1 and name == "square":
            return self._arithmetic("mul", self)
        if len(inputs) == 2:
            left, right = inputs
            mirrored = not isinstance(left, UniversalFunctions)
            me, other = (right, left) if mirrored else (left, right)
            if name in _ARITHMETIC:
                return me._arithmetic(_ARITHMETIC[name], other, mirrored)
            if name in _COMPARISON:
                op = _COMPARISON[name]
                return me._compare(_MIRRORED[op] if mirrored else op, other)
            if name in _LOGIC:
                return me._logic(_LOGIC[name], other)
        known = ", ".join(sorted({*_UNARY, *_ARITHMETIC, *_COMPARISON, *_LOGIC}))
        raise UserError(
            f"np.{name} is not available for columns (there are {known}); use column.to_numpy(), or a MapReduce"
        )

    def __add__(self, other: Any) -> Column:
        return self._arithmetic("add", other)

    def __radd__(self, other: Any) -> Column:
        return self._arithmetic("add", other, True)

    def __sub__(self, other: Any) -> Column:
        return self._arithmetic("sub", other)

    def __rsub__(self, other: Any) -> Column:
        return self._arithmetic("sub", other, True)

    def __mul__(self, other: Any) -> Column:
        return self._arithmetic("mul", other)

    def __rmul__(self, other: Any) -> Column:
        return self._arithmetic("mul", other, True)

    def __truediv__(self, other: Any) -> Column:
        return self._arithmetic("div", other)

    def __rtruediv__(self, other: Any) -> Column:
        return self._arithmetic("div", other, True)

    def __floordiv__(self, other: Any) -> Column:
        return self._arithmetic("floordiv", other)

    def __rfloordiv__(self, other: Any) -> Column:
        return self._arithmetic("floordiv", other, True)

    def __mod__(self, other: Any) -> Column:
        return self._arithmetic("mod", other)

    def __rmod__(self, other: Any) -> Column:
        return self._arithmetic("mod", other, True)

    def __pow__(self, other: Any) -> Column:
        return self._arithmetic("power", other)

    def __rpow__(self, other: Any) -> Column:
        return self._arithmetic("power", other, True)

    def __neg__(self) -> Column:
        return self._unary("neg")

    def __abs__(self) -> Column:
        return self._unary("abs")

    def __invert__(self) -> Column:
        return self._unary("not")

    def __and__(self, other: Any) -> Column:
        return self._logic("and", other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Column:
        return self._logic("or", other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> Column:
        return self._logic("xor", other)

    __rxor__ = __xor__

    def __eq__(self, other: object) -> Column:  # type: ignore[override]
        return self._compare("eq", other)

    def __ne__(self, other: object) -> Column:  # type: ignore[override]
        return self._compare("ne", other)

    def __lt__(self, other: Any) -> Column:
        return self._compare("lt", other)

    def __le__(self, other: Any) -> Column:
        return self._compare("le", other)

    def __gt__(self, other: Any) -> Column:
        return self._compare("gt", other)

    def __ge__(self, other: Any) -> Column:
        return self._compare("ge", other)

    def abs(self) -> Column:
        """Return absolute values; int stays int. Lazy."""
        return self._unary("abs")

    def sqrt(self) -> Column:
        """Return square roots; missing where negative. Lazy."""
        return self._unary("sqrt")

    def log(self) -> Column:
        """Return natural logarithms; missing where negative, -inf of 0. Lazy."""
        return self._unary("log")

    def exp(self) -> Column:
        """Return e to the power of each value. Lazy."""
        return self._unary("exp")

    def floor(self) -> Column:
        """Return the next lower whole numbers, as reals (int stays int). Lazy."""
        return self._unary("floor")

    def ceil(self) -> Column:
        """Return the next higher whole numbers, as reals (int stays int). Lazy."""
        return self._unary("ceil")
