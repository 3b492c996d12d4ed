"""The text of all files in pieces of whole records, and the parse of every piece.

A plain file is cut after a scan, and each piece is a task that reads its own bytes. A
compressed one is decompressed in order; while a batch of pieces is parsed, the next is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hydroscope.ground.errors import DataError
from hydroscope.ground.limits import CHUNKS_PER_LEAF
from hydroscope.ingest import kernels
from hydroscope.ingest.cut import Chain, cut, scan_source, scan_text
from hydroscope.ingest.dialect import Dialect, State
from hydroscope.ingest.header import Headers
from hydroscope.ingest.leaf import parse_leaf
from hydroscope.ingest.plan import RECORD_BYTES_MAX, BadLine, LeafReport, Plan, Segment
from hydroscope.ingest.sources import Source, blocks
from hydroscope.ingest.text import SLACK, padded
from hydroscope.node import jobs, ports

__all__ = ["Parse", "parse_files", "parse_streams", "stream_pieces"]


@dataclass(frozen=True)
class Parse:
    """The pieces in row order: what was found, and for each column a handle of its chunks.

    `cut_off` tells of quotes that were never closed: what follows them was left out.
    """

    reports: tuple[LeafReport, ...]
    handles: tuple[tuple[ports.Handle, ...], ...]
    segments: tuple[tuple[Segment, ...], ...]
    cut_off: tuple[BadLine, ...] = ()

    def with_columns(self, which: Sequence[int], other: Parse) -> Parse:
        """Return this with columns `which` taken from a parse of only those."""
        reports, handles = [], []
        for mine, others, mine_h, others_h in zip(
            self.reports, other.reports, self.handles, other.handles, strict=True
        ):
            assert mine.chunk_rows == others.chunk_rows, "the same records fall into the same chunks"
            columns, chunks = list(mine.columns), list(mine_h)
            for k, column, handle in zip(which, others.columns, others_h, strict=True):
                columns[k], chunks[k] = column, handle
            reports.append(
                LeafReport(mine.chunk_rows, tuple(columns), mine.bad_lines, mine.n_bad, mine.dropped, mine.n_bytes)
            )
            handles.append(tuple(chunks))
        return Parse(tuple(reports), tuple(handles), self.segments, self.cut_off)


def parse_files(plan: Plan, headers: Headers) -> Parse:
    """Parse plain files: scan, cut at whole leaves, one task a piece."""
    engine = ports.current()
    with jobs.share(0.0, 0.1):
        chains, ends, cut_off = _scan(plan, headers)
    total = sum(chain.records[-1] + 1 for chain in chains)
    # A few large pieces would leave threads idle at the end; chunks are put together afterwards.
    chunk_rows = plan.sizes.chunk_rows
    leaf_rows = chunk_rows * CHUNKS_PER_LEAF
    rows = leaf_rows if total >= 4 * engine.n_threads * leaf_rows else chunk_rows
    pieces = _pieces(plan, headers, chains, ends, rows)
    with jobs.share(0.1, 1.0):
        shared = engine.put(plan)
        results = engine.map(parse_leaf, [(shared, piece) for piece in pieces], n_returns=len(plan.columns) + 1)
    reports = engine.get([result[0] for result in results])
    return Parse(tuple(reports), tuple(tuple(result[1:]) for result in results), tuple(pieces), cut_off)


def _scan(plan: Plan, headers: Headers) -> tuple[list[Chain], list[int], tuple[BadLine, ...]]:
    """Scan all files; a file that ends inside quotes ends before the record that opened them."""
    chains, ends = [], []
    cut_off: list[BadLine] = []
    for k, source in enumerate(plan.sources):
        begin, end = headers.begins[k], source.size_bytes
        chain = scan_source(source.path, begin, end, plan.dialect, plan.sizes.scan_bytes)
        if chain.blocks and chain.blocks[-1].end == State.QUOTED:
            end, bad = _open_quote(plan, k, begin, end, headers.lines[k], chain)
            cut_off.append(bad)
        chains.append(chain)
        ends.append(end)
    return chains, ends, tuple(cut_off)


def _open_quote(plan: Plan, k: int, begin: int, end: int, line: int, chain: Chain) -> tuple[int, BadLine]:
    """Find the record whose quote is never closed: where it begins, and what to say."""
    source = plan.sources[k]
    if chain.records[-1] == 0:
        start, at = begin, line
    else:
        counts = [chain.records[-1]]
        last = cut(k, source.path, begin, end, line, plan.dialect, chain, counts, plan.sizes.scan_bytes)[-1]
        start, at = last.start, last.line
    bad = unclosed(source.name, at, end - start)
    if plan.policy == "error":
        raise DataError(f"{bad}; close it, or read with quote=None if quotes are ordinary text")
    return start, bad


def unclosed(name: str, line: int, n_bytes: int) -> BadLine:
    """Say that a quote is never closed."""
    return BadLine(name, line, f"a quote is opened in this record and not closed in the {n_bytes:,} bytes to the end")


def _pieces(plan: Plan, headers: Headers, chains: list[Chain], ends: list[int], rows: int) -> list[tuple[Segment, ...]]:
    """Cut all files into pieces of `rows` records; a piece may go on in the next file."""
    pieces: list[tuple[Segment, ...]] = []
    current: list[Segment] = []
    room = rows
    for k, source in enumerate(plan.sources):
        total = chains[k].records[-1]
        counts = list(range(room, total, rows))
        segments = cut(
            k, source.path, headers.begins[k], ends[k], headers.lines[k], plan.dialect, chains[k], counts,
            plan.sizes.scan_bytes,
        )  # fmt: skip
        for segment in segments[:-1]:
            pieces.append((*current, segment))
            current = []
        current.extend(segments[-1:])
        room = rows - (total - counts[-1] if counts else total + rows - room)
        if room <= 0:
            pieces.append(tuple(current))
            current, room = [], rows
    if current:
        pieces.append(tuple(current))
    return pieces


def parse_streams(plan: Plan, headers: Headers) -> Parse:
    """Parse compressed files: decompress a batch of pieces while the one before is parsed."""
    engine = ports.current()
    cut_off: list[BadLine] = []
    pieces = stream_pieces(plan, headers, cut_off)
    n_batch = max(engine.n_threads, 1)
    reports: list[LeafReport] = []
    handles: list[tuple[ports.Handle, ...]] = []
    places: list[tuple[Segment, ...]] = []
    batch = _take(pieces, n_batch)
    while batch:
        jobs.check()
        now = batch

        def work(i: int, now: list[tuple[Segment, ...]] = now) -> Any:
            return _take(pieces, n_batch) if i == 0 else parse_leaf(plan, now[i - 1])

        batch, *parsed = engine.parallel(work, len(now) + 1)
        for piece, (report, *chunks) in zip(now, parsed, strict=True):
            reports.append(report)
            handles.append(tuple(engine.put(each) for each in chunks))
            places.append(tuple(Segment(s.source, s.start, s.end, s.line) for s in piece))
    return Parse(tuple(reports), tuple(handles), tuple(places), tuple(cut_off))


def _take(pieces: Iterator[tuple[Segment, ...]], n: int) -> list[tuple[Segment, ...]]:
    taken = []
    for piece in pieces:
        taken.append(piece)
        if len(taken) == n:
            break
    return taken


def stream_pieces(plan: Plan, headers: Headers, cut_off: list[BadLine]) -> Iterator[tuple[Segment, ...]]:
    """Yield pieces of a chunk's rows each, their text in memory."""
    total = max(sum(source.size_bytes for source in plan.sources), 1)
    before = 0  # bytes as stored, of the files that are done
    for k, source in enumerate(plan.sources):
        cutter = _Cutter(k, plan.dialect, headers.lines[k], source.name, plan.sizes.chunk_rows)
        skip = headers.begins[k]

        def told(position: int, before: int = before, source: Source = source) -> None:
            jobs.report((before + min(position, source.size_bytes)) / total)

        for block in blocks(source, plan.sizes.block_bytes, told):
            if skip >= len(block):
                skip -= len(block)
                continue
            yield from cutter.feed(block[skip:])
            skip = 0
        yield from cutter.rest(plan.policy, cut_off)
        before += source.size_bytes


class _Cutter:
    """Cuts a stream of blocks behind every `rows` records. Owns the text not yet handed over."""

    def __init__(self, source: int, dialect: Dialect, line: int, name: str, rows: int) -> None:
        self._source = source
        self._dialect = dialect
        self._line = line
        self._name = name
        self._parts: list[bytes] = []
        self._state = int(State.RECORD)
        self._rows = self._room = rows
        self._n_lines = 0  # in the parts
        self._n_records = 0
        self._offset = 0  # of the first part in the stream's data

    def feed(self, block: bytes) -> Iterator[tuple[Segment, ...]]:
        """Take a block; yield the pieces that it completes."""
        d = self._dialect
        text = padded(block)
        low = 0
        while low < len(block):
            found = scan_text(text[low:], len(block) - low, self._state, d)
            if found.n_records < self._room:
                self._parts.append(block[low:])
                self._room -= found.n_records
                self._n_lines += found.n_lines
                self._state = found.end
                held = sum(map(len, self._parts))
                if found.n_records == 0 and held > RECORD_BYTES_MAX and self._state == State.QUOTED:
                    raise DataError(
                        f"{self._name}: after line {self._line} a quote is not closed within {RECORD_BYTES_MAX:,} "
                        "bytes; close it, or read with quote=None if quotes are ordinary text"
                    )
                return
            out = np.empty(6, dtype=np.int64)
            kernels.scan(text, low, len(block), self._state, d.sep, d.quote, d.eol, d.comment, d.strip, self._room, out)
            high = int(out[4])
            self._parts.append(block[low:high])
            self._n_lines += int(out[1])
            yield self._piece()
            self._state, low = int(out[2]), high

    def _piece(self) -> tuple[Segment, ...]:
        text = padded(b"".join(self._parts))
        piece = Segment(self._source, 0, len(text) - SLACK, self._line, text)
        self._parts, self._room = [], self._rows
        self._line += self._n_lines
        self._n_lines = 0
        return (piece,)

    def rest(self, policy: str, cut_off: list[BadLine]) -> Iterator[tuple[Segment, ...]]:
        """Yield what is left at the end of the stream."""
        if not self._parts:
            return
        (piece,) = self._piece()
        assert piece.text is not None
        if self._state == State.QUOTED:
            d, out = self._dialect, np.empty(6, dtype=np.int64)
            kernels.scan(piece.text, 0, piece.end, 0, d.sep, d.quote, d.eol, d.comment, d.strip, -1, out)
            target = int(out[0])
            kernels.scan(piece.text, 0, piece.end, 0, d.sep, d.quote, d.eol, d.comment, d.strip, target, out)
            start = int(out[4]) if target else 0
            bad = unclosed(self._name, piece.line + (int(out[1]) if target else 0), piece.end - start)
            if policy == "error":
                raise DataError(f"{bad}; close it, or read with quote=None if quotes are ordinary text")
            cut_off.append(bad)
            piece = Segment(piece.source, 0, start, piece.line, piece.text)
        if piece.end:
            yield (piece,)
