"""Ctrl-C and the end of the process, as a shell sees them: in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hydroscope.engine.latch import Latch
from tests.engine import places

ROOT = Path(__file__).parents[2]
WAIT_S = 120

time_passes = Latch()
"""Never opened: processes of others end when they end."""

INTERRUPTED = """
import sys, threading
import hydroscope as hs
from hydroscope.node import jobs, ports
from tests.engine import places

with hs.init({engine!r}, threads=2):
    engine = ports.current()
    folder = sys.argv[1]
    work = [(folder + "/started", folder + "/until")] + [(folder + "/never", folder + "/until")] * 50
    try:
        with jobs.running("busy") as job:
            engine.map(places.wait_for, work)
    except KeyboardInterrupt:
        print("interrupted", job.state, flush=True)
    print(engine.get(engine.map(places.double, [(i,) for i in range(5)])), flush=True)
    print(*places.descendants(), flush=True)
print("end", flush=True)
"""

ENDS_WITH_A_JOB = """
from hydroscope.engine.latch import Latch
from tests.engine import places
from hydroscope.node import jobs
began = Latch()
def work():
    began.open()
    while True:
        {check}
jobs.start(work)
began.wait(30)
print("end", flush=True)
"""


def run(script: str, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HYDROSCOPE_PROGRESS": "0"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for the end of a process; one that does not end is ended and told."""
    try:
        return process.communicate(timeout=WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"did not end within {WAIT_S} s: {process.communicate()}")


@pytest.mark.parametrize("engine_name", ["local", "ray"])
def test_an_interrupt_leaves_a_usable_engine_and_a_process_that_ends(engine_name: str, tmp_path: Path) -> None:
    process = run(INTERRUPTED.format(engine=engine_name), str(tmp_path))
    deadline = time.monotonic() + WAIT_S
    while not (tmp_path / "started").exists():
        assert process.poll() is None, process.communicate()
        if time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"nothing began within {WAIT_S} s: {process.communicate()}")
    process.send_signal(signal.SIGINT)
    if engine_name == "local":  # what a helper holds it finishes
        (tmp_path / "until").touch()
    out, err = finish(process)
    interrupted, result, processes, end = out.splitlines() or [err] * 4
    assert (interrupted, result, end) == ("interrupted CANCELLED", "[0, 2, 4, 6, 8]", "end"), err
    assert process.returncode == 0
    started = [int(pid) for pid in processes.split()]
    assert len(started) >= (2 if engine_name == "ray" and sys.platform == "linux" else 0)
    deadline = time.monotonic() + WAIT_S
    while left := [pid for pid in started if places.is_running(pid)]:
        assert time.monotonic() < deadline, left
        time_passes.wait(0.05)


@pytest.mark.parametrize("check", ["jobs.check()", "pass"])
def test_a_running_job_does_not_keep_the_process(check: str) -> None:
    """Neither one that looks for cancellation nor one that never does."""
    process = run(ENDS_WITH_A_JOB.format(check=check))
    out, err = finish(process)
    assert (out, err, process.returncode) == ("end\n", "", 0)
