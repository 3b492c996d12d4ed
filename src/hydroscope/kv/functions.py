"""Functions that a home applies to a value: registered by name, so that no code is ever sent.

A function is called as `function(value, *arguments)` with the value (None: absent) and returns
the new value (None: remove), which is the caller's result too. To answer something else it
returns `Change(value, result)`, and to leave the value as it is `Unchanged(result)`. It must
depend on nothing but what it is given and change none of it; a *timed* function is given the
time as the home reads it, in seconds since 1970 UTC, before its arguments (`kv.leases`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hydroscope.ground.errors import UserError
from hydroscope.kv.built_in import BUILT_IN
from hydroscope.kv.changes import Change, Unchanged
from hydroscope.kv.holds import HOLDS
from hydroscope.kv.leases import TIMED
from hydroscope.wire.values import verify

__all__ = ["Applied", "Change", "FunctionError", "Functions", "Unchanged"]


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
        for name, function in {**BUILT_IN, **HOLDS}.items():
            self.register(name, function)
        for name, function in TIMED.items():
            self.register(name, function, timed=True)

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
            return Applied(_storable(name, answer.value), _storable(name, answer.result), False)
        if isinstance(answer, Unchanged):
            return Applied(value, _storable(name, answer.result), True)
        return Applied(_storable(name, answer), answer, False)


def _storable(name: str, value: Any) -> Any:
    """Return a value that can be stored and sent."""
    try:
        verify(value)
    except UserError as error:
        raise FunctionError("function", f"function {name!r} returned what cannot be stored: {error}") from error
    return value


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    hint = "did you mean " + " or ".join(map(repr, near)) + "?" if near else f"there are {', '.join(sorted(known))};"
    return f"no function {name!r} is registered here; {hint} register it in every process: hs.kv.register(name, f)"
