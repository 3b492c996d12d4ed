"""Which loops a task needs over given columns, and running them over leaves.

The choice is a pure function of the task and of all chunks' codecs, made once by whoever
starts the run: the same loops, hence the same bits, on any engine and any number of threads.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.table import Codec
from hydroscope.weave.columns import Book, LeafCodecs, address, common_flags, describe
from hydroscope.weave.compiler import LOOP_FLAGS, compile_source
from hydroscope.weave.fragments import SLOT
from hydroscope.weave.names import NotWoven
from hydroscope.weave.recipe import Recipe, State, start
from hydroscope.weave.source import TILE_ROWS, Woven, draft, weave

__all__ = ["MOST_FUSED", "Leaf", "Loops", "plan", "run", "try_out"]

MOST_FUSED = 4
"""Loops compiled for one task over one frame; what is left goes through tiles (about 100 ms each)."""

WORTH_FUSING = 8
"""Where there are too many, a tuple of codecs gets a loop of its own if it covers 1/8 of the rows."""

Leaf = Sequence[Sequence[Chunk]]
"""The chunks of one leaf, by column."""


@dataclass(frozen=True)
class Loops:
    """The loops of one run.

    Attributes
    ----------
    woven : tuple of Woven
    by_codecs : dict of tuple of Codec to int
        The loop for chunks in these codecs; for all others the last one (over tiles).
    arguments : tuple
        Inputs and global arrays, as the loops take them.
    """

    woven: tuple[Woven, ...]
    by_codecs: dict[tuple[Codec, ...], int]
    arguments: tuple[Any, ...]
    file: str


def plan(recipe: Recipe, columns: Sequence[Sequence[LeafCodecs]]) -> Loops:
    """Choose and write the loops for columns given by their leaves. Cost: milliseconds."""
    made = draft(recipe)
    rows: Counter[tuple[Codec, ...]] = Counter()
    tiled = False
    for leaf in zip(*columns, strict=True):
        for k, n in enumerate(leaf[0].rows):
            if all(column.fusable[k] for column in leaf):
                rows[tuple(column.codecs[k] for column in leaf)] += n
            else:
                tiled = True
    total = sum(n for leaf in columns[0] for n in leaf.rows) if columns else 0
    # Ties are broken by the codecs' numbers, so that the order is the same everywhere.
    order = sorted(rows, key=lambda codecs: (-rows[codecs], codecs))
    if len(order) > MOST_FUSED:
        order = [codecs for codecs in order[: MOST_FUSED - 1] if rows[codecs] * WORTH_FUSING >= total]
        tiled = True
    flags = tuple(common_flags(column) for column in columns)
    woven = [weave(recipe, made, codecs, flags) for codecs in order]
    if tiled or not woven:
        woven.append(weave(recipe, made, None, flags))
    arguments = tuple(_argument(name, recipe.inputs[name]) for name in made.body.inputs)
    arguments += tuple(_argument(name, array) for name, array in made.names.arrays.items())
    return Loops(tuple(woven), {codecs: k for k, codecs in enumerate(order)}, arguments, made.file)


def try_out(recipe: Recipe, loops: Loops) -> None:
    """Compile the loops (or find them on disk) by a call over no rows; NotWoven if that fails."""
    state = start(recipe, 0)
    words = np.empty((0, _width(recipe)), dtype=np.int64)
    for woven in loops.woven:
        try:
            _call(recipe, loops, woven, words, [0], state)
        except Exception as error:  # whatever the compiler raises: it has no base class of its own
            message = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
            raise NotWoven(_reason(message), woven.user_line(message)) from error


def run(
    recipe: Recipe, loops: Loops, leaves: Sequence[Leaf], books: Sequence[Book], numbers: Sequence[int]
) -> tuple[State, list[list[npt.NDArray[Any]]]]:
    """Run the loops over leaves.

    Parameters
    ----------
    leaves : sequence of Leaf
    books : sequence of Book
        For each column, its chunks' descriptions as far as they are known.
    numbers : sequence of int
        Of the leaves, in the books.

    Returns
    -------
    state : State
        Stacked: one leaf each along the first axis.
    outs : list of list of ndarray
        For each leaf its new columns, decoded: int64 (INT_MISSING) or float64 (NaN).
    """
    state = start(recipe, len(leaves))
    outs = [[_empty(kind, sum(c.n_rows for c in leaf[0])) for kind in recipe.returns] for leaf in leaves]
    tables = [
        describe(recipe.families, leaf, books, number, [address(out) for out in own])
        for leaf, number, own in zip(leaves, numbers, outs, strict=True)
    ]
    table = tables[0] if len(tables) == 1 else np.concatenate(tables)
    first = [0, *accumulate(len(leaf[0]) for leaf in leaves)]
    if len(loops.woven) == 1:
        _call(recipe, loops, loops.woven[0], table, first, state)
        return state, outs
    for k, leaf in enumerate(leaves):
        own_state = [part[k : k + 1] for part in state]
        for which, a, b in _runs(loops, leaf):
            _call(recipe, loops, loops.woven[which], table, [first[k] + a, first[k] + b], own_state)
    return state, outs


def _runs(loops: Loops, leaf: Leaf) -> list[tuple[int, int, int]]:
    """Return (loop, first chunk, last chunk + 1) for each run of chunks of one loop."""
    last = len(loops.woven) - 1
    found: list[tuple[int, int, int]] = []
    for at, chunks in enumerate(zip(*leaf, strict=True)):
        which = loops.by_codecs.get(tuple(chunk.codec for chunk in chunks), last)
        if found and found[-1][0] == which:
            found[-1] = (which, found[-1][1], at + 1)
        else:
            found.append((which, at, at + 1))
    return found


def _call(
    recipe: Recipe, loops: Loops, woven: Woven, table: npt.NDArray[np.int64], first: list[int], state: State
) -> None:
    scratch = np.empty(TILE_ROWS * len(recipe.families) if woven.tiled else 0, dtype=np.float64)
    compiled = _function(woven)
    compiled(
        table,
        np.array(first, dtype=np.int64),
        address(table),
        address(scratch),
        _decoder() if woven.tiled else 0,
        *state,
        *loops.arguments,
    )


@lru_cache(maxsize=256)
def _function(woven: Woven) -> Any:
    return compile_source("woven", woven.text, fastmath=LOOP_FLAGS, boundscheck=True)


def _decoder() -> int:
    from hydroscope.weave.tiles import decoder_address  # imports Numba

    return decoder_address()


def _width(recipe: Recipe) -> int:
    return SLOT * len(recipe.families) + len(recipe.returns)


def _empty(kind: str, n_rows: int) -> npt.NDArray[Any]:
    if kind == "float":
        return np.full(n_rows, np.nan)
    return np.full(n_rows, np.iinfo(np.int64).min)


def _argument(name: str, value: Any) -> Any:
    """Return an input as the compiled loop takes it; NotWoven for what it cannot take."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "iufb":
            raise NotWoven(f"the array {name!r} holds {value.dtype}, not numbers")
        own = np.ascontiguousarray(value)
        own = own.view() if own is value else own
        own.flags.writeable = False
        return own
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, tuple) and value:
        return tuple(_argument(name, each) for each in value)
    raise NotWoven(f"the input {name!r} is a {type(value).__name__}: numbers, arrays and tuples can be compiled")


def _reason(message: str) -> str:
    """Return the line of the compiler's message that says most."""
    lines = [line.strip() for line in message.split("\n")]
    telling = [
        line for line in lines if line and not re.match(r"Failed in|File |During:|>>>|-|There are|\^|This err", line)
    ]
    return (telling[0] if telling else "the compiler refused it")[:200]
