"""The loops that tell how tasks lie in each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import typed_kernel

__all__ = ["MOST_TRACKS", "NOTHING", "UNPLACED", "place", "within"]

Ints = npt.NDArray[np.int64]

MOST_TRACKS = 500
UNPLACED = -1
NOTHING = -1


@typed_kernel("const i8[], const i8[], const i8[], i8[], i8[]")
def place(begin: Ints, end: Ints, lane: Ints, outer: Ints, track: Ints) -> None:
    """Give each slice the first track of its lane on which it lies beside or within those before it.

    Parameters
    ----------
    begin, end, lane : (n,)
        By lane, then begin.
    outer : (n,)
        Scratch: the slice that each lies within.
    track : (n,)
        Out; `UNPLACED` where `MOST_TRACKS` do not suffice.
    """
    top = np.full(MOST_TRACKS, -1)  # the innermost slice of each track that is not over
    n_tracks = 0
    for k in range(begin.size):
        if k == 0 or lane[k] != lane[k - 1]:
            top[:n_tracks] = -1
            n_tracks = 0
        track[k] = UNPLACED
        for each in range(MOST_TRACKS):
            n_tracks = max(n_tracks, each + 1)
            last = top[each]
            while last >= 0 and end[last] <= begin[k]:
                last = outer[last]
            top[each] = last
            if last < 0 or end[last] >= end[k]:
                outer[k] = last
                top[each] = k
                track[k] = each
                break


@typed_kernel("const i8[], const i8[], const i8[], i8[], i8[]")
def within(lane: Ints, rank: Ints, end_rank: Ints, outer: Ints, found: Ints) -> None:
    """Tell of each record the task of its lane that began last before it and is not over.

    Parameters
    ----------
    lane, rank : (n,)
        By lane, then rank.
    end_rank : (n,)
        Of a record that begins a task: when it is over; of others `NOTHING`.
    outer : (n,)
        Scratch: the task that each lies within.
    found : (n,)
        Out; `NOTHING` where there is none. A task is not within itself.
    """
    top = NOTHING
    for k in range(rank.size):
        if k == 0 or lane[k] != lane[k - 1]:
            top = NOTHING
        while top >= 0 and end_rank[top] < rank[k]:
            top = outer[top]
        found[k] = top
        if end_rank[k] >= 0:
            outer[k] = top
            top = k
