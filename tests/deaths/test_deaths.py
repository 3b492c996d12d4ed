"""Workers, members of the store and nodes that die: a little of the tables, which `make soak` prints whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.deaths.scene import ENVIRONMENT

ROOT = Path(__file__).parents[2]
WAIT_S = 500


def test_deaths_are_named_survived_or_told() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.deaths"],
        cwd=ROOT, env=os.environ | ENVIRONMENT, capture_output=True, text=True, timeout=WAIT_S, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
