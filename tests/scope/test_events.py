"""Rings that a recorder wrote become events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hydroscope.ground.record import recorder
from hydroscope.ground.record.layout import Kind
from hydroscope.ground.record.reader import read_ring
from hydroscope.scope.events import Events
from hydroscope.scope.order import order


def test_rings_of_two_nodes_become_one_table_with_each_peer_a_node(tmp_path):
    a, b = (recorder.Recorder(name, seconds=0.1, folder=tmp_path) for name in ("a", "b"))
    stamp = a.sent("b", 17, b"PREPARE 9")
    b.received("a", 17, b"PREPARE 9", stamp)
    b.lane("votes").sent("c", 18, b"PROMISE 9")
    b.put("ballot", b"9")
    b.failed(KeyError("x"))
    a.close()
    b.close()
    rings = sorted((read_ring(path) for path in tmp_path.iterdir()), key=lambda ring: ring.about.name)
    events = Events.of(rings)
    assert [node.name for node in events.nodes] == ["a", "b", "c"]
    assert [node.read for node in events.nodes] == ["ring", "ring", "nothing"]
    assert events.nodes[0].boot == events.nodes[1].boot != b""
    messages = {
        (events.nodes[events.node[k]].name, Kind(events.kind[k]), int(events.id[k])): k
        for k in range(len(events))
        if events.peer[k] >= 0
    }
    assert list(messages) == [("a", Kind.SENT, 17), ("b", Kind.RECEIVED, 17), ("b", Kind.SENT, 18)]
    sent, received, told = messages.values()
    assert events.nodes[events.peer[told]].name == "c"
    assert events.names[events.lane[told]] == "votes"
    about = {Kind(events.kind[k]): events.names[events.subject[k]] for k in range(len(events))}
    assert about[Kind.PUT] == "ballot"
    assert about[Kind.FAILED] == "KeyError"
    assert {about[kind] for kind in (Kind.SENT, Kind.RECEIVED, Kind.CLOCK)} == {""}
    assert bytes(events.data[sent]).rstrip(b"\0") == b"PREPARE 9"
    assert events.n_bytes[sent] == 9
    assert not any(events.subject[events.peer >= 0])
    found = order(events)
    assert found.partner[received] == sent
    assert found.rank[sent] < found.rank[received] < found.rank[told]


def ring_of(folder, name, pid, opened, records):
    """Return a ring of records (kind, id, peer, seconds) as if recorded then by a process of that number."""
    rec = recorder.Recorder(name, seconds=0.1, folder=folder / f"{name}-{pid}")
    write = {Kind.SENT: rec.sent, Kind.RECEIVED: rec.received}
    for kind, ident, peer, _ in records:
        write[kind](peer, ident, b"x")
    rec.close()
    ring = read_ring(rec.path)
    keep = ring.records[np.isin(ring.records["kind"], list(write))].copy()
    at = np.array([round(each[3] * 1e9) for each in records])
    keep["stamp"], keep["at_ns"] = 10**18 + at, at
    about = replace(ring.about, pid=pid, opened_wall_ns=10**18 + round(opened * 1e9), opened_at_ns=round(opened * 1e9))
    return replace(ring, records=keep, about=about)


def test_a_process_that_was_started_again_is_two_nodes_and_its_peers_reach_both(tmp_path):
    """The second life begins its ids anew, and receives what was sent to the first."""
    first = ring_of(tmp_path, "a", 1, 0.0, [(Kind.SENT, 1, "b", 1.0), (Kind.RECEIVED, 7, "b", 3.0)])
    second = ring_of(tmp_path, "a", 2, 10.0, [(Kind.RECEIVED, 8, "b", 10.5), (Kind.SENT, 1, "b", 11.0)])
    sent = [
        (Kind.RECEIVED, 1, "a", 2.0),
        (Kind.SENT, 7, "a", 2.5),
        (Kind.SENT, 8, "a", 9.0),
        (Kind.RECEIVED, 1, "a", 12.0),
    ]
    other = ring_of(tmp_path, "b", 3, 0.0, sent)
    events = Events.of([second, other, first])
    assert [node.name for node in events.nodes] == ["a (pid 1)", "a", "b"]
    partner = order(events).partner
    told = {
        (events.nodes[events.node[k]].name, Kind(events.kind[k]).name, int(events.id[k])): (
            events.nodes[events.peer[k]].name,
            events.nodes[events.node[partner[k]]].name,
        )
        for k in range(len(events))
        if events.node[k] == 2
    }
    b = "b"
    assert told[b, "SENT", 7] == ("a (pid 1)", "a (pid 1)")
    assert told[b, "SENT", 8] == ("a (pid 1)", "a")
    receipts = [k for k in range(len(events)) if events.kind[k] == Kind.RECEIVED and events.node[k] == 2]
    assert [events.nodes[events.node[partner[k]]].name for k in receipts] == ["a (pid 1)", "a"]
    assert [events.nodes[events.peer[k]].name for k in receipts] == ["a (pid 1)", "a"]


def test_a_damaged_ring_names_what_it_can(tmp_path):
    rec = recorder.Recorder("a", seconds=0.1, folder=tmp_path)
    rec.lane("here").put("key", b"1")
    rec.close()
    ring = read_ring(rec.path)
    less = replace(ring, names=ring.names[:2], damage=("3 names are damaged",))
    events = Events.of([less])
    assert {events.names[k] for k in events.subject} == {""}
    assert events.nodes[0].damage == ("3 names are damaged",)


def test_a_peer_may_be_a_lane_of_its_process_if_of_one_only(tmp_path):
    a, b = (recorder.Recorder(name, seconds=0.1, folder=tmp_path) for name in ("a", "b"))
    a.lane("member-0").sent("member-1", 17)
    b.lane("member-1").received("member-0", 17)
    for each in (a, b):
        each.lane("main").sent("main", 18)
        each.close()
    events = Events.of(sorted((read_ring(path) for path in tmp_path.iterdir()), key=lambda ring: ring.about.name))
    assert [node.name for node in events.nodes] == ["a", "b", "main"]
    ends = {(int(events.id[k]), int(events.node[k])): int(events.peer[k]) for k in np.flatnonzero(events.peer >= 0)}
    assert ends == {(17, 0): 1, (17, 1): 0, (18, 0): 2, (18, 1): 2}
