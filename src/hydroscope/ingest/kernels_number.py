"""Compiled reading of numbers: exact, with the same result as Python's `float`.

Most numbers in files are short decimals, and a decimal is what the codecs want: they stay
(mantissa, decimals). Where that cannot hold the value, the double is found by the method of
Eisel and Lemire (D. Lemire, "Number parsing at a gigabyte per second", Software: Practice
and Experience 51, 2021): the leading 64 bits of the mantissa times a 128-bit power of five
decide the rounding in all but rare cases, and those few tokens are left to Python's `float`.
"""

from __future__ import annotations

import numpy as np

from hydroscope.ground.jit import kernel
from hydroscope.ingest.dialect import F64, I32, I64, U8, U64
from hydroscope.weave.bytes import address_of, byte_at, leading_zeros, trailing_zeros, word_at
from hydroscope.weave.intrinsics import load_i64

__all__ = ["FLOAT_BITS", "doubles", "numbers", "parse_number", "to_reals", "trim"]

FLOAT_BITS = 255
"""In `decimals`: the mantissa holds the bits of a float64 instead."""

INTEGER, DECIMAL, DOUBLE, LONG, TEXT = 0, 1, 2, 3, 4
NEGATIVE, CUT, WHOLE = 1, 2, 4
SEEN_REAL, SEEN_WIDE, SEEN_TEXT, SEEN_DOUBLE, SEEN_INTEGER, SEEN_MISSING = 1, 2, 4, 8, 16, 32

MISSING = -(2**63)
MAX_EXACT = 2**53
MAX_DECIMALS = 22
LEAST_POWER, LARGEST_POWER = -342, 308
NAN_BITS = 0x7FF8000000000000
INFINITY_BITS = 0x7FF0000000000000
PLUS, MINUS, POINT, LOWER_E = 43, 45, 46, 101

# Words are unsigned, and so must be what they meet: a sum of int64 and uint64 is a float to Numba.
W0, W1, W3, W8, W10, W16, W32 = (np.uint64(n) for n in (0, 1, 3, 8, 10, 16, 32))
HALF_WORD, ALL_BITS = np.uint64(2**32 - 1), np.uint64(2**64 - 1)
BLANKS, DOTS, ONES, TOPS = (np.uint64(n * 0x0101010101010101) for n in (0x20, 0x2E, 0x01, 0x80))
HIGH, THREES, SIXES, LOWS = (np.uint64(n * 0x0101010101010101) for n in (0xF0, 0x30, 0x06, 0x0F))
PAIRS, FOURS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
JOIN_1, JOIN_2, JOIN_4 = np.uint64(2561), np.uint64(6553601), np.uint64(42949672960001)
INFINITY_WORD, INF_WORD, NAN_WORD = (np.uint64(int.from_bytes(w, "little")) for w in (b"infinity", b"inf", b"nan"))
THREE_BYTES = np.uint64(0xFFFFFF)
EXACT, INT_MAX, HUNDRED_MILLION = np.uint64(2**53), np.uint64(2**63 - 1), np.uint64(10**8)
GUARD, HIDDEN, CARRIED = np.uint64(0x1FF), np.uint64(2**52), np.uint64(2**53)
FRACTION = np.uint64(2**52 - 1)
KIND_SEEN = np.array([SEEN_INTEGER, SEEN_REAL, SEEN_REAL | SEEN_DOUBLE, 0, 0])


def _powers_of_five() -> U64:
    """Return the leading 128 bits of 5**q for q = -342..308, as (high, low) words.

    Positive powers are cut off, negative ones (reciprocals) rounded up, as the method needs.
    """
    words = np.empty((LARGEST_POWER - LEAST_POWER + 1, 2), dtype=np.uint64)
    for q in range(LEAST_POWER, LARGEST_POWER + 1):
        power = 5 ** abs(q)
        if q >= 0:
            shift = power.bit_length() - 128
            leading = power >> shift if shift > 0 else power << -shift
        else:
            # 2**b / 5**-q + 1 with b large enough, then cut to 128 bits
            bits = (power - 1).bit_length()
            b = bits + 127 if q >= -27 else 2 * bits + 128
            leading = (1 << b) // power + 1
            leading >>= max(leading.bit_length() - 128, 0)
        words[q - LEAST_POWER] = leading >> 64, leading & (2**64 - 1)
    return words


FIVES = _powers_of_five()
TENS = np.array([10**k for k in range(19)], dtype=np.int64)
REAL_TENS = np.array([float(10**k) for k in range(MAX_DECIMALS + 1)])


@kernel
def _multiply(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the high and low word of a 64 by 64 bit product."""
    a0, a1, b0, b1 = a & HALF_WORD, a >> W32, b & HALF_WORD, b >> W32
    low = a0 * b0
    middle = a1 * b0 + (low >> W32)
    other = a0 * b1 + (middle & HALF_WORD)
    return a1 * b1 + (middle >> W32) + (other >> W32), a * b


@kernel
def double_bits(mantissa: np.uint64, power: int) -> int:
    """Return the bits of the double nearest to mantissa * 10**power, or -1 if undecided."""
    if mantissa == W0 or power < LEAST_POWER:
        return 0
    if power > LARGEST_POWER:
        return INFINITY_BITS
    zeros = leading_zeros(mantissa)
    w = mantissa << np.uint64(zeros)
    high, low = _multiply(w, FIVES[power - LEAST_POWER, 0])
    if high & GUARD == GUARD:
        more, _ = _multiply(w, FIVES[power - LEAST_POWER, 1])
        low = low + more
        if more > low:
            high += W1
    if low == ALL_BITS and (power < -27 or power > 55):
        return -1
    upper = np.int64(high >> np.uint64(63))
    m = high >> np.uint64(upper + 9)
    exponent = ((217706 * power) >> 16) + 63 + upper - zeros + 1023
    if exponent <= 0:  # subnormal
        if 1 - exponent >= 64:
            return 0
        m >>= np.uint64(1 - exponent)
        m = (m + (m & W1)) >> W1
        return int(np.int64(m))  # a carry into bit 52 makes it the least normal number, as it should
    if low <= W1 and power >= -4 and power <= 23 and m & W3 == W1 and m << np.uint64(upper + 9) == high:
        m &= ~W1  # exactly half way: round to even
    m = (m + (m & W1)) >> W1
    if m >= CARRIED:
        m = HIDDEN
        exponent += 1
    if exponent >= 0x7FF:
        return INFINITY_BITS
    return int(np.int64((m & FRACTION) | (np.uint64(exponent) << np.uint64(52))))


@kernel
def _word(text: int, start: int, end: int) -> int:
    """Recognise inf, infinity (1) and nan (2), in any case."""
    n = end - start
    lower = word_at(text, start) | BLANKS
    if n == 8:
        return 1 if lower == INFINITY_WORD else 0
    if n != 3:
        return 0
    lower &= THREE_BYTES
    if lower == NAN_WORD:
        return 2
    return 1 if lower == INF_WORD else 0


@kernel
def _eight(word: np.uint64) -> np.uint64:
    """Return the number that 8 digits spell, the first one in the lowest byte.

    Neighbours are joined in three steps: to 4 numbers below 100, 2 below 10,000, then one.
    """
    word = ((word & LOWS) * JOIN_1) >> W8
    word = ((word & PAIRS) * JOIN_2) >> W16
    return ((word & FOURS) * JOIN_4) >> W32


@kernel
def _not_digits(word: np.uint64) -> np.uint64:
    """Return a word whose lowest bytes are 0 up to the first byte that is no digit."""
    return ((word & HIGH) ^ THREES) | (((word + SIXES) & HIGH) ^ THREES)


@kernel
def _short(text: int, start: int, end: int) -> tuple[bool, int, int, int]:
    """Read a number of up to 8 characters behind its sign, without a branch on its form.

    Returns whether it is one (False: ask `parse_number`), mantissa, decimals, and whether
    there is a point.
    """
    negative = int(byte_at(text, start) == MINUS)
    start += negative
    n = end - start
    if n < 1 or n > 8:
        return False, 0, 0, 0
    word = word_at(text, start)
    dots = word ^ DOTS
    dots = (dots - ONES) & ~dots & TOPS
    dots &= ALL_BITS >> np.uint64(64 - 8 * n)
    point = int(dots != W0)
    decimals = 0
    if point:  # close the gap that the point leaves
        place = trailing_zeros(dots) - 7  # its lowest bit
        low = (W1 << np.uint64(place)) - W1
        word = (word & low) | ((word >> W8) & ~low)
        n -= 1
        decimals = n - (place >> 3)
    if n == 0:
        return False, 0, 0, 0
    word <<= np.uint64(64 - 8 * n)
    word |= (THREES >> np.uint64(8 * n - 8)) >> W8
    value = int(np.int64(_eight(word)))
    good = bool(_not_digits(word) == W0) and not (negative == 1 and point == 1 and value == 0)
    return good, -value if negative else value, decimals, point


@kernel
def _digits(text: int, i: int, end: int, value: np.uint64) -> tuple[np.uint64, int]:
    """Append digits to `value` (modulo 2**64) as far as they go; returns it and where they end."""
    while end - i >= 8:
        word = word_at(text, i)
        if _not_digits(word) != W0:
            break
        value = value * HUNDRED_MILLION + _eight(word)
        i += 8
    if i < end:
        word = word_at(text, i)
        others = _not_digits(word)
        n = min(end - i, 8 if others == W0 else trailing_zeros(others) >> 3)
        if n > 0:
            word <<= np.uint64(64 - 8 * n)
            word |= (THREES >> np.uint64(8 * n - 8)) >> W8
            value = value * np.uint64(TENS[n]) + _eight(word)
            i += n
    return value, i


@kernel
def _leading(text: int, start: int, end: int) -> tuple[np.uint64, int, bool]:
    """Read the first 19 digits that count in text[start:end], of digits and at most one point.

    Returns them, how many further digits stand before the point less those taken behind it
    (a power of ten), and whether any digit that was left out is not 0.
    """
    mantissa, n, power, cut, behind = W0, 0, 0, False, False
    for i in range(start, end):
        c = byte_at(text, i)
        if c == POINT:
            behind = True
            continue
        if n < 19:
            mantissa = mantissa * W10 + np.uint64(c - 48)
            n += 1 if mantissa > W0 else 0
            power -= 1 if behind else 0
        else:
            cut = cut or c > 48
            power += 0 if behind else 1
    return mantissa, power, cut


@kernel
def parse_number(text: int, start: int, end: int) -> tuple[int, int, int]:
    """Read bytes start..end of the text at an address as a number; it goes on for SLACK bytes.

    Returns
    -------
    kind : int
        INTEGER (the value in `mantissa`), DECIMAL (mantissa / 10**more, |mantissa| <= 2**53,
        more <= 22), DOUBLE (mantissa = bits), LONG (mantissa is a uint64; more = 8 * power of
        ten + flags NEGATIVE, CUT: digits were left out, WHOLE: an integer), TEXT.
    mantissa, more : int
    """
    i = start
    negative = byte_at(text, i) == MINUS
    if i < end and (negative or byte_at(text, i) == PLUS):
        i += 1
    first = i
    mantissa, i = _digits(text, first, end, W0)
    n_digits = i - first
    power, integer, cut = 0, True, False
    if i < end and byte_at(text, i) == POINT:
        integer = False
        mantissa, stop = _digits(text, i + 1, end, mantissa)
        power = i + 1 - stop
        n_digits -= power
        i = stop
    if n_digits == 0:
        word = _word(text, first, end) if integer else 0
        if word == 1:
            return DOUBLE, INFINITY_BITS | (MISSING if negative else 0), FLOAT_BITS
        return (DOUBLE, NAN_BITS, FLOAT_BITS) if word == 2 else (TEXT, 0, 0)
    if n_digits > 19:
        mantissa, power, cut = _leading(text, first, i)
    if i < end and byte_at(text, i) | 32 == LOWER_E:
        integer = False
        i += 1
        down = byte_at(text, i) == MINUS
        if i < end and (down or byte_at(text, i) == PLUS):
            i += 1
        if i == end:
            return TEXT, 0, 0
        exponent = 0
        while i < end and byte_at(text, i) >= 48 and byte_at(text, i) <= 57:
            exponent = min(exponent * 10 + byte_at(text, i) - 48, 100_000)
            i += 1
        power += -exponent if down else exponent
    if i != end:
        return TEXT, 0, 0
    if integer and power == 0 and mantissa <= INT_MAX:
        value = int(np.int64(mantissa))
        return INTEGER, -value if negative else value, 0
    return _decimal(mantissa, power, negative, integer, cut)


@kernel
def _decimal(mantissa: np.uint64, power: int, negative: bool, whole: bool, cut: bool) -> tuple[int, int, int]:
    """Finish a number that is no int64: as a decimal when that is exact, else as LONG."""
    if mantissa == W0:
        return (DOUBLE, MISSING, FLOAT_BITS) if negative else (DECIMAL, 0, 0)
    if not cut and not whole:
        while power < 0 and (mantissa > EXACT or power < -MAX_DECIMALS) and mantissa % W10 == W0:
            mantissa //= W10
            power += 1
        if power > 0 and power < 16 and mantissa <= EXACT // np.uint64(TENS[power]):
            mantissa *= np.uint64(TENS[power])
            power = 0
        if mantissa <= EXACT and power <= 0 and power >= -MAX_DECIMALS:
            value = int(np.int64(mantissa))
            return DECIMAL, -value if negative else value, -power
    flags = (NEGATIVE if negative else 0) | (CUT if cut else 0) | (WHOLE if whole else 0)
    return LONG, int(np.int64(mantissa)), 8 * power + flags


@kernel
def doubles(long: I64, n: int, at: int, mantissa: I64, decimals: U8, hard: I64) -> int:
    """Turn LONG numbers into the bits of the nearest doubles.

    IN long int64[n, 2]: rows (their numbers in mantissa[at + row]) and `more`; OUT mantissa,
    decimals; hard: the rows that Python has to read. Returns how many these are. Cost: O(n).
    """
    n_hard = 0
    for k in range(n):
        row, more = long[k, 0], long[k, 1]
        digits, power = np.uint64(mantissa[at + row]), more >> 3
        bits = double_bits(digits, power)
        if more & CUT and bits >= 0:  # the digits that were left out decide, if they can
            bits = bits if double_bits(digits + W1, power) == bits else -1
        if bits < 0:
            hard[n_hard] = row
            n_hard += 1
        mantissa[at + row] = bits | (MISSING if more & NEGATIVE else 0)
        decimals[at + row] = FLOAT_BITS
    return n_hard


@kernel
def trim(text: int, start: int, end: int, quote: int) -> tuple[int, int, bool]:
    """Leave out blanks around a field, one pair of quotes, and blanks within them."""
    quoted = False
    for _ in range(2):
        while start < end and (byte_at(text, start) == 32 or byte_at(text, start) == 9):
            start += 1
        while start < end and (byte_at(text, end - 1) == 32 or byte_at(text, end - 1) == 9):
            end -= 1
        if quoted or end - start < 2 or byte_at(text, start) != quote or byte_at(text, end - 1) != quote:
            break
        quoted = True
        start += 1
        end -= 1
    return start, end, quoted


@kernel
def is_missing(text: int, start: int, end: int, na: int, na_ends: int, n_words: int) -> bool:
    """Tell whether text[start:end] is one of the words in `na`."""
    begin, n = 0, end - start
    for k in range(n_words):
        stop = load_i64(na_ends, k)
        if stop - begin == n:
            j = 0
            while j < n and byte_at(na, begin + j) == byte_at(text, start + j):
                j += 1
            if j == n:
                return True
        begin = stop
    return False


@kernel
def numbers(
    text: U8,
    base: int,
    bounds: I32,
    n_rows: int,
    column: int,
    quote: int,
    na: U8,
    na_ends: I64,
    at: int,
    mantissa: I64,
    decimals: U8,
    bad: I64,
    long: I64,
    out: I64,
) -> None:
    """Read one column of `n_rows` records as numbers, into mantissa[at:] and decimals[at:].

    A field that is no number is missing, and listed in `bad` unless it is one of the words
    for a missing value. A LONG number waits for `doubles`.

    IN text with SLACK behind its end. OUT mantissa int64 (MISSING where missing), decimals
    uint8 (FLOAT_BITS: the mantissa is a double's bits); bad int64[n_rows]; long
    int64[n_rows, 2]; out[0] |= what was seen, out[1] rows in bad, out[2] in long. Cost: O(bytes of the fields).
    """
    here, words, word_ends = address_of(text), address_of(na), address_of(na_ends)
    seen, n_bad, n_long, shift = 0, 0, 0, 1 if column > 0 else 0
    for row in range(n_rows):
        start = base + bounds[row, column] + shift
        end = base + bounds[row, column + 1]
        good, m, d, point = _short(here, start, end)
        if good:
            seen |= SEEN_REAL if point else SEEN_INTEGER
        elif end <= start:
            m, d = MISSING, 0
            seen |= SEEN_MISSING
        else:
            c, last = byte_at(here, start), byte_at(here, end - 1)
            if c <= 32 or c == quote or last <= 32:
                start, end, _ = trim(here, start, end, quote)
            kind, m, d = parse_number(here, start, end)
            if kind == TEXT:
                m = MISSING
                seen |= SEEN_MISSING
                if end > start and not is_missing(here, start, end, words, word_ends, len(na_ends)):
                    seen |= SEEN_TEXT
                    bad[n_bad] = row
                    n_bad += 1
            elif kind == LONG:
                seen |= SEEN_DOUBLE | (SEEN_WIDE if d & WHOLE else SEEN_REAL)
                long[n_long, 0] = row
                long[n_long, 1] = d
                n_long += 1
            elif kind == DOUBLE and m == NAN_BITS:
                m, d = MISSING, 0
                seen |= SEEN_MISSING
            else:
                seen |= KIND_SEEN[kind]
        mantissa[at + row] = m
        decimals[at + row] = d
    out[0] |= seen
    out[1] = n_bad
    out[2] = n_long


@kernel
def to_reals(mantissa: I64, decimals: U8, out: F64, bits: I64) -> None:
    """Turn decimals and bits into doubles; `bits` is `out` seen as int64. Cost: O(n)."""
    for i in range(len(mantissa)):
        if decimals[i] == FLOAT_BITS:
            bits[i] = mantissa[i]
        elif mantissa[i] == MISSING:
            out[i] = np.nan
        else:
            out[i] = np.float64(mantissa[i]) / REAL_TENS[decimals[i]]
