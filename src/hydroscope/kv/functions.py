"""Functions that a home applies to a value: registered by name, so that no code is ever sent.

A function is called as `function(value, *arguments)` with the value (None: absent) and returns
the new value (None: remove), which is the caller's result too. To answer something else it
returns `Change(value, result)`, and to leave the value as it is `Unchanged(result)`. It must
depend on nothing but what it is given and change none of it; a *timed* function is given the
time as the home reads it, in seconds since 1970 UTC, before its arguments.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

__all__ = ["BUILT_IN", "Applied", "Change", "FunctionError", "Functions", "Unchanged"]


class Change(msgspec.Struct, frozen=True):
    """Returned by a function: the new value (None: remove), and what the caller gets."""

    value: Any
    result: Any = None


class Unchanged(msgspec.Struct, frozen=True):
    """Returned by a function that leaves the value as it is: what the caller gets."""

    result: Any = None


class Applied(NamedTuple):
    """What came of a function. `aborted`: the value stays."""

    value: Any
    result: Any
    aborted: bool


class FunctionError(Exception):
    """Nothing is written: `kind` is "unknown function" or "function", `text` what to tell the caller."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind = kind
        self.text = text


class Functions:
    """The functions that one member knows, by name. `seconds` gives timed ones the time."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._functions: dict[str, tuple[Callable[..., Any], bool]] = {}
        for name, function in BUILT_IN.items():
            self.register(name, function)

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._functions)

    def register(self, name: str, function: Callable[..., Any], timed: bool = False) -> None:
        """Give `function` its name; a later one of the same name replaces it."""
        self._functions[name] = (function, timed)

    def apply(self, name: str, value: Any, arguments: tuple[Any, ...]) -> Applied:
        """Call a function; raises FunctionError when there is none of that name, or when it raises."""
        found = self._functions.get(name)
        if found is None:
            raise FunctionError("unknown function", _unknown(name, self._functions))
        function, timed = found
        try:
            answer = function(value, self._seconds(), *arguments) if timed else function(value, *arguments)
        except Exception as error:
            raise FunctionError("function", f"function {name!r} raised {type(error).__name__}: {error}") from error
        if isinstance(answer, Change):
            return Applied(answer.value, answer.result, False)
        if isinstance(answer, Unchanged):
            return Applied(value, answer.result, True)
        return Applied(answer, answer, False)


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    hint = "did you mean " + " or ".join(map(repr, near)) + "?" if near else f"there are {', '.join(sorted(known))};"
    return f"no function {name!r} is registered here; {hint} register it in every process: hs.kv.register(name, f)"


def _add(value: Any, amount: Any = 1) -> Any:
    return amount if value is None else value + amount


def _append(value: Any, item: Any) -> Any:
    return [*(value or ()), item]


def _discard(value: Any, item: Any) -> Any:
    if value is None or item not in value:
        return Unchanged(value)
    return [each for each in value if each != item] or None


def _largest(value: Any, candidate: Any) -> Any:
    return candidate if value is None or candidate > value else Unchanged(value)


def _smallest(value: Any, candidate: Any) -> Any:
    return candidate if value is None or candidate < value else Unchanged(value)


def _create(value: Any, first: Any) -> Any:
    return Change(first, True) if value is None else Unchanged(False)


def _replace(value: Any, expected: Any, new: Any) -> Any:
    return Change(new, True) if value == expected else Unchanged(False)


def _update(value: Any, fields: dict[str, Any]) -> Any:
    return {**(value or {}), **fields}


BUILT_IN: Mapping[str, Callable[..., Any]] = {
    "add": _add,
    "append": _append,
    "create": _create,
    "discard": _discard,
    "max": _largest,
    "min": _smallest,
    "replace": _replace,
    "update": _update,
}
"""What every member knows: add(amount), append(item), create(first), discard(item), max(candidate),
min(candidate), replace(expected, new), update(fields)."""
