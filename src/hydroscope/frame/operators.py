"""What operators mean for each pair of column types: typed nodes out of untyped operands.

=====================  ==============================================================
int, bool with same    int; `/` is real; overflow beyond 64 bits is an error
anything with real     real
`** k`, k = 0, 1, 2..  int of an int column, computed exactly; else real
time - time            int, milliseconds
time +- int, timedelta time
comparison             bool, of numbers; of enums and strings in order of code points;
                       of times with datetime; of UUIDs
`& | ^ ~`              bool only, Kleene's three values
=====================  ==============================================================
"""

from __future__ import annotations

import datetime
import math
import uuid
from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np

from hydroscope.frame.convert import converted
from hydroscope.frame.domains import unite
from hydroscope.frame.expression import Node, evaluate
from hydroscope.frame.rows import rechunk
from hydroscope.frame.vec import VecType
from hydroscope.ground.errors import UserError

__all__ = ["EPOCH", "NUMERIC", "arithmetic", "as_real", "compare", "fill_missing", "is_missing", "logic", "unary"]

NUMERIC = (VecType.INT, VecType.REAL, VecType.BOOL)
INT, REAL, BOOL, ENUM, TIME, STRING, UUID = VecType
INT_MAX = 2**63 - 1
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
_SYMBOLS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "power": "**",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=", "and": "&", "or": "|", "xor": "^",
}  # fmt: skip
_LIBRARY_OF = {"floordiv": "floor_divide", "mod": "remainder", "power": "power"}

Operand = Any
"""A Node, or a scalar as the user wrote it."""


def arithmetic(op: str, left: Operand, right: Operand) -> Node:
    """Return the node of + - * / // % ** min max."""
    left, right = _aligned(left, right)
    a, b = _number(left, op), _number(right, op)
    if TIME in (a.type, b.type):
        return _time_arithmetic(op, a, b)
    if op == "power":
        return _power(a, b)
    if op == "div" or REAL in (a.type, b.type):
        name = _LIBRARY_OF.get(op, f"{op}_r")
        return Node.call(name, REAL, as_real(a), as_real(b))
    return Node.call(f"{op}_i", INT, a, b)


def compare(op: str, left: Operand, right: Operand) -> Node:
    """Return the node of a comparison."""
    if not isinstance(left, Node):
        left, right, op = right, left, _MIRRORED[op]
    if right is None:
        raise UserError(f"a column cannot be compared with None ({_SYMBOLS[op]}); use column.is_missing()")
    left, right = _aligned(left, right)
    if isinstance(right, Node):
        return _compare_columns(op, left, right)
    right = _plain(right)
    if left.type is ENUM:
        return _compare_level(op, left, right)
    if left.type in (STRING, UUID):
        return _sign(op, left, needle=_needle(left.type, right, op))
    if left.type is TIME:
        right = milliseconds(right)
    return _compare_number(op, left, right)


def logic(op: str, left: Operand, right: Operand) -> Node:
    """Return the node of & | ^."""
    left, right = _aligned(left, right)
    args = []
    for each in (left, right):
        each = _plain(each)
        if isinstance(each, bool):
            each = Node.constant(int(each), BOOL)
        if not isinstance(each, Node) or each.type is not BOOL:
            shown = f"a column of type {each.type}" if isinstance(each, Node) else repr(each)
            raise UserError(
                f"{_SYMBOLS[op]} works on truth values, not on {shown}; compare it first, as in (x > 0) & (y < 1)"
            )
        args.append(each)
    return Node.call(op, BOOL, *args)


def unary(op: str, node: Node) -> Node:
    """Return the node of neg, abs, sign, not, floor, ceil, trunc, rint, sqrt or a library function."""
    if op == "not":
        if node.type is not BOOL:
            raise UserError(f"~ works on truth values, not on a column of type {node.type}; compare it first")
        return Node.call("not", BOOL, node)
    number = _number(node, op)
    if number.type is TIME:
        raise UserError(f"{op} of a time column has no meaning; subtract a time first, which gives milliseconds")
    if op in ("floor", "ceil", "trunc", "rint") and number.type is not REAL:
        return number if number.type is INT else Node.call("int", INT, number)
    if op in ("neg", "abs", "sign") and number.type is not REAL:
        return Node.call(f"{op}_i", INT, number)
    if op in ("neg", "abs", "sign", "sqrt", "floor", "ceil", "trunc", "rint"):
        return Node.call(f"{op}_r", REAL, as_real(number))
    return Node.call(op, REAL, as_real(number))


def is_missing(node: Node) -> Node:
    """Return the node that is true where the column is missing, and never missing itself."""
    if node.type in (STRING, UUID):
        needle: Any = b"" if node.type is STRING else (0, 0)
        sign = Node("sign", INT, node.layout, vecs=(_held(node),), value=needle)
        return Node.call("missing_i", BOOL, sign)
    return Node.call(f"missing_{node.kind}", BOOL, node)


def fill_missing(node: Node, value: Operand) -> Node:
    """Return the node with `value` where the column is missing (numbers, truth values, times, levels)."""
    if node.type is ENUM:
        return _fill_level(node, value)
    node, value = _aligned(node, value)
    if node.type is TIME and not isinstance(value, Node):
        other = _time_constant(value)
    else:
        other = _number(value, "fill_missing")
    if node.type is BOOL and other.type is BOOL:
        return Node.call("fill_i", BOOL, node, other)
    if TIME in (node.type, other.type) and node.type is not other.type:
        raise UserError(f"a column of type {node.type} cannot be filled with {other.type}; fill it with its own type")
    if REAL in (node.type, other.type):
        return Node.call("fill_r", REAL, as_real(node), as_real(other))
    return Node.call("fill_i", node.type if node.type is TIME else INT, node, other)


def as_real(node: Node) -> Node:
    """Return the node in reals."""
    if node.type is REAL:
        return node
    if node.op == "const":
        return Node.constant(float(node.value), REAL)
    return Node.call("real", REAL, node)


def milliseconds(value: Any) -> int | float:
    """Return a point in time as milliseconds since 1970 UTC; one without zone is taken as UTC."""
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise UserError(f"{value!r} is no time; write it as in '2013-01-31' or '2013-01-31T12:30:00'") from None
    if isinstance(value, np.datetime64):
        ns = value.astype("datetime64[us]").astype(np.int64).item()
        return _exact(ns)
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.UTC)
        return _exact((value - EPOCH) // datetime.timedelta(microseconds=1))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise UserError(f"{value!r} is no time; give a datetime, a date, an ISO text or milliseconds since 1970 UTC")


def _exact(microseconds: int) -> int | float:
    return microseconds // 1000 if microseconds % 1000 == 0 else microseconds / 1000


def _time_constant(value: Any) -> Node:
    found = milliseconds(_plain(value))
    if not isinstance(found, int):
        raise UserError(f"{value!r} is no whole millisecond, which a time column counts; round it first")
    return Node.constant(found, TIME)


def _aligned(left: Operand, right: Operand) -> tuple[Operand, Operand]:
    """Return both with one layout: the right column is cut anew when it is cut differently."""
    if not (isinstance(left, Node) and isinstance(right, Node)):
        return left, right
    if left.layout is None or right.layout is None or right.layout.same_rows(left.layout):
        return left, right
    if left.layout.n_rows != right.layout.n_rows:
        raise UserError(
            f"columns of {left.layout.n_rows:,} and {right.layout.n_rows:,} rows cannot be combined row by row; "
            "both must have the same number"
        )
    return left, Node.of_vec(rechunk(evaluate(right), left.layout))


def _plain(value: Any) -> Any:
    """Return a NumPy scalar as Python's (times keep NumPy's)."""
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64 | np.timedelta64):
        return value.item()
    return value


def _number(operand: Operand, op: str) -> Node:
    """Return an operand of arithmetic as a node of type int, real, bool or time."""
    operand = _plain(operand)
    symbol = _SYMBOLS.get(op, op)
    if isinstance(operand, Node):
        if operand.type in NUMERIC or operand.type is TIME:
            return operand
        way = "compare it" if operand.type is UUID else "astype('int') or astype('real') where its texts are numbers"
        raise UserError(f"{symbol} needs numbers, and a column of type {operand.type} has none; {way}")
    if isinstance(operand, bool):
        return Node.constant(int(operand), BOOL)
    if isinstance(operand, int):
        if abs(operand) > INT_MAX:
            raise UserError(f"{operand} exceeds 64 bits, which int columns hold; write it as a float")
        return Node.constant(operand, INT)
    if isinstance(operand, float):
        return Node.constant(operand, REAL)
    if isinstance(operand, datetime.timedelta | np.timedelta64):
        return Node.constant(_span(operand), INT)
    if isinstance(operand, datetime.date | np.datetime64):
        return _time_constant(operand)
    raise UserError(f"{symbol} needs numbers or columns, not {operand!r}")


def _span(value: Any) -> int:
    if isinstance(value, np.timedelta64):
        value = value.astype("timedelta64[us]").item()
    us = value // datetime.timedelta(microseconds=1)
    if us % 1000:
        raise UserError(f"{value!r} is no whole number of milliseconds, which time columns count; round it first")
    return int(us // 1000)


def _time_arithmetic(op: str, a: Node, b: Node) -> Node:
    if op in ("min", "max") and a.type is b.type:
        return Node.call(f"{op}_i", TIME, a, b)
    if op == "sub" and a.type is b.type:
        return Node.call("sub_i", INT, a, b)
    if op == "add" and INT in (a.type, b.type):
        return Node.call("add_i", TIME, a, b)
    if op == "sub" and b.type is INT:
        return Node.call("sub_i", TIME, a, b)
    raise UserError(
        f"{a.type} {_SYMBOLS.get(op, op)} {b.type} has no meaning; "
        "time - time gives milliseconds, and time +- whole milliseconds (or a timedelta) gives time"
    )


def _power(a: Node, b: Node) -> Node:
    """Return a ** b; exact products for whole powers, a call of NumPy's power otherwise."""
    if b.op == "const" and a.op != "const" and float(b.value).is_integer() and 0 <= b.value <= 1024:
        k = int(b.value)
        if a.type is not REAL and b.type is not REAL:
            return _int_power(Node.call("int", INT, a), k)
        if k == 2:
            return Node.call("mul_r", REAL, as_real(a), as_real(a))
    return Node.call("power", REAL, as_real(a), as_real(b))


def _int_power(base: Node, k: int) -> Node:
    """Square and multiply from the highest bit: no intermediate result exceeds the last one."""
    if k == 0:
        return Node.call("add_i", INT, Node.call("mul_i", INT, base, Node.constant(0, INT)), Node.constant(1, INT))
    result = base
    for bit in bin(k)[3:]:
        result = Node.call("mul_i", INT, result, result)
        if bit == "1":
            result = Node.call("mul_i", INT, result, base)
    return result


def _compare_number(op: str, left: Node, value: Any) -> Node:
    if isinstance(value, bool):
        value = int(value)
    if not isinstance(value, int | float):
        raise UserError(f"a column of type {left.type} cannot be compared with {value!r}; give a number")
    if left.type is REAL:
        return _compare_real(op, left, value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and abs(value) > INT_MAX:
        value = math.inf if value > 0 else -math.inf
    if isinstance(value, int):
        return Node.call(f"{op}_i", BOOL, left, Node.constant(value, INT))
    # A value between two integers, or beyond all: ints rounded to floats stay on their side of it.
    return Node.call(f"{op}_r", BOOL, as_real(left), Node.constant(value, REAL))


def _compare_real(op: str, left: Node, value: int | float) -> Node:
    try:
        near = float(value)
    except OverflowError:
        near = math.inf if value > 0 else -math.inf
    if isinstance(value, float) or (math.isfinite(near) and int(near) == value):
        return Node.call(f"{op}_r", BOOL, left, Node.constant(near, REAL))
    # An integer between two floats: equal to none, and above exactly those up to the lower one.
    if op in ("eq", "ne"):
        return Node.call("ne_r" if op == "eq" else "eq_r", BOOL, left, left)
    lower = near if near < value else math.nextafter(near, -math.inf)
    return Node.call("le_r" if op in ("lt", "le") else "gt_r", BOOL, left, Node.constant(lower, REAL))


def _compare_level(op: str, left: Node, value: Any) -> Node:
    """Compare an enum with a text: codes are in the order of their levels."""
    if not isinstance(value, str):
        raise UserError(f"an enum column is compared with a text, one of its levels, not with {value!r}")
    domain = left.domain or ()
    low, high = bisect_left(domain, value), bisect_right(domain, value)
    if op in ("eq", "ne"):
        return Node.call(f"{op}_i", BOOL, left, Node.constant(low if high > low else -1, INT))
    bound = {"lt": ("lt", low), "le": ("lt", high), "gt": ("ge", high), "ge": ("ge", low)}[op]
    return Node.call(f"{bound[0]}_i", BOOL, left, Node.constant(bound[1], INT))


def _compare_columns(op: str, left: Node, right: Node) -> Node:
    numbers = (*NUMERIC, TIME)
    if left.type in numbers and right.type in numbers:
        if REAL in (left.type, right.type):
            return Node.call(f"{op}_r", BOOL, as_real(left), as_real(right))
        return Node.call(f"{op}_i", BOOL, left, right)
    if left.type is ENUM and right.type is ENUM:
        domain, tables = unite([left.domain or (), right.domain or ()])
        return Node.call(f"{op}_i", BOOL, *(_recoded(n, domain, t) for n, t in zip((left, right), tables, strict=True)))
    if {left.type, right.type} <= {ENUM, STRING}:
        a, b = (converted(evaluate(each), STRING, "column") for each in (left, right))
        return _sign(op, Node.of_vec(a), Node.of_vec(b))
    if left.type is right.type:
        return _sign(op, left, right)
    raise UserError(f"{left.type} {_SYMBOLS[op]} {right.type} has no meaning; make both one type with astype()")


def _recoded(node: Node, domain: tuple[str, ...], table: Any) -> Node:
    if node.domain == domain:
        return node
    return Node("recode", ENUM, node.layout, vecs=(_held(node),), value=table, domain=domain)


def _fill_level(node: Node, value: Any) -> Node:
    if not isinstance(value, str):
        raise UserError(f"an enum column is filled with a text, not with {value!r}")
    domain, (table, _) = unite([node.domain or (), (value,)])
    level = Node.constant(domain.index(value), INT)
    return Node.call("fill_i", ENUM, _recoded(node, domain, table), level, domain=domain)


def _needle(type: VecType, value: Any, op: str) -> Any:
    if type is STRING:
        if not isinstance(value, str):
            raise UserError(f"a string column is compared with a text, not with {value!r} ({_SYMBOLS[op]})")
        return value.encode()
    try:
        number = value.int if isinstance(value, uuid.UUID) else uuid.UUID(value).int
    except (ValueError, AttributeError, TypeError):
        raise UserError(f"{value!r} is no UUID; give a uuid.UUID or its text of 32 hexadecimal digits") from None
    return (number >> 64, number & (2**64 - 1))


def _sign(op: str, left: Node, right: Node | None = None, needle: Any = None) -> Node:
    vecs = (_held(left),) if right is None else (_held(left), _held(right))
    sign = Node("sign", INT, left.layout, vecs=vecs, value=needle)
    return Node.call(f"{op}_i", BOOL, sign, Node.constant(0, INT))


def _held(node: Node) -> Any:
    """Return the column of a node that reads one as it is held."""
    return evaluate(node)
