"""The oracles themselves: histories with known verdicts, and a slow checker that agrees with the fast one."""

from __future__ import annotations

from itertools import count
from random import Random

import pytest

from tests.sim.checkers.graph import relate
from tests.sim.checkers.history import NEVER, Operation
from tests.sim.checkers.linearizable import by_brute_force, is_linearizable
from tests.sim.checkers.order import atomicity, coherence, happens_before, is_sequentially_consistent, real_time
from tests.sim.checkers.rest import disagreements
from tests.sim.story import tell
from tests.sim.verdict import Verdict


def history(*rows: str) -> list[Operation]:
    """Read one operation a row: thread start end kind key argument, then -> observed @read-version #written-version."""
    operations = []
    for number, row in enumerate(rows):
        words = row.split()
        operation = Operation(number, int(words[0]), 0, words[3], words[4], start=int(words[1]))
        operation.end = NEVER if words[2] == "-" else int(words[2])
        rest = words[5:]
        while rest:
            word = rest.pop(0)
            if word == "->":
                operation.observed = _value(rest.pop(0))
            elif word == "aborted":
                operation.aborted = True
            elif word == "plain":
                operation.waits = False
            elif word[0] == "@":
                operation.read_version = int(word[1:])
            elif word[0] == "#":
                operation.wrote_version = int(word[1:])
            elif operation.kind == "swap_if":
                operation.argument = (_value(word), _value(rest.pop(0)))
            else:
                operation.argument = _value(word)
        operations.append(operation)
    return sorted(operations, key=lambda each: each.start)


def _value(word: str) -> int | None:
    return None if word == "none" else int(word)


LINEARIZABLE = {
    "nothing": (),
    "a read of a key nobody wrote": ("0 0 1 get k -> none",),
    "a read after a write": ("0 0 1 put k 1", "1 2 3 get k -> 1"),
    "a read beside a write sees the old value": ("0 0 5 put k 1", "1 1 2 get k -> none", "1 6 7 get k -> 1"),
    "two racing writes, seen in one order": ("0 0 9 put k 1", "1 0 9 put k 2", "2 3 4 get k -> 2", "2 5 6 get k -> 1"),
    "a write that never ended happened": ("0 0 - put k 1", "1 5 6 get k -> 1"),
    "a write that never ended did not happen": ("0 0 - put k 1", "1 5 6 get k -> none"),
    "a write that never ended happened late": ("0 0 - put k 1", "1 5 6 get k -> none", "1 7 8 get k -> 1"),
    "removed": ("0 0 1 put k 1", "0 2 3 remove k", "1 4 5 get k -> none"),
    "swaps in a row": ("0 0 9 swap k 1 -> none", "1 0 9 swap k 2 -> 1", "2 10 11 get k -> 2"),
    "an aborted swap changes nothing": (
        "0 0 1 put k 1",
        "1 2 3 swap_if k 7 2 -> 1 aborted",
        "0 4 5 get k -> 1",
    ),
    "sums": ("0 0 9 add k 1 -> 2", "1 0 9 add k 1 -> 1", "2 10 11 get k -> 2"),
    "lost with its home, then written": (
        "0 0 1 put k 1",
        "9 2 - lose k",
        "1 5 6 put k 2",
        "1 7 8 get k -> 2",
    ),
    "a read that never ended says nothing": ("0 0 1 put k 1", "1 2 - get k"),
}

NOT_LINEARIZABLE = {
    "a stale read": ("0 0 1 put k 1", "1 2 3 get k -> none"),
    "a value out of thin air": ("0 0 1 put k 1", "1 2 3 get k -> 5"),
    "new, then old (R7)": ("0 0 9 put k 1", "1 1 2 get k -> 1", "2 3 4 get k -> none"),
    "racing writes, seen in two orders": (
        "0 0 1 put k 1",
        "1 0 1 put k 2",
        "2 3 4 get k -> 2",
        "2 5 6 get k -> 1",
    ),
    "a write from the future": ("1 0 1 get k -> 1", "0 2 3 put k 1"),
    "two swaps saw the same value": ("0 0 9 swap k 1 -> none", "1 0 9 swap k 2 -> none"),
    "an aborted swap that changed the key": ("0 0 1 put k 1", "1 2 3 swap_if k 7 2 -> 1 aborted", "0 4 5 get k -> 2"),
    "aborted though the value was the expected one": ("0 0 1 put k 1", "1 2 3 swap_if k 1 2 -> 1 aborted"),
    "a sum that was counted twice": ("0 0 1 add k 1 -> 1", "1 2 3 get k -> 2"),
    "a removed value that came back": (
        "0 0 1 put k 1",
        "0 2 3 remove k",
        "1 4 5 get k -> none",
        "1 6 7 get k -> 1",
    ),
    "a write that never ended, undone": ("0 0 - put k 1", "1 5 6 get k -> 1", "1 7 8 get k -> none"),
    "lost, yet absent": ("0 0 1 put k 1", "9 2 - lose k", "1 5 6 get k -> none"),
    "lost, then read again as it was": (
        "0 0 1 put k 1",
        "9 2 - lose k",
        "1 5 6 put k 2",
        "1 7 8 get k -> 1",
    ),
}


@pytest.mark.parametrize("name", LINEARIZABLE)
def test_linearizable_histories_are_accepted(name):
    operations = history(*LINEARIZABLE[name])
    assert is_linearizable(operations)
    assert by_brute_force(operations)


@pytest.mark.parametrize("name", NOT_LINEARIZABLE)
def test_other_histories_are_refused(name):
    operations = history(*NOT_LINEARIZABLE[name])
    assert not is_linearizable(operations)
    assert not by_brute_force(operations)


def test_the_search_agrees_with_all_permutations_on_random_histories():
    random = Random(20)
    verdicts = {True: 0, False: 0}
    for _ in range(3000):
        operations = _random_history(random)
        verdict = by_brute_force(operations)
        assert is_linearizable(operations) == verdict, "\n".join(map(str, operations))
        verdicts[verdict] += 1
    assert min(verdicts.values()) > 500


def _random_history(random: Random) -> list[Operation]:
    """Up to six operations of three threads; observed values drawn from those that may have been there."""
    n = random.randint(1, 6)
    clock = count()
    free = [0, 0, 0]
    operations = []
    times = sorted(random.sample(range(40), 2 * n))
    values = [None]
    for number in range(n):
        thread = random.randrange(3)
        start = max(free[thread], times[number])
        end = start + random.randint(1, 12)
        free[thread] = end + 1
        kind = random.choice(["get", "get", "put", "remove", "swap", "swap_if", "add"])
        operation = Operation(number, thread, 0, kind, "k", start=start * 100 + next(clock), end=end * 100 + 99)
        if kind == "swap_if":
            operation.argument = (random.choice(values), number + 1)
            operation.aborted = random.random() < 0.5
        elif kind == "add":
            operation.argument = 1
            operation.observed = random.randint(1, 4)
        elif kind in ("put", "swap"):
            operation.argument = number + 1
        if kind in ("put", "swap", "swap_if"):
            values.append(number + 1)
        if kind in ("get", "swap", "swap_if"):
            operation.observed = random.choice(values)
        if random.random() < 0.1:
            operation.end = NEVER
            operation.aborted = False
        operations.append(operation)
    return sorted(operations, key=lambda each: each.start)


MESSAGE_PASSING = (
    "0 0 1 put d 1 #1",
    "0 2 3 put f 2 #1",
    "1 4 5 get f -> 2 @1",
)
STORE_BUFFER = ("0 0 1 put a 1 #1", "0 2 3 get b -> none @0", "1 0 1 put b 2 #1", "1 2 3 get a -> none @0")


def test_message_passing_that_sees_the_flag_must_see_the_data():
    fine = relate(history(*MESSAGE_PASSING, "1 6 7 get d -> 1 @1"))
    wrong = relate(history(*MESSAGE_PASSING, "1 6 7 get d -> none @0"))
    assert is_sequentially_consistent(fine)
    assert not happens_before(fine, "f".__eq__)
    assert not is_sequentially_consistent(wrong)
    assert happens_before(wrong, "f".__eq__)
    assert not happens_before(wrong, lambda _: False), "without volatile keys nothing is promised"
    assert not coherence(wrong), "each key by itself is fine"


def test_a_flag_that_was_overwritten_later_still_passes_the_message():
    relations = relate(
        history(
            "0 0 1 put d 1 #1", "0 2 3 put f 2 #1", "2 4 5 put f 3 #2", "1 6 7 get f -> 3 @2", "1 8 9 get d -> none @0"
        )
    )
    assert happens_before(relations, "f".__eq__)


def test_a_read_may_not_see_a_write_that_it_happens_before():
    relations = relate(history("0 0 1 get d -> 1 @1", "0 2 3 put f 2 #1", "1 4 5 get f -> 2 @1", "1 6 7 put d 1 #1"))
    assert any("future" in each for each in happens_before(relations, "f".__eq__))


def test_store_buffers_are_not_sequentially_consistent_and_break_no_key():
    relations = relate(history(*STORE_BUFFER))
    assert not is_sequentially_consistent(relations)
    assert not coherence(relations)


@pytest.mark.parametrize(
    "rows",
    [
        ("0 0 1 put k 1 #1", "0 2 3 get k -> none @0"),
        ("0 0 1 put k 1 #1", "0 2 3 put k 2 #2", "1 4 5 get k -> 2 @2", "1 6 7 get k -> 1 @1"),
        ("0 0 1 get k -> 1 @1", "0 2 3 put k 1 #1"),
        ("0 0 1 put k 1 #2", "0 2 3 put k 2 #1"),
    ],
    ids=["CoWR", "CoRR", "CoRW", "CoWW"],
)
def test_a_key_on_which_time_runs_backwards_is_incoherent(rows):
    relations = relate(history(*rows))
    assert coherence(relations) == ["k"]
    assert not is_sequentially_consistent(relations)


def test_versions_may_not_go_back_in_real_time():
    assert real_time(relate(history("0 0 1 put k 1 #1", "1 2 3 get k -> none @0")))
    assert real_time(
        relate(history("0 0 1 get k -> 5 @2", "1 2 3 get k -> 4 @1", "2 0 9 put k 4 #1", "3 0 9 put k 5 #2"))
    )
    assert not real_time(relate(history("0 0 5 put k 1 #1", "1 2 3 get k -> none @0", "1 6 7 get k -> 1 @1")))
    assert real_time(relate(history("0 0 1 put k 1 #2", "1 2 3 put k 2 #1")))


def test_an_atomic_reads_the_version_before_its_own():
    assert not atomicity(relate(history("0 0 1 put k 1 #3", "1 2 3 swap k 2 -> 1 @3 #4")))
    assert atomicity(relate(history("0 0 1 put k 1 #3", "2 0 1 put k 3 #4", "1 2 3 swap k 2 -> 1 @3 #5")))


def test_values_tell_which_write_was_seen_and_contradictions_are_found():
    assert relate(history("0 0 1 put k 1 #1", "1 2 3 get k -> 1")).readers == {"k": [(1, 1)]}
    assert relate(history("0 0 1 put k 1 #1", "1 2 3 get k -> 8")).wrong
    assert relate(history("0 0 1 put k 1 #1", "1 2 3 put k 2 #1")).wrong
    assert relate(history("0 0 1 put k 1 #1", "1 2 3 get k -> 1 @2")).wrong


def test_what_is_sequentially_consistent_is_coherent_and_keeps_happens_before():
    """The simulator skips the finer checks then."""
    random = Random(4)
    n_consistent = 0
    for _ in range(4000):
        relations = relate(_random_versions(random))
        if is_sequentially_consistent(relations):
            n_consistent += 1
            assert not coherence(relations)
            assert not happens_before(relations, "f".__eq__)
        elif coherence(relations):
            assert not is_sequentially_consistent(relations)
    assert n_consistent > 500


def _random_versions(random: Random) -> list[Operation]:
    versions = {"d": 0, "f": 0}
    operations = []
    for number in range(8):
        key = random.choice("df")
        operation = Operation(number, random.randrange(3), 0, random.choice(["get", "put"]), key, start=number * 2)
        operation.end = operation.start + 1
        if operation.kind == "put":
            versions[key] += 1
            operation.argument, operation.wrote_version = number + 1, versions[key]
        operations.append(operation)
    writes = {key: [(None, 0)] for key in versions}
    for operation in operations:
        if operation.kind == "put":
            writes[operation.key].append((operation.argument, operation.wrote_version))
    for operation in operations:
        if operation.kind == "get":
            operation.observed, operation.read_version = random.choice(writes[operation.key])
    return operations


def test_at_rest_everybody_agrees_with_the_last_value_ordered():
    assert not disagreements({1: {"k": 5}, 2: {}, 3: {"gone": None}}, {"k": 5})
    assert disagreements({1: {"k": 4}}, {"k": 5})
    assert disagreements({1: {"k": None}}, {"k": 5})


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            ("0 1 9 put !k 1 #1", "1 2 3 get !k -> 1", "2 4 5 get !k -> none @0"),
            "a get had given a value; a get begun after that by another member gave an older one",
        ),
        (
            ("0 1 2 put !k 1 #1", "0 3 4 get !k -> none @0"),
            "a volatile put had returned; a get begun after that by the same thread gave an older value",
        ),
        (
            ("0 1 2 put k 1 plain #2", "0 3 4 put k 2 plain #1"),
            "a plain put had been made; a plain put begun after that by the same thread was ordered before it",
        ),
        (
            ("0 1 2 put k 1 plain #1", "1 3 4 get k -> none @0", "1 5 6 get k -> 1", "2 7 8 get k -> none @0"),
            "no order of the writes of one key explains what its readers saw",  # all of it is allowed
        ),
    ],
)
def test_what_was_wrong_is_told_in_words(rows, sentence):
    verdict = Verdict()
    verdict.wrong("KeyError", "a mutant stumbled")
    verdict.wrong("incoherent", "k")
    assert tell(verdict, history(*rows)) == ("incoherent", sentence)
