"""The body of a user's `map`, rewritten so that it can stand inside a loop over rows.

    def map(self, x, y):                       for _hs_i in range(_hs_n):
        if x < self.low:                           ... x and y of row _hs_i ...
            return                       ->        if x < _hs_i_low:
        self.n += 1                                    continue
        self.hist[int(y)] += 1                     _hs_s_n = _hs_as_i64(_hs_s_n + 1)
                                                   _hs_a_hist[int(y)] += 1

Fields of `self` become local variables: of all ways to hold a task's state this compiles
fastest (about 100 ms against 250-330 ms for tuples, structs or closures) and loses nothing
at run time. `return` becomes `continue`; inside the user's own loops it becomes a flag and
`break`s, which compiles in half the time of a second function.

What has no meaning there raises: `UserError` when the function is wrong (writes to an
input, to an output that was not declared), `NotWoven` when it merely cannot be compiled.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from typing import TypeVar

from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.weave.branchless import DEAD, only_sums, reads
from hydroscope.weave.names import FreeNames, Names, NotWoven, Parsed, bound_names
from hydroscope.weave.recipe import Field, Kind, Recipe

__all__ = ["Body", "rewrite_map"]

N = TypeVar("N", bound=ast.AST)

DONE = "_hs_done"
CASTS: dict[Kind, str] = {"int": "_hs_as_i64", "float": "_hs_as_f64", "bool": "_hs_as_bool"}


@dataclass(frozen=True)
class Body:
    """A rewritten function.

    Attributes
    ----------
    lines : tuple of str
        Statements, not indented.
    user_lines : tuple of int
        For each of `lines`, the line of the user's file it comes from.
    parameters : tuple of str
        The variables that hold the row's values; a single name that begins with `*` holds all.
    inputs : tuple of str
        Names of inputs that the body uses.
    branchless : bool
        Whether it may run for rows that do not count: it then adds 0 where `_hs_dead`.
    multiplies : bool
        Whether it has a product or a power.
    repeats : bool
        Whether equal rows of its one column add equal amounts, so that many can be done at once.
    """

    lines: tuple[str, ...]
    user_lines: tuple[int, ...]
    parameters: tuple[str, ...]
    inputs: tuple[str, ...]
    branchless: bool
    multiplies: bool
    repeats: bool


def rewrite_map(parsed: Parsed, recipe: Recipe, names: Names) -> Body:
    """Rewrite a row function; its free names are added to `names`."""
    tree = copy.deepcopy(parsed.tree)
    arguments = tree.args
    if arguments.kwonlyargs or arguments.kwarg or arguments.defaults or arguments.posonlyargs:
        raise NotWoven("its parameters are not plain names", tree.lineno)
    self_name = arguments.args[0].arg
    parameters = tuple(each.arg for each in arguments.args[1:])
    if arguments.vararg is not None:
        parameters += ("*" + arguments.vararg.arg,)
    statements = _without_docstring(tree.body)
    _refuse_unassigned(statements, bound_names(tree), {each.lstrip("*") for each in parameters} | {self_name})
    fields = _Fields(parsed, recipe, names, bound_names(tree), self_name)
    multiplies = any(isinstance(each, (ast.Mult, ast.Pow)) for statement in statements for each in ast.walk(statement))
    scalars = {field.name for field in (*recipe.integers, *recipe.floats) if field.kind != "bool"}
    fields.branchless = recipe.skipna and not recipe.returns and only_sums(statements, self_name, scalars)
    one = len(parameters) == 1 and arguments.vararg is None
    repeats = fields.branchless and one and not reads(statements, self_name, scalars)
    statements = [each for statement in statements for each in _listed(fields.visit(statement))]
    returns = _Returns(recipe)
    statements = returns.replace(statements, loops=0)
    if returns.flagged:
        statements.insert(0, _parse(f"{DONE} = False", tree)[0])
    lines, user_lines = _unparse(statements)
    inputs = tuple(sorted(fields.inputs))
    return Body(lines, user_lines, parameters, inputs, fields.branchless, multiplies, repeats)


class _Fields(FreeNames):
    """Replaces `self.name` by local variables, and free names by generated ones."""

    def __init__(self, parsed: Parsed, recipe: Recipe, names: Names, bound: set[str], self_name: str) -> None:
        super().__init__(parsed, names, bound)
        self.recipe = recipe
        self.self_name = self_name
        self.by_name: dict[str, Field] = {field.name: field for field in recipe.fields}
        self.inputs: set[str] = set()
        self.branchless = False

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == self.self_name:
            raise NotWoven(f"{node.id!r} itself is passed on or rebound; only its fields can be used", node.lineno)
        return super().visit_Name(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not (isinstance(node.value, ast.Name) and node.value.id == self.self_name):
            return super().visit_Attribute(node)
        field = self.by_name.get(node.attr)
        if isinstance(node.ctx, ast.Load):
            return ast.copy_location(ast.Name(self._loaded(node, field), ast.Load()), node)
        raise NotWoven(f"field {node.attr!r} is assigned in an unusual place", node.lineno)

    def _loaded(self, node: ast.Attribute, field: Field | None) -> str:
        if field is not None:
            return _variable(field)
        if node.attr in self.recipe.inputs:
            self.inputs.add(node.attr)
            return f"_hs_i_{node.attr}"
        if hasattr(self.recipe.owner, node.attr):
            raise NotWoven(f"self.{node.attr} is a method or property; a plain function can be called", node.lineno)
        known = [*self.by_name, *self.recipe.inputs]
        raise unknown_name("input or output", node.attr, known, self.recipe.owner.__name__)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        if not any(self._field_of(target) for each in node.targets for target in _flat(each)):
            return self.generic_visit(node)
        if len(node.targets) > 1:
            raise NotWoven("one statement assigns to several targets", node.lineno)
        target = node.targets[0]
        if not isinstance(target, (ast.Tuple, ast.List)):
            return self._store(target, self.visit(node.value), node)
        if not isinstance(node.value, (ast.Tuple, ast.List)) or len(node.value.elts) != len(target.elts):
            raise NotWoven("fields are unpacked from something that is not a tuple written out", node.lineno)
        first: list[ast.stmt] = []
        second: list[ast.stmt] = []
        for k, (each, value) in enumerate(zip(target.elts, node.value.elts, strict=True)):
            name = f"_hs_t{k}"
            first.append(_at(ast.Assign([ast.Name(name, ast.Store())], self.visit(value)), node))
            part = _at(ast.Name(name, ast.Load()), node)
            if self._field_of(each):
                second.append(self._store(each, part, node))
            else:
                second.append(_at(ast.Assign([self.visit(each)], part), node))
        return first + second

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        target = node.target
        if not self._field_of(target):
            return self.generic_visit(node)
        assert isinstance(target, ast.Attribute)
        field = self._writable(target)
        if field.shape is not None:  # hist += row, in place
            node.target = _at(ast.Name(_variable(field), ast.Store()), target)
            node.value = self.visit(node.value)
            return node
        before = _at(ast.Name(_variable(field), ast.Load()), node)
        value = self.visit(node.value)
        if self.branchless:
            value = ast.Call(ast.Name("_hs_pick", ast.Load()), [ast.Name(DEAD, ast.Load()), value], [])
        return self._store(target, _at(ast.BinOp(before, node.op, value), node), node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if self._field_of(node.target):
            raise NotWoven("a field is annotated inside the function; annotate it in the class", node.lineno)
        return super().visit_AnnAssign(node)

    def _field_of(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == self.self_name

    def _store(self, target: ast.expr, value: ast.expr, node: ast.stmt) -> ast.stmt:
        assert isinstance(target, ast.Attribute)
        field = self._writable(target)
        if field.shape is not None:
            raise UserError(
                f"{self.recipe.name} replaces the array {target.attr!r} in line {node.lineno} of {self.parsed.file}; "
                f"write into it: self.{target.attr}[:] = ..."
            )
        call = ast.Call(ast.Name(CASTS[field.kind], ast.Load()), [value], [])
        return _at(ast.Assign([ast.Name(_variable(field), ast.Store())], call), node)

    def _writable(self, target: ast.Attribute) -> Field:
        field = self.by_name.get(target.attr)
        if field is not None:
            return field
        where = f"in line {target.lineno} of {self.parsed.file}"
        if target.attr in self.recipe.inputs:
            raise UserError(
                f"{self.recipe.name} writes to the input {target.attr!r} {where}; inputs are shared by all tasks and "
                "read-only: give it a default in the class to make it an output"
            )
        raise unknown_name("output", target.attr, self.by_name, self.recipe.owner.__name__)


class _Returns:
    """Replaces `return` by stores of the new columns and `continue` (or a flag and `break`)."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.flagged = False

    def replace(self, statements: list[ast.stmt], loops: int) -> list[ast.stmt]:
        done: list[ast.stmt] = []
        for statement in statements:
            if isinstance(statement, ast.Return):
                done += self._leave(statement, loops)
                break  # what follows a return is never reached
            done.append(statement)
            if isinstance(statement, ast.If):
                statement.body = self.replace(statement.body, loops)
                statement.orelse = self.replace(statement.orelse, loops)
            elif isinstance(statement, (ast.For, ast.While)):
                if any(isinstance(each, ast.Return) for each in _own_nodes(statement)):
                    self.flagged = True
                    statement.body = self.replace(statement.body, loops + 1)
                    statement.orelse = self.replace(statement.orelse, loops)
                    done += _parse(f"if {DONE}: " + ("break" if loops else "continue"), statement)
            elif any(isinstance(each, ast.Return) for each in _own_nodes(statement)):
                raise NotWoven(f"it returns from inside {type(statement).__name__.lower()!r}", statement.lineno)
        return done

    def _leave(self, node: ast.Return, loops: int) -> list[ast.stmt]:
        value = node.value
        if isinstance(value, ast.IfExp) and (_is_none(value.body) or _is_none(value.orelse)):
            yes, no = (self._leave(_at(ast.Return(each), node), loops) for each in (value.body, value.orelse))
            return [_at(ast.If(value.test, yes, no), node)]
        stores = [] if value is None or _is_none(value) else self._stores(value, node)
        leave = f"{DONE} = True\nbreak" if loops else "continue"
        return stores + _parse(leave, node)

    def _stores(self, value: ast.expr, node: ast.stmt) -> list[ast.stmt]:
        kinds = self.recipe.returns
        if not kinds:
            raise UserError(
                f"{self.recipe.name} returns a value (line {node.lineno}) but does not say of what kind: "
                "write -> float, -> int, -> bool, -> tuple[...] or -> Keep after its parameters"
            )
        if len(kinds) == 1:
            return self._store(0, value, node)
        if isinstance(value, ast.Tuple):
            if len(value.elts) != len(kinds):
                raise UserError(
                    f"{self.recipe.name} returns {len(value.elts)} values in line {node.lineno}; it says {len(kinds)}"
                )
            pairs = [(k, each) for k, each in enumerate(value.elts) if not _is_none(each)]
            return [statement for k, each in pairs for statement in self._store(k, each, node)]
        whole = _at(ast.Assign([ast.Name("_hs_t", ast.Store())], value), node)
        parts = [ast.parse(f"_hs_t[{k}]", mode="eval").body for k in range(len(kinds))]
        return [whole, *(statement for k, part in enumerate(parts) for statement in self._store(k, part, node))]

    def _store(self, k: int, value: ast.expr, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(value, ast.IfExp) and (_is_none(value.body) or _is_none(value.orelse)):
            yes, no = ([] if _is_none(each) else self._store(k, each, node) for each in (value.body, value.orelse))
            return [_at(ast.If(value.test, yes or _parse("pass", node), no), node)]
        kind = self.recipe.returns[k]
        text = f"{CASTS[kind]}(_hs_value)"
        text = (
            f"_hs_store_f64(_hs_o{k}, _hs_i, {text})" if kind == "float" else f"_hs_store_i64(_hs_o{k}, _hs_i, {text})"
        )
        (statement,) = _parse(text, node)
        return [_Substitute(value).visit(statement)]


class _Substitute(ast.NodeTransformer):
    def __init__(self, value: ast.expr) -> None:
        self.value = value

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.value if node.id == "_hs_value" else node


def _variable(field: Field) -> str:
    return f"_hs_s_{field.name}" if field.shape is None else f"_hs_a_{field.name}"


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _flat(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, (ast.Tuple, ast.List)) else [node]


def _listed(node: ast.AST | list[ast.stmt]) -> list[ast.stmt]:
    return node if isinstance(node, list) else [node]  # type: ignore[list-item]


def _at(node: N, place: ast.AST) -> N:
    return ast.fix_missing_locations(ast.copy_location(node, place))


def _parse(text: str, place: ast.AST) -> list[ast.stmt]:
    statements = ast.parse(text).body
    for statement in statements:
        for node in ast.walk(statement):
            if hasattr(node, "lineno"):
                ast.copy_location(node, place)
    return statements


def _own_nodes(statement: ast.AST) -> list[ast.AST]:
    """Return the nodes of a statement that belong to this function, not to one nested in it."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, (ast.FunctionDef, ast.Lambda)):
            found.append(child)
            found += _own_nodes(child)
    return found


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body


def _unparse(statements: list[ast.stmt]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the text and, for each of its lines, the user's line.

    The text parses into the same tree as the one it was made from, node by node, so walking
    both tells where each generated line comes from.
    """
    module = ast.Module(statements, [])
    text = ast.unparse(ast.fix_missing_locations(module))
    lines = text.split("\n") if text else []
    origin = [0] * len(lines)
    for made, own in zip(ast.walk(ast.parse(text)), ast.walk(module), strict=True):
        if isinstance(made, (ast.stmt, ast.expr)) and origin[made.lineno - 1] == 0:
            origin[made.lineno - 1] = getattr(own, "lineno", 0)
    return tuple(lines), tuple(origin)


def _refuse_unassigned(statements: list[ast.stmt], bound: set[str], given: set[str]) -> None:
    """Refuse a local variable that may be read before it is assigned.

    In the loop it would silently hold the value of the row before; Python raises.
    """
    _Assigned(bound).block(statements, set(given))


class _Assigned:
    """Follows which local variables are assigned for sure (a may-return branch counts as all)."""

    def __init__(self, bound: set[str]) -> None:
        self.bound = bound

    def block(self, statements: list[ast.stmt], sure: set[str]) -> set[str] | None:
        """Return the variables assigned after the statements; None if their end is never reached."""
        now: set[str] | None = sure
        for statement in statements:
            if now is None:
                break
            now = self._statement(statement, now)
        return now

    def _statement(self, node: ast.stmt, sure: set[str]) -> set[str] | None:
        if isinstance(node, ast.If):
            self._reads(node.test, sure)
            return _both(self.block(node.body, set(sure)), self.block(node.orelse, set(sure)))
        if isinstance(node, (ast.For, ast.While)):
            self._reads(node.iter if isinstance(node, ast.For) else node.test, sure)
            inside = sure | (_stored(node.target) if isinstance(node, ast.For) else set())
            self.block(node.body, inside)
            self.block(node.orelse, set(sure))
            return sure
        if isinstance(node, ast.FunctionDef):
            return sure | {node.name}
        self._reads(node, sure)
        if isinstance(node, (ast.Return, ast.Raise, ast.Continue, ast.Break)):
            return None
        return sure | _stored(node)

    def _reads(self, node: ast.AST, sure: set[str]) -> None:
        if isinstance(node, (ast.Lambda, ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)):
            return  # has variables of its own
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self._name(node.target, sure)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            self._name(node, sure)
        for child in ast.iter_child_nodes(node):
            self._reads(child, sure)

    def _name(self, node: ast.Name, sure: set[str]) -> None:
        if node.id in self.bound and node.id not in sure:
            raise NotWoven(f"the variable {node.id!r} may be read before it is assigned", node.lineno)


def _both(left: set[str] | None, right: set[str] | None) -> set[str] | None:
    if left is None or right is None:
        return right if left is None else left
    return left & right


def _stored(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
