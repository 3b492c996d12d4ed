"""Messages that travel together: fewer datagrams than messages, and none that stays behind."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from hydroscope.engine.sockets import connect, serve
from hydroscope.engine.sockets.datagrams import UdpSocket
from hydroscope.engine.sockets.outbox import DATAGRAM_BYTES, DATAGRAM_MAX_BYTES, HOLD_S, Outbox
from hydroscope.engine.sockets.start import Parts
from hydroscope.engine.sockets.waiting import Waiter
from hydroscope.ground.clocks.system import SystemClock
from hydroscope.ground.errors import InternalError
from hydroscope.node.ports import NodeLost
from hydroscope.wire.frame import Framing, Refusal
from hydroscope.wire.messages import Ack, AckAck, Call, Message, Packet
from tests.sockets.conductor import until

WITHIN_S = 30.0


class StoppableClock(SystemClock):
    """A clock that can be stopped, so that time alone sends nothing."""

    __slots__ = ("stopped_at",)

    def __init__(self) -> None:
        self.stopped_at: float | None = None

    def seconds(self) -> float:
        stopped_at = self.stopped_at
        return super().seconds() if stopped_at is None else stopped_at


class Recorded(UdpSocket):
    """Datagrams that are noted when they are sent; what comes is thrown away while it `is_deaf`."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1")
        self.sent: list[bytes] = []
        self.is_deaf = False

    def send(self, data: bytes, host: str, port: int) -> None:
        self.sent.append(data)
        super().send(data, host, port)

    def receive(self) -> bytes | None:
        data = super().receive()
        while self.is_deaf and data is not None:
            data = super().receive()
        return data


class Scene:
    """Two members; what each sends is recorded."""

    def __init__(self) -> None:
        self.wires = Recorded(), Recorded()
        parts = [Parts("127.0.0.1"), Parts("127.0.0.1")]
        self.clock = parts[1].clock = StoppableClock()
        for part, wire in zip(parts, self.wires, strict=True):
            part.datagrams.close()
            part.datagrams = wire
        self.home = serve(members=2, parts=parts[0])
        self.putter = connect(self.home.address, self.home.secret, parts=parts[1])
        self._framing = Framing(self.home.address.cluster, self.home.secret)
        self.putter.put("@0/ready", True, wait=True)

    def said(self, wire: Recorded, kind: type[Message] = Call) -> list[int]:
        """Return how many messages of the kind each frame had that has any."""
        counts = []
        for frame in list(wire.sent):
            packets = self._framing.unpack(frame)
            assert not isinstance(packets, Refusal)
            counts.append(sum(type(packet.message) is kind for packet in packets))
        return [n for n in counts if n]

    def put_unheard(self, n: int) -> None:
        """Put 0, 1, ... while time stands and no answer is heard; only the first leaves: nothing is on the way yet."""
        self.clock.stopped_at = stopped_at = self.clock.seconds()
        until(lambda: self.putter.socket.member.deadline > stopped_at, WITHIN_S)  # no heartbeat in between
        self.wires[1].is_deaf = True
        self.wires[1].sent.clear()
        for i in range(n):
            self.putter.put(f"@0/{i}", i)

    def go_on(self) -> None:
        """Hear again, and let time pass."""
        self.wires[1].is_deaf = False
        self.clock.stopped_at = None

    def has(self, n: int) -> Callable[[], bool]:
        """Return what tells whether the home has them all."""
        return lambda: all(self.home.get(f"@0/{i}") == i for i in range(n))

    def close(self) -> None:
        self.clock.stopped_at = None
        self.putter.shutdown()
        self.home.shutdown()


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


# --- a stream of puts -------------------------------------------------------------------------------------------------


def test_a_stream_of_puts_takes_fewer_datagrams_than_messages(scene):
    for i in range(2000):
        scene.putter.put(f"@0/{i}", i)
    scene.putter.fence()
    assert scene.has(2000)()
    for keys in (scene.putter, scene.home):
        counters = keys.socket.counters
        assert counters["messages sent"] >= 2000
        assert counters["datagrams sent"] < counters["messages sent"] / 2
        assert counters["datagrams received"] < counters["messages received"] / 2
    assert (
        sum(scene.said(scene.wires[1]))
        == scene.putter.socket.member.links[0].counters["calls"]
        + (scene.putter.socket.member.links[0].counters["calls_resent"])
    )
    assert max(map(len, [*scene.wires[0].sent, *scene.wires[1].sent])) <= DATAGRAM_BYTES


def test_what_rests_leaves_when_its_time_is_over_though_nothing_else_happens(scene):
    scene.put_unheard(5)
    assert scene.clock.stopped_at is not None
    socket = scene.putter.socket
    assert socket._sleeps_until <= socket._outbox.deadline == scene.clock.stopped_at + HOLD_S
    assert scene.said(scene.wires[1]) == [1]
    scene.clock.stopped_at += HOLD_S
    until(scene.has(5), WITHIN_S)
    assert scene.said(scene.wires[1]) == [1, 4]


def test_a_lone_put_leaves_at_once(scene):
    scene.put_unheard(1)
    assert scene.said(scene.wires[1]) == [1]


def test_puts_rest_while_one_is_on_the_way_until_an_answer_comes(scene):
    scene.put_unheard(6)
    assert scene.said(scene.wires[1]) == [1]
    scene.wires[1].is_deaf = False  # the home repeats its answer
    until(scene.has(6), WITHIN_S)
    assert scene.said(scene.wires[1]) == [1, 5]


def test_a_full_frame_leaves(scene):
    scene.put_unheard(0)
    for i in range(4):
        scene.putter.put(f"@0/{i}", bytes(600))
    assert scene.said(scene.wires[1]) == [1, 2]
    assert max(map(len, scene.wires[1].sent)) <= DATAGRAM_BYTES


@pytest.mark.parametrize("kind", ["a caller that waits", "another turn"])
def test_nothing_rests_beside(scene, kind):
    scene.put_unheard(6)
    if kind == "another turn":
        scene.putter.socket.tell(lambda now: [])
    else:
        waiter = Waiter()
        threading.Thread(target=scene.putter.socket.call, args=(waiter, lambda now: [], WITHIN_S)).start()
        until(lambda: len(scene.said(scene.wires[1])) > 1, WITHIN_S)
        waiter.end(NodeLost("enough"))
    assert scene.said(scene.wires[1]) == [1, 5]


def test_nothing_rests_while_another_thread_waits(scene):
    scene.putter.socket._waiters.add(Waiter())
    scene.put_unheard(3)
    assert scene.said(scene.wires[1]) == [1, 1, 1]
    scene.putter.socket._waiters.clear()


def test_who_is_closed_sends_what_rests(scene):
    scene.put_unheard(6)
    scene.putter.shutdown()
    assert scene.said(scene.wires[1]) == [1, 5]


def test_a_broken_member_sends_nothing_more(scene):
    scene.put_unheard(6)
    scene.wires[1].sent.clear()
    with pytest.raises(ZeroDivisionError):
        scene.putter.socket.tell(lambda now: [1 // 0])
    scene.putter.shutdown()
    assert scene.wires[1].sent == []
    with pytest.raises(InternalError, match="stopped"):
        scene.putter.put("@0/x", 1)


def test_what_rests_at_a_fork_is_sent_by_the_parent_only(scene):
    scene.put_unheard(6)
    child = os.fork()
    if child == 0:
        try:
            scene.putter.put("@0/child", 1)
        except InternalError:
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert scene.said(scene.wires[1]) == [1]
    scene.go_on()
    scene.putter.fence()
    assert scene.has(6)()
    assert scene.home.get("@0/child") is None


def test_a_frame_of_calls_is_answered_by_a_frame(scene):
    scene.put_unheard(6)
    scene.wires[0].sent.clear()
    scene.go_on()
    scene.putter.fence()
    assert max(scene.said(scene.wires[0], Ack)) >= 5
    until(lambda: sum(scene.said(scene.wires[1], AckAck)) >= 6, WITHIN_S)  # the fence ends in the turn that sends them
    assert max(scene.said(scene.wires[1], AckAck)) >= 5


# --- the outbox by itself ---------------------------------------------------------------------------------------------


class Box:
    """An outbox whose frames are taken apart again."""

    def __init__(self) -> None:
        framing = Framing(1, bytes(32))
        self.sent: list[tuple[int, list[Packet]]] = []
        self.n_owed: dict[int, int] = {}

        def send(peer: int, life: int, frame: bytes) -> None:
            packets = framing.unpack(frame)
            assert not isinstance(packets, Refusal)
            assert packets[0].receiver_life == life
            self.sent.append((peer, packets))

        self.outbox = Outbox(framing, send, Counter())

    def add(self, peer: int, number: int, body: bytes = b"", epoch: int = 1, sender: int = 9) -> None:
        self.outbox.add(peer, Packet(1, sender, 99, peer, 100 + peer, epoch, number, Call(number, body)))

    def rest(self, now: float) -> None:
        self.outbox.rest(now, lambda peer, n: self.n_owed.get(peer, 0) > n)

    @property
    def numbers(self) -> list[tuple[int, list[int]]]:
        return [(peer, [packet.message.number for packet in packets]) for peer, packets in self.sent]


def test_a_turn_is_one_frame_for_each_peer_in_order():
    box = Box()
    for number in range(1, 7):
        box.add(number % 2, number)
    assert box.sent == []
    box.outbox.flush()
    assert box.numbers == [(1, [1, 3, 5]), (0, [2, 4, 6])]
    assert [packet.hlc for _, packets in box.sent for packet in packets] == [5] * 3 + [6] * 3
    box.outbox.flush()
    assert len(box.sent) == 2


@pytest.mark.parametrize("change", [{"epoch": 2}, {"sender": 8}])
def test_another_epoch_or_number_of_ours_begins_another_frame(change):
    box = Box()
    box.add(1, 1)
    box.add(1, 2, **change)
    box.add(1, 3, **change)
    box.outbox.flush()
    assert box.numbers == [(1, [1]), (1, [2, 3])]


def test_a_message_that_is_longer_than_a_frame_of_ethernet_goes_alone():
    box = Box()
    for number, n_bytes in ((1, 10), (2, 1_390), (3, 10), (4, 2_000), (5, 10), (6, 10)):
        box.add(1, number, bytes(n_bytes))
    box.outbox.flush()
    assert box.numbers == [(1, [1]), (1, [2]), (1, [3]), (1, [4]), (1, [5, 6])]


def test_what_no_datagram_holds_is_our_error():
    box = Box()
    box.add(1, 1, bytes(DATAGRAM_MAX_BYTES))
    with pytest.raises(InternalError, match=f"a Call of {DATAGRAM_MAX_BYTES + 76} bytes does not fit a datagram"):
        box.outbox.flush()


def test_a_peer_that_owes_no_other_answer_is_not_kept_waiting():
    box = Box()
    box.n_owed = {1: 3, 2: 1}
    box.add(1, 1)
    box.add(2, 2)
    box.rest(10.0)
    assert box.numbers == [(2, [2])]
    assert box.outbox.deadline == 10.0 + HOLD_S
    box.add(1, 3)
    box.n_owed = {1: 4}
    box.rest(10.0 + HOLD_S / 2)
    assert box.outbox.deadline == 10.0 + HOLD_S
    box.n_owed = {1: 2}  # what was on the way has been answered
    box.rest(10.0 + HOLD_S / 2)
    assert box.numbers == [(2, [2]), (1, [1, 3])]
    assert box.outbox.deadline == float("inf")


def test_what_has_rested_for_long_enough_goes():
    box = Box()
    box.n_owed = {1: 9}
    box.add(1, 1)
    box.rest(10.0)
    box.add(1, 2)
    box.rest(10.0 + HOLD_S)
    assert box.numbers == [(1, [1, 2])]


def test_a_new_frame_has_its_own_time():
    box = Box()
    box.n_owed = {1: 9}
    box.add(1, 1, bytes(800))
    box.rest(10.0)
    box.add(1, 2, bytes(800))
    box.rest(10.0 + HOLD_S / 2)
    assert box.numbers == [(1, [1])]
    assert box.outbox.deadline == 10.0 + 1.5 * HOLD_S
