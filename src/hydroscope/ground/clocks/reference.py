"""The rule of hybrid logical clocks as it was published, two numbers and two cases: what all stamps are proved against.

Kulkarni, Demirbas, Madappa, Avva and Leone, *Logical Physical Clocks*, OPODIS 2014, figure 5. What is ours: `l` counts
units of 4.1 us, and where the counter `c` has no room for one more, `l` goes on by a unit instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from hydroscope.ground.clocks.hlc import COUNTER_BITS, UNIT_NS

__all__ = ["Logical", "happened", "physical", "received"]


@dataclass(frozen=True, slots=True, order=True)
class Logical:
    """A stamp: the highest physical time it knows of, and how many events share that; compared in this order."""

    l: int = 0  # noqa: E741 as published
    c: int = 0

    def packed(self) -> int:
        """Return the stamp as one number, which compares alike."""
        return self.l << COUNTER_BITS | self.c


def physical(wall_ns: int) -> int:
    """Return the physical time, in units, of nanoseconds since 1970."""
    return wall_ns // UNIT_NS


def happened(own: Logical, pt: int) -> Logical:
    """Return the stamp of an event of one's own, such as sending a message.

    Parameters
    ----------
    own : Logical
        The stamp of the event before.
    pt : int
        The physical time now.
    """
    time = max(own.l, pt)
    return _carried(time, own.c + 1 if time == own.l else 0)


def received(own: Logical, message: Logical, pt: int) -> Logical:
    """Return the stamp of the event that a message is received, which came with the stamp `message`."""
    time = max(own.l, message.l, pt)
    if time == own.l == message.l:
        count = max(own.c, message.c) + 1
    elif time == own.l:
        count = own.c + 1
    elif time == message.l:
        count = message.c + 1
    else:
        count = 0
    return _carried(time, count)


def _carried(time: int, count: int) -> Logical:
    return Logical(time, count) if count < 1 << COUNTER_BITS else Logical(time + 1, 0)
