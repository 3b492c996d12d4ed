"""Eight tasks on two workers, one of which meets a bad end: what is named, how soon, and what became of the others.

    python -m tests.deaths.workers

An innocent is harmed when it is begun more than once. "once" is done to the process from outside,
and does not happen again; "always" is what the task itself does, whoever runs it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import hydroscope as hs
from hydroscope.node import jobs
from hydroscope.node.deaths import Death, WorkerDied
from tests.deaths.scene import Scene

N_TASKS, BAD = 8, 3
TASK_S = 0.2
WAIT_S = 120.0
LIMIT_BYTES = 400 * 2**20
GROUPS = Path("/sys/fs/cgroup/memory")
STOPPED_S = 1.0


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    injected: str
    named: str
    right: bool
    seconds: float
    n_ok: int
    innocents: int
    detail: str


def sleep_then(value: int, doom: str, began: str) -> int:
    """Work a little; the doomed one does to its process what it is told to."""
    Path(began).write_text(str(os.getpid()))
    until = time.monotonic() + TASK_S
    while time.monotonic() < until:
        time.sleep(0.01)
    if doom:
        DOOMS[doom]()
    return value


def _kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fault() -> None:
    ctypes.string_at(0)


def _abort() -> None:
    os.abort()


def _leave() -> None:
    os._exit(3)


def _leave_in_c() -> None:
    ctypes.CDLL(None)._exit(4)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _eat() -> None:
    """Take memory without end, in a group that may have little of it."""
    group = GROUPS / "hydroscope_deaths"
    (group / "cgroup.procs").write_text(str(os.getpid()))
    eaten = []
    while True:
        eaten.append(np.ones(4 * 2**20))
        time.sleep(0.02)


DOOMS: dict[str, Callable[[], None]] = {
    "SIGKILL": _kill_self,
    "SIGSEGV": _fault,
    "SIGABRT": _abort,
    "exit code 3": _leave,
    "exit code 4": _leave_in_c,
    "stopped": _stop,
    "out of memory": _eat,
}


class Deadly(hs.MapReduce):
    """Kills its process at one row."""

    bad: int
    n: int = 0

    def map(self, row):
        if row == self.bad:
            _kill_self()
        self.n += 1


@contextlib.contextmanager
def little_memory() -> Iterator[bool]:
    """Make a group whose processes share little memory; False where one may not."""
    group = GROUPS / "hydroscope_deaths"
    try:
        group.mkdir(exist_ok=True)
        (group / "memory.limit_in_bytes").write_text(str(LIMIT_BYTES))
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


def play(scene: Scene, folder: Path, doom: str) -> tuple[list[Any], list[BaseException | None], float]:
    """Run the eight, each in a job of its own; return results, errors and the seconds until the bad one was known."""
    began = time.monotonic()
    started = [
        jobs.start(scene.engine.map, sleep_then, [(i, doom if i == BAD else "", str(folder / f"{i}"))])
        for i in range(N_TASKS)
    ]
    errors = [job.exception(WAIT_S) for job in started[BAD : BAD + 1]]
    seconds = time.monotonic() - began
    errors = [errors[0] if i == BAD else job.exception(WAIT_S) for i, job in enumerate(started)]
    results = [None if error else scene.engine.get(job.result()[0]) for job, error in zip(started, errors, strict=True)]
    return results, errors, seconds


def always(scene: Scene, folder: Path, doom: str) -> Row:
    """A task that does it whoever runs it."""
    before = scene.totals()
    results, errors, seconds = play(scene, folder, doom)
    runs, _ = scene.totals().since(before)
    error = errors[BAD]
    assert isinstance(error, WorkerDied), error
    last = error.deaths[-1]
    both = {death.cause for death in error.deaths}
    return Row(
        f"{doom}, always", " / ".join(sorted(both)), both == {doom}, seconds,
        sum(result == i for i, result in enumerate(results)), runs - N_TASKS - 1, _detail(last),
    )  # fmt: skip


def once(scene: Scene, folder: Path, what: signal.Signals, cause: str) -> Row:
    """Something done from outside to the process that runs the bad task."""
    (folder / f"{BAD}").unlink(missing_ok=True)
    before, n_deaths = scene.totals(), len(scene.engine.deaths)
    job = jobs.start(play, scene, folder, "")
    while not (folder / f"{BAD}").exists() or not (folder / f"{BAD}").read_text():
        assert not job.ended.wait(0.002), job.exception()
    os.kill(int((folder / f"{BAD}").read_text()), what)
    began = time.monotonic()
    results, _, _ = job.result(WAIT_S)
    seconds = time.monotonic() - began
    runs, _ = scene.totals().since(before)
    deaths = scene.engine.deaths[n_deaths:]
    named = " / ".join(death.cause for death in deaths)
    return Row(
        f"{what.name} from outside, once", named, named == cause, seconds,
        sum(result == i for i, result in enumerate(results)), runs - N_TASKS - 1, _detail(deaths[0]) if deaths else "",
    )  # fmt: skip


def idle(scene: Scene, folder: Path) -> Row:
    """A worker that has nothing to do is killed; then the eight run."""
    before = {death.pid for death in scene.engine._guard.all_deaths()}
    victim = next(worker for worker in scene.engine.workers() if not worker["task"])
    os.kill(victim["pid"], signal.SIGKILL)
    totals = scene.totals()
    results, _, seconds = play(scene, folder, "")
    runs, _ = scene.totals().since(totals)
    deaths = [death for death in scene.engine._guard.all_deaths() if death.pid not in before]
    named = " / ".join(death.cause for death in deaths if death.pid == victim["pid"])
    return Row(
        "SIGKILL of an idle worker", named, named == "SIGKILL", seconds,
        sum(result == i for i, result in enumerate(results)), runs - N_TASKS, "",
    )  # fmt: skip


def deadly_row(scene: Scene) -> Row:
    """A row that kills workers is found among a hundred thousand."""
    n, bad = 100_000, 67_890
    frame = hs.Frame({"row": np.arange(n)})
    began = time.monotonic()
    try:
        Deadly(bad=bad).do_all(frame)
    except WorkerDied as error:
        return Row(
            f"SIGKILL at row {bad:,} of {n:,}", error.cause, error.rows == (bad, bad) and error.cause == "SIGKILL",
            time.monotonic() - began, N_TASKS, 0, f"rows {error.rows}, {error.task.partition(',')[0]}",
        )  # fmt: skip
    raise AssertionError("it did not die")


def _detail(death: Death) -> str:
    held = f"{death.rss / 2**20:.0f} MiB" if death.rss else "?"
    return f"pid {death.pid}, {held}, {'; '.join(each for each in death.evidence if not each.startswith('Ray'))}"


HEAD = f"{'injected':<34} {'named':<16} {'right':<5} {'time':>6}  {'results':>7} {'innocents':>9}  evidence"


def line(row: Row) -> str:
    """Return a line of the table."""
    return (
        f"{row.injected:<34} {row.named:<16} {'yes' if row.right else 'NO':<5} {row.seconds:>5.1f}s  "
        f"{row.n_ok:>3} of {N_TASKS} {row.innocents:>9}  {row.detail}"
    )


def cases(scene: Scene, folder: Path, few: bool) -> Iterator[Callable[[], Row]]:
    """Yield what is to be played; a few: one of each that is noticed in a way of its own."""
    yield lambda: once(scene, folder, signal.SIGSTOP, "stopped")
    if not few:
        yield lambda: once(scene, folder, signal.SIGKILL, "SIGKILL")
        yield lambda: once(scene, folder, signal.SIGSEGV, "SIGSEGV")
        for doom in DOOMS:
            if doom != "out of memory":
                yield lambda doom=doom: always(scene, folder, doom)
    yield lambda: idle(scene, folder)
    yield lambda: deadly_row(scene)  # which kills again whoever runs it: always


def run(scene: Scene, few: bool) -> bool:
    """Play causes and print the table; tell whether each was named and no innocent was harmed."""
    rows = []
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as name, little_memory() as may:
        folder = Path(name)
        scene.full()
        scene.engine.map(sleep_then, [(i, "", str(folder / "warm")) for i in range(2)])
        plays = list(cases(scene, folder, few))
        if may and not few:
            plays.append(lambda: always(scene, folder, "out of memory"))
        for each in plays:
            rows.append(each())
            print(line(rows[-1]), flush=True)
    n_right, n_harmed = sum(row.right for row in rows), sum(row.innocents for row in rows)
    print(f"{n_right} of {len(rows)} causes named; {n_harmed} innocent tasks harmed", flush=True)
    return n_right == len(rows) and n_harmed == 0


def main() -> int:
    """Print the whole table; 1 when a cause was named wrongly or an innocent task was harmed."""
    warnings.simplefilter("ignore")
    scene = Scene(2, STOPPED_S)
    try:
        return 0 if run(scene, few=False) else 1
    finally:
        scene.close()


if __name__ == "__main__":
    from tests.deaths import workers  # so that workers import what they are sent by its name

    sys.exit(workers.main())
