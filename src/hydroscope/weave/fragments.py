"""The table of codecs as text of a loop: how row `_hs_i` of a column is read, and when it is missing.

A chunk is described by one row of an int64 array, `SLOT` words a column:

    A        B         C     D     E                 F                    G      H
    address  address   bias  step  bits of           bits of              codec  1: the column
    of data  of table              10.0**decimals    1 / 10.0**decimals          is real

and the same eight words again for the inner chunk of a SPARSE one (A: its rows' address,
B: how many there are, C: 1 when absent rows are missing), and the number of rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hydroscope.codecs.table import Codec
from hydroscope.weave.recipe import Family

__all__ = [
    "FILL",
    "FUSABLE",
    "INNER",
    "N_PRESENT",
    "ROWS",
    "SLOT",
    "TILE_BYTES",
    "TILE_ROWS",
    "ColumnFlags",
    "column_lines",
    "tile_lines",
]

SLOT = 17
"""Words that describe one column of one chunk."""

ROWS = 16
"""The word that holds the number of rows."""

N_PRESENT, FILL, INNER = 1, 2, 8
"""Of a SPARSE chunk: how many rows it holds, whether the others are missing, where its inner chunk is described."""

TILE_ROWS = 1024
"""Rows decoded at a time: 8 KB a column, so that a few columns stay in the L1 cache."""

TILE_BYTES = 2 * TILE_ROWS * 8
"""A column's place among the tiles: as much again lies behind it for what the decoder is at."""


@dataclass(frozen=True, slots=True)
class ColumnFlags:
    """What holds for all chunks of a column, so that there are few loops to compile.

    Attributes
    ----------
    missing : bool
        Some chunk has missing values.
    decimals : bool
        Some chunk's values are divided by a power of ten.
    narrow : bool
        All of bias + step * raw fits into 32 bits in every chunk. (A conversion from 64-bit
        integers to doubles takes six instructions where AVX-512 is lacking, one from 32 bits:
        1.7 against 4 G rows/s in a sum.)
    tiny : bool
        It even fits into 12 bits. Worth using where values are multiplied: 0.65 against
        1.4 ns a row for (x - y) * z of three columns, but 0.33 against 0.23 for a sum.
    unit : bool
        Every step is 1, as it mostly is: no multiplication then.
    """

    missing: bool
    decimals: bool
    narrow: bool
    tiny: bool
    unit: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """How one codec reads row `_hs_i` of column {k}.

    Attributes
    ----------
    raw : str
        Expression of what is stored.
    missing : str
        Condition on the raw value `_hs_q{k}`; "" when the codec cannot hold a missing value,
        "value" when the value itself is tested.
    scaled : bool
        Whether the raw value stands for (bias + step * raw) / 10**decimals.
    """

    raw: str
    missing: str = ""
    scaled: bool = False


_DICT = {
    "int": "_hs_load_i64(_hs_B{k}, %s(_hs_A{k}, _hs_i))",
    "real": "_hs_load_f64(_hs_B{k}, %s(_hs_A{k}, _hs_i))",
}

_COMMON: dict[Codec, Fragment] = {
    Codec.BIT: Fragment("_hs_load_bit(_hs_A{k}, _hs_i)"),
    Codec.CRUMB: Fragment("_hs_load_crumb(_hs_A{k}, _hs_i)", "_hs_q{k} == 3"),
    Codec.INT8: Fragment("_hs_load_u8(_hs_A{k}, _hs_i)", "_hs_q{k} == 255", scaled=True),
    Codec.INT16: Fragment("_hs_load_u16(_hs_A{k}, _hs_i)", "_hs_q{k} == 65535", scaled=True),
    Codec.INT32: Fragment("_hs_load_u32(_hs_A{k}, _hs_i)", "_hs_q{k} == 4294967295", scaled=True),
}

FUSABLE: dict[Family, dict[Codec, Fragment]] = {
    "int": {
        **_COMMON,
        Codec.CONSTANT: Fragment("_hs_C{k}"),
        Codec.INT64: Fragment("_hs_load_i64(_hs_A{k}, _hs_i)", "value"),
        Codec.DICT8: Fragment(_DICT["int"] % "_hs_load_u8", "value"),
        Codec.DICT16: Fragment(_DICT["int"] % "_hs_load_u16", "value"),
    },
    "real": {
        **_COMMON,
        Codec.CONSTANT: Fragment("_hs_bits_to_f64(_hs_C{k})"),
        Codec.FLOAT32: Fragment("_hs_load_f32(_hs_A{k}, _hs_i)", "value"),
        Codec.FLOAT64: Fragment("_hs_load_f64(_hs_A{k}, _hs_i)", "value"),
        Codec.DICT8: Fragment(_DICT["real"] % "_hs_load_u8", "value"),
        Codec.DICT16: Fragment(_DICT["real"] % "_hs_load_u16", "value"),
    },
}
"""Codecs read inside the loop. All others are decoded to tiles first (`weave.tiles`)."""

_IS_MISSING = {"int": "_hs_v{k} == -9223372036854775808", "real": "_hs_is_nan(_hs_v{k})"}


@dataclass(frozen=True, slots=True)
class ColumnLines:
    """Text for one column: once a chunk, once a row, and the row's test for missing ("" none)."""

    chunk: tuple[str, ...]
    row: tuple[str, ...]
    missing: str


def column_lines(k: int, codec: Codec, family: Family, flags: ColumnFlags, multiplied: bool) -> ColumnLines:
    """Return the text that puts row `_hs_i` of column k into `_hs_v{k}`.

    `multiplied` says that the user's function multiplies something.
    """
    fragment = FUSABLE[family][codec]
    row = [f"_hs_q{k} = {fragment.raw.format(k=k)}"]
    more: list[str] = []
    if not fragment.scaled:
        convert = "float(_hs_q{k})" if family == "real" and codec in _COMMON else "_hs_q{k}"
        row.append(f"_hs_v{k} = " + convert.format(k=k))
    elif family == "int":
        how = "_hs_tiny" if flags.tiny and multiplied else "_hs_narrow"
        step = "1" if flags.unit else f"_hs_D{k}"
        product = f"{how}(_hs_q{k}, {step}, _hs_C{k})" if flags.narrow else f"_hs_q{k} * {step} + _hs_C{k}"
        row.append(f"_hs_v{k} = {product}")
    else:
        # The product alone may need 54 bits; fused, only the sum is rounded, and it is exact.
        more = [f"_hs_fC{k} = float(_hs_C{k})", f"_hs_fD{k} = float(_hs_D{k})"]
        value = f"_hs_fused(float(_hs_q{k}), _hs_fD{k}, _hs_fC{k})"
        if flags.decimals:
            more += [
                f"_hs_{x}{k} = _hs_bits_to_f64(_hs_load_i64(_hs_at, {k * SLOT + n}))" for n, x in ((4, "E"), (5, "F"))
            ]
            value = f"_hs_decimal({value}, _hs_E{k}, _hs_F{k})"
        row.append(f"_hs_v{k} = {value}")
    text = "\n".join(row + more)
    chunk = [
        f"_hs_{letter}{k} = _hs_load_i64(_hs_at, {k * SLOT + n})"
        for n, letter in enumerate("ABCD")
        if re.search(rf"\b_hs_{letter}{k}\b", text)
    ]
    return ColumnLines(tuple(chunk + more), tuple(row), _missing(k, fragment, family) if flags.missing else "")


def _missing(k: int, fragment: Fragment, family: Family) -> str:
    text = _IS_MISSING[family] if fragment.missing == "value" else fragment.missing
    return text.format(k=k)


def tile_lines(k: int, family: Family, flags: ColumnFlags) -> ColumnLines:
    """Return the text that reads row `_hs_j` of column k from its decoded tile."""
    chunk = (f"_hs_T{k} = _hs_scratch + {k * TILE_BYTES}",)
    load = "_hs_load_i64" if family == "int" else "_hs_load_f64"
    row = (f"_hs_v{k} = {load}(_hs_T{k}, _hs_j)",)
    return ColumnLines(chunk, row, _IS_MISSING[family].format(k=k) if flags.missing else "")
