"""Writing one record, as fast as Python can: closures over local names, no lock, no system call.

**Slots** come from the iterator of one part of the ring (`writer` makes room part by part), and **stamps** from a
counter that goes on from the time on the wall and is put forward every 65,536 ns of activity, and past whatever stamp
was received. Each is one call of a built-in iterator, which no other thread can come into: so no two records ever have
the same slot or stamp, without a lock. When an iterator is replaced, it is made first, and then put in place only if
the one it follows from is still there. CPython lets other threads and signal handlers in at calls and at jumps back, so
nobody comes between that look and the replacement (without its global lock this would not hold). Nothing here waits: a
signal handler may record in the middle of a record.

A stamp may be lost (taken, and not used), and so may a slot, whose old record then stays. What cannot be written in
the straight way (a name never seen, an id that is a text, a ring that was closed, a forked child) raises within, and
is done over by `odd`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from hydroscope.ground.clocks.hlc import COUNTER_BITS
from hydroscope.ground.record.layout import END, NOWHERE, RECORD, kind_and_lane

__all__ = ["TICK_NS", "Around", "Hot", "Write", "hot_path"]

TICK_NS = 1 << COUNTER_BITS

_APART = 64
"""Stamps left free when the counter is replaced, for threads that may still be about to call the former one."""


class Write(Protocol):
    """Write a record; return its stamp."""

    def __call__(self, peer: object, ident: object, data: Any = b"", stamp: int | None = None, /) -> int: ...


class Around(Protocol):
    """What is seldom needed."""

    mono: Callable[[], int]
    numbers: dict[Any, int]

    def next_part(self, part: int) -> tuple[int, Iterator[int]]:
        """Return the part after this one, and its slots."""

    def each_tick(self, at_ns: int) -> None:
        """Do what is due; called when `TICK_NS` have passed."""

    def merged(self, stamp: int, peer: object, ident: object) -> int:
        """Return a stamp that is higher than one received."""

    def odd(self, at: int, kind_lane: int, peer: object, ident: object, data: Any, stamp: Any) -> int:
        """Write what could not be written in the straight way."""


@dataclass(frozen=True, slots=True)
class Hot:
    """The fast functions of one ring."""

    writes: Callable[[int, int], Write]
    """Return the function that writes records of a kind and lane."""
    next_stamp: Callable[[], int]
    """Return a new stamp."""
    stamp: Callable[[int], int]
    """Return a new stamp, at least so high, and go on from there."""
    slot: Callable[[], int]
    """Return where the next record goes."""
    onto: Callable[[Any], None]
    """Write into another buffer from now on; into none, if it cannot be written to."""


def hot_path(around: Around) -> Hot:
    """Return the fast functions of a ring."""
    mono, pack, numbers, odd = around.mono, RECORD.pack_into, around.numbers, around.odd
    buffer: Any = b""
    edge, part = 0, -1
    slot = itertools.repeat(NOWHERE).__next__
    tick = itertools.count(1).__next__

    def next_stamp() -> int:
        return tick()

    def new_stamp(at_least: int) -> int:
        nonlocal tick
        while True:
            old = tick
            new = itertools.count(max(old() + _APART, at_least)).__next__
            if tick is old:
                tick = new
                return new()

    def next_slot() -> int:
        nonlocal slot, part
        while True:
            old, old_part = slot, part
            try:
                return old()
            except StopIteration:
                new_part, slots = around.next_part(old_part)
            new = slots.__next__
            if slot is old:
                slot, part = new, new_part

    def onto(new: Any) -> None:
        nonlocal buffer, slot, part
        buffer, part = new, -1
        slot = (iter(()) if new else itertools.repeat(NOWHERE)).__next__

    def writes(kind: int, lane: int) -> Write:
        kind_lane = kind_and_lane(kind, lane)

        def write(peer: object, ident: object, data: Any = b"", stamp: int | None = None) -> int:
            nonlocal edge
            try:
                at = slot()
            except StopIteration:
                at = next_slot()
            try:
                if (now := mono()) >= edge:
                    edge = now + TICK_NS
                    around.each_tick(now)
                own = tick()
                if stamp is not None and stamp >= own:
                    own = around.merged(stamp, peer, ident)
                pack(buffer, at, own, now, ident, numbers[peer], len(data), kind_lane, data, END)
            except Exception:  # whatever it was: a recorder must not break what it records
                return odd(at, kind_lane, peer, ident, data, stamp)
            return own

        return write

    return Hot(writes, next_stamp, new_stamp, next_slot, onto)
