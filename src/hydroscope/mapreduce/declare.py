"""What a class body says about a task: inputs, outputs, constants, and what `map` returns.

class Spread(MapReduce):
    centre: float            annotated, no default: an input
    n: int = 0               annotated, with a default: a scalar output
    hist = zeros(64)         `zeros` or `full`: an array output
    WIDTH = 2.5              a plain number, tuple or array: a constant
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.weave.recipe import Field, Kind

__all__ = ["Declaration", "Outcome", "Spec", "declare", "outcome_of", "parameters_of"]

Size = int | str
"""A dimension: a number, or the name of an input that holds it."""

_KINDS: dict[str, Kind] = {
    "int": "int", "int64": "int", "float": "float", "float64": "float", "bool": "bool", "bool_": "bool",
}  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """An array output as `zeros` and `full` declare it."""

    shape: tuple[Size, ...]
    start: float | int | bool
    kind: Kind

    def field(self, name: str, inputs: dict[str, Any], owner: str) -> Field:
        """Return the output with its dimensions looked up among the inputs."""
        return Field(name, self.kind, self.start, tuple(_size(each, inputs, owner) for each in self.shape))


@dataclass(frozen=True)
class Declaration:
    """What one class declares, its bases included."""

    inputs: dict[str, str]
    outputs: dict[str, Field | Spec]
    constants: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a map function returns: nothing, the kinds of new columns, or whether to keep the row."""

    kinds: tuple[Kind, ...] = ()
    keeps: bool = False


def declare(owner: type, reserved: frozenset[str]) -> Declaration:
    """Read the bodies of a class and its bases (up to the task class itself)."""
    inputs: dict[str, str] = {}
    outputs: dict[str, Field | Spec] = {}
    constants: dict[str, Any] = {}
    for cls in reversed(owner.__mro__):
        if cls.__module__ == "builtins" or "_hydroscope_root" in cls.__dict__:
            continue
        annotations = {name: _text(hint) for name, hint in inspect.get_annotations(cls).items()}
        for name in [*annotations, *(each for each in cls.__dict__ if each not in annotations)]:
            if name.startswith("__") or name in ("skipna", "outputs") or "ClassVar" in annotations.get(name, ""):
                continue
            if name not in cls.__dict__:
                _refuse_reserved(name, owner, reserved)
                inputs[name] = annotations[name]
                outputs.pop(name, None)
                continue
            value = cls.__dict__[name]
            if isinstance(value, Spec):
                _refuse_reserved(name, owner, reserved)
                outputs[name] = value
            elif name in annotations:
                _refuse_reserved(name, owner, reserved)
                outputs[name] = _scalar(name, annotations[name], value, owner.__name__)
                inputs.pop(name, None)
            elif isinstance(value, (int, float, tuple, np.ndarray, np.generic)):
                constants[name] = value
    return Declaration(inputs, outputs, constants)


@lru_cache(maxsize=256)
def outcome_of(owner: str, function: Callable[..., Any]) -> Outcome:
    """Return what the annotation after `->` promises."""
    hint = getattr(function, "__annotations__", {}).get("return")
    text = re.sub(r"\|\s*None\b|\bNone\s*\|", "", _text(hint)).strip() if hint is not None else ""
    if text in ("", "None"):
        return Outcome()
    if text.split(".")[-1] == "Keep":
        return Outcome(("bool",), keeps=True)
    inner = re.fullmatch(r"(?:typing\.)?[tT]uple\[(.*)\]", text)
    names = [each.strip().split(".")[-1] for each in (inner.group(1).split(",") if inner else [text])]
    if any(name not in _KINDS for name in names):
        raise UserError(
            f"{owner}.{function.__name__} says -> {text}; new columns are float, int or bool, several a "
            "tuple[...] of these, and Keep chooses rows"
        )
    return Outcome(tuple(_KINDS[name] for name in names))


@lru_cache(maxsize=256)
def parameters_of(function: Callable[..., Any]) -> tuple[tuple[str, ...], bool]:
    """Return the names of the row's parameters, and whether `*row` takes any number more."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    plain = tuple(each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD)
    return plain, any(each.kind is each.VAR_POSITIONAL for each in parameters)


def kind_of(dtype: Any) -> Kind:
    """Return the kind of an output's dtype: float, int or bool, each in its widest form."""
    name = getattr(dtype, "__name__", str(dtype))
    if name not in _KINDS:
        raise UserError(f"an output of dtype {name}; outputs are float (64 bits), int (64 bits) or bool")
    return _KINDS[name]


def _scalar(name: str, hint: str, value: Any, owner: str) -> Field:
    if isinstance(value, np.ndarray):
        raise UserError(f"output {name!r} of {owner} starts from an array; write {name} = zeros({list(value.shape)})")
    if isinstance(value, np.generic):
        value = value.item()
    word = hint.split(".")[-1]
    kind = _KINDS.get(word)
    if kind is None or not isinstance(value, (bool, int, float)):
        raise UserError(
            f"output {name!r} of {owner} is declared {hint} = {value!r}; outputs are int, float or bool, or "
            f"arrays: {name} = zeros(n)"
        )
    if kind == "int" and isinstance(value, float):
        raise UserError(f"output {name!r} of {owner} is declared int and starts from {value!r}; declare it float")
    return Field(name, kind, float(value) if kind == "float" else value)


def _size(size: Size, inputs: dict[str, Any], owner: str) -> int:
    if isinstance(size, str):
        if size not in inputs:
            raise unknown_name("input", size, inputs, owner)
        size = inputs[size]
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 0:
        raise UserError(f"an array output of {owner} has the dimension {size!r}; give a whole number >= 0")
    return int(size)


def _refuse_reserved(name: str, owner: type, reserved: frozenset[str]) -> None:
    if name in reserved:
        raise UserError(f"{owner.__name__} declares {name!r}, which every task has already; choose another name")


def _text(hint: Any) -> str:
    return (
        hint if isinstance(hint, str) else getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint)
    )
