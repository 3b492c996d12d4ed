"""Functions of at most 70 lines, modules of at most 500; what is longer says why, and may only shrink."""

from __future__ import annotations

import pytest

from tests.house.source import SOURCE, functions, modules

FUNCTION_LINES = 70
MODULE_LINES = 500

LONG_FUNCTIONS: dict[str, tuple[int, str]] = {}
"""`module:function`: lines it may have, and why it is not cut. A function that shrank has its number lowered."""

LONG_MODULES: dict[str, tuple[int, str]] = {}
"""Likewise for modules."""


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_sizes(path):
    name = path.relative_to(SOURCE).as_posix()
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= LONG_MODULES.get(name, (MODULE_LINES, ""))[0], f"{name} has {n_lines} lines; split it by nouns"
    for function, n in functions(path):
        allowed = LONG_FUNCTIONS.get(f"{name}:{function}", (FUNCTION_LINES, ""))[0]
        assert n <= allowed, f"{name}:{function} has {n} lines, {allowed} are allowed; split it by steps"


def test_every_exception_is_needed_and_tight():
    long = {
        f"{path.relative_to(SOURCE).as_posix()}:{function}": n
        for path in modules()
        for function, n in functions(path)
        if n > FUNCTION_LINES
    }
    assert long == {name: lines for name, (lines, _) in LONG_FUNCTIONS.items()}
    assert all(reason for _, reason in (*LONG_FUNCTIONS.values(), *LONG_MODULES.values()))
