"""This state, these events, those effects."""

from __future__ import annotations

import math

import pytest

from hydroscope.ground.errors import InternalError
from hydroscope.rpc.effects import Deliver, Execute, Fail, Send, Settle
from hydroscope.rpc.link import BODY_EVERY, LARGE_BYTES, Link, Window
from hydroscope.wire.messages import Ack, AckAck, Call, Heartbeat, Nack, Probe
from tests.rpc.pair import Pair


def answered_call() -> tuple[Link, Link]:
    """Return client and server of a call whose ACKACK is still under way."""
    client, server = Link(), Link()
    number, _ = client.call("do", 0.0)
    server.receive(Call(number, "do"), 0.01)
    server.finish(number, "done", 0.02)
    client.receive(Ack(number, "done"), 0.03)
    return client, server


def test_a_call_goes_its_way():
    client, server = Link(), Link()
    assert client.call("do", 0.0) == (1, [Send(Call(1, "do"))])
    assert server.receive(Call(1, "do"), 0.01) == [Execute(1, "do")]
    assert server.finish(1, "done", 0.02) == [Send(Ack(1, "done"))]
    assert client.receive(Ack(1, "done"), 0.03) == [Deliver(1, "done"), Send(AckAck(1))]
    assert server.receive(AckAck(1), 0.04) == [Settle(1)]
    client.check(at_rest=True)
    server.check(at_rest=True)
    assert client.deadline == server.deadline == math.inf
    assert server.removed == 1


def test_what_the_peer_has_not_confirmed_is_in_flight():
    client, server = Link(), Link()
    client.call("do", 0.0, 70)
    server.receive(Call(1, "do"), 0.01)
    assert (client.in_flight_bytes, server.in_flight_bytes) == (70, 0)
    server.finish(1, "done", 0.02, 30)
    client.receive(Ack(1, "done"), 0.03)
    assert (client.in_flight_bytes, server.in_flight_bytes) == (0, 30)
    server.receive(AckAck(1), 0.04)
    assert server.in_flight_bytes == 0


def test_a_call_that_is_not_answered_is_sent_again_after_longer_and_longer():
    client = Link()
    client.call("do", 0.0)
    now, waits = 0.0, []
    for _ in range(12):
        waits.append(client.deadline - now)
        now = client.deadline
        assert client.expire(now) == [Send(Call(1, "do"), again=True)]
    assert waits == pytest.approx([0.25] + [0.5] * 3 + [0.25 * 1.5**n for n in range(2, 8)] + [5.0] * 2)


def test_a_call_that_comes_again_while_it_runs_is_told_so_and_its_client_only_asks_after_it():
    client, server = Link(), Link()
    client.call("do", 0.0)
    server.receive(Call(1, "do"), 0.0)
    assert server.receive(Call(1, "do"), 0.1) == [Send(Nack(1))]
    assert client.receive(Nack(1), 0.2) == []
    assert client.deadline == pytest.approx(2.2)
    assert client.expire(2.2) == [Send(Probe(1))]
    assert server.receive(Probe(1), 2.3) == [Send(Nack(1))]
    assert server.counters["duplicates_while_running"] == 2


def test_a_call_that_comes_again_when_done_gets_the_same_answer():
    server = Link()
    server.receive(Call(1, "do"), 0.0)
    answer = ["an answer"]
    server.finish(1, answer, 0.0)
    (again,) = server.receive(Call(1, "do"), 0.1)
    assert again.message.body is answer


def test_a_call_that_comes_again_after_it_was_settled_is_dropped_for_ever():
    _, server = answered_call()
    server.receive(AckAck(1), 0.1)
    assert server.receive(Call(1, "do"), 0.2) == []
    assert server.receive(Probe(1), 0.2) == []
    assert server.counters["duplicates_of_settled"] == 2


def test_an_answer_is_sent_again_until_its_ackack():
    _, server = answered_call()
    assert server.expire(server.deadline) == [Send(Ack(1, "done"), again=True)]
    assert server.receive(AckAck(1), 9.0) == [Settle(1)]
    assert server.receive(AckAck(1), 9.0) == []
    assert server.counters["duplicate_ackacks"] == 1


def test_an_answer_to_a_forgotten_call_still_gets_its_ackack():
    client, _ = answered_call()
    assert client.receive(Ack(1, "done"), 1.0) == [Send(AckAck(1))]
    assert client.receive(Nack(1), 1.0) == [Send(AckAck(1))]
    assert client.counters["answers_to_forgotten"] == 2


def test_answers_that_cannot_be_are_counted_and_left():
    client = Link(window=Window(calls=1))
    client.call("first", 0.0)
    client.call("queued", 0.0)
    for number in (-1, 0, 2, 3, 2**63):
        for message in (Ack(number, "?"), Nack(number)):
            assert client.receive(message, 0.1) == []
    assert client.counters["stray_answers"] == 10
    server = Link()
    server.receive(Call(1, "do"), 0.0)
    for number in (-1, 0, 1, 2, 2**63):
        assert server.receive(AckAck(number), 0.1) == []
    client.check()
    server.check()


def test_the_watermark_moves_when_the_hole_closes():
    pair = Pair()
    for _ in range(3):
        pair.call(0)
    server = pair.links[1]
    for number in (3, 2, 1):
        server.receive(Call(number, "do"), 0.0)
        server.finish(number, "done", 0.0)
    server.receive(AckAck(3), 0.1)
    server.receive(AckAck(2), 0.1)
    assert (server.removed, server.highest) == (0, 3)
    server.receive(AckAck(1), 0.1)
    assert server.removed == 3


def test_what_lies_beyond_the_table_waits_until_the_hole_closes():
    server = Link(window=Window(table=2))
    assert server.receive(Call(3, "do"), 0.0) == []
    assert server.counters["calls_beyond_window"] == 1
    server.receive(Call(1, "do"), 0.0)
    server.finish(1, "done", 0.0)
    server.receive(AckAck(1), 0.0)
    assert server.receive(Call(3, "do"), 0.0) == [Execute(3, "do")]


def test_no_further_call_is_taken_while_too_many_bytes_of_results_wait():
    server = Link(window=Window(bytes=1000))
    server.receive(Call(1, "do"), 0.0)
    server.finish(1, "done", 0.0, size_bytes=1001)
    assert server.receive(Call(2, "do"), 0.0) == []
    server.receive(AckAck(1), 0.0)
    assert server.receive(Call(2, "do"), 0.0) == [Execute(2, "do")]


def test_calls_wait_for_room_in_the_window_and_start_in_order():
    client = Link(window=Window(calls=2))
    for body in "abcd":
        client.call(body, 0.0)
    assert client.is_full
    assert client.n_waiting == 4
    assert client.receive(Ack(2, "done"), 0.1) == [Deliver(2, "done"), Send(AckAck(2)), Send(Call(3, "c"))]
    assert client.receive(Ack(1, "done"), 0.1) == [Deliver(1, "done"), Send(AckAck(1)), Send(Call(4, "d"))]
    client.receive(Ack(3, "done"), 0.1)
    assert not client.is_full


def test_an_urgent_call_does_not_wait_for_room_and_takes_none():
    client = Link(window=Window(calls=1))
    client.call("waits long", 0.0)
    client.call("in line", 0.0)
    assert client.call("urgent", 0.0, is_urgent=True) == (3, [Send(Call(3, "urgent"))])
    client.check()
    assert client.receive(Ack(3, "done"), 0.1) == [Deliver(3, "done"), Send(AckAck(3))]
    client.check()
    assert client.receive(Ack(1, "done"), 0.1)[-1] == Send(Call(2, "in line"))
    client.check()


def test_a_body_larger_than_the_window_travels_alone():
    client = Link(window=Window(bytes=100))
    assert client.call("huge", 0.0, size_bytes=1000)[1]
    assert client.call("small", 0.0, size_bytes=1)[1] == []
    effects = client.receive(Ack(1, "done"), 0.1)
    assert effects[-1] == Send(Call(2, "small"))


def test_a_large_call_is_asked_after_and_now_and_then_sent_again():
    client = Link()
    client.call("large", 0.0, size_bytes=LARGE_BYTES + 1)
    kinds = [type(client.expire(client.deadline)[0].message) for _ in range(2 * BODY_EVERY)]
    assert kinds.count(Call) == 2
    assert kinds[BODY_EVERY - 2] is Call
    assert set(kinds) == {Call, Probe}


def test_a_large_answer_is_announced_and_now_and_then_sent_again():
    server = Link()
    server.receive(Call(1, "do"), 0.0)
    server.finish(1, "large", 0.0, size_bytes=LARGE_BYTES + 1)
    kinds = [type(server.expire(server.deadline)[0].message) for _ in range(2 * BODY_EVERY)]
    assert kinds.count(Ack) == 2
    assert set(kinds) == {Ack, Nack}


def test_losing_the_peer_fails_what_was_not_answered_and_forgets_the_rest():
    link = Link(window=Window(calls=2))
    for _ in range(4):
        link.call("do", 0.0)
    link.receive(Ack(1, "done"), 0.1)
    link.receive(Nack(2), 0.1)
    link.receive(Call(1, "theirs"), 0.1)
    assert link.lose() == [Fail(2), Fail(3), Fail(4)]
    assert link.deadline == math.inf
    assert link.receive(Ack(2, "late"), 0.2) == []
    assert link.finish(1, "late", 0.2) == []
    assert link.call("after", 0.2) == (5, [Fail(5)])
    link.check(at_rest=True)


def test_the_round_trip_is_learned_from_what_was_sent_once():
    client = Link()
    client.call("do", 0.0)
    client.expire(0.25)
    client.receive(Ack(1, "done"), 0.26)
    assert client.round_trip.mean < 0
    client.call("do", 1.0)
    client.receive(Ack(2, "done"), 1.1)
    assert client.round_trip.mean == pytest.approx(0.1)


def test_a_caller_of_the_link_who_is_wrong_is_told_with_the_story():
    server = Link()
    with pytest.raises(InternalError, match="call 7: server: FINISH at ABSENT"):
        server.finish(7, "done", 0.0)
    server.receive(Call(1, "do"), 0.0)
    server.finish(1, "done", 0.0)
    with pytest.raises(InternalError, match="CALL at ABSENT; server: FINISH at RUNNING; server: FINISH at DONE"):
        server.finish(1, "done", 0.0)
    with pytest.raises(InternalError, match="Heartbeat"):
        server.receive(Heartbeat(1, True, 1, 0), 0.0)


@pytest.mark.parametrize(
    ("break_it", "what"),
    [
        (lambda link: link._settled.add(5), "I10"),
        (lambda link: setattr(link, "removed", 9), "I11"),
        (lambda link: link._theirs.clear(), "I10"),
        (lambda link: link._own.clear(), "I10"),
        (lambda link: setattr(link, "_in_flight", 9), "window"),
        (lambda link: setattr(link, "_kept_bytes", 9), "bytes"),
        (lambda link: setattr(link, "highest", 2**20), "I15"),
    ],
)
def test_the_invariants_notice_a_table_that_was_tampered_with(break_it, what):
    link = Link()
    link.call("do", 0.0)
    link.receive(Call(1, "theirs"), 0.0)
    link.check()
    break_it(link)
    with pytest.raises(InternalError, match=what):
        link.check()


def test_stale_timers_are_swept():
    client, server = Link(), Link()
    held, _ = client.call("held", 0.0)
    for turn in range(6_000):
        now = turn * 1e-6
        number, _ = client.call("do", now)
        client.receive(Ack(number, "done"), now)
        server.receive(Call(number - 1, "do"), now)
        server.finish(number - 1, "done", now)
        server.receive(AckAck(number - 1), now)
        assert client.deadline < math.inf
        assert server.deadline == math.inf
    assert held == 1
    assert len(client._timers) < 4_200
    assert len(server._timers) == 0
