"""Questions to the past, compared with asking at every moment."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.ground.errors import UserError
from hydroscope.scope.queries import bisect, first_time, last_time, watch
from hydroscope.scope.snapshots import snapshot
from hydroscope.window.absent import ABSENT
from hydroscope.window.log import WindowLog
from tests.scope.bank import Bank, total

KEYS = "abc"

PREDICATES = [
    lambda state: state.get(("one", "a"), 0) > 5,
    lambda state: state.get(("one", "a"), 0) > state.get(("other", "b"), 3),
    lambda state: state.get(("one", state.get(("other", "a"), "a")), 0) == 7,  # what it reads depends on what it read
    lambda state: sum(value for value in state.values() if isinstance(value, int)) > 30,
    lambda state: len(state.node("other")) == 3,
    lambda state: True,
    lambda state: False,
]


def histories():
    value = st.one_of(st.integers(0, 9), st.sampled_from(KEYS), st.just(ABSENT))
    return st.lists(st.tuples(st.booleans(), st.sampled_from(KEYS), value), max_size=30)


def write(logs, written):
    """Write to one log or the other, the stamps in turn; return them."""
    stamps = []
    for is_other, key, value in written:
        log = logs[is_other]
        value = value if key in "a" or isinstance(value, int) or value is ABSENT else 1
        if value is ABSENT and key not in log:
            continue
        stamps.append(log.put(key, value))
        logs[not is_other].merge(stamps[-1])
    return stamps


def guarded(predicate):
    """Return it as one that holds for no state that it cannot read."""

    def ask(state):
        try:
            return bool(predicate(state))
        except TypeError:
            return False

    return ask


@given(histories(), st.sampled_from(PREDICATES))
@settings(deadline=None, max_examples=80)
def test_last_and_first_time_are_those_of_asking_everywhere(written, predicate):
    logs, predicate = [WindowLog("one"), WindowLog("other")], guarded(predicate)
    start = snapshot(logs=logs).at
    stamps = [start, *write(logs, written)]
    holds = [predicate(snapshot(stamp, logs)) for stamp in stamps]
    last, first = last_time(predicate, logs), first_time(predicate, logs)
    if not any(holds):
        assert last is None
        assert first is None
        return
    assert predicate(last)
    assert predicate(first)
    after = max(index for index, each in enumerate(holds) if each) + 1
    assert stamps[after - 1] <= last.at
    if after < len(stamps):
        assert last.at == stamps[after] - 1
        assert last.step() == 1
        assert not predicate(last)
    index = holds.index(True)
    assert first.at == stamps[index] or (index == 0 and first.at <= start)


@given(histories(), histories(), st.sampled_from(PREDICATES))
@settings(deadline=None, max_examples=50)
def test_a_watch_finds_every_event_that_broke_what_held(before, after, invariant):
    logs, invariant, told = [WindowLog("one"), WindowLog("other")], guarded(invariant), []
    write(logs, before)
    guard = watch(invariant, logs, told.append)
    held, expected = invariant(snapshot(logs=logs)), []
    found = []
    for part in (after[:10], after[10:]):
        for stamp in write(logs, part):
            holds = invariant(snapshot(stamp, logs))
            if held and not holds:
                expected.append(stamp)
            held = holds
        found += guard.check()
    assert [snap.at for snap in found] == expected
    assert told == found
    assert guard.holds is held
    assert guard.n_missed == 0
    assert not guard.check()


def test_a_predicate_is_asked_again_only_where_what_it_reads_changed():
    log, n_asked = WindowLog("log", seconds=60), []
    for n in range(20_000):
        log[n % 500] = n
        if n == 100:
            log["rare"] = 1
    log["rare"] = 2

    def predicate(state):
        n_asked.append(state.get("rare", 0))
        return state.get("rare", 0) == 0

    assert last_time(predicate, log).step() == 1
    assert n_asked == [2, 1, 0]


def test_bisect_finds_the_event_that_broke_it_for_good():
    bank = Bank.simulate(3)
    thief = bank.logs[1]
    stamp = thief.put(("balance", 0), thief["balance", 0] - 10)
    for n in range(100):
        bank.logs[0].put(("note", n), n)
    asked = []

    def invariant(state):
        asked.append(1)
        return total(Money(state)) == bank.total or len(state) < 12  # while accounts are opened

    snap = bisect(invariant, bank.logs)
    assert snap.at == stamp
    assert [(change.node, change.key) for change in snap.changes()] == [("node-1", ("balance", 0))]
    assert len(asked) < 70
    with pytest.raises(UserError, match="holds now"):
        bisect(lambda state: True, bank.logs)
    with pytest.raises(UserError, match="was broken already at"):
        bisect(lambda state: False, bank.logs)


class Money:
    """A state without what is no money."""

    def __init__(self, state):
        self.state = state

    def items(self):
        return [each for each in self.state.items() if each[0][1][0] != "note"]


def test_a_watch_that_came_too_late_says_so_and_goes_on():
    log = WindowLog("log", seconds=3600, bytes=20_000)
    log["x"] = 1
    guard = watch(lambda state: state["x"] > 0, log)
    for n in range(5_000):
        log["y"] = n
    log["x"] = -1
    for n in range(5_000):
        log["y"] = n
    assert [snap["x"] for snap in guard.check()] == [-1]
    assert guard.n_missed == 1
    log["x"] = 1
    log["x"] = -2
    assert [snap["x"] for snap in guard.check()] == [-2]
    assert guard.n_missed == 1


def test_who_asks_with_what_is_no_function_is_told():
    log = WindowLog("log")
    for ask in (last_time, first_time, bisect, watch):
        with pytest.raises(UserError, match="5 is no function of a state"):
            ask(5, log)
    with pytest.raises(UserError, match="alert='mail' is no function of a snapshot"):
        watch(lambda state: True, log, "mail")


def test_what_a_predicate_raises_comes_with_the_moment_it_was_asked_about():
    log = WindowLog("log")
    log["a"] = 1
    with pytest.raises(KeyError) as caught:
        last_time(lambda state: state["b"] > 0, log)
    assert caught.value.__notes__[0].startswith("raised by what was asked about <Snapshot of log at ")


@pytest.mark.parametrize("who", ["invariant", "alert"])
def test_a_watch_that_was_interrupted_by_its_user_s_error_loses_nothing(who):
    log, told = WindowLog("log"), []
    log["x"] = 1

    def fails(name, value):
        if who == name and value == -2:
            raise ZeroDivisionError
        return value

    def alert(snap):
        told.append(snap["x"])
        fails("alert", snap["x"])

    guard = watch(lambda state: fails("invariant", state["x"]) > 0, log, alert)
    for value in (-1, 1, -2, -3, 1, -4):
        log["x"] = value
    with pytest.raises(ZeroDivisionError):
        guard.check()
    found = [snap["x"] for snap in guard.check()]
    assert found == told == ([-1, -3, -4] if who == "invariant" else [-1, -2, -4])
    assert not guard.check()


def test_an_invariant_that_raised_before_it_had_read_anything_is_asked_again_at_the_next_event():
    log, n_asked = WindowLog("log"), []
    log["x"] = 1

    def invariant(state):
        n_asked.append(1)
        if len(n_asked) == 2:
            raise ZeroDivisionError
        return state["x"] > 0

    guard = watch(invariant, log)
    for value in (2, -1):
        log["x"] = value
    with pytest.raises(ZeroDivisionError):
        guard.check()
    assert [snap["x"] for snap in guard.check()] == [-1]
