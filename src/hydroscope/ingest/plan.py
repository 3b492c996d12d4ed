"""What a parse is told and what it says: frozen records that travel to every task."""

from __future__ import annotations

from dataclasses import dataclass

from hydroscope.frame.vec import VecType
from hydroscope.ground.limits import ROWS_PER_CHUNK
from hydroscope.ingest.dialect import U8, Dialect
from hydroscope.ingest.sources import Source

__all__ = [
    "DEFAULT_NA",
    "ENUM_LEVELS_MAX",
    "POLICIES",
    "RECORD_BYTES_MAX",
    "BadLine",
    "ColumnPlan",
    "ColumnReport",
    "LeafReport",
    "Plan",
    "Segment",
    "Sizes",
    "sizes_of",
]

DEFAULT_NA = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?", "-")
"""What stands for a missing value unless `na_strings` says otherwise."""

POLICIES = ("error", "skip", "null")

ENUM_LEVELS_MAX = 1_000_000
"""Levels; a guessed enum column with more becomes a string column."""

RECORD_BYTES_MAX = 1 << 28
"""Bytes of one record: what an unclosed quote may hold in memory before it is refused."""

BAD_LINES_SHOWN = 100
"""Bad lines of one leaf, and of a report, that are described; all are counted."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done at a time. No result depends on it: tests read a file a few bytes at a time.

    Attributes
    ----------
    chunk_rows : int
        Rows of a chunk. Part of a frame's layout, so it depends on the number of columns alone.
    window_bytes : int
        Bytes of text cut and read at a time: with its bounds it stays in a core's second cache.
    scan_bytes : int
        Bytes of text that are scanned as one.
    block_bytes : int
        Bytes of decompressed text handed over at a time.
    """

    chunk_rows: int = ROWS_PER_CHUNK
    window_bytes: int = 1 << 18
    scan_bytes: int = 1 << 20
    block_bytes: int = 1 << 22


USUAL_SIZES = Sizes()

WINDOW_FIELDS, WINDOW_ROWS = 128, 256
"""In a table with more fields a window is made larger, so that it still has rows enough to be worth a kernel's call."""

CHUNK_CELLS_MAX = 1 << 25
"""Cells of the chunks that one thread fills, at about 9 bytes: in tables of over 512 columns chunks have fewer rows."""


def sizes_of(n_fields: int, n_columns: int) -> Sizes:
    """Return the sizes for a table."""
    usual = USUAL_SIZES
    return Sizes(
        chunk_rows=max(min(usual.chunk_rows, CHUNK_CELLS_MAX // n_columns), WINDOW_ROWS),
        window_bytes=usual.window_bytes * max(n_fields, WINDOW_FIELDS) // WINDOW_FIELDS,
        scan_bytes=usual.scan_bytes,
        block_bytes=usual.block_bytes,
    )


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """How one column is read.

    Attributes
    ----------
    name : str
    type : VecType
    fixed : bool
        The user named the type: what does not fit is an error, not a reason to widen.
    na : tuple of bytes
        The words for a missing value.
    form : int
        TIME: which of the forms of `kernels_time`.
    quoted_text : bool
        STRING, ENUM: a quoted field is never missing.
    """

    name: str
    type: VecType
    fixed: bool = False
    na: tuple[bytes, ...] = tuple(word.encode() for word in DEFAULT_NA)
    form: int = 0
    quoted_text: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """How the files are read.

    Attributes
    ----------
    sources : tuple of Source
    fields : tuple of tuple of int
        For each source: the field of each column.
    n_fields : tuple of int
        For each source: fields of a record.
    """

    dialect: Dialect
    columns: tuple[ColumnPlan, ...]
    sources: tuple[Source, ...]
    fields: tuple[tuple[int, ...], ...]
    n_fields: tuple[int, ...]
    policy: str = "error"
    sizes: Sizes = USUAL_SIZES


@dataclass(frozen=True, slots=True)
class Segment:
    """Whole records of one source: bytes start..end, the first on line `line`.

    `text` holds them when the source is streamed; then start = 0.
    """

    source: int
    start: int
    end: int
    line: int
    text: U8 | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that did not fit, and what was done about it."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class ColumnReport:
    """What one leaf found in one column.

    Attributes
    ----------
    seen : int
        Bits of `kernels_number`: forms of numbers that occurred.
    whole : tuple of bool
        INT, REAL: whether each chunk was encoded as integers.
    domain : tuple of bytes or None
        ENUM: the levels that occur, sorted; the chunks hold their ranks.
    contrary : BadLine or None
        The first value that contradicts a guessed type; the chunks are then missing.
    """

    seen: int = 0
    whole: tuple[bool, ...] = ()
    domain: tuple[bytes, ...] | None = None
    contrary: BadLine | None = None


@dataclass(frozen=True, slots=True)
class LeafReport:
    """What one leaf found.

    Attributes
    ----------
    chunk_rows : tuple of int
    columns : tuple of ColumnReport
    bad_lines : tuple of BadLine
        The first ones.
    n_bad : int
        All of them.
    dropped : tuple of int
        Rows (counted from the leaf's first, dropped ones included) that a bad value cost.
    n_bytes : int
    """

    chunk_rows: tuple[int, ...]
    columns: tuple[ColumnReport, ...]
    bad_lines: tuple[BadLine, ...] = ()
    n_bad: int = 0
    dropped: tuple[int, ...] = ()
    n_bytes: int = 0
