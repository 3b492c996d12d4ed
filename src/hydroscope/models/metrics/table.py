"""Small tables that metrics return: columns of equal length that print well."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MetricTable", "number", "pairs_html", "pairs_text"]


def number(value: object) -> str:
    """Return a value as a table shows it: six significant digits, whole numbers with commas.

    Examples
    --------
    >>> number(0.123456789), number(1234567.0), number(1e-9), number("yes")
    ('0.123457', '1,234,567', '1e-09', 'yes')
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return f"{int(value):,}"
    if isinstance(value, (float, np.floating)):
        real = float(value)
        return f"{real:,.0f}" if real.is_integer() and abs(real) < 1e15 else f"{real:.6g}"
    return str(value)


@dataclass(frozen=True)
class MetricTable:
    """A named table.

    Attributes
    ----------
    title : str
    columns : mapping of str to ndarray
        All of one length.
    """

    title: str
    columns: Mapping[str, npt.NDArray[Any]]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def rows(self) -> list[list[str]]:
        """Return the cells as text, row by row."""
        return [[number(cell) for cell in row] for row in zip(*self.columns.values(), strict=True)]

    def __repr__(self) -> str:
        header = list(self.columns)
        cells = [header, *self.rows()]
        widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
        return "\n".join([self.title, *lines])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows()
        )
        caption = f"<caption>{html.escape(self.title)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def pairs_text(title: str, pairs: Mapping[str, object]) -> str:
    """Return `title` and one line a pair."""
    width = max(len(name) for name in pairs)
    return "\n".join([title, *(f"  {name.ljust(width)}  {number(value)}" for name, value in pairs.items())])


def pairs_html(title: str, pairs: Mapping[str, object]) -> str:
    """Return the same as an HTML table."""
    body = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(number(value))}</td></tr>" for name, value in pairs.items()
    )
    return f"<table><caption>{html.escape(title)}</caption><tbody>{body}</tbody></table>"
