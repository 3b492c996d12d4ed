"""What generated loops need and Numba's Python does not offer: loads by address, exact decimals, bits.

Each is a few LLVM instructions, inlined where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic as numba_intrinsic

__all__ = [
    "as_bool",
    "as_f64",
    "as_i64",
    "bits_to_f64",
    "call_decoder",
    "decimal",
    "fused",
    "is_nan",
    "load_bit",
    "load_crumb",
    "load_f32",
    "load_f64",
    "load_i64",
    "load_u8",
    "load_u16",
    "load_u32",
    "narrow",
    "pick",
    "store_f64",
    "store_i64",
    "tiny",
]


def intrinsic(typer: Callable[..., object]) -> Callable[..., Any]:
    """Numba's decorator, visible to the type checker."""
    decorated: Callable[..., Any] = numba_intrinsic(typer)
    return decorated


_I8, _I16, _I32, _I64 = (ir.IntType(n) for n in (8, 16, 32, 64))
_F32, _F64 = ir.FloatType(), ir.DoubleType()
_QUIET = ("contract",)
"""A flag without effect where it is put: Numba gives every unflagged instruction the loop's flags."""


class _NoFlags(set[str]):
    """The flags of a call that Numba's fast-math pass shall leave alone."""

    def add(self, flag: str) -> None:
        pass


def _pointer(builder: Any, address: Any, index: Any, kind: Any) -> Any:
    base = builder.inttoptr(address, kind.as_pointer())
    return builder.gep(base, [index], inbounds=True)


def _load(kind: Any, result: Any, widen: str | None = None) -> Any:
    """Return the intrinsic that reads element `index` of the array of `kind` at `address`."""

    @intrinsic
    def load(typingctx: Any, address: Any, index: Any) -> Any:
        if not (isinstance(address, types.Integer) and isinstance(index, types.Integer)):
            raise TypingError("address and index are integers")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place, at = (context.cast(builder, args[k], signature.args[k], types.int64) for k in (0, 1))
            value = builder.load(_pointer(builder, place, at, kind))
            if widen is None:
                return value
            return getattr(builder, widen)(value, context.get_value_type(result))

        return result(address, index), codegen

    return load


load_u8 = _load(_I8, types.int64, "zext")
load_u16 = _load(_I16, types.int64, "zext")
load_u32 = _load(_I32, types.int64, "zext")
load_i64 = _load(_I64, types.int64)
load_f32 = _load(_F32, types.float64, "fpext")
load_f64 = _load(_F64, types.float64)


def _load_packed(bits: int) -> Any:
    """Return the intrinsic that reads the `index`-th group of bits, the first in the lowest bits."""
    groups = 8 // bits

    @intrinsic
    def load(typingctx: Any, address: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place, at = args
            byte = builder.load(_pointer(builder, place, builder.udiv(at, ir.Constant(_I64, groups)), _I8))
            group = builder.trunc(builder.and_(at, ir.Constant(_I64, groups - 1)), _I32)
            shift = builder.mul(group, ir.Constant(_I32, bits))
            raw = builder.lshr(builder.zext(byte, _I32), shift)
            return builder.zext(builder.and_(raw, ir.Constant(_I32, (1 << bits) - 1)), _I64)

        return types.int64(types.int64, types.int64), codegen

    return load


load_bit = _load_packed(1)
load_crumb = _load_packed(2)


def _store(kind: Any, accepted: Any) -> Any:
    """Return the intrinsic that writes element `index` of the array of `kind` at `address`."""

    @intrinsic
    def store(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place, at = (context.cast(builder, args[k], signature.args[k], types.int64) for k in (0, 1))
            builder.store(args[2], _pointer(builder, place, at, kind))
            return context.get_dummy_value()

        return types.void(address, index, accepted), codegen

    return store


store_f64 = _store(_F64, types.float64)
store_i64 = _store(_I64, types.int64)


@intrinsic
def fused(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _fma(builder, *args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@intrinsic
def decimal(typingctx: Any, m: Any, power: Any, inverse: Any) -> Any:
    """m / power, correctly rounded, without a division.

    `inverse` is 1 / power rounded; m and power are exact. Markstein's correction: with
    q = m * inverse and the exact remainder m - q * power, q + remainder * inverse rounds to
    the quotient (Markstein, IBM J. Res. Dev. 34, 1990; Muller et al., Handbook of
    Floating-Point Arithmetic, section 4.7). A division is what this replaces: in a loop of
    16-bit decimals it would take most of the time.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        m, power, inverse = args
        q = builder.fmul(m, inverse, flags=_QUIET)
        remainder = _fma(builder, builder.fneg(q), power, m)
        return _fma(builder, remainder, inverse, q)

    return types.float64(types.float64, types.float64, types.float64), codegen


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    function = builder.module.declare_intrinsic("llvm.fma", [_F64], ir.FunctionType(_F64, [_F64] * 3))
    call = builder.call(function, [a, b, c])
    call.fastmath = _NoFlags()
    return call


@intrinsic
def narrow(typingctx: Any, raw: Any, step: Any, bias: Any) -> Any:
    """raw * step + bias, which must fit into 32 bits: computed and later converted in 32 bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        raw, step, bias = (builder.trunc(arg, _I32) for arg in args)
        return builder.sext(builder.add(builder.mul(raw, step), bias), _I64)

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def tiny(typingctx: Any, raw: Any, step: Any, bias: Any) -> Any:
    """raw * step + bias, which must fit into 12 bits, with its sign: computed in 16.

    The shifts tell the compiler how small it is: products of two such values and their
    conversion to doubles then need 32 bits only, for which there are vector instructions.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        raw, step, bias = (builder.trunc(arg, _I16) for arg in args)
        value = builder.add(builder.mul(raw, step), bias)
        unused = ir.Constant(_I16, 4)
        return builder.sext(builder.ashr(builder.shl(value, unused), unused), _I64)

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def pick(typingctx: Any, dead: Any, value: Any) -> Any:
    """`value`, or 0 where `dead`: without a branch, so that a sum over rows that count is still one of vectors."""
    kind = types.unliteral(value)
    if not isinstance(kind, (types.Float, types.Integer, types.Boolean)):
        raise TypingError(f"a number is expected, and this is {kind}")
    result = types.int64 if isinstance(kind, types.Boolean) else kind

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = context.cast(builder, args[1], signature.args[1], result)
        return builder.select(args[0], ir.Constant(number.type, 0), number)

    return result(types.boolean, kind), codegen


@intrinsic
def bits_to_f64(typingctx: Any, bits: Any) -> Any:
    """The double that has these 64 bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _F64)

    return types.float64(types.int64), codegen


@intrinsic
def is_nan(typingctx: Any, value: Any) -> Any:
    """Tell a NaN by its bits: no fast-math flag can fold this away."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], _I64)
        magnitude = builder.and_(bits, ir.Constant(_I64, 0x7FFF_FFFF_FFFF_FFFF))
        return builder.icmp_unsigned(">", magnitude, ir.Constant(_I64, 0x7FF0_0000_0000_0000))

    return types.boolean(types.float64), codegen


def _cast(target: Any, accepted: tuple[Any, ...], rule: str) -> Any:
    @intrinsic
    def convert(typingctx: Any, value: Any) -> Any:
        kind = types.unliteral(value)
        if isinstance(kind, types.Optional) or not isinstance(kind, accepted):
            raise TypingError(f"{rule}, and this is {kind}")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return context.cast(builder, args[0], signature.args[0], target)

        return target(kind), codegen

    return convert


as_f64 = _cast(types.float64, (types.Float, types.Integer, types.Boolean), "a float is expected")
as_i64 = _cast(types.int64, (types.Integer, types.Boolean), "an int is expected")
as_bool = _cast(types.boolean, (types.Boolean,), "a bool is expected")


@intrinsic
def call_decoder(typingctx: Any, function: Any, column: Any, start: Any, count: Any, out: Any) -> Any:
    """Call the tile decoder at address `function`: (column, start, count, out), all int64.

    By address, so that a woven loop neither compiles nor links the decoder's many cases.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_I64] * 4)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen
