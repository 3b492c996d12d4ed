"""The compiled passes over strings: numbering the distinct ones, and copying chosen ones.

Strings are Arrow's: string i is data[offsets[i]:offsets[i + 1]].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import inlined, load_word, typed_kernel
from hydroscope.ground.limits import DICT_MAX, INT_MISSING

__all__ = ["copy_texts", "hash_texts", "number_texts"]

Ints = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]

_BLOCK = 1024
_SKETCH_BITS = 19
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xD6E8FEB86659FD93)


@inlined
def _rest(data: U8, at: int, n_bytes: int) -> np.uint64:
    """Return fewer than eight bytes as a word, without a branch on their number."""
    if at + 8 <= len(data):
        return load_word(data, at) & ((np.uint64(1) << np.uint64(8 * n_bytes)) - np.uint64(1))
    word = np.uint64(0)
    for j in range(n_bytes):
        word |= np.uint64(data[at + j]) << np.uint64(8 * j)
    return word


@inlined
def _hash(data: U8, start: int, stop: int) -> np.uint64:
    """Hash bytes, eight at a time."""
    state = np.uint64(stop - start) * _SECOND
    at = start
    while at + 8 <= stop:
        state = (state ^ load_word(data, at)) * _GOLDEN
        state ^= state >> np.uint64(29)
        at += 8
    state = (state ^ _rest(data, at, stop - at)) * _GOLDEN
    return (state ^ (state >> np.uint64(32))) * _SECOND


@inlined
def _dictionary_bytes(n_rows: int, n_distinct: int, n_bytes: int) -> int:
    """Return the least that a dictionary takes: offsets, text and codes.

    Codes of more than 256 values take 2 bytes a row, or, sparse, 4 bytes for every value but one.
    """
    codes = min(2 * n_rows, 4 * (n_distinct - 1)) if n_distinct > DICT_MAX else 0
    return 4 * (n_distinct + 1) + n_bytes + codes


@typed_kernel("const i8[], const u1[], const u1[], i8, u8[], u8[]")
def hash_texts(offsets: Ints, data: U8, valid: U8, limit: int, hashes: U64, sketch: U64) -> int:
    """Hash all strings; return a lower bound of the distinct ones, or -1 if a dictionary is hopeless.

    Hopeless: it would surely take `limit` bytes or more. A string whose bit of the sketch
    (SKETCH_CELLS zeros) was still free differs from all before it, so the number and the
    bytes of such strings are lower bounds. `valid` is empty when none is missing.
    """
    n_rows, population, n_bytes = len(hashes), 0, 0
    for start in range(0, n_rows, _BLOCK):
        for i in range(start, min(start + _BLOCK, n_rows)):
            if len(valid) > 0 and valid[i] == 0:
                continue
            hashes[i] = _hash(data, offsets[i], offsets[i + 1])
            bit = hashes[i] >> np.uint64(64 - _SKETCH_BITS)
            cell = bit >> np.uint64(6)
            mask = np.uint64(1) << (bit & np.uint64(63))
            if sketch[cell] & mask == 0:
                sketch[cell] |= mask
                population += 1
                n_bytes += offsets[i + 1] - offsets[i]
        if _dictionary_bytes(n_rows, population, n_bytes) >= limit:
            return -1
    return population


@inlined
def _same(data: U8, a: int, b: int, length: int) -> bool:
    at = 0
    while at + 8 <= length and load_word(data, a + at) == load_word(data, b + at):
        at += 8
    return length - at < 8 and _rest(data, a + at, length - at) == _rest(data, b + at, length - at)


@typed_kernel("const i8[], const u1[], const u1[], i8, const u8[], i4[], i8[], i8[]")
def number_texts(
    offsets: Ints, data: U8, valid: U8, limit: int, hashes: U64, slots: I32, codes: Ints, firsts: Ints
) -> int:
    """Number the distinct strings by first appearance; return how many, or -1.

    -1 when a dictionary would take `limit` bytes or more; -2 when `slots`, the hash table
    (a power of two of zeros, later 1 + code), is too small. `codes` gets a code a row,
    INT_MISSING where missing; `firsts` the row of each code's first appearance.
    """
    n_rows, last = len(codes), len(slots) - 1
    n_distinct, n_bytes = 0, 0
    for i in range(n_rows):
        if len(valid) > 0 and valid[i] == 0:
            codes[i] = INT_MISSING
            continue
        start, length = offsets[i], offsets[i + 1] - offsets[i]
        slot = np.int64(hashes[i]) & last
        code = -1
        while slots[slot] != 0:
            first = firsts[slots[slot] - 1]
            if (
                hashes[first] == hashes[i]
                and offsets[first + 1] - offsets[first] == length
                and _same(data, offsets[first], start, length)
            ):
                code = slots[slot] - 1
                break
            slot = (slot + 1) & last
        if code < 0:
            code = n_distinct
            n_distinct += 1
            n_bytes += length
            if _dictionary_bytes(n_rows, n_distinct, n_bytes) >= limit:
                return -1
            if 4 * n_distinct > 3 * last:
                return -2
            firsts[code] = i
            slots[slot] = n_distinct
        codes[i] = code
    return n_distinct


@typed_kernel("const i8[], const u1[], const i8[], const i8[], u1[]")
def copy_texts(offsets: Ints, data: U8, rows: Ints, out_offsets: Ints, out: U8) -> None:
    """Write the first bytes of string rows[i], as many as out_offsets leaves room for."""
    for i in range(len(rows)):
        to, stop = out_offsets[i], out_offsets[i + 1]
        if stop <= to:
            continue
        at = offsets[rows[i]]
        if stop + 8 > len(out) or at + stop - to + 8 > len(data):
            for j in range(stop - to):
                out[to + j] = data[at + j]
            continue
        while to < stop:  # up to 7 bytes too many, which the next strings write over
            target, source = np.uint64(to), np.uint64(at)
            for j in range(8):
                out[target + np.uint64(j)] = data[source + np.uint64(j)]
            to += 8
            at += 8
