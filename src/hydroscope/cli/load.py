"""Files named on the command line, as frames."""

from __future__ import annotations

import argparse
import time
from typing import Any

import hydroscope as hs
from hydroscope.cli.screen import Screen, size

__all__ = ["load", "options_of"]


def options_of(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `read_csv` that were given."""
    sep = {"\\t": "\t", "tab": "\t"}.get(asked.sep, asked.sep)
    header = {"yes": True, "no": False, None: None}[asked.header]
    given = {
        "sep": sep,
        "header": header,
        "columns": asked.columns,
        "types": asked.types,
        "na_strings": asked.na,
        "on_bad_lines": asked.on_bad_lines,
        "encoding": asked.encoding,
    }
    found = {name: value for name, value in given.items() if value is not None}
    if asked.quote is not None:
        found["quote"] = None if asked.quote == "none" else asked.quote
    return found


def load(path: str, screen: Screen, options: dict[str, Any]) -> hs.Frame:
    """Read a file, showing progress, and say what was read and how well it compresses."""
    began = time.perf_counter()
    frame = hs.read(path, **options)
    seconds = time.perf_counter() - began
    n_rows, n_columns = frame.shape
    screen.say(
        f"{path}: {n_rows:,} rows x {n_columns} columns, {size(frame.nbytes)} in memory, read in {seconds:.2f} s"
    )
    return frame
