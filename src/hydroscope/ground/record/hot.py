"""Writing one record, as fast as Python can: closures over local names, no lock, no system call.

A record takes four calls, all of them of C: the next slot, the time, a length, and the packing. All that they need is
in variables of the closure: a call of a Python function, or a few attributes, cost as much as one of the four. What is
not needed for each record is left to `Around`, which is slow and plain.

**Slots** come from the iterator of one part of the ring (`writer` makes room part by part), and **stamps** from the
rule of `ground.clocks`: the time on the wall, or the newest stamp and 1. The time is read once a record, from the clock
that never goes back; how far the wall's is ahead of that is looked up every `LOOK_NS`. Both are rounded down to the
4 us that stamps tell apart; so until the clock is at `edge`, the newest stamp has reached the time, and adding 1 is all
there is to do.

No two records ever have the same slot or stamp, without a lock: CPython lets other threads and signal handlers in after
calls and at jumps back, and nowhere else; so nobody comes into the call of an iterator, nor between a look at a number
or iterator and what is put in its place, where there is no call between the two. (Without its global lock this would
not hold. The tests come in wherever CPython would.) Nothing here waits: a signal handler may record in the middle of a
record.

A stamp may be lost (taken, and not used), and so may a slot, whose old record then stays. What cannot be written in
the straight way (a name never seen, an id that is a text, a ring that was closed, a forked child) raises within, and
is done over by `odd`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from hydroscope.ground.clocks.hlc import TIME, UNIT_NS
from hydroscope.ground.record.layout import NOWHERE, RECORD, kind_and_lane

__all__ = ["LOOK_NS", "Around", "Hot", "Write", "hot_path"]

LOOK_NS = 2**23
"""How long, about 8 ms, the time on the wall is taken to go on as the clock that never goes back does. A look costs as
much as a record does, or more: with 1 ms, a fourth of what a member takes to record its calls was looks."""


class Write(Protocol):
    """Write a record; return its stamp."""

    def __call__(self, peer: object, ident: object, data: Any = b"", stamp: int | None = None, /) -> int: ...


class Around(Protocol):
    """What is seldom needed."""

    mono: Callable[[], int]
    numbers: dict[Any, int]

    def next_part(self, part: int) -> tuple[int, Iterator[int]]:
        """Return the part after this one, and its slots."""

    def look(self, at_ns: int) -> None:
        """Look at the clocks, and do what is due; called when `LOOK_NS` have passed."""

    def merged(self, stamp: int, peer: object, ident: object) -> int:
        """Return a stamp that is higher than one received; 0 if that is not to be believed."""

    def odd(self, at: int, kind_lane: int, peer: object, ident: object, data: Any, stamp: Any) -> int:
        """Write what could not be written in the straight way."""


@dataclass(frozen=True, slots=True)
class Hot:
    """The fast functions of one ring."""

    writes: Callable[[int, int], Write]
    """Return the function that writes records of a kind and lane."""
    stamp: Callable[[int], int]
    """Return a new stamp, at least so high, and go on from there."""
    slot: Callable[[], int]
    """Return where the next record goes."""
    clock: Callable[[int], None]
    """Take the wall's clock to be so many ns ahead of the one that never goes back."""
    onto: Callable[[Any], None]
    """Write into another buffer from now on; into none, if it cannot be written to."""


def hot_path(around: Around) -> Hot:
    """Return the fast functions of a ring."""
    mono, pack, numbers, odd = around.mono, RECORD.pack_into, around.numbers, around.odd
    buffer: Any = b""
    part = -1
    last = offset = edge = due = 0
    slot = itertools.repeat(NOWHERE).__next__

    def new_stamp(at_least: int) -> int:
        nonlocal last
        own = last = at_least if at_least > last else last + 1
        return own

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

    def clock(ahead_ns: int) -> None:
        nonlocal offset
        offset = ahead_ns & TIME

    def onto(new: Any) -> None:
        nonlocal buffer, slot, part, due
        buffer, part, due = new, -1, 0
        slot = (iter(()) if new else itertools.repeat(NOWHERE)).__next__

    def writes(kind: int, lane: int) -> Write:
        kind_lane = kind_and_lane(kind, lane)

        def write(peer: object, ident: object, data: Any = b"", stamp: int | None = None) -> int:
            nonlocal last, edge, due
            try:
                at = slot()  # from here on it is ours
            except StopIteration:
                at = next_slot()
            try:
                if (now := mono()) < edge:  # stamps cannot tell it from the time that one was made of
                    own = last = last + 1
                else:
                    if now >= due:
                        due = now + LOOK_NS  # first: a look records, too
                        around.look(now)
                    edge = (unit := now & TIME) + UNIT_NS
                    own = last = wall if (wall := unit + offset) > last else last + 1
                if stamp is not None and stamp >= own:
                    own = around.merged(stamp, peer, ident) or own
                pack(buffer, at, own, now, ident, len(data), numbers[peer], data, kind_lane)
            except Exception:  # whatever it was: a recorder must not break what it records
                return odd(at, kind_lane, peer, ident, data, stamp)
            return own

        return write

    return Hot(writes, new_stamp, next_slot, clock, onto)
