"""Columns of a frame: choosing, adding, dropping and renaming them copies nothing."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hydroscope.frame.frame import Frame
from hydroscope.frame.layout import Layout
from hydroscope.ground.errors import UnknownNameError, UserError
from hydroscope.ground.limits import ROWS_PER_CHUNK
from hydroscope.node.ports import Engine
from tests.frame.tables import UTC

N = 2 * ROWS_PER_CHUNK + 5
NOON = datetime.datetime(2020, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def frame() -> Frame:
    return Frame(
        {"a": np.arange(N), "b": np.arange(N) / 3, "c": ["x", "y", None, "x", "z"] * (N // 5) + ["x"] * (N % 5)}
    )


def test_columns_are_the_same_objects_whatever_is_done_with_their_names(engine: Engine) -> None:
    frame = Frame({"a": np.arange(N), "b": np.arange(N) / 3, "c": np.arange(N).astype(str)})
    a, b, c = frame.vecs.values()
    for changed, expected in (
        (frame[["c", "a"]], {"c": c, "a": a}),
        (frame.select("b"), {"b": b}),
        (frame.drop("a"), {"b": b, "c": c}),
        (frame.drop(["a", "b"]), {"c": c}),
        (frame.rename({"a": "A", "c": "C"}), {"A": a, "b": b, "C": c}),
        (frame.rename(str.upper), {"A": a, "B": b, "C": c}),
        (frame.rename({"a": "b", "b": "a"}), {"b": a, "a": b, "c": c}),
        (frame.assign(d=frame["a"]), {"a": a, "b": b, "c": c, "d": a}),
        (frame.assign({"a": frame["b"]}), {"a": b, "b": b, "c": c}),
        (Frame(frame), {"a": a, "b": b, "c": c}),
        (Frame({"q": frame["a"], "r": frame.vecs["b"]}), {"q": a, "r": b}),
        (frame[:], {"a": a, "b": b, "c": c}),
    ):
        assert list(changed.vecs) == list(expected)
        assert all(changed.vecs[name] is vec for name, vec in expected.items())
        assert changed.layout is frame.layout


def test_columns_of_one_frame_share_one_layout(frame: Frame) -> None:
    assert {id(vec.layout) for vec in frame.vecs.values()} == {id(frame.layout)}
    made = frame.assign(d=frame["a"] * 2, e=np.arange(N), f=1, g="text", h=None)
    assert {id(vec.layout) for vec in made.vecs.values()} == {id(frame.layout)}
    other = frame[7 : N - 3]
    longer = Frame({"x": np.arange(N - 10)}).assign(other.vecs)
    assert {id(vec.layout) for vec in longer.vecs.values()} == {id(longer.layout)}
    assert longer["a"].to_list()[::1000] == list(range(7, N - 3))[::1000]


def test_set_and_delete_change_this_frame_only(frame: Frame) -> None:
    part = frame[["a", "b"]]
    part["z"] = part["a"] * 2 + 1
    part["a"] = 0
    del part["b"]
    assert (part.columns, frame.columns) == (["a", "z"], ["a", "b", "c"])
    assert part["z"][N - 1] == 2 * (N - 1) + 1
    assert part["a"].sum() == 0
    assert frame["a"][5] == 5


@pytest.mark.parametrize(
    ("value", "type", "expected"),
    [
        (3, "int", 3),
        (np.int8(3), "int", 3),
        (2.5, "real", 2.5),
        (np.float32(2.5), "real", 2.5),
        (True, "bool", True),
        (np.bool_(False), "bool", False),
        ("text", "enum", "text"),
        (np.str_("text"), "enum", "text"),
        (None, "real", None),
        (NOON, "time", NOON),
        (np.datetime64("2020-01-01T12:00", "ns"), "time", NOON),
        (datetime.date(2020, 1, 1), "time", NOON.replace(hour=0)),
        (uuid.UUID(int=7), "uuid", uuid.UUID(int=7)),
    ],
)
def test_a_scalar_fills_a_column(value: Any, type: str, expected: Any) -> None:
    frame = Frame({"x": [1, 2, 3]}).assign(y=value)
    assert (frame.types["y"], frame["y"].to_list()) == (type, [expected] * 3)


def test_what_a_frame_says_of_itself(frame: Frame) -> None:
    assert (frame.shape, frame.n_rows, frame.n_columns, len(frame)) == ((N, 3), N, 3, N)
    assert frame.types == {"a": "int", "b": "real", "c": "string"}
    assert list(frame) == frame.columns == ["a", "b", "c"]
    assert "a" in frame
    assert "z" not in frame
    assert frame.drop("a", "b", "c").shape == (N, 0)
    assert frame._ipython_key_completions_() == ["a", "b", "c"]


WRONG: list[tuple[Callable[[Frame], Any], type[Exception], str]] = [
    (lambda f: f["aa"], UnknownNameError, "no column 'aa' in frame of 3 columns; did you mean 'a'"),
    (lambda f: f[["a", "aa"]], UnknownNameError, "no column 'aa'"),
    (lambda f: f.drop("zz"), UnknownNameError, "no column 'zz'"),
    (lambda f: f.rename({"zz": "y"}), UnknownNameError, "no column 'zz'"),
    (lambda f: f.rename({"a": "b"}), UserError, "'b' occurs twice"),
    (lambda f: f.rename({"a": ""}), UserError, "at least one character"),
    (lambda f: f[["a", "a"]], UserError, "'a' occurs twice"),
    (lambda f: f.assign(d=[1, 2]), UserError, "2 rows does not fit a frame of"),
    (lambda f: f.assign(d=Frame({"x": [1]})["x"]), UserError, "1 rows does not fit a frame of"),
    (lambda f: f.assign(d=2**63), UserError, r"9223372036854775808 exceeds 2\*\*63 - 1"),
    (lambda f: f.a, AttributeError, r"columns are not attributes: write frame\['a'\]"),
    (lambda f: f.colums, AttributeError, "did you mean 'columns'"),
    (lambda f: f["c"].sum(), UserError, r"sum\(\) needs numbers, and column 'c' is of type string"),
    (lambda f: f["a"].levels, UserError, "has no levels"),
    (lambda f: f["a"].quantile(1.5), UserError, "between 0 and 1"),
    (lambda f: f["a"].any(), UserError, "truth values"),
]


@pytest.mark.parametrize(("work", "error", "match"), WRONG, ids=range(len(WRONG)))
def test_what_is_not_there_is_said(
    frame: Frame, work: Callable[[Frame], Any], error: type[Exception], match: str
) -> None:
    before = dict(frame.vecs)
    with pytest.raises(error, match=match):
        work(frame)
    assert frame.vecs == before


def test_a_failed_assignment_leaves_the_frame_as_it_was(frame: Frame) -> None:
    before = dict(frame.vecs)
    with pytest.raises(UserError):
        frame["a"] = [1]
    assert frame.vecs == before


def test_a_frame_without_columns_takes_the_rows_of_its_first() -> None:
    frame = Frame()
    frame["x"] = [1, 2]
    assert frame.shape == (2, 1)
    assert frame.layout.same_rows(Layout.regular(2))
