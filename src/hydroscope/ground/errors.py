"""Errors: the type says whose fault it is, the text has the value, the rule and the next step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CancelledError",
    "CorruptError",
    "DataError",
    "HydroscopeError",
    "InternalError",
    "UnknownNameError",
    "UserError",
    "unknown_name",
]


class HydroscopeError(Exception):
    """Everything that hydroscope raises on purpose."""


class UserError(HydroscopeError, ValueError):
    """What was asked for cannot be done: the caller's to mend."""


class UnknownNameError(UserError, KeyError):
    """A name that does not exist; the text lists near misses."""

    def __str__(self) -> str:  # KeyError would print the repr of the text
        return str(self.args[0]) if self.args else ""


class DataError(UserError):
    """A file or table does not hold what its reader needs."""


class CorruptError(DataError):
    """A file that was written by hydroscope does not read back."""


class CancelledError(HydroscopeError):
    """The job was cancelled; nothing that was loaded is lost."""


class InternalError(HydroscopeError):
    """A bug in hydroscope."""


def unknown_name(kind: str, name: object, known: Iterable[str], owner: str) -> UnknownNameError:
    """Return the error for a name that is not among `known`, with hints.

    Examples
    --------
    >>> str(unknown_name("column", "agee", ["age", "sex"], "frame"))
    "no column 'agee' in frame; did you mean 'age'?"
    """
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.6)
    if near:
        hint = "did you mean " + " or ".join(repr(each) for each in near) + "?"
    elif names:
        shown = ", ".join(repr(each) for each in names[:8])
        hint = f"it has {shown}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    else:
        hint = "it has none"
    return UnknownNameError(f"no {kind} {name!r} in {owner}; {hint}")
