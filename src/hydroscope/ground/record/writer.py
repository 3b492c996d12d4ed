"""The file of a ring as it is written: opening it, making room part by part, clocks, and arguments that are not plain.

**It must not break what it records.** Nothing raises once the ring is open. What cannot be kept is counted (`n_lost`);
what is odd is kept as well as it can be: an id that is no number is hashed, data that is no bytes becomes a text.
The memory of each part is asked for before it is written to, so that a full memory makes the ring shorter, instead of
ending the process by a signal.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import itertools
import mmap
import os
import re
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hydroscope.ground.clocks.hlc import TIME, is_poison
from hydroscope.ground.clocks.port import Clock
from hydroscope.ground.clocks.system import SystemClock
from hydroscope.ground.errors import UserError
from hydroscope.ground.processes import memory_held, start_ticks
from hydroscope.ground.record.about import About, header_of, rings
from hydroscope.ground.record.folder import UNFINISHED, boot_id, default_folders, prepare, tidy
from hydroscope.ground.record.hot import Write, hot_path
from hydroscope.ground.record.layout import (
    CLOCK,
    DATA_BYTES,
    HEADER_BYTES,
    NOWHERE,
    PART_BYTES,
    RECORD,
    RECORD_BYTES,
    SAMPLE,
    SUFFIX,
    Kind,
    hash64,
)
from hydroscope.ground.record.names import Names, text_of

__all__ = ["Writer", "id_of", "safe_text"]

_SECOND_NS: Final = 10**9
_JUMP_NS: Final = 10**6
"""The wall's clock is corrected by less than this in a second, unless it is set."""
_AT_ONCE_NS: Final = 100_000
_TRIES: Final = 3
"""To read two clocks at once. A process that is held up between them has not seen one of them jump."""
_POPULATE: Final = 23
"""MADV_POPULATE_WRITE of Linux 5.14: room now, or an error now."""
_KNOWN: Final = 4096
_64_BITS: Final = 2**64 - 1
_32_BITS: Final = 2**32 - 1

_ASLEEP_TOO: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_serials = itertools.count()
_writers: weakref.WeakSet[Writer] = weakref.WeakSet()
"""Those of this process: closed when it ends, and let go of in a forked child, which must not write into its parent's
rings."""

_ends_told: set[int] = set()
"""Process ids: of this one, once `multiprocessing` closes its rings."""
_LAST: Final = -1000
"""Among what `multiprocessing` does when a process ends: its queues are empty by then."""


def id_of(thing: object) -> int:
    """Return 64 bits for a message id, task or key; a text and its UTF-8 have the same.

    Examples
    --------
    >>> id_of(17), id_of(None), id_of("job-17") == id_of(b"job-17")
    (17, 0, True)
    """
    if thing is None:
        return 0
    if isinstance(thing, str):
        return hash64(thing.encode(errors="surrogatepass"))
    if isinstance(thing, int):
        return thing & _64_BITS
    if isinstance(thing, bytes | bytearray | memoryview):
        return hash64(bytes(thing))
    return hash64(text_of(thing).encode(errors="surrogatepass"))


def safe_text(thing: object) -> str:
    """Return what a thing is called; of one that raises when it is asked, its type."""
    try:
        return text_of(thing)
    except Exception:  # foreign objects may do anything
        return type(thing).__name__


def _bytes_of(data: object) -> bytes:
    if data is None:
        return b""
    return bytes(data) if isinstance(data, memoryview) else text_of(data).encode(errors="replace")


class Writer:
    """Owner of one ring's file, and of what `hot` does not do.

    Parameters
    ----------
    name : str
    n_parts : int
    folder : path or None
        None: the default ones, and if none of them can be used, memory that nobody else sees.
    clock : Clock
    """

    def __init__(self, name: str, n_parts: int, folder: Path | None, clock: Clock) -> None:
        plain = isinstance(clock, SystemClock)
        self.mono: Callable[[], int] = time.monotonic_ns if plain else lambda: round(clock.seconds() * 1e9)
        self._wall = clock.wall_ns
        self._name, self._folder, self._wanted = name, folder, n_parts
        self.path: Path | None = None
        self.n_lost = 0
        """Events that could not be recorded."""
        self.n_refused = 0
        """Stamps that were too far ahead."""
        self.in_flight = 0
        self._buffer: mmap.mmap | None = None
        self._forked = False
        self._next_second = self._next_refusal = 0
        self._open(name)
        self._known: dict[object, tuple[object, int]] = {}
        self.names = Names(name, self._put)
        self.numbers = self.names.number
        self.hot = hot_path(self)
        self.hot.onto(self._buffer)
        self.hot.stamp(self._wall() & TIME)
        self._note = self.hot.writes(Kind.NOTE, 0)
        self._clocks = self.hot.writes(Kind.CLOCK, 0)
        self._samples = self.hot.writes(Kind.SAMPLE, 0)
        _writers.add(self)

    # ------------------------------------------------------------ the file

    def _open(self, name: str) -> None:
        """Make the file, and room for its first part."""
        size = HEADER_BYTES + self._wanted * PART_BYTES
        at_ns, wall_ns = self.mono(), self._wall()
        self._offset_ns = wall_ns - at_ns
        self._n_parts = self._wanted
        pid = os.getpid()
        n_slots = self._wanted * PART_BYTES // RECORD_BYTES
        self._about = about = About(name, pid, start_ticks(pid), wall_ns, at_ns, 0, boot_id(), n_slots)
        _close_with_its_process()
        for folder in default_folders(size) if self._folder is None else [self._folder]:
            try:
                prepare(folder)
                self._map(folder, about, size)
            except (OSError, ValueError, UserError) as error:  # ValueError: a path with a zero byte
                if self._folder is None:
                    continue
                if isinstance(error, UserError):
                    raise
                raise UserError(f"no ring can be made in {str(folder)!r}: {error}; name another folder") from error
            with contextlib.suppress(OSError):
                tidy(folder, [ring.path for ring in rings(folder) if not ring.is_alive])
            return
        self.path = None
        self._buffer = mmap.mmap(-1, size)

    def _map(self, folder: Path, about: About, size: int) -> None:
        """Make the file under another name, and name it a ring once it is one."""
        stem = re.sub(r"[^\w.-]", "_", about.name, flags=re.ASCII)[:80]
        path = folder / f"{stem}-{about.pid}-{about.opened_at_ns:x}-{next(_serials)}{SUFFIX}"
        self.path = part = path.with_suffix(UNFINISHED)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(descriptor, size)
            self._buffer = mmap.mmap(descriptor, size)
            if not self._put(0, header_of(about)) or not self._make_room(HEADER_BYTES, PART_BYTES):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
            part.rename(path)
        except OSError:
            self._buffer = None
            part.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        self.path = path

    def _make_room(self, at: int, n_bytes: int) -> bool:
        """Have the system set memory aside for what will be written there; False if it has none."""
        assert self._buffer is not None
        try:
            self._buffer.madvise(_POPULATE, at, n_bytes)
            return True
        except OSError as error:
            if error.errno != errno.EINVAL:
                return False
        if self.path is None or not hasattr(os, "posix_fallocate"):
            return True
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.posix_fallocate(descriptor, at, n_bytes)
            finally:
                os.close(descriptor)
        except OSError:
            return False
        return True

    def _put(self, at: int, data: bytes) -> bool:
        """Write into the header or the names."""
        if self._forked:
            self._open_in_child()
        buffer = self._buffer
        start = at // mmap.PAGESIZE * mmap.PAGESIZE
        if buffer is None or not self._make_room(start, -(-(at + len(data) - start) // mmap.PAGESIZE) * mmap.PAGESIZE):
            return False
        buffer[at : at + len(data)] = data
        return True

    def next_part(self, part: int) -> tuple[int, Iterator[int]]:
        """Return the part after this one and its slots; where there is no room for it, the ring ends before it."""
        part = (part + 1) % self._n_parts
        start = HEADER_BYTES + part * PART_BYTES
        if part and self._buffer is not None and not self._make_room(start, PART_BYTES):
            self._n_parts = part
            part, start = 0, HEADER_BYTES
        return part, iter(range(start, start + PART_BYTES, RECORD_BYTES))

    def close(self, remove: bool = False) -> None:
        """Write no more. The file stays for readers, unless it is to be removed."""
        self._forked = False
        self.hot.onto(b"")
        if self._buffer is not None:
            self._put(0, header_of(replace(self._about, closed_at_ns=max(self.mono(), 1))))
            self._buffer = None
        if remove and self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def forked(self) -> None:
        """Let go of the parent's ring: this is a child of the process that made it."""
        self._forked = self._forked or self._buffer is not None
        self.hot.onto(b"")
        self._buffer = self.path = None

    def _open_in_child(self) -> None:
        """Make a ring of the child's own, with the parent's names; without one, what it records is lost."""
        self._forked = False  # other threads lose what they record in the meantime, rather than wait
        name = f"{self._name}.{os.getpid()}"
        try:
            self._open(name)
        except UserError:
            return
        self.names.write_again(name)
        self._next_second = 0
        self.hot.onto(self._buffer)

    # ------------------------------------------------------------ time

    def look(self, at_ns: int) -> None:
        """See how far the wall's clock is ahead of the other; once a second, note the clocks and take a sample."""
        for _ in range(_TRIES):
            before_ns = self.mono()
            wall_ns = self._wall()
            after_ns = self.mono()
            if after_ns - before_ns < _AT_ONCE_NS:
                break
        ahead_ns = wall_ns - after_ns  # not a ns too much: stamps do not run ahead of the wall
        self.hot.clock(ahead_ns)
        due = at_ns >= self._next_second
        jump_ns = ahead_ns - self._offset_ns
        if not due and abs(jump_ns) <= _JUMP_NS:
            return
        self._offset_ns = ahead_ns
        self._clocks(None, max(wall_ns, 0), CLOCK.pack(jump_ns, time.clock_gettime_ns(_ASLEEP_TOO)))
        if due:
            self._next_second = at_ns + _SECOND_NS
            self.sample()

    def sample(self) -> int:
        """Record what the process takes up."""
        used = SAMPLE.pack(time.process_time_ns() // 1000, _resident_bytes(), self.in_flight & _64_BITS)
        return self._samples(None, 0, used)

    def merged(self, stamp: int, peer: object, ident: object) -> int:
        """Return a stamp higher than one received; 0 if that is too far ahead, for all later ones would be."""
        wall_ns = self._wall()
        if not is_poison(stamp, wall_ns):
            return self.hot.stamp(int(stamp) + 1)
        self.n_refused += 1
        now_ns = self.mono()
        if now_ns >= self._next_refusal:
            self._next_refusal = now_ns + _SECOND_NS
            self._note(peer, ident, f"stamp {(stamp - wall_ns) / 1e9:.0f} s ahead: not taken"[:DATA_BYTES].encode())
        return 0

    # ------------------------------------------------------------ what is not plain

    def named(self, thing: Any) -> tuple[object, int]:
        """Return name and id of a task or key, of which there may be any number."""
        try:
            return self._known[thing]
        except Exception:  # not seen so far, or what cannot be a key of a dictionary
            pass
        try:
            if isinstance(thing, int):
                return None, thing
            known = (thing if self.names.of(thing, endless=True) else None), id_of(thing)
        except Exception:  # of its text
            return None, 0
        if isinstance(thing, str | bytes) and len(self._known) < _KNOWN:
            self._known[thing] = known
        return known

    def failed(self, write: Write, error: BaseException, task: Any) -> int:
        """Record an error with its type's name and the beginning of its text."""
        kind, said = type(error).__name__, safe_text(error)
        name, _ = self.named(kind)
        return write(name, task, f"{kind}: {said}" if name is None else said)  # so that more of it fits

    def odd(self, at: int, kind_lane: int, peer: object, ident: object, data: Any, stamp: Any) -> int:
        """Write what could not be written in the straight way, as well as can be; never raise."""
        own = self.hot.stamp(0)
        try:
            if self._buffer is None:
                if not self._forked:
                    self.n_lost += 1
                    return own
                self._open_in_child()
            if at == NOWHERE:
                at = self.hot.slot()
            if isinstance(stamp, int) and stamp >= own:
                own = self.merged(stamp, peer, ident) or own
            if not isinstance(data, bytes | bytearray):
                data = _bytes_of(data)
            n_bytes = min(len(data), _32_BITS)
            number, ident = self.names.of(peer), id_of(ident)
            assert self._buffer is not None
            RECORD.pack_into(self._buffer, at, own, self.mono(), ident, n_bytes, number, data, kind_lane)
        except Exception:  # of the texts of foreign objects, of a file that is gone: counted
            self.n_lost += 1
        return own


def _resident_bytes() -> int:
    held = memory_held(os.getpid())
    if held is None:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return held


def _close_with_its_process() -> None:
    """Close all rings when a process ends that `multiprocessing` has made by forking: it ends without `atexit`."""
    made = sys.modules.get("multiprocessing.process")
    if made is not None and made.parent_process() is not None and os.getpid() not in _ends_told:
        _ends_told.add(os.getpid())
        sys.modules["multiprocessing.util"].Finalize(None, _close_all, exitpriority=_LAST)


def _close_all() -> None:
    """Close all rings; if an exception that nobody caught ends the process, it is the last that they tell."""
    at_prompt = hasattr(sys, "ps1")  # there, the last error may be any earlier one
    error = sys.exc_info()[1] or (None if at_prompt else getattr(sys, "last_value", None))
    for writer in list(_writers):
        if isinstance(error, Exception):
            writer.failed(writer.hot.writes(Kind.FAILED, 0), error, None)
        writer.close()


def _let_go() -> None:
    for writer in list(_writers):
        writer.forked()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_let_go)
