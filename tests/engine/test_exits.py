"""From traces to a cause."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hydroscope.engine.ray.exits import Traces, memory_in_use, oom_counter, oom_kills, state_of, status_of
from hydroscope.node.deaths import Death, WorkerDied

BOILERPLATE = "Worker unexpectedly exits. Some common causes include: (1) the OOM killer due to high memory usage"
MONITOR = "Task was killed due to the node running low on memory."


@pytest.mark.parametrize(
    ("traces", "cause", "name", "code"),
    [
        (Traces(status=9), "SIGKILL", "SIGKILL", None),
        (Traces(status=11), "SIGSEGV", "SIGSEGV", None),
        (Traces(status=3 << 8), "exit code 3", "", 3),
        (Traces(status=64 + 56), "signal 120", "signal 120", None),
        (Traces(left_code=7), "exit code 7", "", 7),
        (Traces(stack="Fatal Python error: Segmentation fault\n\nCurrent"), "SIGSEGV", "SIGSEGV", None),
        (Traces(stack="Fatal Python error: Aborted\n"), "SIGABRT", "SIGABRT", None),
        (Traces(status=9, oom_kills=1), "out of memory", "SIGKILL", None),
        (Traces(status=9, kernel="Killed process 1"), "out of memory", "SIGKILL", None),
        (Traces(oom_kills=1), "out of memory", "", None),
        (Traces(status=11, oom_kills=1), "SIGSEGV", "SIGSEGV", None),
        (Traces(status=9, ray=MONITOR), "out of memory", "SIGKILL", None),
        (Traces(status=9, ray=BOILERPLATE), "SIGKILL", "SIGKILL", None),
        (Traces(status=9, crowded=0.93), "out of memory", "SIGKILL", None),
        (Traces(status=9, stopped_s=10.0), "stopped", "SIGKILL", None),
        (Traces(), "unknown", "", None),
    ],
)
def test_causes(traces: Traces, cause: str, name: str, code: int | None) -> None:
    found = traces.conclude()
    assert found[:3] == (cause, name, code)
    assert found[3], "a cause has evidence"


@pytest.mark.parametrize(
    ("program", "status"),
    [("import os; input(); os._exit(3)", 3 << 8), ("import os; input(); os.kill(os.getpid(), 9)", signal.SIGKILL)],
)
def test_the_status_of_a_process_that_was_reaped(program: str, status: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    pidfd = os.pidfd_open(process.pid)
    try:
        assert status_of(process.pid, pidfd) is None
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert select.select([pidfd], [], [], 60)[0]
        assert status_of(process.pid, pidfd) == status, "its parent has not asked yet"
        process.communicate(timeout=60)
        newer = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2]) >= (6, 15)
        assert status_of(process.pid, pidfd) == (status if newer else None)
    finally:
        os.close(pidfd)


def test_states_and_counters() -> None:
    assert state_of(os.getpid()) in "RS"
    assert state_of(2**22 + 1) == ""
    assert oom_kills(oom_counter(os.getpid())) >= 0
    assert oom_kills("/no/such/file") == 0


def test_memory_in_use_is_a_share() -> None:
    assert 0.0 < memory_in_use() <= 1.0


def test_counters_of_both_generations(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\noom 2\noom_kill 1\noom_group_kill 0\n")
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    assert oom_kills(str(tmp_path / "memory.events")) == 1
    assert oom_kills(str(tmp_path / "memory.oom_control")) == 4


def test_the_error_says_value_rule_and_next_step() -> None:
    deaths = (
        Death("SIGKILL", "SIGKILL", None, 11, "n1", "Bad.map", (0, 99), 2**20, 0.5, ("wait status: signal 9",)),
        Death("SIGSEGV", "SIGSEGV", None, 12, "n2", "Bad.map", (42, 42), 2**21, 0.1, ("alone",), "File x, line 3"),
    )
    error = WorkerDied(deaths)
    assert (error.cause, error.signal, error.pid, error.node, error.rss, error.rows, error.task) == (
        "SIGSEGV", "SIGSEGV", 12, "n2", 2**21, (42, 42), "Bad.map",
    )  # fmt: skip
    text = str(error)
    for part in (
        "Bad.map kills the processes that run it (SIGSEGV)",
        "1. process 11 on node n1 ended by SIGKILL 0.5 s into Bad.map (rows 0 to 99), holding 1 MiB [wait status",
        "row 42 alone does it",
        "File x, line 3",
        "filter these rows out",
    ):
        assert part in text


def test_the_error_travels_between_processes() -> None:
    import pickle

    error = WorkerDied((Death("stopped", "SIGKILL", None, 1, "n"),))
    again = pickle.loads(pickle.dumps(error))
    assert again.deaths == error.deaths
    assert str(again) == str(error)
