"""A cluster that stands already: attaching to it, losing a node of it, reaching it from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WAIT_S = 240


def test_a_lost_node_is_made_good_and_the_client_port_works() -> None:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "disabled",  # on the loopback interface
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    script = ROOT / "tests" / "engine" / "cluster.py"
    run = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=WAIT_S, check=False
    )
    steps = [line for line in run.stdout.splitlines() if line.startswith(("made on a node", "lost it", "from outside"))]
    assert steps == [
        "made on a node 6",
        "lost it 1800015.0",
        "from outside <hydroscope engine: ray, 2 CPUs> 1800015.0",
    ], run.stderr
