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

__all__ = ["FLOAT_BITS", "numbers", "parse_number", "to_reals", "trim"]

FLOAT_BITS = 255
"""In `decimals`: the mantissa holds the bits of a float64 instead."""

INTEGER, DECIMAL, DOUBLE, HARD, WIDE, TEXT = 0, 1, 2, 3, 4, 5
SEEN_REAL, SEEN_WIDE, SEEN_TEXT, SEEN_DOUBLE, SEEN_INTEGER, SEEN_MISSING = 1, 2, 4, 8, 16, 32

MISSING = -(2**63)
MAX_EXACT = 2**53
MAX_DECIMALS = 22
LEAST_POWER, LARGEST_POWER = -342, 308
NAN_BITS = 0x7FF8000000000000
INFINITY_BITS = 0x7FF0000000000000


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
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    a0, a1, b0, b1 = a & mask, a >> half, b & mask, b >> half
    low = a0 * b0
    middle = a1 * b0 + (low >> half)
    other = a0 * b1 + (middle & mask)
    return a1 * b1 + (middle >> half) + (other >> half), a * b


@kernel
def _leading_zeros(word: np.uint64) -> int:
    """Count the zero bits above the highest one; `word` is not 0."""
    n = 0
    for width in (32, 16, 8, 4, 2, 1):
        if word >> np.uint64(64 - width) == np.uint64(0):
            word <<= np.uint64(width)
            n += width
    return n


@kernel
def double_bits(mantissa: np.uint64, power: int) -> int:
    """Return the bits of the double nearest to mantissa * 10**power, or -1 if undecided."""
    one = np.uint64(1)
    if mantissa == np.uint64(0) or power < LEAST_POWER:
        return 0
    if power > LARGEST_POWER:
        return INFINITY_BITS
    zeros = _leading_zeros(mantissa)
    w = mantissa << np.uint64(zeros)
    high, low = _multiply(w, FIVES[power - LEAST_POWER, 0])
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):
        more, _ = _multiply(w, FIVES[power - LEAST_POWER, 1])
        low = low + more
        if more > low:
            high += one
    if low == np.uint64(0xFFFFFFFFFFFFFFFF) and (power < -27 or power > 55):
        return -1
    upper = np.int64(high >> np.uint64(63))
    m = high >> np.uint64(upper + 9)
    exponent = ((217706 * power) >> 16) + 63 + upper - zeros + 1023
    if exponent <= 0:  # subnormal
        if 1 - exponent >= 64:
            return 0
        m >>= np.uint64(1 - exponent)
        m = (m + (m & one)) >> one
        return np.int64(m)  # a carry into bit 52 makes it the least normal number, as it should
    if low <= one and power >= -4 and power <= 23 and m & np.uint64(3) == one:
        if m << np.uint64(upper + 9) == high:  # exactly half way: round to even
            m &= ~one
    m = (m + (m & one)) >> one
    if m >= np.uint64(1 << 53):
        m = np.uint64(1 << 52)
        exponent += 1
    if exponent >= 0x7FF:
        return INFINITY_BITS
    return np.int64((m & np.uint64((1 << 52) - 1)) | (np.uint64(exponent) << np.uint64(52)))


@kernel
def _word(text: U8, start: int, end: int) -> int:
    """Recognise inf, infinity (1) and nan (2), in any case."""
    n = end - start
    if n != 3 and n != 8:
        return 0
    a, b, c = text[start] | 32, text[start + 1] | 32, text[start + 2] | 32
    if n == 3 and a == 110 and b == 97 and c == 110:
        return 2
    if a != 105 or b != 110 or c != 102:
        return 0
    if n == 3:
        return 1
    tail = (
        text[start + 3] | 32,
        text[start + 4] | 32,
        text[start + 5] | 32,
        text[start + 6] | 32,
        text[start + 7] | 32,
    )
    return 1 if tail == (105, 110, 105, 116, 121) else 0


@kernel
def parse_number(text: U8, start: int, end: int) -> tuple[int, int, int]:
    """Read text[start:end] as a number.

    Returns
    -------
    kind : int
        INTEGER (value in the mantissa), DECIMAL (mantissa / 10**decimals, |mantissa| <=
        2**53, decimals <= 22), DOUBLE (mantissa = bits), WIDE (an integer beyond int64,
        mantissa = bits of the nearest double), HARD (for Python's float), TEXT.
    mantissa, decimals : int
    """
    i = start
    negative = False
    if i < end and (text[i] == 45 or text[i] == 43):
        negative = text[i] == 45
        i += 1
    first = i
    mantissa = np.uint64(0)
    n_digits, power, cut = 0, 0, False
    ten = np.uint64(10)
    while i < end:
        digit = np.uint64(text[i]) - np.uint64(48)
        if digit > np.uint64(9):
            break
        if n_digits < 19:
            mantissa = mantissa * ten + digit
            n_digits += 1 if mantissa > np.uint64(0) else 0
        else:
            power += 1
            cut = cut or digit > np.uint64(0)
        i += 1
    n_characters = i - first
    integer = True
    if i < end and text[i] == 46:
        integer = False
        i += 1
        first = i
        while i < end:
            digit = np.uint64(text[i]) - np.uint64(48)
            if digit > np.uint64(9):
                break
            if n_digits < 19:
                mantissa = mantissa * ten + digit
                n_digits += 1 if mantissa > np.uint64(0) else 0
                power -= 1
            else:
                cut = cut or digit > np.uint64(0)
            i += 1
        n_characters += i - first
    if n_characters == 0:
        word = _word(text, i, end) if integer else 0
        if word == 1:
            return DOUBLE, (INFINITY_BITS | MISSING) if negative else INFINITY_BITS, FLOAT_BITS
        if word == 2:
            return DOUBLE, NAN_BITS, FLOAT_BITS
        return TEXT, 0, 0
    if i < end and (text[i] == 101 or text[i] == 69):
        integer = False
        i += 1
        down = False
        if i < end and (text[i] == 45 or text[i] == 43):
            down = text[i] == 45
            i += 1
        if i == end:
            return TEXT, 0, 0
        exponent = 0
        while i < end:
            step = np.int64(text[i]) - 48
            if step < 0 or step > 9:
                break
            if exponent < 100_000:
                exponent = exponent * 10 + step
            i += 1
        power += -exponent if down else exponent
    if i != end:
        return TEXT, 0, 0
    if integer and power == 0 and mantissa <= np.uint64(2**63 - 1):
        return INTEGER, -np.int64(mantissa) if negative else np.int64(mantissa), 0
    return _inexact(mantissa, power, negative, integer, cut)


@kernel
def _inexact(mantissa: np.uint64, power: int, negative: bool, integer: bool, cut: bool) -> tuple[int, int, int]:
    """Finish a number that is not an int64: as a decimal when that is exact, else as a double."""
    ten, exact = np.uint64(10), np.uint64(MAX_EXACT)
    sign = MISSING if negative else 0
    kind = WIDE if integer else DOUBLE
    if mantissa == np.uint64(0):
        return (DOUBLE, sign, FLOAT_BITS) if negative else (DECIMAL, 0, 0)
    if not cut and not integer:
        while mantissa > exact and power < 0 and mantissa % ten == np.uint64(0):
            mantissa //= ten
            power += 1
        while power > 0 and power < 19 and mantissa * np.uint64(TENS[power]) <= exact and mantissa <= exact:
            if np.uint64(MAX_EXACT) // np.uint64(TENS[power]) < mantissa:
                break
            mantissa *= np.uint64(TENS[power])
            power = 0
        if mantissa <= exact and power <= 0 and power >= -MAX_DECIMALS:
            return DECIMAL, -np.int64(mantissa) if negative else np.int64(mantissa), -power
    bits = double_bits(mantissa, power)
    if cut and bits >= 0 and double_bits(mantissa + np.uint64(1), power) != bits:
        bits = -1
    if bits < 0:
        return HARD, 1 if integer else 0, 0
    return kind, bits | sign, FLOAT_BITS


@kernel
def trim(text: U8, start: int, end: int, quote: int) -> tuple[int, int, bool]:
    """Leave out blanks around a field, one pair of quotes, and blanks within them."""
    quoted = False
    for _ in range(2):
        while start < end and (text[start] == 32 or text[start] == 9):
            start += 1
        while start < end and (text[end - 1] == 32 or text[end - 1] == 9):
            end -= 1
        if quoted or end - start < 2 or text[start] != quote or text[end - 1] != quote:
            break
        quoted = True
        start += 1
        end -= 1
    return start, end, quoted


@kernel
def is_missing(text: U8, start: int, end: int, na: U8, na_ends: I64) -> bool:
    """Tell whether text[start:end] is one of the words in `na`."""
    begin = 0
    for k in range(len(na_ends)):
        stop = na_ends[k]
        if stop - begin == end - start:
            same = True
            for j in range(stop - begin):
                if na[begin + j] != text[start + j]:
                    same = False
                    break
            if same:
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
    hard: I64,
    out: I64,
) -> None:
    """Read one column of `n_rows` records as numbers, into mantissa[at:] and decimals[at:].

    A field that is no number is missing, and listed in `bad` (up to its length) unless it
    is one of the words for a missing value. A field in `hard` is to be read by Python.

    OUT: mantissa int64 (MISSING where missing), decimals uint8 (FLOAT_BITS: the mantissa is
    a double's bits); out[0] |= what was seen, out[1] rows in bad, out[2] rows in hard.
    Cost: O(bytes of the fields).
    """
    seen, n_bad, n_hard = 0, 0, 0
    for row in range(n_rows):
        start = base + bounds[row, column] + (1 if column > 0 else 0)
        end = base + bounds[row, column + 1]
        kind, m, d = TEXT, 0, 0
        if end > start:
            kind, m, d = parse_number(text, start, end)
        if kind == INTEGER:
            seen |= SEEN_INTEGER
        elif kind != DECIMAL:
            if kind == TEXT and end > start:
                start, end, _ = trim(text, start, end, quote)
                kind, m, d = parse_number(text, start, end)
            if kind == TEXT:
                if end > start and not is_missing(text, start, end, na, na_ends):
                    seen |= SEEN_TEXT
                    if n_bad < len(bad):
                        bad[n_bad] = row
                        n_bad += 1
                seen |= SEEN_MISSING
                m = MISSING
            elif kind == INTEGER:
                seen |= SEEN_INTEGER
            elif kind == DECIMAL:
                seen |= SEEN_REAL
            else:
                if m == NAN_BITS and kind == DOUBLE:
                    m, d = MISSING, 0
                    seen |= SEEN_MISSING
                else:
                    seen |= SEEN_DOUBLE
                if kind == HARD:
                    hard[n_hard] = row
                    n_hard += 1
                seen |= SEEN_WIDE if kind == WIDE or (kind == HARD and m == 1) else SEEN_REAL
        else:
            seen |= SEEN_REAL
        mantissa[at + row] = m
        decimals[at + row] = d
    out[0] |= seen
    out[1] = n_bad
    out[2] = n_hard


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
