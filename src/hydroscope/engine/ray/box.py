"""The black box of a worker: a page of shared memory that outlives the process that wrote it.

A worker notes what it begins, what it ends and how much memory it holds; a note costs some
microseconds and no system call. Whoever comes after a `kill -9` reads how far it got.

     0 magic    8 pid     16 watched  17 running  18 goodbye
    32 runs    40 reruns  48 bytes of memory held  56 most bytes held  64 when the task began
    72 attempt 80 code given to os._exit (-1: none)
    96 who it is (JSON)   608 what it does (JSON)   1632 what it did before: 16 lines of 128
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydroscope.ground.processes import memory_held, start_ticks

__all__ = ["SUFFIX", "Box", "Remains", "is_watched", "read_box"]

SUFFIX = ".box"
MAGIC = 0x68797362_6F783031
SIZE_BYTES = 4096
WATCHED, RUNNING, GOODBYE = 16, 17, 18
RUNS, RERUNS, HELD, HELD_MOST, BEGAN, ATTEMPT, LEFT = 32, 40, 48, 56, 64, 72, 80
ABOUT, ABOUT_BYTES = 96, 512
NOTE, NOTE_BYTES = 608, 1024
PAST, LINE_BYTES, N_LINES = 1632, 128, 16

_INT, _REAL = struct.Struct("<q"), struct.Struct("<d")


@dataclass(frozen=True, slots=True)
class Remains:
    """What a box says.

    Attributes
    ----------
    pid, ticks : int
        The process, and when it started: pids are used again.
    about, note : dict
        Who it is; what it did last ({} when nothing).
    running, goodbye : bool
        Whether it was in the middle of that; whether it left in an orderly way.
    runs, reruns : int
        Tasks begun; those among them that had been begun somewhere before.
    """

    pid: int
    ticks: int
    about: dict[str, Any]
    note: dict[str, Any]
    running: bool
    goodbye: bool
    watched: bool
    runs: int
    reruns: int
    attempt: int
    held_bytes: int
    held_most_bytes: int
    began: float
    left_code: int | None
    past: tuple[str, ...]


class Box:
    """The writer's side. Owned by one worker; written by its main thread, memory by its pulse."""

    def __init__(self, folder: str, about: dict[str, Any]) -> None:
        os.makedirs(folder, exist_ok=True)
        self.pid = os.getpid()
        self.path = os.path.join(folder, f"{self.pid}{SUFFIX}")
        page = bytearray(SIZE_BYTES)
        struct.pack_into("<qq", page, 0, MAGIC, self.pid)
        _INT.pack_into(page, LEFT, -1)
        _write(page, ABOUT, ABOUT_BYTES, {**about, "ticks": start_ticks(self.pid)})
        with open(f"{self.path}.new", "wb") as file:
            file.write(page)
        os.replace(file.name, self.path)  # whoever reads it sees all of it
        with open(self.path, "r+b") as mine:
            self._page = mmap.mmap(mine.fileno(), SIZE_BYTES)

    @contextmanager
    def task(self, note: dict[str, Any], attempt: int) -> Iterator[None]:
        """Note that a task runs while the block does."""
        page = self._page
        n_runs = _INT.unpack_from(page, RUNS)[0]
        _write(page, NOTE, NOTE_BYTES, note)
        line = f"{note.get('task', '')}".encode()[: LINE_BYTES - 2]
        at = PAST + n_runs % N_LINES * LINE_BYTES
        page[at : at + LINE_BYTES] = line.ljust(LINE_BYTES, b"\0")
        _INT.pack_into(page, RUNS, n_runs + 1)
        if attempt:
            _INT.pack_into(page, RERUNS, _INT.unpack_from(page, RERUNS)[0] + 1)
        _INT.pack_into(page, ATTEMPT, attempt)
        _REAL.pack_into(page, BEGAN, time.monotonic())
        self.sample()
        page[RUNNING] = 1
        try:
            yield
        finally:
            page[RUNNING] = 0

    def sample(self) -> None:
        """Note how much memory this process holds."""
        held = memory_held(self.pid) or 0
        _INT.pack_into(self._page, HELD, held)
        if held > _INT.unpack_from(self._page, HELD_MOST)[0]:
            _INT.pack_into(self._page, HELD_MOST, held)

    def leaving(self, code: int) -> None:
        """Note that somebody calls os._exit."""
        _INT.pack_into(self._page, LEFT, code)

    def goodbye(self) -> None:
        """Note an orderly end."""
        self._page[GOODBYE] = 1

    @property
    def watched(self) -> bool:
        """Whether a warden holds on to this process."""
        return bool(self._page[WATCHED])


def read_box(path: str | Path) -> Remains | None:
    """Return what a box says; None when it is no box, or gone."""
    try:
        page = Path(path).read_bytes()
    except OSError:
        return None
    if len(page) != SIZE_BYTES or _INT.unpack_from(page, 0)[0] != MAGIC:
        return None
    about = _read(page, ABOUT)
    runs = _INT.unpack_from(page, RUNS)[0]
    past = [page[PAST + k % N_LINES * LINE_BYTES :][:LINE_BYTES] for k in range(max(runs - N_LINES, 0), runs)]
    left = _INT.unpack_from(page, LEFT)[0]
    return Remains(
        pid=_INT.unpack_from(page, 8)[0],
        ticks=about.get("ticks", 0),
        about=about,
        note=_read(page, NOTE),
        running=bool(page[RUNNING]),
        goodbye=bool(page[GOODBYE]),
        watched=bool(page[WATCHED]),
        runs=runs,
        reruns=_INT.unpack_from(page, RERUNS)[0],
        attempt=_INT.unpack_from(page, ATTEMPT)[0],
        held_bytes=_INT.unpack_from(page, HELD)[0],
        held_most_bytes=_INT.unpack_from(page, HELD_MOST)[0],
        began=_REAL.unpack_from(page, BEGAN)[0],
        left_code=None if left == -1 else left,
        past=tuple(line.rstrip(b"\0").decode("utf-8", "replace") for line in past),
    )


def is_watched(path: str) -> None:
    """Write into a box that a warden holds on to its process."""
    with open(path, "r+b") as file:
        file.seek(WATCHED)
        file.write(b"\1")


def _write(page: Any, at: int, size_bytes: int, value: dict[str, Any]) -> None:
    text = json.dumps(value).encode()
    if len(text) > size_bytes - 2:
        text = json.dumps({k: v[:80] if isinstance(v, str) else v for k, v in value.items()}).encode()[: size_bytes - 2]
    page[at : at + 2 + len(text)] = struct.pack("<H", len(text)) + text


def _read(page: bytes, at: int) -> dict[str, Any]:
    (n_bytes,) = struct.unpack_from("<H", page, at)
    try:
        found = json.loads(page[at + 2 : at + 2 + n_bytes] or b"{}")
    except ValueError:  # it died in the middle of writing
        return {}
    return found if isinstance(found, dict) else {}
