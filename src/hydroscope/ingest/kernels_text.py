"""Compiled copying of text: strings, categorical levels, and the check that bytes are UTF-8."""

from __future__ import annotations

import numpy as np

from hydroscope.ground.jit import kernel
from hydroscope.ingest.dialect import I32, I64, U8, U64
from hydroscope.weave.bytes import address_of, byte_at, put_word, word_at
from hydroscope.weave.intrinsics import load_i64, store_i64

__all__ = ["LEVEL_MISSING", "bad_utf8", "intern", "rehash", "strings"]

LEVEL_MISSING = -1

ALL_BITS, W0, W32 = np.uint64(2**64 - 1), np.uint64(0), np.uint64(32)
MIX, STIR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


@kernel
def _content(text: int, start: int, end: int, quote: int, strip: bool) -> tuple[int, int, bool]:
    """Return where a field's text begins and ends, and whether it stood in quotes."""
    if strip:
        while start < end and (byte_at(text, start) == 32 or byte_at(text, start) == 9):
            start += 1
        while start < end and (byte_at(text, end - 1) == 32 or byte_at(text, end - 1) == 9):
            end -= 1
    if end - start >= 2 and byte_at(text, start) == quote:
        return start + 1, end - 1, True
    return start, end, False


@kernel
def _has_byte(text: int, start: int, end: int, byte: int) -> bool:
    """Tell whether `byte` is in text[start:end]."""
    while start < end and byte_at(text, start) != byte:
        start += 1
    return start < end


@kernel
def _unquote(text: int, start: int, end: int, quote: int, at: int, data: int) -> int:
    """Copy text[start:end] to data[at:], two quotes as one; returns the end of the copy.

    Writes up to 7 bytes more than that.
    """
    while start < end:
        c = byte_at(text, start)
        put_word(data, at, np.uint64(c))
        at += 1
        start += 2 if c == quote and start + 1 < end and byte_at(text, start + 1) == quote else 1
    return at


@kernel
def _first_word(text: int, start: int, end: int) -> np.uint64:
    """Return the first 8 bytes of text[start:end], zeros where there are fewer."""
    n = end - start
    if n >= 8:
        return word_at(text, start)
    return word_at(text, start) & ~(ALL_BITS << np.uint64(8 * n)) if n > 0 else W0


@kernel
def _same(text: int, start: int, data: int, begin: int, n: int) -> bool:
    """Compare `n` bytes of two texts."""
    i = 0
    while i + 8 <= n:
        if word_at(text, start + i) != word_at(data, begin + i):
            return False
        i += 8
    return bool(_first_word(text, start + i, start + n) == _first_word(data, begin + i, begin + n))


@kernel
def _is_word(text: int, start: int, end: int, na: int, na_ends: int, n_words: int, lengths: int) -> bool:
    """Tell whether text[start:end] is a word of `na`; bit n of `lengths`: one has n bytes (62: or more)."""
    n = end - start
    if (lengths >> min(n, 62)) & 1 == 0:
        return False
    begin = 0
    for k in range(n_words):
        stop = load_i64(na_ends, k)
        if stop - begin == n and _same(text, start, na, begin, n):
            return True
        begin = stop
    return False


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
    lengths: int,
    at: int,
    offsets: I64,
    data: U8,
    valid: U8,
) -> None:
    """Copy one column's texts behind one another, in Arrow's form.

    offsets[at] says where `data` is free; there must be room for all the text and 8 bytes
    more. A quoted field is never missing when `quoted_text`. Cost: O(bytes of the fields).
    """
    here, na_here, na_ends_here, there = address_of(text), address_of(na), address_of(na_ends), address_of(data)
    free = offsets[at]
    shift = 1 if column > 0 else 0
    for row in range(n_rows):
        start = base + bounds[row, column] + shift
        end = base + bounds[row, column + 1]
        missing = end < start
        if not missing:
            start, end, quoted = _content(here, start, end, quote, strip)
            missing = not (quoted and quoted_text) and _is_word(
                here, start, end, na_here, na_ends_here, len(na_ends), lengths
            )
            if not missing:
                if quoted and _has_byte(here, start, end, quote):
                    free = _unquote(here, start, end, quote, free, there)
                else:
                    i = 0
                    while start + i < end:
                        put_word(there, free + i, word_at(here, start + i))
                        i += 8
                    free += end - start
        valid[at + row] = 0 if missing else 1
        offsets[at + row + 1] = free


@kernel
def _find(text: int, start: int, end: int, table: tuple[int, int, int, int, int, int]) -> int:
    """Return the entry of text[start:end] in the table, which is made if there is none.

    The table's addresses: slots, ends, data, words, state; then the number of slots - 1.
    Entry k is data[ends[k]:ends[k + 1]], words[k] its first 8 bytes; state[0] counts them.
    `slots` (a power of two, at least twice as many as entries) hold entry + 1, by hash, in
    the next free one on collision.
    """
    slots, ends, data, words, state, mask = table
    n = end - start
    word = _first_word(text, start, end)
    slot = _slot(text, start, end, word) & mask
    entry: int = load_i64(slots, slot) - 1
    while entry >= 0:
        if word_at(words, 8 * entry) == word:
            begin = load_i64(ends, entry)
            if load_i64(ends, entry + 1) - begin == n and (n <= 8 or _same(text, start, data, begin, n)):
                return entry
        slot = (slot + 1) & mask
        entry = load_i64(slots, slot) - 1
    entry = load_i64(state, 0)
    begin = load_i64(ends, entry)
    i = 0
    while i < n:
        put_word(data, begin + i, word_at(text, start + i))
        i += 8
    store_i64(ends, entry + 1, begin + n)
    put_word(words, 8 * entry, word)
    store_i64(state, 0, entry + 1)
    store_i64(slots, slot, entry + 1)
    return entry


@kernel
def _slot(text: int, start: int, end: int, word: np.uint64) -> int:
    """Return a hash of text[start:end], whose first word is given."""
    mixed = (word ^ np.uint64(end - start)) * MIX
    i = start + 8
    while i < end:
        mixed = (mixed ^ (mixed >> W32) ^ _first_word(text, i, end)) * STIR
        i += 8
    return int(np.int64((mixed ^ (mixed >> W32)) >> np.uint64(20)))


@kernel
def rehash(slots: I64, ends: I64, data: U8, words: U64, n_entries: int) -> None:
    """Fill empty `slots` with the entries that there are. Cost: O(entries)."""
    mask, there = len(slots) - 1, address_of(data)
    for entry in range(n_entries):
        slot = _slot(there, ends[entry], ends[entry + 1], words[entry]) & mask
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
    slots: I64,
    ends: I64,
    data: U8,
    words: U64,
    alias: I64,
    state: I64,
) -> None:
    """Code one column by the entries of a table, new entries being made as they come.

    The first `n_na` entries are the words for a missing value, coded -1; alias[k] is the
    level of such a word where it stood in quotes (-1: never did). The table must have room:
    `n_rows` entries, and twice the text. IN/OUT: slots, ends, data, words, alias, state.
    Cost: O(bytes of the fields).
    """
    here, there, shift = address_of(text), address_of(data), 1 if column > 0 else 0
    table = (address_of(slots), address_of(ends), there, address_of(words), address_of(state), len(slots) - 1)
    for row in range(n_rows):
        start = base + bounds[row, column] + shift
        end = base + bounds[row, column + 1]
        code = LEVEL_MISSING
        if end >= start:
            start, end, quoted = _content(here, start, end, quote, strip)
            source = here
            if quoted and _has_byte(here, start, end, quote):
                source, begin = there, ends[state[0]]
                end = _unquote(here, start, end, quote, begin, there)
                start = begin
            code = _find(source, start, end, table)
            if code < n_na:
                code = _alias(code, table, address_of(alias)) if quoted and quoted_text else LEVEL_MISSING
        codes[at + row] = code


@kernel
def _alias(code: int, table: tuple[int, int, int, int, int, int], alias: int) -> int:
    """Return the level that spells like the word `code` for a missing value."""
    _, ends, data, words, state, _ = table
    if load_i64(alias, code) < 0:
        entry = load_i64(state, 0)
        begin, first, stop = load_i64(ends, entry), load_i64(ends, code), load_i64(ends, code + 1)
        i = 0
        while i < stop - first:
            put_word(data, begin + i, word_at(data, first + i))
            i += 8
        store_i64(ends, entry + 1, begin + stop - first)
        put_word(words, 8 * entry, word_at(words, 8 * code))
        store_i64(state, 0, entry + 1)
        store_i64(alias, code, entry)
    level: int = load_i64(alias, code)
    return level


@kernel
def bad_utf8(text: U8, base: int, bounds: I32, n_rows: int, column: int, bad: I64) -> int:
    """List the rows whose field is not UTF-8 (shortest form, no surrogates); returns how many. Cost: O(bytes)."""
    here, n_bad, shift = address_of(text), 0, 1 if column > 0 else 0
    for row in range(n_rows):
        i = base + bounds[row, column] + shift
        end = base + bounds[row, column + 1]
        good = True
        while i < end and good:
            c = byte_at(here, i)
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
                if good:
                    good = byte_at(here, i) >= low and byte_at(here, i) <= high
                low, high = 0x80, 0xBF
                i += 1
        if not good:
            bad[n_bad] = row
            n_bad += 1
    return n_bad
