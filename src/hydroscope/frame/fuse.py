"""Element-wise programs, written out as the source of one loop and compiled.

A chain of arithmetic over columns becomes one pass over decoded tiles that stay in cache,
whatever the number of operations::

    (x * 2 + y) > z        for i in range(n):
                               a0 = in0[i]; m0 = a0 == MISSING
                               ...
                               out[i] = ...

Only functions that NumPy computes better (`program.LIBRARY`) cut a program: their
arguments are one fused loop, the call runs on the tile, and the next loop goes on from
there. The source holds no constants: these are arguments, so that `x > 1` and `x > 2` share
a loop, and the second process finds it compiled on disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.frame import reference
from hydroscope.frame.program import LIBRARY, OPERATIONS, Kind, Program
from hydroscope.weave import compile_source

__all__ = ["loop_source", "run"]

Values = npt.NDArray[Any]


def run(program: Program, inputs: Sequence[Values], n_rows: int, first_row: int = 0) -> Values:
    """Return the value of the program's last step for every row; see `reference.run`."""
    tiles: dict[int, Values] = {}
    for i, step in enumerate(program.steps):
        if step.op == "input":
            tiles[i] = inputs[step.value]
    for stage in _stages(program):
        if stage in tiles:
            continue
        step = program.steps[stage]
        if step.op in LIBRARY:
            with np.errstate(all="ignore"):
                tiles[stage] = np.asarray(getattr(np, step.op)(*(tiles[i] for i in step.args)))
            continue
        out = np.empty(n_rows, np.int64 if program.kinds[stage] == "i" else np.float64)
        function, reads, constants = _loop(program, stage)
        if function(*(tiles[i] for i in reads), *constants, out):
            return reference.run(program, inputs, n_rows, first_row)  # finds the row, and raises
        tiles[stage] = out
    return tiles[len(program.steps) - 1]


def _stages(program: Program) -> list[int]:
    """Return the steps whose values must exist as tiles, in order: library calls, their arguments, the last."""
    wanted = {len(program.steps) - 1}
    for i, step in enumerate(program.steps):
        if step.op in LIBRARY:
            wanted |= {i, *step.args}
    return sorted(wanted)


def _loop(program: Program, stage: int) -> tuple[Callable[..., Any], list[int], list[Any]]:
    """Return the compiled loop that computes a step, the steps it reads as tiles, and its constants."""
    reads: list[int] = []
    order: list[int] = []

    def visit(i: int) -> None:
        if i in order or i in reads:
            return
        step = program.steps[i]
        if step.op == "input" or (step.op in LIBRARY and i != stage):
            reads.append(i)
            return
        for each in step.args:
            visit(each)
        order.append(i)

    visit(stage)
    constants = [program.steps[i].value for i in order if program.steps[i].op == "const"]
    key = tuple((i, program.steps[i].op, program.steps[i].args, program.kinds[i]) for i in order)
    function = _compiled(key, tuple((i, program.kinds[i]) for i in reads), stage)
    typed = [
        np.int64(value) if kind == "i" else np.float64(value)
        for value, kind in zip(
            constants, (program.kinds[i] for i in order if program.steps[i].op == "const"), strict=True
        )
    ]
    return function, reads, typed


@lru_cache(maxsize=1024)
def _compiled(
    steps: tuple[tuple[int, str, tuple[int, ...], Kind], ...], reads: tuple[tuple[int, Kind], ...], stage: int
) -> Callable[..., Any]:
    return compile_source("elementwise", loop_source(steps, reads, stage))


def loop_source(
    steps: Sequence[tuple[int, str, tuple[int, ...], Kind]], reads: Sequence[tuple[int, Kind]], stage: int
) -> str:
    """Return the module text of a loop: `steps` in order, from the tiles `reads`, into step `stage`'s value."""
    name = {i: k for k, i in enumerate([*(i for i, _ in reads), *(step[0] for step in steps)])}
    kind = dict(reads) | {i: each for i, _, _, each in steps}
    parameters = [f"in{name[i]}" for i, _ in reads] + [f"c{name[i]}" for i, op, _, _ in steps if op == "const"]
    lines = []
    for i, _ in reads:
        lines += _load(name[i], kind[i])
    for i, op, args, _ in steps:
        if op == "const":
            lines += [f"v{name[i]} = c{name[i]}", *_flag(name[i], kind[i])]
        else:
            lines += _write_out(name[i], op, [name[each] for each in args])
    result = name[stage]
    lines.append(f"out[i] = v{result}")
    body = "\n".join(f"        {line}" for line in lines)
    return (
        "import math\n\nimport numpy as np\n\n"
        f"MISSING = -(2**63)\n\n\ndef elementwise({', '.join([*parameters, 'out'])}):\n"
        f"    bad = 0\n    for i in range(out.size):\n{body}\n    return bad\n"
    )


def _load(k: int, kind: Kind) -> list[str]:
    return [f"v{k} = in{k}[i]", *_flag(k, kind)]


def _flag(k: int, kind: Kind) -> list[str]:
    return [f"m{k} = v{k} == MISSING" if kind == "i" else f"m{k} = v{k} != v{k}"]


def _write_out(k: int, op: str, args: list[int]) -> list[str]:
    """Return the lines of one operation: value v<k> and whether it is missing, m<k>."""
    row = OPERATIONS[op]
    place = dict(zip("ab", args, strict=False))
    names = {letter: f"v{arg}" for letter, arg in place.items()} | {f"m{x}": f"m{arg}" for x, arg in place.items()}
    names["r"] = f"r{k}"

    def own_names(text: str) -> str:
        return re.sub(r"\b(ma|mb|a|b|r)\b", lambda found: names[found[0]], text)

    code = own_names(row.code)
    gone = " or ".join(f"m{arg}" for arg in args)
    if op == "real":
        return [f"v{k} = np.nan if {gone} else {code}", f"m{k} = {gone}"]
    if row.gives == "r":
        return [f"v{k} = {code}", f"m{k} = v{k} != v{k}"]
    if row.own:
        return [f"v{k} = {code}", f"m{k} = v{k} == MISSING"]
    if row.overflow:
        return [
            f"r{k} = {code}",
            f"m{k} = {gone}",
            # No branch: the loop stays vector code.
            f"bad |= (not m{k}) & ((r{k} == MISSING) | ({own_names(row.overflow)}))",
            f"v{k} = MISSING if m{k} else r{k}",
        ]
    return [f"m{k} = {gone}", f"v{k} = MISSING if m{k} else {code}"]
