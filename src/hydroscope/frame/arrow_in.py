"""Columns out of Arrow arrays: which type each Arrow type becomes, and what is refused.

====================================  =======  ==========================================
Arrow                                 type     rule
====================================  =======  ==========================================
int8..int64, uint8..uint64            int      within -(2**63 - 1) .. 2**63 - 1
float16, float32, float64, null       real     NaN is missing
decimal                               real     the nearest float64
bool                                  bool
string                                string
dictionary of strings                 enum     levels sorted
timestamp, date                       time     whole milliseconds; without zone: UTC
uuid, 16 fixed bytes                  uuid
====================================  =======  ==========================================
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame.access import Array, Text, Values, Words, encode_leaf
from hydroscope.frame.arrow_out import arrow_type
from hydroscope.frame.layout import Layout
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.errors import DataError
from hydroscope.ground.limits import INT_MISSING
from hydroscope.node import ports

__all__ = ["arrow_values", "check_ints", "vec_from_arrow"]

DECIMAL_DIGITS_MAX = 22
"""10**22 is the largest power of ten that a float64 holds exactly."""


def vec_from_arrow(name: str, array: Any, layout: Layout, wanted: VecType | None = None) -> Vec:
    """Encode a pyarrow ChunkedArray, leaf-parallel, as a column of its own type or of `wanted`.

    Cost: one parallel pass.
    """
    import pyarrow as pa

    try:
        array = _plain(name, array)
        if wanted is not None and pa.types.is_null(array.type):
            array = pa.chunked_array([pa.nulls(len(array), arrow_type(wanted))])
        type = _natural_type(name, array.type)
        if wanted is not None and wanted is not type:
            array, type = _convert(array, type, wanted), wanted
        domain, table = None, None
        if type is VecType.ENUM:
            array, domain, table = _levels(array)
        items = []
        for leaf, (first, last) in enumerate(layout.leaves):
            start, stop = layout.leaf_rows(leaf)
            bounds = layout.starts[first : last + 1] - start
            items.append((name, type, bounds, array.slice(start, stop - start), start, table))
        return Vec(type, layout, tuple(ports.current().map(_encode, items)), domain)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        kind = f" as {wanted}" if wanted is not None else ""
        raise DataError(
            f"column {name!r} cannot be read{kind}: {reason}; convert it before, or choose another type with types="
        ) from None


def arrow_values(name: str, type: VecType, array: Any, first_row: int = 0) -> Values:
    """Return the decoded values of one pyarrow Array (codes of an enum are those of its dictionary)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if type is VecType.STRING:
        return _text(array.cast(pa.large_string()))
    if type is VecType.UUID:
        return _words(array)
    if type is VecType.REAL:
        return _reals(array)
    if type is VecType.TIME:
        array = _milliseconds(name, array)
    elif type is VecType.ENUM:
        array = array.indices
    array = array.cast(pa.int64())
    if type in (VecType.INT, VecType.TIME):
        least = pc.min(array).as_py()
        if least == INT_MISSING:
            refuse_int_missing(name, first_row + pc.index(array, INT_MISSING).as_py())
    return _flat(array.fill_null(INT_MISSING))


def check_ints(name: str, values: npt.NDArray[np.int64], first_row: int) -> None:
    """Refuse the one int64 that stands for missing values."""
    if len(values) and values.min() == INT_MISSING:
        refuse_int_missing(name, first_row + int(values.argmin()))


def refuse_int_missing(name: str, row: int) -> None:
    """Raise the error for an int that cannot be held."""
    raise DataError(
        f"column {name!r}, row {row}: {INT_MISSING} cannot be held, because it stands for missing values; "
        f"integers range from -(2**63 - 1) to 2**63 - 1; use None for a missing value, or types={{{name!r}: 'real'}}"
    )


def _encode(
    name: str,
    type: VecType,
    bounds: npt.NDArray[np.int64],
    array: Any,
    first_row: int,
    table: npt.NDArray[np.int64] | None,
) -> tuple[Chunk, ...]:
    """Encode one leaf's slice of a ChunkedArray; `table` maps an enum's codes to the sorted domain."""
    array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    values: Any = arrow_values(name, VecType(type), array, first_row)
    if table is not None:
        values = np.where(values == INT_MISSING, INT_MISSING, table[np.where(values == INT_MISSING, 0, values)])
    return encode_leaf(type, bounds, values)


def _plain(name: str, array: Any) -> Any:
    """Return a ChunkedArray without run-ends, views and dictionaries of anything but strings."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array, pa.Array):
        array = pa.chunked_array([array])
    if pa.types.is_run_end_encoded(array.type):
        array = pa.chunked_array([pc.run_end_decode(part) for part in array.chunks], array.type.value_type)
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    if pa.types.is_dictionary(array.type) and not _is_text(array.type.value_type):
        array = array.cast(array.type.value_type)
    return array


def _is_text(type: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type))


def _natural_type(name: str, type: Any) -> VecType:
    import pyarrow as pa

    is_ = pa.types
    for test, found in (
        (is_.is_boolean, VecType.BOOL),
        (is_.is_integer, VecType.INT),
        (is_.is_floating, VecType.REAL),
        (is_.is_decimal, VecType.REAL),
        (is_.is_null, VecType.REAL),
        (_is_text, VecType.STRING),
        (is_.is_dictionary, VecType.ENUM),
        (is_.is_timestamp, VecType.TIME),
        (is_.is_date, VecType.TIME),
        (_is_uuid, VecType.UUID),
    ):
        if test(type):
            return found
    hint = "cast it to int64 (milliseconds) before" if is_.is_duration(type) or is_.is_time(type) else "leave it out"
    raise DataError(
        f"column {name!r} has Arrow type {type}, which no column type holds "
        f"(there are int, real, bool, enum, time, string and uuid); {hint}"
    )


def _is_uuid(type: Any) -> bool:
    import pyarrow as pa

    if isinstance(type, pa.BaseExtensionType):
        return bool(type.extension_name == "arrow.uuid")
    return bool(pa.types.is_fixed_size_binary(type) and type.byte_width == 16)


def _convert(array: Any, type: VecType, wanted: VecType) -> Any:
    """Return the array as one whose natural type is `wanted`; Arrow's errors say what does not fit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if type is VecType.ENUM:
        array, type = array.cast(pa.large_string()), VecType.STRING
    if type is VecType.UUID:
        texts = [None if each is None else str(_as_uuid(each)) for each in array.to_pylist()]
        array, type = pa.chunked_array([pa.array(texts, pa.large_string())]), VecType.STRING
    if wanted is VecType.STRING:
        return array.cast(pa.large_string())
    if wanted is VecType.ENUM:
        return array.cast(pa.large_string()).dictionary_encode()
    if wanted is VecType.UUID:
        if type is not VecType.STRING:
            raise pa.ArrowTypeError(f"{type} values are not UUIDs")
        return pa.chunked_array([_parse_uuids(array.to_pylist())])
    if wanted is VecType.TIME:
        if type is VecType.STRING:
            return _parse_times(array)
        return array.cast(pa.int64()).cast(pa.timestamp("ms"))
    if wanted is VecType.BOOL:
        if type in (VecType.INT, VecType.REAL):
            strange = pc.and_(pc.not_equal(array, 0), pc.not_equal(array, 1))
            if pc.any(strange).as_py():
                raise pa.ArrowInvalid("a bool is 0 or 1, and there are other values")
        return array.cast(pa.bool_())
    if type is VecType.TIME:
        array = array.cast(pa.timestamp("ms", getattr(array.type, "tz", None)))
        return array.cast(pa.int64()) if wanted is VecType.INT else array.cast(pa.int64()).cast(pa.float64())
    if type is VecType.BOOL:
        array = array.cast(pa.int64())
    return array.cast(pa.int64() if wanted is VecType.INT else pa.float64())


def _parse_times(array: Any) -> Any:
    import pyarrow as pa

    try:
        return array.cast(pa.timestamp("ms"))
    except pa.ArrowInvalid:  # texts with a zone
        return array.cast(pa.timestamp("ms", "UTC"))


def _parse_uuids(texts: Sequence[str | None]) -> Any:
    import pyarrow as pa

    found = []
    for text in texts:
        try:
            found.append(None if text is None else uuid.UUID(text).bytes)
        except ValueError:
            raise pa.ArrowInvalid(f"{text!r} is not a UUID (32 hexadecimal digits)") from None
    return pa.array(found, pa.binary(16))


def _as_uuid(value: Any) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(bytes=value)


def _levels(array: Any) -> tuple[Any, tuple[str, ...], npt.NDArray[np.int64]]:
    """Return the array with one dictionary, the sorted domain, and the code of each dictionary entry."""
    import pyarrow as pa

    # The chunks' levels together may be more than their own index type counts.
    array = array.cast(pa.dictionary(pa.int64(), array.type.value_type)).unify_dictionaries()
    entries = array.chunk(0).dictionary.to_pylist() if array.num_chunks else []
    domain = tuple(sorted({each for each in entries if each is not None}))
    code = {level: i for i, level in enumerate(domain)}
    table = np.array([INT_MISSING if each is None else code[each] for each in entries] or [INT_MISSING], np.int64)
    if array.num_chunks == 0:
        nothing = pa.array([], array.type.value_type)
        array = pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array([], pa.int64()), nothing)])
    return array, domain, table


def _flat(array: Any) -> Array:
    return np.asarray(array.to_numpy(zero_copy_only=False))


def _valid(array: Any) -> npt.NDArray[np.bool_] | None:
    return _flat(array.is_valid()) if array.null_count else None


def _reals(array: Any) -> npt.NDArray[np.float64]:
    import pyarrow as pa

    if pa.types.is_decimal(array.type):
        return _decimals(array)
    return _flat(array.cast(pa.float64()).fill_null(float("nan")))


def _decimals(array: Any) -> npt.NDArray[np.float64]:
    """Return the nearest float64 of each decimal: a division of two exact floats where they are exact."""
    import pyarrow as pa

    digits, scale = array.type.precision, array.type.scale
    if digits <= 15 and 0 <= scale <= DECIMAL_DIGITS_MAX:
        whole = array.view(pa.decimal128(digits, 0)) if pa.types.is_decimal128(array.type) else None
        if whole is not None:
            return np.asarray(_flat(whole.cast(pa.float64()).fill_null(float("nan"))) / 10.0**scale)
    return np.array([np.nan if each is None else float(each) for each in array.to_pylist()], np.float64)


def _milliseconds(name: str, array: Any) -> Any:
    import pyarrow as pa

    try:
        return array.cast(pa.timestamp("ms", getattr(array.type, "tz", None)))
    except pa.ArrowInvalid as error:
        raise DataError(
            f"column {name!r} holds times that are no whole milliseconds ({_first_value(str(error))}): "
            "a time column counts milliseconds since 1970 UTC, and nothing is rounded unasked; "
            "round it before (Arrow: compute.round_temporal(..., unit='millisecond'), pandas: .dt.round('ms'), "
            "polars: .dt.round('1ms')), or cast it to int64 to keep every digit"
        ) from None


def _first_value(message: str) -> str:
    """Return the value that Arrow's message ends with."""
    return message.rsplit(":", 1)[-1].strip() if ":" in message else message


def _text(array: Any) -> Text:
    n_rows = len(array)
    _, offsets_buffer, data_buffer = array.buffers()
    if n_rows == 0:
        return Text(np.zeros(1, np.int64), np.empty(0, np.uint8), None)
    offsets = np.frombuffer(offsets_buffer, np.int64, n_rows + 1, array.offset * 8)
    data = np.empty(0, np.uint8) if data_buffer is None else np.frombuffer(data_buffer, np.uint8)
    return Text(offsets - offsets[0], data[int(offsets[0]) : int(offsets[-1])], _valid(array))


def _words(array: Any) -> Words:
    valid = _valid(array)
    storage = getattr(array, "storage", array)
    raw = np.frombuffer(storage.buffers()[1] or b"", ">u8")[2 * storage.offset : 2 * (storage.offset + len(storage))]
    return Words(raw.astype(np.uint64), valid)
