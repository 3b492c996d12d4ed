"""The table of codecs: the single source of their ids, ranges, sizes and missing-value rules.

Two families of values are encoded. *Integers* (columns of type int, bool, enum, time) are
int64 with `INT_MISSING` as missing value; *reals* are float64 in which every NaN is
missing. Strings and UUIDs have codecs of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

__all__ = ["CODECS", "MANTISSA_MAX", "MAX_DECIMALS", "RAW_CODECS", "Codec", "CodecRow"]


class Codec(IntEnum):
    """Identity of a codec; the numbers are part of the file format and never reused."""

    MISSING = 0
    CONSTANT = 1
    BIT = 2
    CRUMB = 3
    INT8 = 4
    INT16 = 5
    INT32 = 6
    INT64 = 7
    FLOAT32 = 8
    FLOAT64 = 9
    DICT8 = 10
    DICT16 = 11
    SPARSE = 12
    UUID = 13
    STRING = 14
    STRING_DICT = 15


RAW_CODECS: dict[Codec, np.dtype[Any]] = {
    Codec.INT8: np.dtype(np.uint8),
    Codec.INT16: np.dtype(np.uint16),
    Codec.INT32: np.dtype(np.uint32),
}
"""The codecs of biased, stepped raw values, narrowest first; the largest raw value says missing."""

MAX_DECIMALS = 22
"""10**22 is the largest power of ten that a float64 holds exactly."""

MANTISSA_MAX = 2**51
"""Within it, different mantissas of the same decimals are different float64, and rounding
value * 10**decimals finds the mantissa (two roundings, each off by 2**-53 at most)."""


@dataclass(frozen=True, slots=True)
class CodecRow:
    """One codec as documented and as used by the chooser."""

    codec: Codec
    name: str
    holds: str
    range: str
    size: str
    missing: str


CODECS: tuple[CodecRow, ...] = (
    CodecRow(Codec.MISSING, "missing", "any type", "all rows missing", "0", "every row"),
    CodecRow(Codec.CONSTANT, "constant", "int, real", "one value, none missing", "0", "cannot hold any"),
    CodecRow(Codec.BIT, "bit", "int, real", "0 and 1", "1 bit a row", "cannot hold any"),
    CodecRow(Codec.CRUMB, "crumb", "int, real", "0, 1 and 2", "2 bits a row", "raw 3"),
    CodecRow(
        Codec.INT8, "int8", "int, real", "(bias + step * raw) / 10**decimals, raw 0..254", "1 byte a row", "raw 255"
    ),
    CodecRow(Codec.INT16, "int16", "int, real", "the same, raw 0..65,534", "2 bytes a row", "raw 65,535"),
    CodecRow(Codec.INT32, "int32", "int, real", "the same, raw 0..2**32 - 2", "4 bytes a row", "raw 2**32 - 1"),
    CodecRow(Codec.INT64, "int64", "int", "-(2**63 - 1) .. 2**63 - 1", "8 bytes a row", "-2**63"),
    CodecRow(Codec.FLOAT32, "float32", "real", "reals that float32 holds exactly", "4 bytes a row", "NaN"),
    CodecRow(Codec.FLOAT64, "float64", "real", "any, -0.0 and infinities included", "8 bytes a row", "NaN"),
    CodecRow(
        Codec.DICT8, "dict8", "int, real", "up to 256 distinct values", "1 byte a row + 8 a value", "a value of its own"
    ),
    CodecRow(
        Codec.DICT16,
        "dict16",
        "int, real",
        "up to 65,536 distinct values",
        "2 bytes a row + 8 a value",
        "a value of its own",
    ),
    CodecRow(
        Codec.SPARSE,
        "sparse",
        "int, real",
        "few rows differ from 0 (or from missing)",
        "2 bytes + the inner codec per such row",
        "the fill, or the inner codec's",
    ),
    CodecRow(Codec.UUID, "uuid", "uuid", "128 bits", "16 bytes a row", "a bit a row, only if any is missing"),
    CodecRow(
        Codec.STRING,
        "string",
        "string",
        "UTF-8",
        "lengths in the narrowest width + text (zstd when that pays)",
        "a bit a row, only if any is missing",
    ),
    CodecRow(
        Codec.STRING_DICT,
        "string_dict",
        "string",
        "few distinct strings",
        "an int codec's codes + the distinct strings",
        "that of the codes",
    ),
)
