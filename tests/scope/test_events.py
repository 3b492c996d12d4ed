"""Rings that a recorder wrote become events."""

from __future__ import annotations

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
