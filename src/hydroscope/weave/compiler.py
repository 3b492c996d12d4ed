"""Generated source into a compiled function, through the cache on disk.

A generated module is ordinary text that can be read in the cache folder. It may use the
intrinsics of `weave.intrinsics` and must define one function by the name given.
"""

from __future__ import annotations

import importlib.util
import linecache
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from hydroscope.weave import cache

__all__ = ["LOOP_FLAGS", "compile_source", "generated_file", "helper"]

LOOP_FLAGS = ("reassoc", "nsz", "contract", "arcp")
"""Fast-math of row loops: sums vectorise, and a NaN stays a NaN (no `nnan`, no `ninf`)."""

_compiled: dict[str, Callable[..., Any]] = {}


def compile_source(
    name: str,
    source: str,
    key: str = "",
    *,
    fastmath: tuple[str, ...] = (),
    boundscheck: bool = False,
) -> Callable[..., Any]:
    """Return the function `name` of the generated module `source`, compiled on its first call.

    Parameters
    ----------
    name : str
        The function in `source` to compile.
    source : str
        Text of a Python module. All that the machine code depends on must be in it or in `key`.
    key : str
        Whatever else the machine code depends on.
    fastmath : tuple of str
        LLVM flags; none by default, so that results are those of NumPy. Loops that sum take
        `LOOP_FLAGS`.
    boundscheck : bool
        Whether array indices are checked (an IndexError instead of a crash).

    Returns
    -------
    callable
        nogil, serial, division by zero as in NumPy. The same object for the same arguments.

    Notes
    -----
    Cost: about 0.1 s on the first call ever of a small loop, milliseconds in a process that
    finds it on disk, nothing afterwards.
    """
    digest = cache.digest(name, source, key, repr((fastmath, boundscheck)))
    known = _compiled.get(digest)
    if known is not None:
        return known
    import numba

    module = _load(f"{name}_{digest}", source)
    decorate = numba.njit(
        nogil=True,
        cache=module.__hydroscope_on_disk__,
        error_model="numpy",
        boundscheck=boundscheck,
        fastmath=set(fastmath) if fastmath else False,
    )
    return _compiled.setdefault(digest, decorate(getattr(module, name)))


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a user's function that a row loop calls (used by generated modules)."""
    import numba

    compiled: Callable[..., Any] = numba.njit(
        nogil=True, error_model="numpy", boundscheck=True, fastmath=set(LOOP_FLAGS)
    )(function)
    return compiled


def generated_file(function: Callable[..., Any]) -> str:
    """Return the file name under which errors of the compiler mention the function's source."""
    return str(function.__code__.co_filename)


def _load(name: str, source: str) -> ModuleType:
    """Import the generated module from the cache folder, or from memory when there is none."""
    qualified = f"hydroscope_woven_{name}"
    path = cache.store(name, source)
    if path is not None:
        spec = importlib.util.spec_from_file_location(qualified, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[qualified] = module  # Numba's cache refers to the module by name
        spec.loader.exec_module(module)
    else:
        file = f"<woven {name}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        module = ModuleType(qualified)
        module.__file__ = file
        sys.modules[qualified] = module
        exec(compile(source, file, "exec"), module.__dict__)
    module.__hydroscope_on_disk__ = path is not None  # type: ignore[attr-defined]
    return module
