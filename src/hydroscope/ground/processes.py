"""What the system says of a process: which one it is, whether it runs, how much memory it holds."""

from __future__ import annotations

import mmap

__all__ = ["memory_held", "start_ticks", "state_and_start"]


def state_and_start(pid: int) -> tuple[str, int] | None:
    """Return a process's state ("Z": it has ended) and its start in ticks since that of the machine; None: not told."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def start_ticks(pid: int) -> int:
    """Return when a process started, in ticks since the machine did: with its number, which is used again, that names
    it. 0 when it is gone, or the system does not tell.
    """
    found = state_and_start(pid)
    return 0 if found is None else found[1]


def memory_held(pid: int) -> int | None:
    """Return the bytes of memory a process holds; None when that is not to be had."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * mmap.PAGESIZE
    except (OSError, IndexError):
        return None
