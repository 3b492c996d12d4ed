"""Columns for tests: values that make the encoder choose each codec, cut into small chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.encode import encode_int, encode_real
from hydroscope.codecs.table import Codec
from hydroscope.frame.frame import Frame
from hydroscope.frame.layout import Layout
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.limits import INT_MISSING
from hydroscope.node import ports

Make = Callable[[np.random.Generator, int], npt.NDArray[np.generic]]


def _distinct(rng, n, count):
    pool = np.concatenate([rng.normal(size=count - 1), [np.pi]])
    return pool[rng.integers(0, count, n)]


REALS: dict[str, Make] = {
    "missing": lambda rng, n: np.full(n, np.nan),
    "constant": lambda rng, n: np.full(n, 2.5),
    "bit": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "crumb": lambda rng, n: rng.integers(0, 3, n).astype(float),
    "int8": lambda rng, n: rng.integers(-50, 60, n) / 10,
    "int16": lambda rng, n: rng.integers(-5_000, 9_000, n) / 100,
    "int32": lambda rng, n: rng.integers(-(10**9), 10**9, n) / 1000,
    "float32": lambda rng, n: rng.normal(size=n).astype(np.float32).astype(np.float64),
    "float64": lambda rng, n: rng.normal(size=n),
    "dict8": lambda rng, n: _distinct(rng, n, 5),
    "sparse": lambda rng, n: np.where(rng.random(n) < 0.04, rng.normal(size=n), 0.0),
}

INTS: dict[str, Make] = {
    "missing": lambda rng, n: np.full(n, INT_MISSING),
    "constant": lambda rng, n: np.full(n, -7),
    "bit": lambda rng, n: rng.integers(0, 2, n),
    "crumb": lambda rng, n: rng.integers(0, 3, n),
    "int8": lambda rng, n: rng.integers(-100, 100, n),
    "int16": lambda rng, n: rng.integers(0, 9000, n) * 7 - 13,
    "int32": lambda rng, n: rng.integers(-(2**30), 2**30, n),
    "int32 far": lambda rng, n: rng.integers(0, 2**30, n) * 3 + 2**50,
    "int64": lambda rng, n: rng.integers(-(2**60), 2**60, n),
    "dict8": lambda rng, n: rng.choice(np.array([-(2**60), 3, 2**59, 11]), n),
    "sparse": lambda rng, n: np.where(rng.random(n) < 0.04, rng.integers(0, 2**40, n), 0),
    "sparse missing": lambda rng, n: np.where(rng.random(n) < 0.04, rng.integers(0, 2**40, n), INT_MISSING),
}

CANNOT_MISS = {"missing", "constant", "bit"}


def values(family: str, name: str, rng: np.random.Generator, n: int, missing: float) -> npt.NDArray[np.generic]:
    """Return n values that call for one codec, a share of them missing."""
    made = (INTS if family == "int" else REALS)[name](rng, n)
    if missing and name not in CANNOT_MISS:
        made[rng.random(n) < missing] = INT_MISSING if family == "int" else np.nan
    return made


def layout_of(sizes: Sequence[int]) -> Layout:
    """Return a layout with chunks of these sizes."""
    return Layout(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


def vec_of(family: str, layout: Layout, parts: Sequence[npt.NDArray[np.generic]], type: VecType | None = None) -> Vec:
    """Return a column whose chunks are these parts."""
    encode = encode_int if family == "int" else encode_real
    chunks = [encode(part) for part in parts]
    leaves = tuple(ports.current().put(tuple(chunks[a:b])) for a, b in layout.leaves)
    return Vec(type or (VecType.INT if family == "int" else VecType.REAL), layout, leaves)


def frame_of(**columns: npt.NDArray[np.generic]) -> Frame:
    """Return a frame of whole columns; integers are int columns, floats real ones."""
    n = len(next(iter(columns.values())))
    layout = Layout.regular(n)
    bounds = list(zip(layout.starts[:-1], layout.starts[1:], strict=True))
    return Frame.from_vecs(
        {
            name: vec_of("int" if each.dtype.kind == "i" else "real", layout, [each[a:b] for a, b in bounds])
            for name, each in columns.items()
        }
    )


def codecs_of(vec: Vec) -> set[Codec]:
    """Return the codecs a column is held in."""
    return {chunk.codec for chunk in vec.chunks()}
