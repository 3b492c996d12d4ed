"""A world: processes with members, the network between them, programs, and what goes wrong, from one seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from hydroscope.engine.simulated.agenda import Agenda
from hydroscope.engine.simulated.faults import Faults
from hydroscope.engine.simulated.network import Network
from hydroscope.engine.simulated.process import Process, SkewedClock, Thread
from hydroscope.engine.simulated.program import Do, Keys, Program, meaning
from hydroscope.ground.errors import InternalError, UserError
from hydroscope.kv.effects import Adopted, Changed, Finish, Ordered, Value
from hydroscope.kv.functions import Functions
from hydroscope.node.actions import Connect, Entered, Excluded, Transmit
from hydroscope.node.member import Member
from hydroscope.node.membership import Settings
from hydroscope.node.ports import NodeLost
from hydroscope.wire.frame import Framing, Refusal
from hydroscope.wire.messages import NOBODY, MemberInfo, Packet, View

__all__ = ["Ended", "World"]

CLUSTER = 7
FIRST_LIFE = 1001
SECRET = b"nothing secret here"
MISSING = object()
REST_S = 60.0
"""How long a world gets to come to rest after its last program."""
SLICE_S = 0.25
"""Time between two looks whether it has."""


class Ended(NamedTuple):
    """What a raw program is sent: at which step its operation ended, and how."""

    step: int
    outcome: Any


class World:
    """Members of one cluster in simulated time.

    Parameters
    ----------
    members : int
        Processes that store, numbered from 0; number 0 is the authority where there is one.
    seed : int
        Everything random follows from it.
    encode : bool
        Whether packets travel as the bytes that a real network would see. Without, runs are several times faster.
    joins : bool, optional
        Whether members find each other as real processes do (`Hello`, heartbeats, leases); otherwise all belong from
        the start, for ever. Default: only if there are crashes.
    settings : Settings, optional
        Times of the membership.
    trace : bool
        Keep a line for each thing that happens, in `lines`.
    **faults
        Fields of `Faults`; or `faults=Faults(...)`.

    Examples
    --------
    >>> def greet(keys):
    ...     yield keys.put("greeting", "hello", wait=True)
    >>> def listen(keys):
    ...     while (heard := (yield keys.get("greeting"))) is None:
    ...         yield keys.sleep(0.01)
    ...     return heard
    >>> world = World(members=3, seed=7, drop=0.1)
    >>> _ = world.spawn(greet, member=0)
    >>> listener = world.spawn(listen, member=1)
    >>> world.run()
    >>> listener.result
    'hello'
    """

    member_class: type[Member] = Member

    def __init__(
        self,
        members: int = 3,
        seed: int = 0,
        *,
        encode: bool = True,
        joins: bool | None = None,
        settings: Settings | None = None,
        trace: bool = False,
        **faults: Any,
    ) -> None:
        self.faults: Faults = faults.pop("faults", None) or Faults(**faults)
        self.random = Random(seed)
        self.agenda = Agenda()
        self.network = Network(self.agenda, self.random, self.faults, self._deliver)
        self.functions = Functions(lambda: self.agenda.now)
        self.processes: dict[int, Process] = {}
        self.threads: list[Thread] = []
        self.lines: list[str] | None = [] if trace else None
        self.on_ordered: Callable[[Process, Ordered], None] | None = None
        self.on_adopted: Callable[[Process, Adopted], None] | None = None
        self.on_finish: Callable[[Process, Any, Any], None] | None = None
        self.on_entered: Callable[[Process, Entered], None] | None = None
        self.on_changed: Callable[[Process, Changed], None] | None = None
        self.on_life: Callable[[Process], None] | None = None
        self.encodes = encode
        self._framing = Framing(CLUSTER, SECRET) if encode else None
        self._joins = self.faults.crashes > 0 if joins is None else joins
        self._settings = settings or Settings(n_founders=members)
        self._n_ops = 0
        self._n_running = 0
        self._places: dict[int, int] = {}  # of every life
        self._next_life = FIRST_LIFE
        self._found(members)
        self._plan_faults()

    # --- what a user does -------------------------------------------------------------------------------------------

    def spawn(self, program: Program, *arguments: Any, member: int = 0, raw: bool = False) -> Thread:
        """Start a program in a member's process: `program(keys, *arguments)`, a generator.

        Cost: nothing until `run`.
        """
        process = self.processes[member]
        thread = Thread(process, len(self.threads), program(Keys(), *arguments), raw)
        self.threads.append(thread)
        self._n_running += 1
        self.agenda.at(self.agenda.now, self._resume, (thread, None))
        return thread

    def watch(self, member: int, prefix: str) -> None:
        """Let a member hear of changes of keys that begin with `prefix`; then `("watch", member)` has finished.

        Cost: a message to each member.
        """
        process = self.processes[member]
        self._perform(process, process.member.watch(("watch", member), prefix, process.clock.seconds()))
        self._arm(process)

    def run(self, limit_s: float = 600.0) -> None:
        """Let time pass until all programs have ended and the cluster is at rest; then check its invariants.

        Raises
        ------
        InternalError
            If a program is still waiting after `limit_s` of simulated time, or an invariant does not hold.

        Cost: some 10 µs a packet.
        """
        self.run_programs(limit_s)
        self.rest()
        for thread in self.threads:
            if thread.error is not None:
                raise thread.error

    def run_programs(self, limit_s: float = 600.0) -> None:
        """Let time pass until all programs have ended, faults going on. Cost: as `run`."""
        self.agenda.run(self.agenda.now + limit_s, lambda: not self._n_running)
        if self._n_running:
            waiting = [f"thread {t.number} at {t.process.place}: {t.waits_for}" for t in self.threads if t.running]
            raise InternalError(f"after {limit_s} s of simulated time still waiting: {'; '.join(waiting)}")

    def rest(self, limit_s: float = REST_S) -> None:
        """Stop all faults, let time pass until nothing is under way, and check invariants. Cost: as `run`."""
        self.network.heal()
        for process in self.processes.values():
            process.paused_until_s = min(process.paused_until_s, self.agenda.now)
        until = self.agenda.now + limit_s
        self.agenda.run(self.agenda.now + self.faults.slow_s + self.faults.delay_s[1])
        while self.agenda.now < until and not self.is_at_rest():
            before = self.agenda.now
            self.agenda.run(before + SLICE_S)
            self.agenda.now = before + SLICE_S
        for process in self.live():
            process.member.check()

    def is_at_rest(self) -> bool:
        """Tell whether nobody waits for anything, and all know who belongs. Cost: O(members squared)."""
        live = self.live()
        views = {process.member.standing.epoch for process in live}
        if len(views) > 1:
            return False
        lives = {process.life for process in live}
        for process in live:
            standing = process.member.standing
            if standing.view is None or not standing.is_open:
                return False
            if any(info.life not in lives for info in standing.view.members) or len(standing.view.members) < len(live):
                return False
            if any(not link.is_at_rest for link in process.member.links.values()):
                return False
        return True

    def live(self) -> list[Process]:
        """Return the processes that live and belong."""
        return [each for each in self.processes.values() if each.alive and not each.excluded]

    # --- beginning and end of lives ---------------------------------------------------------------------------------

    def _found(self, n_members: int) -> None:
        infos = []
        for place in range(n_members):
            number = place if not self._joins or place == 0 else NOBODY
            infos.append(self._begin_life(place, number).member.standing.me)
        if not self._joins:
            numbers = tuple(info.number for info in infos)
            view = View(1, tuple(infos), numbers)
            for process in self.processes.values():
                self._perform(process, process.member.enter(view, process.clock.seconds()))

    def _begin_life(self, place: int, number: int) -> Process:
        life = self._next_life
        self._next_life += 1
        skew = self.faults.skew
        rate = 1.0 + skew * (2 * self.random.random() - 1) if skew else 1.0
        clock = SkewedClock(self.agenda, 20 * self.random.random() if skew else 0.0, rate)
        member = self.member_class(
            MemberInfo(number, life),
            CLUSTER,
            clock,
            self.functions,
            authority=0 if self._joins else None,
            encode=self.encodes,
            settings=self._settings,
        )
        process = self.processes[place] = Process(place, life, clock, member)
        self._places[life] = place
        if self._joins:
            now = clock.seconds()
            self._perform(process, member.start(now) if number == 0 else member.join(self.random.getrandbits(31), now))
        return process

    def _plan_faults(self) -> None:
        faults, random, at = self.faults, self.random, self.agenda.at
        for _ in range(faults.partitions):
            at(random.random() * faults.window_s, self._partition, random.random() * faults.partition_s)
        for _ in range(faults.pauses):
            at(random.random() * faults.window_s, self._pause, random.random() * faults.pause_s)
        for _ in range(faults.crashes):
            at(random.random() * faults.window_s, self._crash)

    def _partition(self, length_s: float) -> None:
        places = list(self.processes)
        alone = {place for place in places if self.random.random() < 0.5}
        if not alone or len(alone) == len(places):
            alone = {self.random.choice(places)}
        until = self.agenda.now + length_s
        one_way = self.random.random() < 0.3
        self.network.counters["partitions"] += 1
        self._note(f"cut {sorted(alone)} off {'(one way) ' if one_way else ''}until {until:.4f}")
        for a in alone:
            for b in places:
                if b not in alone:
                    self.network.cut(a, b, until)
                    if not one_way:
                        self.network.cut(b, a, until)

    def _pause(self, length_s: float) -> None:
        process = self.random.choice(list(self.processes.values()))
        process.paused_until_s = self.agenda.now + length_s
        self.network.counters["pauses"] += 1
        self._note(f"member at {process.place} pauses until {process.paused_until_s:.4f}")

    def _crash(self, _: None) -> None:
        if not all(each.member.standing.is_open for each in self.live()):
            self.agenda.at(self.agenda.now + 0.05 + self.random.random() * self.faults.window_s, self._crash)
            return
        mortal = [each for each in self.processes.values() if each.place and each.alive]
        if self.faults.authority_dies and self.processes[0].alive:
            self.crash(0)
        elif mortal:
            self.crash(self.random.choice(mortal).place)

    def crash(self, member: int) -> None:
        """Kill the process at a place; if `restarts`, a new life begins there a little later. Cost: nothing."""
        process = self.processes[member]
        process.alive = False
        self.network.counters["crashes"] += 1
        self._note(f"member at {member} dies")
        for thread in self.threads:
            if thread.process is process and thread.running:
                thread.running = False
                self._n_running -= 1
        process.waiting.clear()
        if self.faults.restarts and self._joins and process.place:
            self.agenda.at(self.agenda.now + 0.01 + self.random.random(), self._restart, process.place)

    def _restart(self, place: int) -> None:
        self._note(f"a new life begins at {place}")
        self.network.counters["restarts"] += 1
        process = self._begin_life(place, NOBODY)
        self._arm(process)
        if self.on_life is not None:
            self.on_life(process)

    # --- packets ----------------------------------------------------------------------------------------------------

    def _transmit(self, process: Process, action: Transmit) -> None:
        packet = action.packet
        target = self._places.get(packet.receiver_life, 0)
        parcel: Any = packet
        if self._framing is not None:
            parcel = self._damaged(self._framing.pack(packet))
        if self.lines is not None:
            self._note(f"{process.place} -> {target} {packet.message} (epoch {packet.epoch})")
        if action.stream:
            self.network.stream(process.place, target, action.stream, parcel)
        else:
            self.network.send(process.place, target, parcel)

    def _connect(self, process: Process, action: Connect) -> None:
        life = process.member.standing.lives.get(action.peer)
        if life is not None:
            self._note(f"{process.place} connects stream {action.stream} to {self._places[life]}")
            entry = process, action.peer, self._places[life], action.stream
            self.agenda.at(self.agenda.now + 2 * self.faults.delay_s[1], self._connected, entry)

    def _connected(self, entry: tuple[Process, int, int, int]) -> None:
        process, peer, target, stream = entry
        if not process.alive:
            return
        is_open = self.processes[target].alive and self.network.connect(process.place, target, stream)
        told = process.member.connected if is_open else process.member.broken
        self._perform(process, told(peer, stream, process.clock.seconds()))
        self._arm(process)

    def _damaged(self, data: bytes) -> bytes:
        if not self.faults.damage or self.random.random() >= self.faults.damage:
            return data
        self.network.counters["damaged"] += 1
        changed = bytearray(data)
        for _ in range(self.random.randint(1, 4)):
            changed[self.random.randrange(len(changed))] ^= self.random.randint(1, 255)
        return bytes(changed[: self.random.randint(0, len(changed))]) if self.random.random() < 0.3 else bytes(changed)

    def _deliver(self, source: int, target: int, parcel: Any) -> None:
        process = self.processes[target]
        if not process.alive:
            return
        if process.paused_until_s > self.agenda.now:
            self.agenda.at(process.paused_until_s, self._deliver_late, (source, target, parcel))
            return
        packet = parcel
        if self._framing is not None:
            if isinstance(taken := self._framing.unpack(parcel), Refusal):
                self.network.counters["refused as damaged"] += 1
                return
            (packet,) = taken
        self.network.counters["delivered"] += 1
        if self.lines is not None:
            self._note(f"{source} => {target} {packet.message}")
        self._perform(process, process.member.receive([packet], process.clock.seconds()))
        self._arm(process)

    def _deliver_late(self, entry: tuple[int, int, Packet]) -> None:
        self._deliver(*entry)

    def _arm(self, process: Process) -> None:
        deadline = process.clock.true_time(process.member.deadline)
        if deadline < process.armed_s:
            process.armed_s = deadline
            self.agenda.at(max(deadline, self.agenda.now), self._wake, process)

    def _wake(self, process: Process) -> None:
        now = self.agenda.now
        if not process.alive or process.armed_s > now:
            return
        if process.paused_until_s > now:
            process.armed_s = process.paused_until_s
            self.agenda.at(process.paused_until_s, self._wake, process)
            return
        process.armed_s = math.inf
        local = process.clock.seconds()
        if process.member.deadline <= local + 1e-9:
            self._perform(process, process.member.expire(max(local, process.member.deadline)))
        self._arm(process)

    # --- operations -------------------------------------------------------------------------------------------------

    def _perform(self, process: Process, actions: list[Any]) -> None:
        for action in actions:
            kind = type(action)
            if kind is Transmit:
                self._transmit(process, action)
            elif kind is Finish:
                if self.on_finish is not None:
                    self.on_finish(process, action.op, action.outcome)
                thread = process.waiting.pop(action.op, None)
                if thread is not None:
                    self._end(thread, action.outcome)
            elif kind is Ordered:
                if self.on_ordered is not None:
                    self.on_ordered(process, action)
                if self.lines is not None:
                    self._note(f"{process.place} orders {action.key} = {action.value!r} (v{action.version})")
            elif kind is Adopted:
                if self.on_adopted is not None:
                    self.on_adopted(process, action)
            elif kind is Connect:
                self._connect(process, action)
            elif kind is Changed:
                if self.on_changed is not None:
                    self.on_changed(process, action)
            elif kind is Entered:
                if self.on_entered is not None:
                    self.on_entered(process, action)
                self._note(f"{process.place} enters view {action.view.epoch}{'' if action.is_open else ' (closed)'}")
            elif kind is Excluded:
                process.excluded = action.reason
                self._note(f"{process.place} is out: {action.reason}")

    def _end(self, thread: Thread, outcome: Any) -> None:
        step = self.agenda.tick()
        if self.lines is not None:
            self._note(f"{thread.process.place}.t{thread.number} ends: {outcome}")
        self.agenda.at(self.agenda.now, self._resume, (thread, Ended(step, outcome)))

    def _resume(self, entry: tuple[Thread, Ended | None]) -> None:
        thread, ended = entry
        process = thread.process
        if not process.alive:
            return
        if process.paused_until_s > self.agenda.now:
            self.agenda.at(process.paused_until_s, self._resume, entry)
            return
        try:
            if ended is None or thread.raw:
                do = thread.generator.send(ended)
            else:
                value, error = meaning(thread.waits_for, ended.outcome)
                do = thread.generator.throw(error) if error is not None else thread.generator.send(value)
        except StopIteration as stop:
            thread.result = stop.value
            self._stop(thread)
            return
        except (NodeLost, UserError) as error:
            thread.error = error
            self._stop(thread)
            return
        self._begin(thread, do)

    def _stop(self, thread: Thread) -> None:
        thread.running = False
        self._n_running -= 1

    def _begin(self, thread: Thread, do: Do) -> None:
        process = thread.process
        member = process.member
        now = process.clock.seconds()
        kind = do.kind
        thread.waits_for = do
        if self.lines is not None:
            self._note(f"{process.place}.t{thread.number} {kind} {do.key} {do.value!r} {do.name}{do.arguments}")
        if kind == "sleep":
            self.agenda.at(self.agenda.now + do.seconds, self._resume, (thread, Ended(self.agenda.tick(), None)))
            return
        if kind == "get" and now < member.lease_until:
            value = member.front.get(do.key, MISSING)
            if value is not MISSING:
                self._end(thread, Value(value, -1))
                return
        self._n_ops += 1
        op = self._n_ops if do.op is None else do.op
        waits = True
        if kind == "get":
            actions = member.get(op, thread.number, do.key, now)
        elif kind == "put":
            actions = member.put(op, thread.number, do.key, do.value, now, do.wait, do.durable)
            waits = do.wait
        elif kind == "atomic":
            actions = member.atomic(op, thread.number, do.key, do.name, do.arguments, now, do.durable)
        elif kind == "fence":
            actions = member.fence(op, thread.number, now)
        else:
            actions = member.scan(op, do.key, now)
        if waits:
            process.waiting[op] = thread
        else:
            self._end(thread, None)
        self._perform(process, actions)
        self._arm(process)

    def _note(self, text: str) -> None:
        if self.lines is not None:
            self.lines.append(f"{self.agenda.now:12.6f} {self.agenda.step:7d}  {text}")
