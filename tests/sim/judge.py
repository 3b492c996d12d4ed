"""All oracles over one history."""

from __future__ import annotations

from dataclasses import replace

from hydroscope.kv.homes import best
from tests.sim.checkers.graph import relate
from tests.sim.checkers.history import NEVER, Operation
from tests.sim.checkers.linearizable import by_key, is_linearizable
from tests.sim.checkers.order import (
    atomicity,
    coherence,
    happens_before,
    is_sequentially_consistent,
    real_time,
    visible_after_waiting,
)
from tests.sim.scripts import Mix, is_durable, is_volatile
from tests.sim.verdict import Verdict

__all__ = ["judge_history", "judge_scans"]


def judge_history(
    operations: list[Operation], mix: Mix, deaths: list[tuple[int, int]], all_live: bool, verdict: Verdict
) -> None:
    """Note everything that the promises do not allow. `all_live`: no process has died or was excluded."""
    started = [each for each in operations if each.start]
    for key, of_key in by_key(started).items():
        if is_volatile(key):
            _judge_volatile(key, of_key, deaths, verdict)
    if deaths:
        _judge_durable(started, deaths, verdict)
    spread_versions(started)
    relations = relate(each for each in started if each.key[:2] != "!n")
    if all_live and not deaths:  # what the dead put and nobody ordered may have been seen by their threads
        for text in (*relations.wrong, *atomicity(relations)):
            verdict.wrong("history", text)
    for text in real_time(relations, is_volatile):
        verdict.wrong("real time", text)
    if is_sequentially_consistent(relations):
        verdict.counters["sequentially consistent"] += 1
    else:
        verdict.counters["not sequentially consistent"] += 1
        if not mix.plain:
            verdict.wrong("not sequentially consistent", "")
        for key in coherence(relations):
            verdict.wrong("incoherent", key)
        for text in happens_before(relations, is_volatile):
            verdict.wrong("happens-before", text)
    for text in visible_after_waiting(relations):
        verdict.wrong("waited for and not seen", text)


def _judge_durable(operations: list[Operation], deaths: list[tuple[int, int]], verdict: Verdict) -> None:
    """Note durable values that were lost with one member."""
    dead = {number for number, _ in deaths}
    if len(dead) > 1:
        return
    for operation in operations:
        if operation.kind == "get" and operation.lost and is_durable(operation.key) and not operation.excluded:
            written = any(
                each.key == operation.key and each.wrote_version is not None and each.end < operation.start
                for each in operations
                if not each.lost and each.waits
            )
            if written:
                verdict.wrong("durable and lost", str(operation))


def judge_scans(
    scans: list[Operation],
    operations: list[Operation],
    missing: dict[int, tuple[int, ...]],
    founders: tuple[int, ...],
    verdict: Verdict,
) -> None:
    """Note scans that miss a key that was there all the time, or name one that nobody had put.

    `missing`: by number of a scan the lost members that it said may have held more.
    """
    for scan in scans:
        if scan.end == NEVER or scan.lost:
            continue
        begun = [each for each in operations if each.start and each.start < scan.end]
        for name in scan.observed:
            if not any(each.key == name and each.kind != "get" and each.kind != "remove" for each in begun):
                verdict.wrong("scan", f"{name} was named by {scan} and put by nobody")
        for put in begun:
            if put.kind != "put" or not put.waits or put.lost or put.end > scan.start or put.key in scan.observed:
                continue
            if best(put.key, founders) in missing[scan.number]:
                continue
            removes = [each for each in begun if each.kind == "remove" and each.key == put.key]
            if all((each.wrote_version or NEVER) < (put.wrote_version or 0) for each in removes):
                verdict.wrong("scan", f"{put} was not named by {scan}")


SPREAD = 1000
"""Room between two versions for the puts that were merged into the second."""


def spread_versions(operations: list[Operation]) -> None:
    """Give merged puts versions of their own, right before the put that replaced them."""
    merged: dict[tuple[str, int], list[Operation]] = {}
    unplaced_removes = {(each.key, each.member) for each in operations if each.kind == "remove" and not each.waits}
    for each in operations:
        if each.read_version is not None:
            each.read_version *= SPREAD
            if not each.read_version and (each.observed is not None or (each.key, each.member) in unplaced_removes):
                each.read_version = None  # an own put or remove that had no place yet
        if each.wrote_version is not None:
            if each.merged:
                merged.setdefault((each.key, each.wrote_version), []).append(each)
            each.wrote_version *= SPREAD
    for puts in merged.values():
        puts.sort(key=lambda each: each.start)
        for i, each in enumerate(puts):
            assert each.wrote_version is not None
            each.wrote_version -= len(puts) - i


def _judge_volatile(key: str, operations: list[Operation], deaths: list[tuple[int, int]], verdict: Verdict) -> None:
    tried = operations
    if deaths and (not is_durable(key) or len(deaths) > 1):
        loses = [Operation(0, 0, 0, "lose", key, start=step, end=NEVER) for _, step in deaths]
        told = [
            replace(each, kind="find lost", lost=False)
            for each in operations
            if each.kind == "get" and each.lost and not each.excluded
        ]
        others = [each for each in operations if each.kind != "get" or not each.lost]
        tried = sorted([*others, *told, *loses], key=lambda each: each.start)
    if not is_linearizable(tried):
        verdict.wrong("not linearizable", "\n".join([key, *map(str, tried)]))
