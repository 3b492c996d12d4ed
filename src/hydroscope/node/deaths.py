"""What is known of a worker process that died, and the error of a task that kills workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hydroscope.node.ports import EngineError

__all__ = ["Death", "WorkerDied"]


@dataclass(frozen=True, slots=True)
class Death:
    """The end of one worker process, from evidence.

    Attributes
    ----------
    cause : str
        "SIGKILL" (or another signal), "exit code 3", "out of memory", "stopped" or "unknown".
    signal : str
        Name of the signal that ended it, or "".
    exit_code : int or None
        What it left with, when no signal ended it and the system told.
    pid : int
    node : str
        Address of its machine and the beginning of its Ray node id.
    task : str
        What it was doing; "" when it was idle.
    rows : (int, int) or None
        First and last row of the frame it was working on.
    rss : int or None
        Bytes of memory it held when last looked at.
    seconds : float or None
        How long it had been doing it.
    evidence : tuple of str
        What the cause was concluded from.
    stack : str
        Where it was, if it could still tell.
    """

    cause: str
    signal: str
    exit_code: int | None
    pid: int
    node: str
    task: str = ""
    rows: tuple[int, int] | None = None
    rss: int | None = None
    seconds: float | None = None
    evidence: tuple[str, ...] = ()
    stack: str = ""

    def __str__(self) -> str:
        text = f"process {self.pid} on node {self.node} ended by {self.cause}"
        if self.task:
            after = "" if self.seconds is None else f" {self.seconds:.1f} s into"
            text += f"{after or ' in'} {self.task}" + (f" (rows {_span(self.rows)})" if self.rows else "")
        else:
            text += ", idle"
        if self.rss:
            text += f", holding {self.rss / 2**20:,.0f} MiB"
        return text + (f" [{'; '.join(self.evidence)}]" if self.evidence else "")


class WorkerDied(EngineError):
    """A task killed the process that ran it, and then another one in which it ran alone.

    Other tasks keep their results; the frames that were loaded are still there.

    Attributes
    ----------
    deaths : tuple of Death
        In the order in which they happened; the attributes below are those of the last.
    cause, signal, task, node, pid, rss, rows :
        See `Death`. `rows` is narrowed as far as was possible.
    """

    def __init__(self, deaths: Sequence[Death]) -> None:
        super().__init__(tuple(deaths))
        assert deaths, "nobody died"
        self.deaths = tuple(deaths)
        last = self.deaths[-1]
        self.cause, self.signal, self.task = last.cause, last.signal, last.task
        self.node, self.pid, self.rss, self.rows = last.node, last.pid, last.rss, last.rows

    def __str__(self) -> str:
        lines = [f"{self.task} kills the processes that run it ({self.cause})"]
        lines += [f"  {k}. {death}" for k, death in enumerate(self.deaths, 1)]
        if self.rows is not None:
            one = self.rows[0] == self.rows[1]
            lines.append(f"  {'row' if one else 'rows'} {_span(self.rows)} alone {'does' if one else 'do'} it")
        lines += [f"  {line}" for line in self.deaths[-1].stack.splitlines()[:12]]
        if self.cause == "out of memory":
            step = "give it fewer rows or columns at a time, or a machine with more memory"
        elif self.rows is not None:
            step = "filter these rows out, or look at what the function does with them"
        else:
            step = "look at what the function does with this item"
        lines.append(f"  it is not tried a third time; {step}. Frames and other tasks' results are still there")
        return "\n".join(lines)


def _span(rows: tuple[int, int]) -> str:
    return f"{rows[0]:,}" if rows[0] == rows[1] else f"{rows[0]:,} to {rows[1]:,}"
