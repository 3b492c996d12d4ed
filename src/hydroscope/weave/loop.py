"""Which loops a task needs over given columns, and running them over leaves.

The choice is a pure function of the task and of all chunks' codecs, made once by whoever
starts the run: the same loops, hence the same bits, on any engine and any number of threads.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.table import Codec
from hydroscope.weave.columns import Survey, address, common_flags, describe
from hydroscope.weave.compiler import LOOP_FLAGS, compile_source
from hydroscope.weave.fragments import SLOT, TILE_BYTES
from hydroscope.weave.names import NotWoven
from hydroscope.weave.recipe import Recipe, State, start
from hydroscope.weave.source import SPARSE_ALONE, Draft, Woven, draft, weave

__all__ = ["MOST_FUSED", "Leaf", "Loops", "draft", "plan", "prepare", "run"]

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
    file : str
        Where the user's function is written.
    sheets : Sheets
        What calls over runs of leaves are made of, as far as it is known in this process.
    arguments : tuple
        Inputs and global arrays, as the loops take them.
    """

    woven: tuple[Woven, ...]
    by_codecs: dict[tuple[Codec, ...], int]
    file: str
    sheets: Sheets
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a loop: over leaves `leaf` .. `leaf_end`, whose chunks begin at `first`, which lies at `place`."""

    which: int
    leaf: int
    leaf_end: int
    first: npt.NDArray[np.int64]
    place: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """The chunks of a run of leaves as the loops read them, and the calls that cover them."""

    words: npt.NDArray[np.int64]
    base: int
    steps: tuple[Step, ...]


class Sheets(dict[tuple[int, int], Sheet]):
    """Sheets by (number of the first leaf, how many): what one run wrote down, for the next one.

    They hold addresses, which hold for as long as the columns live in this process: a plan is
    found by its columns' surveys, and a column keeps its chunks. Elsewhere chunks come and go
    with each task, so there (`kept` is False) nothing is written down, and a book travels empty.
    Worth it because describing a chunk takes 3 us of the interpreter's lock, a quarter of the
    time in which a sum over a chunk of bytes is done.
    """

    def __init__(self, kept: bool = True) -> None:
        super().__init__()
        self.kept = kept

    def __reduce__(self) -> tuple[type[Sheets], tuple[bool]]:
        return Sheets, (False,)


PLANS_KEPT = 64


def prepare(recipe: Recipe, columns: Sequence[Survey]) -> Loops:
    """Return compiled loops for columns; NotWoven when the function cannot be compiled.

    Cost: the first time milliseconds, and a compilation (or its copy on disk) for each loop;
    a few microseconds when the same was asked before and no global name changed.
    """
    made = draft(recipe)
    arguments = tuple(_argument(name, recipe.inputs[name]) for name in made.body.inputs)
    arguments += tuple(_argument(name, array) for name, array in made.names.arrays.items())
    key = (tuple(columns), tuple(_kind(each) for each in arguments))
    known = made.plans.get(key)
    if known is None:
        try:
            known = replace(plan(recipe, made, columns), arguments=arguments)
            try_out(recipe, known)
        except NotWoven as error:
            known = NotWoven(error.reason, error.line)  # without the compiler's frames
        made.plans[key] = known
        while len(made.plans) > PLANS_KEPT:
            made.plans.pop(next(iter(made.plans)), None)
    if isinstance(known, NotWoven):
        raise NotWoven(known.reason, known.line)
    return replace(known, arguments=arguments)


def plan(recipe: Recipe, made: Draft, columns: Sequence[Survey]) -> Loops:
    """Choose and write the loops for columns given by their leaves. Cost: milliseconds."""
    rows: Counter[tuple[Codec, ...]] = Counter()
    tiled = False
    for leaf in zip(*(column.leaves for column in columns), strict=True):
        for k, n in enumerate(leaf[0].rows):
            codecs = tuple(column.codecs[k] for column in leaf)
            if all(column.fusable[k] for column in leaf) or (made.body.repeats and codecs == SPARSE_ALONE):
                rows[codecs] += n
            else:
                tiled = True
    total = sum(n for leaf in columns[0].leaves for n in leaf.rows) if columns else 0
    # Ties are broken by the codecs' numbers, so that the order is the same everywhere.
    order = sorted(rows, key=lambda codecs: (-rows[codecs], codecs))
    if len(order) > MOST_FUSED:
        order = [codecs for codecs in order[: MOST_FUSED - 1] if rows[codecs] * WORTH_FUSING >= total]
        tiled = True
    flags = tuple(common_flags(column.leaves) for column in columns)
    woven = [weave(recipe, made, codecs, flags) for codecs in order]
    if tiled or not woven:
        woven.append(weave(recipe, made, None, flags))
    return Loops(tuple(woven), {codecs: k for k, codecs in enumerate(order)}, made.file, Sheets())


def try_out(recipe: Recipe, loops: Loops) -> None:
    """Compile the loops (or find them on disk) by a call over no rows; NotWoven if that fails."""
    state = start(recipe, 0)
    words = np.empty((0, SLOT * len(recipe.families)), dtype=np.int64)
    sheet = Sheet(words, 0, ())
    outs = [np.empty((0, len(recipe.returns)), dtype=np.int64)] if recipe.returns else []
    for which, woven in enumerate(loops.woven):
        try:
            _call(recipe, loops, sheet, Step(which, 0, 0, words[:, 0], 0), outs, state)
        except Exception as error:  # whatever the compiler raises: it has no base class of its own
            message = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
            raise NotWoven(_reason(message), woven.user_line(message)) from error


def run(
    recipe: Recipe, loops: Loops, leaves: Sequence[Leaf], number: int
) -> tuple[State, list[list[npt.NDArray[Any]]]]:
    """Run the loops over leaves.

    Parameters
    ----------
    leaves : sequence of Leaf
        Neighbours.
    number : int
        Of the first leaf in its frame.

    Returns
    -------
    state : State
        Stacked: one leaf each along the first axis.
    outs : list of list of ndarray
        For each leaf its new columns, decoded: int64 (INT_MISSING) or float64 (NaN).
    """
    n = len(leaves)
    sheet = loops.sheets.get((number, n))
    if sheet is None:
        sheet = _sheet(recipe, loops, leaves)
        if loops.sheets.kept:
            loops.sheets[number, n] = sheet
    state = start(recipe, n)
    outs: list[list[npt.NDArray[Any]]] = []
    places = []
    if recipe.returns:
        outs = [[_empty(kind, sum(c.n_rows for c in leaf[0])) for kind in recipe.returns] for leaf in leaves]
        places.append(np.concatenate([_places(leaf, own) for leaf, own in zip(leaves, outs, strict=True)]))
    for step in sheet.steps:
        if step.leaf_end - step.leaf == n:
            _call(recipe, loops, sheet, step, places, state)
        else:
            _call(recipe, loops, sheet, step, places, [part[step.leaf : step.leaf_end] for part in state])
    return state, outs


def _sheet(recipe: Recipe, loops: Loops, leaves: Sequence[Leaf]) -> Sheet:
    words = np.concatenate([describe(recipe.families, leaf) for leaf in leaves])
    steps: list[tuple[int, int, int, list[int]]] = []
    at = 0
    for k, leaf in enumerate(leaves):
        runs = _runs(loops, leaf)
        for which, a, b in runs:
            last = steps[-1] if steps else None
            if last and len(runs) == 1 and last[0] == which and last[2] == k and last[3][-1] == at + a:
                steps[-1] = (which, last[1], k + 1, [*last[3], at + b])  # whole leaves of one loop: one call
            else:
                steps.append((which, k, k + 1, [at + a, at + b]))
        at += len(leaf[0])
    made = []
    for which, a, b, chunks in steps:
        first = np.array(chunks, dtype=np.int64)
        made.append(Step(which, a, b, first, address(first)))
    return Sheet(words, address(words), tuple(made))


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
    recipe: Recipe, loops: Loops, sheet: Sheet, step: Step, outs: list[npt.NDArray[np.int64]], state: State
) -> None:
    woven = loops.woven[step.which]
    scratch, decoder = 0, 0
    if woven.tiled:
        tiles = np.empty(TILE_BYTES * len(recipe.families), dtype=np.uint8)
        scratch, decoder = address(tiles), _decoder()
    # Addresses: what they belong to is held by this frame until the loop has returned.
    _function(woven.text)(
        step.leaf_end - step.leaf,
        step.place,
        sheet.base,
        scratch,
        decoder,
        *(address(each) for each in outs),
        address(state[0]),
        address(state[1]),
        *state[2:],
        *loops.arguments,
    )


@lru_cache(maxsize=256)
def _function(text: str) -> Any:
    return compile_source("woven", text, fastmath=LOOP_FLAGS, boundscheck=True)


def _places(leaf: Leaf, outs: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """Return the addresses of the new columns' first rows, one row a chunk."""
    rows = np.array([chunk.n_rows for chunk in leaf[0]], dtype=np.int64)
    return np.column_stack([8 * (np.cumsum(rows) - rows) + address(out) for out in outs])


def _decoder() -> int:
    from hydroscope.weave.tiles import decoder_address  # imports Numba

    return decoder_address()


def _empty(kind: str, n_rows: int) -> npt.NDArray[Any]:
    if kind == "float":
        return np.full(n_rows, np.nan)
    return np.full(n_rows, np.iinfo(np.int64).min)


def _kind(argument: Any) -> Any:
    """Return what the compiler tells arguments apart by."""
    if isinstance(argument, np.ndarray):
        return argument.dtype, argument.ndim
    if isinstance(argument, tuple):
        return tuple(_kind(each) for each in argument)
    return type(argument)


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
