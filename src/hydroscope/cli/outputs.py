"""Files that commands write: refused before the work rather than after it."""

from __future__ import annotations

from pathlib import Path

from hydroscope.ground.errors import UserError

__all__ = ["refuse_to_lose"]


def refuse_to_lose(output: Path, overwrite: bool) -> None:
    """Refuse a place that cannot be written, or that holds something."""
    if output.is_dir():
        raise UserError(f"{str(output)!r} is a folder; give the name of a file in it")
    if output.exists() and not overwrite:
        raise UserError(f"{str(output)!r} exists already; give another name, or --overwrite")
    if not output.absolute().parent.is_dir():
        raise UserError(f"there is no folder {str(output.parent)!r} for {output.name!r}; make it first")
