"""Compilation of kernels: the only import of Numba outside `weave`.

Kernels are serial and release the GIL; parallelism belongs to the engine. (A
`parallel=True` kernel called from several threads aborts the process under Numba's
default threading layer.)

`kernel` compiles once for each combination of argument types it meets, and to Numba a
read-only array, a writable one and a strided one are three types: a kernel that meets
both encoded buffers (read-only) and scratch arrays compiles two to the power of its
arrays. `typed_kernel` has one signature, which is compiled, or loaded from the cache on
disk, at the first call; arrays marked `const` may be read-only or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

__all__ = ["inlined", "kernel", "load_word", "typed_kernel"]

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile `function` with Numba: nogil, cached on disk, IEEE division, no bounds checks."""
    return cast("F", _dispatcher(function))


def inlined(function: F) -> F:
    """Compile a part that only kernels call, into each of its callers.

    An array that is passed to a function which is not inlined is counted as referenced, with
    two atomic operations: 10 ns a call, more than many a row's work.
    """
    return cast("F", _dispatcher(function, forceinline=True))


def typed_kernel(arguments: str) -> Callable[[F], F]:
    """Compile a function, at its first call, for the given argument types only.

    Parameters
    ----------
    arguments : str
        One NumPy type code an argument, `[]` after it for a contiguous array, `const`
        before it for an array that is only read: ``"const i8[], i8, u1[]"``.

    Notes
    -----
    A call costs 0.3 us and 0.5 us more for each read-only array. Python code may call the
    result, compiled code may not: what kernels share is `inlined`.
    """

    def decorate(function: F) -> F:
        compiled = _dispatcher(function)
        ready: list[bool] = []

        def call(*values: Any) -> Any:
            if not ready:
                with global_compiler_lock:
                    if not ready:
                        compiled.compile(tuple(_type_of(each) for each in arguments.split(",")))
                        compiled.disable_compile()
                        ready.append(True)
            return compiled(*values)

        call.__name__, call.__doc__, call.__module__ = function.__name__, function.__doc__, function.__module__
        call.compiled = compiled  # type: ignore[attr-defined]
        return cast("F", call)

    return decorate


def _load_word(_: Any, data: Any, at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.bitcast(cgutils.pointer_add(builder, array.data, arguments[1]), ir.IntType(64).as_pointer())
        return builder.load(place, align=1)

    return numba.types.uint64(data, numba.types.int64), generate


load_word = cast("Callable[[npt.NDArray[np.uint8], int], np.uint64]", intrinsic(_load_word))
"""`load_word(data, at)`: for kernels, data[at:at + 8] as one little-endian uint64, from any address.

The caller sees to it that the eight bytes are there. (Eight loads and shifts give the same,
and cost a kernel that does so in eight places most of its time to compile.)
"""


def _dispatcher(function: Callable[..., object], **options: bool) -> Any:
    return numba.njit(nogil=True, cache=True, error_model="numpy", boundscheck=False, **options)(function)


def _type_of(argument: str) -> Any:
    words = argument.split()
    scalar = numba.from_dtype(np.dtype(words[-1].removesuffix("[]")))
    if not words[-1].endswith("[]"):
        return scalar
    return numba.types.Array(scalar, 1, "C", readonly=words[0] == "const")
