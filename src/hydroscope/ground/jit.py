"""Compilation of kernels: the only import of Numba outside `weave`.

Kernels are serial and release the GIL; parallelism belongs to the engine. (A
`parallel=True` kernel called from several threads aborts the process under Numba's
default threading layer.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

__all__ = ["kernel"]

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile `function` with Numba: nogil, cached on disk, IEEE division, no bounds checks."""
    compiled = numba.njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)(function)
    return cast("F", compiled)
