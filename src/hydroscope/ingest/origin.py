"""Where a frame's rows came from, and how reading went."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import numpy as np

from hydroscope.ground.errors import UserError
from hydroscope.ingest import kernels
from hydroscope.ingest.leaf import Reader
from hydroscope.ingest.plan import BadLine, LeafReport, Plan, Segment

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
            lines.append(f"{self.n_bad_lines:,} bad lines, among them")
            lines += [f"  {bad}" for bad in self.bad_lines[:10]]
        return "\n".join(lines)


class Origin:
    """Finds the line of the file that a row was read from."""

    def __init__(
        self, plan: Plan, pieces: tuple[tuple[Segment, ...], ...], reports: tuple[LeafReport, ...], report: ParseReport
    ) -> None:
        self.report = report
        self._plan = plan
        self._pieces = pieces
        self._dropped = [each.dropped for each in reports]
        self._ends = np.cumsum([sum(each.chunk_rows) for each in reports]).tolist()

    def locate(self, row: int) -> str:
        """Return "file:line" of a row. Cost: one leaf's text is cut into fields again."""
        if not 0 <= row < (self._ends[-1] if self._ends else 0):
            raise UserError(f"no row {row}; rows go from 0 to {self._ends[-1] - 1 if self._ends else -1}")
        k = bisect.bisect_right(self._ends, row)
        wanted = row - (self._ends[k - 1] if k else 0)
        for dropped in self._dropped[k]:
            wanted += dropped <= wanted
        for segment in self._pieces[k]:
            source = self._plan.sources[segment.source]
            if source.streamed:
                return f"{source.name}:{segment.line}+"
            reader = Reader(source.path, segment, self._plan.dialect.eol)
            try:
                found = self._line(reader, segment, wanted)
            finally:
                reader.close()
            if found > 0:
                return f"{source.name}:{found}"
            wanted += found
        return self._plan.sources[self._pieces[k][0].source].name

    def _line(self, reader: Reader, segment: Segment, wanted: int) -> int:
        """Return the line of record `wanted`, or minus the number of records."""
        d, n_fields, seen = self._plan.dialect, self._plan.n_fields[segment.source], 0
        bounds = np.empty((max(65_536 // (n_fields + 1), 1), n_fields + 1), dtype=np.int32)
        bad, out = np.empty((256, 4), dtype=np.int64), np.zeros(3, dtype=np.int64)
        while True:
            low, final = reader.low, reader.final
            kernels.tokenise(
                reader.text, low, reader.high, final, d.sep, d.quote, d.eol, d.comment, d.strip, d.skip_blank,
                self._plan.policy == "null", bounds, bad, out,
            )  # fmt: skip
            if wanted < seen + out[1]:
                return reader.line(low + int(bounds[wanted - seen, 0]))
            seen += int(out[1])
            reader.low = int(out[0])
            if out[0] == low:
                if final:
                    return -seen
                reader.fill()
