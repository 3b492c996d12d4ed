"""Where a frame's rows came from, and how reading went."""

from __future__ import annotations

import bisect
import os
from dataclasses import dataclass
from itertools import islice

import numpy as np

from hydroscope.ground.errors import DataError, UserError
from hydroscope.ingest import kernels
from hydroscope.ingest.header import Headers
from hydroscope.ingest.leaf import Reader
from hydroscope.ingest.pieces import stream_pieces
from hydroscope.ingest.plan import BadLine, LeafReport, Plan, Segment
from hydroscope.ingest.sources import expect_unchanged

__all__ = ["Origin", "ParseReport"]


@dataclass(frozen=True, slots=True)
class ParseReport:
    """How the reading of text went.

    Attributes
    ----------
    files : tuple of str
    n_bytes, n_rows : int
    seconds : float
    n_bad_lines : int
    bad_lines : tuple of BadLine
        The first 100 of each leaf.
    widened : tuple of (column, guessed type, type, reason)
    notes : tuple of str
    """

    files: tuple[str, ...]
    n_bytes: int
    n_rows: int
    seconds: float
    n_bad_lines: int
    bad_lines: tuple[BadLine, ...]
    widened: tuple[tuple[str, str, str, str], ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.n_rows:,} rows from {self.n_bytes:,} bytes in {self.seconds:.2f} s ({', '.join(self.files)})"]
        lines += [f"column {c!r} was guessed {a} and is {b}: {why}" for c, a, b, why in self.widened]
        lines += self.notes
        if self.n_bad_lines:
            shown = self.bad_lines[:10]
            several = f"{self.n_bad_lines:,} bad lines" + ("" if len(shown) == self.n_bad_lines else ", among them")
            lines.append("1 bad line" if self.n_bad_lines == 1 else several)
            lines += [f"  {bad}" for bad in shown]
        return "\n".join(lines)


class Origin:
    """Finds the line of the file that a row was read from.

    Attributes
    ----------
    report : ParseReport or None
        None until the reading has ended.
    """

    report: ParseReport | None = None

    def __init__(
        self,
        plan: Plan,
        headers: Headers,
        pieces: tuple[tuple[Segment, ...], ...],
        reports: tuple[LeafReport, ...],
    ) -> None:
        self._plan = plan
        self._headers = headers
        self._pieces = pieces
        self._dropped = [each.dropped for each in reports]
        self._ends = np.cumsum([sum(each.chunk_rows) for each in reports], dtype=np.int64).tolist()

    def locate(self, row: int) -> str:
        """Return "file:line" of a row; only the file's name when that is gone or has changed.

        Cost: one leaf's text is cut into fields again; a compressed file is decompressed up to there.
        """
        n_rows = self._ends[-1] if self._ends else 0
        if not 0 <= row < n_rows:
            raise UserError(f"no row {row}; rows go from 0 to {n_rows - 1}")
        k = bisect.bisect_right(self._ends, row)
        wanted = row - (self._ends[k - 1] if k else 0)
        for dropped in self._dropped[k]:
            wanted += dropped <= wanted
        names = [self._plan.sources[segment.source].name for segment in self._pieces[k]]
        try:
            for segment, name in zip(self._segments(k), names, strict=True):
                line, n_rows = self._line(segment, wanted)
                if line:
                    return f"{name}:{line}"
                wanted -= n_rows
        except (OSError, DataError):
            pass
        return names[0]

    def _segments(self, k: int) -> tuple[Segment, ...]:
        """Return a piece again: where it lies in its files, or its text where that had to be decompressed."""
        for source in self._plan.sources:
            expect_unchanged(source, os.stat(source.path))
        if not any(source.streamed for source in self._plan.sources):
            return self._pieces[k]
        for piece in islice(stream_pieces(self._plan, self._headers, []), k, None):
            return piece
        raise DataError(f"{self._plan.sources[-1].name} has changed since it was read")

    def _line(self, segment: Segment, wanted: int) -> tuple[int, int]:
        """Return the line of a segment's row `wanted`; if it has no such row, 0 and how many it has."""
        source = self._plan.sources[segment.source]
        reader = Reader(source, segment, self._plan.dialect.eol, self._plan.sizes.window_bytes)
        try:
            return self._search(reader, self._plan.n_fields[segment.source], wanted)
        finally:
            reader.close()

    def _search(self, reader: Reader, n_fields: int, wanted: int) -> tuple[int, int]:
        d, seen = self._plan.dialect, 0
        bounds = np.empty((max(65_536 // (n_fields + 1), 1), n_fields + 1), dtype=np.int32)
        bad, out = np.empty((256, 4), dtype=np.int64), np.zeros(3, dtype=np.int64)
        while True:
            low, final = reader.low, reader.final
            kernels.tokenise(
                reader.text, low, reader.high, final, d.sep, d.quote, d.eol, d.comment, d.strip, d.skip_blank,
                self._plan.policy == "null", bounds, bad, out,
            )  # fmt: skip
            reader.low, n_rows, _ = out.tolist()
            if wanted < seen + n_rows:
                return reader.line(low + int(bounds[wanted - seen, 0])), seen
            seen += n_rows
            if reader.low == low:
                if final:
                    return 0, seen
                reader.fill()
