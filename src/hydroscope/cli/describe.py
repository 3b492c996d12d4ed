"""`hydroscope describe FILE`: what is in a file, column by column."""

from __future__ import annotations

import argparse
import datetime
import math
from typing import Any

import hydroscope as hs
from hydroscope.cli.load import load, options_of
from hydroscope.cli.screen import Screen, size

__all__ = ["column_sizes", "run", "show_summary"]


def run(asked: argparse.Namespace, screen: Screen) -> None:
    """Read the file and print one line a column."""
    show_summary(load(asked.file, screen, options_of(asked)), screen)


def show_summary(frame: hs.Frame, screen: Screen) -> None:
    """Print types, missing values, moments, quartiles and compression of every column."""
    table = frame.describe().to_dict()
    held = {row[0]: row[2:] for row in column_sizes(frame)}
    header = [*table, "codecs", "bytes", "ratio"]
    rows = [[*(_short(table[name][i]) for name in table), *held[column]] for i, column in enumerate(table["column"])]
    screen.table(header, rows, left=("column", "type", "values", "codecs"))


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
