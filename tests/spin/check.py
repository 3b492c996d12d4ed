"""One run of Spin: generate the verifier, compile it, search, and say what came out."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.spin.export import Table, inlines

__all__ = ["CANNOT_HAPPEN", "MEMORY_MB", "TOOLS", "Model", "Verdict", "check", "missing_tools"]

HERE = Path(__file__).parent
TOOLS = ("spin", "gcc")
MEMORY_MB = 3_500
CANNOT_HAPPEN = "an event for which the table has no answer"
DEADLINE_S = 900
DEEPEST = 100_000


@dataclass(frozen=True, slots=True)
class Model:
    """A Promela file, its constants, and the tables it is checked with (patched, for a mutant)."""

    name: str
    file: str
    tables: Mapping[str, Table]
    """By the prefix that their states and events get."""
    sizes: Mapping[str, int]
    arguments: tuple[str, ...] = ("n",)
    """Of the inlines that are made from the tables."""
    log2_states: int = 18
    """Slots of the hash table, for speed."""
    optimize: str = "-O2"
    """Compiling takes seconds then, which pays for millions of states."""
    shortest: bool = False
    """Search in breadth: the first counter-example is the shortest one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the search found."""

    model: Model
    n_states: int
    seconds: float
    """Processor time of the search."""
    memory_mb: float
    error: str = ""
    """What Spin says was violated; empty: nothing, in any reachable state."""
    story: list[str] = field(default_factory=list)
    """The counter-example, one event a line."""


def missing_tools() -> list[str]:
    """Return the names of the programs that are not installed."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def text_of(model: Model) -> str:
    """Return the tables of a model as Promela."""
    return "\n".join(inlines(prefix, table, model.arguments) for prefix, table in model.tables.items())


def check(model: Model) -> Verdict:
    """Search all states of a model; raises RuntimeError when the search could not be made, or not completed."""
    with tempfile.TemporaryDirectory(prefix="spin-") as name:
        folder = Path(name)
        shutil.copy(HERE / f"{model.file}.pml", folder)
        (folder / "tables.pml").write_text(text_of(model), encoding="utf-8")
        sizes = [f"-D{key}={value}" for key, value in model.sizes.items()]
        _run(folder, "spin", *sizes, "-a", f"{model.file}.pml")
        how = ["-DBFS"] if model.shortest else []
        _run(
            folder,
            "gcc",
            "-w",
            model.optimize,
            "-DSAFETY",
            "-DNOFAIR",
            f"-DMEMLIM={MEMORY_MB}",
            *how,
            "-o",
            "pan",
            "pan.c",
        )
        before_s = _spent_s()
        said = _run(folder, "./pan", f"-m{DEEPEST}", f"-w{model.log2_states}")
        seconds = _spent_s() - before_s
        error = _error(said)
        story = _story(_run(folder, "spin", *sizes, "-T", "-t", f"{model.file}.pml")) if error else []
        return Verdict(
            model,
            int(float(_figure(said, r"([\d.e+]+) states, stored"))),
            seconds,
            float(_figure(said, r"([\d.]+)\s+total actual memory usage")),
            error,
            story,
        )


def _spent_s() -> float:
    """Return the processor time of all programs that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S, check=False, errors="replace"
    )
    said = done.stdout + done.stderr
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed with {done.returncode}: {said.strip()[-1000:]}")
    return said


def _error(said: str) -> str:
    """Return what was violated, or nothing."""
    for reason in ("out of memory", "max search depth too small", "Search not completed"):
        if reason in said and "errors: 0" in said:
            raise RuntimeError(f"the search was not completed: {reason}")
    found = re.search(r"^pan:\s*\d+:\s*(.*)$", said, re.MULTILINE)
    n_errors = int(_figure(said, r"errors: (\d+)"))
    if n_errors and found is None:
        raise RuntimeError(f"errors without a reason: {said[:1000]}")
    if not n_errors or found is None:
        return ""
    return CANNOT_HAPPEN if found.group(1).startswith("assertion violated 0") else found.group(1)


def _figure(said: str, pattern: str) -> str:
    found = re.search(pattern, said)
    if found is None:
        raise RuntimeError(f"no {pattern!r} in what Spin said: {said[:1000]}")
    return found.group(1)


def _story(said: str) -> list[str]:
    """Return the lines that the model printed on the way to the error."""
    lines = said.partition("spin: trail ends")[0].splitlines()
    return [line for line in lines if line.strip() and not line.startswith(("spin:", "using statement"))]
