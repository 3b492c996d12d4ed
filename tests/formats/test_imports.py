"""Traces in Chrome's JSON and ShiViz's logs as timelines: of others, and of our own there and back."""

from __future__ import annotations

import json
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hydroscope as hs
from hydroscope.ground.errors import DataError
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.formats.built import Entry, Records
from hydroscope.scope.formats.chrome import OWN
from tests.formats.timelines import every_kind, simulated

NOT_KEPT = (Kind.SAMPLE, Kind.CLOCK)
"""Are counters in a trace."""


def messages(timeline):
    """Return what was sent to whom, what of it arrived, and when."""
    events, order = timeline.events, timeline.order
    names = [node.name for node in events.nodes]
    return Counter(
        (
            names[events.node[k]],
            int(events.kind[k]),
            names[events.peer[k]],
            int(events.id[k]),
            int(order.time_ns[k]),
            int(order.time_ns[order.partner[k]]) if order.partner[k] >= 0 else None,
        )
        for k in np.flatnonzero(events.kind <= Kind.RESENT)
    )


def others(timeline):
    """Return the records that are no messages; the end of a task is put on the lane that it began on."""
    events = timeline.events
    return Counter(
        (
            events.nodes[node].name,
            kind != Kind.ENDED and (events.names[lane] or "main"),
            int(kind),
            int(ids),
            timeline.labels[k],
        )
        for k, (node, lane, kind, ids) in enumerate(zip(events.node, events.lane, events.kind, events.id, strict=True))
        if kind > Kind.RESENT and kind not in NOT_KEPT
    )


@pytest.mark.parametrize("make", [simulated, every_kind])
def test_chrome_there_and_back(make, tmp_path):
    timeline = make()
    timeline.write(tmp_path / "a.json")
    found = hs.read_timeline(tmp_path / "a.json")
    assert messages(found) == messages(timeline)
    counters = {"processor", "memory", "in flight"}
    assert Counter({key: n for key, n in others(found).items() if key[-1] not in counters}) == others(timeline)


def test_a_foreign_trace_has_nodes_tasks_and_messages(tmp_path):
    path = tmp_path / "trace.json"
    entries = [
        {"ph": "M", "pid": 7, "name": "process_name", "args": {"name": "browser"}},
        {"ph": "M", "pid": 7, "tid": 3, "name": "thread_name", "args": {"name": "main"}},
        {"ph": "X", "pid": 7, "tid": 3, "ts": 100.5, "dur": 50, "name": "paint", "args": {"layer": 3}},
        {"ph": "E", "pid": 8, "tid": "io", "ts": 190},
        {"ph": "B", "pid": 8, "tid": "io", "ts": 120, "name": "fetch"},
        {"ph": "B", "pid": 8, "tid": "io", "ts": 130, "name": "parse"},
        {"ph": "E", "pid": 8, "tid": "io", "ts": 140},
        {"ph": "b", "cat": "net", "id": "0x1", "pid": 7, "tid": 3, "ts": 101, "name": "request"},
        {"ph": "e", "cat": "net", "id": "0x1", "pid": 7, "tid": 3, "ts": 180, "name": "request"},
        {"ph": "s", "cat": "flow", "id": 1, "pid": 7, "tid": 3, "ts": 110, "name": "call"},
        {"ph": "t", "cat": "flow", "id": 1, "pid": 8, "tid": "io", "ts": 125, "name": "call"},
        {"ph": "f", "cat": "flow", "id": 1, "bp": "e", "pid": 9, "tid": 1, "ts": 170, "name": "call"},
        {"ph": "C", "pid": 7, "ts": 115, "name": "heap", "args": {"bytes": 12}},
        {"ph": "i", "pid": 7, "tid": 3, "ts": 116, "s": "t", "name": "mark"},
        {"ph": "?", "name": "unknown to all"},
    ]
    path.write_text(json.dumps({"traceEvents": entries}))
    whole = hs.read_timeline(path)
    path.write_text(json.dumps(entries)[:-1] + ",")
    cut = hs.read_timeline(path)
    for timeline in (whole, cut):
        events = timeline.events
        shown = {
            (events.nodes[node].name, Kind(kind).name, timeline.labels[k], int(at))
            for k, (node, kind, at) in enumerate(zip(events.node, events.kind, events.at_ns, strict=True))
        }
        assert shown == {
            ("browser", "STARTED", "paint", 100_500),
            ("browser", "ENDED", "paint", 150_500),
            ("browser", "STARTED", "request", 101_000),
            ("browser", "ENDED", "request", 180_000),
            ("browser", "SENT", "call", 110_000),
            ("browser", "NOTE", "heap", 115_000),
            ("browser", "NOTE", "mark", 116_000),
            ("8", "STARTED", "fetch", 120_000),
            ("8", "STARTED", "parse", 130_000),
            ("8", "ENDED", "", 140_000),
            ("8", "ENDED", "", 190_000),
            ("8", "RECEIVED", "call", 125_000),
            ("8", "SENT", "call", 125_000),
            ("9", "RECEIVED", "call", 170_000),
        }
        sent = np.flatnonzero(events.kind == Kind.SENT)
        assert (timeline.order.partner[sent] >= 0).all()
        (fetch,) = (k for k in range(len(events)) if timeline.labels[k] == "fetch")
        (end,) = np.flatnonzero((events.id == events.id[fetch]) & (events.kind == Kind.ENDED))
        assert events.at_ns[end] == 190_000
        assert "paint: layer = 3" in {timeline.text(k) for k in range(len(events))}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"traceEvents": [{"ph": "X", "ts": "soon"}]}', "entry 0 of .* has 'ts' 'soon': it is a number"),
        ('{"traceEvents": [{"ph": "X", "ts": NaN}]}', "has 'ts' 'nan'"),
        ('{"traceEvents": [17]}', "entry 0 of .* is '17', and no object"),
        ('{"traceEvents": [{"ph": "i", "ts": 1, "pid": [1]}]}', r"has 'pid' '\[1\]': no number or text"),
        ('{"traceEvents": 3}', "is JSON, but no trace"),
        ('{"a": [', "is no JSON"),
    ],
)
def test_what_is_no_trace_is_refused(text, why, tmp_path):
    path = tmp_path / "trace.json"
    path.write_text(text)
    with pytest.raises(DataError, match=why):
        hs.read_timeline(path)


def pasts(timeline, host_of=str):
    """Return for each record, by node and place in it, how many of each node's are in its past."""
    events, partner = timeline.events, timeline.order.partner
    found = {}
    for row in timeline.order.rank.argsort().tolist():
        node = int(events.node[row])
        place = row - int(events.starts[node])
        past = dict(found.get((node, place - 1), {}))
        if events.kind[row] in (Kind.RECEIVED, Kind.DROPPED) and partner[row] >= 0:
            cause = int(partner[row])
            other = int(events.node[cause])
            for each, n in found[other, cause - int(events.starts[other])].items():
                past[each] = max(past.get(each, 0), n)
        past[node] = place + 1
        found[node, place] = past
    return {
        (host_of(events.nodes[node].name), place): {host_of(events.nodes[k].name): n for k, n in past.items()}
        for (node, place), past in found.items()
    }


LOG = """exec
n0 {"n0":1}
local
n1 {"n1":1}
send to both
n0 {"n0":2}
got it
n1 {"n1":2, "n0":2}
got it by way of n1
n2 {"n2":1, "n1":2, "n0":2}
straight, and late
n2 {"n2":2, "n1":2, "n0":2}
back
n0 {"n0":3, "n2":2, "n1":2}
"""


def test_a_log_has_the_messages_that_its_clocks_show(tmp_path):
    path = tmp_path / "a.log"
    path.write_text(LOG)
    timeline = hs.read_timeline(path)
    events, partner = timeline.events, timeline.order.partner
    said = [(events.nodes[events.node[k]].name, timeline.labels[k]) for k in range(len(events))]
    arrows = {(said[partner[k]], said[k]) for k in np.flatnonzero(events.kind == Kind.RECEIVED)}
    assert arrows == {
        (("n0", "send to both"), ("n1", "got it")),
        (("n1", "got it"), ("n2", "got it by way of n1")),
        (("n2", "straight, and late"), ("n0", "back")),
    }
    assert timeline.order.impossible.size == 0
    assert {each.kind for each in timeline.findings} == set()
    path.write_text("".join(f"{b}\n{a}\n" for a, b in zip(*[iter(LOG.splitlines())] * 2, strict=True)))
    assert [timeline.labels[k] for k in range(len(timeline))] == [
        hs.read_timeline(path).labels[k] for k in range(len(timeline))
    ], "as GoVector writes it, host first"


def test_a_log_that_was_written_here_has_the_same_causes(tmp_path):
    timeline = simulated(n_records=300, truncated=0)
    timeline.write(tmp_path / "a.shiviz")
    found = hs.read_timeline(tmp_path / "a.shiviz")
    clocks, names = pasts(timeline), [node.name for node in timeline.events.nodes]
    expected = {(host, clock[host]): clock for (host, _), clock in clocks.items()}
    events = found.events
    event, seen = [], Counter()  # of each record its event: one that receives and sends is several records
    for row in range(len(events)):
        host = events.nodes[events.node[row]].name
        is_new = row == events.starts[events.node[row]] or events.at_ns[row] // 10**6 > events.at_ns[row - 1] // 10**6
        seen[host] += bool(is_new)
        event.append((host, seen[host]))
    assert seen == {name: max(n for host, n in expected if host == name) for name in names}
    for (host, place), past in pasts(found).items():
        row = place + int(events.starts[[node.name for node in events.nodes].index(host)])
        reached = {
            other: event[int(events.starts[[node.name for node in events.nodes].index(other)]) + n - 1][1]
            for other, n in past.items()
        }
        is_last = row + 1 == len(events) or event[row + 1] != event[row]
        if is_last:
            assert reached == expected[event[row]]


def test_times_that_are_too_far_away_are_refused(tmp_path):
    path = tmp_path / "a.json"
    far = {"ph": "X", "name": "a", "ts": 2**51, "dur": 2**51}
    near = {"ph": "i", "name": "b", "ts": -(2**51)}
    path.write_text(json.dumps([far, near]))
    timeline = hs.read_timeline(path)
    assert [timeline.labels[k] for k in range(3)] == ["b", "a", "a"]
    assert np.diff(timeline.events.at_ns).min() > 0
    own = {"otherData": {"writer": OWN, "base_ns": "9" * 19}, "traceEvents": [near]}
    path.write_text(json.dumps(own))
    with pytest.raises(DataError, match=r"entry 0 of '.*a.json' is \d+ ns from 1970"):
        hs.read_timeline(path)


def test_events_that_look_like_clocks_or_say_nothing_are_events(tmp_path):
    said = ["", 'state {"x": 1}', '{"n0":1}', 'n0 {"n0":7}', "", "last"]
    records = Records()
    for k, text in enumerate(said):
        records.add(Entry("n0", "", Kind.NOTE, k, text, text))
    records.timeline().write(tmp_path / "a.shiviz")
    found = hs.read_timeline(tmp_path / "a.shiviz")
    assert [found.text(k) for k in range(len(found))] == ["-", *said[1:4], "-", "last"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            'x\nn0 {"n0":2}\n',
            "a.log', line 1: event 'x' of host 'n0' has the number 2; its events count .* would be 1",
        ),
        ('\ny\nn0 {"n0":1}\nx\nn0 {"n0":2, "n1":1}\n', "line 4: .* caused by event 1 of 'n1', which is not in the log"),
        ('x\nn0 {"n1":1}\n', "does not count its own events"),
        ('x\nn0 {"n0":"one"}\n', "is no vector clock"),
        ('x\nn0 {"n0":1, "n1":1}\ny\nn1 {"n1":1, "n0":1}\n', "is its own cause"),
        ('nothing here { "a"\n', "it is no log for ShiViz"),
        ('(?<event>.*)(?<host>\\S*(?<clock>{.*})\n\nx { "\n', "an expression in its first line that is none"),
    ],
)
def test_what_shiviz_would_refuse_is_refused(text, why, tmp_path):
    path = tmp_path / "a.log"
    path.write_text(text)
    with pytest.raises(DataError, match=why):
        hs.read_timeline(path)


@given(st.sampled_from(["chrome", "shiviz"]), st.integers(0, 2**32))
def test_damaged_files_are_read_or_refused(tmp_path_factory, kind, seed):
    chance = random.Random(seed)
    path = tmp_path_factory.mktemp("damaged") / "x"
    if kind == "shiviz":
        text = LOG
    else:
        text = json.dumps(
            [{"ph": ph, "pid": 1, "tid": 2, "ts": 3.5, "dur": 1, "id": 1, "name": "n"} for ph in "XBEbestfiC"]
        )
    data = bytearray(text.encode())
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data))
        data[at : at + chance.randint(0, 3)] = bytes(
            chance.choice(b'{}[]":,0159-\n e"\xff') for _ in range(chance.randint(0, 3))
        )
    path.write_bytes(data)
    try:
        timeline = hs.read_timeline(path)
    except DataError:
        return
    finally:
        path.unlink()
    assert len(timeline.order.rank) == len(timeline)
