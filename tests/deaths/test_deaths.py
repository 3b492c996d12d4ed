"""Workers, members of the store and nodes that die: a little of the tables, which `make soak` prints whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import hydroscope as hs
from hydroscope.engine.local import LocalEngine
from hydroscope.ingest.pieces import parse_leaf
from tests.deaths.scene import ENVIRONMENT

ROOT = Path(__file__).parents[2]
WAIT_S = 500


def test_deaths_are_named_survived_or_told() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.deaths"],
        cwd=ROOT, env=os.environ | ENVIRONMENT, capture_output=True, text=True, timeout=WAIT_S, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_leaf_is_not_made_again_from_a_file_that_has_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was on a lost node is made again by the task that made it, with the same arguments."""
    tasks: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
    ours = LocalEngine.map

    def noted(engine: Any, function: Callable[..., Any], items: Sequence[tuple[Any, ...]], n_returns: int = 1) -> Any:
        tasks.extend((function, item) for item in items)
        return ours(engine, function, items, n_returns)

    monkeypatch.setattr(LocalEngine, "map", noted)
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    hs.read_csv(path)
    (arguments,) = (item for function, item in tasks if function is parse_leaf)
    parse_leaf(*arguments)
    path.write_text("a,b\n1,x\n3,y\n")
    with pytest.raises(hs.DataError, match="has changed since its reading began"):
        parse_leaf(*arguments)
