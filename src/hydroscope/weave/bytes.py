"""What kernels over text need and Numba's Python does not offer: unaligned words, and masks of 64 bytes.

Each is a few LLVM instructions, inlined where it is used. They take addresses: an array that is
passed from one compiled function to another is counted twice (an atomic addition each, and the
time of a whole short field), a number is not. None looks at bounds. A word is read from 8 bytes
and a mask from 64, so text that is read with these has SLACK bytes behind its end, of any value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = [
    "SLACK",
    "address_of",
    "byte_at",
    "count_ones",
    "leading_zeros",
    "mask_of",
    "put_word",
    "trailing_zeros",
    "word_at",
]

SLACK = 64
"""Bytes that may be read behind the end of a text."""

_I8, _I64 = ir.IntType(8), ir.IntType(64)
_BLOCK = ir.VectorType(_I8, 64)


def _check(*numbers: Any) -> None:
    if not all(isinstance(number, types.Integer) for number in numbers):
        raise TypingError("addresses, indexes and bytes are integers")


def _pointer(context: Any, builder: Any, signature: Any, args: Any, kind: Any) -> Any:
    address, index = (context.cast(builder, args[k], signature.args[k], types.int64) for k in (0, 1))
    base = builder.inttoptr(address, _I8.as_pointer())
    return builder.bitcast(builder.gep(base, [index], inbounds=True), kind.as_pointer())


def _address_of(typingctx: Any, array: Any) -> Any:
    if not (isinstance(array, types.Array) and array.layout == "C"):
        raise TypingError("the array is contiguous")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.ptrtoint(data, _I64)

    return types.int64(array), codegen


address_of = cast("Callable[[npt.NDArray[Any]], int]", intrinsic(_address_of))
"""Return where a contiguous array's data begin; the caller keeps the array."""


def _byte_at(typingctx: Any, text: Any, index: Any) -> Any:
    _check(text, index)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.load(_pointer(context, builder, signature, args, _I8)), _I64)

    return types.int64(text, index), codegen


byte_at = cast("Callable[[int, int], int]", intrinsic(_byte_at))
"""Return byte `index` of the text at address `text`, as int64."""


def _word_at(typingctx: Any, text: Any, index: Any) -> Any:
    _check(text, index)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _pointer(context, builder, signature, args, _I64)
        return builder.load(place, align=1)

    return types.uint64(text, index), codegen


word_at = cast("Callable[[int, int], np.uint64]", intrinsic(_word_at))
"""Return the 8 bytes from byte `index` on as uint64, the first one lowest."""


def _put_word(typingctx: Any, text: Any, index: Any, word: Any) -> Any:
    _check(text, index, word)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _pointer(context, builder, signature, args, _I64)
        builder.store(context.cast(builder, args[2], signature.args[2], types.uint64), place, align=1)
        return context.get_dummy_value()

    return types.void(text, index, word), codegen


put_word = cast("Callable[[int, int, np.uint64], None]", intrinsic(_put_word))
"""Write the 8 bytes of `word` (uint64) from byte `index` on."""


def _mask_of(typingctx: Any, text: Any, index: Any, byte: Any) -> Any:
    _check(text, index, byte)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _pointer(context, builder, signature, args, _BLOCK)
        block = builder.load(place, align=1)
        wanted = context.cast(builder, args[2], signature.args[2], types.int64)
        lane = builder.insert_element(
            ir.Constant(_BLOCK, ir.Undefined), builder.trunc(wanted, _I8), ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64)
        splat = builder.shuffle_vector(lane, ir.Constant(_BLOCK, ir.Undefined), zeros)
        mask = builder.bitcast(builder.icmp_unsigned("==", block, splat), _I64)
        is_byte = builder.icmp_unsigned("<", wanted, ir.Constant(_I64, 256))
        return builder.select(is_byte, mask, ir.Constant(_I64, 0))

    return types.uint64(text, index, byte), codegen


mask_of = cast("Callable[[int, int, int], np.uint64]", intrinsic(_mask_of))
"""Return which of the 64 bytes from byte `index` on equal `byte`, as bits of a uint64 (lowest: the first).

No bit is set when `byte` is not 0..255.
"""


def _unary(name: str, *flags: Any) -> Callable[[np.uint64], int]:
    """Return the intrinsic for an LLVM function of one word."""

    def function(typingctx: Any, word: Any) -> Any:
        if not isinstance(word, types.Integer):
            raise TypingError("the word is an integer")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = context.cast(builder, args[0], signature.args[0], types.uint64)
            kinds = [_I64, *(flag.type for flag in flags)]
            return builder.call(builder.module.declare_intrinsic(name, [_I64], ir.FunctionType(_I64, kinds)),
                                [value, *flags])  # fmt: skip

        return types.int64(word), codegen

    return cast("Callable[[np.uint64], int]", intrinsic(function))


trailing_zeros = _unary("llvm.cttz", ir.Constant(ir.IntType(1), 1))
"""Count the zero bits below the lowest one; undefined for 0."""

leading_zeros = _unary("llvm.ctlz", ir.Constant(ir.IntType(1), 1))
"""Count the zero bits above the highest one; undefined for 0."""

count_ones = _unary("llvm.ctpop")
"""Count the bits that are 1."""
