"""What the free names of a user's function stand for, as text of a generated module.

A row function may use `math`, NumPy, builtins, constants, arrays and functions of its
module or of the functions around it. Constants become text, functions become compiled
helpers (recursively), arrays become arguments. Everything a loop depends on is therefore in
its generated source, which is what its key in the cache is made of.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import math
import textwrap
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Names", "NotWoven", "Parsed", "parse"]

PREFIX = "_hs_"
"""Of every generated name; a user's function may not use it."""

MODULES = {"math": "_hs_math", "numpy": "_hs_numpy"}


class NotWoven(Exception):
    """The function cannot be compiled: why, and the line in the user's file (0: unknown)."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True)
class Parsed:
    """A user's function as a tree whose line numbers are those of its file."""

    function: Callable[..., Any]
    tree: ast.FunctionDef
    file: str

    def free_value(self, name: str) -> Any:
        """Return what a free name stands for, KeyError when it stands for nothing."""
        code = self.function.__code__
        closure = self.function.__closure__
        if closure and name in code.co_freevars:
            try:
                return closure[code.co_freevars.index(name)].cell_contents
            except ValueError:
                raise KeyError(name) from None
        space = self.function.__globals__
        return space[name] if name in space else getattr(builtins, name)


def parse(function: Callable[..., Any]) -> Parsed:
    """Return the tree of a function's source; NotWoven when there is none."""
    file = function.__code__.co_filename
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        raise NotWoven("its source cannot be read (it was typed into a plain prompt, or made by exec)") from None
    try:
        module = ast.parse(textwrap.dedent("".join(lines)))
    except SyntaxError:
        raise NotWoven("its source cannot be taken out of its file", first) from None
    tree = module.body[0] if module.body else None
    if not isinstance(tree, ast.FunctionDef):
        raise NotWoven("it is not a plain function written with def", first)
    ast.increment_lineno(tree, first - 1)
    return Parsed(function, tree, file)


@dataclass
class Names:
    """The free names met so far. Filled while functions are rewritten; owned by one weaving.

    `met` holds how each was looked up and what was found, so that a later run can tell
    whether anything changed.
    """

    constants: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    helpers: dict[str, str] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    met: list[tuple[Callable[[], Any], Any]] = field(default_factory=list)
    _helper_names: dict[int, str] = field(default_factory=dict)
    _keep: list[Any] = field(default_factory=list)

    def unchanged(self) -> bool:
        """Tell whether every free name still stands for what it did. Cost: under 1 us a name."""
        try:
            return all(_same(look(), found) for look, found in self.met)
        except (KeyError, AttributeError):
            return False

    def text(self) -> str:
        """Return the text of the generated module that defines them."""
        parts = [f"import {name} as {MODULES[name]}" for name in sorted(self.modules)]
        parts += [f"{name} = {value}" for name, value in self.constants.items()]
        parts += self.helpers.values()
        return "\n".join(parts) + "\n"

    def refer(self, value: Any, name: str, line: int, arrays: bool) -> str | None:
        """Return the generated name for a value; None when it is a builtin that stays as it is."""
        if isinstance(value, types.ModuleType) and value.__name__ in MODULES:
            self.modules.add(value.__name__)
            return MODULES[value.__name__]
        if getattr(builtins, name, None) is value and name.isidentifier():
            return None
        known = self._library(value)
        if known is not None:
            return known
        literal = _literal(value)
        if literal is not None:
            return self._constant(name, literal)
        if isinstance(value, np.ndarray):
            return self._array(value, name, line, arrays)
        value = getattr(value, "py_func", value)  # a function that its user compiled with Numba
        if isinstance(value, types.FunctionType):
            return self._helper(value, line)
        kind = "module" if isinstance(value, types.ModuleType) else type(value).__name__
        raise NotWoven(f"{name!r} is a {kind}: numbers, tuples, arrays and plain functions can be compiled", line)

    def _library(self, value: Any) -> str | None:
        """Return `math.f` or `numpy.f` for a function imported by its own name."""
        name = getattr(value, "__name__", None)
        for module in (math, np):
            if callable(value) and isinstance(name, str) and getattr(module, name, None) is value:
                self.modules.add(module.__name__)
                return f"{MODULES[module.__name__]}.{name}"
        return None

    def _constant(self, name: str, literal: str) -> str:
        base = f"{PREFIX}c_{_tame(name)}"
        unique, k = base, 0
        while self.constants.get(unique, literal) != literal:
            k += 1
            unique = f"{base}_{k}"
        self.constants[unique] = literal
        return unique

    def _array(self, value: npt.NDArray[Any], name: str, line: int, allowed: bool) -> str:
        if not allowed:
            raise NotWoven(f"array {name!r} is used inside a function that map calls: pass it as an argument", line)
        if value.dtype.kind not in "iufb":
            raise NotWoven(f"array {name!r} holds {value.dtype}, not numbers", line)
        for known, array in self.arrays.items():
            if array is value:
                return known
        unique = f"{PREFIX}g_{len(self.arrays)}_{_tame(name)}"
        self.arrays[unique] = value
        return unique

    def _helper(self, function: types.FunctionType, line: int) -> str:
        known = self._helper_names.get(id(function))
        if known is not None:
            return known
        unique = f"{PREFIX}h_{len(self._helper_names)}_{_tame(function.__name__)}"
        self._helper_names[id(function)] = unique
        self._keep.append(function)
        try:
            parsed = parse(function)
        except NotWoven as error:
            raise NotWoven(f"function {function.__name__!r}: {error.reason}", line) from None
        if function.__defaults__ or function.__kwdefaults__:
            for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
                if _literal(value) is None:
                    raise NotWoven(f"function {function.__name__!r} has a default that is not a number", line)
        tree = parsed.tree
        body = FreeNames(parsed, self, bound_names(tree), arrays=False)
        tree.body = [body.visit(statement) for statement in tree.body]
        tree.name = unique
        tree.returns = None
        tree.decorator_list = [ast.Name("_hs_helper", ast.Load())]
        _set_defaults(tree, function)
        for argument in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs):
            argument.annotation = None
        self.helpers[unique] = ast.unparse(ast.fix_missing_locations(tree))
        return unique


def _set_defaults(tree: ast.FunctionDef, function: types.FunctionType) -> None:
    tree.args.defaults = [_expression(value) for value in function.__defaults__ or ()]
    by_name = function.__kwdefaults__ or {}
    tree.args.kw_defaults = [
        _expression(by_name[argument.arg]) if argument.arg in by_name else None for argument in tree.args.kwonlyargs
    ]


def _expression(value: Any) -> ast.expr:
    text = _literal(value)
    assert text is not None
    return ast.parse(text, mode="eval").body


class FreeNames(ast.NodeTransformer):
    """Replaces the free names of one function by generated ones."""

    def __init__(self, parsed: Parsed, names: Names, bound: set[str], arrays: bool = True) -> None:
        self.parsed = parsed
        self.names = names
        self.bound = bound
        self.arrays = arrays

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id.startswith(PREFIX):
            raise NotWoven(f"the name {node.id!r} begins with {PREFIX!r}, which generated names do", node.lineno)
        if node.id in self.bound or not isinstance(node.ctx, ast.Load):
            return node
        return self._refer(node, self._value(node), node.id)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Replace `module.name` by what it stands for, unless the compiler knows the module."""
        root = node.value
        if isinstance(root, ast.Name) and isinstance(node.ctx, ast.Load) and root.id not in self.bound:
            owner = self._value(root)
            if isinstance(owner, types.ModuleType) and owner.__name__ not in MODULES:
                if not hasattr(owner, node.attr):
                    raise NotWoven(f"module {root.id!r} has no {node.attr!r}", node.lineno)
                value = getattr(owner, node.attr)
                self.names.met.append((partial(getattr, owner, node.attr), value))
                return self._refer(node, value, node.attr)
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Drop annotations of local variables: they may name anything."""
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return self.visit(ast.copy_location(ast.Assign([node.target], node.value), node))  # type: ignore[no-any-return]

    def _value(self, node: ast.Name) -> Any:
        look = partial(self.parsed.free_value, node.id)
        try:
            value = look()
        except (KeyError, AttributeError):
            raise NotWoven(f"the name {node.id!r} is not defined", node.lineno) from None
        self.names.met.append((look, value))
        return value

    def _refer(self, node: ast.expr, value: Any, name: str) -> ast.AST:
        text = self.names.refer(value, name, node.lineno, self.arrays)
        if text is None:
            return node
        return ast.copy_location(ast.parse(text, mode="eval").body, node)


def bound_names(tree: ast.FunctionDef) -> set[str]:
    """Return every name that is bound anywhere in a function (nested ones included)."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef) and node is not tree:
            bound.add(node.name)
        elif isinstance(node, (ast.Global, ast.Nonlocal, ast.Import, ast.ImportFrom, ast.Yield, ast.Await)):
            word = type(node).__name__.lower()
            raise NotWoven(f"it uses {word!r}, which cannot be compiled", getattr(node, "lineno", 0))
    return bound


def _same(now: Any, before: Any) -> bool:
    """Tell whether a name stands for the same: the same object, or a constant with the same text."""
    if now is before:
        return True
    text = _literal(now)
    return text is not None and text == _literal(before)


def _literal(value: Any) -> str | None:
    """Return Python text for a constant that the compiler freezes; None for anything else."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if -(2**63) <= value < 2**63 else None
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
    if isinstance(value, tuple):
        parts = [_literal(each) for each in value]
        return None if None in parts else "(" + "".join(f"{part}, " for part in parts) + ")"
    return None


def _tame(name: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name)
