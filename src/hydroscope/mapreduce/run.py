"""Running a task over columns: match them to parameters, plan loops, map leaves, merge.

Plan here, work there: whoever calls `do_all` decides which loops there are; the engine runs
`map_leaves` wherever it likes, with what it is told; the tree of `mapreduce.plan` merges.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, TypeVar

import numpy as np

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame.access import encode_leaf
from hydroscope.frame.frame import Frame
from hydroscope.frame.layout import Layout
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.errors import UserError
from hydroscope.ground.limits import REDUCE_FAN_IN
from hydroscope.mapreduce.declare import Outcome, outcome_of, parameters_of
from hydroscope.mapreduce.task import MapReduce
from hydroscope.node import jobs, ports
from hydroscope.weave import loop, reference
from hydroscope.weave.columns import Survey, survey
from hydroscope.weave.failure import MapError, place
from hydroscope.weave.names import NotWoven
from hydroscope.weave.notice import InterpretedWarning
from hydroscope.weave.recipe import Family, Kind, Recipe, State, bind, merge_stacked, merge_sums, start, unbind

__all__ = ["Matched", "map_leaves", "matched", "run_all", "surveyed"]

T = TypeVar("T", bound=MapReduce)

FAMILIES: dict[VecType, Family] = {
    VecType.INT: "int",
    VecType.BOOL: "int",
    VecType.ENUM: "int",
    VecType.TIME: "int",
    VecType.REAL: "real",
    VecType.STRING: "string",
    VecType.UUID: "uuid",
}
_NEW_TYPES: dict[Kind, VecType] = {"int": VecType.INT, "float": VecType.REAL, "bool": VecType.BOOL}

ITEMS_AT_LEAST = 8
"""An engine's item is a run of leaves as long as there are this many items: every hand-over
costs as much as a sum over some ten thousand rows."""

_told: set[object] = set()


@dataclass(frozen=True)
class Order:
    """What a worker has to know: shipped once."""

    recipe: Recipe
    loops: loop.Loops | None
    reduces: bool
    types: tuple[VecType, ...]


@dataclass(frozen=True)
class Matched:
    """A task together with the columns it was given.

    Attributes
    ----------
    frame : Frame or None
        The frame that was given, if it was one.
    vecs : tuple of Vec
        The columns in the order of the function's parameters.
    """

    recipe: Recipe
    outcome: Outcome
    frame: Frame | None
    vecs: tuple[Vec, ...]


def matched(task: MapReduce, columns: Sequence[Any]) -> Matched:
    """Match columns to the parameters of the task's function. Cost: microseconds."""
    function, chunked = _function(type(task))
    outcome = outcome_of(type(task).__name__, function)
    frame, names, vecs = _match(type(task).__name__, function, columns)
    recipe = Recipe(
        owner=type(task),
        function=function,
        fields=task._fields,
        inputs=_inputs(task),
        families=tuple(FAMILIES[vec.type] for vec in vecs),
        column_names=names,
        skipna=bool(type(task).skipna),
        returns=outcome.kinds,
        chunked=chunked,
    )
    return Matched(recipe, outcome, frame, vecs)


def run_all(task: T, columns: Sequence[Any]) -> T:
    """Run a task over columns; see `MapReduce.do_all`."""
    given = matched(task, columns)
    recipe, outcome, vecs = given.recipe, given.outcome, given.vecs
    layout = vecs[0].layout
    order = Order(recipe, None if recipe.chunked else _loops(recipe, vecs), _reduces(task), _types(outcome))
    try:
        state, leaves = _run(order, vecs, layout)
    except MapError as error:
        raise error.located(_source_of(layout, error.row)) from error.__cause__
    finished = _finished(task, recipe, state)
    if outcome.kinds:
        finished.__dict__["_frame"] = _frame(type(task), outcome, layout, leaves, given.frame)
    return finished


def map_leaves(order: Order, number: int, first_row: int, *chunks: tuple[Chunk, ...]) -> Any:
    """Map a run of leaves and merge their outputs: one item of the engine.

    Parameters
    ----------
    order : Order
    number, first_row : int
        Number of the first leaf, and the row of the frame where it begins.
    *chunks : tuple of Chunk
        The chunks of the first leaf's columns, then those of the second's, ...

    Returns
    -------
    State, or (State, chunks of the first new column, ...) when the map makes new columns.
    """
    recipe = order.recipe
    n_columns = len(recipe.families)
    leaves = [chunks[k : k + n_columns] for k in range(0, len(chunks), n_columns)]
    stacked, outs = _map(order, leaves, number, first_row)
    if not order.reduces:
        merged = merge_stacked(recipe, stacked)
    else:
        merged = reduce(partial(merge, order), ([part[k] for part in stacked] for k in range(len(leaves))))
    if not recipe.returns:
        return merged
    assert len(leaves) == 1
    bounds = np.cumsum([0] + [chunk.n_rows for chunk in leaves[0][0]], dtype=np.int64)
    return merged, *(encode_leaf(type, bounds, out) for type, out in zip(order.types, outs[0], strict=True))


def merge(order: Order, left: State, right: State) -> State:
    """Merge the outputs of later rows into those of earlier ones: by the user's reduce, or as sums."""
    recipe = order.recipe
    if not order.reduces:
        return merge_sums(recipe, left, right)
    actor, other = bind(recipe, left), bind(recipe, right)
    try:
        with np.errstate(all="ignore"):
            type(actor).reduce(actor, other)
    except Exception as error:
        raise _reduce_error(recipe, error) from error
    return unbind(recipe, actor)


def _map(order: Order, leaves: list[Any], number: int, first_row: int) -> tuple[State, list[Any]]:
    recipe = order.recipe
    if order.loops is not None:
        try:
            return loop.run(recipe, order.loops, leaves, number)
        except Exception as error:  # a compiled loop cannot say where it was: find the row
            _interpret(recipe, leaves, first_row)
            raise MapError(recipe.name, f"{type(error).__name__}: {error}") from error
    return _interpret(recipe, leaves, first_row)


def _interpret(recipe: Recipe, leaves: list[Any], first_row: int) -> tuple[State, list[Any]]:
    states, outs = [], []
    for leaf in leaves:
        begin = [part[0] for part in start(recipe, 1)]
        run = reference.run_chunks if recipe.chunked else reference.run_rows
        state, out = run(recipe, leaf, first_row, begin)
        states.append(state)
        outs.append(out)
        first_row += sum(chunk.n_rows for chunk in leaf[0])
    return [np.stack(parts) for parts in zip(*states, strict=True)], outs


def _run(order: Order, vecs: Sequence[Vec], layout: Layout) -> tuple[State, list[tuple[Any, ...]]]:
    """Map all leaves on the engine in use and merge; return the state and the new columns' leaves."""
    engine = ports.current()
    recipe = order.recipe
    n_leaves = len(layout.leaves)
    if n_leaves == 0:
        return [part[0] for part in start(recipe, 1)], [() for _ in recipe.returns]
    together = 1 if recipe.returns else _together(n_leaves)
    shipped = engine.put(order)
    items = []
    for first in range(0, n_leaves, together):
        run = range(first, min(first + together, n_leaves))
        handles = [vec.leaves[leaf] for leaf in run for vec in vecs]
        items.append((shipped, first, layout.leaf_rows(first)[0], *handles))
    n_returns = 1 + len(recipe.returns)
    mapped: list[Any] = list(engine.map(map_leaves, items, n_returns))
    jobs.check()
    states = [each[0] for each in mapped] if recipe.returns else mapped
    state = engine.reduce(partial(merge, order), states)
    return state, [tuple(each[1 + k] for each in mapped) for k in range(len(recipe.returns))]


def _together(n_leaves: int) -> int:
    """Return how many leaves make one item: 8 items at least, and no more than the tree merges in one go.

    It depends on the number of leaves alone, for it shapes the order in which they are merged.
    """
    together = 1
    while together < REDUCE_FAN_IN and 2 * together * ITEMS_AT_LEAST <= n_leaves:
        together *= 2
    return together


def _function(owner: type[MapReduce]) -> tuple[Any, bool]:
    row, chunk = getattr(owner, "map", None), getattr(owner, "map_chunk", None)
    if (row is None) == (chunk is None):
        has = "neither map nor map_chunk" if row is None else "both map and map_chunk"
        raise UserError(f"{owner.__name__} has {has}; write map(self, x) for rows or map_chunk(self, x) for arrays")
    return (row, False) if row is not None else (chunk, True)


def _match(owner: str, function: Any, columns: Sequence[Any]) -> tuple[Frame | None, tuple[str, ...], tuple[Vec, ...]]:
    """Return the frame (if one was given) and the columns in the order of the parameters."""
    given: list[tuple[str, Vec]] = []
    for each in columns:
        own = getattr(each, "vecs", None)
        if isinstance(own, dict):
            given += own.items()
        elif hasattr(each, "vec"):
            given.append((getattr(each, "name", None) or f"column{len(given)}", each.vec))
        else:
            raise UserError(
                f"do_all got a {type(each).__name__}; give a Frame or columns of one: hs.Frame(...) makes one"
            )
    frame = columns[0] if len(columns) == 1 and isinstance(columns[0], Frame) else None
    plain, any_more = parameters_of(function)
    by_name = dict(given)
    if plain and not any_more and len(by_name) == len(given) and all(name in by_name for name in plain):
        given = [(name, by_name[name]) for name in plain]
    elif len(given) < max(len(plain), 1) or (len(given) > len(plain) and not any_more):
        absent = [name for name in plain if name not in by_name]
        raise UserError(
            f"{owner}.{function.__name__} takes {', '.join(plain) or 'no columns'}; do_all got {len(given)} columns"
            + (f" and none called {absent[0]!r}" if absent else "")
            + ": give as many as it takes, in that order, or name its parameters after columns"
        )
    _expect_same_rows(given)
    return frame, tuple(name for name, _ in given), tuple(vec for _, vec in given)


def _expect_same_rows(given: Sequence[tuple[str, Vec]]) -> None:
    first_name, first = given[0]
    for name, vec in given[1:]:
        if vec.n_rows != first.n_rows:
            raise UserError(
                f"column {name!r} has {vec.n_rows:,} rows and {first_name!r} {first.n_rows:,}; "
                "a map needs columns of equal length"
            )
        if not vec.layout.same_rows(first.layout):
            raise UserError(
                f"columns {name!r} and {first_name!r} are cut into chunks at different rows; "
                "put them into one frame first"
            )


def _inputs(task: MapReduce) -> dict[str, Any]:
    declared = type(task)._declared
    return {**declared.constants, **{name: task.__dict__[name] for name in declared.inputs}}


def _reduces(task: MapReduce) -> bool:
    return hasattr(type(task), "reduce")


def _types(outcome: Outcome) -> tuple[VecType, ...]:
    return tuple(_NEW_TYPES[kind] for kind in outcome.kinds)


def _loops(recipe: Recipe, vecs: Sequence[Vec]) -> loop.Loops | None:
    """Return compiled loops; None, after saying so once, when the function cannot be compiled."""
    try:
        if not vecs[0].n_rows:  # nothing to run, but what is wrong with the function is said all the same
            loop.draft(recipe)
            return None
        return loop.prepare(recipe, [surveyed(vec) for vec in vecs])
    except NotWoven as error:
        _tell(recipe, error)
        return None


def surveyed(vec: Vec) -> Survey:
    """Look at all chunks of a column, once. Cost: about 1 us a chunk; on Ray a round of small tasks."""
    family = FAMILIES[vec.type]
    known: Survey | None = vec.remembered.get("codecs of leaves")
    if known is None:
        leaves = ()
        if family in ("int", "real"):  # no loop is woven over others
            engine = ports.current()
            handles: Any = engine.map(survey, [(family, leaf) for leaf in vec.leaves])
            leaves = tuple(engine.get(handles))
        known = vec.remembered["codecs of leaves"] = Survey(leaves)
    return known


def _tell(recipe: Recipe, error: NotWoven) -> None:
    code = recipe.function.__code__
    if code in _told:
        return
    _told.add(code)
    at = place(code.co_filename, error.line or code.co_firstlineno)
    warnings.warn(
        f"{recipe.name} runs interpreted, a few us a row: {error.reason}\n  at {at}",
        InterpretedWarning,
        stacklevel=2,
    )


def _finished(task: T, recipe: Recipe, state: State) -> T:
    """Return a task of the same class with the outputs; scalars as Python numbers."""
    finished = bind(recipe, state)
    values = finished.__dict__
    for name in recipe.inputs:
        if name not in task.__dict__:
            del values[name]  # a constant of the class
    values["_fields"], values["_frame"] = task._fields, None
    for field in recipe.fields:
        if field.shape is None:
            values[field.name] = values[field.name].item()
    return finished  # type: ignore[no-any-return]


def _frame(
    owner: type[MapReduce], outcome: Outcome, layout: Layout, leaves: Sequence[tuple[Any, ...]], frame: Frame | None
) -> Frame:
    n = len(outcome.kinds)
    names = tuple(owner.outputs) or tuple(f"out{k}" for k in range(n))
    if len(names) != n or len(set(names)) != n:
        raise UserError(f"{owner.__name__}.outputs is {names!r}; its map returns {n} values: give {n} different names")
    vecs = {name: Vec(type, layout, own) for name, type, own in zip(names, _types(outcome), leaves, strict=True)}
    made = Frame.from_vecs(vecs)
    if not outcome.keeps:
        return made
    if frame is None:
        raise UserError(f"{owner.__name__} chooses rows (-> Keep); give it one Frame: frame[['x', 'y']]")
    kept: Frame = frame[made[names[0]]]
    return kept


def _source_of(layout: Layout, row: int) -> str | None:
    """Return the file and line that a row was read from, where the layout knows (see `ingest.origin`)."""
    return layout.origin.locate(row) if layout.origin is not None and row >= 0 else None


def _reduce_error(recipe: Recipe, error: Exception) -> Exception:
    from hydroscope.weave.failure import where_in

    if isinstance(error, UserError):
        return error
    name = f"{recipe.owner.__name__}.reduce"
    code = recipe.owner.reduce.__code__  # type: ignore[attr-defined]
    return MapError(name, f"{type(error).__name__}: {error}", where_in(code, error.__traceback__))
