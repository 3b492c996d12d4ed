"""One seed of a mix on a whole simulated cluster: run it, then ask all oracles."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from random import Random
from traceback import format_exception
from typing import Any

import msgspec

from hydroscope.engine.simulated.faults import Faults
from hydroscope.engine.simulated.process import Process
from hydroscope.engine.simulated.world import Ended, World
from hydroscope.ground.errors import InternalError
from hydroscope.kv import invariants
from hydroscope.kv.effects import Changed, Lost, Names, Ordered, Refused, Value, Wrote
from hydroscope.kv.homes import best
from hydroscope.node.actions import Entered
from hydroscope.node.line import Line
from hydroscope.node.member import Member
from hydroscope.node.membership import Settings
from hydroscope.rpc.link import Window
from hydroscope.wire.messages import Ack, AckAck, Call, Nack, Packet, Probe
from tests.sim.checkers.history import NEVER, Operation
from tests.sim.checkers.rest import disagreements
from tests.sim.judge import judge_history, judge_scans
from tests.sim.scripts import Mix, Step, draw_scripts, is_durable, register, value_of
from tests.sim.verdict import Verdict
from tests.sim.views import plan_views

__all__ = ["ENCODED_EVERY", "Ease", "Run", "WatchedWorld", "run_cluster"]

ENCODED_EVERY = 50
"""One seed in so many sends real frames, bytes that can be damaged."""

CHECKED_EVERY = 40
"""One seed in so many has the invariants between members checked after every packet."""

LIMIT_S = 400.0

GRACE_S = 30.0
"""No operation takes longer than the time to detect a death and this, pauses and partitions aside."""


Ease = Callable[[Faults], Faults]
"""Takes away some of the faults that a seed has drawn."""


class StaleLife(Exception):
    """A packet of or to another life had an effect."""


class WatchedMember(Member):
    """A member that is seen to take nothing from, and nothing meant for, other lives."""

    most_calls = 0
    """Where not 0: so few calls may be under way to each peer."""

    def _line(self, peer: int) -> Line:
        line = super()._line(peer)
        if self.most_calls:
            line.link.window = Window(calls=self.most_calls)
        return line

    def receive(self, packets: Sequence[Packet], now: float) -> list[Any]:
        """Take a packet in; the simulated network carries one at a time."""
        (packet,) = packets
        here = self.standing
        is_for_me = packet.receiver_life == here.me.life and here.lives.get(packet.sender) == packet.sender_life
        if is_for_me or not isinstance(packet.message, Call | Ack | AckAck | Nack | Probe):
            return super().receive(packets, now)
        before = _work(self)
        actions = super().receive(packets, now)
        if _work(self) != before:
            raise StaleLife(f"member {self.number} of life {here.me.life} took {packet}")
        return actions


def _work(member: Member) -> list[int]:
    """Return how much the links of a member have done for their peers."""
    return [link.counters[name] for link in member.links.values() for name in ("executed", "calls_answered", "settled")]


class WatchedWorld(World):
    """A world of watched members."""

    member_class = WatchedMember
    checks_each_step = False

    def _deliver(self, source: int, target: int, parcel: Any) -> None:
        super()._deliver(source, target, parcel)
        if self.checks_each_step:
            live = self.live()
            if len({process.member.standing.epoch for process in live}) == 1 and live[0].member.standing.view:
                invariants.check_together([process.member.store for process in live])


class Run:
    """A world, the operations tried in it, and what its homes ordered."""

    def __init__(self, mix: Mix, seed: int, world_class: type[World], trace: bool, ease: Ease | None = None) -> None:
        random = Random(seed * 7919 + len(mix.name))
        self.mix = mix
        self.seed = seed
        self.verdict = Verdict()
        self.operations: list[Operation] = []
        self.by_number: dict[int, Operation] = {}
        self.writer: dict[tuple[str, Any], Operation] = {}
        self.final: dict[str, Any] = {}
        self.versions: dict[str, int] = {}
        self.changed: dict[tuple[int, str], int] = {}
        self.last_change: dict[str, int] = {}
        self.founders = tuple(range(mix.members))
        self.scans: list[Operation] = []
        self.watching: dict[int, int] = {}
        self.n_lives = 0
        self.begun = set(range(mix.members))
        self.all_live = True
        self.deaths: list[tuple[int, int]] = []
        self.newcomers: dict[int, list[list[Step]]] = {}
        self.orderers: dict[str, Process] = {}
        self.missing: dict[int, tuple[int, ...]] = {}
        faults = Faults.draw(random, harsh=mix.harsh)
        settings = Settings(n_founders=mix.members)
        if mix.joins:
            faults = _with_crashes(faults, random)
            settings = random.choice((settings, Settings(mix.members, heartbeat_s=0.1, lease_s=0.6, detect_s=1.0)))
        if ease is not None:
            faults = ease(faults)
        self.world = world_class(
            mix.members,
            seed,
            encode=seed % ENCODED_EVERY == ENCODED_EVERY - 1,
            joins=mix.joins,
            settings=settings,
            trace=trace,
            faults=faults,
        )
        self.patience_s = settings.detect_s + GRACE_S if mix.joins else LIMIT_S
        self.patience_s += faults.pauses * faults.pause_s + faults.partitions * faults.partition_s
        register(self.world.functions)
        self.world.checks_each_step = seed % CHECKED_EVERY == 1
        self.most_calls = random.choice((0, 0, 0, 1, 2))
        for process in self.world.processes.values():
            process.member.most_calls = self.most_calls
        self.world.on_ordered = self.ordered
        self.world.on_finish = self.finished
        self.world.on_changed = self.change
        self.world.on_life = self.life
        self.world.on_entered = self.entered
        self.random = random
        self.size_bytes = random.choice((0, 2_000, 200_000)) if self.world.encodes else 0
        for member, steps in draw_scripts(mix, random, self.size_bytes):
            if member < mix.members:
                self.start(member, steps)
            else:
                self.newcomers.setdefault(member, []).append(steps)
        if mix.newcomers:
            plan_views(self.world, random, mix.members, mix.newcomers, settings.detect_s)
            self.patience_s += 3 * settings.detect_s  # one after the other may have to be given up

    def start(self, member: int, steps: list[Step]) -> None:
        process = self.world.processes[member]
        thread = self.world.spawn(self.program, process, steps, member=member, raw=True)
        for step in steps:
            operation = step.operation
            operation.thread = thread.number
            if operation.key:
                self.operations.append(operation)
            elif operation.kind == "scan":
                self.scans.append(operation)
            if operation.number:
                self.by_number[operation.number] = operation
            if operation.kind in ("put", "swap"):
                self.writer[operation.key, operation.argument] = operation
            elif operation.kind == "swap_if":
                self.writer[operation.key, operation.argument[1]] = operation

    # --- what the world tells ---------------------------------------------------------------------------------------

    def program(self, _: Any, process: Process, steps: list[Step]) -> Generator[Any, Ended, None]:
        agenda = self.world.agenda
        tick = agenda.tick
        for step in steps:
            operation = step.operation
            operation.start = tick()
            began_s = agenda.now
            ended = yield step.do
            operation.end = ended.step
            if agenda.now - began_s > self.patience_s and not self.lacks_founders():
                self.verdict.wrong(
                    "late", f"after {agenda.now - began_s:.1f} s of {self.patience_s:.1f} s: {operation}"
                )
            outcome = ended.outcome
            kind = type(outcome)
            if kind is Value:
                operation.observed = outcome.value
                if outcome.version >= 0:
                    operation.read_version = outcome.version
            elif kind is Wrote:
                operation.aborted = outcome.aborted
                if operation.kind not in ("put", "remove"):
                    operation.observed = outcome.result
                if outcome.aborted:
                    operation.read_version = outcome.version
            elif kind is Names:
                operation.observed = outcome.keys
                self.missing[operation.number] = outcome.lost
            elif kind is Lost:
                operation.lost = True
                operation.excluded = bool(process.excluded)
                dead = {number for number, _ in self.deaths}
                if operation.key and not process.excluded and best(operation.key, self.founders) not in dead:
                    self.verdict.wrong("lost though its home lives", str(operation))
                self.verdict.counters["operations lost with a member"] += 1
            elif kind is Refused:
                self.verdict.wrong("refused", f"{outcome.kind}: {outcome.text}: {operation}")
                operation.lost = True

    def finished(self, process: Process, op: Any, outcome: Any) -> None:
        if isinstance(op, tuple):
            self.watching[op[1]] = self.world.agenda.tick()
            return
        operation = self.by_number.get(op)
        if operation is None or not operation.key:
            return
        kind = type(outcome)
        if kind is Wrote and not outcome.aborted:
            operation.merged = outcome.merged
            self.place(operation, outcome.version)
        elif kind is Lost and operation.end != NEVER:
            operation.lost = True

    def ordered(self, process: Process, effect: Ordered) -> None:
        key, version = effect.key, effect.version
        if version <= self.versions.get(key, 0):
            self.verdict.wrong("I8 versions", f"{key}: version {version} after {self.versions[key]}")
        self.versions[key] = version
        self.final[key] = effect.value
        self.orderers[key] = process
        self.last_change[key] = self.world.agenda.tick()
        operation = self.writer.get((key, effect.value))
        if operation is not None:
            self.place(operation, version)

    def place(self, operation: Operation, version: int) -> None:
        if operation.wrote_version is not None and operation.wrote_version != version:
            self.verdict.wrong("ordered twice", f"as version {version} too: {operation}")
        operation.wrote_version = version

    def change(self, process: Process, effect: Changed) -> None:
        step = self.world.agenda.tick()
        for key in effect.keys:
            self.changed[process.place, key] = step

    def entered(self, process: Process, effect: Entered) -> None:
        """Note who was given up: what it was home to is lost from here on."""
        self.founders = effect.view.founders
        members = {info.number for info in effect.view.members}
        known = {number for number, _ in self.deaths}
        self.deaths += [
            (number, self.world.agenda.tick()) for number in effect.view.founders if number not in members | known
        ]

    def life(self, process: Process) -> None:
        mix = self.mix
        process.member.most_calls = self.most_calls
        self.n_lives += 1
        self.all_live &= process.place not in self.begun  # else a life has ended there, whose last writes may be seen
        self.begun.add(process.place)
        if mix.watches:
            self.watching.pop(process.place, None)
            self.world.watch(process.place, "")
        if process.place >= mix.members:
            for steps in self.newcomers.pop(process.place, []):
                self.start(process.place, steps)
            return
        base = 1000 * self.n_lives
        scripts = draw_scripts(mix, Random(self.seed), self.size_bytes)
        member, steps = scripts[process.place * mix.threads]
        for step in steps:
            if step.operation.number:
                step.operation.number += base
        member = process.place
        self.start(member, [_renumbered(step, self.size_bytes) for step in steps])

    # --- running and judging ----------------------------------------------------------------------------------------

    def go(self) -> Verdict:
        verdict, world = self.verdict, self.world
        try:
            if self.mix.watches:
                for process in world.processes.values():
                    world.watch(process.place, "")
            world.run_programs(LIMIT_S)
            world.rest()
            self.at_rest()
        except InternalError as error:
            hung = "still waiting" in str(error)
            if hung and self.lacks_founders():
                verdict.counters["founders that gave up before work began"] += 1
                return verdict
            verdict.wrong("hung" if hung else "invariant", str(error))
        except Exception as error:
            verdict.wrong(f"{type(error).__name__}", "".join(format_exception(error)[-6:]))
        self.all_live &= all(process.alive and not process.excluded for process in world.processes.values())
        judge_history(self.operations, self.mix, self.deaths, self.all_live, verdict)
        judge_scans(self.scans, self.operations, self.missing, self.founders, verdict)
        verdict.n_operations = len(self.operations)
        verdict.simulated_s = world.agenda.now
        self.count()
        if world.lines is not None:
            verdict.lines = [*world.lines, "", "At the end:", *self.state()]
        return verdict

    def lacks_founders(self) -> bool:
        """Tell whether work never began, since a founder is gone and nobody comes for it: programs here wait on."""
        missing = self.world.processes[0].member.standing.n_missing
        return bool(missing) and len(self.world.live()) < self.mix.members

    def at_rest(self) -> None:
        world, verdict = self.world, self.verdict
        live = world.live()
        fronts = {process.place: process.member.front for process in live}
        if not self.deaths:
            for text in disagreements(fronts, self.final):
                verdict.wrong("convergence", text)
        for process in live:
            for link in process.member.links.values():
                link.check(at_rest=True)
        if len({process.member.standing.epoch for process in live}) == 1:
            invariants.check_together_at_rest([process.member.store for process in live])
        if self.mix.watches:
            for process in live:
                for key, step in self.last_change.items():
                    if self.is_lost(key):
                        continue
                    since = self.watching.get(process.place, NEVER)
                    if since < step and self.changed.get((process.place, key), -1) < step:
                        verdict.wrong("watch", f"member {process.place} did not hear of the last change of {key}")

    def is_lost(self, key: str) -> bool:
        """Tell whether the last change of a key died with its home."""
        orderer = self.orderers[key]
        is_kept = self.mix.durable and is_durable(key) and len(self.deaths) == 1
        return bool(not orderer.alive or orderer.excluded) and not is_kept

    def state(self) -> list[str]:
        """Return what each member knows of each key, and which calls are open."""
        lines = []
        for process in self.world.processes.values():
            standing = process.member.standing
            life = "lives" if process.alive else "is dead"
            lines.append(f"place {process.place}: member {standing.me.number} {life}, epoch {standing.epoch}")
            for peer, link in process.member.links.items():
                if not link.is_at_rest:
                    lines.append(f"    calls to or from member {peer} are open")
            if standing.view is not None and process.alive and hasattr(process.member.store, "describe"):
                lines += [f"    {key}: {process.member.store.describe(key)}" for key in sorted(self.versions)]
        return lines

    def count(self) -> None:
        counters = self.verdict.counters
        counters.update(self.world.network.counters)
        for process in self.world.processes.values():
            member = process.member
            counters.update({f"member {name}": n for name, n in member.counters.items()})
            for link in member.links.values() if self.seed % 8 == 0 else ():
                for name, n in link.counters.items():
                    if n:
                        counters[f"rpc {name}"] += n
            if member._store is not None:
                counters.update({f"kv {name}": n for name, n in member.store.counters.items() if n})


def _renumbered(step: Step, size_bytes: int) -> Step:
    """Give a step of a later life a value of its own."""
    do, operation = step.do, step.operation
    own = value_of(operation.number, size_bytes)
    value, arguments = do.value, do.arguments
    if operation.kind == "put":
        operation.argument = value = own
    elif operation.kind == "swap":
        operation.argument, arguments = own, (own,)
    elif operation.kind == "swap_if":
        operation.argument = arguments = (arguments[0], own)
    return Step(operation, msgspec.structs.replace(do, value=value, arguments=arguments, op=operation.number))


def _with_crashes(faults: Faults, random: Random) -> Faults:
    return msgspec.structs.replace(
        faults,
        crashes=random.choice((0, 1, 1, 1, 2)),
        restarts=random.random() < 0.7,
        authority_dies=random.random() < 0.1,
        window_s=random.choice((0.05, 0.3, 2.0)),
        pause_s=random.choice((0.5, 2.0, 15.0)),
        slow_s=random.choice((0.05, 0.5, 5.0)),
        partitions=random.choice((0, 0, 1, 2)),
        partition_s=random.choice((0.5, 3.0, 15.0)),
        skew=min(faults.skew, 0.01),
    )


def run_cluster(mix: Mix, seed: int, world_class: type[World] = WatchedWorld, trace: bool = False) -> Verdict:
    """Run one seed of a mix and return its verdict."""
    return Run(mix, seed, world_class, trace).go()
