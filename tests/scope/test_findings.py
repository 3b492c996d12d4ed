"""What can go wrong is put into a clean history and found, with its nodes; a clean history has no findings."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hydroscope.ground.record.layout import Kind
from hydroscope.scope.decoding import label
from hydroscope.scope.events import COLUMNS, Events, Missing, Node
from hydroscope.scope.explaining import explain
from hydroscope.scope.findings import KINDS, findings
from hydroscope.scope.order import order
from hydroscope.scope.rules import parse
from tests.scope.histories import Plan, S, simulate, take

CLEAN = Plan(n_nodes=4, n_records=8000)


def look(events, rules=""):
    found = order(events, parse(rules))
    return found, findings(events, found)


def kinds(every):
    return sorted({each.kind for each in every})


def changed(events, rows, **values):
    """Return the events with other values in some rows."""
    columns = {name: getattr(events, name).copy() for name in COLUMNS}
    for name, value in values.items():
        columns[name][rows] = value
    return Events.sorted(events.nodes, events.names, columns)


def added(events, row, **values):
    """Return the events with a copy of a row behind it, with other values."""
    columns = {name: np.insert(getattr(events, name), row + 1, getattr(events, name)[row]) for name in COLUMNS}
    columns["stamp"] = np.arange(len(events) + 1)
    for name, value in values.items():
        columns[name][row + 1] = value
    return Events.sorted(events.nodes, events.names, columns)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("truncated", [0.0, 0.5])
def test_a_clean_history_has_no_findings(seed, truncated):
    events = simulate(replace(CLEAN, truncated=truncated), seed).events
    found, every = look(events, "started(t) < ended(t)\nstarted(t) ~> ended(t)")
    assert every == ()
    assert explain(events, found, every) == "Nothing went wrong in what was recorded."


def test_losses_are_counted_by_pair():
    history = simulate(replace(CLEAN, n_nodes=2, loss=0.1, resent=False), 1)
    _, every = look(history.events)
    assert kinds(every) == ["loss"]
    got = np.zeros(len(history.events), np.bool_)
    got[history.copy[history.copy >= 0]] = True
    sends = np.flatnonzero(history.events.kind == Kind.SENT)
    for each in every:
        node = history.events.node[each.records[0]]
        lost = sends[~got[sends] & (history.events.node[sends] == node)]
        assert f"from n{node} to n{1 - node} never arrived" in each.text
        assert 0.98 * lost.size <= each.count <= lost.size  # the last ones may be on their way
        assert set(each.records) <= set(lost.tolist())


def test_what_a_dead_node_did_not_record_is_not_called_lost():
    history = simulate(CLEAN, 2)
    dead = take(history, ~((history.events.node == 2) & (history.true_ns > 5 * S)))
    _, every = look(dead.events)
    assert every == ()
    gone = take(history, history.events.node != 2)
    _, every = look(gone.events)
    assert kinds(every) == ["no records"]
    assert "n2" in every[0].text


def test_duplicates():
    history = simulate(replace(CLEAN, duplicated=0.01), 3)
    _, every = look(history.events)
    assert kinds(every) == ["duplicate"]
    receipts = history.copy[history.copy >= 0]
    assert sum(each.count for each in every) == receipts.size - np.unique(receipts).size


def test_a_message_that_nobody_sent():
    history = simulate(CLEAN, 4)
    row = int(np.flatnonzero((history.copy >= 0) & (history.true_ns > 5 * S))[0])
    events = changed(history.events, row, id=10**9)
    _, every = look(events)
    assert "never sent" in kinds(every)
    assert every[0].records == (row,)
    sender, receiver = events.nodes[events.peer[row]].name, events.nodes[events.node[row]].name
    assert every[0].text == f"1 message that {receiver} received from {sender} was never sent by it"


def test_a_storm_of_resends():
    events = simulate(CLEAN, 5).events
    row = int(np.flatnonzero((events.kind == Kind.SENT) & (events.node == 1))[500])
    for k in range(30):
        events = added(events, row + k, kind=Kind.RESENT)
    _, every = look(events)
    storms = [each for each in every if each.kind == "storm"]
    assert len(storms) == 1
    assert "n1 sent 30 times again" in storms[0].text


def test_a_rule_that_is_violated():
    events = simulate(CLEAN, 6).events
    row = int(np.flatnonzero(events.kind == Kind.STARTED)[100])
    end = int(np.flatnonzero((events.kind == Kind.ENDED) & (events.id == events.id[row]))[0])
    events = changed(events, [row, end], kind=[Kind.ENDED, Kind.STARTED])
    found, every = look(events, "started(t) < ended(t)")
    assert every[0].kind == "rule"
    assert every[0].records == (row, end)
    assert "started < ended was violated" in every[0].text
    assert explain(events, found, every).startswith("First: started < ended was violated")


def test_calls_that_are_never_answered_and_tasks_that_never_end():
    history = simulate(CLEAN, 7)
    events = history.events
    ends = np.flatnonzero((events.kind == Kind.ENDED) & (history.true_ns < 5 * S))[[3, 30]]
    keep = np.ones(len(events), np.bool_)
    keep[ends] = False
    left = take(history, keep).events
    _, every = look(left, "started(t) ~> ended(t)")
    assert kinds(every) == ["unanswered", "unfinished"]
    assert every[0].count == 2
    assert set(left.id[list(every[0].records)]) == set(events.id[ends])
    assert sum(each.count for each in every[1:]) == 2


def test_a_node_that_stood_still():
    """All that came within two seconds was seen only at their end (a stopped process whose buffers filled)."""
    history = simulate(CLEAN, 8)
    events, late = history.events, (history.events.node == 1) & (abs(history.true_ns - 5 * S) < S)
    waited = late & (events.kind == Kind.RECEIVED)
    history = take(history, ~late | waited)
    waited = waited[~late | waited]
    at = history.events.at_ns.copy()
    at[waited] = at[waited].max() + np.arange(waited.sum()) * 1000
    _, every = look(changed(history.events, slice(None), at_ns=at))
    stopped = [each for each in every if each.kind == "stopped"]
    assert len(stopped) == 1
    assert stopped[0].text.startswith("n1 stood still for ")


def without_the_end_of_n2(seconds=10.0):
    """A history without what n2 did after five seconds."""
    history = simulate(replace(CLEAN, seconds=seconds), 14)
    return take(history, (history.events.node != 2) | (history.true_ns < 5 * S)).events


def test_a_node_that_others_went_on_sending_to_when_it_had_ended():
    events = without_the_end_of_n2()
    nodes = list(events.nodes)
    nodes[2] = replace(nodes[2], closed_at_ns=1)
    found, every = look(replace(events, nodes=tuple(nodes)))
    assert kinds(every) == ["stopped"]
    assert every[0].text.startswith("n2 recorded nothing later than ")
    last, *late = every[0].records
    assert last == events.starts[3] - 1
    assert {int(events.peer[each]) for each in late} == {2}
    assert all(found.time_ns[each] > found.time_ns[last] for each in late)
    assert "n0, n1 and n3 sent to it after that never arrived" in every[0].text
    assert "n2 recorded nothing" in explain(events, found, every)


@pytest.mark.parametrize(
    ("seconds", "why", "told"),
    [
        (10.0, None, []),
        (10.0, "ended: process 17 is gone; its recording was read from disk", ["not well", "stopped"]),
        (20.0, None, ["stopped"]),
    ],
)
def test_a_node_of_which_nobody_knows_whether_it_ended_may_have_been_read_before_the_others(seconds, why, told):
    events = without_the_end_of_n2(seconds)
    missing = () if why is None else (Missing("n2", why),)
    assert kinds(findings(events, order(events, ()), missing=missing)) == told


def test_a_machine_that_was_suspended():
    _, every = look(simulate(replace(CLEAN, jump=(2, 4.0, 3.0)), 9).events)
    jumps = [each for each in every if each.kind == "clock jump"]
    assert len(jumps) == 1
    assert "n2" in jumps[0].text
    assert "behind" in jumps[0].text


def test_a_wall_clock_that_was_set():
    events = simulate(CLEAN, 10).events
    for row, wall in ((100, 0), (300, 0), (600, -2 * S), (900, -2 * S)):
        at = int(events.at_ns[row])
        events = added(events, row, kind=Kind.CLOCK, id=at + 100 * S + wall, peer=-1, n_bytes=0)
    _, every = look(events)
    assert [each.kind for each in every] == ["clock jump"]
    assert every[0].text == "the wall clock of n0 was set back by 2 s"


def test_errors_that_were_recorded():
    events = simulate(CLEAN, 11).events
    said = np.array([b"ValueError: no"], "S27").view("V27")[0]
    _, every = look(added(events, 100, kind=Kind.FAILED, peer=-1, data=said))
    assert [each.kind for each in every] == ["failure"]
    assert "ValueError: no" in every[0].text


def test_torn_records_and_unconnected_clocks():
    history = simulate(replace(CLEAN, pairs=((0, 1), (1, 0), (2, 1))), 12)
    nodes = (replace(history.events.nodes[0], n_torn=5), *history.events.nodes[1:])
    _, every = look(replace(history.events, nodes=nodes))
    assert [each.kind for each in every] == ["torn", "clocks unknown", "clocks unknown"]
    texts = " ".join(each.text for each in every)
    assert "5 records of n0" in texts
    assert "the clock of n2 is taken as its wall says it; messages say only: at " in texts
    assert "the clock of n3 is taken as its wall says it; no messages connect it" in texts


def test_the_worst_comes_first_and_what_was_first_is_explained_with_its_past():
    history = simulate(replace(CLEAN, loss=0.05, duplicated=0.02), 13)
    events = history.events
    said = np.array([b"out of memory"], "S27").view("V27")[0]
    row = int(np.flatnonzero((events.node == 3) & (history.true_ns > 3 * S))[0])
    events = added(events, row, kind=Kind.FAILED, peer=-1, data=said)
    found, every = look(events)
    places = [KINDS.index(each.kind) for each in every]
    assert places == sorted(places)
    assert every[0].kind == "failure"
    text = explain(events, found, [every[0]])
    assert "out of memory" in text
    assert "records can have caused it, of n3, n0, n1 and n2" in text
    assert text.count("Last heard before it: n3 received") == 3


def test_what_was_thrown_away_on_arrival():
    events = simulate(CLEAN, 14).events
    rows = np.flatnonzero((events.kind == Kind.RECEIVED) & (events.node == 2) & (events.peer == 0))[50:53]
    _, every = look(changed(events, rows, kind=Kind.DROPPED))
    assert [(each.kind, each.text, set(each.records)) for each in every] == [
        ("dropped", "n2 threw away 3 messages from n0", set(rows.tolist()))
    ]


def test_nodes_that_are_missing_and_rings_that_are_damaged_are_named():
    events = simulate(CLEAN, 15).events
    nodes = (*events.nodes[:3], replace(events.nodes[3], damage=("2 names are damaged",)), Node("n4", read="nothing"))
    columns = {name: getattr(events, name) for name in COLUMNS}
    events = Events.sorted(nodes, events.names, columns)
    missing = [Missing("n4", "it was killed"), Missing("n5", "no answer"), Missing("n1", "its second ring is away")]
    every = findings(events, order(events), missing=missing)
    assert [(each.kind, each.text) for each in every] == [
        ("not well", "n1: its second ring is away"),
        ("torn", "the ring of n3 is damaged: 2 names are damaged"),
        ("no records", "nothing of n4 was read: it was killed"),
        ("no records", "nothing of n5 was read: no answer"),
    ]


def test_findings_call_records_by_their_labels():
    events = simulate(CLEAN, 6).events
    row = int(np.flatnonzero(events.kind == Kind.SENT)[100])
    said = np.array([b"job-7: no"], "S27").view("V27")[0]
    events = added(events, row, kind=Kind.FAILED, peer=-1, data=said, n_bytes=9)
    found = order(events, parse("failed(t) < started(t)\nsent(t) < failed(t)"))
    texts = [each.text for each in findings(events, found, label(events))]
    assert "1 error at n0: job-7: no" in texts
    assert f"n0 sent PING #{events.id[row]} to" in explain(events, found, (), label(events), row)
    assert f"n0 sent #{events.id[row]} to" in explain(events, found, (), None, row)


def test_a_node_that_is_not_well_shows_in_what_it_did_last():
    events = simulate(CLEAN, 15).events
    found = order(events)
    every = findings(events, found, missing=[Missing("n1", "stopped: process 101 is in state T")])
    assert [(each.kind, each.records) for each in every] == [("not well", (int(events.starts[2]) - 1,))]
    text = explain(events, found, every)
    assert text.startswith("First: n1: stopped: process 101 is in state T\nIt shows at n1 ")
    assert text.splitlines()[-1] == f"Next: {every[0].next_step}."


def test_what_is_endured_is_explained_only_if_nothing_else_went_wrong():
    events = simulate(replace(CLEAN, duplicated=0.02), 13).events
    found = order(events)
    every = findings(events, found)
    first = min(every, key=lambda each: found.rank[each.records[0]])
    assert explain(events, found, every).startswith(f"First: {first.text}")
    later = findings(events, found, missing=[Missing("n1", "stopped")])
    assert explain(events, found, later).startswith("First: n1: stopped")


def test_each_kind_is_in_the_docs_in_its_order_with_what_to_do():
    page = (Path(__file__).parents[2] / "docs" / "timeline.md").read_text()
    rows = re.findall(r"^\| ([a-z ]+) \| .* \| (.*) \|$", page, re.MULTILINE)
    told = [kind for kind, _ in rows if kind in KINDS]
    assert told == list(KINDS)


def test_a_node_that_had_nothing_to_record_is_no_finding():
    events = simulate(CLEAN, 15).events
    more = (*events.nodes, Node("idle"))
    idle = replace(events, nodes=more, starts=np.append(events.starts, events.starts[-1]))
    assert look(idle)[1] == ()


def test_the_end_of_what_was_recorded_is_not_called_unanswered():
    """n1 ended before the others, so that nobody knows whether what it had begun last was followed by anything."""
    history = simulate(CLEAN, 7)
    begun = (history.events.kind == Kind.STARTED) & (history.events.node == 1) & (history.true_ns > 5 * S)
    ended = (history.events.node != 1) | (history.true_ns <= history.true_ns[np.flatnonzero(begun)[0]])
    _, every = look(take(history, ended).events, "started(t) ~> ended(t)")
    assert "unanswered" not in kinds(every)


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("ahead_s", [-30, 0, 30])
def test_clocks_that_nothing_bounds_make_no_losses(late, ahead_s):
    """n1 only receives, and one of the two rings begins late: what it may have forgotten is not lost."""
    history = simulate(Plan(n_nodes=2, n_records=4000, pairs=((0, 1),), offset_s=0.0, drift_ppm=0.0), 3)
    history = take(history, (history.events.node != late) | (history.true_ns > 5 * S))
    nodes = (history.events.nodes[0], shifted(history.events.nodes[1], ahead_s * S))
    _, every = look(replace(history.events, nodes=nodes))
    assert kinds(every) == ["clocks unknown"]


def shifted(node, by_ns):
    return replace(node, opened_wall_ns=node.opened_wall_ns + by_ns)


def test_no_records_at_all():
    empty = Events.sorted([Node("a")], [], {name: [] for name in COLUMNS})
    _, every = look(empty)
    assert [each.kind for each in every] == ["no records"]
