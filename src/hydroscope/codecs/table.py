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

__all__ = ["CODECS", "MANTISSA_MAX", "MAX_DECIMALS", "MISSING_RULES", "RAW_CODECS", "Codec", "CodecRow"]


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
    """One codec as documented: what it can hold, what it costs, and how it says missing."""

    codec: Codec
    name: str
    holds: str
    range: str
    size: str
    missing: str
    buffers: str


_RAW = "int, real"
_VALIDITY = "a bit a row, only if any is missing"

CODECS: tuple[CodecRow, ...] = (
    CodecRow(Codec.MISSING, "missing", "any type", "none: all rows are missing", "0", "every row", "none"),
    CodecRow(
        Codec.CONSTANT, "constant", _RAW, "one value in all rows", "0", "cannot hold any", "none; the value is bias"
    ),
    CodecRow(Codec.BIT, "bit", _RAW, "0 and 1", "1 bit a row", "cannot hold any", "uint8, row 0 in the lowest bit"),
    CodecRow(Codec.CRUMB, "crumb", _RAW, "0, 1 and 2", "2 bits a row", "raw 3", "uint8, row 0 in the lowest bits"),
    CodecRow(
        Codec.INT8,
        "int8",
        _RAW,
        "(bias + step * raw) / 10**decimals, raw 0..254",
        "1 byte a row",
        "raw 255",
        "uint8 raw",
    ),
    CodecRow(Codec.INT16, "int16", _RAW, "the same, raw 0..65,534", "2 bytes a row", "raw 65,535", "uint16 raw"),
    CodecRow(Codec.INT32, "int32", _RAW, "the same, raw 0..2**32 - 2", "4 bytes a row", "raw 2**32 - 1", "uint32 raw"),
    CodecRow(Codec.INT64, "int64", "int", "-(2**63 - 1)..2**63 - 1", "8 bytes a row", "-2**63", "int64"),
    CodecRow(
        Codec.FLOAT32,
        "float32",
        "real",
        "what float32 holds exactly, -0.0 and infinities included",
        "4 bytes a row",
        "NaN",
        "float32",
    ),
    CodecRow(Codec.FLOAT64, "float64", "real", "any, -0.0 and infinities included", "8 bytes a row", "NaN", "float64"),
    CodecRow(
        Codec.DICT8,
        "dict8",
        _RAW,
        "up to 256 distinct values, -0.0 and 0.0 being two",
        "1 byte a row + 8 a value",
        "a value of its own",
        "uint8 codes; int64 or float64 table in order of first appearance",
    ),
    CodecRow(
        Codec.DICT16,
        "dict16",
        _RAW,
        "up to 65,536 distinct values",
        "2 bytes a row + 8 a value",
        "a value of its own",
        "uint16 codes; the table",
    ),
    CodecRow(
        Codec.SPARSE,
        "sparse",
        _RAW,
        "few rows differ from 0 (bias 0; -0.0 differs) or from missing (bias 1)",
        "2 bytes + the inner codec for each such row",
        "the fill, or the inner codec's",
        "uint16 rows, ascending; inner: their values",
    ),
    CodecRow(Codec.UUID, "uuid", "uuid", "128 bits", "16 bytes a row", _VALIDITY, "uint64 high and low; validity"),
    CodecRow(
        Codec.STRING,
        "string",
        "string",
        "UTF-8",
        "text (zstd where that saves a quarter) + lengths in the narrowest width (none if all are alike)",
        _VALIDITY,
        "lengths; text; validity",
    ),
    CodecRow(
        Codec.STRING_DICT,
        "string_dict",
        "string",
        "few distinct strings",
        "the distinct strings + 4 bytes each + an int codec's codes",
        "that of the codes",
        "uint32 offsets; text; inner: codes",
    ),
)

MISSING_RULES: tuple[str, ...] = (
    "In int, bool, enum and time columns -2**63 is the missing value, and no value.",
    "In real columns every NaN is missing, whatever its sign and payload; the canonical NaN (0x7FF8000000000000) comes "
    "back. -0.0, infinities and subnormal numbers are values and come back bit by bit.",
    "A string that is missing and the empty string are two things.",
    "No codec keeps what was below a missing row.",
)
"""What holds in all codecs."""
