"""Lazy trees of element-wise operations, and their evaluation into columns.

A node knows its type and layout; nothing is computed before somebody needs values. Then
the tree is flattened into a `Program` (equal sub-trees once), and every leaf of the
layout runs it chunk by chunk: decode the inputs, compute, encode the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hydroscope.codecs.chunk import Chunk
from hydroscope.frame import fuse, reference
from hydroscope.frame.access import Text, Words, decode_leaf, encode_leaf
from hydroscope.frame.domains import look_up
from hydroscope.frame.layout import Layout
from hydroscope.frame.program import LIBRARY, OPERATIONS, Input, Kind, Program, Step
from hydroscope.frame.rollups import Rollups, merge, merge_rollups, summary_of
from hydroscope.frame.text_kernels import text_signs
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.limits import INT_MISSING, ROWS_PER_CHUNK
from hydroscope.node import ports

__all__ = ["DEPTH_MAX", "FUSE_FROM_ROWS", "Node", "evaluate", "evaluate_rollups", "evaluate_rows", "program_of"]

DEPTH_MAX = 64
"""Operations on top of each other, from which on a column is computed at once: a longer loop
would compile for longer than it saves."""

FUSE_FROM_ROWS = 2 * ROWS_PER_CHUNK
"""Rows below which a program is interpreted: 20 us a step, where a compilation costs 100 ms."""


@dataclass(frozen=True, eq=False)
class Node:
    """A column, a constant or an operation on nodes.

    Attributes
    ----------
    op : str
        "vec" (a column as it is held), "sign" or "recode" (an input derived from columns),
        "const", or the name of an operation.
    type : VecType
    layout : Layout or None
        None: a constant.
    args : tuple of Node
    vecs : tuple of Vec
        What a "vec", "sign" or "recode" reads.
    value : object
        The constant, the needle of a "sign", or the table of a "recode".
    domain : tuple of str or None
    """

    op: str
    type: VecType
    layout: Layout | None = None
    args: tuple[Node, ...] = ()
    vecs: tuple[Vec, ...] = ()
    value: Any = None
    domain: tuple[str, ...] | None = None
    depth: int = 0

    @classmethod
    def of_vec(cls, vec: Vec) -> Node:
        """Return the node of a column."""
        return cls("vec", vec.type, vec.layout, vecs=(vec,), domain=vec.domain)

    @classmethod
    def constant(cls, value: int | float, type: VecType) -> Node:
        """Return the node of a constant."""
        return cls("const", type, value=value)

    @classmethod
    def call(cls, op: str, type: VecType, *args: Node, domain: tuple[str, ...] | None = None) -> Node:
        """Return the node of an operation; the arguments have the kinds it takes."""
        layout = next((each.layout for each in args if each.layout is not None), None)
        return cls(op, type, layout, args, domain=domain, depth=1 + max(each.depth for each in args))

    @property
    def kind(self) -> Kind:
        """How its values are held."""
        return "r" if self.type is VecType.REAL else "i"


def program_of(node: Node) -> tuple[Program, list[Vec]]:
    """Return the program of a tree, and the columns that its inputs refer to."""
    vecs: list[Vec] = []
    inputs: list[Input] = []
    steps: list[Step] = []
    kinds: list[Kind] = []
    seen: dict[Any, int] = {}  # equal steps are computed once
    done: dict[int, int] = {}

    def vec_index(vec: Vec) -> int:
        if vec not in vecs:
            vecs.append(vec)
        return vecs.index(vec)

    def step_of(each: Node) -> tuple[Any, Step]:
        if each.op in ("vec", "sign", "recode"):
            places = tuple(vec_index(vec) for vec in each.vecs)
            key = (each.op, places, id(each.value) if isinstance(each.value, np.ndarray) else each.value)
            if key not in seen:
                mode: Any = "values" if each.op == "vec" else each.op
                inputs.append(Input(mode, places, each.value))
            return key, Step("input", value=len(inputs) - 1)
        if each.op == "const":
            return ("const", each.kind, np.float64(each.value).tobytes(), each.value), Step("const", value=each.value)
        assert each.op in OPERATIONS or each.op in LIBRARY, each.op
        args = tuple(done[id(arg)] for arg in each.args)
        return (each.op, args), Step(each.op, args)

    def visit(each: Node) -> None:
        if id(each) in done:
            return
        for arg in each.args:
            visit(arg)
        key, step = step_of(each)
        if key not in seen:
            seen[key] = len(steps)
            steps.append(step)
            kinds.append(each.kind)
        done[id(each)] = seen[key]

    visit(node)
    return Program(tuple(inputs), tuple(steps), tuple(kinds)), vecs


def evaluate(node: Node) -> Vec:
    """Return the column of a tree. Cost: one pass (free for a column as it is)."""
    if node.op == "vec":
        return node.vecs[0]
    assert node.layout is not None, "a tree of constants only"
    return Vec(node.type, node.layout, tuple(_run_leaves(node, "chunks")), node.domain)


def evaluate_rows(node: Node) -> tuple[list[ports.Handle], list[int]]:
    """Return, of a tree of truth values, the rows of each leaf that are true, and their counts."""
    pairs = _run_leaves(node, "rows", n_returns=2)
    return [rows for rows, _ in pairs], [int(n) for n in ports.current().get([count for _, count in pairs])]


def evaluate_rollups(node: Node) -> Rollups:
    """Return the rollups of a tree without making its column."""
    return merge_rollups(_run_leaves(node, "rollups"))


def _run_leaves(node: Node, emit: Literal["chunks", "rows", "rollups"], n_returns: int = 1) -> list[Any]:
    layout = node.layout
    assert layout is not None
    program, vecs = program_of(node)
    fused = layout.n_rows >= FUSE_FROM_ROWS and len(program.steps) > 1
    types = tuple(vec.type for vec in vecs)
    items = []
    for leaf in range(len(layout.leaves)):
        first_row = layout.leaf_rows(leaf)[0]
        items.append((program, types, node.type, emit, fused, first_row, *(vec.leaves[leaf] for vec in vecs)))
    return ports.current().map(_run_leaf, items, n_returns=n_returns)


def _run_leaf(
    program: Program,
    types: Sequence[VecType],
    type: VecType,
    emit: str,
    fused: bool,
    first_row: int,
    *leaves: tuple[Chunk, ...],
) -> Any:
    """Run a program over the chunks of one leaf."""
    results: list[Any] = []
    row = 0
    for i, chunk in enumerate(leaves[0]):
        n_rows = chunk.n_rows
        inputs = [_read(each, types, [leaf[i] for leaf in leaves]) for each in program.inputs]
        run = fuse.run if fused else reference.run
        values = run(program, inputs, n_rows, first_row + row)
        if emit == "chunks":
            results += encode_leaf(type, np.array([0, n_rows]), values)
        elif emit == "rows":
            results.append(np.flatnonzero(values == 1).astype(np.int32) + np.int32(row))
        else:
            results.append(summary_of(type, values))
        row += n_rows
    if emit == "chunks":
        return tuple(results)
    if emit == "rows":
        rows = np.concatenate(results)
        return rows, len(rows)
    return reduce(merge, results)


def _read(spec: Input, types: Sequence[VecType], chunks: Sequence[Chunk]) -> npt.NDArray[Any]:
    """Return one input of a program, for one chunk of each column."""
    first = spec.vecs[0]
    values = decode_leaf(types[first], [chunks[first]])
    if spec.mode == "values":
        return np.asarray(values)
    if spec.mode == "recode":
        return look_up(values, spec.needle)
    other = spec.needle if spec.needle is not None else decode_leaf(types[spec.vecs[1]], [chunks[spec.vecs[1]]])
    return _signs(values, other)


def _signs(a: Text | Words, b: Any) -> npt.NDArray[np.int64]:
    """Return how texts or UUIDs sort against others, or against one (bytes; a pair of words)."""
    valid = [each.valid for each in (a, b) if isinstance(each, Text | Words) and each.valid is not None]
    if isinstance(a, Text):
        out = np.empty(len(a.offsets) - 1, np.int64)
        single = not isinstance(b, Text)
        offsets, data = (np.array([0, len(b)]), np.frombuffer(b, np.uint8)) if single else (b.offsets, b.data)
        text_signs(
            a.offsets, np.ascontiguousarray(a.data), offsets, np.ascontiguousarray(data), 0 if single else 1, out
        )
    else:
        x = a.words.reshape(-1, 2)
        y = b.words.reshape(-1, 2) if isinstance(b, Words) else np.array([b], np.uint64)
        high, low = ((x[:, k] > y[:, k]).astype(np.int64) - (x[:, k] < y[:, k]) for k in (0, 1))
        out = np.where(high != 0, high, low)
    for each in valid:
        out[~each] = INT_MISSING
    return out
