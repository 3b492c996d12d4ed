"""What is compared with: columns as lists of Python values, and loops over them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from hydroscope.engine.local import LocalEngine
from hydroscope.frame.access import column_values
from hydroscope.frame.vec import Vec
from hydroscope.ground.limits import INT_MISSING
from hydroscope.node import ports
from tests.weave.columns import INTS, REALS, values, vec_of

KINDS = [("int", name) for name in sorted(INTS)] + [("real", name) for name in sorted(REALS)]


def made(kinds: Sequence[tuple[str, str]], layout, seed: int, missing: float) -> list[Vec]:
    """Return columns in which the codec of a chunk follows `kinds`, all of one family."""
    rng = np.random.default_rng(seed)
    sizes = np.diff(layout.starts)
    family = kinds[0][0]
    names = [name for own, name in kinds if own == family]
    parts = [values(family, names[k % len(names)], rng, int(n), missing) for k, n in enumerate(sizes)]
    return vec_of(family, layout, parts)


def lists(vec: Vec) -> list:
    """Return a column's values, None where missing."""
    found = column_values(vec)
    if found.dtype == np.int64:
        return [None if value == INT_MISSING else value for value in found.tolist()]
    return [None if math.isnan(value) else value for value in found.tolist()]


def rows(vecs: Sequence[Vec], skipna: bool = True) -> Iterator[tuple]:
    """Yield rows as a map function sees them."""
    for row in zip(*(lists(vec) for vec in vecs), strict=True):
        if not skipna:
            yield tuple(math.nan if value is None else float(value) for value in row)
        elif None not in row:
            yield row


def sums(task, vecs: Sequence[Vec]) -> dict:
    """Run the user's function row by row on one fresh task, without leaves or merges."""
    alone = type(task)(**{name: task.__dict__[name] for name in type(task)._declared.inputs})
    for row in rows(vecs, type(task).skipna):
        type(task).map(alone, *row)
    return outputs(alone)


def outputs(task) -> dict:
    return {name: getattr(task, name) for name in type(task)._declared.outputs}


def assert_close(got: dict, wanted: dict) -> None:
    """Counts and flags are equal; sums of floats agree to rounding, their order is free within a leaf."""
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        if np.asarray(value).dtype.kind in "ib":
            np.testing.assert_array_equal(got[name], value, err_msg=name)
        else:
            np.testing.assert_allclose(got[name], value, rtol=1e-9, atol=1e-9, err_msg=name)


@contextmanager
def on_threads(n: int):
    """Use a local engine of n threads."""
    engine = LocalEngine(n)
    before = ports.install(engine)
    try:
        yield
    finally:
        ports.restore(before)
        engine.shutdown()
