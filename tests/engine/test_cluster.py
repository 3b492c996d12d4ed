"""A cluster that stands already: attaching to it, losing a node of it, reaching it from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WAIT_S = 400

STEPS = {
    "made on a node": "6 (200000, 3)",
    "lost it": "1800015.0",
    "and a frame": f"{sum(range(600_000)) * 2} {sum(range(0, 600_000, 3)) * 2} 7",
    "from outside": f"<hydroscope engine: ray, 2 CPUs> 1800015.0 {sum(range(300_000))}",
}


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
    steps = [line for line in run.stdout.splitlines() if line.startswith(tuple(STEPS))]
    assert steps == [f"{step} {result}" for step, result in STEPS.items()], run.stdout + run.stderr
