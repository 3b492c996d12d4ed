"""One leaf of a parse: whole records of text in, chunks of every column out.

This is what a task does, on a thread or in a Ray worker: it reads its own bytes of the file
a window at a time (so that text, bounds and columns stay in the processor's cache), cuts the
window into fields, and has each column read its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import numpy as np

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame.vec import VecType
from hydroscope.ground.errors import DataError
from hydroscope.ingest import kernels
from hydroscope.ingest.columns import RULES, Column, EnumColumn, Window, make_column
from hydroscope.ingest.dialect import I32, I64, U8, Fault
from hydroscope.ingest.plan import (
    BAD_LINES_SHOWN,
    RECORD_BYTES_MAX,
    BadLine,
    ColumnReport,
    LeafReport,
    Plan,
    Segment,
)
from hydroscope.ingest.sources import Source, expect_unchanged
from hydroscope.ingest.text import SLACK, empty_text

__all__ = ["Reader", "parse_leaf"]

BAD_PER_WINDOW = 256
"""Ragged records that `tokenise` reports before it hands over."""


class Reader:
    """The text of one segment, a window at a time. Owns the window's buffer."""

    def __init__(self, source: Source, segment: Segment, eol: int, window_bytes: int) -> None:
        self.low = 0  # first byte of the window that was not read yet, as index into `text`
        self._line_at = (0, segment.line)  # where lines were last counted: offset in the segment, line
        self._segment = segment
        self._eol = eol
        self._file = -1
        if segment.text is not None:
            self.text: U8 = segment.text
            self.high = segment.end
            self.origin = 0  # offset in the segment of text[0]
        else:
            self._file = os.open(source.path, os.O_RDONLY)
            self._expect_unchanged(source)
            self.text = empty_text(max(min(window_bytes, segment.end - segment.start), 1))
            self.high = 0
            self.origin = 0

    def _expect_unchanged(self, source: Source) -> None:
        try:
            expect_unchanged(source, os.fstat(self._file))
        except DataError:
            self.close()
            raise

    @property
    def final(self) -> bool:
        """Whether the window ends where the segment ends."""
        return self.origin + self.high == self._segment.end - self._segment.start

    def fill(self) -> None:
        """Move what was not read to the front, and read more behind it."""
        rest = self.high - self.low
        text = self.text
        if rest == len(text) - SLACK:
            if rest > RECORD_BYTES_MAX:
                raise DataError(
                    f"line {self.line(self.low)}: a record has more than {RECORD_BYTES_MAX:,} bytes; "
                    "is a quote not closed, or the separator wrong? (sep=..., quote=None)"
                )
            self.text = empty_text(2 * rest)
        self.text[:rest] = text[self.low : self.high]
        self.origin += self.low
        self.low, self.high = 0, rest
        offset = self._segment.start + self.origin + rest
        want = min(len(self.text) - SLACK - rest, self._segment.end - offset)
        n = os.preadv(self._file, [self.text.data[rest : rest + want]], offset)
        if n <= 0:
            raise DataError(f"the file became shorter while it was read: nothing at byte {offset:,}; read it again")
        self.high += n

    def line(self, index: int) -> int:
        """Return the number of the line that text[index] is on. Cost: O(bytes since the last call)."""
        offset = self.origin + index
        at, line = self._line_at
        if offset < at:
            at, line = 0, self._segment.line
        if self._segment.text is not None:
            line += int(np.count_nonzero(self.text[at:offset] == self._eol))
        else:
            for start in range(at, offset, 1 << 20):
                n = min(1 << 20, offset - start)
                line += os.pread(self._file, n, self._segment.start + start).count(self._eol)
        self._line_at = (offset, line)
        return line

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


@dataclass
class _Leaf:
    """The state of one leaf's parse; lives as long as the call."""

    plan: Plan
    columns: list[Column]
    contrary: list[BadLine | None]
    at: int = 0  # rows in the present chunk
    n_rows: int = 0  # rows in all, dropped ones included
    chunk_rows: list[int] = field(default_factory=list)
    bad_lines: list[BadLine] = field(default_factory=list)
    n_bad: int = 0
    dropped: list[int] = field(default_factory=list)


def parse_leaf(plan: Plan, segments: tuple[Segment, ...]) -> tuple[LeafReport | tuple[Chunk, ...], ...]:
    """Parse whole records: the report, then for each column its chunks.

    Errors: DataError for the first bad line when the policy is "error".
    Cost: O(bytes), memory for one chunk of decoded columns.
    """
    sizes = plan.sizes
    columns = [make_column(each, plan.dialect, sizes.chunk_rows) for each in plan.columns]
    leaf = _Leaf(plan, columns, [None] * len(columns))
    n_bytes = 0
    for segment in segments:
        reader = Reader(plan.sources[segment.source], segment, plan.dialect.eol, sizes.window_bytes)
        try:
            _parse_segment(leaf, reader, segment)
        finally:
            reader.close()
        n_bytes += segment.end - segment.start
    if leaf.at:
        _seal(leaf)
    found: list[tuple[ColumnReport, tuple[Chunk, ...]]] = [
        column.finish() if contrary is None else (ColumnReport(contrary=contrary), ())
        for column, contrary in zip(leaf.columns, leaf.contrary, strict=True)
    ]
    report = LeafReport(
        chunk_rows=tuple(leaf.chunk_rows),
        columns=tuple(column for column, _ in found),
        bad_lines=tuple(leaf.bad_lines),
        n_bad=leaf.n_bad,
        dropped=tuple(leaf.dropped),
        n_bytes=n_bytes,
    )
    return report, *(chunks for _, chunks in found)


def _parse_segment(leaf: _Leaf, reader: Reader, segment: Segment) -> None:
    plan = leaf.plan
    d = plan.dialect
    n_fields = plan.n_fields[segment.source]
    cells = plan.sizes.window_bytes // 4  # as many bytes of bounds as of text
    rows = max(min(cells // (n_fields + 1), plan.sizes.chunk_rows), 1)
    bounds = np.empty((rows, n_fields + 1), dtype=np.int32)
    bad = np.empty((BAD_PER_WINDOW, 4), dtype=np.int64)
    out = np.zeros(3, dtype=np.int64)
    keep = plan.policy == "null"
    while True:
        room = min(rows, plan.sizes.chunk_rows - leaf.at)
        low, final = reader.low, reader.final
        kernels.tokenise(
            reader.text, low, reader.high, final, d.sep, d.quote, d.eol, d.comment, d.strip, d.skip_blank, keep,
            bounds[:room], bad, out,
        )  # fmt: skip
        position, n_rows, n_bad = out.tolist()
        if n_bad:
            _report_ragged(leaf, reader, segment, n_fields, bad[:n_bad])
        if n_rows:
            window = Window(reader.text, low, bounds, n_rows, position - low)
            _read_window(leaf, reader, segment, window)
        reader.low = position
        if leaf.at == plan.sizes.chunk_rows:
            _seal(leaf)
        if position == low:
            if final:
                assert position == reader.high, "a final window is read to its end"
                return
            reader.fill()


def _seal(leaf: _Leaf) -> None:
    for column, contrary in zip(leaf.columns, leaf.contrary, strict=True):
        if contrary is None:
            column.seal(leaf.at)
    leaf.chunk_rows.append(leaf.at)
    leaf.at = 0


def _report_ragged(leaf: _Leaf, reader: Reader, segment: Segment, n_fields: int, bad: I64) -> None:
    name = leaf.plan.sources[segment.source].name
    for position, found, fault, _ in bad.tolist():
        leaf.n_bad += 1
        if leaf.plan.policy != "error" and len(leaf.bad_lines) >= BAD_LINES_SHOWN:
            continue
        if fault == Fault.RAGGED:
            reason = f"the line has {_fields(found)}, not {n_fields}"
        elif fault == Fault.STRAY:
            reason = "text follows a closing quote (a quote inside a quoted field is written twice)"
        else:
            reason = "a quote is opened and never closed"
        _say(leaf, BadLine(name, reader.line(position), reason), "fix the line")


def _fields(n: int) -> str:
    return f"{n} field" + ("" if n == 1 else "s")


def _say(leaf: _Leaf, line: BadLine, step: str) -> None:
    """Raise, or note a bad line, as the policy says."""
    if leaf.plan.policy == "error":
        raise DataError(f"{line}; {step}, or choose on_bad_lines='skip' or 'null'")
    if len(leaf.bad_lines) < BAD_LINES_SHOWN:
        leaf.bad_lines.append(line)


def _read_window(leaf: _Leaf, reader: Reader, segment: Segment, window: Window) -> None:
    """Have every column read its field; deal with the rows that do not fit."""
    fields = leaf.plan.fields[segment.source]
    bad: dict[int, I64] = {}
    texts = [k for k, c in enumerate(leaf.plan.columns) if c.type in (VecType.ENUM, VecType.STRING)]
    others = [k for k in range(len(fields)) if k not in texts]
    if int(window.text[window.base : window.base + window.n_bytes].max(initial=0)) >= 128:
        for k in texts:
            _check_utf8(window, fields[k], k, bad)
    _read_columns(leaf, reader, segment, window, others, bad)
    if bad:
        _report_values(leaf, reader, segment, window, bad)
        if leaf.plan.policy == "skip":
            rows = np.unique(np.concatenate(list(bad.values())))
            leaf.dropped.extend((leaf.n_rows + rows).tolist())
            bounds: I32 = np.ascontiguousarray(np.delete(window.bounds[: window.n_rows], rows, axis=0))
            leaf.n_rows += len(rows)
            window = Window(window.text, window.base, bounds, len(bounds), window.n_bytes)
            _read_columns(leaf, reader, segment, window, others, {})
    _read_columns(leaf, reader, segment, window, texts, {})
    if bad and leaf.plan.policy == "null":
        for k, rows in bad.items():
            leaf.columns[k].erase(leaf.at + rows)
    leaf.at += window.n_rows
    leaf.n_rows += window.n_rows


def _check_utf8(window: Window, source_field: int, column: int, bad: dict[int, I64]) -> None:
    from hydroscope.ingest.kernels_text import bad_utf8

    rows = np.empty(window.n_rows, dtype=np.int64)
    n = bad_utf8(window.text, window.base, window.bounds, window.n_rows, source_field, rows)
    if n:
        bad[column] = rows[:n]


def _read_columns(
    leaf: _Leaf, reader: Reader, segment: Segment, window: Window, which: list[int], bad: dict[int, I64]
) -> None:
    fields = leaf.plan.fields[segment.source]
    for k in which:
        if leaf.contrary[k] is not None:
            continue
        column = leaf.columns[k]
        rows = column.read(window, fields[k], leaf.at)
        if len(rows) and not column.plan.fixed:
            row = int(rows[0])
            leaf.contrary[k] = _line(leaf, reader, segment, window, row, f"{_shown(window, row, fields[k])}")
        elif len(rows):
            bad[k] = rows.copy()
        if isinstance(column, EnumColumn) and column.overflowed and not column.plan.fixed:
            leaf.contrary[k] = _line(leaf, reader, segment, window, 0, "more than 1,000,000 levels")


def _line(leaf: _Leaf, reader: Reader, segment: Segment, window: Window, row: int, reason: str) -> BadLine:
    name = leaf.plan.sources[segment.source].name
    return BadLine(name, reader.line(window.base + int(window.bounds[row, 0])), reason)


def _shown(window: Window, row: int, source_field: int) -> str:
    """Return a field in quotes as it stands in the file, its beginning if it is long."""
    text = window.field(row, source_field)
    try:
        shown = repr(text.decode()[:60])
    except UnicodeDecodeError:
        shown = repr(text[:60])[1:]
    return shown + ("..." if len(text) > 60 else "")


def _report_values(leaf: _Leaf, reader: Reader, segment: Segment, window: Window, bad: dict[int, I64]) -> None:
    """Tell of values that do not fit a type that was asked for, by row, then by column."""
    fields = leaf.plan.fields[segment.source]
    cells = sorted((row, k) for k, rows in bad.items() for row in rows.tolist())
    leaf.n_bad += len({row for row, _ in cells})
    for row, k in cells:
        if leaf.plan.policy != "error" and len(leaf.bad_lines) >= BAD_LINES_SHOWN:
            return
        plan = leaf.plan.columns[k]
        shown = _shown(window, row, fields[k])
        if plan.type in (VecType.ENUM, VecType.STRING):
            reason = f"column {plan.name!r} holds {shown}, which is not UTF-8"
            step = "name the file's encoding, for instance encoding='latin-1'"
        else:
            reason = f"column {plan.name!r} holds {shown}, but its type {plan.type} needs {RULES[plan.type]}"
            step = f"give types={{{plan.name!r}: 'string'}}, add the text to na_strings"
        _say(leaf, _line(leaf, reader, segment, window, row, reason), step)
