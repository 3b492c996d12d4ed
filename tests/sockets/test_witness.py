"""What members record of themselves: every message, matched with its other end; and what is done to them is found."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from hydroscope.engine.sockets.witness import REFUSED_MAX, RUN, Witness, member_name
from hydroscope.ground.record.about import rings
from hydroscope.ground.record.layout import Kind
from hydroscope.ground.record.reader import Ring, read_ring
from hydroscope.ground.record.recorder import Recorder
from hydroscope.scope.bundles import unbundled
from hydroscope.scope.checking import Cases, pairs
from hydroscope.scope.events import Events
from hydroscope.scope.findings import Finding
from hydroscope.scope.own_rules import CALLS, KEYS, own_rules
from hydroscope.scope.rules import parse
from hydroscope.scope.timeline import Timeline
from hydroscope.wire.messages import Ack, AckAck, Call, Heartbeat, MemberInfo, Packet, View
from tests.sockets.conductor import Cluster

SENDS, RECEIPTS = (Kind.SENT, Kind.RESENT), (Kind.RECEIVED, Kind.DROPPED)
PIECE, ANSWER = 20, 13
N = 150


@dataclass
class Traced:
    """A timeline, and what the members counted by themselves before and after their rings were read."""

    timeline: Timeline
    names: list[str]
    before: list[dict[str, int]]
    after: list[dict[str, int]]

    def rows(self, *kinds: Kind, type_: int | None = None) -> np.ndarray[Any, Any]:
        events = self.timeline.events
        rows = np.flatnonzero(np.isin(events.kind, kinds) & (events.peer >= 0))
        if type_ is not None:
            rows = rows[[events.data[row].tobytes()[:2] == bytes((0xC1, type_)) for row in rows]]
        return rows

    def findings(self, kind: str) -> list[Finding]:
        return [each for each in self.timeline.findings if each.kind == kind]


def work(cluster: Cluster) -> None:
    """Do some of everything."""
    begun = [member.begin("stream", f"@{2 - place}/stream/", N) for place, member in enumerate(cluster.members)]
    begun += [member.begin("count", "@1/counter", N // 3, thread="count") for member in cluster.members]
    for each in begun:
        each.result()
    cluster[0].do("put_blob", "@1/blob", 1, 2_000_000)
    cluster[2].do("sha_of", "@1/blob")
    for member in cluster.members:
        member.do("get", "@0/stream/7")
    cluster[1].do("put", "@0/stream/7", "new", True)
    cluster[1].do("remove", "@0/stream/8", True)


def traced(cluster: Cluster) -> Traced:
    before = [member.look("counters") for member in cluster.members]
    found = {each.about.pid: each for each in rings() if each.is_alive}
    read = [read_ring(found[member.process.pid].path) for member in cluster.members]
    after = [member.look("counters") for member in cluster.members]
    timeline = Timeline.of(read)
    return Traced(timeline, [ring.about.name for ring in read if ring.about], before, after)


@pytest.fixture(scope="module")
def healthy() -> Iterator[Traced]:
    with Cluster(3, weather={"loss": 0.05, "double": 0.05, "late": 0.1}) as cluster:
        work(cluster)
        yield traced(cluster)


def test_every_message_is_one_record(healthy):
    """The members count what they send and receive on their own."""
    events = healthy.timeline.events
    for place, name in enumerate(healthy.names):
        node = [each.name for each in events.nodes].index(name)
        for counter, kinds in (("messages sent", SENDS), ("messages received", RECEIPTS)):
            rows = healthy.rows(*kinds)
            n = int((events.node[rows] == node).sum() - (events.node[healthy.rows(*kinds, type_=PIECE)] == node).sum())
            assert healthy.before[place][counter] <= n <= healthy.after[place][counter]


def test_each_end_is_known_to_the_other_by_the_name_of_its_process(healthy):
    assert [each.name for each in healthy.timeline.events.nodes] == healthy.names
    assert healthy.names[0].startswith("authority-")
    assert all(name.startswith("member-") for name in healthy.names[1:])


def test_what_was_received_was_sent_and_only_what_was_lost_is_missing(healthy):
    events, order = healthy.timeline.events, healthy.timeline.order
    received, sent = healthy.rows(*RECEIPTS), healthy.rows(*SENDS)
    newest = {k: events.stamp[events.starts[k + 1] - 1] for k in range(len(events.nodes))}
    known = received[[events.stamp[row] < newest[int(events.peer[row])] for row in received]]
    assert known.size > 1000
    assert (order.partner[known] >= 0).all()  # the other's ring was read that far
    assert order.impossible.size == 0
    n_unheard = int((order.partner[sent] < 0).sum())
    n_lost = sum(counts.get("lost", 0) for counts in healthy.after)  # datagrams, of some messages each
    assert n_lost > 0
    assert n_unheard < 20 * n_lost
    matched = received[order.partner[received] >= 0]
    assert (events.stamp[matched] > events.stamp[order.partner[matched]]).all()


def test_a_healthy_cluster_keeps_its_rules(healthy):
    timeline = healthy.timeline
    assert {"once answer", "call <? called", "run <? answer"} <= {str(rule) for rule in timeline.rules}
    assert timeline.order.violations == ()
    assert not healthy.findings("failure")
    labels = {timeline.labels[row] for row in healthy.rows(*SENDS)}
    assert {"call put", "call atomic", "answer written", "used", "call invalidate", "heartbeat", "piece"} <= labels


def test_what_was_put_and_what_invalidates_it_are_put_together(healthy):
    timeline = healthy.timeline
    for text in ("invalidate <? obeyed", "obeyed <? ack"):
        (rule,) = [rule for rule in timeline.rules if str(rule) == text]
        each = pairs(Cases(timeline.events), rule, timeline.order.rank)
        assert ((each.before >= 0) & (each.after >= 0)).sum() >= 2, text
    told = [rule for rule in timeline.rules if str(rule) in ("put <? invalidate", "own_put <? invalidate")]
    known = [pairs(Cases(timeline.events), rule, timeline.order.rank) for rule in told]
    assert sum(((each.before >= 0) & (each.after >= 0)).sum() for each in known) >= 2


def test_writes_are_in_the_ring_of_their_home_with_the_calls_that_did_them(healthy):
    timeline = healthy.timeline
    events = timeline.events
    writes = np.flatnonzero(events.kind == Kind.PUT)
    by_key: dict[str, list[str]] = {}
    for row in writes:
        by_key.setdefault(events.names[events.subject[row]], []).append(timeline.text(int(row)))
    assert {f"@2/stream/{i}" for i in range(N)} <= by_key.keys()
    assert len(by_key["@1/counter"]) == N // 3 * 3
    assert sum("by call" in text for text in by_key["@1/counter"]) == N // 3 * 2  # the others are the home's own
    (removed,) = np.flatnonzero(events.kind == Kind.REMOVED)
    assert events.names[events.subject[removed]] == "@0/stream/8"


def test_answers_that_are_lost_for_two_seconds_are_named():
    with Cluster(2, detect_s=20.0) as cluster:
        cluster[0].do("stream", "@1/before/", 20)
        cluster[1].do("weather", {"types": [ANSWER]})
        waits = cluster[0].begin("put", "@1/k", 1, True)
        time.sleep(2.0)  # the fault's length, which is what is looked for
        cluster[1].do("weather", {})
        waits.result()
        seen = traced(cluster)
    authority, home = seen.names
    (loss,) = [each for each in seen.findings("loss") if f"from {home} to {authority}" in each.text]
    assert "answer written" in {seen.timeline.labels[row] for row in loss.records}
    assert seen.timeline.order.violations == ()


def test_a_member_that_was_stopped_is_named():
    with Cluster(2, detect_s=20.0) as cluster:
        cluster[0].do("stream", "@1/before/", 20)
        cluster[1].signal(signal.SIGSTOP)
        waits = cluster[0].begin("put", "@1/k", 1, True)
        time.sleep(2.0)
        cluster[1].signal(signal.SIGCONT)
        waits.result()
        cluster[0].do("stream", "@1/after/", 20)
        seen = traced(cluster)
    (stopped,) = seen.findings("stopped")
    assert f"{seen.names[1]} stood still" in stopped.text
    assert not seen.findings("rule")


# --- bundles ----------------------------------------------------------------------------------------------------------


def packets_of(messages: list[Any], sender: tuple[int, int], receiver: tuple[int, int]) -> list[Packet]:
    return [Packet(7, *sender, *receiver, 1, 0, message) for message in messages]


def ring_of(messages: list[Any], hears: bool, again: Sequence[Any] = ()) -> Ring:
    """Return what a member records that says or hears these in one frame."""
    rec = Recorder("bundles", seconds=0.1)
    witness = Witness(rec, 7)
    a, b = (1, 0xAAA), (2, 0xBBB)
    packets = packets_of(messages, a, b)
    if hears:
        witness.heard(packets, {place: "of another epoch" for place, each in enumerate(messages) if each in again})
    else:
        witness.said(packets[0], messages, again)
    assert rec.path is not None
    ring = read_ring(rec.path)
    rec.close(remove=True)
    return ring


def messages_in(ring: Ring) -> list[tuple[int, bytes]]:
    records = ring.records[np.isin(ring.records["kind"], (*SENDS, *RECEIPTS))]
    return [(int(each["id"]), each["data"].tobytes()[:2]) for each in records]


@pytest.mark.parametrize(
    ("messages", "n_records"),
    [
        ([AckAck(4), AckAck(5), Call(9, b"\x94\x29a"), Call(10, b"\x94\x29b")], 1),
        ([Ack(1, b"\x94\x3d"), Ack(2, b"\x94\x3d"), Ack(3, b"\x91\x3e")], 1),
        ([AckAck(1), AckAck(3), AckAck(5), AckAck(7)], 4),
        ([AckAck(2**33), AckAck(2**33 + 1)], 2),
        ([AckAck(1), Heartbeat(1, True, 5, 4)], 2),
        ([AckAck(n) for n in range(1, 301)], 300),
    ],
)
def test_a_bundle_is_read_as_the_messages_that_it_is_of(messages, n_records):
    one_by_one = [each for message in messages for each in messages_in(ring_of([message], hears=False))]
    for hears in (False, True):
        ring = ring_of(messages, hears)
        assert len(messages_in(ring)) == n_records
        assert messages_in(unbundled(ring)) == one_by_one


@pytest.mark.parametrize("data", [b"\xc1B", b"\xc1Bplain binary", b"\xc1B" + RUN.pack(10, 1, 2, 0, 9), b"\xc1\x0a?"])
def test_bytes_of_other_programs_that_begin_like_ours_stay_as_they_are(data):
    rec = Recorder("foreign", seconds=0.1)
    rec.sent("peer", 7, data)
    rec.received("peer", 8, data + bytes(30))
    assert rec.path is not None
    ring = read_ring(rec.path)
    rec.close(remove=True)
    assert unbundled(ring) is ring
    assert own_rules(Events.of([ring])) == ()
    assert own_rules(Events.of([ring_of([AckAck(1)], hears=False)])) == parse(CALLS) + parse(KEYS)


def test_what_is_sent_again_is_told_apart_and_is_the_same_to_who_hears_it():
    messages: list[Any] = [Call(1, b"\x94\x29a"), Call(2, b"\x94\x29b")]
    said = unbundled(ring_of(messages, hears=False, again=messages[1:]))
    assert [Kind(each) for each in said.records["kind"] if each in SENDS] == list(SENDS)
    for refused in ([], messages[:1]):
        heard = unbundled(ring_of(messages, hears=True, again=refused))
        assert sum(each == Kind.DROPPED for each in heard.records["kind"]) == len(refused)
        assert ("not taken: of another epoch" in heard.names) == bool(refused)
        whole = ["id", "n_bytes", "data"]
        assert [row[whole].tolist() for row in said.records[np.isin(said.records["kind"], SENDS)]] == [
            row[whole].tolist() for row in heard.records[np.isin(heard.records["kind"], RECEIPTS)]
        ]


def test_a_flood_of_what_is_refused_does_not_write_over_the_rest():
    rec = Recorder("flooded", seconds=0.1)
    witness = Witness(rec, 7)
    for second in (1.0, 2.0):
        for _ in range(3 * REFUSED_MAX):
            witness.refused("mac")
        witness.sample(second, 0)
    assert rec.path is not None
    ring = read_ring(rec.path)
    rec.close(remove=True)
    assert np.count_nonzero(ring.records["kind"] == Kind.DROPPED) == 2 * REFUSED_MAX


def test_lives_that_do_not_belong_any_more_are_forgotten():
    rec = Recorder("members", seconds=0.1)
    witness = Witness(rec, 7)
    for life in (0xAAA, 0xCCC):
        witness.heard(packets_of([AckAck(1)], (1, life), (2, 0xBBB)), {})
    witness.entered(View(2, (MemberInfo(2, 0xBBB), MemberInfo(3, 0xCCC)), (2,)))
    rec.close(remove=True)
    assert set(witness._lines) == {0xCCC}


def test_names_of_lives_are_their_own():
    assert member_name(3, 1) != member_name(3, 2)
    assert len(member_name(60000, 2**62).encode()) < 58
    assert RUN.size * 3 + 2 <= 27
