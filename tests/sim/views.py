"""What changes the view besides crashes: leaves that come and go, founders that die early, ways that break."""

from __future__ import annotations

from random import Random

from hydroscope.engine.simulated.world import World

__all__ = ["plan_views"]

EARLY_S = 0.05
"""Founders that die early do so within this time: before, while or after the first view opens."""


def plan_views(world: World, random: Random, n_founders: int, n_newcomers: int, detect_s: float) -> None:
    """Let newcomers join (they store nothing) and some of them leave or die, a founder die early, a way break."""
    agenda, window_s = world.agenda, world.faults.window_s
    for place in range(n_founders, n_founders + n_newcomers):
        comes_s = random.random() * (window_s + random.choice((0.05, 3.0)))
        agenda.at(comes_s, world._restart, place)
        if random.random() < 0.5:
            goes = _leave if random.random() < 0.5 else _die
            agenda.at(comes_s + random.random() * random.choice((0.1, 3.0)), goes, (world, place))
    mortal = range(1, n_founders)
    if random.random() < 0.3:
        agenda.at(random.random() * EARLY_S, _die, (world, random.choice(mortal)))
    if random.random() < 0.4:
        a, b = random.choice(mortal), random.choice(range(1, n_founders + n_newcomers))
        at_s = random.random() * random.choice((window_s, 2.0))
        length_s = detect_s * random.choice((0.5, 2.0))
        ways = [(a, b), (b, a)] if a != b else []
        agenda.at(at_s, _break, (world, ways, length_s))
        if random.random() < 0.5:  # and it does not hear for a while that it was given up for that
            agenda.at(at_s + detect_s * (0.5 + random.random()), _break, (world, [(0, b)], detect_s * random.random()))


def _leave(entry: tuple[World, int]) -> None:
    world, place = entry
    process = world.processes[place]
    if process.alive and not process.excluded:
        world._perform(process, process.member.leave(process.clock.seconds()))


def _die(entry: tuple[World, int]) -> None:
    """Die; founders are replaced, since the others wait for one if it dies before work begins."""
    world, place = entry
    if not world.processes[place].alive:
        return
    world.crash(place)
    if not world.faults.restarts:
        world.agenda.at(world.agenda.now + 0.5, world._restart, place)


def _break(entry: tuple[World, list[tuple[int, int]], float]) -> None:
    """Let members not hear each other, while the authority hears both."""
    world, ways, length_s = entry
    world.network.counters["ways broken"] += 1
    for source, target in ways:
        world.network.cut(source, target, world.agenda.now + length_s)
