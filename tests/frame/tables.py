"""Tables of every column type, as plain Python values: what the frame tests draw from."""

from __future__ import annotations

import datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

UTC = datetime.UTC
TYPES = ("int", "real", "bool", "enum", "time", "string", "uuid")
INT_MAX = 2**63 - 1

few = settings(max_examples=settings().max_examples // 5)
"""For tests that run once a type, or take long: a fifth of what the profile says."""

_times = st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1), timezones=st.just(UTC)).map(
    lambda each: each.replace(microsecond=each.microsecond // 1000 * 1000)
)
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.one_of(st.integers(-5, 5), st.integers(-INT_MAX, INT_MAX)),
    "real": st.one_of(
        st.sampled_from([0.0, -0.0, 0.1, 12.34, float("inf"), float("-inf"), 5e-324, 1e308]),
        st.floats(allow_nan=False),
    ),
    "bool": st.booleans(),
    "enum": st.sampled_from(["b", "a", "", "zoë", "a,b", 'q"']),
    "time": _times,
    "string": st.one_of(_texts, st.sampled_from(["", " x ", "a,b", 'say "x"', "line\nbreak", "NA", "1.0", "\r\n"])),
    "uuid": st.uuids(),
}


def column(type: str, n_rows: int) -> st.SearchStrategy[list[Any]]:
    """Return lists of values of a type, some of them None."""
    return st.lists(st.one_of(st.none(), VALUES[type]), min_size=n_rows, max_size=n_rows)


@st.composite
def tables(draw: st.DrawFn, types: tuple[str, ...] = TYPES) -> dict[str, list[Any]]:
    """Return a table with one column of each type, under the type's name."""
    n_rows = draw(st.integers(0, 12))
    return {type: draw(column(type, n_rows)) for type in types}


def same(left: Any, right: Any) -> bool:
    """Tell whether two values are one, the sign of zero included."""
    if isinstance(left, float) and isinstance(right, float):
        return left.hex() == right.hex()
    return type(left) is type(right) and left == right


def assert_same(left: dict[str, list[Any]], right: dict[str, list[Any]]) -> None:
    """Check that two tables are one."""
    assert list(left) == list(right)
    for name in left:
        assert len(left[name]) == len(right[name]), name
        for row, (a, b) in enumerate(zip(left[name], right[name], strict=True)):
            assert same(a, b), f"column {name}, row {row}: {a!r} is not {b!r}"
