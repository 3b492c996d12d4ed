"""Element-wise programs: what an expression over columns compiles to.

A program is a list of steps; step k computes value k from earlier ones. It is plain data,
so it can be shipped to another process, interpreted (`reference`) and written out as source
of one fused loop (`fuse`). Values are of two kinds: "i", int64 with INT_MISSING, and "r",
float64 with NaN. Truth values are "i", 0 and 1.

`OPERATIONS` is the one table of what there is. NaN is missing, so a real that has no value
(0 / 0, the logarithm of -1) is missing; an integer division by zero is missing as well; an
integer result outside -(2**63 - 1) .. 2**63 - 1 is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["LIBRARY", "OPERATIONS", "Input", "Kind", "Operation", "Program", "Step"]

Kind = Literal["i", "r"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table.

    Attributes
    ----------
    takes : str
        Kind of each argument.
    gives : "i" or "r"
    code : str
        Python expression of the value from a, b when none is missing (`fuse` writes it out; a
        missing integer argument gives a missing result unless `own`).
    own : bool
        `code` decides about missing arguments itself, from ma and mb (bool), and yields INT_MISSING.
    overflow : str
        Python expression that tells whether r, the result of `code`, is not the true integer.
    """

    takes: str
    gives: Kind
    code: str
    own: bool = False
    overflow: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: operation, earlier steps it takes, and a constant or the index of an input."""

    op: str
    args: tuple[int, ...] = ()
    value: Any = None


@dataclass(frozen=True, slots=True)
class Input:
    """One array that a program reads.

    `mode` is "values" (the decoded numbers of vec `vecs[0]`), or for texts and UUIDs "sign": -1,
    0 or 1 as its value sorts before, equals or sorts after `needle`, or the value of
    `vecs[1]` when there is no needle; or "recode": enum codes through the table `needle`.
    """

    mode: Literal["values", "sign", "recode"]
    vecs: tuple[int, ...]
    needle: Any = None


@dataclass(frozen=True, slots=True)
class Program:
    """Steps, the inputs they read, and the kind of the last step's value."""

    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    kinds: tuple[Kind, ...]


def _compare(name: str, sign: str) -> dict[str, Operation]:
    # A comparison of reals is missing where either is NaN, whatever the processor says.
    return {
        f"{name}_i": Operation("ii", "i", f"1 if a {sign} b else 0"),
        f"{name}_r": Operation("rr", "i", f"MISSING if ma or mb else (1 if a {sign} b else 0)", own=True),
    }


OPERATIONS: dict[str, Operation] = {
    "real": Operation("i", "r", "float(a)"),
    "int": Operation("i", "i", "a"),
    # Unsigned, because compiled signed arithmetic is assumed not to overflow, and a test whether it
    # did is then compiled to False (seen: 3037000500 * 3037000500).
    "add_i": Operation("ii", "i", "np.int64(np.uint64(a) + np.uint64(b))", overflow="((a ^ r) & (b ^ r)) < 0"),
    "sub_i": Operation("ii", "i", "np.int64(np.uint64(a) - np.uint64(b))", overflow="((a ^ b) & (a ^ r)) < 0"),
    "mul_i": Operation(
        "ii",
        "i",
        "np.int64(np.uint64(a) * np.uint64(b))",
        # Far from the limit the product of floats decides; near it, the sign: what passes 2**63 by
        # less than 2**63 wraps to the other one.
        overflow="abs(float(a) * float(b)) > 9.2e18 and (abs(float(a) * float(b)) > 9.3e18 or (a ^ b ^ r) < 0)",
    ),
    "floordiv_i": Operation("ii", "i", "MISSING if ma or mb or b == 0 else a // b", own=True),
    "mod_i": Operation("ii", "i", "MISSING if ma or mb or b == 0 else a % b", own=True),
    "neg_i": Operation("i", "i", "-a"),
    "abs_i": Operation("i", "i", "abs(a)"),
    "sign_i": Operation("i", "i", "1 if a > 0 else (-1 if a < 0 else 0)"),
    "min_i": Operation("ii", "i", "a if a < b else b"),
    "max_i": Operation("ii", "i", "a if a > b else b"),
    "add_r": Operation("rr", "r", "a + b"),
    "sub_r": Operation("rr", "r", "a - b"),
    "mul_r": Operation("rr", "r", "a * b"),
    "div_r": Operation("rr", "r", "a / b"),
    "neg_r": Operation("r", "r", "-a"),
    "abs_r": Operation("r", "r", "abs(a)"),
    "sqrt_r": Operation("r", "r", "math.sqrt(a)"),
    "floor_r": Operation("r", "r", "np.floor(a)"),
    "ceil_r": Operation("r", "r", "np.ceil(a)"),
    "trunc_r": Operation("r", "r", "np.trunc(a)"),
    "rint_r": Operation("r", "r", "np.rint(a)"),
    "sign_r": Operation("r", "r", "1.0 if a > 0.0 else (-1.0 if a < 0.0 else (0.0 if a == 0.0 else np.nan))"),
    "min_r": Operation("rr", "r", "(a if a < b else b) if a == a and b == b else np.nan"),
    "max_r": Operation("rr", "r", "(a if a > b else b) if a == a and b == b else np.nan"),
    **_compare("eq", "=="),
    **_compare("ne", "!="),
    **_compare("lt", "<"),
    **_compare("le", "<="),
    **_compare("gt", ">"),
    **_compare("ge", ">="),
    # Kleene: what is known decides. False and missing is False; True or missing is True.
    "and": Operation(
        "ii",
        "i",
        "0 if ((not ma) and a == 0) or ((not mb) and b == 0) else (MISSING if ma or mb else 1)",
        own=True,
    ),
    "or": Operation(
        "ii",
        "i",
        "1 if ((not ma) and a == 1) or ((not mb) and b == 1) else (MISSING if ma or mb else 0)",
        own=True,
    ),
    "xor": Operation("ii", "i", "a ^ b"),
    "not": Operation("i", "i", "1 - a"),
    "missing_i": Operation("i", "i", "1 if ma else 0", own=True),
    "missing_r": Operation("r", "i", "1 if ma else 0", own=True),
    "fill_i": Operation("ii", "i", "b if ma else a", own=True),
    "fill_r": Operation("rr", "r", "b if a != a else a"),
}

LIBRARY: tuple[str, ...] = (
    "exp",
    "expm1",
    "exp2",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "arccosh",
    "arctanh",
    "cbrt",
    "power",
    "arctan2",
    "hypot",
    "floor_divide",
    "remainder",
)
"""Functions of reals that NumPy computes, tile by tile: its vector code is faster than scalar
calls from a loop, and the result is the same wherever the program runs."""
