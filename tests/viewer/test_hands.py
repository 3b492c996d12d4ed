"""What keys and pointers do: each test opens a page, does something at it, and asks the page what it is then."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from hydroscope.ground.record.layout import Kind
from hydroscope.scope.events import COLUMNS, Events, Missing, Node
from hydroscope.scope.timeline import Timeline
from hydroscope.scope.viewer.pack import pack
from hydroscope.scope.viewer.page import write_html
from tests.viewer.histories import changed, everything

S = 1e9
EMPTY = {name: [] for name in COLUMNS}


def times(timeline):
    found = timeline.order
    return (found.time_ns - found.time_ns.min()).astype(float)


def span(pane):
    return pane["to"] - pane["from"]


def middle(pane):
    return (pane["to"] + pane["from"]) / 2


def sent_and_received(timeline):
    """A message in the middle whose two ends are on different nodes."""
    events, found = timeline.events, timeline.order
    got = np.flatnonzero((events.kind == Kind.RECEIVED) & (found.partner >= 0))
    got = got[np.argsort(found.rank[got])]
    receipt = int(got[got.size // 2])
    return int(found.partner[receipt]), receipt


def select(page, record):
    """Click on the mark of a record, from near enough that it has no neighbours."""
    at = page.at[record]
    page.show(0, at - 3000, at + 3000)
    x, y = page.places(0)[record]
    page.press(0, x, y)
    assert page.pane()["selected"] == record


@pytest.fixture
def page(player, box, timeline):
    page = player.open(box)
    page.at = times(timeline).tolist()
    return page


@pytest.mark.parametrize(
    ("key", "factor"), [("w", 0.7), ("s", 1 / 0.7), ("+", 0.7), ("-", 1 / 0.7), ("W", 0.35), ("S", 1 / 0.35)]
)
def test_keys_zoom_around_the_middle_or_the_pointer(page, key, factor):
    page.show(0, 0.9 * S, 1.1 * S)
    before = page.pane()
    after = page.keys_pressed(key)
    assert span(after) == pytest.approx(span(before) * factor)
    assert middle(after) == pytest.approx(middle(before))
    page.show(0, 0.9 * S, 1.1 * S)
    page.hover(0, 250, 5)
    near = page.keys_pressed(key)
    assert near["from"] + span(near) / 4 == pytest.approx(0.95 * S)


@pytest.mark.parametrize(("key", "share"), [("a", -1 / 6), ("d", 1 / 6), ("A", -4 / 6), ("D", 4 / 6)])
def test_keys_move_the_view(page, key, share):
    page.show(0, 0.9 * S, 1.1 * S)
    after = page.keys_pressed(key)
    assert after["from"] == pytest.approx(0.9 * S + share * 0.2 * S)
    assert span(after) == pytest.approx(0.2 * S)


def test_all_of_it_and_back(page):
    whole = page.pane()
    page.show(0, 0.9 * S, 1.1 * S)
    assert page.keys_pressed("0")["from"] == pytest.approx(whole["low"])
    assert page.pane()["to"] == pytest.approx(whole["high"])
    assert page.keys_pressed("Backspace")["from"] == pytest.approx(0.9 * S)
    page.click("button", "All")
    assert page.pane()["from"] == pytest.approx(whole["low"])


def test_whatever_jumps_can_be_taken_back(page, timeline):
    sent, _ = sent_and_received(timeline)
    page.show(0, 0.9 * S, 1.1 * S)
    jumps = {
        "a stretch": lambda: page.drag(0, "plot", 300, 500, {"ctrlKey": True}),
        "a double click": lambda: page.double(0, 500, 3),
        "all of it": lambda: page.key("0"),
        "a finding": lambda: page.key("j"),
        "a click above": lambda: page.drag(0, "overview", 900, 900),
        "a stretch above": lambda: page.drag(0, "overview", 700, 900),
        "a match": lambda: (page.type("input.search", f"id:{int(timeline.events.id[sent])}"), page.key("Enter")),
    }
    for name, jump in jumps.items():
        page.show(0, 0.1 * S, 0.3 * S)
        jump()
        assert page.pane()["from"] != pytest.approx(0.1 * S), name
        page.focus("canvas")
        assert page.keys_pressed("Backspace")["from"] == pytest.approx(0.1 * S), name


def test_arrows_walk_and_say_where(page, timeline):
    events = timeline.events
    lane = np.flatnonzero((events.node == 1) & (events.lane == events.lane[events.starts[1]]))
    record = int(lane[lane.size // 2])
    select(page, record)
    place = int(np.flatnonzero(lane == record)[0])
    assert page.keys_pressed("ArrowRight")["selected"] == lane[place + 1]
    assert page.keys_pressed("ArrowLeft", "ArrowLeft")["selected"] == lane[place - 1]
    here = page.pane()["selected"]
    assert page.state()["live"].startswith(events.nodes[1].name)
    below = page.keys_pressed("ArrowDown")["selected"]
    assert (events.node[below], events.lane[below]) != (events.node[here], events.lane[here])
    above = page.keys_pressed("ArrowUp")["selected"]
    assert (events.node[above], events.lane[above]) == (events.node[here], events.lane[here])
    pane = page.pane()
    assert pane["from"] <= page.at[above] <= pane["to"]


def test_arrows_pass_over_what_is_hidden(page, timeline):
    events = timeline.events
    page.key("3")
    page.tick("received")
    page.key("c")
    hidden = set(page.pane()["hidden"])
    assert hidden == set(np.flatnonzero(events.kind == Kind.RECEIVED).tolist())
    visible = next(k for k in range(int(events.starts[1]) + 50, len(events)) if k not in hidden)
    page.focus("canvas")
    select(page, visible)
    for key in ["ArrowDown"] * 3 + ["ArrowUp"] * 3 + ["ArrowRight"] * 5 + ["ArrowLeft"] * 5:
        assert page.keys_pressed(key)["selected"] not in hidden


def test_with_nothing_selected_arrows_begin_in_view(page):
    page.show(0, 0.5 * S, 0.6 * S)
    first = page.keys_pressed("ArrowRight")["selected"]
    assert 0.5 * S <= page.at[first] <= 0.6 * S


def test_p_goes_to_the_other_end_and_f_shows_both(page, timeline):
    sent, receipt = sent_and_received(timeline)
    select(page, receipt)
    assert page.keys_pressed("p")["selected"] == sent
    pane = page.keys_pressed("f")
    assert pane["from"] < page.at[sent] <= page.at[receipt] < pane["to"]
    assert span(pane) < 100 * (page.at[receipt] - page.at[sent]) + 0.1 * S


def test_m_marks_and_the_next_is_measured(page, timeline):
    sent, _ = sent_and_received(timeline)
    select(page, sent)
    assert page.keys_pressed("m")["marked"] == sent
    page.key("p")
    (text,) = page.texts(".measure")
    assert "The marked record came before, and can have caused it." in text
    assert page.keys_pressed("p", "m")["marked"] == -1
    assert page.keys_pressed("m", "Escape")["marked"] == -1
    assert page.pane()["selected"] == -1
    assert not page.texts(".measure")


def test_a_click_with_shift_measures_from_the_one_before(page, timeline):
    sent, receipt = sent_and_received(timeline)
    select(page, sent)
    page.key("f")
    x, y = page.places(0)[receipt]
    page.press(0, x, y, {"shiftKey": True})
    pane = page.pane()
    assert (pane["marked"], pane["selected"]) == (sent, receipt)


def test_search_finds_walks_and_hides(page, timeline):
    events, rank = timeline.events, timeline.order.rank
    truth = np.flatnonzero(events.kind == Kind.PUT)
    truth = truth[np.argsort(rank[truth])].tolist()
    page.key("/")
    assert page.state()["focus"]["aria-label"] == "Search records"
    page.type("input.search", "kind:put")
    assert page.pane()["hits"] == truth
    assert page.texts("output.count") == [f"{len(truth)} found"]
    page.key("Enter")
    page.focus("canvas")
    assert page.pane()["selected"] == truth[0]
    assert page.keys_pressed("n", "n")["selected"] == truth[2]
    assert page.texts("output.count") == [f"3 / {len(truth)}"]
    assert page.keys_pressed("N", "N", "N")["selected"] == truth[-1]
    page.click(".only input")
    assert sorted(set(range(len(events))) - set(page.pane()["hidden"])) == sorted(truth)
    page.focus("input.search")
    page.key("Escape")
    assert page.pane()["hits"] is None
    assert page.pane()["hidden"] == []
    assert page.state()["focus"]["tag"] == "CANVAS"


def test_letters_in_a_box_are_no_commands(page):
    before = page.pane()
    page.focus("input.search")
    for key in "wsadfjket0":
        assert not page.key(key)
    assert page.pane() == before
    page.focus("canvas")
    assert not page.key("w", {"ctrlKey": True})
    assert not page.key("w", {"metaKey": True})


def test_a_wrong_search_says_so_until_it_is_right(page):
    page.type("input.search", "/(/")
    assert "is no regular expression" in page.state()["status"]
    assert "wrong" in page.told("footer")[0]["class"]
    assert "is no regular expression" in page.state()["live"]
    page.type("input.search", "/(a)/")
    assert "wrong" not in page.told("footer")[0]["class"]
    assert "in view" in page.state()["status"]


def test_findings_are_gone_through_in_their_order(page, timeline):
    shown = [k for k, each in enumerate(timeline.findings) if each.records]
    first = [timeline.findings[k].records[0] for k in shown]
    assert [page.keys_pressed("j")["selected"] for _ in range(3)] == first[:3]
    assert [page.keys_pressed("k")["selected"] for _ in range(3)] == [first[1], first[0], first[-1]]
    last = timeline.findings[shown[3]].text
    page.key("1")
    page.click(".finding .open", last)
    assert page.pane()["selected"] == first[3]
    assert page.keys_pressed("j")["selected"] == first[4]
    pane = page.pane()
    assert pane["from"] < page.at[first[4]] < pane["to"]


def test_a_finding_in_a_closed_node_is_scrolled_to(player, box):
    page = player.open(box, height=120)
    page.key("c")
    for _ in range(12):
        pane = page.keys_pressed("j")
        _, y = page.places(0)[pane["selected"]]
        assert 0 < y < 120


def test_steps_of_a_finding_go_through_its_records(page, timeline):
    many = next(each for each in timeline.findings if len(each.records) > 2)
    page.click(".finding .open", many.text)
    steps = [each for each in page.texts(".finding .steps") if each.startswith("‹1 / ")]
    assert steps
    place = [each.text for each in timeline.findings if len(each.records) > 1].index(many.text)
    assert place == 0
    page.click(".finding .steps button", "›")
    assert page.pane()["selected"] == many.records[1]
    page.click(".finding .steps button", "‹")
    assert page.pane()["selected"] == many.records[0]


def test_nodes_open_and_close(page):
    assert page.pane()["closed"] == []
    assert page.keys_pressed("c")["closed"] == [0, 1, 2, 3, 4]
    assert page.keys_pressed("e")["closed"] == []
    page.click("button.node-name", "n0")
    assert page.pane()["closed"] == [0]
    assert page.state()["focus"]["aria-expanded"] == "false"  # the name that was clicked keeps the focus
    page.click("button.node-name", "n0")
    assert page.pane()["closed"] == []


def test_light_and_dark(player, box):
    page = player.open(box, dark=True)
    assert page.keys_pressed("t")
    assert page.state()["theme"] == "light"
    page.click("button", "◐")
    assert page.state()["theme"] == "dark"
    assert {call["style"].split()[0] for call in page.drawn(0, "lanes")} <= {"dark", "hatching"}


def test_help_tells_every_key_and_nothing_else(page):
    told = {key for each in page.texts("dialog kbd") for key in each.split()}
    names = {"←": "ArrowLeft", "→": "ArrowRight", "↑": "ArrowUp", "↓": "ArrowDown", "Esc": "Escape"}
    told = {names.get(key, key) for key in told}
    handled = set(page.keys())
    assert handled <= told
    single = {key for key in told if len(key) == 1 or key in {"Backspace", "Escape"} or key.startswith("Arrow")}
    assert single - handled <= {"⇧"}


def test_help_opens_and_gives_the_focus_back(page):
    page.key("?")
    (dialog,) = page.told("dialog")
    assert dialog["open"]
    before = page.pane()
    assert not page.key("w")
    assert page.pane() == before


def test_panels_open_by_their_numbers_and_by_arrows(player, stateful):
    page = player.open(pack(stateful))
    names = ["Findings", "Event", "Show", "State"]

    def selected():
        return [each["text"].split()[0] for each in page.told(".tabs button") if each["aria-selected"] == "true"]

    for k, name in enumerate(names):
        page.key(str(k + 1))
        assert selected() == [name]
    page.focus(".tabs button", "State")
    page.key("ArrowRight")
    assert selected() == ["Findings"]
    page.key("ArrowLeft")
    page.key("ArrowLeft")
    assert selected() == ["Show"]
    assert page.state()["focus"]["text"] == "Show"
    assert [each["tabindex"] for each in page.told(".tabs button")] == ["-1", "-1", "0", "-1"]
    (panel,) = page.told(".panel")
    assert panel["aria-labelledby"] == page.state()["focus"]["id"]
    assert page.pane()["selected"] == -1


def test_arrows_scroll_a_panel_that_has_the_focus(page):
    page.focus(".panel")
    assert not page.key("ArrowDown")
    assert page.pane()["selected"] == -1


def test_the_focus_stays_in_a_panel_that_is_filled_anew(page, timeline):
    sent, receipt = sent_and_received(timeline)
    select(page, receipt)
    page.click(".event button.link", f"{timeline.events.nodes[timeline.events.node[sent]].name} sent")
    assert page.pane()["selected"] == sent
    assert page.state()["focus"]["class"] == "panel"


def test_the_wheel_zooms_around_the_pointer(page):
    before = page.pane()
    page.wheel(0, 250, -400)
    near = page.pane()
    assert span(near) == pytest.approx(span(before) * 1.0018**-400)
    assert near["from"] + span(near) / 4 == pytest.approx(before["from"] + span(before) / 4)
    page.wheel(0, 250, 400)
    assert page.pane()["from"] == pytest.approx(before["from"])
    page.wheel(0, 250, 0, {"deltaX": 100})  # that is as far to the left as there is anything
    page.show(0, 0.5 * S, 0.6 * S)
    page.wheel(0, 250, 0, {"deltaX": 100})
    assert page.pane()["from"] == pytest.approx(0.51 * S)
    page.wheel(0, 250, 70, {"shiftKey": True})
    assert page.pane()["scrolled"] == 70
    assert page.pane()["from"] == pytest.approx(0.51 * S)


def test_dragging_moves_and_with_ctrl_zooms_to_a_stretch(page):
    page.show(0, 0.5 * S, 0.6 * S)
    page.drag(0, "plot", 300, 200)
    assert page.pane()["from"] == pytest.approx(0.51 * S)
    page.drag(0, "plot", 800, 300, {"ctrlKey": True})
    pane = page.pane()
    assert (pane["from"], pane["to"]) == pytest.approx((0.54 * S, 0.59 * S))
    assert pane["selected"] == -1


def test_a_press_that_is_taken_away_selects_nothing(page, timeline):
    sent, _ = sent_and_received(timeline)
    page.show(0, page.at[sent] - 3000, page.at[sent] + 3000)
    x, y = page.places(0)[sent]
    page.press(0, x, y, {"ends": "pointercancel"})
    assert page.pane()["selected"] == -1
    page.press(0, x, y, {"button": 2})
    assert page.pane()["selected"] == -1
    page.press(0, x, y)
    assert page.pane()["selected"] == sent


def test_the_overview_moves_the_view(page):
    whole = page.pane()
    scale = (whole["high"] - whole["low"]) / whole["width"]
    page.drag(0, "overview", 200, 400)
    pane = page.pane()
    assert (pane["from"], pane["to"]) == pytest.approx((whole["low"] + 200 * scale, whole["low"] + 400 * scale))
    page.drag(0, "overview", 300, 350)  # inside: it is moved
    assert page.pane()["from"] == pytest.approx(whole["low"] + 250 * scale)
    page.drag(0, "overview", 800, 800)
    assert middle(page.pane()) == pytest.approx(whole["low"] + 800 * scale)


def test_the_tip_stays_on_the_page_and_goes_with_the_pointer(page, timeline):
    for record in (0, 500, 900):
        at = page.at[record]
        for left in (0.02, 0.98):
            page.show(0, at - left * 1e6, at + (1 - left) * 1e6)
            x, y = page.places(0)[record]
            page.hover(0, x, y)
            tip = page.pane()["tip"]
            if tip is None:  # scrolled away
                continue
            width = 6 * len(tip["text"])
            assert tip["left"] >= 0
            assert tip["left"] + min(width, 900) <= 1000 or width > 480
            assert 0 <= tip["top"] <= 600 - 60
    page.leave(0)
    assert page.pane()["tip"] is None


def test_the_tip_is_gone_when_something_else_comes_below_the_pointer(page, timeline):
    sent, _ = sent_and_received(timeline)
    page.show(0, page.at[sent] - 3000, page.at[sent] + 3000)
    x, y = page.places(0)[sent]
    page.hover(0, x, y)
    assert timeline.text(sent) in page.pane()["tip"]["text"]
    page.key("d")
    assert page.pane()["tip"] is None
    page.key("a")
    page.hover(0, x, y)
    assert page.pane()["tip"] is not None


def test_a_double_click_on_a_task_shows_all_of_it(page, timeline):
    events = timeline.events
    ends = np.flatnonzero(events.kind == Kind.ENDED)
    begins = {(int(events.node[k]), int(events.id[k])): int(k) for k in np.flatnonzero(events.kind == Kind.STARTED)}
    begin, end = next(
        (begins[key], int(k))
        for k in ends
        if (key := (int(events.node[k]), int(events.id[k]))) in begins and begins[key] == k - 1
    )
    (page.at[begin], page.at[end])
    page.show(0, page.at[begin] - 2000, page.at[end] + 2000)
    slot = next(each for each in page.slots(0) if each["y"] <= page.places(0)[begin][1] < each["y"] + each["height"])
    page.double(0, 500, slot["y"] + 24 + 5)
    pane = page.pane()
    assert pane["from"] == pytest.approx(page.at[begin] - 0.2 * (page.at[end] - page.at[begin]), abs=60)


def test_filters_hide_and_show(page, timeline):
    events = timeline.events
    page.key("3")
    page.tick("put")
    assert set(page.pane()["hidden"]) == set(np.flatnonzero(events.kind == Kind.PUT).tolist())
    page.click("button", "none")
    assert len(page.pane()["hidden"]) == len(events)
    page.click("button", "all")
    assert page.pane()["hidden"] == []
    page.tick("n0")
    assert all(y is None for (_, y), node in zip(page.places(0), events.node, strict=True) if node == 0)
    assert all(y is not None for (_, y), node in zip(page.places(0), events.node, strict=True) if node != 0)


def test_the_slider_and_the_steps_move_the_state_and_the_timeline(player, stateful):
    page = player.open(pack(stateful))
    stamps, events = stateful.changes.stamp, stateful.events
    page.key("4")

    def cut(stamp):
        return [
            int(events.starts[k] + np.sum(events.stamp[events.starts[k] : events.starts[k + 1]] <= stamp))
            for k in range(len(events.nodes))
        ]

    n = stamps.size
    (slider,) = page.told(".slide input")
    assert slider["max"] == str(n)
    page.slide(200)
    assert page.pane()["cut"] == cut(stamps[199])
    assert f"200 of {n} changes" in page.texts("output.moment")[0]
    assert page.told(".slide input")[0]["aria-valuetext"] == page.texts("output.moment")[0]
    after = int(np.searchsorted(stamps, stamps[200], "right"))
    page.key(".")
    assert page.told(".slide input")[0]["value"] == str(after)
    assert page.pane()["cut"] == cut(stamps[200])
    page.key(",")
    page.click(".slide button", "◂")
    before = int(np.searchsorted(stamps, stamps[199], "left"))
    assert page.told(".slide input")[0]["value"] == str(before)
    assert page.keys_pressed("Escape")["cut"] is None


def test_what_was_changed_is_told_and_lit(player, stateful):
    page = player.open(pack(stateful))
    changes = stateful.changes
    page.key("4")
    at = next(k for k in range(100, 300) if changes.stamp[k - 1] != changes.stamp[k] != changes.stamp[k + 1])
    page.slide(at + 1)
    old, new = (each if each is not None else "absent" for each in (changes.old[at], changes.new[at]))
    assert page.texts(".changed li") == [f"{changes.node[at]} {changes.key[at]}: {old} → {new}"]
    fresh = page.texts(".pair.fresh .key")
    assert fresh == ([] if changes.new[at] is None else [changes.key[at].split("/")[-1].split(":")[-1]])
    page.type(".state-head input.filter", "votes")
    assert {each["title"].split(" ")[0] for each in page.told(".tree .pair")} <= {"votes:7"}


def test_a_node_that_was_closed_in_the_state_stays_closed(player, stateful):
    page = player.open(pack(stateful))
    page.key("4")
    page.click(".tree summary", stateful.changes.node[0])
    page.slide(10)
    closed = [each["text"] for each in page.told(".tree details") if not each["open"]]
    assert len(closed) == 1
    assert closed[0].startswith(stateful.changes.node[0])


def test_selecting_a_record_moves_the_state_to_it(player, stateful):
    page = player.open(pack(stateful))
    page.at = times(stateful).tolist()
    page.key("4")
    page.slide(10)
    record = 700
    select(page, record)
    place = int(np.searchsorted(stateful.changes.stamp, stateful.events.stamp[record], "right"))
    assert page.told(".slide input")[0]["value"] == str(place)


@pytest.fixture(scope="module")
def two(timeline):
    """The timeline, another that went another way in its middle, and what comparing them finds."""
    rank = timeline.order.rank
    puts = np.flatnonzero(timeline.events.kind == Kind.PUT)
    row = int(puts[np.argsort(rank[puts])][puts.size // 2])
    other = Timeline(changed(timeline.events, row, kind=Kind.FAILED))
    return other, pack(other, comparison=timeline.compare(other)), row


def test_two_timelines_are_shown_at_their_divergence_and_move_together(player, box, timeline, two):
    other, other_box, row = two
    page = player.open(box, other_box)
    assert row in (page.pane(0)["divergence"], page.pane(1)["divergence"])

    def shift():
        panes = page.state()["panes"]
        assert span(panes[0]) == pytest.approx(span(panes[1]))
        return panes[0]["from"] - panes[1]["from"]

    wholes = [pane["high"] - pane["low"] for pane in page.state()["panes"]]
    assert span(page.pane()) == pytest.approx(min(wholes))
    at = [times(each)[page.pane(k)["divergence"]] for k, each in enumerate((timeline, other))]
    page.click("button.divergence")
    for k in (0, 1):
        pane = page.pane(k)
        assert pane["selected"] == pane["divergence"]
        assert pane["from"] < at[k] < pane["to"]
    assert shift() == pytest.approx(at[0] - at[1], abs=1)
    page.wheel(1, 100, -300)
    page.drag(0, "plot", 300, 200)
    assert shift() == pytest.approx(at[0] - at[1], abs=1)
    page.press(1, 400, 5)
    assert page.state()["active"] == 1


def test_a_page_that_is_dropped_is_compared(player, box, timeline, two, tmp_path):
    other, _, row = two
    page = player.open(box)
    page.type("input.search", "kind:put")
    page.drop(str(write_html(other, tmp_path / "other.html")), "other.html")
    panes = page.state()["panes"]
    assert len(panes) == 2
    assert row in (panes[0]["divergence"], panes[1]["divergence"])
    assert "other.html" in page.texts(".about")
    assert panes[1]["hits"] == [i for i in panes[0]["hits"] if i != row]  # what is searched for is searched there too
    page.press(1, 400, 5)
    page.drop(str(write_html(timeline, tmp_path / "same.html")), "same.html")
    state = page.state()
    assert len(state["panes"]) == 2
    assert state["active"] == 0  # the one that had been chosen is gone
    assert page.keys_pressed("c")["closed"]


def test_what_is_no_page_of_ours_is_refused(player, box, timeline, tmp_path):
    page = player.open(box)
    text = write_html(timeline, tmp_path / "good.html").read_text(encoding="utf-8")
    at = text.index('data-timeline="0">') + len('data-timeline="0">')
    end = text.index("<", at)
    later = base64.b64encode(base64.b64decode(text[at:end]).replace(b'"version":1', b'"version":9', 1)).decode()
    files = {
        "of version 9, and this page reads version 1": text[:at] + later + text[end:],
        "no page of a timeline": "<p>nothing</p>",
        "damaged": text[: at + 8000] + "AAAAAAAAAAAA" + text[at + 8012 :],
        "damaged ": text[:at] + text[at : at + 16] + "</script>" + text[text.index("</script>", at) + 9 :],
        "no timeline that this page can read": text[:at] + "AAAA" + text[at + 4 :],
    }
    for why, damaged in files.items():
        file = tmp_path / "bad.html"
        file.write_text(damaged, encoding="utf-8")
        page.drop(str(file), "bad.html")
        state = page.state()
        assert why.strip() in state["status"]
        assert "wrong" in page.told("footer")[0]["class"]
        assert len(state["panes"]) == 1


ARROWS = [f"Arrow{way}" for way in ("Left", "Right", "Up", "Down")]
ALL_KEYS = [*"wsad+-WSAD0fpm/nNjkec,.t1234", "Backspace", "Escape", *ARROWS]


def only(events, *rows):
    return Events.sorted(events.nodes, events.names, {name: getattr(events, name)[list(rows)] for name in COLUMNS})


@pytest.mark.parametrize("kind", ["nothing", "missing", "one"])
def test_pages_of_little_stand_every_key_and_pointer(player, timeline, kind):
    events = {
        "nothing": Events.sorted([], [""], EMPTY),
        "missing": Events.sorted([Node("a", read="nothing")], [""], EMPTY),
        "one": only(timeline.events, 500),
    }[kind]
    found = Timeline(events, missing=[Missing("b", "nobody answers there")] if kind == "missing" else [])
    page = player.open(pack(found))
    for key in ALL_KEYS:
        page.focus("canvas")
        page.key(key)
    page.hover(0, 500, 100)
    page.wheel(0, 500, -100)
    page.press(0, 500, 100)
    page.drag(0, "overview", 300, 500)
    page.type("input.search", "kind:sent")
    if kind == "one":
        page.focus("canvas")
        assert page.keys_pressed("Escape", "0", "ArrowRight")["selected"] == 0


def test_nodes_of_which_nothing_is_known_but_that_they_are_missing_have_a_line(player, timeline):
    found = Timeline(timeline.events, missing=[Missing("10.0.0.7:4411", "nobody answers there")])
    page = player.open(pack(found))
    page.key("c")
    assert any(each.startswith("10.0.0.7:4411") for each in page.texts(".node-name"))
    written = [call["given"][0] for call in page.drawn(0, "lanes") if call["name"] == "fillText"]
    assert any("nobody answers there" in each for each in written)


def test_what_was_recorded_never_becomes_markup(player):
    hostile = '</script><img src=x onerror="alert(1)">'
    base = everything()
    names = [f"{hostile}{k}" if name else name for k, name in enumerate(base.events.names)]
    nodes = [Node(f"{hostile}{k}") for k in range(len(base.events.nodes))]
    events = Events.sorted(nodes, names, {name: getattr(base.events, name) for name in COLUMNS})
    page = player.open(pack(Timeline(events), title=hostile))
    for key in ("1", "ArrowRight", "2", "3", "j"):
        page.key(key)  # the stand-in fails where text becomes markup
    assert hostile in page.texts("h1")[0]
    assert any(each.startswith(hostile) for each in page.texts(".choice .name"))
    assert page.told("img") == page.told("script") == []
