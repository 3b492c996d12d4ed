"""Reading files into frames: the functions that users call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydroscope.frame.frame import Frame
from hydroscope.ground.errors import DataError
from hydroscope.ingest.csv import Options, read_delimited
from hydroscope.ingest.sources import PathLike, expand

__all__ = ["read", "read_csv"]


def read_csv(
    path: PathLike | Sequence[PathLike],
    sep: str | None = None,
    header: bool | None = None,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | Sequence[str] | None = None,
    na_strings: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
    on_bad_lines: str = "error",
    *,
    quote: str | None = '"',
    comment: str | None = None,
    encoding: str = "utf-8",
    skip_blank_lines: bool | None = None,
) -> Frame:
    """Read delimited text into a Frame.

    Parameters
    ----------
    path : str, Path or list of them
        Files, globs ("data/*.csv"), compressed or not (gz, zip, bz2, zst, xz), all with the
        same columns.
    sep : str, optional
        Separator; None: guessed among ^A , ; | TAB and blank.
    header : bool, optional
        Whether the first line holds the names; None: guessed. Without names columns are
        called C1, C2, ...
    columns : list of str, optional
        Read only these, in this order.
    types : dict or list, optional
        Types by column: int, real, bool, enum, time, string, uuid. Others are guessed.
    na_strings : str, list or dict by column, optional
        What stands for a missing value, besides the empty field. None: NA, N/A, NaN, nan,
        null, NULL, None, ? and -. A quoted field is text in string and enum columns, so
        that "" is the empty string (unless the file quotes every field).
    on_bad_lines : "error", "skip" or "null"
        What to do with a line that has too few or too many fields, or a value that does not
        fit a type in `types`: stop, leave the line out, or take what is wrong as missing.
    quote, comment : str or None
        Quote character; the character that begins a comment line (default: no comments).
    encoding : str
    skip_blank_lines : bool, optional
        None: yes, unless there is only one column.

    Returns
    -------
    Frame
        A guessed type that later lines contradict is widened (int to real to enum or
        string). How the reading went (bad lines, widened types, notes) is `frame.parse_report`; `frame.source_of(row)`
        is the file and line of a row. New rows (slices, filters) have neither.

    Raises
    ------
    DataError
        With file, line, value, rule and next step.

    Notes
    -----
    Numbers are exact: a real is what Python's float() gives. Times are milliseconds since
    1970 in UTC. Cost: O(bytes), in parallel; memory for the compressed frame, and a few MB
    a thread.
    """
    options = Options(sep, header, columns, types, na_strings, on_bad_lines, quote, comment, encoding, skip_blank_lines)
    return read_delimited(path, options)


def read(path: PathLike | Sequence[PathLike], **options: Any) -> Frame:
    """Read files into a Frame, by content: delimited text (compressed or not) or Parquet.

    Parameters
    ----------
    path : str, Path or list of them
        Files and globs, all of one kind and with the same columns.
    **options
        Those of `read_csv` for text; Parquet files know their types and take `columns` only.

    Returns
    -------
    Frame

    Raises
    ------
    DataError
        When a file is neither, with what it is instead, or breaks the rules of its kind.

    Notes
    -----
    Cost: O(bytes), in parallel.
    """
    from hydroscope.ingest.parquet import read_parquet

    paths = expand(path)
    kinds = {each: kind_of(each) for each in paths}
    kind = kinds[paths[0]]
    for each, other in kinds.items():
        if other not in ("csv", "parquet"):
            raise DataError(
                f"{each!r} is {other}, which cannot be read; supported are delimited text (csv, tsv, also gz, "
                "zip, bz2, zst, xz) and Parquet. Text with an unusual beginning: use read_csv"
            )
        if other != kind:
            raise DataError(f"{paths[0]!r} is {kind} and {each!r} is {other}; read them one by one")
    if kind == "parquet":
        return read_parquet(paths, **options)
    return read_csv(paths, **options)


_MAGIC = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "an Arrow or Feather file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (b"%PDF", "a PDF file"),
    (b"\x7fELF", "a program"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"{", "JSON"),
    (b"[", "JSON"),
    (b"<", "HTML or XML"),
    (b"@relation", "an ARFF file"),
    (b"@RELATION", "an ARFF file"),
)


def kind_of(path: str) -> str:
    """Tell what a file is, by its first bytes: "csv", "parquet", or what it is instead."""
    with open(path, "rb") as file:
        start = file.read(512)
    if start.startswith(b"PK\x03\x04"):
        if b"[Content_Types].xml" in start or path.endswith((".xlsx", ".xlsm")):
            return "an Excel file"
        return "csv"
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    if start[257:262] == b"ustar" or path.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")):
        return "a tar archive (unpack it first)"
    return "csv"
