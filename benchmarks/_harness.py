"""The common ground of the benchmarks: interleaved rounds, medians, tables, workers, deadlines.

A *contender* is a name and a function that does the whole timed work. All contenders of a
task take turns (A B C A B C ...), so that a noisy neighbour hits all of them alike; the
first turn is a warm-up in which their answers are compared, and only then the clock counts.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import importlib
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from benchmarks import THREADS

__all__ = [
    "JSON_MARK",
    "REPOSITORY",
    "Contender",
    "Timing",
    "arguments",
    "begin",
    "complain",
    "deadline",
    "emit",
    "free_children",
    "gate",
    "interleave",
    "machine_line",
    "peak_rss_mb",
    "register_child",
    "say",
    "status",
    "table",
    "worker",
]

JSON_MARK: Final = "JSON: "
"""Prefix of the one line of each script that a program reads."""

REPOSITORY: Final = Path(__file__).resolve().parent.parent

_children: list[subprocess.Popen[Any]] = []
_failures: list[str] = []


@dataclass(frozen=True, slots=True)
class Contender:
    """A name and the timed work; `run` returns the answer, which must agree with the others'."""

    name: str
    run: Callable[[], Any]
    compared: bool = True


@dataclass(slots=True)
class Timing:
    """What one contender took: seconds and answer of every round, or why there are none."""

    name: str
    seconds: list[float] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    problem: str | None = None

    @property
    def median_s(self) -> float:
        """Median of the rounds, seconds; NaN when there are none."""
        return statistics.median(self.seconds) if self.seconds else math.nan

    @property
    def best_s(self) -> float:
        """Best of the rounds, seconds; NaN when there are none."""
        return min(self.seconds, default=math.nan)


def say(text: str = "") -> None:
    """Print at once, so that a long run can be watched."""
    print(text, flush=True)


# ---------------------------------------------------------------- arguments and deadlines


def arguments(description: str, *, rows: int | None = None, deadline_s: int = 1800) -> argparse.ArgumentParser:
    """Return the parser that all scripts share; --quick means a run of seconds that proves nothing."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rows", type=int, default=rows, help="rows (default: %(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the size of the data")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds after the warm-up (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="tiny data, two rounds: shows that it runs")
    parser.add_argument("--peers", nargs="*", help="only these contenders (default: all that are installed)")
    parser.add_argument("--deadline", type=int, default=deadline_s, help="seconds until all is given up")
    return parser


def begin(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the arguments, settle the size and arm the deadline."""
    options = parser.parse_args(argv)
    if options.rounds < 1 or options.scale <= 0:
        parser.error("--rounds is at least 1 and --scale above 0")
    if options.quick:
        options.rounds = min(options.rounds, 2)
    deadline(options.deadline)
    return options


def deadline(seconds: int) -> None:
    """End this process, and the children registered with it, after `seconds` whatever it does."""

    def expire() -> None:
        print(f"deadline of {seconds} s passed: given up", file=sys.stderr, flush=True)
        free_children()
        os._exit(124)

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    signal.signal(signal.SIGTERM, leave)  # so that atexit frees the children


def register_child(child: subprocess.Popen[Any]) -> None:
    """See to it that `child` does not outlive this process."""
    _children.append(child)


@atexit.register
def free_children() -> None:
    """End the registered children, politely first."""
    for child in _children:
        if child.poll() is None:
            child.terminate()
    for child in _children:
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
    _children.clear()


# ---------------------------------------------------------------- rounds


def gate(package: str, wanted: Sequence[str] | None, name: str | None = None) -> bool:
    """Tell whether a contender takes part; says so when its package is not installed."""
    name = name or package
    if wanted is not None and name not in wanted:
        return False
    if importlib.util.find_spec(package) is None:
        say(f"{name}: absent (package {package!r} is not installed)")
        return False
    return True


def status() -> int:
    """Return the exit code: 1 when a contender failed or disagreed."""
    return 1 if _failures else 0


def _agree(left: Any, right: Any, tolerance: float) -> bool:
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(_agree(left[key], right[key], tolerance) for key in left)
    if isinstance(left, float | int):
        return math.isclose(float(left), float(right), rel_tol=tolerance, abs_tol=tolerance)
    return bool(left == right)


def complain(timing: Timing, problem: str) -> None:
    """Note that a contender failed: it is reported, gets no figures, and the exit code says so."""
    timing.problem = problem
    timing.seconds, timing.answers = [], []
    _failures.append(f"{timing.name}: {problem}")
    say(f"{timing.name}: FAILED: {problem}")


def interleave(
    contenders: Sequence[Contender],
    rounds: int,
    *,
    tolerance: float | None = 1e-9,
    compare: Callable[[Any], Any] = lambda answer: answer,
    clock: Callable[[Any], float | None] = lambda answer: None,
) -> dict[str, Timing]:
    """Run a warm-up turn, compare the answers, then `rounds` timed turns of A B C A B C ...

    Parameters
    ----------
    contenders : sequence of Contender
        The first one's answer (that did not fail) is what the others are compared with.
    rounds : int
    tolerance : float or None
        Relative difference that still counts as the same answer; None: nothing is compared.
    compare : callable
        Takes an answer and returns the part of it that must agree.
    clock : callable
        Takes an answer and returns the seconds that it reports itself (a worker process
        does), or None: then the wall clock around the call counts.

    Returns
    -------
    dict of str to Timing, in the order of the contenders.
    """
    timings = {each.name: Timing(each.name) for each in contenders}

    def turn(each: Contender) -> tuple[Any, float]:
        gc.collect()
        start = time.perf_counter()
        answer = each.run()
        wall_s = time.perf_counter() - start
        reported_s = clock(answer)
        return answer, wall_s if reported_s is None else reported_s

    reference: tuple[str, Any] | None = None
    for each in contenders:
        timing = timings[each.name]
        try:
            answer, _ = turn(each)
        except Exception as error:  # a broken peer must not spoil the others' figures
            complain(timing, f"{type(error).__name__}: {error}".splitlines()[0][:300])
            continue
        if tolerance is None or not each.compared:
            continue
        if reference is None:
            reference = each.name, compare(answer)
        elif not _agree(reference[1], compare(answer), tolerance):
            complain(timing, f"answers {compare(answer)!r}, but {reference[0]} {reference[1]!r}")
    for _ in range(rounds):
        for each in contenders:
            timing = timings[each.name]
            if timing.problem is not None:
                continue
            try:
                answer, seconds = turn(each)
            except Exception as error:
                complain(timing, f"{type(error).__name__}: {error}".splitlines()[0][:300])
                continue
            timing.answers.append(answer)
            timing.seconds.append(seconds)
    return timings


# ---------------------------------------------------------------- reports


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "-"
        if value == 0 or abs(value) >= 100:
            return f"{value:,.0f}"
        return f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table with aligned columns; None and NaN become "-"."""
    body = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(header), *body]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        aligned = [cells[0].ljust(widths[0])]
        aligned += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join(aligned) + " |"

    rule = "|" + "|".join("-" * (widths[0] + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(list(header)), rule, *(line(cells) for cells in body)])


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine_line(packages: Sequence[str] = ()) -> str:
    """Return one line: processor, cores, memory, Python and package versions, threads used."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} absent")
    parts = [
        f"{_cpu_name()}, {os.cpu_count()} cores, {memory_gb:.0f} GB, {platform.system()}",
        f"Python {platform.python_version()}, " + ", ".join(versions),
        f"{THREADS} threads each, load at the start {os.getloadavg()[0]:.1f}",
    ]
    return "Machine: " + "; ".join(parts)


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value


def emit(name: str, results: object) -> None:
    """Print the results as one line of JSON, floats to five digits (NaN as null)."""
    say(JSON_MARK + json.dumps({"benchmark": name, "results": _rounded(results)}, default=str))


# ---------------------------------------------------------------- processes


def peak_rss_mb(pid: int | str = "self") -> float:
    """Return the largest resident set of a process in MB (1e6 bytes).

    From /proc on Linux, because `ru_maxrss` of a child that was forked and then executed
    starts with the parent's size.
    """
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def worker(
    arguments_: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a fresh Python with these arguments and return the JSON object on its last line.

    Raises
    ------
    RuntimeError
        The process failed; the text is the end of what it wrote to stderr.
    """
    child = subprocess.Popen(
        [sys.executable, *arguments_],
        cwd=REPOSITORY,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    register_child(child)
    try:
        out, err = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"no answer within {timeout_s:.0f} s") from None
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        _children.remove(child)
    lines = out.strip().splitlines()
    if child.returncode != 0 or not lines:
        raise RuntimeError((err.strip().splitlines() or ["no output"])[-1])
    answer = json.loads(lines[-1])
    if not isinstance(answer, dict):
        raise RuntimeError(f"a worker answered {lines[-1][:100]!r} instead of an object")
    return answer
