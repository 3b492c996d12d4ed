"""A post: a thread of a process that answers those who gather recordings, whatever the rest of the process does.

It takes no lock that others hold for long, waits for nobody beyond a deadline, and nothing that goes wrong in it leaves
it: what did is counted. It is reached in two ways. Over TCP it asks for proof of the secret; through a socket in the
folder of the rings, which only this user's processes can enter, it does not, since they can read the rings themselves.

Each talk is a thread of its own, of which there are few: of those who have proven nothing the oldest has to go when
somebody else comes.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hydroscope.engine.bell import Bell
from hydroscope.engine.dump import disk
from hydroscope.engine.dump.line import Broken, Line
from hydroscope.engine.forks import abandon_after_fork
from hydroscope.engine.own import own
from hydroscope.ground.errors import DataError, UserError
from hydroscope.ground.record.folder import default_folders, prepare
from hydroscope.wire.dumps import (
    PART_BYTES,
    CatchUp,
    Die,
    Done,
    Freeze,
    Look,
    Lying,
    Part,
    RingHead,
    Seen,
    Ship,
    ShipLogs,
    Thaw,
    Unable,
    Where,
)

if TYPE_CHECKING:
    from hydroscope.ground.record.reader import Ring

__all__ = ["DIED", "SUFFIX", "Post", "Still", "behind", "doors"]

SUFFIX = ".post"
"""Of the sockets in the folder of the rings."""

DIED = 86
"""The exit status of a process that was asked to end with its recordings shipped."""

TALKS_MAX = 16
"""At a time."""

PROVE_S = 2.0
"""Within which a newcomer has to show that it knows the secret."""

TALK_S = 60.0
"""For the next question, and for each ring of an answer: who asks or reads more slowly is cut off."""

SORTS_MAX = 100
"""Of mishaps that are counted apart: strangers choose some of the words."""

FRESH_S = 1.0
"""For which what was read of a ring is good enough for others who ask."""

READ_S = 10.0
"""To wait while another ring is read."""

FREEZE_MIN_S, FREEZE_MAX_S = 0.1, 3600.0
PAUSE_S = 0.01
"""After a connection that could not be taken, for the reason to pass."""

HALT_S = 1.0
"""To wait for the tables of a member: longer than any turn takes."""

FLUSH_S = 1.0
"""For what was printed to leave the process before it ends."""


class Still(Protocol):
    """What can be made to stand still, and to catch up: a member."""

    def halt(self, wait_s: float) -> bool:
        """Let nothing happen from here on; False when that cannot be had within `wait_s`."""

    def go_on(self) -> None:
        """Let it go on; nothing happens when it does."""

    def catch_up(self, stamp: int, wait_s: float) -> str | None:
        """Let what is stamped up to here be done, and all else be stamped later; return why that cannot be, or None."""


class Post:
    """The post of this process.

    Parameters
    ----------
    host : str
        A numeric one.
    key : bytes
        Of `wire.dumps.dump_key`.
    name : callable
        Returns what this process is called.
    others : callable
        Returns the posts that are known here; must not wait.
    port : int
        0: any that is free.
    folder : path, optional
        Where rings are; by default where recorders put them.
    """

    def __init__(
        self,
        host: str,
        key: bytes,
        name: Callable[[], str] = lambda: "",
        others: Callable[[], tuple[Where, ...]] = tuple,
        port: int = 0,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.key = key
        self.counters: Counter[str] = Counter()
        self.records = True
        """Whether this process has a ring of its own; an agent has none."""
        self.still: Still | None = None
        """What `Freeze` stops and `CatchUp` is for."""
        self.note: Callable[[str], object] = lambda text: None
        """Told what is done to this process."""
        self._host, self._name, self._others = host, name, others
        self.place = disk.place(folder)
        self._folder = folder
        self._talks: dict[_Talk, None] = {}  # oldest first
        self._guard = threading.Lock()  # of `_talks`, for some instructions
        self._reading = threading.Lock()
        self._fresh: tuple[str, int, float, Ring] | None = None
        self._freezing = threading.Lock()
        self._alarm: threading.Timer | None = None
        self._closing = False
        self._bell = Bell()
        self._door: socket.socket | None = None
        self._door_path: str | None = None
        self._listener = own(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM))
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.setblocking(False)
            self._listener.bind((host, port))
            self._listener.listen(64)
            self.port: int = self._listener.getsockname()[1]
            self._open_door()
            self._thread = threading.Thread(target=self._run, name="hydroscope-post", daemon=True)
            self._thread.start()
        except BaseException:
            self._let_go()
            raise
        abandon_after_fork(self)

    @property
    def where(self) -> Where:
        """How it is reached."""
        return Where(self._name(), self._host, self.port, os.getpid() if self.records else 0, self.place)

    @property
    def address(self) -> str:
        """How it is reached, as text."""
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    def close(self) -> None:
        """Answer nobody any more; what stands still goes on."""
        self._closing = True
        self._bell.ring()
        self.thaw()

    # --- what is done to the process ----------------------------------------------------------------------------------

    def freeze(self, seconds: float) -> str | None:
        """Let the member stand still for so long from now on; return why it cannot, or None."""
        seconds = min(seconds, FREEZE_MAX_S) if seconds > FREEZE_MIN_S else FREEZE_MIN_S  # what is no number is none
        still = self.still
        if still is None:
            return "it is no member of a cluster, so nothing in it can be made to stand still"
        with self._freezing:
            before = self._alarm
            alarm = threading.Timer(seconds, self._wake)
            alarm.daemon = True
            alarm.start()  # first: nothing stands still without somebody who ends it
            if before is None and not still.halt(HALT_S):
                alarm.cancel()
                return f"its member held on to its tables for {HALT_S:g} s: it hangs"
            if before is not None:
                before.cancel()
            self._alarm = alarm
        self.note(f"frozen for {seconds:g} s")
        return None

    def thaw(self, alarm: threading.Thread | None = None) -> None:
        """Let the member go on; with `alarm`, only if it is the one that still counts."""
        with self._freezing:
            if self._alarm is None or alarm not in (None, self._alarm):
                return
            self._alarm.cancel()
            self._alarm = None
            assert self.still is not None
            self.still.go_on()
        self.note("thawed" if alarm is None else "thawed by itself")

    def catch_up(self, stamp: int) -> str | None:
        """Let the member's log be complete up to a stamp; return why it cannot be, or None."""
        still = self.still
        return "it is no member of a cluster" if still is None else still.catch_up(stamp, HALT_S)

    def _wake(self) -> None:
        self.thaw(threading.current_thread())

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _open_door(self) -> None:
        """Listen in the folder of the rings; where that cannot be, there is TCP."""
        with contextlib.suppress(OSError, UserError):
            folder = default_folders()[0]
            prepare(folder)
            for other in doors():
                _remove_if_dead(other)
            path = folder / f"{os.getpid()}-{id(self):x}{SUFFIX}"
            door = own(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            try:
                door.setblocking(False)
                door.bind(str(path))
                self._door_path = str(path)
                door.listen(64)
            except OSError:  # its path is too long, for example
                door.close()
                raise
            self._door = door

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self._bell, selectors.EVENT_READ)
        selector.register(self._listener, selectors.EVENT_READ)
        if self._door is not None:
            selector.register(self._door, selectors.EVENT_READ)
        try:
            while not self._closing:
                for key, _ in selector.select():
                    if key.fileobj is self._bell:
                        continue
                    try:
                        self._accept(key.fileobj)
                    except Exception as error:  # it went away again, or there are no descriptors or threads left
                        self.count(f"not accepted: {error}")
                        time.sleep(PAUSE_S)
        finally:
            selector.close()
            self._let_go()

    def count(self, mishap: str) -> None:
        """Note that something went wrong."""
        self.counters[mishap if mishap in self.counters or len(self.counters) < SORTS_MAX else "other mishaps"] += 1

    def _accept(self, listener: Any) -> None:
        connection, _ = listener.accept()
        try:
            self._talk_with(own(connection), listener is self._door)
        except BaseException:
            connection.close()
            raise

    def _talk_with(self, connection: socket.socket, is_own: bool) -> None:
        if is_own and not _is_of_this_user(connection):
            connection.close()
            return
        line = Line(connection, b"" if is_own else self.key, True, time.monotonic() + PROVE_S)
        with self._guard:
            if len(self._talks) >= TALKS_MAX:
                oldest = next((each for each in self._talks if not each.line.is_proven), None)
                if oldest is None:
                    self.count("too many talks")
                    line.close()
                    return
                del self._talks[oldest]
                oldest.line.close()
            talk = _Talk(self, line, is_own)
            self._talks[talk] = None
        try:
            threading.Thread(target=talk.run, name="hydroscope-talk", daemon=True).start()
        except BaseException:
            self.over(talk)
            raise

    def over(self, talk: _Talk) -> None:
        """Forget a talk that has ended."""
        with self._guard:
            self._talks.pop(talk, None)
            if not self._talks:
                self._fresh = None

    def _let_go(self) -> None:
        for each in (self._listener, self._door):
            if each is not None:
                each.close()
        with self._guard:
            talks = list(self._talks)
        for talk in talks:
            talk.line.close()
        self._bell.close()
        if self._door_path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._door_path)

    def abandon(self) -> None:
        """In a forked child: close the sockets, which nobody answers here; who connects would wait in vain."""
        self._door_path = None
        self._guard = threading.Lock()
        self._freezing = threading.Lock()
        self._alarm = None
        self._let_go()

    # --- answers ------------------------------------------------------------------------------------------------------

    def look(self, is_own: bool) -> Seen:
        """Return who this is, and what lies here."""
        found = self.lying()
        key = self.key if is_own else b""
        return Seen(self.where, self._others(), tuple(found.values()), time.time_ns(), sys.byteorder, key)

    def lying(self) -> dict[str, Lying]:
        """Return what lies here."""
        return disk.lying(self._folder)

    def read(self, file: str, since_ns: int) -> Ring:
        """Read a ring, one at a time; what was read a moment ago is good enough. DataError when that cannot be done."""
        if not self._reading.acquire(timeout=READ_S):
            raise DataError(f"another ring is still being read after {READ_S:g} s")
        try:
            fresh, now = self._fresh, time.monotonic()
            if fresh is not None and fresh[:2] == (file, since_ns) and now - fresh[2] < FRESH_S:
                return fresh[3]
            ring = disk.read(file, since_ns)
            self._fresh = file, since_ns, time.monotonic(), ring
            return ring
        finally:
            self._reading.release()


class _Talk:
    """One who asks."""

    def __init__(self, post: Post, line: Line, is_own: bool) -> None:
        self.line = line
        self._post = post
        self._is_own = is_own

    def run(self) -> None:
        """Answer until the other end has enough; nothing that goes wrong leaves this."""
        line = self.line
        try:
            line.greet()
            while True:
                question = line.hear()
                line.until = time.monotonic() + TALK_S
                self._answer(question)
        except Broken as broken:
            self._post.count(str(broken))
        except Exception as error:
            self._post.count(f"{type(error).__name__}: {error}")
        finally:
            self._post.over(self)
            line.close()

    def _answer(self, question: object) -> None:
        post, line = self._post, self.line
        match question:
            case Look():
                line.say(post.look(self._is_own))
            case Ship(files=files, since_ns=since_ns):
                there = post.lying()
                for file in files:
                    self._ship(there.get(file), file, since_ns)
                line.say(Done())
            case ShipLogs(cluster=cluster):
                from hydroscope.engine.dump import logs

                for part in logs.parts(cluster):
                    line.say(part)
                line.say(Done())
            case CatchUp(stamp=stamp):
                why = post.catch_up(stamp)
                line.say(Done() if why is None else Unable("catch up", why))
            case Freeze(seconds=seconds):
                why = post.freeze(seconds)
                line.say(Done() if why is None else Unable("freeze", why))
            case Thaw():
                post.thaw()
                line.say(Done())
            case Die():
                post.note("ends, as was asked for")
                line.say(Done())
                line.close()
                _end()

    def _ship(self, lying: Lying | None, file: str, since_ns: int) -> None:
        self.line.until = time.monotonic() + TALK_S
        if lying is None:  # only what lies among the rings is ever opened
            self.line.say(Unable(file, "it is not there any more"))
            return
        try:
            ring = self._post.read(file, since_ns)
        except (DataError, MemoryError) as error:
            self.line.say(Unable(file, str(error) or type(error).__name__))
            return
        data = ring.records.view("u1").reshape(-1).data
        self.line.say(RingHead(lying, ring.names, len(data), ring.n_torn, ring.damage))
        for at in range(0, len(data), PART_BYTES):
            self.line.say(Part(data[at : at + PART_BYTES]))


def doors() -> list[str]:
    """Return the sockets of posts of this user on this machine, of some that have ended too."""
    return [str(path) for folder in default_folders() for path in Path(folder).glob(f"*{SUFFIX}")]


def behind(door: str) -> int:
    """Return the id of the process whose door it is."""
    return int(os.path.basename(door).partition("-")[0])


def _remove_if_dead(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            with contextlib.suppress(OSError):
                os.unlink(path)
        except OSError:
            pass


def _is_of_this_user(connection: socket.socket) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):  # then it is the folder alone that keeps others out
        return True
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return bool(uid == os.getuid())


def _end() -> None:
    """End the process at once, with what it printed; a reader of that who does not read cannot keep it."""

    def flush() -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()

    with contextlib.suppress(RuntimeError):
        flusher = threading.Thread(target=flush, daemon=True)
        flusher.start()
        flusher.join(FLUSH_S)
    os._exit(DIED)
