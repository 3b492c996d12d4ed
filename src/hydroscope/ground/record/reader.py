"""Reading rings: of this process or another, while it writes, or after it was killed.

A record may change while it is read. So the ring is read four times over: all stamps; all ends (the kinds); everything;
all stamps again. Where the stamp is the same three times, and the end was there both times, the record is whole: a
writer makes the end zero before it writes a stamp and puts one there when all is written (`layout`), so where an end is
seen after a stamp, the record of that stamp was complete; and as no stamp is ever used twice, one that is still there
at last says that nobody has begun to write over it.

What is left out should be the oldest records, which were written over since the first look. But where the reader was
held up in the middle of a look, and the writer came past it, records are missing between others that were read; then
what is on one side of the gap is kept, the larger part. So what comes of it is the ring as it was at one moment,
without some of its oldest records: no gap in the middle.

Reading goes through `read`, not through a map of the file: a file that was cut short would end the process, and where
nothing was written yet a map would take up memory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hydroscope.ground.errors import DataError
from hydroscope.ground.record.about import About, read_header
from hydroscope.ground.record.layout import (
    FIELDS,
    HEADER_BYTES,
    N_NAMES,
    NAME_BYTES,
    NAMES_AT,
    PART_BYTES,
    RECORD_BYTES,
    Kind,
    unpack_name,
)

__all__ = ["RECORD_TYPE", "Ring", "read_ring"]

RECORD_TYPE: Final = np.dtype([(name, kind) for name, _, kind, _ in FIELDS])
"""Here and not with the rest of the layout: who only writes rings does without NumPy."""
assert RECORD_TYPE.itemsize == RECORD_BYTES

_CHUNK_BYTES: Final = 2**20
_PAGE_BYTES: Final = 4096
_AT_WORK: Final = 16
"""Records that threads may have begun before others and end after them: no more are taken for a gap."""

Stamps = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Ring:
    """What a ring held when it was read."""

    records: npt.NDArray[np.void]
    """Of `RECORD_TYPE`, in the order they were made: by stamp."""
    names: tuple[str, ...]
    """What `peer` and `lane` are numbers of; the first is nobody's. A damaged one is "?"."""
    about: About | None
    """Whose ring it is; None if the header is damaged."""
    n_torn: int
    """Records that were begun and are not whole: the writer was killed, or still at it, or the file is damaged."""
    damage: tuple[str, ...]
    """What is wrong with the file, in words."""


def read_ring(path: str | os.PathLike[str]) -> Ring:
    """Read a ring, whether or not it is still written.

    Parameters
    ----------
    path : path

    Returns
    -------
    Ring
        Cost: 0.1 s and twice their memory for 500,000 records; much less for a ring that was not filled yet.

    Raises
    ------
    DataError
        It is no ring, or one of another version; or it cannot be opened. Damage raises nothing: what is whole is read.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            header = file.read(HEADER_BYTES)
            about = read_header(header, str(path))
            n_bytes = os.fstat(file.fileno()).st_size - HEADER_BYTES
            records, n_torn = _read_records(file, _n_begun(file, max(n_bytes, 0) // RECORD_BYTES))
            file.seek(0)
            names, n_bad = _read_names(file.read(HEADER_BYTES))  # after the records, whose names are there before them
    except OSError as error:
        raise DataError(f"the ring {str(Path(path))!r} cannot be read: {error.strerror or error}") from error
    damage = []
    if about is None:
        damage.append("the header is damaged: nobody knows whose ring it is")
    elif n_bytes != about.n_slots * RECORD_BYTES:
        damage.append(f"the file has {n_bytes:,} bytes of records instead of {about.n_slots * RECORD_BYTES:,}")
    if n_bad:
        damage.append(f"{n_bad} names are damaged")
    return Ring(records, names, about, n_torn, tuple(damage))


def _n_begun(file: FileIO, n_slots: int) -> int:
    """Return up to which slot something may have been written: of most rings, most was not.

    A part is begun where its first page is not all zeros: threads make only a few of its records zero at a time.
    """
    per_part = PART_BYTES // RECORD_BYTES
    for part in range(-(-n_slots // per_part) - 1, -1, -1):
        if os.pread(file.fileno(), _PAGE_BYTES, HEADER_BYTES + part * PART_BYTES).strip(b"\0"):
            return min((part + 1) * per_part, n_slots)
    return 0


def _read_records(file: FileIO, n_slots: int) -> tuple[npt.NDArray[np.void], int]:
    """Return the whole records in order, and how many are torn."""
    stamps = _read_field(file, n_slots, "stamp")
    ends = _read_field(file, n_slots, "kind")
    words = np.zeros((n_slots, RECORD_BYTES // 8), np.uint64)
    _read_into(file, words, 0)
    records = words.view(RECORD_TYPE)[:, 0]
    after = _read_field(file, n_slots, "stamp")
    stays = (stamps == records["stamp"]) & (stamps == after)
    whole = stays & (stamps != 0) & (ends == records["kind"]) & (ends > Kind.NONE) & (ends <= max(Kind))
    begun = stays & ~whole
    n_torn = int(np.count_nonzero(words[begun].any(axis=1)))
    order = np.flatnonzero(whole)
    order = order[np.argsort(stamps[order], kind="stable")]
    changed = stamps != after
    order = order[_without_gap(stamps[order], stamps[changed], after[changed])]
    return words[order].view(RECORD_TYPE)[:, 0], n_torn


def _without_gap(stamps: Stamps, gone: Stamps, new: Stamps) -> slice:
    """Return the most records in a row between which none are missing.

    Parameters
    ----------
    stamps : array of uint64
        Of the records that were read, in order.
    gone : array of uint64
        Of those that were there at the first look only.
    new : array of uint64
        Of those that were there at the last look only. A few of them may be anywhere: of threads that began a record
        before others did and ended it after them.
    """
    if not len(stamps):
        return slice(0)
    n_gone, n_new = (
        np.bincount(np.searchsorted(stamps, missing), minlength=len(stamps) + 1)[1:-1] for missing in (gone, new)
    )
    edges = np.r_[0, 1 + np.flatnonzero((n_gone > 0) | (n_new > _AT_WORK)), len(stamps)]
    longest = int(np.argmax(np.diff(edges)))
    return slice(int(edges[longest]), int(edges[longest + 1]))


def _read_field(file: FileIO, n_slots: int, name: str) -> npt.NDArray[Any]:
    field = np.zeros(n_slots, RECORD_TYPE[name])
    chunk = np.zeros(min(_CHUNK_BYTES // RECORD_BYTES, n_slots), RECORD_TYPE)
    for start in range(0, n_slots, len(chunk) or 1):
        part = chunk[: n_slots - start]
        _read_into(file, part, start)
        field[start : start + len(part)] = part[name]
    return field


def _read_into(file: FileIO, records: npt.NDArray[Any], slot: int) -> None:
    """Read from this slot on; what the file has no longer is zero."""
    view, n_read = memoryview(records.view(np.uint8).reshape(-1).data), 0
    while n_read < len(view):
        n = os.preadv(file.fileno(), [view[n_read:]], HEADER_BYTES + slot * RECORD_BYTES + n_read)
        if n == 0:
            view[n_read:] = bytes(len(view) - n_read)
            return
        n_read += n


def _read_names(header: bytes) -> tuple[tuple[str, ...], int]:
    """Return the names, and how many are damaged."""
    header = header.ljust(HEADER_BYTES, b"\0")
    names = [unpack_name(header[at : at + NAME_BYTES]) for at in range(NAMES_AT, HEADER_BYTES, NAME_BYTES)]
    assert len(names) == N_NAMES
    while len(names) > 1 and names[-1] == "":
        names.pop()
    return tuple("?" if name is None else name for name in names), names.count(None)
