"""Functions of at most 70 lines, modules of at most 500."""

from __future__ import annotations

import pytest

from tests.house.source import SOURCE, functions, modules

FUNCTION_LINES = 70
MODULE_LINES = 500


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_sizes(path):
    name = path.relative_to(SOURCE).as_posix()
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= MODULE_LINES, f"{name} has {n_lines} lines, {MODULE_LINES} are allowed; split it by nouns"
    long = {function: n for function, n in functions(path) if n > FUNCTION_LINES}
    assert not long, f"{name}: {long} lines, {FUNCTION_LINES} are allowed; split them by steps"
