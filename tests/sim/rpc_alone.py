"""Two links and the network between them, nothing else: each call is executed once and answered once."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from hydroscope.engine.simulated.agenda import Agenda
from hydroscope.engine.simulated.faults import Faults
from hydroscope.engine.simulated.network import Network
from hydroscope.ground.errors import InternalError
from hydroscope.rpc.effects import Deliver, Effect, Execute, Send, Settle
from hydroscope.rpc.link import LARGE_BYTES, Link, Timing, Window
from hydroscope.wire.messages import Ack, AckAck, Call
from tests.sim.verdict import Verdict

__all__ = ["run_rpc"]

LARGE = LARGE_BYTES * 100
LIMIT_S = 900.0


class Side:
    """One of two places: its link, and what it saw."""

    def __init__(self, scene: Scene, place: int, link: Link) -> None:
        self.scene = scene
        self.place = place
        self.link = link
        self.armed_s = float("inf")
        self.sent: dict[int, tuple[bytes, int]] = {}
        self.results: dict[int, bytes] = {}
        self.executed: Counter[int] = Counter()
        self.delivered: Counter[int] = Counter()
        self.settled: Counter[int] = Counter()


class Scene:
    """One seed of two sides that call each other."""

    def __init__(self, seed: int, link_class: type[Link], n_calls: int, trace: bool) -> None:
        self.random = random = Random(seed)
        self.verdict = Verdict()
        self.lines: list[str] | None = self.verdict.lines if trace else None
        self.agenda = Agenda()
        faults = Faults.draw(random, harsh=seed % 4 == 0)
        self.network = Network(self.agenda, random, faults, self.deliver)
        self.checks_each_step = seed % 50 == 0
        self.slow_work = random.choice((0.0, 0.1, 0.4))
        self.large = random.choice((0.0, 0.0, 0.2))
        room = random.choice((2, 4, 256)), random.choice((4 * LARGE, 2**26)), random.choice((8, 4096))
        window = Window(calls=room[0], bytes=room[1], table=room[2])
        timing = Timing(first_s=random.choice((0.05, 0.25)))
        self.sides = [Side(self, place, link_class(timing, window)) for place in range(2)]
        for side in self.sides:
            spread_s = random.choice((0.0, 0.01, 0.2))
            for _ in range(n_calls):
                self.agenda.at(spread_s * random.random(), self.call, side)
        for _ in range(faults.partitions):
            self.agenda.at(random.random() * faults.window_s, self.cut, random.random() * faults.partition_s)

    def run(self) -> Verdict:
        verdict = self.verdict
        try:
            n_calls = [0]

            def all_done() -> bool:
                n_calls[0] += 1
                return n_calls[0] % 8 == 0 and all(
                    len(side.delivered) == len(side.sent) and side.sent for side in self.sides
                )

            self.agenda.run(LIMIT_S, all_done)
            self.network.heal()
            self.agenda.run(self.agenda.now + LIMIT_S)
            for side in self.sides:
                side.link.check(at_rest=True)
        except InternalError as error:
            verdict.wrong("invariant", str(error))
        for side in self.sides:
            self.judge(side)
            for name, n in side.link.counters.items():
                verdict.counters[f"rpc {name}"] += n
            verdict.n_operations += len(side.sent)
        verdict.counters.update(self.network.counters)
        verdict.simulated_s = self.agenda.now
        return verdict

    def judge(self, side: Side) -> None:
        other = self.sides[1 - side.place]
        for number in side.sent:
            for what, n in (
                ("executed", other.executed[number]),
                ("answered", side.delivered[number]),
                ("settled", other.settled[number]),
            ):
                if n != 1:
                    self.verdict.wrong(what, f"call {number} of side {side.place} was {what} {n} times")

    # --- what happens -----------------------------------------------------------------------------------------------

    def cut(self, length_s: float) -> None:
        until = self.agenda.now + length_s
        self.network.counters["partitions"] += 1
        self.network.cut(0, 1, until)
        if self.random.random() < 0.7:
            self.network.cut(1, 0, until)

    def call(self, side: Side) -> None:
        size = LARGE if self.random.random() < self.large else 10
        body = b"%d:%d" % (side.place, len(side.sent) + 1)
        number, effects = side.link.call(body, self.agenda.now, size)
        side.sent[number] = (body, size)
        self.perform(side, effects)

    def finish(self, entry: tuple[Side, int, bytes]) -> None:
        side, number, body = entry
        size = LARGE if self.random.random() < self.large else 10
        result = b"result of " + body
        side.results[number] = result
        self.perform(side, side.link.finish(number, result, self.agenda.now, size))

    def deliver(self, source: int, target: int, parcel: Any) -> None:
        side = self.sides[target]
        if self.lines is not None:
            self.note(f"{source} => {target} {parcel}")
        self.perform(side, side.link.receive(parcel, self.agenda.now))

    def wake(self, side: Side) -> None:
        if side.armed_s > self.agenda.now:
            return
        side.armed_s = float("inf")
        self.perform(side, side.link.expire(self.agenda.now))

    def perform(self, side: Side, effects: list[Effect]) -> None:
        acknowledged = 0
        for effect in effects:
            kind = type(effect)
            if kind is Send:
                message = effect.message
                if type(message) is AckAck:
                    acknowledged = message.number
                    if not side.delivered[message.number]:
                        self.verdict.wrong("ACKACK before use", f"side {side.place}: ACKACK {message.number}")
                self.send(side, message)
            elif kind is Execute:
                side.executed[effect.number] += 1
                if effect.body != self.sides[1 - side.place].sent[effect.number][0]:
                    self.verdict.wrong("other bytes", f"call {effect.number} executed as {effect.body!r}")
                wait_s = 0.5 * self.random.random() if self.random.random() < self.slow_work else 0.0
                self.agenda.at(self.agenda.now + wait_s, self.finish, (side, effect.number, effect.body))
            elif kind is Deliver:
                side.delivered[effect.number] += 1
                if effect.body != self.sides[1 - side.place].results.get(effect.number):
                    self.verdict.wrong("other result", f"call {effect.number} answered with {effect.body!r}")
                if acknowledged == effect.number:
                    self.verdict.wrong("ACKACK before use", f"side {side.place}: call {effect.number}")
            elif kind is Settle:
                side.settled[effect.number] += 1
                if not self.sides[1 - side.place].delivered[effect.number]:
                    self.verdict.wrong("settled before use", f"call {effect.number} at side {side.place}")
        if self.checks_each_step:
            side.link.check()
        deadline = side.link.deadline
        if deadline < side.armed_s:
            side.armed_s = deadline
            self.agenda.at(max(deadline, self.agenda.now), self.wake, side)

    def send(self, side: Side, message: Any) -> None:
        kind = type(message)
        target = 1 - side.place
        if self.lines is not None:
            self.note(f"{side.place} -> {target} {message}")
        if kind is Call and message.body is not side.sent.get(message.number, (message.body,))[0]:
            self.verdict.wrong("other bytes", f"call {message.number} sent again as {message.body!r}")
        if kind is Ack and message.body is not side.results.get(message.number):
            self.verdict.wrong("other bytes", f"result {message.number} sent again as {message.body!r}")
        if kind is Call and side.sent.get(message.number, (b"", 0))[1] == LARGE:
            # What streams carry arrives, late, perhaps twice: their own acknowledgement sees to it.
            self.agenda.at(self.agenda.now + self.random.random(), self.arrive_streamed, (side.place, target, message))
            if self.random.random() < 0.1:
                self.agenda.at(
                    self.agenda.now + self.random.random(), self.arrive_streamed, (side.place, target, message)
                )
        elif kind is Ack and self.is_large_result(side, message.number):
            self.agenda.at(self.agenda.now + self.random.random(), self.arrive_streamed, (side.place, target, message))
        else:
            self.network.send(side.place, target, message)

    def is_large_result(self, side: Side, number: int) -> bool:
        record = side.link._theirs.get(number)
        return record is not None and record.size_bytes > LARGE_BYTES

    def arrive_streamed(self, entry: tuple[int, int, Any]) -> None:
        self.network.counters["streamed"] += 1
        self.deliver(*entry)

    def note(self, text: str) -> None:
        self.lines.append(f"{self.agenda.now:12.6f} {self.agenda.step:6d}  {text}")


def run_rpc(seed: int, link_class: type[Link] = Link, n_calls: int = 8, trace: bool = False) -> Verdict:
    """Run one seed and return its verdict."""
    return Scene(seed, link_class, n_calls, trace).run()
