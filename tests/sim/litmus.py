"""Small programs whose outcomes tell memory models apart, in every placement and with small delays tried exhaustively.

`python -m tests.sim.litmus` prints the table. A row is one test in one kind of keys. Placements
are all ways to put its threads and the homes of its keys on up to three members (members are
alike, so placements that differ only in names count once). Schedules are all combinations of:
the threads' offsets, whether members have the keys cached before, and which one of the first
packets (or none, or all on one way) is slow.

Programs are written as `W x 1` (plain write where the key is plain), `W! x 1` (waited for),
`D x` (remove), `R x a` (read into a), `A x a` (add 1, sum into a), `S x 5 a` (swap, old value
into a), `fence`, `set s`, `await s` (a signal outside of the store, as a task launch is).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from hydroscope.engine.simulated.network import Network
from hydroscope.engine.simulated.program import Do, Keys
from hydroscope.engine.simulated.world import World
from hydroscope.kv.functions import Change

__all__ = ["LITMUS", "Litmus", "Outcome", "run_litmus", "table"]

Registers = dict[str, Any]
UNIT_S = 0.001
SLOW_S = 0.012
OLD = 100
"""What each key holds before."""


@dataclass(frozen=True)
class Litmus:
    """One test: its threads, and the outcome it asks about. Final values are registers named like the keys."""

    name: str
    threads: tuple[str, ...]
    weak: Callable[[Registers], bool]
    kinds: dict[str, str]
    """"plain", "volatile", "mixed" (upper-case keys are volatile) -> "forbidden" or "allowed"."""
    absent: bool = False
    """Keys are absent before, not `OLD`."""


BOTH = {"plain": "forbidden", "volatile": "forbidden"}
WEAK = {"plain": "allowed", "volatile": "forbidden"}

LITMUS = (
    Litmus("CoRR", ("W x 1", "R x a; R x b"), lambda r: r["a"] == 1 and r["b"] == OLD, BOTH),
    Litmus("CoWW", ("W x 1; W x 2", "R x a"), lambda r: r["x"] != 2, BOTH),
    Litmus("CoRW", ("R x a; W x 1", "W x 2"), lambda r: r["a"] == 2 and r["x"] == 2, BOTH),
    Litmus("CoWR", ("W x 1; R x a", "W x 2"), lambda r: r["a"] == OLD or (r["a"] == 2 and r["x"] == 1), BOTH),
    Litmus("read own write", ("W x 1; R x a", "R x b"), lambda r: r["a"] != 1, BOTH),
    Litmus("put; remove; get", ("W x 1; D x; R x a", "R x b"), lambda r: r["a"] is not None, BOTH),
    Litmus("remove; put; get", ("D x; W x 1; R x a", "R x b"), lambda r: r["a"] != 1 or r["x"] != 1, BOTH),
    Litmus("MP", ("W x 1; W y 1", "R y a; R x b"), lambda r: r["a"] == 1 and r["b"] == OLD, WEAK),
    Litmus(
        "MP, plain data, volatile flag",
        ("W x 1; W Y 1", "R Y a; R x b"),
        lambda r: r["a"] == 1 and r["b"] == OLD,
        {"mixed": "forbidden"},
    ),
    Litmus("SB", ("W x 1; R y a", "W y 1; R x b"), lambda r: r["a"] == OLD and r["b"] == OLD, WEAK),
    Litmus("LB", ("R x a; W y 1", "R y b; W x 1"), lambda r: r["a"] == 1 and r["b"] == 1, BOTH),
    Litmus(
        "WRC",
        ("W x 1", "R x a; W y 1", "R y b; R x c"),
        lambda r: r["a"] == 1 and r["b"] == 1 and r["c"] == OLD,
        WEAK,
    ),
    Litmus(
        "ISA2",
        ("W x 1; W y 1", "R y a; W z 1", "R z b; R x c"),
        lambda r: r["a"] == 1 and r["b"] == 1 and r["c"] == OLD,
        WEAK,
    ),
    Litmus(
        "ISA2, plain data, volatile flags",
        ("W x 1; W Y 1", "R Y a; W Z 1", "R Z b; R x c"),
        lambda r: r["a"] == 1 and r["b"] == 1 and r["c"] == OLD,
        {"mixed": "forbidden"},
    ),
    Litmus(
        "IRIW",
        ("W x 1", "W y 1", "R x a; R y b", "R y c; R x d"),
        lambda r: r["a"] == 1 and r["b"] == OLD and r["c"] == 1 and r["d"] == OLD,
        WEAK,
    ),
    Litmus("2+2W", ("W x 1; W y 2", "W y 1; W x 2"), lambda r: r["x"] == 1 and r["y"] == 1, WEAK),
    Litmus("R", ("W x 1; W y 1", "W y 2; R x a"), lambda r: r["y"] == 2 and r["a"] == OLD, WEAK),
    Litmus("S", ("W x 2; W y 1", "R y a; W x 1"), lambda r: r["a"] == 1 and r["x"] == 2, WEAK),
    Litmus("counter", ("A x a; A x b", "A x c; A x d", "A x e; A x f"), lambda r: r["x"] != OLD + 6, BOTH),
    Litmus("put; atomic", ("W x 1; S x 2 a", "R x b"), lambda r: r["a"] != 1 or r["x"] != 2, BOTH),
    Litmus(
        "get of an absent key after its put returned",
        ("W! x 1; set s", "R x a", "await s; R x b"),
        lambda r: r["b"] != 1,
        BOTH,
        absent=True,
    ),
    Litmus(
        "waited-for put returned, then any get",
        ("W! x 1; set s", "R x a", "await s; R x b"),
        lambda r: r["b"] != 1,
        BOTH,
    ),
    Litmus(
        "parent writes, launches child",
        ("W x 1; fence; set s", "await s; R x a"),
        lambda r: r["a"] != 1,
        BOTH,
    ),
    Litmus(
        "child writes, parent joins",
        ("W x 1; fence; set s; await t; R y b", "await s; R x a; W y 1; fence; set t"),
        lambda r: r["a"] != 1 or r["b"] != 1,
        BOTH,
    ),
    Litmus("at rest, all agree", ("W x 1; R x a", "W x 2", "R x b; D x"), lambda r: r["disagree"], BOTH),
)


class Unhurried(Network):
    """A network of fixed delays but for what is to be slow."""

    slow_packet = -1
    slow_way: tuple[int, int] | None = None

    def send(self, source: int, target: int, parcel: Any) -> None:
        """Put a parcel on the way."""
        index = self._n_sent
        self._n_sent += 1
        delay_s = SLOW_S if index == self.slow_packet or (source, target) == self.slow_way else UNIT_S
        self._agenda.at(self._agenda.now + delay_s, self._arrive, (source, target, self._n_sent, parcel))


@dataclass
class Outcome:
    """One row of the table."""

    name: str
    kind: str
    promise: str
    n_runs: int = 0
    n_seen: int = 0
    example: str = ""

    @property
    def holds(self) -> bool:
        """Return whether what is forbidden was not seen, and what is allowed was."""
        return (self.n_seen == 0) == (self.promise == "forbidden")


def placements(n: int, most: int = 3) -> Iterator[tuple[int, ...]]:
    """Return all ways to put n things on up to `most` places, places being alike."""

    def extend(prefix: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(prefix) == n:
            yield prefix
            return
        for place in range(min(max(prefix, default=-1) + 2, most)):
            yield from extend((*prefix, place))

    return extend(())


def schedules(n_threads: int, n_members: int, thin: int) -> Iterator[tuple[tuple[int, ...], bool, Any]]:
    """Return (offsets in units, cached before, what is slow); every `thin`-th of them."""
    choices = (0, 1, 4) if n_threads < 3 else (0, 2)
    offsets = [(0, *rest) for rest in product(choices, repeat=n_threads - 1)]
    offsets += [(rest[0], *([0] * (n_threads - 1))) for rest in product((2, 5), repeat=1)]
    ways = [(a, b) for a in range(n_members) for b in range(n_members) if a != b]
    slow: list[Any] = [None, *range(10), *ways]
    for index, each in enumerate(product(offsets, (False, True), slow)):
        if index % thin == 0:
            yield each


def run_litmus(test: Litmus, kind: str, thin: int = 1, world_class: type[World] = World) -> Outcome:
    """Run all placements and schedules of a test."""
    outcome = Outcome(test.name, kind, test.kinds[kind])
    programs = [tuple(tuple(step.split()) for step in thread.split("; ")) for thread in test.threads]
    keys = sorted({step[1] for thread in programs for step in thread if step[0] in ("W", "W!", "D", "R", "A", "S")})
    shift = 0
    for placement in placements(len(programs) + len(keys)):
        n_members = max(placement) + 1
        shift += 1
        for index, (offsets, cached, slow) in enumerate(schedules(len(programs), n_members, 1)):
            if (index + shift) % thin:
                continue
            registers = _run_once(test, kind, programs, keys, placement, offsets, cached, slow, world_class)
            outcome.n_runs += 1
            if test.weak(registers):
                outcome.n_seen += 1
                if not outcome.example:
                    outcome.example = f"{placement=} {offsets=} {cached=} {slow=}: {registers}"
    return outcome


def _run_once(
    test: Litmus,
    kind: str,
    programs: list[Any],
    keys: list[str],
    placement: tuple[int, ...],
    offsets: tuple[int, ...],
    cached: bool,
    slow: Any,
    world_class: type[World],
) -> Registers:
    n_members = max(placement) + 1
    names = {}
    for key, home in zip(keys, placement[len(programs) :], strict=True):
        volatile = kind == "volatile" or (kind == "mixed" and key.isupper())
        names[key] = f"{'!' if volatile else ''}@{home}/{key}"
    world = world_class(n_members, encode=False)
    world.functions.register("swap", lambda value, new: Change(new, value))
    network = Unhurried(world.agenda, world.random, world.faults, world._deliver)
    world.network = network
    if not test.absent:
        for name in names.values():
            world.spawn(_initial, name)
    world.run_programs()
    if cached:
        for place in range(n_members):
            for name in names.values():
                world.spawn(_look, name, member=place)
        world.run_programs()
    network._n_sent = 0
    if isinstance(slow, int):
        network.slow_packet = slow
    else:
        network.slow_way = slow
    registers: Registers = {}
    signals: set[str] = set()
    for program, place, offset in zip(programs, placement, offsets, strict=False):
        world.spawn(_thread, program, names, registers, signals, offset, member=place)
    world.run_programs()
    network.slow_way = None
    network.slow_packet = -1
    world.agenda.run(world.agenda.now + 1.0)
    for key, name in names.items():
        threads = [world.spawn(_look, name, member=place) for place in range(n_members)]
        world.run_programs()
        registers[key] = threads[0].result
        if any(thread.result != registers[key] for thread in threads):
            registers["disagree"] = True
    registers.setdefault("disagree", False)
    return registers


def _initial(keys: Keys, name: str) -> Generator[Do, Any, None]:
    yield keys.put(name, OLD, wait=True)


def _look(keys: Keys, name: str) -> Generator[Do, Any, Any]:
    return (yield keys.get(name))


def _thread(
    keys: Keys, program: Any, names: dict[str, str], registers: Registers, signals: set[str], offset: int
) -> Generator[Do, Any, None]:
    if offset:
        yield keys.sleep(offset * UNIT_S)
    for word, *rest in program:
        if word in ("W", "W!"):
            name = names[rest[0]]
            yield keys.put(name, int(rest[1]), wait=word == "W!" or name[0] == "!")
        elif word == "D":
            name = names[rest[0]]
            yield keys.remove(name, wait=name[0] == "!")
        elif word == "R":
            registers[rest[1]] = yield keys.get(names[rest[0]])
        elif word == "A":
            registers[rest[1]] = yield keys.atomic(names[rest[0]], "add", 1)
        elif word == "S":
            registers[rest[2]] = yield keys.atomic(names[rest[0]], "swap", int(rest[1]))
        elif word == "fence":
            yield keys.fence()
        elif word == "set":
            signals.add(rest[0])
        else:
            while rest[0] not in signals:
                yield keys.sleep(UNIT_S / 4)


def table(thin: int = 1, world_class: type[World] = World) -> list[Outcome]:
    """Run every test in each of its kinds."""
    rows = []
    for test in LITMUS:
        for kind in test.kinds:
            gc.collect()
            rows.append(run_litmus(test, kind, thin, world_class))
    return rows


def markdown(rows: list[Outcome]) -> str:
    """Return the table as Markdown."""
    lines = ["| test | keys | outcome asked about is | runs | seen |", "|---|---|---|---:|---:|"]
    lines += [f"| {row.name} | {row.kind} | {row.promise} | {row.n_runs:,} | {row.n_seen:,} |" for row in rows]
    return "\n".join(lines)


def main() -> int:
    """Print the table; 1 if it does not hold."""
    rows = table(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    print(markdown(rows))
    for row in rows:
        if not row.holds:
            print(f"WRONG: {row.name} of {row.kind} keys is {row.promise}, seen {row.n_seen} times. {row.example}")
    return int(not all(row.holds for row in rows))


if __name__ == "__main__":
    sys.exit(main())
