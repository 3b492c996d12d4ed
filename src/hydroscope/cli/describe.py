"""`hydroscope describe FILE`: what is in a file, column by column."""

from __future__ import annotations

import argparse
import datetime
import math
from typing import Any

import hydroscope as hs
from hydroscope.cli.load import load, options_of
from hydroscope.cli.screen import Screen, size, width_of

__all__ = ["column_sizes", "run", "show_summary"]

WORDS = ("column", "type", "values", "codecs")
"""Columns of the summary that hold words; the others hold numbers."""

COSTS = ("values", "codecs", "bytes", "ratio")
"""Columns that make a table of their own where one with all is too wide."""

SPARED = ("zeros", "q25", "q75", "sd")
"""What is left out first, one after the other, in a terminal that is narrower still."""


def run(asked: argparse.Namespace, screen: Screen) -> None:
    """Read the file and print one line a column."""
    show_summary(load(asked.file, screen, options_of(asked)), screen)


def show_summary(frame: hs.Frame, screen: Screen) -> None:
    """Print types, missing values, moments, quartiles and compression of every column.

    In a terminal that is too narrow, as two tables; elsewhere always as one.
    """
    table = frame.describe().to_dict()
    held = {row[0]: row[2:] for row in column_sizes(frame)}
    header = [*table, "codecs", "bytes", "ratio"]
    rows = [[*(_short(table[name][i]) for name in table), *held[column]] for i, column in enumerate(table["column"])]
    for names in _tables(header, rows, screen.width):
        at = [header.index(name) for name in names]
        screen.table(names, [[row[i] for i in at] for row in rows], left=WORDS)


def _tables(header: list[str], rows: list[list[str]], width: int | None) -> list[list[str]]:
    """Return the columns of each table to print."""
    if width is None or width_of(header, rows) <= width:
        return [header]
    numbers = [name for name in header if name not in COSTS]
    for spared in SPARED:
        at = [header.index(name) for name in numbers]
        if width_of(numbers, [[row[i] for i in at] for row in rows]) <= width:
            break
        numbers.remove(spared)
    return [numbers, ["column", *COSTS]]


def _short(value: Any) -> str:
    """Return a value in few characters: numbers to five digits, times to the second."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d" if value.time() == datetime.time(0) else "%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}" if 1e5 <= abs(value) < 1e15 else f"{value:.5g}"
    return str(value)


def column_sizes(frame: hs.Frame) -> list[list[str]]:
    """Return name, type, codecs, bytes and bytes / uncompressed bytes of every column, as texts."""
    table = frame.codecs().to_dict()
    return [
        [name, kind, codecs, size(n_bytes), f"{ratio:.3f}"]
        for name, kind, codecs, n_bytes, ratio in zip(
            table["column"], table["type"], table["codecs"], table["bytes"], table["ratio"], strict=True
        )
    ]
