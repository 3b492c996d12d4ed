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

RECORD, FIELD, PLAIN, QUOTED, SEEN, COMMENT = 0, 1, 2, 3, 4, 5  # the first two: a field may begin
RAGGED, STRAY, OPEN = 1, 2, 3
SPACE, TAB, CR = 32, 9, 13
ONE, NO_MARKS = np.uint64(1), np.uint64(0)


@kernel
def _begins_field(text: int, at: int, start: int, state: int, sep: int, eol: int, strip: bool) -> bool:
    """Tell whether text[at], outside quotes, is the first byte of a field."""
    i = at - 1
    while strip and i >= start and (byte_at(text, i) == SPACE or byte_at(text, i) == TAB) and byte_at(text, i) != sep:
        i -= 1
    if i < start:
        return state <= FIELD
    return byte_at(text, i) == sep or byte_at(text, i) == eol


@kernel
def _line_marks(text: int, base: int, end: int, quote: int, eol: int, comment: int) -> tuple[np.uint64, np.uint64]:
    """Return the line ends, and the quotes and comment characters, of text[base:base + 64] below `end`, as bits."""
    ends, others = mask_of(text, base, eol), mask_of(text, base, quote)
    if comment >= 0:  # a comment is a record's first byte: each line is looked at
        others |= mask_of(text, base, comment)
    if end - base < 64:
        kept = (ONE << np.uint64(end - base)) - ONE
        ends &= kept
        others &= kept
    return ends, others


@kernel
def scan(
    text: U8, start: int, end: int, state: int, sep: int, quote: int, eol: int, comment: int, strip: bool,
    target: int, out: I64,
) -> None:  # fmt: skip
    """Count the line ends outside quotes in text[start:end], beginning in `state`.

    Stops just past the `target`-th of them (target < 0: never). Every such line end counts,
    those of blank lines and comments too: the count is an upper bound of the records.

    IN text uint8[end + SLACK]. OUT: out[0] line ends outside quotes, out[1] all line ends,
    out[2] state at the end, out[3] position of the last quote that opened a field (-1:
    none), out[4] where it stopped, out[5] 1 if there is any quote. Cost: O(end - start);
    20 GB/s where there are no quotes.
    """
    here = address_of(text)
    records, lines, opened, quoted = 0, 0, -1, 0
    inside, commented = state == QUOTED, state == COMMENT
    closed = -1  # position behind a quote that may have closed a field
    if state == SEEN and start < end:
        inside = byte_at(here, start) == quote
    first = start + 1 if state == SEEN and inside else start
    base = first
    while base < end and records != target:
        ends, others = _line_marks(here, base, end, quote, eol, comment)
        n_ends = count_ones(ends)
        if others == NO_MARKS and (inside or target < 0 or records + n_ends < target):
            records += 0 if inside else n_ends
            lines += n_ends
            commented = commented and n_ends == 0
            base += 64
            continue
        quoted = 1
        marks = ends | others
        while marks != NO_MARKS:
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
            elif c != quote:
                commented = not inside and (byte_at(here, at - 1) == eol if at > start else state == RECORD)
            elif inside:
                if at + 1 < end and byte_at(here, at + 1) == quote:  # two quotes: neither ends the field
                    base += 1 if marks == NO_MARKS else 0  # the second one may be the next block's first byte
                    marks &= marks - ONE
                else:
                    inside, closed = False, at + 1
            elif _begins_field(here, at, first, state if first == start else PLAIN, sep, eol, strip):
                inside, opened = True, at
        base += 64 if records != target else 0
    stop = min(base, end) if records == target else end
    out[0], out[1], out[3], out[4], out[5] = records, lines, opened, stop, quoted
    last = QUOTED if inside else COMMENT if commented else SEEN if closed == stop else PLAIN
    out[2] = _last_state(here, start, first, stop, state, sep, eol, strip) if last == PLAIN else last


@kernel
def _last_state(text: int, start: int, first: int, stop: int, state: int, sep: int, eol: int, strip: bool) -> int:
    """Return the state behind text[start:stop], which ends outside quotes and comments.

    It began in `state`; from `first` on it is known to be outside a pair of quotes.
    """
    if stop == start:
        return state
    if stop == first:
        return PLAIN
    if byte_at(text, stop - 1) == eol:
        return RECORD
    return FIELD if _begins_field(text, stop, first, state if first == start else PLAIN, sep, eol, strip) else PLAIN


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
    while marks == NO_MARKS:
        base += 64
        if base >= end:
            return end, base, marks
        marks = _marks(text, base, end, sep, quote, eol)
    at = base + trailing_zeros(marks)
    return at, base, marks & (marks - ONE)


@kernel
def _no_record(text: int, start: int, end: int, final: bool, sep: int, eol: int, comment: int, skip_blank: bool) -> int:
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
    text: int, begun: int, at: int, base: int, marks: np.uint64, end: int, sep: int, quote: int, eol: int, strip: bool
) -> tuple[int, int, np.uint64, int]:
    """Walk from a quote in the field that began at `begun` to the mark that ends the field; returns its fault, too."""
    while strip and begun < at and (byte_at(text, begun) == SPACE or byte_at(text, begun) == TAB):
        begun += 1
    if begun < at:  # not its first byte: a character like others
        at, base, marks = _past_plain_quotes(text, at, base, marks, end, sep, quote, eol)
        return at, base, marks, 0
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
    if eol != CR and after < end and byte_at(text, after) == CR:
        after += 1 if after + 1 == end or byte_at(text, after + 1) == eol else 0
    if after == at and (at == end or byte_at(text, at) != quote):
        return at, base, marks, 0
    at, base, marks = _past_plain_quotes(text, at, base, marks, end, sep, quote, eol)
    return at, base, marks, STRAY


@kernel
def _past_plain_quotes(
    text: int, at: int, base: int, marks: np.uint64, end: int, sep: int, quote: int, eol: int
) -> tuple[int, int, np.uint64]:
    """Walk from mark `at` to the first mark that is no quote."""
    while at < end and byte_at(text, at) == quote:
        at, base, marks = _next(text, base, marks, end, sep, quote, eol)
    return at, base, marks


@kernel
def tokenise(
    text: U8, start: int, end: int, final: bool, sep: int, quote: int, eol: int, comment: int, strip: bool,
    skip_blank: bool, keep: bool, bounds: I32, bad: I64, out: I64,
) -> None:  # fmt: skip
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
                at, base, marks, wrong = _past_quotes(here, begun, at, base, marks, end, sep, quote, eol, strip)
                fault = max(fault, wrong)
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
            bad[n_bad, 0], bad[n_bad, 1], bad[n_bad, 2], bad[n_bad, 3] = position, field, fault, row
            n_bad += 1
            first = field if fault == RAGGED else 0
            for k in range(first, n_columns if keep else 0):  # an end before its start marks a missing field
                bounds[row, k + 1] = bounds[row, k] if fault == RAGGED else bounds[row, 0] - 1
        row += 1 if fault == 0 or keep else 0
        position = min(at + 1, end)
    out[0], out[1], out[2] = position, row, n_bad
