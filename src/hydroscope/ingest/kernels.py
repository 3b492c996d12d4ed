"""Compiled cutting of text into records and fields; `reference` holds the obvious twins.

Two passes read the text. `scan` only counts: it says how many records end in a block and in
which state the block ends, so that the file can be cut where a record begins even though a
quoted field may hold line ends. `tokenise` then finds the fields of whole records:

    text     a,"b, c",7\\n         bounds[r] = [0, 1, 8, 10]
             ^ ^      ^ ^            |  |  |  end of the last field (a CR is left out)
             0 1      8 10           |  end of field 0: one before the start of field 1
                                     start of the record
"""

from __future__ import annotations

from hydroscope.ground.jit import kernel
from hydroscope.ingest.dialect import I32, I64, U8

__all__ = ["scan", "tokenise"]

RECORD, FIELD, PLAIN, QUOTED, SEEN, COMMENT = 0, 1, 2, 3, 4, 5
RAGGED, STRAY, OPEN = 1, 2, 3
SPACE, TAB, CR = 32, 9, 13


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

    OUT: out[0] line ends outside quotes, out[1] all line ends, out[2] state at the end,
    out[3] position of the last quote that opened a field (-1: none), out[4] where it
    stopped. Cost: O(end - start).
    """
    records, lines, opened, i = 0, 0, -1, start
    while i < end and records != target:
        c = text[i]
        if state == QUOTED:
            if c == quote:
                state = SEEN
            elif c == eol:
                lines += 1
            i += 1
            continue
        if state == SEEN and c == quote:
            state = QUOTED
        elif c == eol:
            records += 1
            lines += 1
            state = RECORD
        elif state == COMMENT:
            pass
        elif c == sep:
            state = FIELD
        elif state == RECORD and c == comment:
            state = COMMENT
        elif (state == RECORD or state == FIELD) and c == quote:
            state = QUOTED
            opened = i
        elif (state == RECORD or state == FIELD) and strip and (c == SPACE or c == TAB):
            state = FIELD
        else:
            state = PLAIN
        i += 1
    out[0] = records
    out[1] = lines
    out[2] = state
    out[3] = opened
    out[4] = i


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

    IN text uint8[n]; OUT bounds int32[rows, columns + 1], relative to `start`; bad
    int64[cap, 4]: position of the record, fields found, fault, rows before it (the row
    itself with keep); out[0] position of the first record not read, out[1] rows, out[2]
    bad records. Cost: O(end - start).
    """
    n_columns = bounds.shape[1] - 1
    row, n_bad, position = 0, 0, start
    while position < end and row < bounds.shape[0] and n_bad < bad.shape[0]:
        i = position
        # A comment or a blank line is no record.
        if text[i] == comment or (skip_blank and (text[i] <= SPACE)):
            j = i
            if text[i] != comment:
                while j < end and (text[j] == SPACE or text[j] == TAB) and text[j] != sep:
                    j += 1
                if j < end and text[j] == CR and eol != CR:
                    j += 1
                blank = (j < end and text[j] == eol) or (j == end and final)
            else:
                while j < end and text[j] != eol:
                    j += 1
                blank = True
                if j == end and not final:
                    break
            if blank:
                position = min(j + 1, end)
                continue
            if j == end and not final:
                break
        field, fault, done = 0, 0, False
        bounds[row, 0] = position - start
        while not done:
            while strip and i < end and (text[i] == SPACE or text[i] == TAB) and text[i] != sep:
                i += 1
            if i < end and text[i] == quote:
                i += 1
                while True:
                    while i < end and text[i] != quote:
                        i += 1
                    if i + 1 < end and text[i + 1] == quote:
                        i += 2
                        continue
                    break
                if i >= end:
                    fault = OPEN
                i += 1
                while strip and i < end and (text[i] == SPACE or text[i] == TAB) and text[i] != sep:
                    i += 1
                ended = i >= end or text[i] == sep or text[i] == eol
                if not ended and text[i] == CR and (i + 1 >= end or text[i + 1] == eol):
                    ended = True
                if not ended and fault == 0:
                    fault = STRAY
            while i < end and text[i] != sep and text[i] != eol:
                i += 1
            i = min(i, end)
            done = i == end or text[i] == eol
            stop = i
            if done and eol != CR and i > position and text[i - 1] == CR:
                stop = i - 1
            if field < n_columns:
                bounds[row, field + 1] = stop - start
            field += 1
            i += 1
        if i > end and not final:
            break
        if fault == 0 and field != n_columns:
            fault = RAGGED
        if fault != 0:
            bad[n_bad, 0] = position
            bad[n_bad, 1] = field
            bad[n_bad, 2] = fault
            bad[n_bad, 3] = row
            n_bad += 1
            if keep:
                if fault == RAGGED:  # an end before its start marks a missing field
                    for k in range(field, n_columns):
                        bounds[row, k + 1] = bounds[row, k]
                else:
                    for k in range(n_columns):
                        bounds[row, k + 1] = bounds[row, 0] - 1
                row += 1
        else:
            row += 1
        position = min(i, end)
    out[0] = position
    out[1] = row
    out[2] = n_bad
