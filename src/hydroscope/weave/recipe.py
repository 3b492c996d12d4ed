"""What a task is to the weaver: a function, its inputs, its outputs, its columns.

The weaver knows neither frames nor the class that users write; this is what the task room
hands down. A *state* is a task's outputs as arrays: all int and bool scalars in one int64
array, all float scalars in one float64 array, and the array outputs one by one. Compiled
loops read and write it, merges add it up, and `bind`/`unbind` carry it onto the object
that interpreted functions see as `self`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Family", "Field", "Kind", "Recipe", "State", "bind", "merge_stacked", "merge_sums", "start", "unbind"]

Kind = Literal["int", "float", "bool"]
Family = Literal["int", "real", "string", "uuid"]
State = list[npt.NDArray[Any]]

DTYPES: dict[Kind, type[np.generic]] = {"int": np.int64, "float": np.float64, "bool": np.bool_}


@dataclass(frozen=True)
class Field:
    """One output of a task: a scalar (`shape` None) or an array, and the value it starts from."""

    name: str
    kind: Kind
    start: float | int | bool
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Recipe:
    """A task ready to be run over columns.

    Attributes
    ----------
    owner : type
        The user's class; its instances are what interpreted functions see as `self`.
    function : callable
        The user's row function (`chunked` False) or chunk function (`chunked` True).
    fields : tuple of Field
        Outputs, in the order they were declared.
    inputs : mapping
        Read-only values by name, class constants included.
    families : tuple of Family
        What each column decodes to, in the order of the function's parameters.
    column_names : tuple of str
        For messages.
    skipna : bool
        Whether rows with a missing value are left out.
    returns : tuple of Kind
        New columns that the function returns; empty when it returns nothing.
    """

    owner: type
    function: Callable[..., Any]
    fields: tuple[Field, ...]
    inputs: Mapping[str, Any]
    families: tuple[Family, ...]
    column_names: tuple[str, ...]
    skipna: bool = True
    returns: tuple[Kind, ...] = ()
    chunked: bool = False

    @property
    def name(self) -> str:
        """Name of the function as messages give it."""
        return f"{self.owner.__name__}.{self.function.__name__}"

    @cached_property
    def integers(self) -> tuple[Field, ...]:
        """Scalar int and bool fields: the int64 array of a state."""
        return tuple(f for f in self.fields if f.shape is None and f.kind != "float")

    @cached_property
    def flags(self) -> tuple[int, ...]:
        """Which of `integers` are bools."""
        return tuple(k for k, field in enumerate(self.integers) if field.kind == "bool")

    @cached_property
    def floats(self) -> tuple[Field, ...]:
        """Scalar float fields: the float64 array of a state."""
        return tuple(f for f in self.fields if f.shape is None and f.kind == "float")

    @cached_property
    def arrays(self) -> tuple[Field, ...]:
        """Array fields."""
        return tuple(f for f in self.fields if f.shape is not None)


def start(recipe: Recipe, n: int) -> State:
    """Return the starting states of `n` leaves, stacked along a first axis."""
    integers, floats = _starts(recipe.fields)
    state: State = [integers.repeat(n, axis=0), floats.repeat(n, axis=0)]
    for field in recipe.arrays:
        assert field.shape is not None
        state.append(np.full((n, *field.shape), field.start, dtype=DTYPES[field.kind]))
    return state


@lru_cache(maxsize=256)
def _starts(fields: tuple[Field, ...]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    integers = [int(f.start) for f in fields if f.shape is None and f.kind != "float"]
    floats = [f.start for f in fields if f.shape is None and f.kind == "float"]
    return np.array([integers], dtype=np.int64), np.array([floats], dtype=np.float64)


def bind(recipe: Recipe, state: State) -> Any:
    """Return an object of the user's class that holds inputs and a copy of one leaf's state.

    Scalars are NumPy scalars, so that interpreted code counts, wraps and divides as the
    compiled one.
    """
    actor: Any = object.__new__(recipe.owner)
    values = actor.__dict__
    values.update(recipe.inputs)
    for value, field in zip(state[0], recipe.integers, strict=True):
        values[field.name] = DTYPES[field.kind](value)
    for value, field in zip(state[1], recipe.floats, strict=True):
        values[field.name] = value
    for array, field in zip(state[2:], recipe.arrays, strict=True):
        values[field.name] = array.copy()
    return actor


def unbind(recipe: Recipe, actor: Any) -> State:
    """Return the state of one leaf from the object that `bind` made."""
    values = actor.__dict__
    state: State = [
        np.array([int(values[f.name]) for f in recipe.integers], dtype=np.int64),
        np.array([values[f.name] for f in recipe.floats], dtype=np.float64),
    ]
    state.extend(np.asarray(values[f.name], dtype=DTYPES[f.kind]) for f in recipe.arrays)
    return state


def merge_sums(recipe: Recipe, left: State, right: State) -> State:
    """Return the elementwise sum of two states (bools: or). Cost: O(size of the outputs)."""
    merged = [a | b if a.dtype == np.bool_ else a + b for a, b in zip(left, right, strict=True)]
    for k in recipe.flags:
        merged[0][k] = left[0][k] | right[0][k]
    return merged


def merge_stacked(recipe: Recipe, stacked: State) -> State:
    """Return the merged state of leaves stacked along the first axis: as `merge_sums` from left to right.

    (`accumulate` adds in that order; a plain sum along the axis would add in pairs.)
    """
    if len(stacked[0]) == 1:
        return [part[0] for part in stacked]
    merged = [np.add.accumulate(part, axis=0)[-1] for part in stacked[:2]]
    for k in recipe.flags:
        merged[0][k] = stacked[0][:, k].any()
    for part in stacked[2:]:
        total = part[0]
        for each in part[1:]:
            total = total | each if part.dtype == np.bool_ else total + each
        merged.append(total)
    return merged
