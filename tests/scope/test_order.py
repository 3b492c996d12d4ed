"""The order against the truth of simulated histories, and against the slow twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.ground.record.layout import Kind
from hydroscope.scope import reference
from hydroscope.scope.events import COLUMNS, Events, Node
from hydroscope.scope.kernels import merge
from hydroscope.scope.order import order, past
from tests.scope.histories import Plan, simulate

plans = st.builds(
    Plan,
    n_nodes=st.integers(2, 50),
    n_records=st.integers(50, 3000),
    seconds=st.sampled_from([1.0, 10.0, 60.0]),
    delay_ms=st.sampled_from([0.05, 0.3, 5.0]),
    loss=st.floats(0, 0.6),
    duplicated=st.floats(0, 0.2),
    truncated=st.sampled_from([0.0, 0.4]),
)


def edges_of(history):
    receipts = np.flatnonzero(history.copy >= 0)
    return history.copy[receipts], receipts


def decidable(history, found):
    """Return the edges that can be told: of one copy only, or by clocks that are known to less than 90 ms."""
    sent, received = edges_of(history)
    events = history.events
    n_copies = np.bincount(events.id[np.isin(events.kind, (Kind.SENT, Kind.RESENT))].astype(int), minlength=2**12)
    told = found.error_ns[sent] + found.error_ns[received] < 90e6
    told |= (n_copies[events.id[sent].astype(int)] == 1) & (events.kind[sent] == Kind.SENT)
    return sent[told], received[told]


def assert_in_order(events, found):
    """By its definition: a permutation, each node's records in turn, whatever was received after it was sent."""
    assert np.array_equal(np.sort(found.rank), np.arange(len(events)))
    same = events.node[1:] == events.node[:-1]
    assert (np.diff(found.rank)[same] > 0).all()
    matched = np.flatnonzero((found.partner >= 0) & (events.kind == Kind.RECEIVED))
    assert (found.rank[found.partner[matched]] < found.rank[matched]).all()
    assert (np.diff(found.time_ns[np.argsort(found.rank)]) >= 0).all()
    assert found.impossible.size == 0


@settings(max_examples=30, deadline=None)
@given(plan=plans, seed=st.integers(0, 2**32 - 1))
def test_nothing_is_received_before_it_is_sent_and_each_receipt_is_of_its_copy(plan, seed):
    history = simulate(plan, seed)
    found = order(history.events)
    assert_in_order(history.events, found)
    sent, received = decidable(history, found)
    assert np.array_equal(found.partner[received], sent)
    assert (found.rank[sent] < found.rank[received]).all()


@pytest.mark.parametrize("n_nodes", [2, 8, 50])
def test_what_was_received_without_its_sending_has_no_partner(n_nodes):
    history = simulate(Plan(n_nodes=n_nodes, truncated=0.5, resent=False), n_nodes)
    found = order(history.events)
    received = np.flatnonzero(history.events.kind == Kind.RECEIVED)
    gone = received[history.copy[received] < 0]
    assert gone.size > 20
    assert (found.partner[gone] == -1).all()


@pytest.mark.parametrize("seed", range(20))
def test_copies_that_were_sent_again_are_told_apart_by_time(seed):
    """A copy 200 ms after another is another, though id and bytes are the same."""
    history = simulate(Plan(n_nodes=6, loss=0.5, duplicated=0.1), seed)
    found = order(history.events)
    sent, received = edges_of(history)
    assert (history.events.kind[sent] == Kind.RESENT).sum() > 100
    assert np.array_equal(found.partner[received], sent)


def test_a_message_is_partner_of_its_first_receipt():
    history = simulate(Plan(duplicated=0.5), 3)
    found = order(history.events)
    sent, received = edges_of(history)
    for copy in np.unique(sent)[:200]:
        receipts = received[sent == copy]
        assert found.partner[copy] == receipts[np.argmin(history.true_ns[receipts])]


@settings(max_examples=100, deadline=None)
@given(data=st.data(), n_nodes=st.integers(1, 6), n=st.integers(0, 60))
def test_the_merge_is_that_of_its_twin(data, n_nodes, n):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    node = np.sort(rng.integers(0, n_nodes, n))
    times = rng.integers(0, data.draw(st.sampled_from([3, 1000])), n)
    true = np.empty(n, np.int64)  # edges go forward in some hidden order that is program order
    for k in range(n_nodes):
        true[node == k] = np.sort(rng.permutation(10 * n)[: (node == k).sum()])
    after, extra = np.full(n, -1), []
    for target in range(n):
        earlier = np.flatnonzero(true < true[target])
        if earlier.size and rng.random() < 0.6:
            after[target] = rng.choice(earlier)
        if earlier.size and rng.random() < 0.3:
            extra.append((int(rng.choice(earlier)), target))
    pairs = [(int(after[k]), k) for k in range(n) if after[k] >= 0] + extra
    expected, lifted = reference.merge(node.tolist(), pairs, times.tolist())
    sources, targets = np.array(extra, np.int64).reshape(-1, 2).T.copy()
    ranks, cut = np.empty(n, np.int64), np.zeros(n + len(extra), np.uint8)
    starts = np.searchsorted(node, np.arange(n_nodes + 1))
    merge(starts, node, after, sources, targets, times, ranks, cut)
    assert np.argsort(ranks).tolist() == expected
    assert times.tolist() == lifted
    assert not cut.any()


def table(*rows, nodes=("a", "b", "c"), at=None):
    """Return events of (node, kind, id, peer) in the order of their clocks, 1 ms apart."""
    columns = {name: np.zeros(len(rows), kind) for name, kind in COLUMNS.items()}
    index = {name: k for k, name in enumerate(nodes)} | {None: -1}
    for k, (node, kind, identity, peer) in enumerate(rows):
        columns["node"][k], columns["peer"][k] = index[node], index[peer]
        columns["kind"][k], columns["id"][k] = kind, identity
        columns["at_ns"][k] = (k if at is None else at[k]) * 10**6
    columns["stamp"][:] = np.arange(len(rows))
    return Events.sorted([Node(name) for name in nodes], ["", "main"], columns)


def test_a_circle_is_cut_once_and_reported_and_the_rest_stays_in_order():
    """a received 1 before b sent it, and b received 2 before a sent it: one of the two is impossible."""
    events = table(
        ("a", Kind.RECEIVED, 1, "b"),
        ("a", Kind.SENT, 2, "b"),
        ("a", Kind.SENT, 3, "c"),
        ("b", Kind.RECEIVED, 2, "a"),
        ("b", Kind.SENT, 1, "a"),
        ("c", Kind.RECEIVED, 3, "a"),
    )
    found = order(events)
    assert found.impossible.size == 1
    assert found.rank[2] < found.rank[5]
    assert sorted(found.rank.tolist()) == list(range(6))


def test_a_message_to_oneself_that_was_recorded_late_is_impossible_and_hangs_nothing():
    events = table(("a", Kind.RECEIVED, 1, "a"), ("a", Kind.SENT, 1, "a"), nodes=("a",))
    found = order(events)
    assert found.rank.tolist() == [0, 1]
    assert found.impossible.tolist() == [0]


def test_bytes_tell_messages_of_one_id_apart_and_are_not_needed_at_both_ends():
    rows = [
        ("a", Kind.SENT, 7, "b"),
        ("a", Kind.SENT, 7, "b"),
        ("a", Kind.SENT, 8, "b"),
        ("b", Kind.RECEIVED, 7, "a"),
        ("b", Kind.RECEIVED, 8, "a"),
    ]
    events = table(*rows, nodes=("a", "b"))
    said = np.array([b"EXEC", b"ACKACK", b"", b"ACKACK", b"EXEC"], "S27")
    columns = {name: getattr(events, name) for name in COLUMNS}
    columns["data"] = said.view("V27")
    columns["n_bytes"] = np.char.str_len(said)
    found = order(Events.sorted(events.nodes, events.names, columns))
    assert found.partner.tolist() == [-1, 3, 4, 1, 2]


def test_a_drop_on_arrival_is_an_arrival():
    found = order(table(("a", Kind.SENT, 1, "b"), ("b", Kind.DROPPED, 1, "a")))
    assert found.partner.tolist() == [1, 0]


def test_the_past_is_what_reaches_a_record_and_nothing_else():
    history = simulate(Plan(n_nodes=4, n_records=400, loss=0.2), 1)
    events, found = history.events, order(history.events)
    causes = [{k - 1} if k and events.node[k] == events.node[k - 1] else set() for k in range(len(events))]
    for sent, received in zip(*edges_of(history), strict=True):
        causes[received].add(int(sent))
    for record in range(0, len(events), 37):
        reached, todo = set(), [record]
        while todo:
            each = todo.pop()
            if each not in reached:
                reached.add(each)
                todo += causes[each]
        expected = np.bincount(events.node[list(reached)], minlength=4)
        assert past(events, found, record).tolist() == expected.tolist()


def test_nothing_at_all_has_an_order():
    empty = Events.sorted([], [], {name: [] for name in COLUMNS})
    assert order(empty).rank.size == 0
    silent = Events.sorted([Node("a")], [], {name: [] for name in COLUMNS})
    assert len(order(silent).clocks) == 1


def test_columns_in_any_order_make_the_same_events():
    history = simulate(Plan(n_records=500), 5)
    shuffled = np.random.default_rng(0).permutation(len(history.events))
    columns = {name: getattr(history.events, name)[shuffled] for name in COLUMNS}
    again = Events.sorted(history.events.nodes, history.events.names, columns)
    assert all(np.array_equal(getattr(again, name), getattr(history.events, name)) for name in COLUMNS)


def test_a_fifth_of_a_million_records_of_fifty_nodes():
    history = simulate(Plan(n_nodes=50, n_records=200_000, loss=0.3, duplicated=0.05), 9)
    found = order(history.events)
    assert_in_order(history.events, found)
    sent, received = edges_of(history)
    assert np.array_equal(found.partner[received], sent)


def test_clocks_that_nothing_connects_still_make_an_order():
    history = simulate(replace(Plan(n_nodes=6, loss=0.1), pairs=((0, 1), (1, 0), (2, 3), (3, 2), (4, 5))), 2)
    found = order(history.events)
    assert_in_order(history.events, found)
