"""Rules as text: what is understood, what is refused with which words; and that they order and check."""

from __future__ import annotations

import numpy as np
import pytest

from hydroscope.ground.errors import UserError
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.checking import Cases, pairs
from hydroscope.scope.events import COLUMNS, Events
from hydroscope.scope.findings import findings
from hydroscope.scope.order import order
from hydroscope.scope.own_rules import KEYS
from hydroscope.scope.rules import Step, parse, written
from hydroscope.wire.bodies import encode
from hydroscope.wire.messages import Done, Invalidate
from tests.scope.test_order import table

CALLS = """
# a call of ours, from the first to the last word of it
exec(t)   = sent "EXEC"
run(t)    = started
ack(t)    = sent "ACK"          # the answer
ackack(t) = sent "OK \\x01" at 2
exec(t) < run(t) < ack(t) < ackack(t)
exec(t) ~> ack(t)
"""


def test_a_text_becomes_steps_and_rules():
    rules = parse(CALLS)
    assert [str(rule) for rule in rules] == ["exec < run", "run < ack", "ack < ackack", "exec ~> ack"]
    assert rules[0].before == Step("exec", Kind.SENT, b"EXEC")
    assert rules[0].after == Step("run", Kind.STARTED)
    assert rules[2].after == Step("ackack", Kind.SENT, b"OK \x01", 2)
    assert [rule.follows for rule in rules] == [False, False, False, True]


def test_a_rule_may_hold_where_both_are_there_or_be_about_one_step():
    loose, once = rules = parse("sent(t) <? ended(t)\nonce ended(t)")
    assert [str(rule) for rule in rules] == ["sent <? ended", "once ended"]
    assert loose.if_both
    assert once.once
    assert parse(written(rules)) == rules


def test_what_records_have_in_common_may_be_some_of_their_bytes():
    (rule,) = parse("store(k) = put by data[0:4]\nstore(k) < removed(k)")
    assert rule.before.by == (0, 4)
    assert rule.after.by is None


def test_bytes_are_written_as_in_python_whatever_else_is_in_the_text():
    (rule,) = parse(r'a(t) = sent "é\x01\\x\"\n\0" at 2' + "\na(t) < ended(t)")
    assert rule.before.begins == "é".encode() + b'\x01\\x"\n\0'
    assert parse(written([rule])) == (rule,)


def test_a_mark_in_quotes_begins_no_remark():
    (rule,) = parse('a(t) = sent "#1" # one\na(t) < ended(t)')
    assert rule.before.begins == b"#1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exec(t) < run(t)", ["line 1", "no step 'exec'"]),
        ("\nsent(t)", ["line 2", "<, <? or ~>"]),
        ("once sent(t) < received(t)", ["one step"]),
        ("sent(t) < recieved(t)", ["did you mean 'received'"]),
        ("sent(t) < received(u)", ["one thing", "t and u"]),
        ("sent(t) < received", ["'received' is not a step", "name(t)"]),
        ("a(t) = snt", ["no kind of record 'snt'", "did you mean 'sent'"]),
        ("a(t) = sent EXEC", ["a step is defined as"]),
        ("a(t) = put by data[0:9]", ["one to eight"]),
        ("a(t) = put by data[4:4]", ["one to eight"]),
        ('a(t) = sent "EXECUTE" at 24', ["first 27 bytes"]),
        ('a(t) = sent "\\x1"', ["line 1", "x and two hex digits"]),
        ('a(t) = sent "\\u00e9"', ["not 'u'"]),
        ("a(t) = received of asked", ["no step 'asked'"]),
        ("a(t) = put by data[0:4]\nb(t) = received by data[4:8] of a", ["line 2", "not for it"]),
        ("a(t) = put\nb(t) = received of a\nc(t) = sent of b", ["line 3", "another of"]),
        ("nonsense", ["line 1", "'nonsense'"]),
    ],
)
def test_what_is_wrong_is_said(text, words):
    with pytest.raises(UserError) as caught:
        parse(text)
    for word in words:
        assert word in str(caught.value)


def test_a_rule_orders_what_messages_and_clocks_leave_open():
    """Nothing connects a and b, and b's clock says it was first: by the rule it was not."""
    events = table(("b", Kind.STARTED, 1, None), ("a", Kind.SENT, 1, "c"))
    assert order(events).rank.tolist() == [1, 0]
    ruled = order(events, parse("sent(t) < started(t)"))
    assert ruled.rank.tolist() == [0, 1]
    assert ruled.violations == ()


def test_a_rule_does_not_bend_what_messages_prove():
    """b started 5 and then told a, which asked for 5 only thereafter."""
    events = table(
        ("b", Kind.STARTED, 5, None),
        ("b", Kind.SENT, 6, "a"),
        ("a", Kind.RECEIVED, 6, "b"),
        ("a", Kind.QUEUED, 5, None),
    )
    found = order(events, parse("queued(t) < started(t)"))
    assert found.impossible.size == 0
    assert found.partner.tolist() == [3, -1, -1, 0]
    (violation,) = found.violations
    assert events.kind[[violation.before, violation.after]].tolist() == [Kind.QUEUED, Kind.STARTED]


def test_within_a_node_the_order_is_not_bent_either():
    found = order(table(("a", Kind.ENDED, 1, None), ("a", Kind.STARTED, 1, None)), parse("started(t) < ended(t)"))
    assert found.rank.tolist() == [0, 1]
    assert len(found.violations) == 1


def test_a_step_without_the_one_before_it_is_a_violation_once_all_were_recording():
    rows = [("a", Kind.NOTE, 0, None), ("b", Kind.NOTE, 0, None), ("a", Kind.ENDED, 9, None)]
    found = order(table(*rows, nodes=("a", "b")), parse("started(t) < ended(t)"))
    assert [(violation.before, violation.after) for violation in found.violations] == [(-1, 1)]
    forgotten = order(table(*rows[::-1], nodes=("a", "b")), parse("started(t) < ended(t)"))
    assert forgotten.violations == ()


def test_a_message_that_may_have_been_received_before_the_ring_begins_breaks_no_rule():
    """What was sent again comes twice, and the ring of b may have forgotten the first."""
    rows = [("b", Kind.STARTED, 1, None), ("b", Kind.RECEIVED, 1, "a")]
    rule = parse("received(t) <? started(t)")
    assert order(table(*rows, nodes=("a", "b")), rule).violations == ()
    later = table(("b", Kind.NOTE, 0, None), *rows, nodes=("a", "b"))
    assert len(order(later, rule).violations) == 1


def test_a_step_may_be_missing_where_the_rule_is_about_both():
    rows = [("a", Kind.NOTE, 0, None), ("b", Kind.NOTE, 0, None), ("a", Kind.ENDED, 9, None)]
    rule = "started(t) <? ended(t)"
    assert order(table(*rows, nodes=("a", "b")), parse(rule)).violations == ()
    wrong = table(*rows, ("a", Kind.STARTED, 9, None), nodes=("a", "b"))
    assert [(each.before, each.after) for each in order(wrong, parse(rule)).violations] == [(2, 1)]


def test_what_may_happen_once_is_found_each_further_time():
    rows = [("a", Kind.PUT, 7, None), ("b", Kind.PUT, 8, None), ("b", Kind.PUT, 7, None), ("a", Kind.PUT, 7, None)]
    events = table(*rows, nodes=("a", "b"))
    found = order(events, parse("once put(t)"))
    assert [int(events.id[each.after]) for each in found.violations] == [7, 7]
    assert all(found.rank[each.before] < found.rank[each.after] for each in found.violations)
    (finding,) = [each for each in findings(events, found) if each.kind == "rule"]
    assert "once put" in finding.text
    assert "once more" in finding.text


def test_of_several_records_of_a_step_the_first_in_the_order_counts():
    """b is listed behind a, and was first."""
    rows = [("a", Kind.STARTED, 1, None), ("b", Kind.STARTED, 1, None), ("b", Kind.ENDED, 1, None)]
    found = order(table(*rows, nodes=("a", "b"), at=[9, 5, 7]), parse("started(t) < ended(t)"))
    assert found.rank.tolist() == [2, 0, 1]
    assert found.violations == ()


def test_rules_by_bytes_put_together_what_ids_do_not():
    events = table(("a", Kind.REMOVED, 1, None), ("a", Kind.PUT, 2, None), nodes=("a",))
    columns = {name: getattr(events, name) for name in COLUMNS}
    columns["data"] = np.array([b"key7 gone", b"key7 made"], "S27").view("V27")
    events = Events.sorted(events.nodes, events.names, columns)
    rule = "made(k) = put by data[0:4]\ngone(k) = removed by data[0:4]\nmade(k) < gone(k)"
    assert len(order(events, parse(rule)).violations) == 1
    assert order(events, parse("put(k) < removed(k)")).violations == ()


COHERENT = """
put(k)        = put by data[0:4] here
invalidate(k) = sent "INV " by data[4:8] big here    # the key's bytes the other way round
ack(k)        = received "OK" of invalidate          # says no key: it has the id of what it answers
put(k) < invalidate(k) < ack(k)
"""


def said(events, *texts):
    """Return the events with first bytes."""
    columns = {name: getattr(events, name) for name in COLUMNS}
    columns["data"] = np.array(texts, "S27").view("V27")
    columns["n_bytes"] = np.array([len(text) for text in texts])
    return Events.sorted(events.nodes, events.names, columns)


def test_put_before_invalidate_before_ack_is_a_rule_of_a_user_too():
    """Two homes use the same keys; the second acknowledges before it is told to invalidate, or invalidates too soon."""
    rows = [
        ("a", Kind.PUT, 1, None), ("a", Kind.SENT, 70, "c"), ("a", Kind.RECEIVED, 70, "c"),
        ("b", Kind.SENT, 80, "c"), ("b", Kind.PUT, 2, None), ("b", Kind.RECEIVED, 81, "c"),
    ]  # fmt: skip
    texts = [b"key1", b"INV 1yek", b"OK", b"INV 1yek", b"key1", b"OK of another"]
    (found,) = order(said(table(*rows), *texts), parse(COHERENT)).violations
    assert (str(found.rule), found.before, found.after) == ("put < invalidate", 4, 3)
    rows[3:] = [rows[4], ("b", Kind.RECEIVED, 80, "c"), rows[3]]
    texts[3:] = [b"key1", b"OK", b"INV 1yek"]
    (found,) = order(said(table(*rows, at=[9, 10, 11, 12, 13, 14]), *texts), parse(COHERENT)).violations
    assert (str(found.rule), found.before, found.after) == ("invalidate < ack", 5, 4)
    rows[4:], texts[4:] = [rows[5], rows[4]], [texts[5], texts[4]]
    assert order(said(table(*rows), *texts), parse(COHERENT)).violations == ()
    assert parse(written(parse(COHERENT))) == parse(COHERENT)


def test_our_own_keys_are_put_before_they_are_invalidated():
    version = 1 << 40 | 5
    put = b"\xc1P" + (7).to_bytes(8, "little") + version.to_bytes(8, "little")
    invalidate = b"\xc1\x0a" + encode(Invalidate(version, "users"))
    rows = [("a", Kind.PUT, 7, None), ("a", Kind.SENT, 70, "b"), ("a", Kind.RECEIVED, 70, "b")]
    done = b"\xc1\x0d" + encode(Done())
    assert order(said(table(*rows), put, invalidate, done), parse(KEYS)).violations == ()
    wrong = order(said(table(rows[1], rows[0], rows[2]), invalidate, put, done), parse(KEYS))
    assert [str(each.rule) for each in wrong.violations] == ["put <? invalidate"]
    both = [pairs(Cases(said(table(*rows), put, invalidate, done)), rule, np.arange(3)) for rule in parse(KEYS)]
    assert [(each.before.tolist(), each.after.tolist()) for each in both] == [
        ([0], [1]), ([1], [-1]), ([-1], [2]), ([-1], [1])
    ]  # fmt: skip
