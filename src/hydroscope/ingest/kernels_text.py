"""Compiled copying of text: strings, categorical levels, and the check that bytes are UTF-8."""

from __future__ import annotations

import numpy as np

from hydroscope.ground.jit import kernel
from hydroscope.ingest.dialect import I32, I64, U8, U64
from hydroscope.ingest.kernels_number import is_missing

__all__ = ["bad_utf8", "intern", "intern_pieces", "strings"]

MISSING = -(2**63)
LEVEL_MISSING = -1


@kernel
def _content(text: U8, start: int, end: int, quote: int, strip: bool) -> tuple[int, int, bool]:
    """Return where a field's text begins and ends, and whether it stood in quotes."""
    if strip:
        while start < end and (text[start] == 32 or text[start] == 9):
            start += 1
        while start < end and (text[end - 1] == 32 or text[end - 1] == 9):
            end -= 1
    if end - start >= 2 and text[start] == quote:
        return start + 1, end - 1, True
    return start, end, False


@kernel
def _unquote(text: U8, start: int, end: int, quote: int, at: int, data: U8) -> int:
    """Copy text[start:end] to data[at:], two quotes as one; returns the end of the copy."""
    i = start
    while i < end:
        data[at] = text[i]
        at += 1
        if text[i] == quote and i + 1 < end and text[i + 1] == quote:
            i += 1
        i += 1
    return at


@kernel
def strings(
    text: U8,
    base: int,
    bounds: I32,
    n_rows: int,
    column: int,
    quote: int,
    strip: bool,
    quoted_text: bool,
    na: U8,
    na_ends: I64,
    at: int,
    offsets: I64,
    data: U8,
    valid: U8,
) -> int:
    """Copy one column's texts behind one another, in Arrow's form.

    offsets[at] says where `data` is free; there must be room for all the text. A quoted
    field is never missing when `quoted_text`. Returns the number of missing rows.
    """
    free = offsets[at]
    n_missing = 0
    for row in range(n_rows):
        start = base + bounds[row, column] + (1 if column > 0 else 0)
        end = base + bounds[row, column + 1]
        missing = end < start
        if not missing:
            start, end, quoted = _content(text, start, end, quote, strip)
            if not (quoted and quoted_text):
                missing = is_missing(text, start, end, na, na_ends)
            if not missing:
                if quoted:
                    free = _unquote(text, start, end, quote, free, data)
                else:
                    for i in range(start, end):
                        data[free] = text[i]
                        free += 1
        valid[at + row] = 0 if missing else 1
        n_missing += 1 if missing else 0
        offsets[at + row + 1] = free
    return n_missing


@kernel
def _hash(text: U8, start: int, end: int) -> np.uint64:
    """Mix the bytes of text[start:end], eight at a time."""
    h = np.uint64(end - start) * np.uint64(0x9E3779B97F4A7C15)
    i = start
    while i < end:
        word = np.uint64(0)
        for j in range(i, min(i + 8, end)):
            word = (word << np.uint64(8)) | np.uint64(text[j])
        h = (h ^ word) * np.uint64(0xD6E8FEB86659FD93)
        h ^= h >> np.uint64(32)
        i += 8
    return h


@kernel
def _find(text: U8, start: int, end: int, slots: I32, ends: I64, data: U8, state: I64) -> int:
    """Return the entry of text[start:end] in the table, which is made if there is none.

    Entry k is data[ends[k]:ends[k + 1]]; state[0] counts them. `slots` (a power of two, at
    least twice as many as entries) hold entry + 1, by hash, the next free one on collision.
    """
    mask = len(slots) - 1
    slot = np.int64(_hash(text, start, end) & np.uint64(mask))
    n = end - start
    while slots[slot] != 0:
        entry = slots[slot] - 1
        begin = ends[entry]
        if ends[entry + 1] - begin == n:
            same = True
            for j in range(n):
                if data[begin + j] != text[start + j]:
                    same = False
                    break
            if same:
                return entry
        slot = (slot + 1) & mask
    entry = state[0]
    begin = ends[entry]
    for j in range(n):
        data[begin + j] = text[start + j]
    ends[entry + 1] = begin + n
    state[0] = entry + 1
    slots[slot] = entry + 1
    return entry


@kernel
def rehash(slots: I32, ends: I64, data: U8, n_entries: int) -> None:
    """Fill empty `slots` with the entries that there are."""
    mask = len(slots) - 1
    for entry in range(n_entries):
        slot = np.int64(_hash(data, ends[entry], ends[entry + 1]) & np.uint64(mask))
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = entry + 1


@kernel
def intern(
    text: U8,
    base: int,
    bounds: I32,
    n_rows: int,
    column: int,
    quote: int,
    strip: bool,
    quoted_text: bool,
    n_na: int,
    at: int,
    codes: I64,
    slots: I32,
    ends: I64,
    data: U8,
    alias: I64,
    state: I64,
) -> None:
    """Code one column by the entries of a table, new entries being made as they come.

    The first `n_na` entries are the words for a missing value, coded -1; alias[k] is the
    level of such a word where it stood in quotes (-1: never did). The table must have room:
    `n_rows` entries, and the text. IN/OUT: slots, ends, data, alias, state.
    """
    for row in range(n_rows):
        start = base + bounds[row, column] + (1 if column > 0 else 0)
        end = base + bounds[row, column + 1]
        code = LEVEL_MISSING
        if end >= start:
            start, end, quoted = _content(text, start, end, quote, strip)
            doubled = False
            if quoted:
                for i in range(start, end):
                    if text[i] == quote:
                        doubled = True
                        break
            if doubled:
                spare = ends[state[0]]
                stop = _unquote(text, start, end, quote, spare, data)
                code = _find(data, spare, stop, slots, ends, data, state)
            else:
                code = _find(text, start, end, slots, ends, data, state)
            if code < n_na:
                if quoted and quoted_text:
                    if alias[code] < 0:
                        entry = state[0]
                        begin, n = ends[code], ends[code + 1] - ends[code]
                        for j in range(n):
                            data[ends[entry] + j] = data[begin + j]
                        ends[entry + 1] = ends[entry] + n
                        state[0] = entry + 1
                        alias[code] = entry
                    code = alias[code]
                else:
                    code = LEVEL_MISSING
        codes[at + row] = code


@kernel
def intern_pieces(
    piece_ends: I64, piece_data: U8, n_pieces: int, codes: I64, slots: I32, ends: I64, data: U8, state: I64
) -> None:
    """Code texts that lie behind one another by the entries of a table (see `intern`)."""
    for k in range(n_pieces):
        codes[k] = _find(piece_data, piece_ends[k], piece_ends[k + 1], slots, ends, data, state)


@kernel
def bad_utf8(text: U8, base: int, bounds: I32, n_rows: int, column: int, bad: I64) -> int:
    """List the rows whose field is not UTF-8 (shortest form, no surrogates); returns how many."""
    n_bad = 0
    for row in range(n_rows):
        i = base + bounds[row, column] + (1 if column > 0 else 0)
        end = base + bounds[row, column + 1]
        good = True
        while i < end and good:
            c = np.int64(text[i])
            i += 1
            if c < 0x80:
                continue
            n, low, high = 0, 0x80, 0xBF
            if c >= 0xC2 and c <= 0xDF:
                n = 1
            elif c >= 0xE0 and c <= 0xEF:
                n = 2
                low = 0xA0 if c == 0xE0 else 0x80
                high = 0x9F if c == 0xED else 0xBF
            elif c >= 0xF0 and c <= 0xF4:
                n = 3
                low = 0x90 if c == 0xF0 else 0x80
                high = 0x8F if c == 0xF4 else 0xBF
            good = n > 0 and i + n <= end
            for _ in range(n):
                good = good and text[i] >= low and text[i] <= high
                low, high = 0x80, 0xBF
                i += 1
                if not good:
                    break
        if not good and n_bad < len(bad):
            bad[n_bad] = row
            n_bad += 1
    return n_bad
