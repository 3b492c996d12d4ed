"""Two links and a network that does what it is told; an account of its own of what happened to each call."""

from __future__ import annotations

import math
from collections import Counter

from hydroscope.rpc.effects import Deliver, Execute, Fail, Send, Settle
from hydroscope.rpc.link import Link, Timing, Window
from hydroscope.wire.messages import Ack, Call

__all__ = ["Pair"]


class Pair:
    """Link 0 and link 1, joined by a bag of messages, from which any may be taken in any order."""

    def __init__(self, window: Window | None = None, kinds: tuple[type[Link], type[Link]] = (Link, Link)) -> None:
        self.links = [kind(Timing(), window or Window()) for kind in kinds]
        self.now = 0.0
        self.bag: list[tuple[int, object]] = []
        """(to, message) of what is under way."""
        self.running: list[tuple[int, int, object]] = []
        """(at, number, body) of what is being executed."""
        self.executed = (Counter(), Counter())
        self.delivered = (Counter(), Counter())
        self.settled = (Counter(), Counter())
        self.failed = (Counter(), Counter())
        self.bodies: dict[tuple[int, type, int], object] = {}
        self.sent: Counter[str] = Counter()

    def call(self, at: int, body: object = "do", size_bytes: int = 0) -> int:
        number, effects = self.links[at].call(body, self.now, size_bytes)
        self.perform(at, effects)
        return number

    def finish(self, index: int, size_bytes: int = 0) -> None:
        at, number, body = self.running.pop(index)
        self.perform(at, self.links[at].finish(number, ("done", body), self.now, size_bytes))

    def arrive(self, index: int) -> None:
        to, message = self.bag.pop(index)
        self.perform(to, self.links[to].receive(message, self.now))

    def double(self, index: int) -> None:
        self.bag.append(self.bag[index])

    def drop(self, index: int) -> None:
        self.bag.pop(index)

    def time_out(self, at: int) -> None:
        """Let time pass until the next timer of this link; the other may be late."""
        self.now = max(self.now, self.links[at].deadline)
        self.perform(at, self.links[at].expire(self.now))

    def perform(self, at: int, effects: list) -> None:
        """Do what a link says and hold it to what exactly-once means."""
        self.now += 1e-6
        there = 1 - at
        for effect in effects:
            match effect:
                case Send(message=message):
                    self.sent[type(message).__name__] += 1
                    if isinstance(message, Call | Ack):  # what is sent again is the same object
                        first = self.bodies.setdefault((at, type(message), message.number), message.body)
                        assert first is message.body
                    self.bag.append((there, message))
                case Execute(number=number, body=body):
                    self.executed[at][number] += 1
                    assert self.executed[at][number] == 1, f"call {number} is executed twice"
                    self.running.append((at, number, body))
                case Deliver(number=number, body=body):
                    self.delivered[at][number] += 1
                    assert self.delivered[at][number] == 1, f"the answer to call {number} is used twice"
                    assert self.executed[there][number] == 1
                    assert body is self.bodies[there, Ack, number]
                case Settle(number=number):
                    self.settled[at][number] += 1
                    assert self.settled[at][number] == 1, f"call {number} is settled twice"
                    assert self.delivered[there][number] == 1, f"call {number} is settled before its answer is used"
                case Fail(number=number):
                    self.failed[at][number] += 1
        self.links[at].check()

    def drain(self) -> None:
        """Let everything arrive and end; then nothing may be open anywhere."""
        for _ in range(10_000):
            if self.bag:
                self.arrive(0)
            elif self.running:
                self.finish(0)
            else:
                at = 0 if self.links[0].deadline <= self.links[1].deadline else 1
                if self.links[at].deadline == math.inf:
                    break
                self.time_out(at)
        else:
            raise AssertionError("the calls do not come to an end")
        for at, link in enumerate(self.links):
            link.check(at_rest=True)
            assert self.links[1 - at].removed == link.last_number
            every = Counter(range(1, link.last_number + 1))
            assert self.executed[1 - at] == self.delivered[at] == self.settled[1 - at] == every
