"""What is drawn: what the page's canvases were asked for, compared with what was recorded."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from hydroscope.ground.record.layout import Kind
from hydroscope.scope.events import Events, Missing
from hydroscope.scope.order import past
from hydroscope.scope.timeline import Timeline
from hydroscope.scope.viewer.pack import pack
from tests.scope.histories import Plan, simulate
from tests.viewer.histories import changed
from tests.viewer.test_hands import EMPTY, S, select, sent_and_received, times
from tests.viewer.test_modules import futures

CLASSES = {"message", "task", "state", "note", "trouble"}
NEAR_TIME = 20e6
"""Around the middle: few enough records to be drawn one by one."""


@pytest.fixture
def page(player, box, timeline):
    page = player.open(box, height=1500)
    page.at = times(timeline).tolist()
    return page


def paths(calls, name):
    """What was stroked or filled, as (style, path)."""
    return [(call["style"], call["given"][0]) for call in calls if call["name"] == name]


def rings(calls, name, radius):
    """Where circles of a radius were drawn."""
    found = [path[0] for _, path in paths(calls, name) if len(path) == 1 and path[0][0] == "arc"]
    return sorted((round(x, 6), round(y, 6)) for _, x, y, r, *_ in found if r == radius)


def rectangles(calls, style=None, alpha=None):
    return [
        call["given"]
        for call in calls
        if call["name"] == "fillRect"
        and (style is None or call["style"] == style)
        and (alpha is None or call["alpha"] == alpha)
    ]


def words(calls):
    return [call["given"][0] for call in calls if call["name"] == "fillText"]


def segments(calls):
    """Ends of all straight lines that were stroked."""
    found = set()
    for _, path in paths(calls, "stroke"):
        for (how, *start), (what, *end) in pairwise(path):
            if (how, what) == ("moveTo", "lineTo"):
                found.add(tuple(round(value, 4) for value in (*start[:2], *end[:2])))
    return found


def in_view(page, timeline, *kinds):
    """Places of the records of some kinds that are on the page, or a little beside it, and not hidden."""
    hidden = set(page.pane()["hidden"])
    return sorted(
        (round(x, 6), round(y, 6))
        for i, (x, y) in enumerate(page.places(0))
        if timeline.events.kind[i] in kinds and y is not None and -8 <= x < 1008 and i not in hidden
    )


def test_records_are_drawn_where_they_are_by_the_shape_of_their_kind(page, timeline):
    page.show(0, S - NEAR_TIME, S + NEAR_TIME)
    calls = page.drawn(0, "lanes")
    sent, received = in_view(page, timeline, Kind.SENT), in_view(page, timeline, Kind.RECEIVED)
    assert min(len(sent), len(received)) > 2
    assert rings(calls, "fill", 4) == sent
    assert rings(calls, "stroke", 3.5) == received
    assert rings(calls, "stroke", 5.5) == in_view(page, timeline, Kind.RESENT)
    page.show(0, 0, 2 * S)
    puts = in_view(page, timeline, Kind.PUT, Kind.SPILLED)
    squares = [each for each in rectangles(page.drawn(0, "lanes"), "state") if each[2:] == [7, 7]]
    assert len(puts) > 5
    assert sorted((round(x + 3.5, 6), round(y + 3.5, 6)) for x, y, *_ in squares) == puts


def test_what_is_hidden_is_not_drawn(page, timeline):
    page.show(0, S - NEAR_TIME, S + NEAR_TIME)
    page.key("3")
    page.tick("sent")
    calls = page.drawn(0, "lanes")
    assert rings(calls, "fill", 4) == []
    assert rings(calls, "stroke", 3.5) == in_view(page, timeline, Kind.RECEIVED) != []
    page.tick("n1")
    y = {y for _, y in rings(page.drawn(0, "lanes"), "stroke", 3.5)}
    slots = page.slots(0)
    assert all(slot["node"] != 1 for slot in slots)
    assert all(any(slot["y"] < each < slot["y"] + slot["height"] for slot in slots) for each in y)


def test_tasks_are_marks_where_there_is_no_room_for_bars(page, timeline):
    started = int(np.flatnonzero(timeline.events.kind == Kind.STARTED)[5])
    page.key("c")
    page.show(0, page.at[started] - 1000, page.at[started] + 1000)
    x, y = page.places(0)[started]
    assert [x - 0.75, y - 4, 1.5, 8] in rectangles(page.drawn(0, "lanes"))


def test_tasks_are_bars_from_their_beginning_to_their_end(page, timeline):
    events = timeline.events
    begun = {(int(events.node[k]), int(events.id[k])): k for k in np.flatnonzero(events.kind == Kind.STARTED)}
    pairs = [
        (begun[key], k)
        for k in np.flatnonzero(events.kind == Kind.ENDED)
        if (key := (int(events.node[k]), int(events.id[k]))) in begun and begun[key] < k
    ]
    whole = page.pane()
    scale = 1000 / (whole["high"] - whole["low"])
    bars = {(round(x, 3), round(width, 3)) for x, _, width, height in rectangles(page.drawn(0, "lanes"), alpha=0.8)
            if height == 13}  # fmt: skip
    wide = [(a, b) for a, b in pairs if (page.at[b] - page.at[a]) * scale > 2]
    assert len(wide) > 5
    for a, b in wide:
        left = round((page.at[a] - whole["low"]) * scale, 3)
        assert (left, round((page.at[b] - page.at[a]) * scale, 3)) in bars


def test_messages_are_arrows_from_end_to_end(page, timeline):
    page.show(0, S - NEAR_TIME, S + NEAR_TIME)
    places, partner = page.places(0), timeline.order.partner
    pane = page.pane()
    got = [
        i
        for i in np.flatnonzero(np.isin(timeline.events.kind, (Kind.RECEIVED, Kind.DROPPED)) & (partner >= 0))
        if page.at[i] >= pane["from"] and page.at[partner[i]] < pane["to"]
    ]
    drawn = segments(page.drawn(0, "lanes"))
    near = [i for i in got if all(-3000 < places[k][0] < 3000 for k in (i, partner[i]))]
    near = [i for i in near if places[i][1] != places[partner[i]][1]]
    assert len(near) > 5
    for i in near:
        assert tuple(round(value, 4) for value in (*places[partner[i]], *places[i])) in drawn


def test_what_never_arrived_is_a_broken_arrow(page, timeline):
    events, partner = timeline.events, timeline.order.partner
    lost = np.flatnonzero((events.kind == Kind.SENT) & (partner < 0) & (events.peer >= 0))
    record = int(lost[lost.size // 2])
    page.show(0, page.at[record] - NEAR_TIME / 9, page.at[record] + NEAR_TIME / 9)
    x, _ = page.places(0)[record]
    broken = [call["given"][0] for call in page.drawn(0, "lanes") if call["name"] == "stroke" and call["dash"]]
    assert any(path[0][1] == pytest.approx(x) and path[1][1] == pytest.approx(x + 7) for path in broken)


def test_too_many_records_are_heights_by_class(player, box, timeline):
    page = player.open(box, width=300, height=1500)
    page.key("c")
    calls = page.drawn(0, "lanes")
    assert rings(calls, "fill", 4) == []
    slots, at = page.slots(0), times(timeline)
    whole = page.pane()
    for slot in slots[:4]:
        own = timeline.events.node == slot["node"]
        heights = [
            (call["style"], *call["given"])
            for call in calls
            if call["name"] == "fillRect"
            and call["style"] in CLASSES
            and slot["y"] <= call["given"][1] < slot["y"] + slot["height"]
            and call["given"][2] % 2 == 0
        ]
        bins = np.floor((at - whole["from"]) / (whole["to"] - whole["from"]) * 150).astype(int)
        covered = {b for _, x, _, width, _ in heights for b in range(int(x) // 2, int(x + width) // 2)}
        assert covered == set(bins[own].tolist())
        trouble = own & np.isin(timeline.events.kind, (Kind.DROPPED, Kind.RESENT, Kind.FAILED))
        red = {b for style, x, _, width, _ in heights if style == "trouble"
               for b in range(int(x) // 2, int(x + width) // 2)}  # fmt: skip
        assert red == set(bins[trouble].tolist())
        whole_heights = {  # a message is the lowest, and what is upon it begins where it ends
            b: (y, y + height) for style, x, y, width, height in heights if style == "message"
            for b in range(int(x) // 2, int(x + width) // 2)
        }  # fmt: skip
        for style, x, y, width, height in heights:
            for b in range(int(x) // 2, int(x + width) // 2):
                if style == "task" and b in whole_heights:
                    assert y + height <= whole_heights[b][0] + 1
                    assert y < whole_heights[b][0]
    assert len(calls) < 5 * 150 * len(slots)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_light_is_on_the_past_and_on_the_future(page, timeline, share):
    events, at = timeline.events, times(timeline)
    record = int(np.argsort(timeline.order.rank)[int(share * len(events))])
    select(page, record)
    page.key("0")
    calls = page.drawn(0, "lanes")
    lit = futures(timeline, record)
    reach = past(events, timeline.order, record)
    slots = page.slots(0)
    whole = page.pane()
    place = (at - whole["from"]) / (whole["to"] - whole["from"]) * 1000
    for slot, below in pairwise(slots):
        first, stop = (int(events.starts[slot["node"] + k]) for k in (0, 1))
        height = below["y"] - slot["y"]  # to the next line: nothing is left in the light between nodes
        future = [i for i in range(first, stop) if lit[i]]
        orange = [each for each in rectangles(calls, "future", 0.1) if each[1] == slot["y"]]
        assert len(orange) == bool(future and place[future[0]] < 1000)
        if orange:
            edge = 0 if slot["node"] == events.node[record] else 4
            assert orange[0][0] == pytest.approx(max(place[future[0]] - edge, 0))
            assert orange[0][0] + orange[0][2] == pytest.approx(1000)
            assert orange[0][3] == height
        blue = [each for each in rectangles(calls, "past", 0.1) if each[1] == slot["y"]]
        assert len(blue) == bool(reach[slot["node"]])
        if blue:
            edge = 0 if slot["node"] == events.node[record] else 4
            assert blue[0][0] == 0
            assert blue[0][2] == pytest.approx(place[first + reach[slot["node"]] - 1] + edge)


def test_without_a_selection_there_is_no_light(page):
    assert not {call["style"] for call in page.drawn(0, "lanes")} & {"past", "future"}


def test_matches_and_records_of_findings_have_rings(page, timeline):
    page.show(0, S - NEAR_TIME, S + NEAR_TIME)
    guilty = {i for finding in timeline.findings for i in finding.records[:200]}
    page.type("input.search", "kind:received")
    calls = page.drawn(0, "lanes")
    assert rings(calls, "stroke", 7.5) == in_view(page, timeline, Kind.RECEIVED)
    seen = in_view(page, timeline, *Kind)
    expected = [(round(x, 6), round(y, 6)) for i, (x, y) in enumerate(page.places(0)) if i in guilty]
    assert rings(calls, "stroke", 7) == sorted(place for place in expected if place in seen) != []


def test_labels_are_written_where_there_is_room(page, timeline):
    record, _ = sent_and_received(timeline)
    page.show(0, page.at[record] - 30000, page.at[record] + 30000)
    x, y = page.places(0)[record]
    texts = {
        call["given"][0]
        for call in page.drawn(0, "lanes")
        if call["name"] == "fillText" and call["given"][1:] == [pytest.approx(x + 9), pytest.approx(y)]
    }
    assert texts == {timeline.text(record)}


def test_lines_say_what_is_missing_and_how_sure_times_are(page):
    assert "no records: it did not answer within 2 s" in words(page.drawn(0, "lanes"))
    page.show(0, S - 1e5, S + 1e5)
    assert any("wider than this view" in each for each in words(page.drawn(0, "lanes")))
    assert "hatching" in {call["style"] for call in page.drawn(0, "lanes")}


def test_why_a_node_ended_is_not_written_over_its_last_label(player, timeline):
    ended = Timeline(timeline.events, missing=[Missing(node.name, "it was killed") for node in timeline.events.nodes])
    page = player.open(pack(ended), height=1500)
    page.key("c")
    last = times(timeline)[timeline.events.starts[1:5] - 1]
    for end in last:
        page.show(0, end - NEAR_TIME, end + NEAR_TIME)
        written = [call["given"] for call in page.drawn(0, "lanes") if call["name"] == "fillText"]
        whys = [(x, y) for text, x, y, *_ in written if text == "it was killed"]
        assert whys
        for x, y in whys:
            beside = [text for text, left, height, *_ in written if height == y and left + 6 * len(text) > x]
            assert beside == ["it was killed"]


def test_a_clock_that_jumped_is_told_where_it_did(player):
    timeline = Timeline(simulate(Plan(n_nodes=4, n_records=3000, jump=(1, 4, 2), offset_s=0.1), 2).events)
    assert any(clock.jumps for clock in timeline.order.clocks)
    page = player.open(pack(timeline), height=1500)
    assert any(each.startswith("clock jumped −2 s") for each in words(page.drawn(0, "lanes")))


def test_the_cut_goes_between_what_had_happened_and_what_had_not(player, stateful):
    page = player.open(pack(stateful), height=1500)
    page.key("4")
    page.slide(200)
    page.key("0")
    cut = page.pane()["cut"]
    at, events, whole = times(stateful), stateful.events, page.pane()
    ((_, path),) = [each for each in paths(page.drawn(0, "over"), "stroke") if each[0] == "state"]
    place = (at - whole["from"]) / (whole["to"] - whole["from"]) * 1000
    lines = {y: x for _, x, y in path}
    for slot in page.slots(0):
        first, stop = (int(events.starts[slot["node"] + k]) for k in (0, 1))
        if first == stop:
            continue
        x = lines[slot["y"]]
        assert cut[slot["node"]] == first or place[cut[slot["node"]] - 1] <= x + 1e-6
        assert cut[slot["node"]] == stop or x <= place[cut[slot["node"]]] + 1e-6


def test_selecting_draws_its_own_arrow_and_measuring_a_line(page, timeline):
    sent, receipt = sent_and_received(timeline)
    select(page, sent)
    page.key("f")
    (x1, y1), (x2, y2) = (page.places(0)[i] for i in (sent, receipt))
    own = [path for style, path in paths(page.drawn(0, "over"), "stroke") if style == "select" and len(path) == 2]
    assert own[0][0] == ["moveTo", pytest.approx(x1), pytest.approx(y1)]
    assert own[0][1] == ["lineTo", pytest.approx(x2), pytest.approx(y2)]
    assert words(page.drawn(0, "over")) == []
    page.keys_pressed("m", "p")
    (text,) = words(page.drawn(0, "over"))
    assert text.endswith(" ms")
    assert float(text.split()[0]) == pytest.approx((page.at[receipt] - page.at[sent]) / 1e6, rel=0.01)


def test_the_divergence_is_marked_at_the_same_place_in_both(player, box, timeline):
    row = int(np.flatnonzero(timeline.events.kind == Kind.PUT)[3])
    other = Timeline(changed(timeline.events, row, kind=Kind.FAILED))
    page = player.open(box, pack(other, comparison=timeline.compare(other)))
    places = [[call["given"][1] for call in page.drawn(k, "over") if call["name"] == "fillText"] for k in (0, 1)]
    assert [words(page.drawn(k, "over")) for k in (0, 1)] == [["first divergence"]] * 2
    assert places[0] == pytest.approx(places[1], abs=0.01)


def test_the_ruler_counts_from_the_first_record_and_follows_the_pointer(page):
    page.show(0, 0.5 * S, 1.5 * S)
    ruler = page.drawn(0, "ruler")
    assert words(ruler) == ["0.6 s", "0.8 s", "1.0 s", "1.2 s", "1.4 s"]
    assert next(call["given"][1] for call in ruler if call["name"] == "fillText") == 104
    page.hover(0, 500, 5)
    assert words(page.drawn(0, "ruler"))[-1] == "1.000 s"
    page.leave(0)
    assert words(page.drawn(0, "ruler"))[-1] == "1.4 s"


def test_the_overview_frames_what_is_in_view_and_points_at_findings(page, timeline):
    whole = page.pane()
    page.show(0, 0.5 * S, 1 * S)
    (frame,) = [call["given"] for call in page.drawn(0, "overview") if call["name"] == "strokeRect"]
    scale = 1000 / (whole["high"] - whole["low"])
    assert frame[0] - 0.5 == pytest.approx((0.5 * S - whole["low"]) * scale)
    assert frame[2] + 1 == pytest.approx(0.5 * S * scale)
    assert [call["name"] for call in page.drawn(0, "overview")].count("fillRect") == 2


def test_a_timeline_of_nothing_draws_no_times(player):
    page = player.open(pack(Timeline(Events.sorted([], [""], EMPTY))))
    assert words(page.drawn(0, "ruler")) == words(page.drawn(0, "lanes")) == []
    assert page.texts("div.moment") == [""]
    assert page.texts(".panel .good") == ["Nothing was recorded."]
    assert page.state()["status"] == "0 of 0 records"
