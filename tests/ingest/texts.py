"""Delimited texts as Hypothesis makes them, and ways to read them a few bytes at a time."""

from __future__ import annotations

import bz2
import gzip
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hydroscope.frame.frame import Frame
from hydroscope.ingest.csv import Options, read_delimited
from hydroscope.ingest.plan import Sizes

__all__ = ["PACKERS", "Table", "examples", "packed", "read", "sizes", "tables", "write"]


def examples(percent: int = 100) -> settings:
    """Return settings for a test that uses `tmp_path`, with so many of the profile's examples."""
    usual = settings.default
    assert usual is not None
    return settings(
        max_examples=max(usual.max_examples * percent // 100, 1),
        suppress_health_check=[*usual.suppress_health_check, HealthCheck.function_scoped_fixture],
    )


NASTY = [
    "",
    '"',
    '""',
    ",",
    "\n",
    "\r\n",
    "é",
    "漢字",
    "𝄞",
    "NA",
    "null",
    "-",
    "0",
    "x",
    " y z ",
    "#",
    "a" * 70,
    '"\n,"',
]


@dataclass(frozen=True)
class Table:
    """Texts in rows, the file that spells them, and which fields stand in quotes there."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    quoted: tuple[tuple[bool, ...], ...]
    text: bytes

    def expected(self, na: frozenset[str]) -> dict[str, list[str | None]]:
        """Return the columns as string columns hold them."""
        flags = [flag for row in self.quoted for flag in row]
        says_something = not (flags and all(flags))  # in a file that quotes everything, quotes say nothing
        columns: dict[str, list[str | None]] = {name: [] for name in self.names}
        for row, quoted in zip(self.rows, self.quoted, strict=True):
            for name, cell, flag in zip(self.names, row, quoted, strict=True):
                missing = cell in na and not (flag and says_something)
                columns[name].append(None if missing else cell)
        return columns


def _plain(cell: str, sep: str) -> bool:
    """Tell whether a field may stand without quotes."""
    return not (set(cell) & {sep, "\n", "\r"}) and not cell.startswith(('"', "#")) and cell == cell.strip()


@st.composite
def tables(draw: st.DrawFn, sep: str = ",") -> Table:
    """Draw a table and a spelling of it: quotes where needed and elsewhere, line ends, mark, blank lines."""
    n_columns = draw(st.integers(1, 4))
    eol = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    cells = st.one_of(st.sampled_from(NASTY), st.text(st.sampled_from("ab\"'\n\r,; é\t"), max_size=8))
    if eol == "\r":  # a file with LF in it has LF line ends
        cells = cells.map(lambda cell: cell.replace("\n", ""))
    rows = draw(st.lists(st.tuples(*[cells] * n_columns), min_size=0, max_size=12))
    names = tuple(f"c{k}" for k in range(n_columns))
    always = draw(st.sampled_from([True, False, False]))
    lines, quoted = [sep.join(names)], []
    for row in rows:
        flags = tuple(always or not _plain(cell, sep) or draw(st.booleans()) for cell in row)
        if n_columns > 1 and draw(st.integers(0, 5)) == 0:
            lines.append(draw(st.sampled_from(["", " ", "  "])))
        spelled = ['"' + cell.replace('"', '""') + '"' if flag else cell for cell, flag in zip(row, flags, strict=True)]
        lines.append(sep.join(spelled))
        quoted.append(flags)
    last = "" if lines[-1] and draw(st.booleans()) else eol
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return Table(names, tuple(rows), tuple(quoted), (mark + eol.join(lines) + last).encode())


def sizes() -> st.SearchStrategy[Sizes]:
    """Draw sizes so small that every field, quote and line end is cut somewhere."""
    few = st.integers(1, 24)
    return st.builds(Sizes, chunk_rows=st.integers(1, 5), window_bytes=few, scan_bytes=few, block_bytes=few)


def _zipped(path: Path, text: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", text)


def _zstandard(path: Path, text: bytes) -> None:
    with pa.output_stream(str(path), compression="zstd") as file:
        file.write(text)


PACKERS: dict[str, Callable[[Path, bytes], Any]] = {
    "": Path.write_bytes,
    ".gz": lambda path, text: path.write_bytes(gzip.compress(text, 1)),
    ".bz2": lambda path, text: path.write_bytes(bz2.compress(text)),
    ".zip": _zipped,
    ".zst": _zstandard,
}


def packed(folder: Path, text: bytes, packing: str, name: str = "table.csv") -> Path:
    """Write a file, compressed as its ending says."""
    path = folder / (name + packing)
    PACKERS[packing](path, text)
    return path


def write(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    """Write a file as it is."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path: Path | str | list[Path], sizes: Sizes | None = None, **options: Any) -> Frame:
    """Read as `read_csv` does, with other sizes."""
    return read_delimited(path, Options(**options, sizes=sizes))
