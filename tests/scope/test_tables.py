"""Tables of a timeline: DuckDB answers as pandas does on the frame; messages are those of a plain loop."""

from __future__ import annotations

import builtins
from dataclasses import replace

import numpy as np
import pytest

from hydroscope.ground.errors import UserError
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.events import COLUMNS, Events, Missing, Node
from hydroscope.scope.matching import RECEIPTS, SENDS
from hydroscope.scope.timeline import Timeline
from tests.scope.anything import any_events
from tests.scope.histories import Plan, simulate

PLAN = Plan(n_nodes=3, n_records=1500, loss=0.1, duplicated=0.05)


@pytest.fixture(scope="module")
def timeline():
    return Timeline(simulate(PLAN, 1).events)


def test_the_frame_has_all_records_in_the_one_order(timeline):
    frame = timeline.to_frame()
    events, found = timeline.events, timeline.order
    rows = frame.to_dict()
    assert rows["rank"] == list(range(len(events)))
    for k, record in enumerate(rows["record"]):
        assert found.rank[record] == k
        assert rows["node"][k] == events.nodes[events.node[record]].name
        assert rows["lane"][k] == events.names[events.lane[record]]
        assert rows["kind"][k] == Kind(events.kind[record]).name.lower()
        assert rows["label"][k] == timeline.labels[record]
        assert rows["text"][k] == timeline.text(record)
        assert rows["time_ns"][k] == found.time_ns[record]
        assert rows["time"][k].timestamp() * 1000 == pytest.approx(found.time_ns[record] // 10**6, abs=1e-3)
        assert rows["peer"][k] == (events.nodes[events.peer[record]].name if events.peer[record] >= 0 else None)
        assert rows["partner"][k] == (found.partner[record] if found.partner[record] >= 0 else None)
        assert rows["id"][k] == events.id[record]
    assert rows["time_ns"] == sorted(rows["time_ns"])


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("select kind, count(*) as n from events group by kind", lambda d: d.groupby("kind", observed=True).size()),
        (
            "select node, sum(n_bytes) as n from events group by node",
            lambda d: d.groupby("node", observed=True)["n_bytes"].sum(),
        ),
        (
            "select node, max(error_us) as n from events where peer = 'n0' group by node",
            lambda d: d[d["peer"] == "n0"].groupby("node", observed=True)["error_us"].max(),
        ),
        (
            "select label, count(partner) as n from events where time_ns % 2 = 0 group by label",
            lambda d: d[d["time_ns"] % 2 == 0].groupby("label", observed=True)["partner"].count(),
        ),
    ],
)
def test_questions_are_answered_as_pandas_does(timeline, query, asked):
    answer = timeline.sql(query).to_pandas()
    expected = asked(timeline.to_frame().to_pandas())
    assert dict(zip(answer.iloc[:, 0], answer["n"], strict=True)) == expected.to_dict()


def test_messages_are_those_of_a_plain_loop(timeline):
    events, found = timeline.events, timeline.order
    expected = set()
    for k in range(len(events)):
        if events.kind[k] in (Kind.SENT, Kind.RESENT) and found.partner[k] < 0:
            expected.add((k, None, None))
        if events.kind[k] == Kind.RECEIVED:
            sent = int(found.partner[k])
            known = sent >= 0
            latency = (found.time_ns[k] - found.time_ns[sent]) / 1000 if known else None
            expected.add((sent if known else None, k, latency))
    rows = timeline.sql("select * from messages").to_dict()
    assert set(zip(rows["sent"], rows["received"], rows["latency_us"], strict=True)) == expected
    assert len(rows["sent"]) == len(expected)
    for k, (sent, received) in enumerate(zip(rows["sent"], rows["received"], strict=True)):
        if sent is not None:
            assert rows["sender"][k] == events.nodes[events.node[sent]].name
            assert rows["receiver"][k] == events.nodes[events.peer[sent]].name
        if sent is not None and received is not None:
            errors = (found.error_ns[sent] + found.error_ns[received]) / 1000
            assert rows["error_us"][k] == pytest.approx(errors)


def test_the_truth_lies_within_the_error_of_a_latency():
    history = simulate(replace(PLAN, loss=0, duplicated=0, resent=False), 4)
    timeline = Timeline(history.events)
    rows = timeline.sql(
        "select sent, received, latency_us, error_us from messages where latency_us is not null"
    ).to_dict()
    true = history.true_ns[rows["received"]] - history.true_ns[rows["sent"]]
    assert np.all(np.abs(np.array(rows["latency_us"]) - true / 1000) <= np.array(rows["error_us"]) + 1)


def test_between_processes_of_one_machine_latencies_are_certain():
    events = simulate(PLAN, 5).events
    one = Timeline(replace(events, nodes=tuple(replace(node, boot=b"x" * 16) for node in events.nodes)))
    assert one.sql("select max(error_us) as e from messages").to_dict() == {"e": [0.0]}


def test_nodes_and_findings(timeline):
    missing = (Missing("n9", "it did not answer within 2 s"),)
    nodes = Timeline(timeline.events, missing=missing).sql("select * from nodes").to_dict()
    assert nodes["node"] == ["n0", "n1", "n2", "n9"]
    assert nodes["records"] == [*np.diff(timeline.events.starts).tolist(), 0]
    assert nodes["missing"] == [None, None, None, "it did not answer within 2 s"]
    assert sum(filter(None, nodes["is_reference"])) == 1
    rows = timeline.sql("select * from findings").to_dict()
    assert rows["text"] == [each.text for each in timeline.findings]
    assert rows["record"] == [each.records[0] for each in timeline.findings]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_was_recorded_becomes_tables(seed):
    timeline = Timeline(any_events(seed))
    n_nodes, n_findings = len(timeline.events.nodes), len(timeline.findings)
    for name, n in (("events", len(timeline)), ("nodes", n_nodes), ("findings", n_findings)):
        assert timeline.sql(f"select * from {name}").n_rows == n
    n_sends, n_receipts = (int(np.isin(timeline.events.kind, kinds).sum()) for kinds in (SENDS, RECEIPTS))
    assert max(n_sends, n_receipts) <= timeline.sql("select * from messages").n_rows <= n_sends + n_receipts


def test_nothing_at_all():
    empty = Timeline(Events.sorted([Node("a")], [], {name: [] for name in COLUMNS}))
    assert empty.to_frame().n_rows == 0
    for name, n in (("events", 0), ("messages", 0), ("nodes", 1), ("findings", 1)):
        assert empty.sql(f"select * from {name}").n_rows == n


def test_what_is_not_understood(timeline):
    with pytest.raises(UserError, match=r'Referenced column "nod" not found.*events\(record, node, lane'):
        timeline.sql("select nod from events")
    with pytest.raises(UserError, match="Table with name event does not exist"):
        timeline.sql("select * from event")
    with pytest.raises(UserError, match="begin with select"):
        timeline.sql("")


def test_without_duckdb_the_extra_is_named(timeline, monkeypatch):
    original = builtins.__import__

    def without(name, *rest):
        if name == "duckdb":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"hydroscope\[sql\]"):
        timeline.sql("select 1")
