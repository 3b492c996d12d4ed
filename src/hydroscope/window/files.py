"""The files of window-logs in a folder: whose they are, and which of them are removed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hydroscope.ground.errors import CorruptError
from hydroscope.ground.record.folder import KEPT, KEPT_BYTES, is_alive
from hydroscope.window.tape import HEADER, HEADER_BYTES, MAGIC, SUFFIX, VERSION

__all__ = ["Head", "Written", "head_of", "tidy", "written"]

_NEVER: Final = bytes(8)


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of itself."""

    name: str
    """Of the log."""
    pid: int
    ticks: int
    start: int
    """The stamp before all changes in it."""
    seconds: float
    cluster: int
    """The number of the cluster whose keys these are; 0: none."""
    boot: bytes
    closed_ns: int

    @property
    def is_alive(self) -> bool:
        """Whether its log may still be written to."""
        return not self.closed_ns and self.ticks != 0 and is_alive(self.pid, self.ticks, self.boot)


def head_of(data: bytes, source: str) -> Head | None:
    """Return what the first bytes of a file say; None if nothing was written yet.

    Raises
    ------
    CorruptError
        If it is no file of a window-log, or one of another version.
    """
    if len(data) < HEADER_BYTES or data[:8] == _NEVER:
        return None
    magic, version, pid, ticks, start, seconds, cluster, boot, closed_ns, n_name = HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise CorruptError(f"{source} is not a window-log of version {VERSION}; read it with what wrote it")
    name = data[HEADER.size : HEADER.size + n_name].decode(errors="replace")
    return Head(name, pid, ticks, start, seconds, cluster, boot, closed_ns)


@dataclass(frozen=True, slots=True)
class Written:
    """What one writer has left: its files, the oldest first."""

    head: Head
    """Of the oldest."""
    newest_start: int
    paths: tuple[Path, ...]


def written(folders: Iterable[Path]) -> list[Written]:
    """Return what lies in folders, writer by writer. CorruptError as `head_of`. Cost: 4 KiB read a file."""
    found: dict[str, list[tuple[Path, Head]]] = {}
    for folder in folders:
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                head = head_of(file.read(HEADER_BYTES), str(path))
                if head is not None:
                    found.setdefault(str(path).removesuffix(SUFFIX).rpartition(".")[0], []).append((path, head))
    return [Written(each[0][1], each[-1][1].start, tuple(path for path, _ in each)) for each in found.values()]


def tidy(folder: Path) -> None:
    """Remove what logs of clusters have left that ended, but for the newest few; as with rings.

    Where a member of a cluster lives, those of its dead are kept: the cluster's past is not whole without them.
    """
    ended = []
    with contextlib.suppress(OSError, CorruptError):
        found = written([folder])
        living = {each.head.cluster for each in found if each.head.is_alive}
        for each in found:
            if each.head.cluster and each.head.cluster not in living:
                status = [path.stat() for path in each.paths]
                ended.append((max(one.st_mtime_ns for one in status), sum(one.st_blocks for one in status) * 512, each))
    left = KEPT_BYTES
    for rank, (_, n_bytes, each) in enumerate(sorted(ended, key=lambda one: one[0], reverse=True)):
        left -= n_bytes
        if rank and (rank >= KEPT or left < 0):
            for path in each.paths:
                with contextlib.suppress(OSError):
                    path.unlink()
