"""Frames and columns as text and HTML: a few rows, the types, the size."""

from __future__ import annotations

import datetime
import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydroscope.frame.access import decode_leaf, slice_values
from hydroscope.frame.layout import Layout
from hydroscope.frame.statistics import python_values
from hydroscope.frame.vec import Vec, VecType
from hydroscope.node import ports

if TYPE_CHECKING:
    from hydroscope.frame.column import Column

__all__ = ["ROWS_SHOWN", "cell", "column_text", "frame_html", "frame_text", "size_text"]

ROWS_SHOWN = 10
COLUMNS_SHOWN = 40
WIDTH_MAX = 120
CELL_MAX = 40
"""Characters of one value; longer ones end in an ellipsis."""

Grid = list[list[str]]


def frame_text(vecs: Mapping[str, Vec], layout: Layout, n_rows: int = ROWS_SHOWN) -> str:
    """Return the first rows as a table of at most 120 characters' width, types under the names."""
    shown, grid = _grid(vecs, layout, n_rows)
    lines = [f"Frame of {_shape_text(vecs, layout)}"]
    if shown:
        right = [shown[name].type in (VecType.INT, VecType.REAL) for name in shown]
        header = [[clip(name) for name in shown], [str(vec.type) for vec in shown.values()]]
        widths = [max(len(row[i]) for row in (*header, *grid)) for i in range(len(shown))]
        fitting = _fitting(widths)
        for row in (*header, ["-" * width for width in widths], *grid):
            cells = [
                text.rjust(width) if on_right else text.ljust(width)
                for text, width, on_right in zip(row, widths, right, strict=True)
            ]
            lines.append("  ".join(cells[:fitting]).rstrip())
        hidden = len(vecs) - fitting
        if hidden:
            names = ", ".join(list(vecs)[fitting : fitting + 8]) + (", ..." if hidden > 8 else "")
            lines.append(f"... and {_counted(hidden, 'more column')}: {names}")
    if layout.n_rows > len(grid):
        lines.append(f"... and {_counted(layout.n_rows - len(grid), 'more row')}")
    return "\n".join(lines)


def frame_html(vecs: Mapping[str, Vec], layout: Layout, n_rows: int = ROWS_SHOWN) -> str:
    """Return the first rows as an HTML table; every name and value is escaped."""
    shown, grid = _grid(vecs, layout, n_rows)
    sides = ["right" if vec.type in (VecType.INT, VecType.REAL) else "left" for vec in shown.values()]

    def row(tag: str, cells: Sequence[str]) -> str:
        pairs = zip(cells, sides, strict=True)
        inner = (
            f'<{tag} style="text-align:{side};padding:1px 8px;white-space:nowrap">{cell}</{tag}>'
            for cell, side in pairs
        )
        return f"<tr>{''.join(inner)}</tr>"

    head = row("th", [html.escape(name) for name in shown])
    head += row("td", [f"<i>{vec.type}</i>" for vec in shown.values()])
    rows = [row("td", [html.escape(text) for text in cells]) for cells in grid]
    more = []
    if len(vecs) > len(shown):
        more.append(_counted(len(vecs) - len(shown), "more column"))
    if layout.n_rows > len(grid):
        more.append(_counted(layout.n_rows - len(grid), "more row"))
    rest = f"<div>… and {' and '.join(more)}</div>" if more else ""
    return (
        f"<div><b>Frame</b> of {html.escape(_shape_text(vecs, layout))}</div>"
        f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>{rest}"
    )


def column_text(column: Column) -> str:
    """Return a column as text; of an expression that was not needed yet, only the first rows are computed."""
    from hydroscope.frame.frame import Frame

    node, n_rows = column.node, len(column)
    head = f"Column {column.name!r} ({column.type}, {n_rows:,} rows"
    if node.op != "vec":
        return f"{head}, an expression, computed when needed)"
    part = Frame.from_vecs({column.name: node.vecs[0]})[:ROWS_SHOWN]
    _, grid = _grid(part.vecs, part.layout, ROWS_SHOWN)
    shown = ", ".join(row[0] for row in grid) + (", ..." if n_rows > len(grid) else "")
    return f"{head}): {shown}"


def cell(value: Any) -> str:
    """Return one value as a person reads it; nothing at all where missing."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, datetime.datetime):
        text = value.replace(tzinfo=None).isoformat(" ", "milliseconds")
        return text.removesuffix(".000").removesuffix(" 00:00:00")
    if isinstance(value, bool):
        return "true" if value else "false"
    return clip(str(value))


def clip(text: str) -> str:
    """Return a text in one line of bounded length."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[: CELL_MAX + 1])
    return text if len(text) <= CELL_MAX else text[: CELL_MAX - 1] + "…"


def size_text(n_bytes: int) -> str:
    """Return bytes in the unit that leaves one to three digits before the point."""
    size = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _shape_text(vecs: Mapping[str, Vec], layout: Layout) -> str:
    return f"{_counted(layout.n_rows, 'row')} and {_counted(len(vecs), 'column')}"


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _grid(vecs: Mapping[str, Vec], layout: Layout, n_rows: int) -> tuple[dict[str, Vec], Grid]:
    shown = dict(list(vecs.items())[:COLUMNS_SHOWN])
    n_rows = min(n_rows, layout.n_rows)
    columns = [_first(vec, n_rows) for vec in shown.values()]
    return shown, [[cell(column[row]) for column in columns] for row in range(n_rows)]


def _first(vec: Vec, n_rows: int) -> Sequence[Any]:
    """Return the first values; decodes the chunks that hold them and nothing else."""
    found: list[Any] = []
    for leaf in vec.leaves:
        for chunk in ports.current().get(leaf):
            if len(found) >= n_rows:
                return found
            values = slice_values(vec.type, decode_leaf(vec.type, [chunk]), 0, min(chunk.n_rows, n_rows - len(found)))
            found += python_values(vec.type, values, vec.domain)
    return found


def _fitting(widths: list[int]) -> int:
    """Return how many columns fit side by side (at least one)."""
    used, n = 0, 0
    for width in widths:
        used += width + 2
        if n and used - 2 > WIDTH_MAX:
            break
        n += 1
    return n
