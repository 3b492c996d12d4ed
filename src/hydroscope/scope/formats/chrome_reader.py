"""Traces in Chrome's JSON as timelines: of Chrome and many tools that write the same, and of `chrome`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from hydroscope.ground.errors import DataError
from hydroscope.ground.record.layout import Kind, hash64
from hydroscope.scope.events import MESSAGES
from hydroscope.scope.formats.built import Entry, Records
from hydroscope.scope.formats.chrome import FINDING, OWN
from hydroscope.scope.formats.shown import IN_WORDS
from hydroscope.scope.rules import Rule
from hydroscope.scope.timeline import Timeline

__all__ = ["read_chrome"]

Json = dict[str, Any]
"""An entry of a file, or what is in one."""

FAR_US = 2**52
"""No number of microseconds is greater."""
FAR_NS = 2**62
"""No time is further from 0."""
ARROWS = ("s", "t", "f")
PHASES = (*ARROWS, *"XBEbenNiIRPC")
"""What an entry is; others tell nothing that happened at a time."""
KINDS = {kind.name.lower(): kind for kind in Kind}
MOST_TOLD = 8
MOST_TEXT = 500


def read_chrome(paths: Sequence[str | os.PathLike[str]], rules: Sequence[Rule] | str = ()) -> Timeline:
    """Read traces in Chrome's JSON.

    Parameters
    ----------
    paths : sequence of path
        Of one run, with times of one clock.
    rules : sequence of Rule, or str
        As for `Timeline`.

    Returns
    -------
    Timeline
        A process is a node, a thread a lane, a slice a task, an arrow a message, all else a note. Of files that
        `Timeline.write` made, messages are what they were, without their first bytes.

    Raises
    ------
    DataError
        It is no JSON, or not of this format; an entry is not an object, or has no process, or a time that is none.

    Notes
    -----
    An array that was not closed, as of a program that was killed, is read as far as it goes. Cost: some 10 us an
    entry, and 2 KB of memory.
    """
    records = Records()
    for path in paths:
        _File(os.fspath(path), records).read()
    return records.timeline(rules=rules)


def _loaded(path: str) -> tuple[list[Any], Json]:
    """Return the entries, and what is beside them."""
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8-sig", errors="replace").strip()
    except OSError as error:
        raise DataError(f"{path!r} cannot be read: {error.strerror or error}") from error
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        found = _unclosed(text)
        if found is None:
            raise DataError(f"{path!r} is no JSON: {error}") from None
    entries = found.get("traceEvents") if isinstance(found, dict) else found
    if not isinstance(entries, list):
        raise DataError(f"{path!r} is JSON, but no trace: it is neither an array nor an object with 'traceEvents'")
    other = found.get("otherData") if isinstance(found, dict) else None
    return entries, other if isinstance(other, dict) else {}


def _unclosed(text: str) -> Any:
    """Return the array that these are the first entries of, or None."""
    if not text.startswith("["):
        return None
    end = text.rfind("}")
    while end > 0 and len(text) - end < 2**16:
        try:
            return json.loads(text[: end + 1].rstrip(", \n") + "]")
        except (ValueError, RecursionError):
            end = text.rfind("}", 0, end)
    return None


class _Found(NamedTuple):
    """A record before it is known in what order they come: by time, turn and number."""

    record: Entry
    turn: int
    """Among those of one time."""
    number: int
    """Of the entry in the file."""


ENDS, IS, ENDS_AT_ONCE = range(3)
"""Turns."""


class _File:
    """Owner of what is being read: names of processes and threads, slices that are open, arrows."""

    def __init__(self, path: str, records: Records) -> None:
        self.path, self.records = path, records
        self.entries, other = _loaded(path)
        self.is_own = other.get("writer") == OWN
        base = str(other.get("base_ns", ""))
        self.base_ns = int(base) if self.is_own and base.isdecimal() and len(base) < 20 else 0
        self.open: dict[object, list[int]] = {}
        self.arrows: dict[object, list[tuple[int, int, Json]]] = {}
        self.processes: dict[str, str] = {}
        self.threads: dict[tuple[str, str], str] = {}
        self.found: list[_Found] = []

    def read(self) -> None:
        """Add all records."""
        for number, entry in enumerate(self.entries):
            if not isinstance(entry, dict):
                raise DataError(f"entry {number} of {self.path!r} is {str(entry)[:80]!r}, and no object")
            if entry.get("ph") == "M":
                self.name(number, entry)
        timed = [
            (self.ns(number, entry, "ts"), number, entry)
            for number, entry in enumerate(self.entries)
            if entry.get("ph") in PHASES and entry.get("cat") != FINDING
        ]
        for ns, number, entry in sorted(timed, key=lambda each: each[:2]):
            self.entry(ns, number, entry)
        if not self.is_own:
            for arrow, steps in enumerate(self.arrows.values()):
                self.messages(arrow, steps)
        for each in sorted(self.found, key=lambda each: (each.record.ns, each.turn, each.number)):
            self.records.add(each.record)

    def ns(self, number: int, entry: Json, field: str) -> int:
        """Return a time of an entry."""
        value = entry.get(field)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < FAR_US:
            raise DataError(
                f"entry {number} of {self.path!r} has {field!r} {str(value)[:40]!r}: it is a number of microseconds"
            )
        found = round(value * 1000) + (self.base_ns if field == "ts" else 0)
        if abs(found) >= FAR_NS:
            raise DataError(f"entry {number} of {self.path!r} is {found} ns from 1970: times are less than {FAR_NS}")
        return found

    def place(self, number: int, entry: Json) -> tuple[str, str]:
        """Return process and thread of an entry."""
        found = []
        for field in ("pid", "tid"):
            value = entry.get(field, 0)
            if not isinstance(value, int | str):
                raise DataError(f"entry {number} of {self.path!r} has {field!r} {str(value)[:40]!r}: no number or text")
            found.append(str(value))
        return found[0], found[1]

    def name(self, number: int, entry: Json) -> None:
        """Take in what a process or thread is called."""
        process, thread = self.place(number, entry)
        arguments = _arguments(entry)
        name = str(arguments.get("lane" if self.is_own and "lane" in arguments else "name", ""))
        if entry.get("name") == "process_name" and name:
            taken = name in self.processes.values()
            self.processes[process] = f"{name} {process}" if taken else name
        elif entry.get("name") == "thread_name":
            self.threads[process, thread] = name

    def node(self, number: int, entry: Json) -> tuple[str, str]:
        """Return the names of the node and lane of an entry."""
        process, thread = self.place(number, entry)
        return self.processes.get(process, process), self.threads.get((process, thread), thread)

    def entry(self, ns: int, number: int, entry: Json) -> None:
        """Take in an entry, all before which are taken in."""
        phase, name, arguments = entry["ph"], str(entry.get("name", "")), _arguments(entry)
        told = Entry(*self.node(number, entry), Kind.NOTE, ns, name, _told(name, arguments))
        if phase in ARROWS:
            key = (str(entry.get("cat")), name, str(entry.get("id")), str(entry.get("bind_id")))
            self.arrows.setdefault(key, []).append((ns, number, entry))
        elif self.is_own and (kind := KINDS.get(str(entry.get("cat")))) and (phase != "X" or kind in MESSAGES):
            self.add(number, _own_record(told, kind, arguments))
        elif phase == "X":
            self.slice(number, told, entry)
        elif phase in "Bb":
            self.open.setdefault(self.key(number, entry), []).append(self.task(number))
            self.add(number, told._replace(kind=Kind.STARTED, id=self.task(number)))
        elif phase in "Ee":
            begun = self.open.get(self.key(number, entry)) or [self.task(number)]
            self.add(number, told._replace(kind=Kind.ENDED, id=begun.pop()), ENDS)
        else:
            self.add(number, told)

    def slice(self, number: int, told: Entry, entry: Json) -> None:
        """Take in a slice that has its length with it, as a task."""
        arguments = _arguments(entry)
        took_ns = max(self.ns(number, entry, "dur"), 0) if entry.get("dur") is not None else 0
        begun = told._replace(kind=Kind.STARTED, id=self.task(number))
        if self.is_own:
            begun = begun._replace(id=_whole(arguments.get("id")), text=str(arguments.get("says", "")))
        self.add(number, begun)
        if not arguments.get("unfinished"):
            ended = begun._replace(kind=Kind.ENDED, ns=min(begun.ns + took_ns, FAR_NS - 1))
            self.add(number, ended, ENDS if took_ns else ENDS_AT_ONCE)

    def add(self, number: int, record: Entry, turn: int = IS) -> None:
        self.found.append(_Found(record, turn, number))

    def task(self, number: int) -> int:
        """Return the number of a task that an entry begins."""
        return hash64(f"{self.path} {number}".encode())

    def key(self, number: int, entry: Json) -> object:
        """Return what the beginning and the end of a slice have in common."""
        if entry["ph"] in "BE":
            return self.place(number, entry)
        return str(entry.get("cat")), str(entry.get("id", entry.get("id2"))), str(entry.get("name"))

    def messages(self, arrow: int, steps: Sequence[tuple[int, int, Json]]) -> None:
        """Take in an arrow: each step but the first receives, each but the last sends."""
        places = [self.node(number, entry) for _, number, entry in steps]
        for k, (ns, number, entry) in enumerate(steps):
            name = str(entry.get("name", "message"))
            told = Entry(*places[k], Kind.RECEIVED, ns, name, _told(name, _arguments(entry)))
            if k:
                step = hash64(f"{self.path} {arrow} {k - 1}".encode())
                self.add(number, told._replace(id=step, peer=places[k - 1][0]))
            if k < len(steps) - 1 or not k:
                step = hash64(f"{self.path} {arrow} {k}".encode())
                peer = places[k + 1][0] if k < len(steps) - 1 else None
                self.add(number, told._replace(kind=Kind.SENT, id=step, peer=peer))


def _own_record(told: Entry, kind: Kind, arguments: Json) -> Entry:
    """Return a record that was written here, as it was."""
    word = f"{IN_WORDS[kind]} " if kind in IN_WORDS else ""
    peer = arguments.get("other_end")
    return told._replace(
        kind=kind,
        label=told.label.removeprefix(word),
        text=str(arguments.get("says", "")),
        id=_whole(arguments.get("id")),
        peer=peer if isinstance(peer, str) else None,
        n_bytes=_whole(arguments.get("bytes")),
    )


def _arguments(entry: Json) -> Json:
    found = entry.get("args")
    return found if isinstance(found, dict) else {}


def _told(name: str, arguments: Json) -> str:
    """Return what an entry says, in one line."""
    told = ", ".join(f"{key} = {value}" for key, value in list(arguments.items())[:MOST_TOLD])
    return f"{name}: {told[:MOST_TEXT]}" if told else name


def _whole(value: object) -> int:
    """Return a number of 64 bits, written in any way; 0 if it is none."""
    try:
        found = int(value, 0) if isinstance(value, str) else int(value) if isinstance(value, int | float) else 0
    except (ValueError, OverflowError):
        return 0
    return found % 2**64
