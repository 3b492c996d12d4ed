"""Any numeric chunk to plain values, a tile at a time: for codecs and mixtures too many to compile for.

One function for all codecs, compiled once and kept on disk; woven loops call it by its
address. It is a twin of `codecs.decode`, which decodes whole chunks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np

from hydroscope.codecs.table import Codec
from hydroscope.weave.fragments import TILE_ROWS
from hydroscope.weave.intrinsics import (
    bits_to_f64,
    decimal,
    fused,
    load_bit,
    load_crumb,
    load_f32,
    load_i64,
    load_u8,
    load_u16,
    load_u32,
    store_f64,
    store_i64,
)

__all__ = ["decoder_address"]

MISSING, CONSTANT, BIT, CRUMB = (int(Codec[name]) for name in ("MISSING", "CONSTANT", "BIT", "CRUMB"))
INT8, INT16, INT32, INT64 = (int(Codec[name]) for name in ("INT8", "INT16", "INT32", "INT64"))
FLOAT32, FLOAT64, DICT8 = (int(Codec[name]) for name in ("FLOAT32", "FLOAT64", "DICT8"))
DICT16, SPARSE = (int(Codec[name]) for name in ("DICT16", "SPARSE"))

INT_MISSING = -(2**63)
NAN_BITS = 0x7FF8_0000_0000_0000


@lru_cache(maxsize=1)
def decoder_address() -> int:
    """Return the address of `decode(column, start, count, out)`: compiled, or loaded from disk."""
    compiled = numba.cfunc("void(int64, int64, int64, int64)", cache=True)(_decode)
    _alive.append(compiled)
    return int(compiled.address)


_alive: list[object] = []  # machine code lives as long as the object that holds it


def _decode(column: int, start: int, count: int, out: int) -> None:
    """Write rows start .. start + count of the chunk described at `column` to `out` (8 bytes each).

    `start` is a multiple of TILE_ROWS, and the tiles before it were decoded to `out` just now;
    behind the TILE_ROWS values at `out` there is room for as many again.
    """
    codec = load_i64(column, 6)
    if codec != SPARSE:
        _dense(column, codec, start, count, out)
        return
    real = load_i64(column, 7)
    fill = 0 if load_i64(column, 2) == 0 else (NAN_BITS if real else INT_MISSING)
    rows = load_i64(column, 0)
    n = load_i64(column, 1)
    first = _first_row(rows, n, start)
    # The tile still holds the rows before these, for tiles of a chunk are decoded in order into the
    # same place: only what was stored there has to go, and most of it is right already.
    if start == 0:
        for j in range(count):
            store_i64(out, j, fill)
    else:
        k = first - 1
        while k >= 0 and load_u16(rows, k) >= start - TILE_ROWS:
            store_i64(out, load_u16(rows, k) - start + TILE_ROWS, fill)
            k -= 1
    inner = column + 64
    values = out + TILE_ROWS * 8
    last = _first_row(rows, n, start + count)
    _dense(inner, load_i64(inner, 6), first, last - first, values)
    for k in range(first, last):
        store_i64(out, load_u16(rows, k) - start, load_i64(values, k - first))


@numba.njit(nogil=True, error_model="numpy")
def _first_row(rows, n, row):  # type: ignore[no-untyped-def]
    """Return how many of the n ascending rows are smaller than `row`."""
    low = 0
    high = n
    while low < high:
        middle = (low + high) >> 1
        if load_u16(rows, middle) < row:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(nogil=True, error_model="numpy", inline="never")
def _dense(column, codec, start, count, out):  # type: ignore[no-untyped-def]
    """Decode any codec but SPARSE. Branches over codecs outside, loops over rows inside."""
    a = load_i64(column, 0)
    b = load_i64(column, 1)
    bias = load_i64(column, 2)
    real = load_i64(column, 7)
    if codec in (INT8, INT16, INT32):
        _scaled(column, codec, start, count, out)
    elif codec == MISSING:
        for i in range(count):
            store_i64(out, i, NAN_BITS if real else INT_MISSING)
    elif codec == CONSTANT:
        for i in range(count):
            store_i64(out, i, bias)
    elif codec in (BIT, CRUMB):
        _bits(a, codec, real, start, count, out)
    elif codec in (INT64, FLOAT64):
        for i in range(count):
            store_i64(out, i, load_i64(a, start + i))
    elif codec == FLOAT32:
        for i in range(count):
            store_f64(out, i, load_f32(a, start + i))
    elif codec == DICT8:
        for i in range(count):
            store_i64(out, i, load_i64(b, load_u8(a, start + i)))
    elif codec == DICT16:
        for i in range(count):
            store_i64(out, i, load_i64(b, load_u16(a, start + i)))


@numba.njit(nogil=True, error_model="numpy")
def _bits(a, codec, real, start, count, out):  # type: ignore[no-untyped-def]
    for i in range(count):
        row = start + i
        raw = load_bit(a, row) if codec == BIT else load_crumb(a, row)
        if codec == CRUMB and raw == 3:
            store_i64(out, i, NAN_BITS if real else INT_MISSING)
        elif real:
            store_f64(out, i, float(raw))
        else:
            store_i64(out, i, raw)


@numba.njit(nogil=True, error_model="numpy")
def _scaled(column, codec, start, count, out):  # type: ignore[no-untyped-def]
    """INT8, INT16, INT32: the last raw value is the missing one."""
    if load_i64(column, 7):
        if codec == INT8:
            _reals8(column, start, count, out)
        elif codec == INT16:
            _reals16(column, start, count, out)
        else:
            _reals32(column, start, count, out)
    elif codec == INT8:
        _ints8(column, start, count, out)
    elif codec == INT16:
        _ints16(column, start, count, out)
    else:
        _ints32(column, start, count, out)


def _loops(load: Any, missing: int) -> tuple[Any, Any]:
    """Return the loops over integers and over reals of one raw width."""

    @numba.njit(nogil=True, error_model="numpy")
    def ints(column, start, count, out):  # type: ignore[no-untyped-def]
        a = load_i64(column, 0)
        bias = load_i64(column, 2)
        step = load_i64(column, 3)
        for i in range(count):
            raw = load(a, start + i)
            store_i64(out, i, INT_MISSING if raw == missing else bias + step * raw)

    @numba.njit(nogil=True, error_model="numpy")
    def reals(column, start, count, out):  # type: ignore[no-untyped-def]
        a = load_i64(column, 0)
        bias = float(load_i64(column, 2))
        step = float(load_i64(column, 3))
        power = bits_to_f64(load_i64(column, 4))
        inverse = bits_to_f64(load_i64(column, 5))
        for i in range(count):
            raw = load(a, start + i)
            value = decimal(fused(float(raw), step, bias), power, inverse)
            store_f64(out, i, np.nan if raw == missing else value)

    return ints, reals


_ints8, _reals8 = _loops(load_u8, 255)
_ints16, _reals16 = _loops(load_u16, 65535)
_ints32, _reals32 = _loops(load_u32, 4294967295)
