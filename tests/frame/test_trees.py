"""Random trees of operations: the fused loop and the interpretation agree to the bit, and in what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.frame import fuse, reference
from hydroscope.frame.expression import Node, program_of
from hydroscope.frame.frame import Frame
from hydroscope.frame.program import LIBRARY, OPERATIONS
from hydroscope.frame.vec import VecType
from hydroscope.ground.errors import DataError
from hydroscope.ground.limits import INT_MISSING

INT_EDGES = [0, 1, -1, 7, -3, 2**31, 3037000500, 2**62, 2**63 - 1, -(2**63) + 1, INT_MISSING]
REAL_EDGES = [0.0, -0.0, 1.5, -2.0, 0.1, 1e300, 5e-324, np.inf, -np.inf, np.nan, 2.0**53]
ROWS = [(i, r, b) for i in INT_EDGES for r in REAL_EDGES for b in (0, 1, INT_MISSING)]
COLUMNS = {
    "int": np.array([row[0] for row in ROWS]),
    "real": np.array([row[1] for row in ROWS]),
    "bool": np.array([row[2] for row in ROWS]),
}
FRAME = {"int": [1], "real": [0.5], "bool": [True]}
BOOLEAN = ("and", "or", "xor", "not")
TWO = ("power", "arctan2", "hypot", "floor_divide", "remainder")

compiled = settings(max_examples=max(settings().max_examples // 8, 1))
"""Each example compiles a loop."""


def leaves(frame: Frame, kind: str) -> st.SearchStrategy[Node]:
    if kind == "b":
        return st.just(frame["bool"].node)
    if kind == "i":
        constant = st.sampled_from([0, 1, -1, 3, 2**40]).map(lambda each: Node.constant(each, VecType.INT))
        return st.one_of(st.just(frame["int"].node), constant)
    number = st.sampled_from([0.0, 2.0, -0.5, 1e-3]).map(lambda each: Node.constant(each, VecType.REAL))
    return st.one_of(st.just(frame["real"].node), number)


@st.composite
def trees(draw: st.DrawFn, frame: Frame, kind: str, depth: int) -> Node:
    """Draw a tree of values of a kind: "i" int, "r" real, "b" truth values."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(leaves(frame, kind))

    def part(which: str) -> Node:
        return draw(trees(frame, which, depth - 1))

    if kind == "b":
        op = draw(st.sampled_from([*BOOLEAN, "eq_i", "ne_r", "lt_i", "le_r", "gt_r", "ge_i", "missing_i", "missing_r"]))
        takes = ["b"] * len(OPERATIONS[op].takes) if op in BOOLEAN else list(OPERATIONS[op].takes)
        return Node.call(op, VecType.BOOL, *map(part, takes))
    numeric = [op for op, row in OPERATIONS.items() if row.gives == kind and op not in BOOLEAN]
    numeric = [op for op in numeric if not op.startswith(("eq_", "ne_", "lt_", "le_", "gt_", "ge_", "missing_"))]
    op = draw(st.sampled_from(numeric + (["exp", "log", "sin", *TWO] if kind == "r" else [])))
    takes = list(OPERATIONS[op].takes) if op in OPERATIONS else ["r"] * (2 if op in TWO else 1)
    return Node.call(op, VecType.REAL if kind == "r" else VecType.INT, *map(part, takes))


def outcome(run: Any, node: Node, frame: Frame) -> Any:
    program, vecs = program_of(node)
    names = {id(vec): name for name, vec in frame.vecs.items()}
    inputs = [COLUMNS[names[id(vecs[each.vecs[0]])]] for each in program.inputs]
    try:
        values = run(program, inputs, len(ROWS), 100)
    except DataError as error:
        return str(error)
    return np.where(np.isnan(values), np.nan, values).view(np.int64) if values.dtype == np.float64 else values


@compiled
@given(st.data())
def test_a_tree_means_the_same_fused_and_interpreted(data: st.DataObject) -> None:
    frame = Frame(FRAME)
    node = data.draw(trees(frame, data.draw(st.sampled_from("irb")), 4))
    if node.layout is not None:
        np.testing.assert_array_equal(outcome(fuse.run, node, frame), outcome(reference.run, node, frame))


def test_the_trees_draw_from_everything_there_is() -> None:
    assert set(TWO) <= set(LIBRARY)
    assert {row.gives for row in OPERATIONS.values()} == {"i", "r"}
