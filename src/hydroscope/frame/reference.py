"""Element-wise programs, interpreted with NumPy one step at a time: the specification of `fuse`.

Also what runs small frames, for which compiling a loop costs more than it saves, and what
finds the row of an integer overflow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.frame.program import Program, Step
from hydroscope.ground.errors import DataError
from hydroscope.ground.limits import INT_MISSING

__all__ = ["run"]

Values = npt.NDArray[Any]

_WORDS = {"add_i": "+", "sub_i": "-", "mul_i": "*"}


def run(program: Program, inputs: Sequence[Values], n_rows: int, first_row: int = 0) -> Values:
    """Return the value of the program's last step for every row.

    Parameters
    ----------
    inputs : list of ndarray, int64 or float64, shape (n_rows,)
    first_row : int
        Row of the frame that the arrays begin with, for error messages.
    """
    values: list[Values] = []
    with np.errstate(all="ignore"):
        for step, kind in zip(program.steps, program.kinds, strict=True):
            if step.op == "input":
                values.append(inputs[step.value])
            elif step.op == "const":
                values.append(np.full(n_rows, step.value, np.int64 if kind == "i" else np.float64))
            else:
                values.append(_apply(step, [values[i] for i in step.args], first_row))
    return values[-1]


def _apply(step: Step, args: list[Values], first_row: int) -> Values:
    if step.op in _CHECKED:
        return _checked(step.op, args, first_row)
    if step.op in _OWN:
        return np.asarray(_OWN[step.op](*args))
    if step.op in _PLAIN:
        result = np.asarray(_PLAIN[step.op](*args))
        if step.op.endswith("_r") and result.dtype != np.bool_:
            return result
        gone = _missing(args[0])
        for each in args[1:]:
            gone = gone | _missing(each)
        return np.where(gone, INT_MISSING, result.astype(np.int64))
    return np.asarray(getattr(np, step.op)(*args))


def _missing(values: Values) -> npt.NDArray[np.bool_]:
    return np.isnan(values) if values.dtype == np.float64 else values == INT_MISSING


def _checked(op: str, args: list[Values], first_row: int) -> Values:
    a, b = args
    gone = _missing(a) | _missing(b)
    result = np.asarray(_CHECKED[op](a, b))
    guess = _CHECKED[op](a.astype(np.float64), b.astype(np.float64))
    for row in np.flatnonzero(~gone & (np.abs(guess) > 9.2e18)):
        exact = _CHECKED[op](int(a[row]), int(b[row]))
        if abs(exact) > 2**63 - 1:
            raise DataError(
                f"row {first_row + row}: {a[row]} {_WORDS[op]} {b[row]} is {exact}, and an int column holds "
                "-(2**63 - 1) to 2**63 - 1; compute in reals: column.astype('real')"
            )
    return np.where(gone, INT_MISSING, result)


def _chosen(condition: npt.NDArray[np.bool_], yes: Values, no: Values) -> Values:
    return np.asarray(np.where(condition, yes, no))


def _kleene_and(a: Values, b: Values) -> Values:
    return np.where((a == 0) | (b == 0), 0, np.where(_missing(a) | _missing(b), INT_MISSING, 1))


def _kleene_or(a: Values, b: Values) -> Values:
    return np.where((a == 1) | (b == 1), 1, np.where(_missing(a) | _missing(b), INT_MISSING, 0))


def _divided(function: Callable[[Values, Values], Values]) -> Callable[[Values, Values], Values]:
    def divide(a: Values, b: Values) -> Values:
        gone = _missing(a) | _missing(b) | (b == 0)
        return np.where(gone, INT_MISSING, function(a, np.where(gone, 1, b)))

    return divide


_CHECKED: dict[str, Callable[[Any, Any], Any]] = {
    "add_i": lambda a, b: a + b,
    "sub_i": lambda a, b: a - b,
    "mul_i": lambda a, b: a * b,
}

_OWN: dict[str, Callable[..., Values]] = {
    "real": lambda a: np.where(_missing(a), np.nan, a.astype(np.float64)),
    "floordiv_i": _divided(np.floor_divide),
    "mod_i": _divided(np.mod),
    "and": _kleene_and,
    "or": _kleene_or,
    "missing_i": lambda a: _missing(a).astype(np.int64),
    "missing_r": lambda a: _missing(a).astype(np.int64),
    "fill_i": lambda a, b: _chosen(_missing(a), b, a),
    "fill_r": lambda a, b: _chosen(np.isnan(a), b, a),
    "min_r": np.minimum,
    "max_r": np.maximum,
}

_PLAIN: dict[str, Callable[..., Values]] = {
    "int": lambda a: a,
    "neg_i": np.negative,
    "abs_i": np.abs,
    "sign_i": np.sign,
    "min_i": np.minimum,
    "max_i": np.maximum,
    "xor": np.bitwise_xor,
    "not": lambda a: 1 - a,
    "add_r": np.add,
    "sub_r": np.subtract,
    "mul_r": np.multiply,
    "div_r": np.divide,
    "neg_r": np.negative,
    "abs_r": np.abs,
    "sqrt_r": np.sqrt,
    "floor_r": np.floor,
    "ceil_r": np.ceil,
    "trunc_r": np.trunc,
    "rint_r": np.rint,
    "sign_r": np.sign,
    **{
        f"{name}_{kind}": function
        for kind in "ir"
        for name, function in (
            ("eq", np.equal),
            ("ne", np.not_equal),
            ("lt", np.less),
            ("le", np.less_equal),
            ("gt", np.greater),
            ("ge", np.greater_equal),
        )
    },
}
