"""The first run on a machine: its kernels are compiled, and a user who waits should know why.

A mark in the folder for compiled loops, beside which nothing else is remembered, says that
this version has read a file here before. It only ever decides whether one line is printed.
"""

from __future__ import annotations

import glob
import sys
import warnings
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

__all__ = ["NOTICE", "mark_of_first_run", "remember"]

NOTICE = "first run of this version here: compiling for this processor, which takes up to a minute and is kept"


def mark_of_first_run(path: str) -> Path | None:
    """Return the mark that is missing when this is the first run; None when it is not, or cannot be known.

    A `path` that leads nowhere is refused at once, so it is no run at all.
    """
    from hydroscope.weave.cache import folder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing can be kept matters to row functions, not here
        place = folder()
    if place is None or not (Path(path).exists() or glob.has_magic(path)):
        return None
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    mark = place.parent / f"ran-{version('hydroscope')}-numba-{version('numba')}-python-{python}"
    return None if mark.exists() else mark


def remember(mark: Path) -> None:
    """Leave the mark; where that cannot be done, the notice will come again."""
    with suppress(OSError):
        mark.touch()
