"""Where commands write: tables that fit a terminal, plain text anywhere else."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

__all__ = ["Screen", "plain_table", "size", "width_of"]

SHORTEST = 8
"""Characters that a text keeps at least when a table is made to fit a terminal."""


def size(n_bytes: float) -> str:
    """Return a number of bytes as people read it.

    Examples
    --------
    >>> size(512), size(13_300_000), size(2_500_000_000)
    ('512 B', '13.3 MB', '2.5 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> str:
    """Return a table as aligned text; columns named in `left` are aligned left, the others right."""
    cells = [list(columns), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    is_left = [name in left for name in columns]
    lines = []
    for row in cells:
        padded = (c.ljust(w) if at_left else c.rjust(w) for c, w, at_left in zip(row, widths, is_left, strict=True))
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def width_of(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return the characters that a table takes side by side, with the margins of a terminal's table."""
    return sum(_widths(columns, rows)) + 2 * len(columns)


def shortened(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, left: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Return the table with texts (columns named in `left`) cut, the widest first, until it fits."""
    widths = _widths(columns, rows)
    texts = [i for i, name in enumerate(columns) if name in left]
    while (excess := sum(widths) + 2 * len(columns) - width) > 0 and texts:
        widest = max(texts, key=lambda i: widths[i])
        if widths[widest] <= SHORTEST:
            break
        next_width = max((widths[i] for i in texts if widths[i] < widths[widest]), default=SHORTEST)
        widths[widest] = max(widths[widest] - excess, min(next_width, widths[widest] - 1), SHORTEST)
    return _cut(columns, widths), [_cut(row, widths) for row in rows]


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]


def _cut(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cell if len(cell) <= width else f"{cell[: width - 1]}…" for cell, width in zip(row, widths, strict=True)]


@dataclass(frozen=True)
class Screen:
    """The output of one command.

    Attributes
    ----------
    quiet : bool
        Leave out everything but results and errors.
    out : text file or None
        Where results go; None: what `sys.stdout` is at the time.
    """

    quiet: bool = False
    out: TextIO | None = None

    def say(self, text: str = "") -> None:
        """Write commentary; nothing when quiet."""
        if not self.quiet:
            self.result(text)

    def heading(self, text: str) -> None:
        """Write the heading of a step; nothing when quiet."""
        if self.quiet:
            return
        if self._is_terminal():
            from rich.console import Console
            from rich.text import Text

            Console(file=self._out()).print(Text(f"\n{text}", style="bold cyan"))
        else:
            self.result(f"\n{text}")

    def result(self, text: str) -> None:
        """Write a result."""
        print(text, file=self._out(), flush=True)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "", left: Sequence[str] = ()
    ) -> None:
        """Write a table of texts; columns named in `left` are aligned left, the others right.

        In a terminal that is too narrow for it, the texts of left columns are cut.
        """
        if not self._is_terminal():
            if title:
                self.result(title)
            self.result(plain_table(columns, rows, left))
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(
            title=title or None,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        shown, cells = shortened(columns, rows, self.width or 80, left)
        for name, short in zip(columns, shown, strict=True):
            table.add_column(_literal(short), justify="left" if name in left else "right", overflow="fold")
        for row in cells:
            table.add_row(*(_literal(cell) for cell in row))
        Console(file=self._out()).print(table)

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where there is none, and lines may have any length."""
        return shutil.get_terminal_size().columns if self._is_terminal() else None

    def _out(self) -> TextIO:
        return self.out or sys.stdout

    def _is_terminal(self) -> bool:
        return self._out().isatty()


def _literal(text: str) -> str:
    """Return text in which Rich sees no markup."""
    from rich.markup import escape

    return escape(text)
