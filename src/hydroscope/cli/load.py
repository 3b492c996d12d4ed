"""Files named on the command line, as frames."""

from __future__ import annotations

import argparse
import gc
import time
from typing import Any

import hydroscope as hs
from hydroscope.cli.first_run import NOTICE, mark_of_first_run, remember
from hydroscope.cli.screen import Screen, size

__all__ = ["load", "options_of"]

BAD_LINES_SHOWN = 5
"""Bad lines that are printed; how many there are is said besides."""


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
    """Read a file, showing progress; say what was read, how well it compresses, and what was odd."""
    mark = mark_of_first_run(path)
    if mark is not None:
        screen.say(NOTICE)
    began = time.perf_counter()
    frame = (hs.read_csv if "sep" in options else hs.read)(path, **options)  # who says a separator says that it is text
    if not gc.isenabled():  # since `main` began
        gc.freeze()
        gc.enable()
    if mark is not None:
        remember(mark)
    seconds = time.perf_counter() - began
    n_rows, n_columns = frame.shape
    screen.say(
        f"{path}: {n_rows:,} rows x {n_columns} columns, {size(frame.nbytes)} in memory, read in {seconds:.2f} s"
    )
    for line in _oddities(frame, options.get("on_bad_lines")):
        screen.say(f"  {line}")
    return frame


def _oddities(frame: hs.Frame, policy: str | None) -> list[str]:
    """Return what the reader should know of how the text was read: types widened, lines left out."""
    report = frame.parse_report
    if report is None:
        return []
    said = [
        f"note: column {name!r} is {now}, not {before} as guessed: {why}" for name, before, now, why in report.widened
    ]
    said += [f"note: {each}" for each in report.notes]
    if report.n_bad_lines:
        done = "left out" if policy == "skip" else "with values taken as missing"
        lines = f"{report.n_bad_lines:,} line{'s' * (report.n_bad_lines != 1)} {done}"
        said.append(f"note: {lines}, the first: {report.bad_lines[0]}" if report.bad_lines else f"note: {lines}")
        said += [f"      {each}" for each in report.bad_lines[1:BAD_LINES_SHOWN]]
    return said
