"""The header of a ring, whose it is and from when; and all rings of a folder."""

from __future__ import annotations

import contextlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from hydroscope.ground.errors import DataError
from hydroscope.ground.record.folder import default_folders, is_alive
from hydroscope.ground.record.layout import (
    HEADER,
    MAGIC,
    NAME_BYTES,
    NAMES_AT,
    RECORD_BYTES,
    SUFFIX,
    VERSION,
    sealed,
    unpack_name,
)

__all__ = ["About", "Found", "header_of", "read_header", "rings"]

_NODE_NAME_END = NAMES_AT + 2 * NAME_BYTES
"""So many bytes of a file say all that `About` does."""


@dataclass(frozen=True, slots=True)
class About:
    """Whose ring it is, and from when."""

    name: str
    """The node's."""
    pid: int
    start_ticks: int
    """When the process was started, in ticks since boot: with `pid`, it names the process."""
    opened_wall_ns: int
    """Nanoseconds since 1970, when the ring was made ..."""
    opened_at_ns: int
    """... and of the clock that `at_ns` of its records is from."""
    closed_at_ns: int
    """When it was closed; 0: it is open, or its process ended otherwise."""
    boot: bytes
    """Which run of which machine."""
    n_slots: int
    """Records the ring has room for."""

    @property
    def is_alive(self) -> bool:
        """Whether it may still be written: it is not closed, and its process runs, on this machine, now."""
        return not self.closed_at_ns and is_alive(self.pid, self.start_ticks, self.boot)


def header_of(about: About) -> bytes:
    """Return the header (which is without the name: that is name 1)."""
    return sealed(
        HEADER.pack(
            MAGIC,
            VERSION,
            RECORD_BYTES,
            about.n_slots,
            about.pid,
            about.start_ticks,
            about.opened_wall_ns,
            about.opened_at_ns,
            about.closed_at_ns,
            about.boot,
        )
    )


def read_header(raw: bytes, source: str) -> About | None:
    """Return what the first bytes of a file say; None if they are a ring's, and damaged.

    Raises
    ------
    DataError
        It is no ring, or one of another version of hydroscope or sort of machine.
    """
    if raw[: len(MAGIC)] != MAGIC:
        raise DataError(f"{source} is no ring of a flight recorder: it does not begin with {MAGIC!r}")
    raw = raw.ljust(_NODE_NAME_END, b"\0")
    _, version, record_bytes, n_slots, pid, ticks, wall_ns, at_ns, closed_ns, boot = HEADER.unpack_from(raw)
    if raw[HEADER.size : HEADER.size + 4] != struct.pack("@I", crc32(raw[: HEADER.size])):
        return None
    if version != VERSION or record_bytes != RECORD_BYTES:
        raise DataError(
            f"{source} is a ring of version {version}, with records of {record_bytes} bytes; this hydroscope reads "
            f"version {VERSION}: read it with the one that wrote it"
        )
    name = unpack_name(raw[NAMES_AT + NAME_BYTES : _NODE_NAME_END])
    return About(name or "?", pid, ticks, wall_ns, at_ns, closed_ns, boot, n_slots)


@dataclass(frozen=True, slots=True)
class Found:
    """A ring, and whether it may still be written."""

    path: Path
    about: About
    is_alive: bool


def rings(folder: str | os.PathLike[str] | None = None) -> list[Found]:
    """Return the rings of a folder, or of those that recorders use by default, the newest first.

    Files that are no rings, or damaged so that nobody knows whose they are, are left out: `read_ring` tells of them.
    """
    found = []
    for each in default_folders() if folder is None else [Path(folder)]:
        for path in each.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError, DataError), path.open("rb") as file:
                about = read_header(file.read(_NODE_NAME_END), str(path))
                if about is not None:
                    found.append(Found(path, about, about.is_alive))
    return sorted(found, key=lambda ring: ring.about.opened_wall_ns, reverse=True)
