"""The files of window-logs in a folder: whose they are, and which of them are removed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hydroscope.ground.errors import CorruptError
from hydroscope.ground.record.folder import KEPT, KEPT_BYTES
from hydroscope.window.layout import HEADER_BYTES, SUFFIX, Head, head_of

__all__ = ["Written", "stem_of", "tidy", "written"]


@dataclass(frozen=True, slots=True)
class Written:
    """What one writer has left: its files, the oldest first."""

    head: Head
    """Of the oldest."""
    newest_start: int
    paths: tuple[Path, ...]


def stem_of(path: Path) -> str:
    """Return what all files of one writer have in common, and no others: the name but for the number."""
    return path.name.removesuffix(SUFFIX).rpartition(".")[0]


def written(folders: Iterable[Path]) -> tuple[list[Written], list[CorruptError]]:
    """Return what lies in folders, writer by writer, and what is wrong with files that say nothing of themselves.

    Who has left one good file is among the writers with all of them: to read that log is the error then, and others
    in the same folder can be read. Cost: 4 KiB read a file.
    """
    found: dict[tuple[Path, str], list[tuple[Path, Head | None]]] = {}
    failures = []
    for folder in folders:
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            head = None
            try:
                with path.open("rb") as file:
                    head = head_of(file.read(HEADER_BYTES), str(path))
            except OSError:  # it went away, or is another's
                continue
            except CorruptError as error:
                failures.append(error)
            else:
                if head is None:
                    continue
            found.setdefault((folder, stem_of(path)), []).append((path, head))
    writers = []
    for files in found.values():
        heads = [head for _, head in files if head is not None]
        if heads:
            writers.append(Written(heads[0], heads[-1].start, tuple(path for path, _ in files)))
    return writers, failures


def tidy(folder: Path) -> None:
    """Remove what logs of clusters have left that ended, but for the newest few; as with rings.

    Where a member of a cluster lives, those of its dead are kept: the cluster's past is not whole without them.
    """
    ended = []
    found, _ = written([folder])
    living = {each.head.cluster for each in found if each.head.is_alive}
    for each in found:
        if each.head.cluster and each.head.cluster not in living:
            with contextlib.suppress(OSError):  # somebody else tidies too
                status = [path.stat() for path in each.paths]
                ended.append((max(one.st_mtime_ns for one in status), sum(one.st_blocks for one in status) * 512, each))
    left = KEPT_BYTES
    for rank, (_, n_bytes, each) in enumerate(sorted(ended, key=lambda one: one[0], reverse=True)):
        left -= n_bytes
        if rank and (rank >= KEPT or left < 0):
            for path in each.paths:
                with contextlib.suppress(OSError):
                    path.unlink()
