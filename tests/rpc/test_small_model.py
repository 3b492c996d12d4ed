"""Every order of everything that can happen to one or two calls, within a budget of faults.

A breadth-first search over the real links: in each state every message under way may arrive,
be lost or be doubled, every execution may end, every timer may fire. States that differ only
in times are one. In each state `Pair` holds the links to exactly-once and to their
invariants; from each of them, once the faults stop, all calls must come to their end.
"""

from __future__ import annotations

import copy
from collections import Counter, deque

import pytest

from hydroscope.rpc.link import Link, Window
from hydroscope.rpc.states import SERVER, Action, ServerEvent, ServerState, Step
from tests.rpc.pair import Pair


def cloned(link: Link) -> Link:
    twin = type(link)(window=link.window)
    for name in Link.__slots__:
        value = getattr(link, name)
        if name in ("_own", "_theirs"):
            value = {number: copy.copy(task) for number, task in value.items()}
        elif name == "_queue":
            value = deque(twin._own[task.number] for task in value)
        elif name == "round_trip":
            continue
        elif not isinstance(value, int | Window):
            value = copy.copy(value)
        setattr(twin, name, value)
    return twin


def branched(pair: Pair) -> Pair:
    twin = copy.copy(pair)
    twin.links = [cloned(link) for link in pair.links]
    twin.bag, twin.running = list(pair.bag), list(pair.running)
    for name in ("executed", "delivered", "settled", "failed"):
        setattr(twin, name, tuple(Counter(each) for each in getattr(pair, name)))
    twin.bodies, twin.sent = dict(pair.bodies), Counter()
    return twin


def form_of(pair: Pair) -> tuple:
    """Return what tells states apart: all but times, counts and the order in which equals lie."""
    parts: list = [
        sorted((to, type(message).__name__, message.number) for to, message in pair.bag),
        sorted((at, number) for at, number, _ in pair.running),
    ]
    for link in pair.links:
        timers = sorted((task.due, n) for n, task in (*link._own.items(), *link._theirs.items()) if task.due < 1e300)
        parts += [
            link.last_number,
            link.removed,
            sorted(link._settled),
            sorted((n, task.state) for n, task in link._own.items()),
            sorted((n, task.state) for n, task in link._theirs.items()),
            [n for _, n in timers],
        ]
    return tuple(map(tuple_of, parts))


def tuple_of(value):
    return tuple(value) if isinstance(value, list) else value


def moves(pair: Pair, faults: int, timeouts: int):
    """Yield (what, index, faults left, timeouts left) of everything that can happen next."""
    seen = set()
    for index, (to, message) in enumerate(pair.bag):
        kind = (to, type(message), message.number)
        if kind in seen:
            continue
        seen.add(kind)
        yield "arrive", index, faults, timeouts
        if faults:
            yield "drop", index, faults - 1, timeouts
            yield "double", index, faults - 1, timeouts
    for index in range(len(pair.running)):
        yield "finish", index, faults, timeouts
    if timeouts:
        for at, link in enumerate(pair.links):
            if link.deadline < float("inf"):
                yield "time_out", at, faults, timeouts - 1


def explore(start: Pair, faults: int, timeouts: int, drain_each: int) -> int:
    """Visit every state; drain every so manieth. Returns how many there are."""
    seen: set = set()
    waiting = deque([(start, faults, timeouts)])
    n_states = 0
    while waiting:
        pair, faults, timeouts = waiting.popleft()
        if n_states % drain_each == 0:
            branched(pair).drain()
        n_states += 1
        for what, index, faults_left, timeouts_left in moves(pair, faults, timeouts):
            after = branched(pair)
            getattr(after, what)(index)
            form = (form_of(after), faults_left, timeouts_left)
            if form not in seen:
                seen.add(form)
                waiting.append((after, faults_left, timeouts_left))
    return n_states


@pytest.mark.parametrize(
    ("n_calls", "window", "faults", "timeouts", "at_least"),
    [
        (1, Window(), 3, 2, 1_000),
        (2, Window(), 1, 1, 1_000),
        (2, Window(calls=1), 1, 2, 500),
        (2, Window(table=1), 1, 2, 1_000),
    ],
    ids=["one call", "two calls", "two calls one at a time", "two calls and a table of one"],
)
def test_one_or_two_calls_in_every_order(n_calls, window, faults, timeouts, at_least):
    pair = Pair(window)
    for _ in range(n_calls):
        pair.call(0)
    n_states = explore(pair, faults, timeouts, drain_each=11)
    assert n_states >= at_least


def test_a_call_each_way_in_every_order():
    pair = Pair()
    pair.call(0)
    pair.call(1)
    assert explore(pair, faults=1, timeouts=1, drain_each=11) >= 1_000


class Forgetful(Link):
    """Forgets a call as soon as its answer is sent."""

    server = Link.plan(
        {
            **SERVER,
            (ServerState.RUNNING, ServerEvent.FINISH): Step(
                ServerState.SETTLED,
                (Action.KEEP_RESULT, Action.SEND_ACK, Action.SETTLE, Action.DROP_RESULT, Action.ROLL),
            ),
        }
    )


class Eager(Link):
    """Executes again what comes again."""

    server = Link.plan(
        {**SERVER, (ServerState.RUNNING, ServerEvent.CALL): Step(ServerState.RUNNING, (Action.EXECUTE,))}
    )


@pytest.mark.parametrize("mutant", [Forgetful, Eager])
def test_the_search_finds_a_table_with_an_error_in_it(mutant):
    pair = Pair(kinds=(Link, mutant))
    pair.call(0)
    with pytest.raises(AssertionError):
        explore(pair, faults=1, timeouts=1, drain_each=1)
