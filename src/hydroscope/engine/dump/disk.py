"""Rings that lie on this machine: which there are, whose they are, and how their processes are."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Container, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hydroscope.ground.errors import UserError
from hydroscope.ground.processes import state_and_start
from hydroscope.ground.record.about import About, rings
from hydroscope.ground.record.folder import boot_id, default_folders, is_alive, prepare
from hydroscope.ground.record.layout import HEADER_BYTES, PART_BYTES, RECORD_BYTES, hash64
from hydroscope.wire.dumps import Lying

if TYPE_CHECKING:
    from hydroscope.ground.record.reader import Ring

__all__ = ["STOPPED", "about_of", "last_run", "lying", "place", "read", "running", "since", "state_of", "wanted"]

STOPPED = frozenset("Tt")
"""States of processes that were stopped, by a signal or a debugger."""

GONE = frozenset("ZXx")

JUST_NOW_NS = 60 * 10**9

_SLACK_NS = 5 * 10**9
"""Rings that are so much apart may be of one run."""


def place(folder: str | os.PathLike[str] | None = None) -> int:
    """Return a number for a folder, or that which rings are in by default: the same for all who see that very folder.

    Containers of one machine may have folders of their own, so that it takes more than the machine to name it.
    """
    folder = default_folders()[0] if folder is None else Path(folder)
    try:
        prepare(folder)
        status = os.stat(folder)
    except (OSError, UserError):
        return 0
    return hash64(boot_id() + struct.pack("!QQ", status.st_dev, status.st_ino)) or 1


def lying(folder: str | os.PathLike[str] | None = None) -> dict[str, Lying]:
    """Return the rings of a folder, or of those that recorders use by default, by path.

    Cost: some hundred reads of a few bytes for each ring.
    """
    found = {}
    for ring in rings(folder):
        about = ring.about
        found[str(ring.path)] = Lying(
            file=str(ring.path),
            name=about.name,
            pid=about.pid,
            start_ticks=about.start_ticks,
            opened_wall_ns=about.opened_wall_ns,
            opened_at_ns=about.opened_at_ns,
            closed_at_ns=about.closed_at_ns,
            boot=about.boot,
            n_slots=about.n_slots,
            newest_ns=_newest(ring.path, about.n_slots),
            state=state_of(about.pid, about.start_ticks, about.boot),
        )
    return found


def state_of(pid: int, start_ticks: int, boot: bytes) -> str:
    """Return the state of a process as the system has it; "": it is gone, "?": the system does not tell."""
    if boot != boot_id():
        return ""
    found = state_and_start(pid)
    if found is None:
        return "?" if is_alive(pid, start_ticks, boot) else ""
    state, ticks = found
    return state if ticks == start_ticks and state not in GONE else ""


def running(ring: Lying) -> bool:
    """Tell whether a ring may still be written, were its process not stopped."""
    return bool(ring.state) and not ring.closed_at_ns


def wanted(found: Iterable[Lying], now_ns: int, since_ns: int | None = None, pids: Container[int] = ()) -> list[Lying]:
    """Choose the rings that belong to what is going on: of what runs, and of what has ended just now.

    Parameters
    ----------
    found : rings of one folder
    now_ns : int
        Nanoseconds since 1970 by the clock of its machine.
    since_ns : int or None
        Take all that have something to say of the time from then on instead.
    pids : container of int
        Processes whose rings are taken, whenever they ended.

    Returns
    -------
    list of Lying
        None, where nothing runs and nothing has ended just now: ask for `last_run`. Cost: O(rings).
    """
    rings = list(found)
    least_ns = now_ns - JUST_NOW_NS if since_ns is None else since_ns
    chosen = [ring for ring in rings if running(ring) or _end_ns(ring) >= least_ns]
    if since_ns is not None:
        return chosen
    return chosen + [ring for ring in rings if ring.pid in pids and ring not in chosen]


def last_run(rings: Iterable[Lying]) -> list[Lying]:
    """Choose the rings of the run that ended last: of processes whose times follow each other closely. Cost: a sort."""
    chosen: list[Lying] = []
    begin_ns = 0
    for ring in sorted(rings, key=_end_ns, reverse=True):
        if chosen and _end_ns(ring) + _SLACK_NS < begin_ns:
            break
        begin_ns = min(begin_ns, ring.opened_wall_ns) if chosen else ring.opened_wall_ns
        chosen.append(ring)
    return chosen


def about_of(ring: Lying) -> About:
    """Return the header of a ring."""
    return About(
        ring.name,
        ring.pid,
        ring.start_ticks,
        ring.opened_wall_ns,
        ring.opened_at_ns,
        ring.closed_at_ns,
        ring.boot,
        ring.n_slots,
    )


def read(file: str, since_ns: int = 0) -> Ring:
    """Read a ring, without what was stamped before `since_ns`. DataError as `read_ring`. Cost: as that."""
    from hydroscope.ground.record.reader import read_ring

    return since(read_ring(file), since_ns)


def since(ring: Ring, since_ns: int) -> Ring:
    """Return the ring from a stamp on. Cost: a copy of what is left."""
    if since_ns <= 0:
        return ring
    import numpy as np

    from hydroscope.ground.record.reader import Ring

    first = int(np.searchsorted(ring.records["stamp"], np.uint64(since_ns)))
    return Ring(ring.records[first:].copy(), ring.names, ring.about, ring.n_torn, ring.damage)


def _end_ns(ring: Lying) -> int:
    return max(ring.newest_ns, ring.opened_wall_ns)


def _newest(path: Path, n_slots: int) -> int:
    """Return about the newest stamp: of the part that was begun last. It is only for choosing among rings."""
    n_parts = n_slots * RECORD_BYTES // PART_BYTES
    try:
        with open(path, "rb", buffering=0) as file:
            descriptor = file.fileno()
            firsts = [os.pread(descriptor, 8, HEADER_BYTES + part * PART_BYTES) for part in range(n_parts)]
            stamps = [int.from_bytes(first, sys.byteorder) for first in firsts]
            if not any(stamps):
                return 0
            latest = max(range(n_parts), key=stamps.__getitem__)
            raw = os.pread(descriptor, PART_BYTES, HEADER_BYTES + latest * PART_BYTES)
    except OSError:  # it was removed meanwhile
        return 0
    return max(memoryview(raw[: len(raw) // 8 * 8]).cast("Q")[:: RECORD_BYTES // 8], default=0)
