"""The text of a woven loop: codec fragments around the rewritten body of the user's function.

    def woven(leaves, first, base, scratch, decoder, [outs,] istate, fstate, *arrays, *inputs):
        for leaf:
            scalars of the leaf's state -> local variables
            for chunk of the leaf:
                for row of the chunk:          (or: for tile: decode; for row of the tile)
                    columns' values; `continue` when one is missing
                    the user's statements
            local variables -> state

What hydroscope itself hands over are addresses (all but the user's own arrays): arrays as
arguments, and each of their items, are what compiling takes longest for.

One call does a run of leaves, so Python costs nothing per chunk and the GIL is free
meanwhile. A leaf's state lives in registers across its chunks; leaves are merged afterwards,
in an order that depends on nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from hydroscope.codecs.table import Codec
from hydroscope.weave.branchless import DEAD
from hydroscope.weave.fragments import (
    FILL,
    INNER,
    N_PRESENT,
    ROWS,
    SLOT,
    TILE_ROWS,
    ColumnFlags,
    ColumnLines,
    column_lines,
    tile_lines,
)
from hydroscope.weave.names import Names, NotWoven, parse
from hydroscope.weave.recipe import Recipe
from hydroscope.weave.rewrite import Body, rewrite_map

__all__ = ["SPARSE_ALONE", "Draft", "Woven", "draft", "weave"]

_INTRINSICS = """
    as_bool as_f64 as_i64 bits_to_f64 call_decoder decimal fused is_nan load_bit load_crumb load_f32 load_f64
    load_i64 load_u8 load_u16 load_u32 narrow pick store_f64 store_i64 tiny
""".split()  # noqa: SIM905 (a word list reads better)


SPARSE_ALONE = (Codec.SPARSE,)
"""One sparse column: a body that `repeats` sees the rows that are there, and one of all the others."""


@dataclass(frozen=True)
class Draft:
    """A rewritten function, before it is known for which codecs; and the loops made of it so far."""

    body: Body
    header: str
    names: Names
    file: str
    woven: dict[tuple[Any, ...], Woven] = field(default_factory=dict)
    plans: dict[tuple[Any, ...], Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Woven:
    """The text of one loop.

    Attributes
    ----------
    text : str
        The generated module; defines `woven`.
    user_lines : tuple of (int, int)
        (line of `text`, line of the user's file) where known.
    tiled : bool
        Whether columns are decoded to tiles first.
    """

    text: str
    user_lines: tuple[tuple[int, int], ...]
    tiled: bool

    def user_line(self, message: str) -> int:
        """Return the user's line for the last generated line that a compiler's message names."""
        at = [int(found) for found in re.findall(r'hydroscope_woven|woven[^"]*", line (\d+)', message) if found]
        origin = dict(self.user_lines)
        return next((origin[line] for line in reversed(at) if origin.get(line)), 0)


DRAFTS_KEPT = 256
_drafts: dict[tuple[Any, ...], Draft] = {}


def draft(recipe: Recipe) -> Draft:
    """Rewrite the recipe's function; NotWoven when it cannot be compiled.

    Cost: about 2 ms; microseconds when it was done before and no global name changed.
    """
    key = (
        recipe.owner,
        recipe.function,
        recipe.fields,
        tuple(recipe.inputs),
        recipe.families,
        recipe.skipna,
        recipe.returns,
    )
    known = _drafts.get(key)
    if known is not None and known.names.unchanged():
        return known
    made = _drafts[key] = _draft(recipe)
    while len(_drafts) > DRAFTS_KEPT:
        _drafts.pop(next(iter(_drafts)), None)
    return made


def _draft(recipe: Recipe) -> Draft:
    for family, name in zip(recipe.families, recipe.column_names, strict=True):
        if family not in ("int", "real"):
            raise NotWoven(f"column {name!r} is a {family} column; only numbers, enums and times can be compiled")
    parsed = parse(recipe.function)
    names = Names()
    body = rewrite_map(parsed, recipe, names)
    header = "from hydroscope.weave.compiler import helper as _hs_helper\n_hs_nan = float('nan')\n" + names.text()
    return Draft(body, header, names, parsed.file)


def weave(recipe: Recipe, made: Draft, codecs: tuple[Codec, ...] | None, flags: tuple[ColumnFlags, ...]) -> Woven:
    """Return the loop for one tuple of codecs, or (None) over tiles."""
    known = made.woven.get((codecs, flags))
    if known is None:
        known = made.woven[codecs, flags] = _weave(recipe, made, codecs, flags)
    return known


def _weave(recipe: Recipe, made: Draft, codecs: tuple[Codec, ...] | None, flags: tuple[ColumnFlags, ...]) -> Woven:
    columns = [
        tile_lines(k, family, flags[k])
        if codecs in (None, SPARSE_ALONE)
        else column_lines(k, codecs[k], family, flags[k], made.body.multiplies)
        for k, family in enumerate(recipe.families)
    ]
    pen = _Pen(made.header)
    names = [f"_hs_a_{field.name}s" for field in recipe.arrays]
    names += [f"_hs_i_{name}" for name in made.body.inputs] + list(made.names.arrays)
    outs = ", _hs_outs" if recipe.returns else ""
    fixed = f"_hs_leaves, _hs_first, _hs_base, _hs_scratch, _hs_decoder{outs}, _hs_istate, _hs_fstate"
    pen.write(0, f"def woven({', '.join([fixed, *names])}):")
    pen.write(1, "for _hs_leaf in range(_hs_leaves):")
    _load_state(pen, recipe)
    pen.write(2, "for _hs_c in range(_hs_load_i64(_hs_first, _hs_leaf), _hs_load_i64(_hs_first, _hs_leaf + 1)):")
    pen.write(3, f"_hs_at = _hs_base + _hs_c * {8 * SLOT * len(recipe.families)}")
    pen.write(3, f"_hs_n = _hs_load_i64(_hs_at, {ROWS})")
    for k in range(n_outs := len(recipe.returns)):
        pen.write(3, f"_hs_o{k} = _hs_load_i64(_hs_outs, _hs_c * {n_outs} + {k})")
    for column in columns:
        pen.write(3, *column.chunk)
    if codecs == SPARSE_ALONE:
        pen.write(3, f"_hs_m = _hs_load_i64(_hs_at, {N_PRESENT})")
        depth = _tile_loop(pen, "_hs_m", [INNER])  # the rows that the chunk holds: those of its inner chunk
    elif codecs is None:
        depth = _tile_loop(pen, "_hs_n", [SLOT * k for k in range(len(recipe.families))])
    else:
        pen.write(3, "for _hs_i in range(_hs_n):")
        depth = 4
    _row(pen, depth, recipe, made.body, columns)
    pen.body(depth, made.body)
    if codecs == SPARSE_ALONE:
        _absent_rows(pen, recipe, made.body)
    _store_state(pen, recipe)
    pen.lines[0] = pen.imports()
    return Woven("\n".join(pen.lines) + "\n", tuple(pen.origin), codecs in (None, SPARSE_ALONE))


class _Pen:
    """Collects lines and remembers which of them are the user's."""

    def __init__(self, header: str) -> None:
        self.lines = ["", *header.rstrip("\n").split("\n")]  # the first line is kept for the imports
        self.origin: list[tuple[int, int]] = []

    def write(self, depth: int, *lines: str) -> None:
        self.lines += ["    " * depth + line for line in lines]

    def imports(self) -> str:
        """Return the first line: the intrinsics that are used."""
        text = "\n".join(self.lines)
        names = [f"{name} as _hs_{name}" for name in _INTRINSICS if f"_hs_{name}(" in text]
        return f"from hydroscope.weave.intrinsics import {', '.join(names)}" if names else "# no intrinsics"

    def body(self, depth: int, body: Body) -> None:
        for line, origin in zip(body.lines, body.user_lines, strict=True):
            self.write(depth, line)
            self.origin.append((len(self.lines), origin))


def _load_state(pen: _Pen, recipe: Recipe) -> None:
    """Write the leaf's outputs into local variables, by address: an array's item takes ten times as long to compile."""
    if recipe.integers:
        pen.write(2, f"_hs_is = _hs_istate + _hs_leaf * {8 * len(recipe.integers)}")
    if recipe.floats:
        pen.write(2, f"_hs_fs = _hs_fstate + _hs_leaf * {8 * len(recipe.floats)}")
    for k, each in enumerate(recipe.integers):
        test = " != 0" if each.kind == "bool" else ""
        pen.write(2, f"_hs_s_{each.name} = _hs_load_i64(_hs_is, {k}){test}")
    for k, each in enumerate(recipe.floats):
        pen.write(2, f"_hs_s_{each.name} = _hs_load_f64(_hs_fs, {k})")
    for each in recipe.arrays:
        pen.write(2, f"_hs_a_{each.name} = _hs_a_{each.name}s[_hs_leaf]")


def _store_state(pen: _Pen, recipe: Recipe) -> None:
    for k, each in enumerate(recipe.integers):
        pen.write(2, f"_hs_store_i64(_hs_is, {k}, _hs_as_i64(_hs_s_{each.name}))")
    for k, each in enumerate(recipe.floats):
        pen.write(2, f"_hs_store_f64(_hs_fs, {k}, _hs_s_{each.name})")


def _tile_loop(pen: _Pen, n_rows: str, words: list[int]) -> int:
    """Write the loop over tiles of chunks that are described from these words on, one a column."""
    pen.write(3, f"for _hs_tile in range(0, {n_rows}, {TILE_ROWS}):")
    pen.write(4, f"_hs_rows = min({TILE_ROWS}, {n_rows} - _hs_tile)")
    for k, word in enumerate(words):
        pen.write(4, f"_hs_call_decoder(_hs_decoder, _hs_at + {8 * word}, _hs_tile, _hs_rows, _hs_T{k})")
    pen.write(4, "for _hs_j in range(_hs_rows):")
    pen.write(5, "_hs_i = _hs_tile + _hs_j")
    return 5


def _absent_rows(pen: _Pen, recipe: Recipe, body: Body) -> None:
    """Write what the rows add that a sparse chunk does not hold: as many times what one zero adds."""
    zero = "0" if recipe.families[0] == "int" else "0.0"
    scalars = [(each.name, "0") for each in recipe.integers if each.kind != "bool"] + [
        (each.name, "0.0") for each in recipe.floats
    ]
    pen.write(3, f"if _hs_n > _hs_m and _hs_load_i64(_hs_at, {FILL}) == 0:")
    for name, nothing in scalars:
        pen.write(4, f"_hs_b_{name} = _hs_s_{name}", f"_hs_s_{name} = {nothing}")
    pen.write(4, f"{DEAD} = False", f"{body.parameters[0]} = {zero}")
    pen.body(4, body)
    for name, _ in scalars:
        pen.write(4, f"_hs_s_{name} = _hs_b_{name} + (_hs_n - _hs_m) * _hs_s_{name}")


def _row(pen: _Pen, depth: int, recipe: Recipe, body: Body, columns: list[ColumnLines]) -> None:
    """Write the values of a row into the user's parameters."""
    for column in columns:
        pen.write(depth, *column.row)
    tests = [f"({column.missing})" for column in columns if column.missing]
    if body.branchless:
        pen.write(depth, f"{DEAD} = {' | '.join(tests) or False}")
    elif recipe.skipna and tests:
        pen.write(depth, f"if {' | '.join(tests)}:", "    continue")
    values = [_value(k, family, columns[k], recipe.skipna) for k, family in enumerate(recipe.families)]
    plain = [name for name in body.parameters if not name.startswith("*")]
    for name, value in zip(plain, values, strict=False):
        pen.write(depth, f"{name} = {value}")
    if len(plain) < len(body.parameters):
        rest = values[len(plain) :]
        if recipe.skipna and len(set(recipe.families[len(plain) :])) > 1:
            rest = [f"float({value})" for value in rest]  # one type, so that the tuple can be looped over
        pen.write(depth, f"{body.parameters[-1][1:]} = ({''.join(value + ', ' for value in rest)})")


def _value(k: int, family: str, column: ColumnLines, skipna: bool) -> str:
    if skipna:
        return f"_hs_v{k}"
    value = f"float(_hs_v{k})" if family == "int" else f"_hs_v{k}"
    return f"(_hs_nan if {column.missing} else {value})" if column.missing else value
