"""What a timeline prints: nodes, findings, records; and what it says of a cause."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from hydroscope.ground.errors import UserError
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.decoding import Decoded
from hydroscope.scope.events import COLUMNS, Events, Missing, Node
from hydroscope.scope.telling import span
from hydroscope.scope.timeline import Timeline
from tests.scope.anything import any_events
from tests.scope.histories import Plan, simulate

MISSING = (Missing("n9", "it did not answer within 2 s"),)


@pytest.fixture(scope="module")
def timeline():
    events = simulate(Plan(n_nodes=3, n_records=2000, loss=0.1), 1).events
    return Timeline(events, missing=MISSING)


def test_a_node_that_was_read_all_the_same_is_not_missing(timeline):
    odd = (*MISSING, Missing("n1", "stopped"))
    assert "; missing: n9; not well: n1\n" in str(Timeline(timeline.events, missing=odd))


def test_a_timeline_prints_its_nodes_and_what_is_wrong(timeline):
    text = str(timeline)
    assert text.startswith(f"Timeline of {len(timeline):,} records of 3 nodes, over ")
    assert "; missing: n9\n" in text
    for k, n in enumerate(np.diff(timeline.events.starts)):
        line = re.search(rf"^n{k} +{n:,} .*ring$", text, re.MULTILINE)
        assert line, text
        clock = timeline.order.clocks[k]
        assert ("is the reference" in line[0]) == (k == timeline.order.reference)
        assert k == timeline.order.reference or f"{span(clock.offset_ns)} ± {span(clock.error_ns)}" in line[0]
    assert re.search(r"^n9 +0 +- +nothing; it did not answer within 2 s$", text, re.MULTILINE)
    for each in timeline.findings[:5]:
        assert each.text in text
    assert "nothing of n9 was read: it did not answer within 2 s" in text
    assert repr(timeline) == text


def test_in_a_notebook_names_and_texts_are_escaped():
    events = any_events(3)
    nodes = (replace(events.nodes[0], name="<b>"), *events.nodes[1:])
    page = Timeline(replace(events, nodes=nodes))._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page.replace("<p><b>Timeline", "")


def test_what_decoders_raised_is_printed():
    def broken(data: bytes) -> Decoded | None:
        raise ValueError("no")

    assert "Note: the decoder broken raised " in str(Timeline(any_events(1), decoders=[broken]))


def test_records_are_listed_in_the_one_order(timeline):
    listing = timeline.table(limit=len(timeline))
    assert list(listing.records) == np.argsort(timeline.order.rank).tolist()
    times = [float(row[1]) for row in listing.rows]
    assert times == sorted(times)
    wrong = {record for each in timeline.findings for record in each.records}
    assert {record for record, row in zip(listing.records, listing.rows, strict=True) if row[0] == "!"} == wrong
    assert len(str(listing).splitlines()) == len(timeline) + 2


@pytest.mark.parametrize(
    "asked",
    [
        {"node": "n1"},
        {"node": ["n0", "n2"], "kind": "started"},
        {"kind": ["sent", "resent"], "match": "PING [35]"},
        {"match": "lane-1|n2"},
        {"match": "nothing like it"},
    ],
)
def test_records_are_chosen_as_a_plain_loop_chooses_them(timeline, asked):
    events = timeline.events
    nodes = asked.get("node", ["n0", "n1", "n2"])
    kinds = asked.get("kind", [kind.name.lower() for kind in Kind])
    expected = []
    for k in np.argsort(timeline.order.rank).tolist():
        peer = events.nodes[events.peer[k]].name if events.peer[k] >= 0 else ""
        words = (
            timeline.labels[k],
            timeline.text(k),
            events.names[events.lane[k]],
            events.names[events.subject[k]],
            peer,
        )
        if (
            events.nodes[events.node[k]].name in ([nodes] if isinstance(nodes, str) else nodes)
            and Kind(events.kind[k]).name.lower() in ([kinds] if isinstance(kinds, str) else kinds)
            and any(re.search(asked.get("match", ""), each) for each in words)
        ):
            expected.append(k)
    listing = timeline.table(**asked, limit=10**6)
    assert list(listing.records) == expected
    assert listing.head.startswith(f"{len(expected):,} of {len(expected):,} records that fit, of {len(timeline):,}")


def test_records_around_something(timeline):
    finding = timeline.findings[0]
    listing = timeline.table(around=finding, limit=11)
    assert listing.records[5] == finding.records[0]
    middle = int(np.argsort(timeline.order.rank)[len(timeline) // 2])
    assert timeline.table(around=middle, limit=3).records[1] == middle
    times = timeline.order.time_ns
    near = timeline.table(around=2.5, limit=1).records[0]
    assert abs(times[near] - times.min() - 2.5e9) == np.min(np.abs(times - times.min() - 2.5e9))
    last = timeline.table(around=1e9, limit=4).records
    assert list(last) == np.argsort(timeline.order.rank)[-4:].tolist()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"node": "n7"}, "no node 'n7' in this timeline; it has 'n0'"),
        ({"kind": "send"}, "no kind of record 'send' in hydroscope; did you mean 'sent'"),
        ({"match": "("}, "is no regular expression: missing"),
        ({"around": 10**9}, "records are numbered from 0 to"),
        ({"around": "noon"}, "give a finding, the number of a record"),
        ({"around": float("nan")}, "give a finding, the number of a record"),
        ({"limit": -1}, "limit=-1: how many records are to be listed"),
    ],
)
def test_what_cannot_be_listed(timeline, asked, said):
    with pytest.raises(UserError, match=said):
        timeline.table(**asked)


def test_what_cannot_be_asked(timeline):
    empty = Timeline(Events.sorted([Node("a")], [], {name: [] for name in COLUMNS}))
    for ask, said in (
        (lambda: timeline.explain(len(timeline)), f"what={len(timeline)}: records are numbered from 0 to"),
        (lambda: timeline.explain("it"), "what='it': records are numbered"),
        (lambda: empty.explain(0), "what=0: there are no records"),
        (lambda: empty.table(around=0), "around=0: there are no records"),
        (lambda: timeline.compare("it"), "is compared with another one, not with 'it'"),
        (lambda: timeline.sql(7), "a question in SQL is a text, not 7"),
        (lambda: Timeline(timeline.events, rules=["sent(t) < put(t)"]), "rules are one text, with a rule a line"),
        (lambda: Timeline(timeline.events, rules=7), "rules are one text, with a rule a line"),
    ):
        with pytest.raises(UserError, match=said):
            ask()


@pytest.mark.parametrize("seed", range(4))
def test_whatever_was_recorded_is_printed(seed):
    timeline = Timeline(any_events(seed), rules="started(t) < ended(t)")
    assert str(timeline)
    assert str(timeline.table(limit=1000))
    for each in (None, *timeline.findings, *range(0, len(timeline), 50)):
        assert timeline.explain(each)


def test_nothing_at_all():
    empty = Timeline(Events.sorted([Node("a")], [], {name: [] for name in COLUMNS}))
    assert "0 records of 0 nodes" in str(empty)
    assert str(empty.table()).startswith("0 records")
    assert empty.explain() == "Nothing went wrong in what was recorded."
    assert "It shows in no record.\nNext: " in empty.explain(empty.findings[0])
    assert "<table>" in empty._repr_html_()


def test_a_record_is_explained_by_its_past_and_called_by_its_label(timeline):
    events, found = timeline.events, timeline.order
    record = int(np.argsort(found.rank)[len(timeline) // 2])
    while not (events.kind[record] == Kind.RECEIVED and found.partner[record] >= 0):
        record += 1
    text = timeline.explain(record)
    peer, own = events.nodes[events.peer[record]].name, events.nodes[events.node[record]].name
    assert text.startswith(f"{own} received PING #{events.id[record]} from {peer} (")
    past, todo = set(), [record]
    while todo:
        each = todo.pop()
        if each not in past:
            past.add(each)
            todo += [each - 1] if each > events.starts[events.node[each]] else []
            todo += (
                [int(found.partner[each])] if events.kind[each] == Kind.RECEIVED and found.partner[each] >= 0 else []
            )
    assert f"{len(past) - 1:,} of {len(events):,} records can have caused it" in text
    n_pings = sum(timeline.labels[each] == "PING" for each in past) - 1
    assert f"They are {n_pings:,} PING, {len(past) - 1 - n_pings:,} task." in text


def test_records_are_told_by_what_they_are_about():
    events = any_events(2, n=600)
    timeline = Timeline(events)
    told = [row[5] for row in timeline.table(limit=10**6).rows]
    assert any(re.fullmatch(r"put name-\d", each) for each in told)
    assert any(re.fullmatch(r"put #\d+", each) for each in told)
    assert any(re.fullmatch(r"sent GET /items/# #\d+ to n\d", each) for each in told)
    assert any(re.fullmatch(r"received #\d+ from n\d", each) for each in told)
    assert any(each.startswith("noted ") for each in told)
    assert "looked at its clocks" in told


def test_a_browser_is_asked_to_show_the_page(timeline, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("webbrowser.open", shown.append)
    path = timeline.open()
    assert shown == [path.as_uri()]
    assert path.parent == tmp_path
    assert "<html" in path.read_text()
