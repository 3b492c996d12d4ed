"""What histories are right: slow and obvious."""

from __future__ import annotations

import math
from typing import Any

from hydroscope.kv.effects import Lost, Value, Wrote
from hydroscope.kv.functions import FunctionError, Functions
from tests.kv.explore import Call

__all__ = ["is_linearizable", "versions_are_consistent"]

_FUNCTIONS = Functions(lambda: 0.0)


def is_linearizable(calls: list[Call], first: Any = None) -> bool:
    """Tell whether one order of all operations of one key, true to what ended before what began, explains every answer.

    `first` is the value before. Tries them all (with what was tried remembered).
    """
    tried: set[tuple[frozenset[int], str]] = set()

    def follow(left: frozenset[int], value: Any) -> bool:
        if not any(calls[i].outcome is not None for i in left):
            return True
        state = (left, repr(value))
        if state in tried:
            return False
        tried.add(state)
        first_end = min(calls[i].ended for i in left)
        for i in left:
            if calls[i].begun > first_end:
                continue
            fits, after = _apply(calls[i], value)
            if fits and follow(left - {i}, after):
                return True
        return False

    return follow(frozenset(range(len(calls))), first)


def _apply(call: Call, value: Any) -> tuple[bool, Any]:
    """Do one operation on the value; tell whether its answer fits."""
    step, outcome = call.step, call.outcome
    if step.operation == "get":
        return outcome is None or outcome.value == value, value
    if step.operation == "put":
        return True, step.arguments[1]
    try:
        applied = _FUNCTIONS.apply(step.arguments[1], value, step.arguments[2])
    except FunctionError:
        return False, value
    fits = outcome is None or (applied.result, applied.aborted) == (outcome.result, outcome.aborted)
    return fits, value if applied.aborted else applied.value


def _may_have_been(call: Call) -> bool:
    """Tell whether nobody knows if it was done."""
    return call.outcome is None or isinstance(call.outcome, Lost)


def versions_are_consistent(calls: list[Call], order: dict[str, list[tuple[int, Any, Any]]]) -> None:
    """Check every operation against the order that the homes gave out (with deaths: an order of what was not lost).

    - what is read is the value of its version, an absent key is absent as of it;
    - nothing that began after another operation had ended sees an older version than that one did;
    - of two writes the later has the larger version.

    Only for operations that wait: a plain put may be seen before its time by its own member.
    """
    by_key: dict[str, list[tuple[float, float, int, bool, Call]]] = {}
    unknown = {call.step.arguments[0] for call in calls if call.step.operation != "get" and _may_have_been(call)}
    for call in calls:
        key, outcome = call.step.arguments[0], call.outcome
        if isinstance(outcome, Value):
            known = [value for version, value, _ in order.get(key, []) if version <= outcome.version]
            now = [value for version, value, _ in order.get(key, []) if version == outcome.version]
            if now:
                assert now == [outcome.value], call
            elif key not in unknown:  # if it is: backed up, not switched when its home died
                assert outcome.value is None, call
                assert not known or known[-1] is None, call
            by_key.setdefault(key, []).append((call.begun, call.ended, outcome.version, False, call))
        elif isinstance(outcome, Wrote):
            by_key.setdefault(key, []).append((call.begun, call.ended, outcome.version, not outcome.aborted, call))
    for events in by_key.values():
        events.sort(key=lambda event: event[0])
        ends = sorted(events, key=lambda event: event[1])
        newest, i = -math.inf, 0
        for begun, _, version, is_write, call in events:
            while ends[i][1] < begun:
                newest = max(newest, ends[i][2])
                i += 1
            assert version > newest if is_write else version >= newest, (call, newest)
