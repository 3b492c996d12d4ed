"""What Python writes is what the browser reads: each column, and what is derived from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hydroscope.ground.record.layout import DATA_BYTES, SAMPLE, Kind
from hydroscope.scope.events import COLUMNS, Events
from hydroscope.scope.timeline import Timeline
from hydroscope.scope.viewer.columns import planes
from hydroscope.scope.viewer.pack import error_codes, pack


def unplaned(cut, differences):
    """The definition, in numbers of any size."""
    values = [sum(int(byte) << (8 * k) for k, byte in enumerate(column)) for column in cut.T]
    if not differences:
        return values
    sum_, out = 0, []
    for value in values:
        sum_ += -(value >> 1) - 1 if value & 1 else value >> 1
        out.append(sum_ % 2**64)
    return out


@given(arrays(np.uint64, st.integers(0, 20), elements=st.integers(0, 2**64 - 1)), st.booleans())
def test_planes_can_be_put_together(values, differences):
    assert unplaned(planes(values, differences), differences) == values.tolist()


@given(st.lists(st.floats(0, 1e17), max_size=20))
def test_errors_are_rounded_up_a_little(errors):
    codes = error_codes(np.array([*errors, np.inf]))
    read = 2 ** (codes / 256) - 1
    assert codes[-1] == 65535
    assert all(value <= got * (1 + 1e-12) + 1e-6 for value, got in zip(errors, read, strict=False))
    assert all(got <= value * 1.003 + 0.003 for value, got in zip(errors, read, strict=False))


@pytest.fixture(scope="module")
def both(timeline, box, player):
    return timeline, player.answers([box], ["columns"])[0]


def test_each_record_is_read_as_it_was(both):
    timeline, seen = both
    events, found = timeline.events, timeline.order
    assert seen["n"] == len(events)
    assert (np.array(seen["time"], np.int64) + int(seen["t0"])).tolist() == found.time_ns.tolist()
    assert seen["rank"] == found.rank.tolist()
    assert seen["partner"] == found.partner.tolist()
    for name in ("kind", "node", "peer"):
        assert seen[name] == getattr(events, name).tolist()
    assert [int(each) for each in seen["id"]] == events.id.tolist()
    assert [int(each) for each in seen["stamp"]] == events.stamp.tolist()
    assert seen["bytes"] == events.n_bytes.tolist()
    assert seen["lane"] == [events.names[k] for k in events.lane]
    assert seen["subject"] == [events.names[k] for k in events.subject]
    assert seen["label"] == [timeline.labels[k] for k in range(len(events))]
    assert seen["text"] == [timeline.text(k) for k in range(len(events))]
    sizes = np.minimum(events.n_bytes, DATA_BYTES)
    assert seen["data"] == [events.data[k].tobytes()[: sizes[k]].hex() for k in range(len(events))]
    errors = np.array([np.inf if each is None else each for each in seen["error"]])
    assert np.array_equal(np.isinf(errors), np.isinf(found.error_ns))
    known = np.isfinite(errors)
    assert np.all(errors[known] >= found.error_ns[known] * (1 - 1e-9) - 1e-6)


def test_tasks_have_their_ends(both):
    timeline, seen = both
    events = timeline.events
    last = {}
    for k in range(len(events)):
        key = int(events.node[k]), int(events.id[k])
        kind = int(events.kind[k])
        if kind in (Kind.QUEUED, Kind.STARTED, Kind.ENDED):
            before = last.get(key)
            follows = before is not None and int(events.kind[before]) + 1 == kind
            assert seen["begun"][k] == (before if follows else -1)
            if follows and kind == Kind.ENDED:
                assert seen["ended"][before] == k
            last[key] = k
        else:
            assert seen["begun"][k] == -1
    assert sum(each >= 0 for each in seen["ended"]) > 10


def test_lanes_have_all_records_once_and_in_order(both):
    timeline, seen = both
    events = timeline.events
    everything_ = sorted(i for _, _, records in seen["lanes"] for i in records)
    assert everything_ == list(range(len(events)))
    for node, name, records in seen["lanes"]:
        assert records == sorted(records)
        assert {(int(events.node[i]), events.names[events.lane[i]]) for i in records} == {(node, name)}


def test_samples_nodes_and_findings_are_there(both):
    timeline, seen = both
    events = timeline.events
    rows = np.flatnonzero(events.kind == Kind.SAMPLE)
    assert seen["samples"]["record"] == rows.tolist()
    assert seen["samples"]["memory"] == [SAMPLE.unpack_from(events.data[row])[1] for row in rows]
    assert [node["name"] for node in seen["nodes"]] == [node.name for node in events.nodes]
    assert seen["nodes"][-1]["why"] == "it did not answer within 2 s"
    assert sum(node["reference"] for node in seen["nodes"]) == 1
    for told, clock in zip(seen["nodes"], timeline.order.clocks, strict=True):
        assert told["error_ns"] == (clock.error_ns if np.isfinite(clock.error_ns) else told["error_ns"])
    assert [each["text"] for each in seen["findings"]] == [each.text for each in timeline.findings]
    assert all(tuple(a["records"]) == b.records[:200] for a, b in zip(seen["findings"], timeline.findings, strict=True))


def test_a_timeline_of_nothing_can_be_read(player):
    empty = Timeline(Events.sorted([], [""], {name: [] for name in COLUMNS}))
    seen = player.answers([pack(empty)], ["columns"], ["found", "x"], ["arrows", 0, 1e9, 10], ["layout", [], []])
    assert seen[0]["n"] == 0
    assert seen[1:3] == [[], {"records": [], "share": 1}]
    assert seen[3]["slots"] == []
