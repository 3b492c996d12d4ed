"""The error of a user's function, with all that is known about the row it happened in."""

from __future__ import annotations

import linecache
import traceback
from types import CodeType, TracebackType

from hydroscope.ground.errors import UserError

__all__ = ["MapError", "where_in"]

VALUES_SHOWN = 8
"""Columns whose values are printed."""


class MapError(UserError):
    """A user's map function raised.

    Attributes
    ----------
    function : str
        Class and function.
    cause : str
        What it raised.
    place : str
        File, line and text of the user's source.
    row : int
        Row of the frame, counted from 0; -1 when unknown.
    values : tuple of (str, str)
        Column name and printed value of that row.
    source : str or None
        File and line of the data, when the frame knows.
    """

    def __init__(
        self,
        function: str,
        cause: str,
        place: str = "",
        row: int = -1,
        values: tuple[tuple[str, str], ...] = (),
        source: str | None = None,
    ) -> None:
        # All of it in `args`: that is how an exception travels between processes.
        super().__init__(function, cause, place, row, values, source)
        self.function = function
        self.cause = cause
        self.place = place
        self.row = row
        self.values = values
        self.source = source

    def __str__(self) -> str:
        text = f"{self.function} raised {self.cause}"
        if self.place:
            text += f"\n  at {self.place}"
        if self.row >= 0:
            shown = ", ".join(f"{name} = {value}" for name, value in self.values[:VALUES_SHOWN])
            more = len(self.values) - VALUES_SHOWN
            text += f"\n  in row {self.row:,} of the frame: {shown}" + (f" and {more} more" if more > 0 else "")
        if self.source:
            text += f"\n  which was read from {self.source}"
        return text + "\n  the frame is unchanged; guard against such rows in the function, or filter them out before"

    def located(self, source: str | None) -> MapError:
        """Return the same error with the place of the data."""
        return MapError(self.function, self.cause, self.place, self.row, self.values, source)


def where_in(code: CodeType, trace: TracebackType | None) -> str:
    """Return file, line and text of the innermost frame of `code` in a traceback."""
    line = 0
    for frame, at in traceback.walk_tb(trace):
        if frame.f_code is code:
            line = at
    return place(code.co_filename, line) if line else ""


def place(file: str, line: int) -> str:
    """Return `file:line: text of the line`."""
    text = linecache.getline(file, line).strip()
    return f"{file}:{line}" + (f": {text}" if text else "")
