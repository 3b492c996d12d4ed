"""Columns to try codecs on, as Hypothesis strategies, and what it is for two chunks to be the same."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from hydroscope.ground.limits import INT_MISSING

INT_MAX = 2**63 - 1
INTS = st.one_of(
    st.integers(0, 1),
    st.integers(0, 2),
    st.integers(-5, 300),
    st.integers(-70_000, 70_000),
    st.integers(-(2**33), 2**33),
    st.integers(-INT_MAX, INT_MAX),
    st.sampled_from([0, 1, -1, 254, 255, 65_534, 65_535, 2**32 - 2, 2**32 - 1, 2**51, 2**51 + 1, INT_MAX, -INT_MAX]),
)
ODD_REALS = [
    -0.0,
    np.inf,
    -np.inf,
    5e-324,
    -5e-324,
    2.2250738585072009e-308,
    1.7976931348623157e308,
    1 / 3,
    0.1,
    1e22,
    1e23,
    1e-22,
    3.4028235677973366e38,
    2.0**51,
    2.0**51 + 2,
    2.0**53,
    0.30000000000000004,
]
REALS = st.one_of(
    st.sampled_from([0.0, 1.0]),
    st.integers(-1000, 1000).map(float),
    st.decimals(-1000, 1000, places=2).map(float),
    st.decimals(-10, 10, places=7).map(float),
    st.floats(width=32, allow_nan=False),
    st.floats(allow_nan=False),
    st.sampled_from(ODD_REALS),
)


def shaped(elements, missing, dtype):
    """Columns of few or many distinct elements, of which some rows are zero and some missing."""

    @st.composite
    def column(draw):
        n_rows = draw(st.sampled_from([0, 1, 2, 3, 9, 40, 300, 2100]))
        kind = draw(st.sampled_from(["one", "few", "steps"]))
        pool = np.array(draw(st.lists(elements, min_size=1, max_size={"one": 1}.get(kind, 40))), dtype=dtype)
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        values = pool[rng.integers(0, len(pool), n_rows)]
        if kind == "steps" and n_rows:  # many distinct values
            step = draw(st.sampled_from([1, 7, 100, 2**20] if dtype == np.int64 else [1.0, 0.5, 0.01, 1e-7, np.pi]))
            spread = draw(st.sampled_from([3, 250, 70_000, 2**33]))
            base = 0 if abs(int(pool[0]) if dtype == np.int64 else 0) > 2**60 else pool[0]
            with np.errstate(over="ignore"):
                values = base + rng.integers(0, spread, n_rows) * step
        values = values.astype(dtype)
        for fill in (dtype(0), missing):
            share = draw(st.sampled_from([0, 0, 0.05, 0.6, 0.97, 1]))
            values[rng.random(n_rows) < share] = fill
        return values

    return column()


int_columns = shaped(INTS, INT_MISSING, np.int64)
real_columns = shaped(REALS, np.nan, np.float64)


@st.composite
def decimal_columns(draw):
    """Mantissas and decimals as a tokeniser finds them."""
    whole = draw(int_columns)
    most = draw(st.integers(0, 22))
    spread = draw(st.sampled_from([0, 1, 3, most]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    limit = draw(st.sampled_from([2**53, 2**40, 10**6]))
    missing = whole == INT_MISSING
    mantissa = np.where(missing, whole, np.where(missing, 0, whole) % (2 * limit + 1) - limit)
    decimals = rng.integers(max(0, most - spread), most + 1, len(whole)).astype(np.uint8)
    decimals[missing] = rng.integers(0, 256)
    return mantissa, decimals


@st.composite
def string_columns(draw):
    """Strings as a list, None where missing."""
    elements = st.one_of(
        st.text(max_size=12), st.sampled_from(["", "a", "aa", "\0", "abcdefgh", "abcdefghi", "ü" * 40])
    )
    pool = [each.encode() for each in draw(st.lists(elements, min_size=1, max_size=20))]
    if draw(st.booleans()):
        pool += [b"%08d" % i for i in range(draw(st.sampled_from([10, 300, 3000])))]
    n_rows = draw(st.sampled_from([0, 1, 2, 9, 70, 700, 4000]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    missing = rng.random(n_rows) < draw(st.sampled_from([0, 0, 0.1, 0.95, 1]))
    picks = rng.integers(0, len(pool), n_rows)
    return [None if gone else pool[pick] for gone, pick in zip(missing, picks, strict=True)]


def arrow(strings, before=b"", below=b""):
    """Return strings in Arrow's form; `before` precedes the first, `below` lies in missing rows."""
    raw = [below if each is None else each for each in strings]
    offsets = np.cumsum([len(before), *(len(each) for each in raw)]).astype(np.int64)
    data = np.frombuffer(before + b"".join(raw) + before, np.uint8)
    return offsets, data, np.array([each is not None for each in strings], dtype=np.bool_)


def canonical_bits(values):
    """Return the bits of reals with every NaN canonical."""
    return np.where(np.isnan(values), np.nan, values).view(np.int64)


def describe(chunk):
    """Return all of a chunk as plain values, which compare."""
    buffers = [(buffer.dtype.str, buffer.tobytes()) for buffer in chunk.buffers]
    inner = None if chunk.inner is None else describe(chunk.inner)
    return (chunk.codec, chunk.n_rows, chunk.n_missing, chunk.bias, chunk.step, chunk.decimals, buffers, inner)
