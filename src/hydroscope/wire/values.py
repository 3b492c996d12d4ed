"""Values of users as bytes: a closed list of types, each of which comes back as what it was.

None, bool, int, float, str, bytes, datetime (comes back in UTC), lists, tuples and dictionaries of
these; NumPy arrays and numbers; `msgspec.Struct` types that were registered by name. A
bytearray or memoryview comes back as bytes, an array read-only. Everything else is refused
when it is put, with the place of it: MessagePack would make a list of a set and a string of a
Decimal without saying so.

Long bytes and arrays can be packed *apart*: beside the packed value rather than in it, so that
they are not copied with everything that is made around them. The value as it is packed says
how long each is; they follow each other in the order in which they are met.

Nothing is imported, called or found by name except the types that this process registered.
"""

from __future__ import annotations

import datetime
import math
from typing import Any

import msgspec

from hydroscope.ground.errors import DataError, UserError
from hydroscope.ground.limits import VALUE_BYTES, VALUE_DEPTH

__all__ = ["Types", "pack", "pack_apart", "register", "unpack", "verify"]

TUPLE, STRUCT, ARRAY, NUMBER, INT, BYTES_APART, ARRAY_APART = 1, 2, 3, 4, 5, 6, 7
"""Codes of MessagePack's extensions."""

APART_BYTES = 32 * 2**10
"""Bytes and arrays from this length on can be packed apart; to copy shorter ones costs less than to keep account."""

KINDS = frozenset("biufcSUmM?")
"""Of NumPy's dtypes: numbers, times, texts of fixed width; no objects, no records."""

PLAIN = frozenset({type(None), bool, int, float, str, bytes})
LOSSLESS = PLAIN - {int, bytes}
"""Types of which each value travels as it is, and in one piece."""

SCALARS = frozenset({type(None), bool, float})
NUMBERS = frozenset({int, bool})
HEAD_BYTES = 9
"""That MessagePack takes at most for a number, or before a text or bytes."""

KEYS = frozenset({str, int, bool, bytes, float})
INT_MIN, INT_MAX = -(2**63), 2**64 - 1
ALLOWED = (
    "None, bool, int, float, str, bytes, datetime, list, tuple, dict, NumPy arrays "
    "and msgspec.Struct types registered with hydroscope.wire.values.register"
)

_ENCODER = msgspec.msgpack.Encoder()


class Types:
    """Owner of the registered types, one a process: both ends must register the same ones under the same names."""

    def __init__(self) -> None:
        self._by_name: dict[str, msgspec.msgpack.Decoder[Any]] = {}
        self._names: dict[type, str] = {}

    def add(self, kind: type[msgspec.Struct], name: str | None = None) -> None:
        """Let values of this type be put; `name` is what travels (default: the name of the class)."""
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            raise UserError(f"{kind!r} is not a msgspec.Struct; only such types say completely what they hold")
        if open_field := _open_field(msgspec.inspect.type_info(kind), kind.__name__, set()):
            raise UserError(f"{open_field} may be anything, and could come back as something else; say what it holds")
        name = name or kind.__name__
        if name in self._by_name and self._names.get(kind) != name:
            raise UserError(f"a type is registered as {name!r} already; give this one another name")
        self._by_name[name] = msgspec.msgpack.Decoder(kind)
        self._names[kind] = name

    def name_of(self, kind: type) -> str | None:
        """Return the name of a registered type."""
        return self._names.get(kind)

    def decode(self, name: str, data: bytes) -> Any:
        """Return the value of a registered type."""
        decoder = self._by_name.get(name)
        if decoder is None:
            raise DataError(f"a value of type {name!r} came, which is not registered here; register it at all members")
        return decoder.decode(data)


_types = Types()
register = _types.add


def pack(value: Any) -> bytes:
    """Return a value as bytes; of a type that would not come back the same: `UserError`. Cost: O(size)."""
    return _packed(value, None)


def pack_apart(value: Any) -> tuple[bytes, list[bytes | memoryview]]:
    """Return a value as bytes, and what is long in it beside them, for `unpack`.

    What can change is copied, long bytes are the user's own object. Cost: O(size) without long bytes.
    """
    apart: list[bytes | memoryview] = []
    return _packed(value, apart), apart


def _packed(value: Any, apart: list[bytes | memoryview] | None) -> bytes:
    try:
        data = _ENCODER.encode(value if type(value) in LOSSLESS else _plain(value, "value", 0, apart))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"this value cannot be stored: {error}; what can be: {ALLOWED}") from error
    n_bytes = len(data) + sum(map(len, apart)) if apart else len(data)
    if n_bytes > VALUE_BYTES:
        raise UserError(f"this value takes {n_bytes} bytes; {VALUE_BYTES} are allowed: store it in parts")
    return data


def verify(value: Any) -> None:
    """Raise `UserError` for a value that `pack` would refuse; arrays, texts and bytes are not copied for that."""
    n_bytes = _size(value, "value", 0)
    if n_bytes > VALUE_BYTES:
        raise UserError(f"this value takes {n_bytes} bytes; {VALUE_BYTES} are allowed: store it in parts")


def unpack(data: bytes | memoryview, apart: bytes = b"") -> Any:
    """Return the value that `pack` made these bytes of, or `pack_apart` with what is apart joined; others: `DataError`.

    What is all of `apart` becomes part of the value as it is, without a copy. Cost: O(size).
    """
    try:
        if apart:
            beside = _Beside(apart)
            value = msgspec.msgpack.decode(data, ext_hook=beside.extension)
            beside.check_used()
        else:
            value = _DECODER.decode(data)
        if type(value) not in PLAIN:
            _check_depth(value, 0)
    except DataError:
        raise
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(f"bytes that are not a value: {error}") from error
    return value


def _plain(value: Any, place: str, depth: int, apart: list[bytes | memoryview] | None) -> Any:
    """Return the value in terms of what MessagePack holds without loss; long parts go to `apart`, if there is one."""
    kind = type(value)
    if kind in PLAIN:
        if apart is not None and _is_long(value):
            return _set_apart(value, apart)
        if kind is int and not INT_MIN <= value <= INT_MAX:
            return msgspec.msgpack.Ext(INT, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
        return value
    _check_place(place, depth)
    if kind is list or kind is tuple:
        items = value
        kinds = set(map(type, value))
        is_long = apart is not None and bytes in kinds and any(map(_is_long, value))
        if not kinds <= PLAIN or is_long or (int in kinds and not _fit(value, kinds)):
            items = [_plain(each, f"{place}[{index}]", depth + 1, apart) for index, each in enumerate(value)]
        return list(items) if kind is list else msgspec.msgpack.Ext(TUPLE, _ENCODER.encode(list(items)))
    if kind is dict:
        return {_key(key, place): _plain(each, f"{place}[{key!r}]", depth + 1, apart) for key, each in value.items()}
    if kind is bytearray or kind is memoryview:
        return _plain(bytes(value), place, depth, apart)
    if kind is datetime.datetime:
        return _time(value, place)
    if isinstance(value, msgspec.Struct):
        return _struct(value, kind, place)
    if kind.__module__ == "numpy" and hasattr(value, "dtype"):
        return _numpy(value, place, apart)
    raise _not_storable(kind, place)


def _size(value: Any, place: str, depth: int) -> int:
    """Return how many bytes a value takes at most when it is packed; raise for one that cannot be."""
    kind = type(value)
    if kind in SCALARS:
        return HEAD_BYTES
    if kind is int:
        return HEAD_BYTES if INT_MIN <= value <= INT_MAX else HEAD_BYTES + int(value.bit_length()) // 8
    if kind is str:
        return HEAD_BYTES + (len(value) if value.isascii() else _encoded_bytes(value, place))
    if kind is bytes or kind is bytearray:
        return HEAD_BYTES + len(value)
    _check_place(place, depth)
    if kind is list or kind is tuple:
        kinds = set(map(type, value))
        if kinds <= SCALARS or (kinds <= NUMBERS and _fit(value, kinds)):
            return HEAD_BYTES * (len(value) + 2)
        if kinds == {str} and all(map(str.isascii, value)):
            return HEAD_BYTES * (len(value) + 2) + sum(map(len, value))
        items = [_size(each, f"{place}[{index}]", depth + 1) for index, each in enumerate(value)]
        return sum(items) + 2 * HEAD_BYTES
    if kind is dict:
        keys = sum(_size(_key(key, place), place, 0) for key in value)
        return keys + sum(_size(each, f"{place}[{key!r}]", depth + 1) for key, each in value.items()) + HEAD_BYTES
    if kind is memoryview:
        return HEAD_BYTES + int(value.nbytes)
    if kind is datetime.datetime:
        _time(value, place)
        return 2 * HEAD_BYTES
    if isinstance(value, msgspec.Struct):
        return HEAD_BYTES + int(memoryview(_struct(value, kind, place).data).nbytes)
    if kind.__module__ == "numpy" and hasattr(value, "dtype"):
        _check_array(value, place)
        return int(value.nbytes + HEAD_BYTES * (value.ndim + 8))
    raise _not_storable(kind, place)


def _fit(value: list[Any] | tuple[Any, ...], kinds: set[type]) -> bool:
    """Return whether all whole numbers among these fit 64 bits."""
    numbers = value if kinds <= NUMBERS else [each for each in value if type(each) is int]
    return not numbers or (min(numbers) >= INT_MIN and max(numbers) <= INT_MAX)


def _encoded_bytes(value: str, place: str) -> int:
    try:
        return len(value.encode())
    except UnicodeEncodeError as error:
        raise UserError(f"{place} is a text that cannot be stored: {error}") from error


def _time(value: datetime.datetime, place: str) -> datetime.datetime:
    if value.utcoffset() is None:
        raise UserError(f"{place} is {value}, a time without a zone; give it one: value.astimezone()")
    return value


def _check_place(place: str, depth: int) -> None:
    if depth >= VALUE_DEPTH:
        raise UserError(f"{place[:80]} lies {depth} levels deep; {VALUE_DEPTH} are allowed: store a flatter value")


def _not_storable(kind: type, place: str) -> UserError:
    return UserError(f"{place} is of type {kind.__qualname__}, which cannot be stored; what can be: {ALLOWED}")


def _key(key: Any, place: str) -> Any:
    if type(key) not in KEYS:
        raise UserError(f"{place} has a key of type {type(key).__qualname__}; keys are str, int, bool, float or bytes")
    if type(key) is int and not INT_MIN <= key <= INT_MAX:
        raise UserError(f"{place} has the key {key}, which does not fit 64 bits; use it as str")
    return key


def _struct(value: msgspec.Struct, kind: type, place: str) -> msgspec.msgpack.Ext:
    name = _types.name_of(kind)
    if name is None:
        raise UserError(
            f"{place} is of type {kind.__qualname__}, which is not registered; "
            f"call hydroscope.wire.values.register({kind.__name__}) at every member"
        )
    data = _ENCODER.encode(value)
    try:
        _types.decode(name, data)  # or its readers would be the first to see that it is not what its type says
    except ValueError as error:
        raise UserError(f"{place} is not what its type {kind.__qualname__} says: {error}") from error
    return msgspec.msgpack.Ext(STRUCT, _ENCODER.encode((name, data)))


def _open_field(told: Any, place: str, seen: set[type]) -> str:
    """Return the place of the first part of a type that may hold anything; "" if there is none."""
    if isinstance(told, msgspec.inspect.AnyType | msgspec.inspect.RawType):
        return place
    inner: list[tuple[Any, str]] = []
    if isinstance(told, msgspec.inspect.StructType):
        if told.cls in seen:
            return ""
        seen.add(told.cls)
        inner += [(field.type, f"{place}.{field.name}") for field in told.fields]
    for name in ("item_type", "key_type", "value_type"):
        inner += [(getattr(told, name), f"what {place} holds")] if hasattr(told, name) else []
    for name in ("item_types", "types"):
        inner += [(each, f"what {place} holds") for each in getattr(told, name, ())]
    return next((found for each, where in inner if (found := _open_field(each, where, seen))), "")


def _check_array(value: Any, place: str) -> bool:
    """Raise for an array that cannot be stored; return whether it is one rather than a number."""
    import numpy as np

    is_array = type(value) is np.ndarray
    if value.dtype.kind not in KINDS or value.dtype.itemsize == 0 or not (is_array or isinstance(value, np.generic)):
        raise UserError(
            f"{place} is a {type(value).__name__} of {value.dtype}, which cannot be stored; "
            "use a plain array of numbers or of texts of fixed width"
        )
    return is_array


def _is_long(value: Any) -> bool:
    return type(value) is bytes and len(value) >= APART_BYTES


def _set_apart(value: bytes, apart: list[bytes | memoryview]) -> msgspec.msgpack.Ext:
    apart.append(value)
    return msgspec.msgpack.Ext(BYTES_APART, _ENCODER.encode(len(value)))


def _copied(array: Any) -> bytes | memoryview:
    """Return the bytes of an array, which nobody can change any more."""
    import numpy as np

    base = array.base.base if type(array.base) is np.ndarray else array.base
    if type(base) is bytes and len(base) == array.nbytes and array.flags.c_contiguous:
        return base  # it came from elsewhere: it is all of what came
    copy = np.array(array, order="C", copy=True)  # NumPy asks for huge pages: 3 times as fast as `tobytes`, measured
    return copy.reshape(-1).view(np.uint8).data.toreadonly()


def _numpy(value: Any, place: str, apart: list[bytes | memoryview] | None) -> msgspec.msgpack.Ext:
    is_array = _check_array(value, place)
    if is_array and apart is not None and value.nbytes >= APART_BYTES:
        apart.append(_copied(value))
        return msgspec.msgpack.Ext(ARRAY_APART, _ENCODER.encode((value.dtype.str, value.shape, value.nbytes)))
    data = value.tobytes()
    if is_array:
        return msgspec.msgpack.Ext(ARRAY, _ENCODER.encode((value.dtype.str, value.shape, data)))
    return msgspec.msgpack.Ext(NUMBER, _ENCODER.encode((value.dtype.str, (), data)))


class _Beside:
    """What is apart from one packed value, handed out in order, each byte once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self._tuple = msgspec.msgpack.Decoder(tuple[Any, ...], ext_hook=self.extension)

    def extension(self, code: int, data: memoryview) -> Any:
        """Return what an extension stands for."""
        if code == TUPLE:
            return self._tuple.decode(data)
        if code == BYTES_APART:
            return self._take(_SIZE_DECODER.decode(data))
        if code == ARRAY_APART:
            dtype_name, shape, n_bytes = _ARRAY_APART_DECODER.decode(data)
            return _array(ARRAY, dtype_name, shape, self._take(n_bytes))
        return _extension(code, data)

    def check_used(self) -> None:
        """Raise where there is more than the value says."""
        if self._place != len(self._data):
            raise DataError(f"bytes that are not a value: {len(self._data)} beside it, of which it has {self._place}")

    def _take(self, n_bytes: int) -> bytes:
        start, self._place = self._place, self._place + n_bytes
        if not 0 <= n_bytes <= len(self._data) - start:
            raise DataError(f"bytes that are not a value: {n_bytes} of {len(self._data) - start} beside it")
        return self._data[start : self._place]  # all of it: the same object, by the rules of slices of bytes


_SIZE_DECODER = msgspec.msgpack.Decoder(int)
_ARRAY_APART_DECODER = msgspec.msgpack.Decoder(tuple[str, tuple[int, ...], int])
_DECODER = msgspec.msgpack.Decoder(ext_hook=lambda code, data: _extension(code, data))
_TUPLE_DECODER = msgspec.msgpack.Decoder(tuple[Any, ...], ext_hook=lambda code, data: _extension(code, data))
_STRUCT_DECODER = msgspec.msgpack.Decoder(tuple[str, bytes])
_ARRAY_DECODER = msgspec.msgpack.Decoder(tuple[str, tuple[int, ...], bytes])


def _extension(code: int, data: memoryview) -> Any:
    if code == TUPLE:
        return _TUPLE_DECODER.decode(data)
    if code == INT:
        return int.from_bytes(data, "little", signed=True)
    if code == STRUCT:
        return _types.decode(*_STRUCT_DECODER.decode(data))
    if code in (ARRAY, NUMBER):
        return _array(code, *_ARRAY_DECODER.decode(data))
    raise DataError(f"bytes that are not a value: an extension {code}, which there is not")


def _array(code: int, dtype_name: str, shape: tuple[int, ...], data: bytes) -> Any:
    import numpy as np

    if len(dtype_name) > 32 or dtype_name[1:2] not in KINDS:
        raise DataError(f"bytes that are not a value: an array of {dtype_name[:32]!r}")
    dtype = np.dtype(dtype_name)
    fits = dtype.itemsize > 0 and min(shape, default=0) >= 0 and math.prod(shape) * dtype.itemsize == len(data)
    if not fits or dtype.kind not in KINDS or (code == NUMBER and shape != ()):
        raise DataError(f"bytes that are not a value: an array of shape {shape[:8]} in {len(data)} bytes")
    flat = np.frombuffer(data, dtype)
    return flat.reshape(shape) if code == ARRAY else flat[0]


def _check_depth(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is dict:
        value = value.values()
    elif kind is not list and kind is not tuple:
        return
    if depth >= VALUE_DEPTH:
        raise DataError(f"bytes that are not a value: more than {VALUE_DEPTH} levels deep")
    if not set(map(type, value)) <= PLAIN:
        for each in value:
            _check_depth(each, depth + 1)
