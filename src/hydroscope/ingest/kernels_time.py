"""Compiled reading of dates, times, UUIDs and truth values into integers."""

from __future__ import annotations

import numpy as np

from hydroscope.ground.jit import kernel
from hydroscope.ingest.dialect import I32, I64, U8, U64
from hydroscope.ingest.kernels_number import is_missing, trim
from hydroscope.weave.bytes import address_of, byte_at, word_at

__all__ = ["flags", "times", "uuids"]

MISSING = -(2**63)
DAY_MS = 86_400_000
ISO, DAY_MONTH_NAME, MONTH_DAY = 0, 1, 2
MONTHS = np.frombuffer(b"janfebmaraprmayjunjulaugsepoctnovdec", dtype=np.uint8).copy()
CUT_BELOW_MS = 64
"""In what was seen: a fraction of a second had more than three digits."""

# "yyyy-mm-" and "hh:mm:ss" as words: XORed with the text, digits become 0..9 and the rest 0,
# which the sum with the limits shows in the top bit of each byte.
DATE = np.uint64(int.from_bytes(b"0000-00-", "little"))
DATE_LIMITS = np.uint64(int.from_bytes(bytes([0x76, 0x76, 0x76, 0x76, 0x7F, 0x76, 0x76, 0x7F]), "little"))
CLOCK = np.uint64(int.from_bytes(b"00:00:00", "little"))
CLOCK_LIMITS = np.uint64(int.from_bytes(bytes([0x76, 0x76, 0x7F, 0x76, 0x76, 0x7F, 0x76, 0x76]), "little"))
TOPS, W0 = np.uint64(0x8080808080808080), np.uint64(0)


@kernel
def _digits(text: int, start: int, end: int, least: int, most: int) -> tuple[int, int]:
    """Read `least` to `most` digits; returns the value (-1: too few) and where they end."""
    value, i = 0, start
    while i < end and i - start < most and byte_at(text, i) >= 48 and byte_at(text, i) <= 57:
        value = value * 10 + byte_at(text, i) - 48
        i += 1
    return (value if i - start >= least else -1), i


@kernel
def _day_number(year: int, month: int, day: int) -> int:
    """Return days since 1970-01-01 in the proleptic Gregorian calendar; MISSING if no such day."""
    if month < 1 or month > 12 or day < 1 or year < 1 or year > 9999:
        return MISSING
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = 30 + ((month + (month >> 3)) & 1)
    if month == 2:
        longest = 29 if leap else 28
    if day > longest:
        return MISSING
    y = year - (1 if month <= 2 else 0)  # years begin in March, so that the leap day comes last
    m = (month + 9) % 12
    return 365 * y + y // 4 - y // 100 + y // 400 + (153 * m + 2) // 5 + day - 1 - 719468


@kernel
def _month_name(text: int, start: int, end: int) -> int:
    """Return 1..12 for a three-letter English month, else 0."""
    if end - start < 3:
        return 0
    for month in range(12):
        if (
            (byte_at(text, start) | 32) == MONTHS[3 * month]
            and (byte_at(text, start + 1) | 32) == MONTHS[3 * month + 1]
            and (byte_at(text, start + 2) | 32) == MONTHS[3 * month + 2]
        ):
            return month + 1
    return 0


@kernel
def _clock(text: int, start: int, end: int) -> tuple[int, int]:
    """Read [T or blank]hh:mm[:ss[.fraction]][Z|+hh[:]mm]: milliseconds, and 1 if any were cut.

    MISSING when text[start:end] is not of that form.
    """
    if start == end:
        return 0, 0
    cut = 0
    if byte_at(text, start) != 84 and byte_at(text, start) != 32 and byte_at(text, start) != 116:
        return MISSING, 0
    hour, i = _digits(text, start + 1, end, 1, 2)
    if hour < 0 or hour > 23 or i >= end or byte_at(text, i) != 58:
        return MISSING, 0
    minute, i = _digits(text, i + 1, end, 2, 2)
    if minute < 0 or minute > 59:
        return MISSING, 0
    ms = (hour * 60 + minute) * 60_000
    if i < end and byte_at(text, i) == 58:
        second, i = _digits(text, i + 1, end, 2, 2)
        if second < 0 or second > 59:
            return MISSING, 0
        ms += second * 1000
        if i < end and (byte_at(text, i) == 46 or byte_at(text, i) == 44):
            i += 1
            scale, first = 100, i
            while i < end and byte_at(text, i) >= 48 and byte_at(text, i) <= 57:
                if scale == 0 and byte_at(text, i) != 48:
                    cut = 1
                ms += (byte_at(text, i) - 48) * scale
                scale //= 10
                i += 1
            if i == first:
                return MISSING, 0
    if i < end and byte_at(text, i) == 32 and i + 1 < end:
        i += 1
    if i == end:
        return ms, cut
    if (byte_at(text, i) == 90 or byte_at(text, i) == 122) and i + 1 == end:
        return ms, cut
    if byte_at(text, i) != 43 and byte_at(text, i) != 45:
        return MISSING, 0
    sign = 1 if byte_at(text, i) == 43 else -1
    hour, i = _digits(text, i + 1, end, 2, 2)
    minute = 0
    if i < end:
        minute, i = _digits(text, i + (1 if byte_at(text, i) == 58 else 0), end, 2, 2)
    if hour < 0 or hour > 18 or minute < 0 or minute > 59 or i != end:
        return MISSING, 0
    return ms - sign * (hour * 60 + minute) * 60_000, cut


@kernel
def parse_time(text: int, start: int, end: int, form: int) -> tuple[int, int]:
    """Read a time in one of the forms: milliseconds since 1970 (UTC), and 1 if some were cut.

    ISO: yyyy-mm-dd; DAY_MONTH_NAME: dd-MMM-yyyy; MONTH_DAY: MM/dd/yyyy; a clock may follow.
    MISSING when the text is none.
    """
    if form == ISO:
        year, i = _digits(text, start, end, 4, 4)
        if year < 0 or i >= end or byte_at(text, i) != 45:
            return MISSING, 0
        month, i = _digits(text, i + 1, end, 2, 2)
        if month < 0 or i >= end or byte_at(text, i) != 45:
            return MISSING, 0
        day, i = _digits(text, i + 1, end, 2, 2)
    elif form == DAY_MONTH_NAME:
        day, i = _digits(text, start, end, 1, 2)
        if day < 0 or i >= end or byte_at(text, i) != 45:
            return MISSING, 0
        month = _month_name(text, i + 1, end)
        i += 4
        if month == 0 or i >= end or byte_at(text, i) != 45:
            return MISSING, 0
        year, i = _digits(text, i + 1, end, 4, 4)
    else:
        month, i = _digits(text, start, end, 1, 2)
        if month < 0 or i >= end or byte_at(text, i) != 47:
            return MISSING, 0
        day, i = _digits(text, i + 1, end, 1, 2)
        if day < 0 or i >= end or byte_at(text, i) != 47:
            return MISSING, 0
        year, i = _digits(text, i + 1, end, 4, 4)
    if year < 0 or day < 0:
        return MISSING, 0
    days = _day_number(year, month, day)
    if days == MISSING:
        return MISSING, 0
    ms, cut = _clock(text, i, end)
    if ms == MISSING:
        return MISSING, 0
    return days * DAY_MS + ms, cut


@kernel
def _pair(word: np.uint64, at: int) -> int:
    """Return the number that bytes `at` and at + 1 of a word of digits (0..9) spell."""
    low = int(np.int64(word >> np.uint64(8 * at)))
    return 10 * (low & 15) + ((low >> 8) & 15)


@kernel
def _usual_time(text: int, start: int, end: int) -> int:
    """Read yyyy-mm-dd, or that with Thh:mm:ss or Thh:mm:ssZ; MISSING: `parse_time` has to look."""
    n = end - start
    if n < 10 or (n > 10 and n != 19 and not (n == 20 and byte_at(text, start + 19) == 90)):
        return MISSING
    date = word_at(text, start) ^ DATE
    tens, ones = byte_at(text, start + 8) - 48, byte_at(text, start + 9) - 48
    if ((date + DATE_LIMITS) | date) & TOPS != W0 or tens < 0 or tens > 9 or ones < 0 or ones > 9:
        return MISSING
    days = _day_number(100 * _pair(date, 0) + _pair(date, 2), _pair(date, 5), 10 * tens + ones)
    if n == 10 or days == MISSING:
        return days * DAY_MS if days != MISSING else MISSING
    between = byte_at(text, start + 10)
    clock = word_at(text, start + 11) ^ CLOCK
    hour, minute, second = _pair(clock, 0), _pair(clock, 3), _pair(clock, 6)
    good = ((clock + CLOCK_LIMITS) | clock) & TOPS == W0 and (between == 84 or between == 32)
    if not good or hour > 23 or minute > 59 or second > 59:
        return MISSING
    return days * DAY_MS + (3600 * hour + 60 * minute + second) * 1000


@kernel
def times(
    text: U8,
    base: int,
    bounds: I32,
    n_rows: int,
    column: int,
    quote: int,
    na: U8,
    na_ends: I64,
    form: int,
    at: int,
    values: I64,
    bad: I64,
    out: I64,
) -> None:
    """Read one column as times into values[at:]; `bad` and `out` as in `numbers`."""
    here, na_here, na_ends_here = address_of(text), address_of(na), address_of(na_ends)
    n_bad, seen = 0, 0
    for row in range(n_rows):
        start = base + bounds[row, column] + (1 if column > 0 else 0)
        end = base + bounds[row, column + 1]
        value = MISSING
        if end > start:
            if form == ISO:
                value = _usual_time(here, start, end)
            if value == MISSING:
                start, end, _ = trim(here, start, end, quote)
                value, cut = parse_time(here, start, end, form)
                if cut == 1:
                    seen = CUT_BELOW_MS
                missing = value == MISSING and end > start
                if missing and not is_missing(here, start, end, na_here, na_ends_here, len(na_ends)):
                    bad[n_bad] = row
                    n_bad += 1
        values[at + row] = value
    out[0] |= seen
    out[1] = n_bad


@kernel
def _same(text: int, start: int, end: int, word: int, n: int) -> bool:
    """Compare with a lower-case word of `n` bytes, ignoring case."""
    if end - start != n:
        return False
    j = 0
    while j < n and (byte_at(text, start + j) | 32) == (byte_at(word, j) | 32):
        j += 1
    return j == n


@kernel
def flags(
    text: U8,
    base: int,
    bounds: I32,
    n_rows: int,
    column: int,
    quote: int,
    na: U8,
    na_ends: I64,
    words: U8,
    word_ends: I64,
    at: int,
    values: I64,
    bad: I64,
    out: I64,
) -> None:
    """Read one column as truth values: `words` are by turns false and true, in lower case."""
    here, na_here, na_ends_here = address_of(text), address_of(na), address_of(na_ends)
    words_here = address_of(words)
    n_bad = 0
    for row in range(n_rows):
        start = base + bounds[row, column] + (1 if column > 0 else 0)
        end = base + bounds[row, column + 1]
        value = MISSING
        if end > start:
            start, end, _ = trim(here, start, end, quote)
            begin = 0
            for k in range(len(word_ends)):
                if _same(here, start, end, words_here + begin, word_ends[k] - begin):
                    value = k & 1
                    break
                begin = word_ends[k]
            missing = value == MISSING and end > start
            if missing and not is_missing(here, start, end, na_here, na_ends_here, len(na_ends)):
                bad[n_bad] = row
                n_bad += 1
        values[at + row] = value
    out[1] = n_bad


@kernel
def uuids(
    text: U8,
    base: int,
    bounds: I32,
    n_rows: int,
    column: int,
    quote: int,
    na: U8,
    na_ends: I64,
    at: int,
    words: U64,
    valid: U8,
    bad: I64,
    out: I64,
) -> None:
    """Read one column as UUIDs (8-4-4-4-12 hexadecimal digits): high and low word of each row."""
    here, na_here, na_ends_here = address_of(text), address_of(na), address_of(na_ends)
    n_bad = 0
    for row in range(n_rows):
        start = base + bounds[row, column] + (1 if column > 0 else 0)
        end = base + bounds[row, column + 1]
        high, low = np.uint64(0), np.uint64(0)
        good = False
        if end > start:
            start, end, _ = trim(here, start, end, quote)
            good = end - start == 36
            if good:
                for j in range(36):
                    c = byte_at(here, start + j)
                    if j == 8 or j == 13 or j == 18 or j == 23:
                        good = good and c == 45
                        continue
                    digit = c - 48 if c <= 57 else (c | 32) - 87
                    good = good and c >= 48 and digit >= 0 and digit <= 15 and (c <= 57 or digit >= 10)
                    if j < 18:
                        high = (high << np.uint64(4)) | np.uint64(digit & 15)
                    else:
                        low = (low << np.uint64(4)) | np.uint64(digit & 15)
            if not good and end > start and not is_missing(here, start, end, na_here, na_ends_here, len(na_ends)):
                bad[n_bad] = row
                n_bad += 1
        words[2 * (at + row)] = high if good else np.uint64(0)
        words[2 * (at + row) + 1] = low if good else np.uint64(0)
        valid[at + row] = 1 if good else 0
    out[1] = n_bad
