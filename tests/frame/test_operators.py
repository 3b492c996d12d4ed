"""Element-wise operators: against Python's own numbers, with missing values, interpreted and fused."""

from __future__ import annotations

import datetime
import math
import operator
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.frame import expression, fuse, reference
from hydroscope.frame.column import Column
from hydroscope.frame.expression import Node, program_of
from hydroscope.frame.frame import Frame
from hydroscope.frame.program import LIBRARY, OPERATIONS, Input, Program, Step
from hydroscope.ground.errors import DataError, UserError
from hydroscope.ground.limits import INT_MISSING
from tests.frame.tables import INT_MAX, VALUES, column, few

COMPARISONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
UTC = datetime.UTC


def col(values: list[Any], type: str | None = None) -> Column:
    return Frame({"x": values}, types=None if type is None else {"x": type})["x"]


def lifted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that is None where an argument is, or where the result is NaN."""

    def apply(*args: Any) -> Any:
        if any(each is None for each in args):
            return None
        found = function(*args)
        return None if isinstance(found, float) and math.isnan(found) else found

    return apply


small = st.lists(st.tuples(*[st.one_of(st.none(), st.integers(-(2**31), 2**31))] * 2), max_size=8)


@pytest.mark.parametrize("function", [operator.add, operator.sub, operator.mul])
@given(rows=small)
def test_integers_stay_integers(function: Callable[..., Any], rows: list[tuple[int | None, int | None]]) -> None:
    a, b = [row[0] for row in rows], [row[1] for row in rows]
    found = function(col(a, "int"), col(b, "int"))
    assert found.type == "int"
    assert found.to_list() == [lifted(function)(*row) for row in rows]


@pytest.mark.parametrize("function", [operator.add, operator.sub, operator.mul])
@few
@given(a=VALUES["int"], b=VALUES["int"])
def test_integers_beyond_64_bits_are_an_error_that_names_row_and_way_out(
    function: Callable[..., Any], a: int, b: int
) -> None:
    exact = function(a, b)
    found = function(col([0, a], "int"), col([0, b], "int"))
    if abs(exact) <= INT_MAX:
        assert found.to_list() == [0, exact]
    else:
        with pytest.raises(DataError, match=r"row 1: .*astype\('real'\)"):
            found.to_list()


@given(rows=small, by=st.integers(-7, 7))
def test_floor_division_and_remainder_are_pythons(rows: list[tuple[int | None, int | None]], by: int) -> None:
    a = [row[0] for row in rows]
    for function in (operator.floordiv, operator.mod):
        expected = [None if each is None or by == 0 else function(each, by) for each in a]
        assert function(col(a, "int"), by).to_list() == expected


@given(values=column("real", 6), by=VALUES["real"])
def test_reals_are_ieee_and_nan_is_missing(values: list[float | None], by: float) -> None:
    x = col(values, "real")
    array = np.array([np.nan if each is None else each for each in values])
    with np.errstate(all="ignore"):
        for function in (operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod):
            expected = function(array, by)
            np.testing.assert_array_equal(function(x, by).to_numpy(), expected)
            np.testing.assert_array_equal(function(by, x).to_numpy(), function(by, array))


@given(values=column("int", 6))
def test_division_of_integers_is_real(values: list[int | None]) -> None:
    found = col(values, "int") / 4
    assert found.type == "real"
    assert found.to_list() == [None if each is None else float(each) / 4 for each in values]


@given(base=st.integers(-9, 9), power=st.integers(0, 19))
def test_whole_powers_of_integers_are_exact(base: int, power: int) -> None:
    found = col([base, None], "int") ** power
    assert found.type == "int"
    assert found.to_list() == [base**power, None]


def test_powers_too_large_are_an_error_and_not_a_wrong_number() -> None:
    with pytest.raises(DataError, match="row 0"):
        (col([3]) ** 64).to_list()
    assert (col([1, 0, -1]) ** 1023).to_list() == [1, 0, -1]


def test_other_powers_are_real() -> None:
    assert (col([4, 9]) ** 0.5).to_list() == [2.0, 3.0]
    assert (col([2]) ** -1).to_list() == [0.5]
    assert (2 ** col([3, None])).to_list() == [8.0, None]
    assert (col([1.5, None]) ** 2).to_list() == [2.25, None]


@pytest.mark.parametrize("symbol", COMPARISONS)
@pytest.mark.parametrize("type", ["int", "real", "bool", "enum", "time", "string", "uuid"])
@few
@given(data=st.data())
def test_comparison_is_pythons_in_every_type(symbol: str, type: str, data: st.DataObject) -> None:
    values = data.draw(column(type, 6))
    scalar = data.draw(VALUES[type])
    others = data.draw(column(type, 6))
    compare = COMPARISONS[symbol]
    x = col(values, type)
    found = compare(x, scalar)
    assert found.type == "bool"
    assert found.to_list() == [lifted(compare)(each, scalar) for each in values]
    assert compare(x, col(others, type)).to_list() == [
        lifted(compare)(a, b) for a, b in zip(values, others, strict=True)
    ]


@pytest.mark.parametrize("symbol", COMPARISONS)
@few
@given(
    values=st.lists(st.one_of(VALUES["int"], st.sampled_from([2**53, 2**53 + 1, INT_MAX])), min_size=1, max_size=5),
    scalar=st.one_of(
        VALUES["real"], st.integers(-(2**70), 2**70), st.sampled_from([2.0**53, 2.0**63, -(2.0**63), 0.5, 2**53 + 1])
    ),
)
def test_integers_and_floats_compare_exactly(symbol: str, values: list[int], scalar: float) -> None:
    compare = COMPARISONS[symbol]
    assert compare(col(values, "int"), scalar).to_list() == [compare(each, scalar) for each in values]


@pytest.mark.parametrize("symbol", COMPARISONS)
@few
@given(
    values=st.lists(st.one_of(VALUES["real"], st.sampled_from([2.0**53, 2.0**53 + 2])), min_size=1, max_size=5),
    scalar=st.one_of(st.integers(-(2**70), 2**70), st.sampled_from([2**53 + 1, -(2**53) - 1, 10**400, -(10**400)])),
)
def test_reals_and_large_integers_compare_exactly(symbol: str, values: list[float], scalar: int) -> None:
    compare = COMPARISONS[symbol]
    assert compare(col(values, "real"), scalar).to_list() == [compare(each, scalar) for each in values]


def test_kleenes_tables() -> None:
    values = [True, True, True, False, False, False, None, None, None]
    others = [True, False, None] * 3
    a, b = col(values, "bool"), col(others, "bool")
    assert (a & b).to_list() == [True, False, None, False, False, False, None, False, None]
    assert (a | b).to_list() == [True, True, True, True, False, None, True, None, None]
    assert (a ^ b).to_list() == [False, True, None, True, False, None, None, None, None]
    assert (~a).to_list() == [False] * 3 + [True] * 3 + [None] * 3
    assert (a & False).to_list() == [False] * 9
    assert (True | b).to_list() == [True] * 9
    assert (a.any(), a.all(), col([None], "bool").any(), col([None], "bool").all()) == (True, False, False, True)


@pytest.mark.parametrize("type", ["int", "real", "bool", "enum", "time", "string", "uuid"])
@few
@given(data=st.data())
def test_missing_values_are_found_and_filled(type: str, data: st.DataObject) -> None:
    values = data.draw(column(type, 5))
    fill = data.draw(VALUES[type])
    x = col(values, type)
    assert x.is_missing().to_list() == [each is None for each in values]
    filled = x.fill_missing(fill)
    assert filled.type == type
    assert filled.to_list() == [fill if each is None else each for each in values]


def test_filling_widens_where_it_must() -> None:
    assert col([1, None], "int").fill_missing(0.5).to_list() == [1.0, 0.5]
    levels = col(["b", None], "enum").fill_missing("a")
    assert levels.levels == ("a", "b")
    assert levels.to_list() == ["b", "a"]
    assert col([1, None, None]).fill_missing(col([7, 8, None])).to_list() == [1, 8, None]
    with pytest.raises(UserError, match="filled"):
        col(["b", None], "enum").fill_missing(1)
    with pytest.raises(UserError, match="filled"):
        col(["b", None]).fill_missing(1)


def test_levels_outside_the_domain_compare_by_their_place() -> None:
    x = col(["b", "d", None], "enum")
    assert (x == "c").to_list() == [False, False, None]
    assert (x < "c").to_list() == [True, False, None]
    assert (x >= "c").to_list() == [False, True, None]
    assert (x == col(["b", "b", "b"], "string")).to_list() == [True, False, None]
    assert (x != col(["a", "d", "d"], "enum")).to_list() == [True, False, None]


def test_times_with_datetimes_dates_texts_and_spans() -> None:
    x = col([datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 2, 12), None])
    assert (x >= datetime.date(2020, 1, 2)).to_list() == [False, True, None]
    assert (x == "2020-01-01").to_list() == [True, False, None]
    assert (x > datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))).to_list() == [
        True,
        True,
        None,
    ]
    assert (x > np.datetime64("2020-01-01T00:00:00.000500")).to_list() == [False, True, None]
    assert (x - datetime.datetime(2020, 1, 1)).to_list() == [0, 36 * 3_600_000, None]
    assert (x - x).type == "int"
    later = x + datetime.timedelta(days=1)
    assert later.type == "time"
    assert later.to_list()[:2] == [
        datetime.datetime(2020, 1, 2, tzinfo=UTC),
        datetime.datetime(2020, 1, 3, 12, tzinfo=UTC),
    ]
    with pytest.raises(UserError, match="time - time"):
        _ = x * 2
    with pytest.raises(UserError, match="whole number of milliseconds"):
        _ = x + datetime.timedelta(microseconds=1)


def test_uuids_compare_with_texts() -> None:
    one = uuid.UUID(int=5)
    assert (col([one, None]) == str(one)).to_list() == [True, None]
    with pytest.raises(UserError, match="32 hexadecimal"):
        _ = col([one]) == "x"


@few
@given(values=column("real", 6))
def test_functions_are_numpys(values: list[float | None]) -> None:
    x = col(values, "real")
    array = np.array([np.nan if each is None else each for each in values])
    with np.errstate(all="ignore"):
        for name in ("sqrt", "log", "exp", "floor", "ceil", "abs"):
            np.testing.assert_array_equal(getattr(x, name)().to_numpy(), getattr(np, name)(array))
        for name in ("log1p", "sin", "tanh", "sign", "trunc", "rint", "negative", "square"):
            np.testing.assert_array_equal(getattr(np, name)(x).to_numpy(), getattr(np, name)(array))
        np.testing.assert_array_equal(np.maximum(x, 1.5).to_numpy(), np.maximum(array, 1.5))
        np.testing.assert_array_equal(x.round(2).to_numpy(), np.rint(array * 100.0) / 100.0)


def test_numpy_functions_keep_the_order_of_their_arguments() -> None:
    x = col([1, 2, None])
    assert np.subtract(10, x).to_list() == [9, 8, None]
    assert (np.array([10, 20, 30]) - x).to_list() == [9, 18, None]
    assert np.less(1, x).to_list() == [False, True, None]
    assert (np.float64(2.0) * x).to_list() == [2.0, 4.0, None]
    with pytest.raises(UserError, match=r"np.heaviside is not available"):
        np.heaviside(x, 1)
    with pytest.raises(UserError, match="no method"):
        np.add.reduce(x)


def test_whole_numbers_stay_whole() -> None:
    x = col([3, None, -4])
    for found in (x.floor(), x.ceil(), x.round(1), abs(x), -x, np.sign(x)):
        assert found.type == "int"
    assert abs(x).to_list() == [3, None, 4]
    assert col([True, None]).floor().to_list() == [1, None]
    assert (col([True, True]) + col([True, False])).to_list() == [2, 1]


def test_what_has_no_meaning_is_said() -> None:
    for bad, match in (
        (lambda: col(["a"]) + 1, "needs numbers"),
        (lambda: col(["a"], "enum") * 2, "needs numbers"),
        (lambda: col([1]) & col([2]), "truth values"),
        (lambda: ~col([1]), "truth values"),
        (lambda: col([1]) == None, "is_missing"),  # noqa: E711
        (lambda: col([1]) == "a", "cannot be compared"),
        (lambda: col(["a"]) == 1, "compared with a text"),
        (lambda: col([1]) == col(["a"]), "astype"),
        (lambda: col([1]) + col([1, 2]), "1 and 2 rows"),
        (lambda: bool(col([True])), "any"),
        (lambda: col([1]) + 2**64, "64 bits"),
        (lambda: col([1]) + "a", "needs numbers"),
        (lambda: -col([datetime.datetime(2020, 1, 1)]), "no meaning"),
        (lambda: col([1.5]).round(-1), "decimals"),
    ):
        with pytest.raises(UserError, match=match):
            bad()


def test_nothing_is_computed_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    x = col([1, 2])
    runs: list[int] = []
    monkeypatch.setattr(reference, "run", lambda *args, run=reference.run: runs.append(1) or run(*args))
    y = (x + 1) * 2
    assert repr(y) == "Column 'x' (int, 2 rows, an expression, computed when needed)"
    assert runs == []
    assert y.to_list() == [4, 6]
    assert y.to_list() == [4, 6]
    assert runs == [1]


def test_equal_parts_are_computed_once() -> None:
    x = col([1, 2])
    program, vecs = program_of(((x + 1) * (x + 1) - (x + 1)).node)
    assert [step.op for step in program.steps] == ["input", "const", "add_i", "mul_i", "sub_i"]
    assert len(vecs) == 1


def test_long_chains_are_cut() -> None:
    x = col([0, 1])
    for _ in range(300):
        x = x + 1
        assert x.node.depth <= expression.DEPTH_MAX
    assert x.to_list() == [300, 301]


def _programs() -> list[tuple[str, Program, str]]:
    """Return one program an operation: the operation on its inputs."""
    found = []
    for op, row in OPERATIONS.items():
        n = len(row.takes)
        steps = (*(Step("input", value=i) for i in range(n)), Step(op, tuple(range(n))))
        inputs = tuple(Input("values", (i,)) for i in range(n))
        found.append((op, Program(inputs, steps, (*row.takes, row.gives)), row.takes))
    return found


@pytest.mark.parametrize(("op", "program", "takes"), _programs(), ids=list(OPERATIONS))
def test_the_fused_loop_agrees_with_the_interpretation(op: str, program: Program, takes: str) -> None:
    ints = np.array([0, 1, 2, -1, -7, 3, 2**31, INT_MISSING, 10**9, -(10**9)])
    if op in ("and", "or", "xor", "not"):
        ints = np.array([0, 1, INT_MISSING])
    reals = np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan, 1e300, 2.0**53, 0.1])
    pools = [ints if kind == "i" else reals for kind in takes]
    grid = [each.ravel() for each in np.meshgrid(*pools, indexing="ij")]
    expected = reference.run(program, grid, len(grid[0]))
    found = fuse.run(program, grid, len(grid[0]))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    if found.dtype == np.float64:
        here = ~np.isnan(found)
        np.testing.assert_array_equal(found[here].view(np.int64), expected[here].view(np.int64))


INT_EDGES = [0, 1, -1, 2, 3, 2**31, 2**32, 3037000499, 3037000500, INT_MAX, -INT_MAX, INT_MAX // 2, INT_MISSING]


@st.composite
def pairs_near_the_limit(draw: st.DrawFn) -> tuple[int, int]:
    """Draw factors whose product is just below, at or beyond 2**63."""
    a = draw(st.integers(1, 2**40))
    b = 2**63 // a + draw(st.integers(-2, 2))
    signs = draw(st.tuples(st.sampled_from([-1, 1]), st.sampled_from([-1, 1])))
    return signs[0] * a, max(-INT_MAX, min(INT_MAX, signs[1] * b))


@pytest.mark.parametrize("op", ["add_i", "sub_i", "mul_i"])
@given(pairs=st.lists(st.one_of(st.tuples(*[st.sampled_from(INT_EDGES)] * 2), pairs_near_the_limit()), min_size=1))
def test_the_fused_loop_and_the_interpretation_find_every_overflow(op: str, pairs: list[tuple[int, int]]) -> None:
    function = {"add_i": operator.add, "sub_i": operator.sub, "mul_i": operator.mul}[op]
    program = next(each for name, each, _ in _programs() if name == op)
    exact = [None if INT_MISSING in pair else function(*pair) for pair in pairs]
    wrong = [row for row, each in enumerate(exact) if each is not None and abs(each) > INT_MAX]
    for run in (fuse.run, reference.run):
        if wrong:
            with pytest.raises(DataError, match=f"row {wrong[0]}: "):
                run(program, [np.array(each) for each in zip(*pairs, strict=True)], len(pairs))
        fits = [row for row in range(len(pairs)) if row not in wrong]
        arrays = [np.array([pairs[row][k] for row in fits], np.int64) for k in (0, 1)]
        found = run(program, arrays, len(fits)).tolist()
        assert found == [INT_MISSING if exact[row] is None else exact[row] for row in fits]


def test_large_columns_run_fused_with_calls_between_and_agree_with_numpy() -> None:
    n = expression.FUSE_FROM_ROWS + 70_000
    rng = np.random.default_rng(3)
    x, y, k = rng.normal(size=n), rng.integers(-50, 50, n), rng.integers(0, 3, n)
    x[::7] = np.nan
    frame = Frame({"x": x, "y": y, "k": k})
    found = np.exp(frame["x"] * 2 - 1) + (frame["y"] // 3) * frame["k"]
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found.to_numpy(), np.exp(x * 2 - 1) + (y // 3) * k)
    kept = frame[(frame["x"] > 0.5) & (frame["k"] != 1) | frame["x"].is_missing()]
    mask = ((x > 0.5) & (k != 1)) | np.isnan(x)
    np.testing.assert_array_equal(kept["y"].to_numpy(), y[mask])
    assert ((frame["y"] * 2).sum(), (frame["y"] * 2).max()) == (int(y.sum()) * 2, int(y.max()) * 2)


def test_the_row_of_an_overflow_is_that_of_the_frame() -> None:
    n = expression.FUSE_FROM_ROWS + 10
    values = np.ones(n, np.int64)
    values[n - 3] = INT_MAX
    with pytest.raises(DataError, match=f"row {n - 3}: {INT_MAX} \\+ 1 is {INT_MAX + 1}"):
        (Frame({"x": values})["x"] + 1).to_list()


def test_every_library_function_exists_in_numpy() -> None:
    assert all(isinstance(getattr(np, name), np.ufunc) for name in LIBRARY)
    assert Node.constant(1, "int").layout is None
