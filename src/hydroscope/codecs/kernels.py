"""The compiled passes behind `encode` and `decode`; what they mean is in `reference`.

A *word* is an int64: an integer, the mantissa of a decimal, or the bits of a float64. One
signature a kernel, so that a first use compiles few of them: buffers of several widths are
all passed, and all but one are empty.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.table import MANTISSA_MAX, MAX_DECIMALS
from hydroscope.ground.jit import inlined, kernel, typed_kernel
from hydroscope.ground.limits import INT_MISSING

__all__ = [
    "SKETCH_CELLS",
    "canonical_words",
    "common_step",
    "decimal_mantissas",
    "decimal_words",
    "fits_float32",
    "gather",
    "least_bits",
    "look_up",
    "most_decimals",
    "number_words",
    "pack",
    "pack_small",
    "rescale",
    "sketch_words",
    "unpack_int",
    "unpack_real",
    "unpack_small",
    "word_stats",
]

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
U64 = npt.NDArray[np.uint64]

_INT_MAX = 2**63 - 1
_NAN_BITS = 0x7FF8000000000000
_BLOCK = 1024
_POWERS = np.array([float(10**d) for d in range(MAX_DECIMALS + 1)])
_INT_POWERS = np.array([10 ** min(d, 18) for d in range(MAX_DECIMALS + 1)], dtype=np.int64)
_MANTISSA_MAX = float(MANTISSA_MAX)
_SHIFT = 1.5 * 2.0**52
_SHIFT_BITS = 0x4338000000000000
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SKETCH_BITS = 19

SKETCH_CELLS = 2 ** (_SKETCH_BITS - 6)
"""64 KB; eight bits for each row of a full chunk, so that few collide."""


@typed_kernel("const i8[], i8")
def word_stats(words: Ints, missing: int) -> tuple[int, int, int, int]:
    """Return the numbers of missing and of zero words, and the least and largest of the rest.

    Loops of one purpose over blocks that stay in the first cache are compiled to vector
    code; one loop for all four was not, and took four times as long.
    """
    n_missing = n_zero = 0
    low, high = _INT_MAX, INT_MISSING
    for start in range(0, len(words), _BLOCK):
        stop = min(start + _BLOCK, len(words))
        n_absent = 0
        for i in range(start, stop):
            n_absent += words[i] == missing
            n_zero += words[i] == 0
        n_missing += n_absent
        if n_absent == 0:
            for i in range(start, stop):
                low = min(low, words[i])
                high = max(high, words[i])
        else:
            for i in range(start, stop):
                low = min(low, _INT_MAX if words[i] == missing else words[i])
            for i in range(start, stop):
                high = max(high, INT_MISSING if words[i] == missing else words[i])
    return n_missing, n_zero, low, high


@typed_kernel("const i8[], i8, i8")
def least_bits(words: Ints, fill: int, unit: int) -> int:
    """Return the bits a row that the words other than `fill` take at least: 0, 1 or 8.

    8 as soon as two different words are seen and one of them is not 0, unit or 2 * unit.
    """
    first = fill
    alike = small = True
    for i in range(len(words)):
        word = words[i]
        if word != fill:
            first = word if first == fill else first
            alike &= word == first
            small &= (word == 0) | (word == unit) | (word == 2 * unit)
            if not (alike | small):
                return 8
    return 0 if alike else 1


@typed_kernel("const i8[], i8, u8, u8")
def common_step(words: Ints, base: int, start: int, enough: int) -> int:
    """Return the greatest common divisor of start and all word - base, or 1 if below `enough`."""
    step = np.uint64(start)
    for word in words:
        if word != INT_MISSING:
            distance = np.uint64(word) - np.uint64(base)
            rest = distance % step
            if rest != 0:
                while rest != 0:
                    step, rest = rest, step % rest
                if step < enough:
                    return np.uint64(1)  # type: ignore[return-value]
    return step  # type: ignore[return-value]


@typed_kernel("const i8[], i8, u8[]")
def sketch_words(words: Ints, limit: int, sketch: U64) -> int:
    """Return a lower bound of the number of distinct words, or -1 once that is over `limit`.

    Words are hashed to single bits of a bitmap (SKETCH_CELLS zeros). Its population can only
    be below the number of distinct words, so columns of many values are rejected at 1 ns a
    row, and with certainty.
    """
    population = 0
    for start in range(0, len(words), _BLOCK):
        for i in range(start, min(start + _BLOCK, len(words))):
            bit = _mix(words[i]) >> np.uint64(64 - _SKETCH_BITS)
            cell = bit >> np.uint64(6)
            mask = np.uint64(1) << (bit & np.uint64(63))
            population += (sketch[cell] & mask) == 0
            sketch[cell] |= mask
        if population > limit:
            return -1
    return population


@typed_kernel("const i8[], i8, i4[], u2[], i8[]")
def number_words(words: Ints, limit: int, slots: I32, codes: U16, table: Ints) -> int:
    """Number distinct words by first appearance and return how many, or -1 if more than `limit`.

    `slots` is the hash table, a power of two of zeros (later 1 + code); -2 if it is too small.
    """
    last = len(slots) - 1
    n_distinct = 0
    for i in range(len(words)):
        word = words[i]
        slot = np.int64(_mix(word) >> np.uint64(32)) & last
        while slots[slot] != 0 and table[slots[slot] - 1] != word:
            slot = (slot + 1) & last
        if slots[slot] == 0:
            if n_distinct == limit:
                return -1
            if 4 * n_distinct >= 3 * last:
                return -2
            table[n_distinct] = word
            n_distinct += 1
            slots[slot] = n_distinct
        codes[i] = slots[slot] - 1
    return n_distinct


@inlined
def _mix(word: int) -> np.uint64:
    mixed = np.uint64(word)
    mixed ^= mixed >> np.uint64(32)
    return mixed * _GOLDEN


@typed_kernel("const i8[], i8, i8, u4, u1[], u2[], u4[]")
def pack(words: Ints, bias: int, shift: int, inverse: int, raw8: U8, raw16: U16, raw32: U32) -> None:
    """Write (word - bias) / (odd << shift) to the buffer that is not empty, its largest where missing.

    The quotient is known to be whole and to fit into 32 bits, so it is a product with the
    inverse of the odd part modulo 2**32: no division.
    """
    factor = np.uint32(inverse)
    base, places = np.uint64(bias), np.uint64(shift)
    for i in range(len(raw8)):
        raw = np.uint32((np.uint64(words[i]) - base) >> places) * factor
        raw8[i] = np.uint8(255) if words[i] == INT_MISSING else np.uint8(raw)
    for i in range(len(raw16)):
        raw = np.uint32((np.uint64(words[i]) - base) >> places) * factor
        raw16[i] = np.uint16(65535) if words[i] == INT_MISSING else np.uint16(raw)
    for i in range(len(raw32)):
        raw = np.uint32((np.uint64(words[i]) - base) >> places) * factor
        raw32[i] = np.uint32(0xFFFFFFFF) if words[i] == INT_MISSING else np.uint32(raw)


@typed_kernel("const i8[], i8, i8, u1[]")
def pack_small(words: Ints, unit: int, width: int, out: U8) -> None:
    """Write words 0, unit and 2 * unit as 0, 1 and 2, missing as 3, in `width` bits each."""
    per_byte = 8 // width
    n_whole = len(words) // per_byte
    for i in range(len(out)):
        packed = 0
        first = i * per_byte
        for j in range(per_byte if i < n_whole else len(words) - first):
            word = words[first + j]
            raw = (word != 0) + (word == 2 * unit) + 2 * (word == INT_MISSING)
            packed |= raw << (j * width)
        out[i] = packed


@typed_kernel("const i8[], i8, u2[], i8[]")
def gather(words: Ints, fill: int, rows: U16, present: Ints) -> None:
    """Write the rows whose word is not `fill`, and those words."""
    n_present = 0
    for i in range(len(words)):
        if words[i] != fill:
            rows[n_present] = i
            present[n_present] = words[i]
            n_present += 1


@typed_kernel("const f8[], i8[]")
def canonical_words(values: Reals, words: Ints) -> None:
    """Write the bits of the values, those of the canonical NaN for every NaN."""
    bits = values.view(np.int64)
    for i in range(len(values)):
        words[i] = bits[i] if values[i] == values[i] else _NAN_BITS


@typed_kernel("const i8[], f8, i8[]")
def decimal_words(mantissas: Ints, power: float, words: Ints) -> None:
    """Write the bits of mantissa / power, those of NaN where missing; |mantissa| <= 2**51.

    The conversion of `decimal_mantissas`, backwards.
    """
    reals = words.view(np.float64)
    for start in range(0, len(mantissas), _BLOCK):
        stop = min(start + _BLOCK, len(mantissas))
        for i in range(start, stop):
            words[i] = mantissas[i] + _SHIFT_BITS
        for i in range(start, stop):
            reals[i] = np.nan if mantissas[i] == INT_MISSING else (reals[i] - _SHIFT) / power


@typed_kernel("const f8[]")
def fits_float32(values: Reals) -> bool:
    """Tell whether float32 holds every value exactly (NaN counts as held)."""
    for start in range(0, len(values), _BLOCK):
        n_lossy = 0
        for i in range(start, min(start + _BLOCK, len(values))):
            value = values[i]
            n_lossy += (np.float64(np.float32(value)) != value) & (value == value)
        if n_lossy:
            return False
    return True


@kernel
def _is_decimal(value: float, power: float) -> bool:
    mantissa = np.rint(value * power)
    return bool((mantissa / power == value) & (abs(mantissa) <= _MANTISSA_MAX))


@kernel
def _more_decimals(value: float, decimals: int) -> int:
    """Return the fewest decimals, from `decimals` up, that give the value, or -1."""
    if value != value:
        return decimals
    if value == 0.0:
        return decimals if 1.0 / value > 0.0 else -1
    while decimals <= MAX_DECIMALS:
        if _is_decimal(value, _POWERS[decimals]):
            return decimals
        decimals += 1
    return -1


@typed_kernel("const f8[], i8[]")
def decimal_mantissas(values: Reals, mantissas: Ints) -> int:
    """Write value * 10**decimals for the fewest decimals that are exact; return them, or -1.

    A sample finds the decimals; a value that needs more starts the pass again, which ends
    at the first value that has no such form: for noise, at once.

    Conversion to int64 is done with vectors by adding 1.5 * 2**52: the sum's bits, less the
    bits of that constant, are the integer when it is within 2**51. Its negative in place of
    a missing value becomes INT_MISSING.
    """
    bits = values.view(np.int64)
    shifted = mantissas.view(np.float64)
    decimals = 0
    for i in range(0, len(values), max(1, len(values) // 64)):
        decimals = _more_decimals(values[i], decimals)
        if decimals < 0:
            return -1
    start = 0
    while start < len(values):
        stop = min(start + _BLOCK, len(values))
        power = _POWERS[decimals]
        n_other = 0
        for i in range(start, stop):
            value = values[i]
            mantissa = np.rint(value * power)
            exact = (mantissa / power == value) & (abs(mantissa) <= _MANTISSA_MAX) & (bits[i] != INT_MISSING)
            n_other += not (exact | (value != value))
            shifted[i] = mantissa + _SHIFT if value == value else -_SHIFT
        for i in range(start, stop):
            mantissas[i] -= _SHIFT_BITS
        if n_other == 0:
            start = stop
            continue
        more = decimals
        for i in range(start, stop):
            more = _more_decimals(values[i], more)
            if more < 0:
                return -1
        decimals = more
        start = 0
    return decimals


@typed_kernel("const i8[], const u1[]")
def most_decimals(mantissas: Ints, decimals: U8) -> tuple[int, bool]:
    """Return the most decimals of a row that is not missing, and whether all rows have as many."""
    first = decimals[0] if len(decimals) else np.uint8(0)
    n_other = 0
    for i in range(len(decimals)):
        n_other += decimals[i] != first
    if n_other == 0:
        return int(first), True
    most = np.uint8(0)
    for i in range(len(mantissas)):
        most = max(most, np.uint8(0) if mantissas[i] == INT_MISSING else decimals[i])
    return int(most), False


@typed_kernel("const i8[], const u1[], i8, i8[]")
def rescale(mantissas: Ints, decimals: U8, most: int, out: Ints) -> bool:
    """Write the mantissas for `most` decimals; stop and return False if one passes 2**51."""
    for start in range(0, len(mantissas), _BLOCK):
        stop = min(start + _BLOCK, len(mantissas))
        largest = 0
        for i in range(start, stop):  # the absolute value of INT_MISSING is INT_MISSING
            largest = max(largest, abs(mantissas[i]))
        if np.float64(largest) * _POWERS[most] > _MANTISSA_MAX:  # then look at each
            for i in range(start, stop):
                missing = mantissas[i] == INT_MISSING
                if not missing and abs(np.float64(mantissas[i])) * _POWERS[most - decimals[i]] > _MANTISSA_MAX:
                    return False
        for i in range(start, stop):
            missing = mantissas[i] == INT_MISSING
            more = 0 if missing else most - np.int64(decimals[i])
            out[i] = mantissas[i] * _INT_POWERS[more]
    return True


@typed_kernel("const u1[], const u2[], const u4[], i8, i8, i8[]")
def unpack_int(raw8: U8, raw16: U16, raw32: U32, bias: int, step: int, out: Ints) -> None:
    """Write bias + step * raw, INT_MISSING where raw is the largest of its type."""
    for i in range(len(raw8)):
        out[i] = INT_MISSING if raw8[i] == 255 else bias + step * np.int64(raw8[i])
    for i in range(len(raw16)):
        out[i] = INT_MISSING if raw16[i] == 65535 else bias + step * np.int64(raw16[i])
    for i in range(len(raw32)):
        out[i] = INT_MISSING if raw32[i] == 0xFFFFFFFF else bias + step * np.int64(raw32[i])


@typed_kernel("const u1[], const u2[], const u4[], i8, i8, f8, f8[]")
def unpack_real(raw8: U8, raw16: U16, raw32: U32, bias: int, step: int, power: float, out: Reals) -> None:
    """Write (bias + step * raw) / power, NaN where raw is the largest of its type."""
    low, by = np.float64(bias), np.float64(step)
    for i in range(len(raw8)):
        out[i] = np.nan if raw8[i] == 255 else (low + by * np.float64(raw8[i])) / power
    for i in range(len(raw16)):
        out[i] = np.nan if raw16[i] == 65535 else (low + by * np.float64(raw16[i])) / power
    for i in range(len(raw32)):
        out[i] = np.nan if raw32[i] == 0xFFFFFFFF else (low + by * np.float64(raw32[i])) / power


@typed_kernel("const u1[], i8, const i8[], i8[]")
def unpack_small(packed: U8, width: int, table: Ints, out: Ints) -> None:
    """Write table[raw] for raw values of `width` bits."""
    places = 3 if width == 1 else 2  # a shift, because a division by what is not known here takes 7 ns
    last = (1 << places) - 1
    mask = (1 << width) - 1
    for i in range(len(out)):
        out[i] = table[(packed[i >> places] >> ((i & last) * width)) & mask]


@typed_kernel("const u1[], const u2[], const i8[], i8[]")
def look_up(codes8: U8, codes16: U16, table: Ints, out: Ints) -> None:
    """Write table[code]."""
    for i in range(len(codes8)):
        out[i] = table[codes8[i]]
    for i in range(len(codes16)):
        out[i] = table[codes16[i]]
