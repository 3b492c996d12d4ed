"""Parsed pieces into columns: one type and one domain for all, chunks four to a leaf."""

from __future__ import annotations

from typing import Any

import numpy as np

from hydroscope.codecs.chunk import Chunk
from hydroscope.codecs.decode import decode_int
from hydroscope.codecs.encode import encode_int, encode_real
from hydroscope.frame.layout import Layout
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.limits import CHUNKS_PER_LEAF, INT_MISSING
from hydroscope.ingest import kernels_number as number
from hydroscope.ingest.dialect import I64
from hydroscope.ingest.kernels_time import CUT_BELOW_MS
from hydroscope.ingest.origin import Origin
from hydroscope.ingest.pieces import Parse
from hydroscope.ingest.plan import ENUM_LEVELS_MAX, ColumnPlan, ColumnReport, Plan
from hydroscope.node import ports

__all__ = ["can_recode", "make_vecs", "time_notes", "wider_type"]


def wider_type(column: ColumnPlan, reports: list[ColumnReport]) -> tuple[VecType | None, str]:
    """Return the type a column needs instead of its guessed one (None: it fits), and why.

    int -> real -> text; time, bool, uuid -> text; enum -> string. ENUM stands for text here.
    """
    if column.fixed:
        return None, ""
    contrary = next((r.contrary for r in reports if r.contrary is not None), None)
    if contrary is not None:
        return (VecType.STRING if column.type == VecType.ENUM else VecType.ENUM), str(contrary)
    seen = 0
    for report in reports:
        seen |= report.seen
    if column.type == VecType.INT:
        if seen & number.SEEN_REAL:
            return VecType.REAL, "numbers with a fraction or an exponent"
        if seen & number.SEEN_WIDE:
            return VecType.STRING, "whole numbers beyond 64 bits"
    if column.type == VecType.ENUM and len({level for r in reports for level in r.domain or ()}) > ENUM_LEVELS_MAX:
        return VecType.STRING, f"more than {ENUM_LEVELS_MAX:,} levels"
    return None, ""


def can_recode(column: ColumnPlan, reports: list[ColumnReport]) -> bool:
    """Tell whether the chunks can be turned into the wider type without reading the file again."""
    return column.type == VecType.REAL and all(r.contrary is None for r in reports)


def make_vecs(plan: Plan, parse: Parse, origin: Origin) -> dict[str, Vec]:
    """Return the columns, which know where they came from.

    Cost: free but for columns whose pieces disagree about domain or type.
    """
    rows = [n for report in parse.reports for n in report.chunk_rows]
    layout = Layout(np.concatenate(([0], np.cumsum(rows))).astype(np.int64), origin)
    domains: list[tuple[str, ...] | None] = []
    columns: list[list[ports.Handle]] = []
    for k, column in enumerate(plan.columns):
        handles = [piece[k] for piece in parse.handles]
        reports = [report.columns[k] for report in parse.reports]
        domain: tuple[str, ...] | None = None
        if column.type == VecType.ENUM:
            handles, domain = _one_domain(handles, reports)
        elif column.type == VecType.REAL:
            handles = _all_real(handles, reports)
        domains.append(domain)
        columns.append(handles)
    return {
        column.name: Vec(column.type, layout, leaves, domain)
        for column, leaves, domain in zip(plan.columns, _leaves(columns, parse, layout), domains, strict=True)
    }


def _one_domain(handles: list[ports.Handle], reports: list[ColumnReport]) -> tuple[list[ports.Handle], tuple[str, ...]]:
    """Give all pieces the same sorted domain; recode those that have another."""
    levels: set[bytes] = set()
    for report in reports:
        levels.update(report.domain or ())
    domain = tuple(sorted(levels))
    code = {level: k for k, level in enumerate(domain)}
    which, items = [], []
    for k, report in enumerate(reports):
        if report.domain != domain and report.domain:
            mapping = np.array([code[level] for level in report.domain], dtype=np.int64)
            which.append(k)
            items.append((handles[k], mapping))
    if items:
        for k, handle in zip(which, ports.current().map(recode, items), strict=True):
            handles[k] = handle
    return handles, tuple(level.decode("utf-8", "replace") for level in domain)


def recode(chunks: tuple[Chunk, ...], mapping: I64) -> tuple[Chunk, ...]:
    """Replace codes by what `mapping` says."""
    table = np.append(mapping, INT_MISSING)  # the last entry is where -1 points to
    out = []
    for chunk in chunks:
        codes = decode_int(chunk)
        out.append(encode_int(table[np.where(codes == INT_MISSING, -1, codes)]))
    return tuple(out)


def _all_real(handles: list[ports.Handle], reports: list[ColumnReport]) -> list[ports.Handle]:
    which = [k for k, report in enumerate(reports) if any(report.whole)]
    if which:
        items = [(handles[k], reports[k].whole) for k in which]
        for k, handle in zip(which, ports.current().map(make_real, items), strict=True):
            handles[k] = handle
    return handles


def make_real(chunks: tuple[Chunk, ...], whole: tuple[bool, ...]) -> tuple[Chunk, ...]:
    """Turn the chunks that hold whole numbers into chunks of reals."""
    return tuple(_real(chunk) if flag else chunk for chunk, flag in zip(chunks, whole, strict=True))


def _real(chunk: Chunk) -> Chunk:
    values = decode_int(chunk)
    return encode_real(np.where(values == INT_MISSING, np.nan, values.astype(np.float64)))


def _leaves(columns: list[list[ports.Handle]], parse: Parse, layout: Layout) -> list[tuple[ports.Handle, ...]]:
    """Put four chunks to a leaf, in every column; pieces that are leaves already stay where they are.

    A task makes each leaf (of all columns at once), so that it can be made again.
    """
    counts = [len(report.chunk_rows) for report in parse.reports]
    if (
        all(n == CHUNKS_PER_LEAF for n in counts[:-1])
        and 0 not in counts[-1:]
        and max(counts, default=0) <= CHUNKS_PER_LEAF
    ):
        return [tuple(handles) for handles in columns]
    starts = np.concatenate(([0], np.cumsum(counts)))
    items = []
    for first, last in layout.leaves:
        pieces = range(int(np.searchsorted(starts, first, "right")) - 1, int(np.searchsorted(starts, last, "left")))
        low = first - int(starts[pieces[0]])
        parts = [handles[piece] for handles in columns for piece in pieces]
        items.append((len(pieces), low, low + last - first, *parts))
    made: list[Any] = list(ports.current().map(join, items, len(columns)))
    if len(columns) == 1:
        return [tuple(made)]
    return [tuple(leaf[k] for leaf in made) for k in range(len(columns))]


def join(n_pieces: int, low: int, high: int, *parts: tuple[Chunk, ...]) -> Any:
    """Return chunks low..high of each column's pieces put together; `parts` are column after column."""
    columns = [
        tuple(chunk for part in parts[k : k + n_pieces] for chunk in part)[low:high]
        for k in range(0, len(parts), n_pieces)
    ]
    return columns[0] if len(columns) == 1 else tuple(columns)


def time_notes(plan: Plan, parse: Parse) -> list[str]:
    """Say which times had more than milliseconds."""
    notes = []
    for k, column in enumerate(plan.columns):
        if column.type == VecType.TIME and any(report.columns[k].seen & CUT_BELOW_MS for report in parse.reports):
            notes.append(f"column {column.name!r}: fractions of a second were cut to milliseconds")
    return notes
