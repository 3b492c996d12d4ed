"""What the threads of one seed will try, drawn from its mix."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from hydroscope.engine.simulated.program import Do
from hydroscope.kv.functions import Change, Functions, Unchanged
from tests.sim.checkers.history import Operation

__all__ = ["MIXES", "Mix", "Step", "draw_scripts", "is_volatile", "register"]


@dataclass(frozen=True)
class Mix:
    """A workload: which operations on which keys, under which faults.

    `kinds` maps "get", "put", "put wait", "remove", "swap", "swap_if", "add", "fence", "scan" to weights;
    `plain` and `volatile` are numbers of keys.
    """

    name: str
    about: str
    kinds: dict[str, int]
    plain: int = 0
    volatile: int = 0
    counters: int = 0
    durable: bool = False
    joins: bool = False
    watches: bool = False
    newcomers: int = 0
    """Processes that come later and store nothing; with them the view changes in other ways too (`views`)."""
    harsh: bool = False
    members: int = 3
    threads: int = 2
    steps: int = 8
    sleep: float = 0.05
    """How often a thread sleeps between two steps, and how long at most."""
    sleep_s: float = 0.02


MIXES = {
    mix.name: mix
    for mix in (
        Mix("volatile", "get and put of volatile keys", {"get": 5, "put": 5}, volatile=3),
        Mix("remove", "and remove", {"get": 5, "put": 4, "remove": 2}, volatile=2),
        Mix(
            "atomic",
            "and atomics",
            {"get": 4, "put": 2, "remove": 1, "swap": 2, "swap_if": 2, "add": 1},
            volatile=2,
            counters=1,
        ),
        Mix("plain", "plain puts, some waited for", {"get": 5, "put": 4, "remove": 1, "put wait": 1}, plain=3),
        Mix(
            "plain_atomic",
            "plain puts and atomics of the same keys",
            {"get": 4, "put": 4, "remove": 1, "swap": 2, "swap_if": 1, "fence": 1},
            plain=2,
        ),
        Mix("flags", "plain data, volatile flags", {"get": 6, "put": 5}, plain=2, volatile=2),
        Mix(
            "harsh",
            "all of it, five members, up to 60 % loss",
            {"get": 5, "put": 4, "remove": 1, "swap": 1, "swap_if": 1, "fence": 1},
            plain=2,
            volatile=2,
            harsh=True,
            members=5,
            steps=5,
        ),
        Mix(
            "crash",
            "members die and others come; durable and other keys",
            {"get": 5, "put wait": 3, "remove": 1, "swap": 1, "put": 1},
            plain=2,
            volatile=2,
            durable=True,
            joins=True,
            steps=6,
            sleep=0.25,
            sleep_s=3.0,
        ),
        Mix(
            "watch",
            "watchers hear of every last change; scans",
            {"get": 2, "put": 4, "remove": 1, "scan": 1},
            plain=2,
            volatile=1,
            watches=True,
        ),
        Mix(
            "views",
            "others come and go, founders die before work begins, ways break; watchers and scans",
            {"get": 6, "put wait": 2, "put": 2, "remove": 1, "swap": 1, "scan": 1},
            plain=2,
            volatile=2,
            durable=True,
            joins=True,
            watches=True,
            newcomers=3,
            steps=6,
            sleep=0.25,
            sleep_s=3.0,
        ),
    )
}


@dataclass(slots=True)
class Step:
    """One operation to come, and what it is to the checkers; those of kind "fence" and "sleep" have no key."""

    operation: Operation
    do: Do


def is_volatile(key: str) -> bool:
    """Return whether all writes of a key wait."""
    return key[0] == "!"


def is_durable(key: str) -> bool:
    """Return whether this key is always written durably here."""
    return key.lstrip("!")[0] == "d"


def register(functions: Functions) -> None:
    """Give the functions their names."""
    functions.register("swap", lambda value, new: Change(new, value))
    functions.register(
        "swap_if", lambda value, expected, new: Change(new, value) if value == expected else Unchanged(value)
    )


def value_of(number: int, size_bytes: int) -> Any:
    """Return the value that operation `number` puts: itself, or bytes that no other puts."""
    return (b"%d " % number).ljust(size_bytes, b".") if size_bytes else number


def draw_scripts(mix: Mix, random: Random, size_bytes: int = 0) -> list[tuple[int, list[Step]]]:
    """Return (member, steps) of each thread. Values follow from numbers of operations, so each is put once."""
    suffix = random.randrange(1000)
    letter = "d" if mix.durable else "k"
    plain = [f"{letter if i % 2 == 0 else 'k'}{i}-{suffix}" for i in range(mix.plain)]
    volatile = [f"!{letter if i % 2 == 0 else 'k'}{i}-{suffix}" for i in range(mix.volatile)]
    counters = [f"!n{i}-{suffix}" for i in range(mix.counters)]
    kinds = list(mix.kinds)
    weights = list(mix.kinds.values())
    scripts = []
    number = 0
    for member in range(mix.members + mix.newcomers):
        for _ in range(mix.threads):
            steps = []
            for kind in random.choices(kinds, weights, k=mix.steps):
                number += 1
                if random.random() < mix.sleep:
                    steps.append(_sleep(member, mix.sleep_s * random.random()))
                steps.append(_step(kind, member, number, (plain + volatile, counters), random, size_bytes))
            scripts.append((member, steps))
    return scripts


def _sleep(member: int, seconds: float) -> Step:
    return Step(Operation(0, member, 0, "sleep", ""), Do("sleep", seconds=seconds))


def _step(
    kind: str, member: int, number: int, keys: tuple[list[str], list[str]], random: Random, size_bytes: int
) -> Step:
    if kind == "fence":
        return Step(Operation(number, member, 0, "fence", ""), Do("fence", op=number))
    if kind == "scan":
        return Step(Operation(number, member, 0, "scan", ""), Do("scan", op=number))
    usual, counters = keys
    if counters and (kind == "add" or (kind == "get" and random.random() < 0.1)):
        key = random.choice(counters)
    else:
        key = random.choice(usual)
    waits = is_volatile(key) or kind != "put"
    durable = is_durable(key)
    operation = Operation(number, member, 0, kind, key, waits=waits)
    value = value_of(number, size_bytes)
    if kind == "get":
        return Step(operation, Do("get", key, op=number))
    if kind in ("put", "put wait"):
        operation.kind = "put"
        operation.argument = value
        return Step(operation, Do("put", key, value, waits, durable, op=number))
    if kind == "remove":
        operation.waits = is_volatile(key) or random.random() < 0.3
        return Step(operation, Do("put", key, None, operation.waits, durable, op=number))
    arguments: tuple[Any, ...] = (value,)
    if kind == "swap_if":
        expected = None if random.random() < 0.4 else value_of(max(1, number - random.randint(1, 20)), size_bytes)
        arguments = (expected, value)
    operation.argument = arguments if kind == "swap_if" else 1 if kind == "add" else value
    if kind == "add":
        arguments = (1,)
    return Step(operation, Do("atomic", key, None, True, durable, kind, arguments, op=number))
