"""Which functions may run for rows that do not count.

A row with a missing value is passed over by a branch, and a loop with such a branch is not
turned into vector instructions (a conditional sum of floats only under flags that would
change what NaN means). A function that does nothing but add expressions to scalar outputs
can do without: it runs for every row, and adds 0 where one does not count. A sum over a
column of bytes with gaps takes a third of the time then, and it no longer matters how many
gaps there are.

If besides no expression reads an output, what a row adds depends on its values alone: all
rows of one value add as many times what one of them adds. The rows that a sparse chunk does
not hold are then done at once.
"""

from __future__ import annotations

import ast
from typing import TypeGuard

__all__ = ["DEAD", "only_sums", "reads"]

DEAD = "_hs_dead"
"""The variable that tells whether the row at hand does not count."""

LARGEST_POWER = 8

_PLAIN = (ast.Constant, ast.Name, ast.Load, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub, ast.UAdd)
_COMPARED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)


def only_sums(statements: list[ast.stmt], self_name: str, scalars: set[str]) -> bool:
    """Tell whether statements only add to scalar fields of `self` and set local variables.

    Every expression must be arithmetic that neither raises nor takes long, whatever the
    values: those of rows with gaps are arbitrary.
    """
    return bool(statements) and all(_is_sum(each, self_name, scalars) for each in statements)


def reads(statements: list[ast.stmt], self_name: str, fields: set[str]) -> bool:
    """Tell whether an expression reads one of these fields of `self` (`self.n += 1` alone does not)."""
    return any(
        _is_field(node, self_name, fields) and isinstance(node.ctx, ast.Load)
        for statement in statements
        for node in ast.walk(statement)
    )


def _is_field(node: ast.AST, self_name: str, fields: set[str]) -> TypeGuard[ast.Attribute]:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == self_name
        and node.attr in fields
    )


def _is_sum(node: ast.stmt, self_name: str, scalars: set[str]) -> bool:
    if isinstance(node, ast.AugAssign):
        return (
            _is_field(node.target, self_name, scalars)
            and isinstance(node.op, (ast.Add, ast.Sub))
            and _is_plain(node.value)
        )
    if isinstance(node, ast.Assign):
        return len(node.targets) == 1 and isinstance(node.targets[0], ast.Name) and _is_plain(node.value)
    return False


def _is_plain(node: ast.expr) -> bool:
    return all(_is_plain_part(each) for each in _parts(node))


def _parts(node: ast.AST) -> list[ast.AST]:
    """Return an expression's nodes; of a power, and of a name with a dot, only what needs a look."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and _is_small(node.right):
        return _parts(node.left)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return []
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], _COMPARED):
        return [*_parts(node.left), *_parts(node.comparators[0])]
    return [node, *(part for child in ast.iter_child_nodes(node) for part in _parts(child))]


def _is_plain_part(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, (int, float))
    return isinstance(node, (*_PLAIN, ast.BinOp, ast.UnaryOp))


def _is_small(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and 0 <= node.value <= LARGEST_POWER
