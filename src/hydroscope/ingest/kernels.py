"""Compiled cutting of text into records and fields; `reference` holds the obvious twins.

Two passes read the text. `scan` only counts: it says how many records end in a block and in
which state the block ends, so that the file can be cut where a record begins even though a
quoted field may hold line ends. `tokenise` then finds the fields of whole records:

    text     a,"b, c",7\\n         bounds[r] = [0, 1, 8, 10]
             ^ ^      ^ ^            |  |  |  end of the last field (a CR is left out)
             0 1      8 10           |  end of field 0: one before the start of field 1
                                     start of the record

Both walk from one *mark* (separator, line end or quote) to the next. Marks are found 64 bytes
at a time, as bits of a mask: a byte-by-byte machine took four times as long.
"""

from __future__ import annotations

import numpy as np

from hydroscope.ground.jit import kernel
from hydroscope.ingest.dialect import I32, I64, U8
from hydroscope.weave.bytes import address_of, byte_at, count_ones, mask_of, trailing_zeros

__all__ = ["scan", "tokenise"]

RECORD, FIELD, PLAIN, QUOTED, SEEN, COMMENT = 0, 1, 2, 3, 4, 5
RAGGED, STRAY, OPEN = 1, 2, 3
SPACE, TAB, CR = 32, 9, 13
ONE = np.uint64(1)


@kernel
def _begins_field(text: int, at: int, start: int, state: int, sep: int, eol: int, strip: bool) -> bool:
    """Tell whether text[at], outside quotes, is the first byte of a field."""
    i = at - 1
    while strip and i >= start and (byte_at(text, i) == SPACE or byte_at(text, i) == TAB) and byte_at(text, i) != sep:
        i -= 1
    if i < start:
        return state == RECORD or state == FIELD
    return byte_at(text, i) == sep or byte_at(text, i) == eol


@kernel
def scan(
    text: U8,
    start: int,
    end: int,
    state: int,
    sep: int,
    quote: int,
    eol: int,
    comment: int,
    strip: bool,
    target: int,
    out: I64,
) -> None:
    """Count the line ends outside quotes in text[start:end], beginning in `state`.

    Stops just past the `target`-th of them (target < 0: never). Every such line end counts,
    those of blank lines and comments too: the count is an upper bound of the records.

    IN text uint8[end + SLACK]. OUT: out[0] line ends outside quotes, out[1] all line ends,
    out[2] state at the end, out[3] position of the last quote that opened a field (-1:
    none), out[4] where it stopped, out[5] 1 if there is any quote. Cost: O(end - start); 20 GB/s where there are no quotes.
    """
    here = address_of(text)
    records, lines, opened, quoted = 0, 0, -1, 0
    first = start
    inside, commented = state == QUOTED, state == COMMENT
    closed = -1  # position behind a quote that may have closed a field
    if state == SEEN and start < end:
        inside = byte_at(here, start) == quote
        first = start + 1 if inside else start
    base = first
    while base < end and records != target:
        ends, quotes = mask_of(here, base, eol), mask_of(here, base, quote)
        if comment >= 0:  # a comment is a record's first byte: each line is looked at
            quotes |= mask_of(here, base, comment)
        if end - base < 64:
            kept = (ONE << np.uint64(end - base)) - ONE
            ends &= kept
            quotes &= kept
        n_ends = count_ones(ends)
        if quotes == np.uint64(0) and (inside or target < 0 or records + n_ends < target):
            if not inside:
                records += n_ends
                if n_ends > 0:
                    commented = False
            lines += n_ends
            base += 64
            continue
        quoted = 1
        marks = ends | quotes
        while marks != np.uint64(0):
            at = base + trailing_zeros(marks)
            marks &= marks - ONE
            c = byte_at(here, at)
            if c == eol:
                lines += 1
                if not inside:
                    records += 1
                    commented = False
                    if records == target:
                        base = at + 1
                        break
            elif commented:
                continue
            elif c == comment and not inside:
                if byte_at(here, at - 1) == eol if at > start else state == RECORD:
                    commented = True
            elif c != quote:
                continue
            elif inside:
                if at + 1 < end and byte_at(here, at + 1) == quote:  # two quotes: neither ends the field
                    if marks != np.uint64(0):
                        marks &= marks - ONE
                    else:
                        base += 1  # the second one is the first byte of the next block
                else:
                    inside = False
                    closed = at + 1
            elif _begins_field(here, at, first, state if first == start else PLAIN, sep, eol, strip):
                inside = True
                opened = at
        if records == target:
            break
        base += 64
    stop = min(base, end) if records == target else end
    out[0] = records
    out[1] = lines
    out[3] = opened
    out[4] = stop
    out[5] = quoted
    if inside:
        out[2] = QUOTED
    elif commented:
        out[2] = COMMENT
    elif closed == stop:
        out[2] = SEEN
    elif stop == start:
        out[2] = state
    elif stop == first:
        out[2] = PLAIN
    elif byte_at(here, stop - 1) == eol:
        out[2] = RECORD
    elif _begins_field(here, stop, first, state if first == start else PLAIN, sep, eol, strip):
        out[2] = FIELD
    else:
        out[2] = PLAIN


@kernel
def _marks(text: int, base: int, end: int, sep: int, quote: int, eol: int) -> np.uint64:
    """Return the marks among text[base:base + 64], as bits; those from `end` on are left out."""
    marks = mask_of(text, base, sep) | mask_of(text, base, eol) | mask_of(text, base, quote)
    if end - base < 64:
        marks &= (ONE << np.uint64(max(end - base, 0))) - ONE
    return marks


@kernel
def _next(
    text: int, base: int, marks: np.uint64, end: int, sep: int, quote: int, eol: int
) -> tuple[int, int, np.uint64]:
    """Return the position of the next mark (`end`: none), and the masks without it."""
    while marks == np.uint64(0):
        base += 64
        if base >= end:
            return end, base, marks
        marks = _marks(text, base, end, sep, quote, eol)
    at = base + trailing_zeros(marks)
    return at, base, marks & (marks - ONE)


@kernel
def _no_record(
    text: int, start: int, end: int, final: bool, sep: int, eol: int, comment: int, skip_blank: bool
) -> int:
    """Return the end of a comment or blank line (-1: it is neither; -2: `end` cuts it off)."""
    i = start
    if byte_at(text, i) == comment:
        while i < end and byte_at(text, i) != eol:
            i += 1
    elif skip_blank:
        while i < end and (byte_at(text, i) == SPACE or byte_at(text, i) == TAB) and byte_at(text, i) != sep:
            i += 1
        if i < end and byte_at(text, i) == CR and eol != CR:
            i += 1
        if i < end and byte_at(text, i) != eol:
            return -1
    else:
        return -1
    if i == end and not final:
        return -2
    return i


@kernel
def _past_quotes(
    text: int, at: int, base: int, marks: np.uint64, end: int, sep: int, quote: int, eol: int, strip: bool
) -> tuple[int, int, np.uint64, int]:
    """Walk from the quote that opens a field to the mark that ends the field; returns its fault, too."""
    fault = 0
    while True:
        at, base, marks = _next(text, base, marks, end, sep, quote, eol)
        while at < end and byte_at(text, at) != quote:
            at, base, marks = _next(text, base, marks, end, sep, quote, eol)
        if at + 1 < end and byte_at(text, at + 1) == quote:
            at, base, marks = _next(text, base, marks, end, sep, quote, eol)
            continue
        break
    if at >= end:
        return end, base, marks, OPEN
    after = at + 1
    while strip and after < end and (byte_at(text, after) == SPACE or byte_at(text, after) == TAB):
        if byte_at(text, after) == sep:
            break
        after += 1
    at, base, marks = _next(text, base, marks, end, sep, quote, eol)
    if after < end and byte_at(text, after) == CR and eol != CR and (after + 1 == end or byte_at(text, after + 1) == eol):
        after += 1
    if after != at or (at < end and byte_at(text, at) == quote):
        fault = STRAY
        while at < end and byte_at(text, at) == quote:
            at, base, marks = _next(text, base, marks, end, sep, quote, eol)
    return at, base, marks, fault


@kernel
def tokenise(
    text: U8,
    start: int,
    end: int,
    final: bool,
    sep: int,
    quote: int,
    eol: int,
    comment: int,
    strip: bool,
    skip_blank: bool,
    keep: bool,
    bounds: I32,
    bad: I64,
    out: I64,
) -> None:
    """Find the fields of the records in text[start:end], which begins with a record.

    Stops when `bounds` or `bad` is full, at `end`, or (final = False) before a record that
    `end` cuts off. A record that does not have exactly bounds.shape[1] - 1 fields goes to
    `bad`; with keep = True it also stays a row: missing fields are empty, further fields
    are dropped, and a record with a stray quote is empty throughout.

    IN text uint8[end + SLACK]; OUT bounds int32[rows, columns + 1], relative to `start`;
    bad int64[cap, 4]: position of the record, fields found, fault, rows before it (the row
    itself with keep); out[0] position of the first record not read, out[1] rows, out[2]
    bad records. Cost: O(end - start).
    """
    here = address_of(text)
    n_columns, n_rows = bounds.shape[1] - 1, bounds.shape[0]
    row, n_bad, position = 0, 0, start
    base = start
    marks = _marks(here, base, end, sep, quote, eol)
    while position < end and row < n_rows and n_bad < bad.shape[0]:
        c = byte_at(here, position)
        if c <= SPACE or c == comment:
            stop = _no_record(here, position, end, final, sep, eol, comment, skip_blank)
            if stop == -2:
                break
            if stop >= 0:
                at = -1
                while at < stop:
                    at, base, marks = _next(here, base, marks, end, sep, quote, eol)
                position = min(stop + 1, end)
                continue
        field, fault, begun = 0, 0, position
        bounds[row, 0] = position - start
        while True:
            at, base, marks = _next(here, base, marks, end, sep, quote, eol)
            c = byte_at(here, at) if at < end else eol
            if c == quote:
                while strip and begun < at and (byte_at(here, begun) == SPACE or byte_at(here, begun) == TAB):
                    begun += 1
                if begun == at:
                    at, base, marks, wrong = _past_quotes(here, at, base, marks, end, sep, quote, eol, strip)
                    fault = max(fault, wrong)
                else:
                    while at < end and byte_at(here, at) == quote:
                        at, base, marks = _next(here, base, marks, end, sep, quote, eol)
                c = byte_at(here, at) if at < end else eol
            if c == eol:
                break
            if field < n_columns:
                bounds[row, field + 1] = at - start
            field += 1
            begun = at + 1
        if at >= end and not final:
            break
        stop = at - 1 if eol != CR and at > position and byte_at(here, at - 1) == CR else at
        if field < n_columns:
            bounds[row, field + 1] = stop - start
        field += 1
        if fault == 0 and field != n_columns:
            fault = RAGGED
        if fault != 0:
            bad[n_bad, 0] = position
            bad[n_bad, 1] = field
            bad[n_bad, 2] = fault
            bad[n_bad, 3] = row
            n_bad += 1
            if keep:
                first = field if fault == RAGGED else 0
                for k in range(first, n_columns):  # an end before its start marks a missing field
                    bounds[row, k + 1] = bounds[row, k] if fault == RAGGED else bounds[row, 0] - 1
        row += 1 if fault == 0 or keep else 0
        position = min(at + 1, end)
    out[0] = position
    out[1] = row
    out[2] = n_bad
