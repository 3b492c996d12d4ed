"""Where commands write: tables that fit a terminal, plain text anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

__all__ = ["Screen", "plain_table", "size"]


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
        """Write a table of texts; columns named in `left` are aligned left, the others right."""
        if not self._is_terminal():
            if title:
                self.result(title)
            self.result(plain_table(columns, rows, left))
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(
            title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
        )
        for name in columns:
            table.add_column(_literal(name), justify="left" if name in left else "right", overflow="fold")
        for row in rows:
            table.add_row(*(_literal(cell) for cell in row))
        Console(file=self._out()).print(table)

    def _out(self) -> TextIO:
        return self.out or sys.stdout

    def _is_terminal(self) -> bool:
        return self._out().isatty()


def _literal(text: str) -> str:
    """Return text in which Rich sees no markup."""
    from rich.markup import escape

    return escape(text)
