"""What a file of delimited text is like, judged from a sample of it."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hydroscope.frame.vec import VecType
from hydroscope.ingest import kernels
from hydroscope.ingest import kernels_number as number
from hydroscope.ingest import kernels_time as time
from hydroscope.ingest.columns import EnumColumn, FlagColumn, NumberColumn, TimeColumn, UuidColumn, Window, window_of
from hydroscope.ingest.dialect import NONE, U8, Dialect
from hydroscope.ingest.plan import ColumnPlan
from hydroscope.ingest.reference import unquoted
from hydroscope.ingest.sources import Source, head
from hydroscope.ingest.text import padded

__all__ = ["Sample", "SourceSample", "guess_column", "guess_dialect", "looks_like_header", "sample_source"]

HEAD_BYTES = 1 << 20
"""Bytes of the first block of a file that are looked at."""

MIDDLE_BYTES = 1 << 17
N_MIDDLES = 4
"""Blocks from the middle of a file, and their size."""

SEPARATORS = "\x01,;|\t "
"""In the order in which they are preferred."""

LINES_FOR_SEPARATOR = 100

ENUM_SMALL = 256
"""Levels: up to so many are few, if values repeat."""

ENUM_NEW_SHARE = 0.05
"""An enum's chance that the next value is a new level, at most (estimated by the share of levels seen once)."""

FORMS = (time.ISO, time.DAY_MONTH_NAME, time.MONTH_DAY)
"""Forms of time, in the order in which they are tried."""

PROBE_ROWS = 64
"""Rows that are tried before a whole sample."""

LEVEL_BYTES_MAX = 128
"""Bytes of a level on average; longer texts are strings."""


@dataclass(frozen=True, slots=True)
class SourceSample:
    """Pieces of one text: its beginning, and blocks from its middle (which begin anywhere)."""

    source: Source
    head: bytes
    complete: bool
    middles: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """Windows of records of all sources, and which field of each is which column."""

    windows: tuple[tuple[Window, tuple[int, ...]], ...]
    n_rows: int

    @property
    def n_rows_most(self) -> int:
        """Rows of the largest window."""
        return max((window.n_rows for window, _ in self.windows), default=1)

    def probes(self) -> Iterator[tuple[Window, tuple[int, ...]]]:
        """Yield a few rows first, so that what does not fit is seen soon, and then all windows."""
        for window, fields in self.windows[:1]:
            yield replace(window, n_rows=min(window.n_rows, PROBE_ROWS)), fields
        yield from self.windows


def sample_source(source: Source) -> SourceSample:
    """Read the first block of a source and some from its middle."""
    text, complete = head(source, HEAD_BYTES)
    middles: list[bytes] = []
    if not source.streamed and source.size_bytes > 2 * HEAD_BYTES:
        with open(source.path, "rb") as file:
            for k in range(1, N_MIDDLES + 1):
                offset = HEAD_BYTES + (source.size_bytes - HEAD_BYTES - MIDDLE_BYTES) * k // N_MIDDLES
                middles.append(os.pread(file.fileno(), MIDDLE_BYTES, offset))
    return SourceSample(source, text, complete, tuple(middles))


def guess_dialect(text: bytes, complete: bool, sep: str | None, quote: str | None, comment: str | None) -> Dialect:
    """Guess separator and line end from the beginning of a text; what is given stands."""
    eol = 13 if b"\r" in text and b"\n" not in text else 10
    lines = _first_lines(text, complete, eol, comment)
    if sep is None:
        sep = _guess_separator(lines, quote)
    strip = sep not in ("\t", " ") and _blank_after(lines, sep)
    return Dialect(
        sep=ord(sep),
        quote=NONE if quote is None else ord(quote),
        eol=eol,
        comment=NONE if comment is None else ord(comment),
        strip=strip,
    )


def _first_lines(text: bytes, complete: bool, eol: int, comment: str | None) -> list[str]:
    """Return the first lines that are whole, without blank ones and comments."""
    lines = text[: 1 << 17].decode("utf-8", "replace").replace("\r\n", "\n").split("\r" if eol == 13 else "\n")
    if len(lines) > 1 and (not complete or len(text) > 1 << 17):
        lines.pop()
    return [line for line in lines if line.strip() and not (comment and line.startswith(comment))][:LINES_FOR_SEPARATOR]


def _counts(lines: Sequence[str], sep: str, quote: str | None) -> list[int]:
    """Return the number of fields of each record."""
    quoting: Literal[0, 3] = csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL
    before = csv.field_size_limit(1 << 30)
    try:
        rows = csv.reader((line + "\n" for line in lines), delimiter=sep, quotechar=quote or '"', quoting=quoting)
        return [len(row) for row in rows]
    except csv.Error:
        return []
    finally:
        csv.field_size_limit(before)


def _guess_separator(lines: list[str], quote: str | None) -> str:
    """Choose the separator that cuts most lines into the same number of fields, two at least.

    Among equals the one with more fields, then the earlier one, wins; a blank only when no
    other separates anything (it is part of most texts).
    """
    best, best_score = ",", (0.0, 0)
    for sep in SEPARATORS:
        counts = _counts(lines, sep, quote)
        if not counts:
            continue
        n_fields, n_lines = Counter(counts).most_common(1)[0]
        if n_fields < 2:
            continue
        score = (round(n_lines / len(counts), 1), n_fields if sep != " " else 1)
        if score > best_score and (score[0] >= 0.5 or best_score[0] == 0):
            best, best_score = sep, score
    return best


def _blank_after(lines: list[str], sep: str) -> bool:
    """Tell whether (nearly) every separator is followed by a blank, as in `a, b, c`."""
    n = sum(line.count(sep) for line in lines)
    blank = sum(line.count(sep + " ") for line in lines)
    return n > 0 and blank >= 0.9 * n


def tokenise_all(
    text: U8, start: int, end: int, final: bool, d: Dialect, n_fields: int, keep: bool
) -> tuple[Window, int]:
    """Cut a sample into fields; returns its records, and how many were bad."""
    n_rows = int(np.count_nonzero(text[start:end] == d.eol)) + 1
    bounds = np.empty((n_rows, n_fields + 1), dtype=np.int32)
    bad = np.empty((n_rows + 1, 4), dtype=np.int64)
    out = np.zeros(3, dtype=np.int64)
    kernels.tokenise(
        text, start, end, final, d.sep, d.quote, d.eol, d.comment, d.strip, d.skip_blank, keep, bounds, bad, out
    )
    return Window(text, start, bounds, int(out[1]), end - start), int(out[2])


def middle_window(block: bytes, d: Dialect, n_fields: int) -> Window | None:
    """Cut a block that begins anywhere; None when it does not look like records.

    It may begin inside quotes, so both readings are tried and the one with more good
    records wins.
    """
    text = padded(block)
    eols = np.flatnonzero(text[: len(block)] == d.eol)
    if len(eols) < 2:
        return None
    window, n_bad = tokenise_all(text, int(eols[0]) + 1, len(block), False, d, n_fields, False)
    if n_bad > window.n_rows and d.quote != NONE:
        quotes = np.flatnonzero(text[: len(block)] == d.quote)
        after = eols[np.searchsorted(eols, quotes[0]) :] if len(quotes) else eols[:0]
        if len(after):
            window, n_bad = tokenise_all(text, int(after[0]) + 1, len(block), False, d, n_fields, False)
    return window if n_bad <= window.n_rows and window.n_rows else None


def are_numbers(texts: Sequence[str]) -> list[bool]:
    """Tell which texts are numbers or dates, as names are not."""
    words = [text.strip().encode() for text in texts]
    window = window_of(words)
    plan, d = ColumnPlan("", VecType.REAL, na=()), Dialect(quote=NONE)
    others = set(NumberColumn(plan, d, len(words)).read(window, 0, 0).tolist())
    for form in FORMS if others else ():
        times = TimeColumn(replace(plan, type=VecType.TIME, form=form), d, len(words))
        others.intersection_update(times.read(window, 0, 0).tolist())
    return [bool(word) and k not in others for k, word in enumerate(words)]


def looks_like_header(first: Sequence[str], below: Sequence[Sequence[str]], na: Sequence[str]) -> bool:
    """Tell whether a first record holds names.

    A number is no name, and a text above a column of numbers is one. Without either the names
    must all differ, and not recur below them.
    """
    names = [name.strip() for name in first]
    if any(are_numbers(names)):
        return False
    for k, name in enumerate(names):
        values = [row[k] for row in below if k < len(row) and row[k].strip() not in na]
        if name not in na and values and all(are_numbers(values)):
            return True
    if len(set(names)) < len(names) or sum(name in na for name in names) > (1 if below else 0):
        return False
    recurring = sum(any(row[k] == first[k] for row in below if k < len(row)) for k in range(len(first)))
    return 2 * recurring < len(first) or not below


def guess_column(sample: Sample, k: int, plan: ColumnPlan, d: Dialect) -> ColumnPlan:
    """Guess the type of column `k` from the windows of a sample."""
    whole = replace(plan, type=VecType.INT, fixed=False)
    fits, seen = _numbers(sample, k, whole, d)
    if fits:
        if seen & (number.SEEN_REAL | number.SEEN_DOUBLE) and not seen & number.SEEN_WIDE:
            return replace(plan, type=VecType.REAL)
        if seen & number.SEEN_WIDE:
            return replace(plan, type=VecType.REAL if seen & number.SEEN_REAL else VecType.STRING)
        return whole
    first = _first_value(sample, k, plan, d)
    if not first or (first[0].isdigit() and ("-" in first or "/" in first)):
        for form in FORMS:
            timed = replace(plan, type=VecType.TIME, form=form)
            if _all_fit(sample, k, TimeColumn, timed, d):
                return timed
    if not first or first.count("-") == 4:
        uuid = replace(plan, type=VecType.UUID)
        if _all_fit(sample, k, UuidColumn, uuid, d):
            return uuid
    if not first or first.lower() in ("true", "false"):
        flag = replace(plan, type=VecType.BOOL)
        if _all_fit(sample, k, FlagColumn, flag, d):
            return flag
    return replace(plan, type=guess_text(sample, k, plan, d))


def _first_value(sample: Sample, k: int, plan: ColumnPlan, d: Dialect) -> str:
    """Return the first value in sight that is not missing ("": there is none).

    It tells which types need not be tried: a kernel that is not needed is not loaded.
    """
    for window, fields in sample.windows[:1]:
        for row in range(min(window.n_rows, PROBE_ROWS)):
            text = unquoted(window.field(row, fields[k]).strip(b" \t"), d)[0].strip(b" \t")
            if text not in plan.na:
                return text.decode("utf-8", "replace")
    return ""


def _numbers(sample: Sample, k: int, plan: ColumnPlan, d: Dialect) -> tuple[bool, int]:
    """Tell whether all values are numbers, and what forms of them there are."""
    column, seen = NumberColumn(plan, d, sample.n_rows_most), 0
    for window, fields in sample.probes():
        if len(column.read(window, fields[k], 0)):
            return False, seen
        seen |= column.take_seen()
    return True, seen


def _all_fit(
    sample: Sample, k: int, maker: type[TimeColumn | UuidColumn | FlagColumn], plan: ColumnPlan, d: Dialect
) -> bool:
    column = maker(plan, d, sample.n_rows_most)
    return all(not len(column.read(window, fields[k], 0)) for window, fields in sample.probes())


def guess_text(sample: Sample, k: int, plan: ColumnPlan, d: Dialect) -> VecType:
    """Choose between ENUM and STRING by how often values repeat.

    The chance that the next value is new is estimated by the share of values seen once
    (I. J. Good, "The population frequencies of species", Biometrika 40, 1953).
    """
    column = EnumColumn(replace(plan, type=VecType.ENUM), d, sample.n_rows_most)
    for window, fields in sample.windows:
        column.read(window, fields[k], 0)
        column.seal(window.n_rows)
    codes = column.codes()
    counts = np.bincount(codes[codes >= 0])
    n, n_levels, n_once = int(counts.sum()), int(np.count_nonzero(counts)), int(np.count_nonzero(counts == 1))
    if n == 0:
        return VecType.ENUM
    if column.level_bytes > LEVEL_BYTES_MAX * n_levels:
        return VecType.STRING
    few = n_levels <= ENUM_SMALL and (3 * n_levels <= 2 * n or n_levels <= 2)
    return VecType.ENUM if few or n_once <= ENUM_NEW_SHARE * n else VecType.STRING


def guess_form(sample: Sample, k: int, plan: ColumnPlan, d: Dialect, kind: VecType) -> int:
    """Return the form of time that fits most of a column that is to be TIME (0 otherwise)."""
    if kind != VecType.TIME or sample.n_rows == 0:
        return 0
    n_bad = []
    for form in FORMS:
        column = TimeColumn(replace(plan, type=kind, form=form), d, sample.n_rows_most)
        n_bad.append(sum(len(column.read(window, fields[k], 0)) for window, fields in sample.windows))
    return n_bad.index(min(n_bad))


def head_window(sample: SourceSample, begin: int, d: Dialect, n_fields: int) -> Window:
    """Cut the beginning of a source, from its first data record, into fields."""
    text = padded(sample.head)
    return tokenise_all(text, begin, len(sample.head), sample.complete, d, n_fields, False)[0]
