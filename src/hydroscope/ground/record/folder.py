"""Where rings are kept, whose they are, and which of them are removed.

A user's rings lie in one folder that nobody else can read: in memory if the system has such a place with room, else
among its temporary files. Rings of processes that have ended are kept for those who ask what happened, the newest few.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from hydroscope.ground.errors import UserError
from hydroscope.ground.processes import state_and_start

__all__ = ["KEPT", "KEPT_BYTES", "UNFINISHED", "boot_id", "default_folders", "is_alive", "prepare", "tidy"]

KEPT = 32
"""Rings of processes that have ended: of some runs of a system, most of which are far from full."""

KEPT_BYTES = 256 * 2**20
"""And of memory they take."""

UNFINISHED = ".part"
"""What the name of a file ends with until it is a ring."""

_IN_MEMORY = "/dev/shm"
_ROOM = 4
"""Times the size of a ring that must be free in memory."""


def default_folders(room_bytes: int = 0) -> list[Path]:
    """Return the folders that rings are in unless told otherwise, the best first.

    Parameters
    ----------
    room_bytes : int
        The place in memory is left out if a ring of this size would take a quarter of what is free there.
    """
    name = f"hydroscope-{os.getuid()}"
    folders = [Path(tempfile.gettempdir()) / name]
    with contextlib.suppress(OSError):
        system = os.statvfs(_IN_MEMORY)
        if system.f_bavail * system.f_frsize >= _ROOM * room_bytes and os.access(_IN_MEMORY, os.W_OK):
            folders.insert(0, Path(_IN_MEMORY) / name)
    return folders


def prepare(folder: Path) -> None:
    """Make the folder, for this user alone.

    Raises
    ------
    UserError
        It is another user's, or others could put files there: what is recorded would not be ours alone.
    OSError
        It cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise UserError(f"the folder {str(folder)!r} is not this user's alone: name another, or chmod it to 700")


def boot_id() -> bytes:
    """Return 16 bytes that tell this run of this machine from others; zeros where the system has none."""
    try:
        return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)


def _running_since(pid: int) -> int | None:
    """Return when a process was started, in ticks since boot; None if it is not there or has ended.

    Where the system does not tell, it is 0.
    """
    found = state_and_start(pid)
    if found is None:
        if os.path.exists("/proc/self/stat"):
            return None
        return 0 if _answers(pid) else None
    state, ticks = found
    return None if state in "ZXx" else ticks


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def is_alive(pid: int, ticks: int, boot: bytes) -> bool:
    """Tell whether the process that was started then still runs."""
    return pid > 0 and boot == boot_id() and _running_since(pid) == ticks


def tidy(folder: Path, dead: list[Path]) -> None:
    """Remove all but the newest of these rings, and what processes left that were killed while they made one."""
    found = []
    for path in dead:
        with contextlib.suppress(OSError):  # somebody else tidies too
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_blocks * 512, path))
    left = KEPT_BYTES
    for rank, (_, n_bytes, path) in enumerate(sorted(found, reverse=True)):
        left -= n_bytes
        if rank and (rank >= KEPT or left < 0):
            with contextlib.suppress(OSError):
                path.unlink()
    for path in folder.glob(f"*{UNFINISHED}"):
        with contextlib.suppress(OSError):
            if _running_since(_maker_of(path)) is None:
                path.unlink()


def _maker_of(path: Path) -> int:
    """Return the process that made a file, as its name says; 0 if it does not."""
    pid = path.name.rpartition("-")[0].rpartition("-")[0].rpartition("-")[2]
    return int(pid) if pid.isdecimal() else 0
