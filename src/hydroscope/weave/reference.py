"""Tasks run by Python itself over decoded values: the specification of what woven loops do.

Also what runs when a function cannot be compiled, and what finds the failing row when a
compiled loop raised.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.decode import decode_int, decode_real
from hydroscope.codecs.text import decode_text, decode_uuid
from hydroscope.ground.errors import HydroscopeError, UserError
from hydroscope.ground.limits import INT_MISSING
from hydroscope.node import jobs
from hydroscope.weave.failure import MapError, where_in
from hydroscope.weave.recipe import Family, Kind, Recipe, State, bind, unbind

__all__ = ["run_chunks", "run_rows"]

CHECK_ROWS = 4096
"""Rows between two looks at whether the job was cancelled."""

Arrays = list[npt.NDArray[Any]]


def run_rows(recipe: Recipe, leaf: Sequence[Sequence[Chunk]], first_row: int, state: State) -> tuple[State, Arrays]:
    """Call the row function for every row of a leaf, in order.

    Parameters
    ----------
    leaf : sequence of sequence of Chunk
        For each column, its chunks.
    first_row : int
        Row of the frame where the leaf begins; for messages.
    state : State
        Where the leaf starts from.

    Returns
    -------
    state : State
    outs : list of ndarray
        New columns: int64 (INT_MISSING) or float64 (NaN). Cost: a few us a row.
    """
    columns = [_decoded(family, chunks) for family, chunks in zip(recipe.families, leaf, strict=True)]
    n_rows = len(columns[0][0]) if columns else 0
    actor = bind(recipe, state)
    function = _with_lenient_math(recipe.function)
    values: list[list[Any]] = [[None] * n_rows for _ in recipe.returns]
    live = _live(recipe, columns, n_rows)
    rows = zip(
        *(_given(family, column, live, recipe.skipna) for family, column in zip(recipe.families, columns, strict=True)),
        strict=True,
    )
    with np.errstate(all="ignore"):
        for count, (i, row) in enumerate(zip(live.tolist(), rows, strict=True)):
            if count % CHECK_ROWS == 0:
                jobs.check()
                _expect_kinds(recipe, actor)
            try:
                returned = function(actor, *row)
                if recipe.returns:
                    _keep(recipe, returned, values, i)
            except HydroscopeError:
                raise
            except Exception as error:
                raise _failure(recipe, function, error, first_row + i, row) from error
        _expect_kinds(recipe, actor)
    return unbind(recipe, actor), [_out(kind, each) for kind, each in zip(recipe.returns, values, strict=True)]


def run_chunks(recipe: Recipe, leaf: Sequence[Sequence[Chunk]], first_row: int, state: State) -> tuple[State, Arrays]:
    """Call the chunk function for every chunk of a leaf, with arrays of the rows that count.

    With `skipna` the arrays hold the rows without a missing value; without it all rows,
    integers as float64, NaN where missing. New columns are arrays as long as those given.
    """
    actor = bind(recipe, state)
    outs: list[Arrays] = [[] for _ in recipe.returns]
    at = first_row
    for chunks in zip(*leaf, strict=True):
        jobs.check()
        columns = [_decoded(family, [chunk]) for family, chunk in zip(recipe.families, chunks, strict=True)]
        live = np.ones(chunks[0].n_rows, dtype=np.bool_)
        if recipe.skipna:
            for _, missing in columns:
                live &= ~missing
        arrays = [
            _array(family, column, live, recipe.skipna) for family, column in zip(recipe.families, columns, strict=True)
        ]
        try:
            with np.errstate(all="ignore"):
                returned = recipe.function(actor, *arrays)
                _expect_kinds(recipe, actor)
            for k, part in enumerate(_parts(recipe, returned)):
                outs[k].append(_scattered(recipe, recipe.returns[k], part, live))
        except HydroscopeError:
            raise
        except Exception as error:
            cause = f"{type(error).__name__}: {error}, in the chunk of rows {at:,} to {at + len(live) - 1:,}"
            code = recipe.function.__code__
            raise MapError(recipe.name, cause, where_in(code, error.__traceback__)) from error
        at += len(live)
    return unbind(recipe, actor), [np.concatenate(each) for each in outs]


def _decoded(family: Family, chunks: Sequence[Chunk]) -> tuple[Any, npt.NDArray[np.bool_]]:
    """Return a column's values and which of them are missing."""
    if family == "int":
        ints = np.concatenate([decode_int(chunk) for chunk in chunks])
        return ints, ints == INT_MISSING
    if family == "real":
        reals = np.concatenate([decode_real(chunk) for chunk in chunks])
        return reals, np.isnan(reals)
    values: list[Any] = []
    for chunk in chunks:
        values += _strings(chunk) if family == "string" else _uuids(chunk)
    return values, np.array([value is None for value in values], dtype=np.bool_)


def _strings(chunk: Chunk) -> list[str | None]:
    offsets, data, valid = decode_text(chunk)
    text, ends = data.tobytes(), offsets.tolist()
    return [text[a:b].decode() if valid is None or valid[i] else None for i, (a, b) in enumerate(pairwise(ends))]


def _uuids(chunk: Chunk) -> list[UUID | None]:
    words, valid = decode_uuid(chunk)
    pairs = words.reshape(-1, 2).tolist()
    return [UUID(int=(high << 64) | low) if valid is None or valid[i] else None for i, (high, low) in enumerate(pairs)]


def _live(recipe: Recipe, columns: Sequence[tuple[Any, npt.NDArray[np.bool_]]], n_rows: int) -> npt.NDArray[np.int64]:
    """Return the rows that the function is called for."""
    skipped = np.zeros(n_rows, dtype=np.bool_)
    if recipe.skipna:
        for _, missing in columns:
            skipped |= missing
    return np.flatnonzero(~skipped)


def _given(
    family: Family, column: tuple[Any, npt.NDArray[np.bool_]], live: npt.NDArray[np.int64], skipna: bool
) -> Sequence[Any]:
    """Return a column's values as the function gets them: NumPy scalars, or strings."""
    values, missing = column
    if family not in ("int", "real"):
        return [values[i] for i in live.tolist()]
    if family == "int" and not skipna:
        values = np.where(missing, np.nan, values.astype(np.float64))
    return values[live]  # type: ignore[no-any-return]


def _array(
    family: Family, column: tuple[Any, npt.NDArray[np.bool_]], live: npt.NDArray[np.bool_], skipna: bool
) -> npt.NDArray[Any]:
    values, missing = column
    if family not in ("int", "real"):
        return np.array(values, dtype=object)[live]
    array = np.asarray(values)
    if not skipna:
        return np.where(missing, np.nan, array) if family == "int" else array
    return array if live.all() else array[live]


def _keep(recipe: Recipe, returned: Any, values: list[list[Any]], i: int) -> None:
    """Take in what the function returned for row i; None is missing."""
    for k, value in enumerate(_parts(recipe, returned)):
        if value is not None:
            values[k][i] = _checked(recipe.returns[k], value)


def _parts(recipe: Recipe, returned: Any) -> Sequence[Any]:
    n = len(recipe.returns)
    if n == 0:
        return ()
    if returned is None:
        return (None,) * n
    if n == 1:
        return (returned,)
    if not isinstance(returned, tuple) or len(returned) != n:
        raise TypeError(f"it must return a tuple of {n} values, and returned {returned!r:.80}")
    return returned


def _checked(kind: Kind, value: Any) -> Any:
    """Return a value that fits the kind; a float is never cut to an int."""
    fits = {
        "float": isinstance(value, (float, int, np.floating, np.integer, np.bool_)),
        "int": isinstance(value, (int, np.integer, np.bool_)),
        "bool": isinstance(value, (bool, np.bool_)),
    }[kind]
    if not fits:
        raise TypeError(f"{kind} expected, got {type(value).__name__} {value!r:.80}")
    return value


def _out(kind: Kind, values: list[Any]) -> npt.NDArray[Any]:
    if kind == "float":
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return np.array([INT_MISSING if value is None else int(value) for value in values], dtype=np.int64)


def _scattered(recipe: Recipe, kind: Kind, part: Any, live: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return a new column's values for all rows of a chunk, from those of the live rows."""
    out = np.full(len(live), np.nan) if kind == "float" else np.full(len(live), INT_MISSING)
    if part is None:
        return out
    array = np.asarray(part)
    if array.shape != (int(live.sum()),):
        raise ValueError(f"it must return one value a row: {int(live.sum())}, and returned shape {array.shape}")
    allowed = {"float": "fiub", "int": "iub", "bool": "b"}[kind]
    if array.dtype.kind not in allowed:
        raise TypeError(f"{kind} expected, got an array of {array.dtype}")
    out[live] = array
    return out


def _expect_kinds(recipe: Recipe, actor: Any) -> None:
    """Refuse a value that an output cannot hold, as the compiler does."""
    values = actor.__dict__
    for field in recipe.integers:
        value = values[field.name]
        if not isinstance(value, (np.bool_, bool) if field.kind == "bool" else (np.integer, int, np.bool_)):
            raise UserError(
                f"{recipe.name} puts {value!r:.80} into {field.name!r}, which is declared {field.kind}; "
                f"declare it `{field.name}: float = 0.0`, or convert the value"
            )


def _failure(
    recipe: Recipe, function: Callable[..., Any], error: Exception, row_index: int, row: Sequence[Any]
) -> MapError:
    values = tuple((name, _printed(value)) for name, value in zip(recipe.column_names, row, strict=True))
    code = function.__code__
    cause = f"{type(error).__name__}: {error}"
    return MapError(recipe.name, cause, where_in(code, error.__traceback__), row_index, values)


def _printed(value: Any) -> str:
    return f"{value.item() if isinstance(value, np.generic) else value!r:.80}"


class _LenientMath:
    """`math` as compiled code has it: no domain errors, but NaN and infinity."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(math, name)
        if not callable(value):
            return value

        def lenient(*args: Any) -> Any:
            try:
                return value(*args)
            except ValueError:
                return math.nan
            except OverflowError:
                return math.inf

        return lenient


def _with_lenient_math(function: Callable[..., Any]) -> Callable[..., Any]:
    if not isinstance(function, types.FunctionType):
        return function
    space = function.__globals__
    named = [name for name in function.__code__.co_names if space.get(name) is math]
    if not named:
        return function
    own = {**space, **dict.fromkeys(named, _LenientMath())}
    return types.FunctionType(function.__code__, own, function.__name__, function.__defaults__, function.__closure__)
