"""How tasks lie in each other, against what is meant."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hydroscope.scope.formats.kernels import MOST_TRACKS, NOTHING, UNPLACED, place, within

spans = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 12)), max_size=40)


def slices(rows):
    rows = sorted(rows, key=lambda row: row[:2])
    return [np.array(each, np.int64) for each in zip(*rows, strict=True)] if rows else [np.zeros(0, np.int64)] * 3


def nests(inner, outer):
    """Return whether a slice that begins later is over before another begins, or lies within it."""
    return outer[1] <= inner[0] or inner[1] <= outer[1]


@given(spans)
def test_slices_of_a_track_nest_and_the_first_track_that_will_do_is_taken(rows):
    lane, begin, length = slices(rows)
    end, track = begin + length, np.empty(lane.size, np.int64)
    place(begin, end, lane, np.empty(lane.size, np.int64), track)
    on = {}
    for k in range(lane.size):
        for each in range(MOST_TRACKS):
            before = on.setdefault((lane[k], each), [])
            if all(nests((begin[k], end[k]), other) for other in before):
                assert track[k] == each
                before.append((begin[k], end[k]))
                break


def test_more_overlap_than_tracks_is_told():
    n = MOST_TRACKS + 3
    begin = np.arange(n)
    track = np.empty(n, np.int64)
    place(begin, begin + n, np.zeros(n, np.int64), np.empty(n, np.int64), track)
    assert track.tolist() == [*range(MOST_TRACKS), *[UNPLACED] * 3]


@given(spans)
def test_a_record_is_within_the_task_of_its_lane_that_began_last_and_is_not_over(rows):
    lane, begin, length = slices([row for row in rows if row[2] != 1])
    rank = np.arange(lane.size)
    end_rank = np.where(length > 0, rank + length, NOTHING)
    found = np.empty(lane.size, np.int64)
    within(lane, rank, end_rank, np.empty(lane.size, np.int64), found)
    for k in range(lane.size):
        open_ = [j for j in range(k) if lane[j] == lane[k] and end_rank[j] >= rank[k]]
        assert found[k] == (open_[-1] if open_ else NOTHING)
    assert begin.size == lane.size
