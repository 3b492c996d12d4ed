"""What a log left in its files, read as a log that takes no more changes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, overload

import numpy as np

from hydroscope.ground.errors import CorruptError, DataError, HydroscopeError, UserError, unknown_name
from hydroscope.window.cut import Cut
from hydroscope.window.errors import outside
from hydroscope.window.files import Written, stem_of, written
from hydroscope.window.history import CHUNK_ENTRIES, GONE, ROW_BYTES, Beginning, Block, Chunk, History, replaced
from hydroscope.window.layout import HEADER_BYTES, KEY_SHIFT, RECORD, STAMP_MAX, STILL, SUFFIX, Head, Kind, head_of
from hydroscope.wire import values

__all__ = ["Large", "PastLog", "past_of", "read_files", "read_window"]

TRIES: Final = 8
"""To read files of a log whose oldest ones go meanwhile."""

_readings = count(-1, -1)
"""Lines of what was read: no two are the same, and none is a log's own."""

_KIND: Final = (1 << KEY_SHIFT) - 1


@dataclass(frozen=True, slots=True)
class Large:
    """Stands for a value that was too large to be kept in the log. Two are equal if they are of the same change."""

    what: str
    """Its type, and how large it was."""
    version: int
    """Of its key."""

    def __repr__(self) -> str:
        return f"<{self.what}, not kept>"


class Packed(Sequence[Any]):
    """Values as they were packed, unpacked when they are asked for."""

    def __init__(self, raw: list[bytes | Large]) -> None:
        self._raw = raw

    def __len__(self) -> int:
        return len(self._raw)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        raw = self._raw[index]
        if isinstance(raw, list):
            return [self._unpacked(each) for each in raw]
        return self._unpacked(raw)

    @staticmethod
    def _unpacked(raw: bytes | Large) -> Any:
        if isinstance(raw, Large):
            return raw
        try:
            return values.unpack(raw)
        except HydroscopeError as error:
            raise CorruptError(f"a value in a window-log: {error}") from error


class PastLog:
    """A log as its files have it; `snapshot` and all queries take it like one in use.

    Attributes
    ----------
    name : str
    pid : int
        Of its writer.
    is_alive : bool
        Whether the writer ran when it was read: then the log goes on beyond what was read.
    """

    def __init__(self, history: History, state: Cut, head: Head, is_alive: bool) -> None:
        self.name = history.name
        self.pid = head.pid
        self.head = head
        self.is_alive = is_alive
        self._history = history
        self._end = state

    @property
    def start(self) -> int:
        """The stamp from which on the state is known."""
        return self._history.start

    def history(self) -> History:
        """Return all entries. Cost: free."""
        return self._history

    def cut(self, stamp: int | None = None) -> Cut:
        """Return the state at a stamp (default: the last). Cost: as of a log in use."""
        history = self._history
        target = history.until if stamp is None else stamp
        if not history.covers(target):
            raise outside(history, target)
        cut = self._end.copy()
        cut.move(target, self)
        return cut


def read_window(folder: str | Path, name: str | None = None) -> PastLog:
    """Read the files of a log, whose writer may be dead.

    Parameters
    ----------
    folder : path
        That the log was given.
    name : str, optional
        Of the log, if there are several. Of several writers in turn under one name the last one counts.

    Returns
    -------
    PastLog
        For `snapshot(logs=...)`.

    Raises
    ------
    UnknownNameError
        If there are no files of such a log.
    CorruptError
        If a file is not what it says.

    Notes
    -----
    Cost: about 0.7 us an entry; values are unpacked when they are asked for.
    """
    found, failures = written([Path(folder)])
    names = {each.head.name for each in found}
    if failures and (not names or name not in {None, *names}):
        raise failures[0]  # it may be the one that is meant
    if name is None and len(names) != 1:
        if names:
            raise UserError(f"folder {folder} has the logs {', '.join(sorted(names))}; say which")
        raise UserError(f"folder {folder} has no files of window-logs (*{SUFFIX}); give the one that WindowLog got")
    name = next(iter(names)) if name is None else name
    if name not in names:
        raise unknown_name("log", name, names, f"folder {folder}")
    newest = max((each for each in found if each.head.name == name), key=lambda each: each.newest_start)
    return past_of(*read_files(newest))


def read_files(found: Written) -> tuple[list[tuple[str, bytes]], int]:
    """Return the files that one writer has left, and the stamp up to which they have everything; `DataError` if none.

    That is STAMP_MAX if nobody writes to them any more. Cost: a copy.
    """
    folder, stem = found.paths[0].parent, stem_of(found.paths[0])
    for _ in range(TRIES):
        # Before anything is read: what is stamped from now on may be missing, be the writer dead a moment later.
        until = time.time_ns() if found.head.is_alive else STAMP_MAX
        paths = sorted(each for each in folder.glob(f"*{SUFFIX}") if stem_of(each) == stem)
        try:
            files = [(str(path), path.read_bytes()) for path in paths]
        except FileNotFoundError:
            continue
        if files and all(path.exists() for path in paths):  # what the oldest alone had is in one of the others
            return files, until
    raise DataError(f"the files of window-log {found.head.name!r} went away while they were read; ask again")


def past_of(files: Sequence[tuple[str, bytes]], until: int) -> PastLog:
    """Return the log of what one writer's files have, the oldest first.

    Parameters
    ----------
    files : (where it is from, content)
    until : int
        The stamp up to which they have everything; STAMP_MAX if nobody writes to them any more.

    Raises
    ------
    CorruptError
        If a file is not what it says.
    """
    first: Head | None = None
    reading = _Reading()
    for source, data in files:
        head = head_of(data, source)
        if head is not None:
            first = first or head
            reading.read(source, data)
    if first is None:
        raise DataError(f"{files[0][0]} has no changes yet; ask again")
    return reading.log(first, until)


class _Reading:
    """What the records say, in the order of the files."""

    def __init__(self) -> None:
        self.keys: list[Hashable] = []
        self.numbers: dict[Hashable, int] = {}
        self.known: dict[bytes, int] = {}
        """Numbers of keys, by how they are packed."""
        self.state: list[int] = []
        """Slots before the first change."""
        self.is_changed: list[bool] = []
        self.stamps: list[int] = []
        self.ids: list[int] = []
        self.new: list[int] = []
        self.raw: list[bytes | Large] = []

    def read(self, source: str, data: bytes) -> None:
        """Take in the records of a file, up to the first that was not finished."""
        at, n_data, unpack = HEADER_BYTES, len(data), RECORD.unpack_from
        known, raw, new, stamps, ids, is_changed = (
            self.known, self.raw, self.new, self.stamps, self.ids, self.is_changed,
        )  # fmt: skip
        while at + RECORD.size <= n_data:
            n_bytes, kind, stamp = unpack(data, at)
            if stamp == 0:
                return
            begin = at + RECORD.size
            middle, end = begin + (kind >> KEY_SHIFT), begin + n_bytes
            if middle > end or end > n_data:
                raise CorruptError(f"{source}, byte {at}: a record beyond its file's end; the file was damaged")
            packed_key = data[begin:middle]
            number = known.get(packed_key)
            if number is None:
                number = self._number(packed_key, source, at)
            slot = len(raw)
            what = kind & _KIND & ~STILL
            if what == Kind.VALUE:
                raw.append(data[middle:end])
            elif what == Kind.REMOVED:
                slot = GONE
            else:
                raw.append(self._large(what, data[middle:end], source, at))
            if kind & STILL:
                if not is_changed[number]:
                    self.state[number] = slot
            else:
                is_changed[number] = True
                stamps.append(stamp)
                ids.append(number)
                new.append(slot)
            at = begin + (n_bytes + 7 & ~7)

    def _number(self, packed_key: bytes, source: str, at: int) -> int:
        try:
            key: Hashable = values.unpack(packed_key)
            number = self.numbers.get(key)
        except (TypeError, HydroscopeError) as error:
            raise CorruptError(f"{source}, byte {at}: no key: {error}; the file was damaged") from error
        if number is None:
            number = self.numbers[key] = len(self.keys)
            self.keys.append(key)
            self.state.append(GONE)
            self.is_changed.append(False)
        self.known[packed_key] = number
        return number

    @staticmethod
    def _large(what: int, data: bytes, source: str, at: int) -> Large:
        with contextlib.suppress(TypeError, ValueError, OverflowError, HydroscopeError):
            if what == Kind.LARGE:
                told, version = values.unpack(data)
                return Large(str(told), int(version))
        raise CorruptError(f"{source}, byte {at}: a record of kind {what} that says nothing; the file was damaged")

    def log(self, head: Head, until: int) -> PastLog:
        """Put the changes in the order of their stamps, and find their old values."""
        stamps = np.maximum(np.array(self.stamps, np.uint64), np.uint64(min(head.start + 1, STAMP_MAX)))
        order = np.argsort(stamps, kind="stable")
        stamps, ids = stamps[order], np.array(self.ids, np.uint32)[order]
        new, state = np.array(self.new, np.int64)[order], np.array(self.state, np.int64)
        old = replaced(ids, new, state)
        chunks = [
            Chunk(stamps[rows], ids[rows], old[rows], new[rows], ROW_BYTES * len(ids[rows]))
            for begin in range(0, len(order), CHUNK_ENTRIES)
            for rows in (slice(begin, begin + CHUNK_ENTRIES),)
        ]
        state[ids] = new
        is_alive = until != STAMP_MAX
        until = max(until, int(stamps[-1]) if len(stamps) else head.start)
        line = (next(_readings), 0)
        blocks, beginning = [Block(0, Packed(self.raw))], Beginning(np.zeros(0, np.object_))
        history = History(
            head.name, line, head.start, until, chunks, self.keys, self.numbers, len(self.keys), blocks, beginning
        )
        return PastLog(history, Cut(history, state, until, history.n_entries), head, is_alive)
