"""Progress as people see it: a bar in a terminal, one rewritten line in a notebook, plain lines elsewhere.

One daemon thread draws, so that the work never waits for a terminal. Nothing appears for
work that ends soon, and Rich is imported only when a bar is drawn.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Literal, TextIO

from hydroscope.engine.latch import Latch
from hydroscope.node.ports import Progress

__all__ = ["Display", "Style"]

Style = Literal["bar", "notebook", "lines"]

BAR_EVERY_S = 0.1
NOTEBOOK_EVERY_S = 0.5
LINES_EVERY_S = 5.0
HIDE_WAIT_S = 1.0
"""Seconds the work waits for the bar to leave the screen, should the terminal hang."""


class Display:
    """Shows jobs that last, one after the other.

    Parameters
    ----------
    enabled : bool
        False: nothing is ever shown.
    after_s : float
        Work that ends sooner is not shown.
    stream : text file or None
        Where to; None: what `sys.stderr` is at the time.
    """

    def __init__(self, enabled: bool = True, after_s: float = 0.5, stream: TextIO | None = None) -> None:
        self.enabled = enabled
        self.after_s = after_s
        self._stream = stream
        self._queue: SimpleQueue[_Showing] = SimpleQueue()
        self._starting = threading.Lock()
        self._artist: threading.Thread | None = None

    def show(self, job: Progress) -> Callable[[], None]:
        """Show `job` once it has lasted a while; returns what waits for it to be off the screen."""
        if not self.enabled:
            return _nothing
        showing = _Showing(job)
        self._queue.put(showing)
        if self._artist is None or not self._artist.is_alive():
            with self._starting:
                if self._artist is None or not self._artist.is_alive():
                    self._artist = threading.Thread(target=self._draw_all, name="hydroscope-display", daemon=True)
                    self._artist.start()
        return showing.hide

    def _draw_all(self) -> None:
        while True:
            showing = self._queue.get()
            if showing.lasts(self.after_s):
                try:
                    self._draw(showing)
                except Exception:  # a broken terminal must not harm the work it shows
                    self.enabled = False
                finally:
                    showing.gone.open()
            del showing

    def _draw(self, showing: _Showing) -> None:
        job = showing.job()
        if job is None or not self.enabled:
            return
        stream = self._stream or sys.stderr
        {"bar": _draw_bar, "notebook": _draw_notebook, "lines": _draw_lines}[style_of(stream)](job, stream)


class _Showing:
    """One job on its way to the screen. It does not keep the job alive."""

    def __init__(self, job: Progress) -> None:
        self.job = weakref.ref(job)
        self.gone = Latch()
        self._ended = job.ended
        self._lock = threading.Lock()
        self._is_drawn = False

    def lasts(self, after_s: float) -> bool:
        """Wait `after_s`; True, and the artist's, when the job still runs then."""
        self._ended.wait(after_s)
        with self._lock:
            self._is_drawn = not self._ended.wait(0)
        return self._is_drawn

    def hide(self) -> None:
        """Wait until the screen is clean again; the job has ended."""
        with self._lock:
            drawn = self._is_drawn
        if drawn:
            self.gone.wait(HIDE_WAIT_S)


def style_of(stream: TextIO) -> Style:
    """Choose how to show progress on `stream`."""
    if "ipykernel" in sys.modules:
        return "notebook"
    with contextlib.suppress(ValueError):  # closed
        if stream.isatty():
            return "bar"
    return "lines"


def _draw_bar(job: Progress, stream: TextIO) -> None:
    """Draw a Rich bar until the job has ended, and wipe it."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", style="dim", markup=False),
    )
    with Bar(*columns, console=Console(file=stream), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(job.description, total=1.0, message=job.message)
        bar.refresh()
        while not job.ended.wait(BAR_EVERY_S):
            bar.update(task, completed=job.progress, message=job.message, refresh=True)


def _draw_notebook(job: Progress, stream: TextIO) -> None:
    """Rewrite one line until the job has ended, and clear it (no widgets needed)."""
    began = time.monotonic()
    width = 0
    while not job.ended.wait(NOTEBOOK_EVERY_S):
        line = _line(job, time.monotonic() - began)
        stream.write("\r" + line.ljust(width))
        stream.flush()
        width = len(line)
    stream.write("\r" + " " * width + "\r")
    stream.flush()


def _draw_lines(job: Progress, stream: TextIO) -> None:
    """Write a line every few seconds, and one at the end if there was any."""
    began = time.monotonic()
    n_lines = 0
    while not job.ended.wait(LINES_EVERY_S):
        stream.write(_line(job, time.monotonic() - began) + "\n")
        stream.flush()
        n_lines += 1
    if n_lines:
        stream.write(_line(job, time.monotonic() - began, "ended") + "\n")
        stream.flush()


def _line(job: Progress, seconds: float, message: str | None = None) -> str:
    said = message or job.message
    return f"{job.description}: {job.progress:.0%} after {seconds:.0f} s" + (f", {said}" if said else "")


def _nothing() -> None:
    """Hide what was never shown."""
