"""What the modules of the page work out is what Python does, or what a definition says."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from hydroscope.ground.record.layout import Kind
from hydroscope.scope.order import past
from hydroscope.scope.viewer.pack import pack

CLASSES = {
    0: (Kind.SENT, Kind.RECEIVED),
    1: (Kind.QUEUED, Kind.STARTED, Kind.ENDED),
    2: (Kind.PUT, Kind.REMOVED, Kind.SPILLED),
    3: (Kind.NOTE, Kind.SAMPLE, Kind.CLOCK),
    4: (Kind.DROPPED, Kind.RESENT, Kind.FAILED),
}
HIDDEN, FOUND = 1, 2


@pytest.fixture
def answers(player, box):
    return lambda *questions: player.answers([box], *questions)


def seconds(timeline):
    """Time of each record, as the page has it, and the names of kinds."""
    found = timeline.order
    return (found.time_ns - found.time_ns.min()).astype(float)


def futures(timeline, record):
    """What each record is reached by, told from message to message."""
    events, found = timeline.events, timeline.order
    lit = np.zeros(len(events), bool)
    lit[record] = True
    receipts = np.isin(events.kind, (Kind.RECEIVED, Kind.DROPPED))
    for i in np.argsort(found.rank):
        start = events.starts[events.node[i]]
        lit[i] |= i > start and lit[i - 1]
        lit[i] |= receipts[i] and found.partner[i] >= 0 and lit[found.partner[i]]
    return lit


def test_cones_are_those_of_the_order(timeline, answers):
    events, found = timeline.events, timeline.order
    records = [int(k) for k in np.linspace(0, len(events) - 1, 25)]
    for record, seen in zip(records, answers(*(["cone", record] for record in records)), strict=True):
        reach = past(events, found, record)
        assert (np.array(seen["past"]) - events.starts[:-1]).tolist() == reach.tolist()
        later = futures(timeline, record)
        before = np.arange(len(events)) - events.starts[events.node] < reach[events.node]
        for i, side in enumerate(seen["sides"]):
            expected = "before" if before[i] else "after" if later[i] else "concurrent"
            assert side == ("same" if i == record else expected)
        for via in seen["spine"]["past"]:
            sent = found.partner[via]
            node = events.node[sent]
            assert sent + 1 - events.starts[node] == reach[node]  # the last that can be known of its node
        for via in seen["spine"]["future"]:
            assert later[via]
            assert not later[via - 1]


def test_bins_are_what_numpy_counts(timeline, answers):
    events, at = timeline.events, seconds(timeline)
    views = [(0, 2e9, 100), (5e8, 6e8, 333), (1e9, 1e9 + 5e4, 7), (-1e9, -1e8, 10), (3e9, 4e9, 10), (0, 2e9, 1)]
    seen = answers(*(["bins", node, *view] for node in range(4) for view in views))
    for k, answer in enumerate(seen):
        node, (low, high, n) = k // len(views), views[k % len(views)]
        counted = np.array(answer["bins"]).reshape(n, 6)
        edges = low + np.arange(n + 1) * ((high - low) / n)
        for number, kinds in CLASSES.items():
            mine = at[(events.node == node) & np.isin(events.kind, kinds)]
            expected = np.diff(np.searchsorted(np.sort(mine), edges))
            assert counted[:, number].tolist() == expected.tolist()
        assert answer["most"] == counted[:, :5].sum(axis=1).max()


def test_hiding_and_finding_show_in_masks_and_bins(timeline, answers):
    events = timeline.events
    hidden = [int(Kind.SENT), int(Kind.PUT)]
    mask, bins, only = answers(
        ["mask", hidden, "node:n1", False], ["bins", 1, 0, 3e9, 1], ["mask", hidden, "node:n1", True]
    )
    is_hidden = np.isin(events.kind, hidden)
    at_n1 = events.node == 1
    assert mask == (is_hidden * HIDDEN + at_n1 * FOUND).tolist()
    assert sum(bins["bins"][:5]) == np.sum(at_n1 & ~is_hidden) == bins["bins"][5]
    assert [bool(each & HIDDEN) for each in only] == (is_hidden | ~at_n1).tolist()


def test_searches_find_what_they_say(timeline, answers):
    events, found, at = timeline.events, timeline.order, seconds(timeline)
    n = len(events)
    names = [node.name for node in events.nodes]
    label = [timeline.labels[k] for k in range(n)]
    text = [timeline.text(k) for k in range(n)]
    subject = [events.names[k] for k in events.subject]
    took = np.full(n, np.nan)
    got = np.isin(events.kind, (Kind.RECEIVED, Kind.DROPPED)) & (found.partner >= 0)
    took[got] = at[got] - at[found.partner[got]]
    kind = [Kind(int(each)).name.lower() for each in events.kind]

    def anything(k, word):
        parts = [kind[k], label[k], text[k], subject[k], names[events.node[k]]]
        if events.peer[k] >= 0:
            parts.append(names[events.peer[k]])
        return any(word in part.lower() for part in parts)

    expected = {
        "kind:sent": lambda k: kind[k] in ("sent", "resent") and "sent" in kind[k],
        "kind:/^sent$/ peer:n2": lambda k: kind[k] == "sent" and names[events.peer[k]] == "n2",
        "node:n1 -kind:received": lambda k: names[events.node[k]] == "n1" and kind[k] != "received",
        "pears": lambda k: anything(k, "pears"),
        "PING": lambda k: anything(k, "ping"),
        "key:cart": lambda k: kind[k] in ("put", "removed", "spilled") and "cart" in subject[k],
        "text:/PING [12]/": lambda k: re.search("PING [12]", text[k]) is not None,
        '"ping 3"': lambda k: anything(k, "ping 3"),
        f"id:{int(events.id[7])}": lambda k: events.id[k] == events.id[7],
        "took>1ms": lambda k: took[k] > 1e6 if got[k] else None,
        "bytes>=64 bytes<0.1kB": lambda k: 64 <= events.n_bytes[k] < 100,
        "lane:lane-1 kind:put": lambda k: events.names[events.lane[k]] == "lane-1" and kind[k] == "put",
        "ωμέγα": lambda k: anything(k, "ωμέγα"),
        "-http://x": lambda k: not anything(k, "http://x"),
        "bytes<1GB": lambda k: True,
        "http://x": lambda k: anything(k, "http://x"),
    }
    seen = answers(*(["found", query] for query in expected))
    for (query, holds), answer in zip(expected.items(), seen, strict=True):
        truth = [holds(k) for k in range(n)]
        assert sorted(k for k in answer if truth[k] is not None) == [k for k in range(n) if truth[k]], query
        assert answer == sorted(answer, key=lambda k: found.rank[k])


def test_wrong_searches_say_what_is_wrong(answers):
    empty, pattern, number, compared = answers(
        ["found", "  "], ["found", "/(/"], ["found", "bytes>many"], ["found", "kind>3"]
    )
    assert empty is None
    assert "regular expression" in pattern
    assert "“many” is not a number" in number
    assert "only bytes and took" in compared


def test_bars_of_a_row_do_not_overlap_and_all_tasks_have_one(timeline, answers):
    events, at = timeline.events, seconds(timeline)
    rows, columns = answers(["rows"], ["columns"])
    ends = [
        at[columns["ended"][i]] if columns["ended"][i] >= 0 else at[events.starts[events.node[i] + 1] - 1]
        for i in range(len(events))
    ]
    everything_ = sorted(i for lane in rows for row in lane for i in row)
    assert everything_ == np.flatnonzero(events.kind == Kind.STARTED).tolist()
    for lane in rows:
        for row in lane[:5]:  # the last row takes what does not fit elsewhere
            assert all(ends[a] <= at[b] for a, b in pairwise(row))
    lane = max(range(len(rows)), key=lambda k: len(rows[k][0]) if rows[k] else 0)
    row = rows[lane][0]
    views = [(0, 2e9, 1e6), (0, 2e9, 1e8), (4e8, 5e8, 10), (9e9, 1e10, 10)]
    for (low, high, pixel), bars in zip(views, answers(*(["bars", lane, 0, *view] for view in views)), strict=True):
        seen = {bar[2] for bar in bars}
        inside = [i for i in row if ends[i] >= low and at[i] < high]
        assert {i for i in inside if ends[i] - at[i] >= pixel} <= seen
        assert all(any(begin <= at[i] <= end for begin, end, _ in bars) for i in inside)
        assert len(bars) <= 2 * (high - low) / pixel + 2
        assert all(begin <= end for begin, end, _ in bars)


def test_arrows_are_those_under_way_or_a_stable_share_of_them(timeline, answers):
    events, found, at = timeline.events, timeline.order, seconds(timeline)
    got = np.flatnonzero(np.isin(events.kind, (Kind.RECEIVED, Kind.DROPPED)) & (found.partner >= 0))
    views = [(0, 3e9), (2e8, 3e8), (2.5e8, 3.5e8), (1e9, 1e9 + 1e6), (9e9, 1e10)]
    seen = answers(*(["arrows", low, high, budget] for low, high in views for budget in (10**6, 50)))
    for (low, high), everything_, some in zip(views, seen[::2], seen[1::2], strict=True):
        under_way = {int(i) for i in got if at[found.partner[i]] < high and at[i] >= low}
        assert set(everything_["records"]) == under_way
        assert len(everything_["records"]) == len(under_way)
        assert everything_["share"] == 1
        assert set(some["records"]) <= under_way
    one, two, slow = answers(["arrows", 0, 3e9, 300], ["arrows", 0, 1.9e9, 300], ["slow"])
    assert one["share"] == two["share"] > 1
    assert 50 < len(one["records"]) <= 300 + slow
    shared = {i for i in one["records"] if at[found.partner[i]] < 1.9e9}
    assert shared == set(two["records"])  # moving the view changes nothing within it


def test_layout_has_a_place_for_each_record_that_is_not_hidden(timeline, answers):
    events = timeline.events
    ways = [([], []), ([0, 2], []), ([0, 1, 2, 3, 4], []), ([1], [2])]
    for (closed, hidden), seen in zip(ways, answers(*(["layout", *way] for way in ways)), strict=True):
        slots = seen["slots"]
        assert all(a["y"] + a["height"] <= b["y"] for a, b in pairwise(slots))
        assert slots[-1]["y"] + slots[-1]["height"] <= seen["height"]
        assert seen["hits"] == list(range(len(slots)))
        assert seen["above"] is None
        for i, y in enumerate(seen["places"]):
            if int(events.node[i]) in hidden:
                assert y is None
                continue
            slot = next(each for each in slots if each["y"] <= y < each["y"] + each["height"])
            assert slot["node"] == events.node[i]
            assert slot["holds"]
            assert (slot["lane"] < 0) == (int(events.node[i]) in closed)


def test_walks_go_to_neighbours(timeline, answers):
    events, found, at = timeline.events, timeline.order, seconds(timeline)
    records = [int(k) for k in np.linspace(0, len(events) - 1, 12)]
    (columns,) = answers(["columns"])
    lane_of = {i: k for k, (_, _, members) in enumerate(columns["lanes"]) for i in members}
    for record, (before, after, _, below, other) in zip(records, answers(*(["walk", r] for r in records)), strict=True):
        members = columns["lanes"][lane_of[record]][2]
        place = members.index(record)
        assert before == (members[place - 1] if place else -1)
        assert after == (members[place + 1] if place + 1 < len(members) else -1)
        if below >= 0:
            assert lane_of[below] == lane_of[record] + 1
            others = columns["lanes"][lane_of[below]][2]
            assert abs(at[below] - at[record]) == min(abs(at[i] - at[record]) for i in others)
        if found.partner[record] >= 0:
            assert other == found.partner[record]


def test_states_are_what_replaying_the_changes_gives(stateful, player):
    changes = stateful.changes
    n = changes.stamp.size
    places = [0, n, 7, 200, 199, 5, n, 0]
    seen, steps = player.answers([pack(stateful)], ["states", places], ["steps"])
    started = {}
    for node, key, old in zip(changes.node, changes.key, changes.old, strict=True):
        started.setdefault((node, key), old)
    for place, answer in zip(places, seen, strict=True):
        state = dict(started)
        for k in range(place):
            state[changes.node[k], changes.key[k]] = changes.new[k]
        expected = {name: {} for name in sorted(set(changes.node))}
        for (node, key), value in state.items():
            if value is not None:
                expected[node][key] = value
        assert answer["values"] == expected
        if place:
            assert int(answer["stamp"]) == changes.stamp[place - 1]
            assert answer["found"] == np.searchsorted(changes.stamp, changes.stamp[place - 1], "right")
    ends = np.flatnonzero(np.diff(changes.stamp, append=np.uint64(0))) + 1
    assert steps["there"][:-1] == ends.tolist()
    assert steps["back"][:-1] == [0, *ends.tolist()][-2::-1]


def test_the_cut_of_a_stamp_is_before_all_later_records(stateful, player):
    events = stateful.events
    stamps = [int(events.stamp[k]) for k in (0, 500, 900)] + [0, 2**63]
    seen = player.answers([pack(stateful)], *(["cut", str(stamp)] for stamp in stamps))
    for stamp, cut in zip(stamps, seen, strict=True):
        expected = [
            int(events.starts[k] + np.sum(events.stamp[events.starts[k] : events.starts[k + 1]] <= np.uint64(stamp)))
            for k in range(len(events.nodes))
        ]
        assert cut == expected


def test_times_since_the_first_record_have_the_digits_that_a_step_needs(answers):
    steps = [(0, 1e8), (2.5e9, 5e8), (1.5e6, 1e5), (-2e3, 1e3), (119.6e9, 6e10), (7.23e12, 6e10)]
    assert answers(*(["since", ns, step] for ns, step in steps)) == [
        "0.0 s",
        "2.5 s",
        "1.5 ms",
        "−2 µs",
        "2 min",
        "120 min 30 s",
    ]


def test_scales(answers):
    words, zooms, clock, marks, hours, groups = answers(
        ["words", [0, 1, 999, 1000, 1499, 12_345, 999_960, 1e6, 2.5e9, 75e9]],
        ["zooms", 0, 1e9, [[0.5, 250, 0], [1e-9, 700, 0], [1, 700, 10], [1e12, 3, 0], [0.1, 0, -1e9], [0.1, 999, 1e9]]],
        ["clock", "1800000000123456789", 1000, 9],
        ["ticks", 1234, 7_000_000, 8],
        ["ticks", 0, 7.2e12, 8],
        ["groups", [["a", "1"], ["cart/x", "2"], ["cart/y", "3"], ["n:7", "4"]]],
    )
    assert words == ["0 ns", "1 ns", "999 ns", "1 µs", "1.5 µs", "12.3 µs", "1 ms", "1 ms", "2.5 s", "75 s"]
    assert clock.endswith(".123457789")
    assert marks["step"] == 1_000_000
    assert marks["ticks"] == [k * 1_000_000 for k in range(1, 8)]
    assert hours["step"] == 1800e9
    assert [group["path"] for group in groups] == ["", "cart/", "n:"]
    assert zooms[0]["before"] == pytest.approx(zooms[0]["after"])  # what is under the pointer stays there
    assert zooms[1]["to"] - zooms[1]["from"] == pytest.approx(50)
    for step in zooms:
        assert step["low"] - 1e-6 <= step["from"] < step["to"] <= step["high"] + 1e-6
    assert zooms[3]["from"] == zooms[3]["low"]
