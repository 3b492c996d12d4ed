"""A difference that was put into a copy of a history is found, and nothing where there is none.

The copies have other clocks, hear from different others in another order, and begin and end elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hydroscope.engine.sockets.witness import member_name
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.decoders.hydroscope import CALLS, MARK, UPKEEP
from hydroscope.scope.events import COLUMNS, Events, Node
from hydroscope.scope.runs import node_pairs
from hydroscope.scope.timeline import Timeline
from tests.scope.anything import any_events
from tests.scope.histories import Plan, S, simulate

PLAN = Plan(n_nodes=4, n_records=2000, loss=0.02)
WORDS = np.array([b"ALPHA", b"BETA", b"GAMMA", b"DELTA", b"EPSILON"], "S27")
MIX = np.uint64(0x9E3779B97F4A7C15)


def spoken(events):
    """Return the events with one of five words in each message, which its id decides."""
    data = WORDS[(events.id * MIX >> np.uint64(40)) % np.uint64(5)]
    n_bytes = np.where(events.peer >= 0, np.char.str_len(data), 0)
    return changed(events, data=data.view("V27"), n_bytes=n_bytes)


def changed(events, **columns):
    return Events.sorted(
        events.nodes, events.names, {name: columns.get(name, getattr(events, name)) for name in COLUMNS}
    )


def rerun(events, seed, other_ids, disorder=3):
    """Return the events as another run would have them, and where each was: other clocks, another order, other ids."""
    rng = np.random.default_rng(seed)
    place = np.arange(len(events)) + rng.uniform(0, disorder, len(events))
    streams = events.node.astype(np.int64) << 40 | (events.peer + 1).astype(np.int64) << 20 | events.kind
    for stream in np.unique(streams):
        rows = np.flatnonzero(streams == stream)
        place[rows] = np.maximum.accumulate(place[rows])  # within a stream the order is the same
    by = np.lexsort((place, events.node))
    columns = {name: getattr(events, name)[by] for name in COLUMNS}
    shift = rng.integers(-5 * S, 5 * S, len(events.nodes))
    columns["at_ns"] = events.at_ns + shift[events.node]
    columns["stamp"] = np.arange(len(events))
    if other_ids:
        columns["id"] = columns["id"] * MIX + np.uint64(seed)
    return Events.sorted(events.nodes, events.names, columns), by


def cut(events, begin, end):
    """Return each node's records without a share of its first ones and of the last; and which are left."""
    n = np.diff(events.starts)[events.node]
    place = np.arange(len(events)) - events.starts[events.node]
    keep = (place >= begin[events.node] * n) & (place < (1 - end) * n)
    return kept(events, keep), np.flatnonzero(keep)


def kept(events, keep):
    return Events.sorted(events.nodes, events.names, {name: getattr(events, name)[keep] for name in COLUMNS})


@pytest.fixture(scope="module")
def history():
    history = simulate(PLAN, 1)
    return replace(history, events=spoken(history.events))


BOTH = pytest.mark.parametrize("other_ids", [False, True])


@BOTH
@pytest.mark.parametrize("seed", range(2))
def test_two_runs_that_went_alike_do_not_differ_wherever_they_were_cut(history, seed, other_ids):
    rng = np.random.default_rng(seed)
    here, _ = cut(history.events, rng.uniform(0, 0.3, 4), rng.uniform(0, 0.02))
    there, _ = cut(rerun(history.events, seed, other_ids)[0], rng.uniform(0, 0.3, 4), rng.uniform(0, 0.02))
    found = Timeline(here).compare(Timeline(there))
    assert found.is_same, found.text
    assert found.by_ids is not other_ids
    assert found.n_common > 0.6 * len(here)
    assert "nothing differs" in str(found)


@BOTH
@pytest.mark.parametrize("seed", range(3))
def test_what_one_run_did_and_the_other_did_not_is_found(history, seed, other_ids):
    """One receipt in the middle is gone from the second run, and all that its node did with that peer is as before."""
    rng = np.random.default_rng(seed)
    events = history.events
    middle = (history.true_ns > 4 * S) & (history.true_ns < 6 * S)
    row = int(rng.choice(np.flatnonzero((events.kind == Kind.RECEIVED) & middle)))
    again, by = rerun(events, seed, other_ids, disorder=0)
    gone = int(np.flatnonzero(by == row)[0])
    there = kept(again, np.arange(len(again)) != gone)
    here, left = cut(events, rng.uniform(0, 0.2, 4), 0)
    there, _ = cut(there, rng.uniform(0, 0.2, 4), 0)
    for found, mine in (
        (Timeline(here).compare(Timeline(there)), True),
        (Timeline(there).compare(Timeline(here)), False),
    ):
        assert found.node == events.nodes[events.node[row]].name
        side = found.mine if mine else found.theirs
        if other_ids:  # of several alike in a row one is as good as the other
            near = int(left[side])
            between = np.arange(min(row, near), max(row, near) + 1)
            between = between[(events.peer[between] == events.peer[row]) & (events.kind[between] == Kind.RECEIVED)]
            assert len({bytes(events.data[k]) for k in between}) == 1
        else:
            assert left[side] == row
            assert (found.theirs if mine else found.mine) is None
            assert f"received {bytes(events.data[row]).rstrip(bytes(1)).decode()} #{events.id[row]} from" in found.text


@BOTH
def test_what_was_said_otherwise_is_told_with_both_sides(history, other_ids):
    events = history.events
    row = int(np.flatnonzero((events.kind == Kind.SENT) & (history.true_ns > 5 * S))[0])
    again, by = rerun(events, 3, other_ids, disorder=0)
    place = int(np.flatnonzero(by == row)[0])
    data, n_bytes = again.data.copy(), again.n_bytes.copy()
    data[place], n_bytes[place] = np.array([b"NONSENSE"], "S27").view("V27")[0], 8
    found = Timeline(events).compare(Timeline(changed(again, data=data, n_bytes=n_bytes)))
    assert found.mine == row
    assert found.theirs == place
    assert found.common is not None
    assert by[found.common[1]] == found.common[0]
    said = bytes(events.data[row]).rstrip(b"\0").decode()
    assert f"Here it sent {said} #" in found.text
    assert "There it sent NONSENSE #" in found.text


@BOTH
def test_a_node_that_stopped_while_others_went_on(history, other_ids):
    events = history.events
    again, by = rerun(events, 5, other_ids, disorder=0)
    dead = (again.node == 2) & (history.true_ns[by] > 7 * S)
    found = Timeline(events).compare(Timeline(kept(again, ~dead)))
    assert found.node == "n2"
    assert found.theirs is None
    assert abs(history.true_ns[found.mine] - 7 * S) < S // 5
    assert found.common is not None
    assert history.true_ns[found.common[0]] <= 7 * S


@BOTH
def test_of_several_differences_the_first_is_told(history, other_ids):
    events = history.events
    again, by = rerun(events, 6, other_ids, disorder=0)
    rows = [
        int(np.flatnonzero((events.kind == Kind.STARTED) & (events.node == node) & (history.true_ns > second * S))[0])
        for node, second in ((3, 7), (1, 4), (0, 9))
    ]
    words = np.array([b"sort", b"merge"], "S27").view("V27")
    data, n_bytes = again.data.copy(), again.n_bytes.copy()
    starts = events.kind == Kind.STARTED
    here = changed(events, data=np.where(starts, words[0], events.data), n_bytes=np.where(starts, 4, events.n_bytes))
    data[again.kind == Kind.STARTED], n_bytes[again.kind == Kind.STARTED] = words[0], 4
    for row in rows:
        place = int(np.flatnonzero(by == row)[0])
        data[place], n_bytes[place] = words[1], 5
    found = Timeline(here).compare(Timeline(changed(again, data=data, n_bytes=n_bytes)))
    assert found.mine == rows[1]


def tasks(failed, seed, n=100):
    """Return a node's tasks, all of one name, some of which failed, with ids of this run."""
    rows = [(kind, k) for k in range(n) for kind in (Kind.STARTED, Kind.FAILED if k in failed else Kind.ENDED)]
    kind, task = np.array(rows).T
    columns = {name: np.zeros(len(rows), of) for name, of in COLUMNS.items()}
    columns["stamp"] = columns["at_ns"] = np.arange(len(rows)) + seed
    columns |= {"kind": kind, "id": task.astype(np.uint64) * MIX + np.uint64(seed), "peer": np.full(len(rows), -1)}
    columns["subject"] = np.where(kind == Kind.FAILED, 2, 1)
    return Events.sorted([Node("a")], ["", "load", "ValueError"], columns)


@pytest.mark.parametrize(("here", "there"), [((), (57,)), ((20,), (20, 57)), ((20, 30), (20, 30, 57, 60))])
def test_one_of_many_equal_tasks_that_failed_is_found(here, there):
    well, ill = Timeline(tasks(here, 1)), Timeline(tasks(there, 2))
    row = 2 * 57 + 1
    found = well.compare(ill)
    assert (found.by_ids, found.node, found.mine, found.theirs) == (False, "a", None, row), found.text
    assert "There it failed ValueError" in found.text
    found = ill.compare(well)
    assert (found.mine, found.theirs) == (row, None)
    assert Timeline(tasks(there, 3)).compare(ill).is_same


def test_pairs_by_ids_are_those_of_dictionaries():
    """Brute force: of equal records, the n-th here and the n-th there."""
    for seed in range(4):
        here, there = Timeline(any_events(seed, n=400)), Timeline(any_events(seed, n=400))
        some = np.sort(np.random.default_rng(seed).permutation(400)[:350])
        there = Timeline(kept(there.events, some))
        keys: dict[object, list[int]] = {}
        n_common = 0
        for timeline in (here, there):
            events = timeline.events
            for k in range(len(events)):
                kind = Kind(int(events.kind[k]))
                if kind in (Kind.SAMPLE, Kind.CLOCK):
                    continue
                free = kind in (Kind.NOTE, Kind.FAILED)
                key = (
                    events.node[k], events.peer[k], kind, timeline.labels[k],
                    *(() if free else (events.subject[k], int(events.id[k]))),
                )  # fmt: skip
                if timeline is here:
                    keys.setdefault(key, []).append(k)
                elif keys.get(key):
                    keys[key].pop()
                    n_common += 1
        assert here.compare(there).n_common == n_common


def as_cluster(events, run):
    """Return the events as those of a cluster of ours: of members 0 to 2, and of one of which nothing was read."""
    pids = [100 * run + k for k in range(3)]
    lives = [member_name(k, 0x1F2E3A * run + k) for k in range(4)]
    events = kept(events, events.node != 3)
    nodes = [Node(f"authority-{pids[0]}", pids[0]), *(Node(f"member-{pid}", pid) for pid in pids[1:]), Node(lives[3])]
    nodes[1:3] = nodes[1:3] if run % 2 else nodes[2:0:-1]  # processes begin in any order, and have any numbers
    names = ["", *lives, f"waits for {lives[3]}", f"tells {nodes[1].name} of {lives[1]}"]
    is_task, is_end = (np.isin(events.kind, kinds) for kinds in ((Kind.STARTED, Kind.ENDED), (Kind.ENDED,)))
    columns = {name: getattr(events, name) for name in COLUMNS}
    columns["lane"] = events.node + 1
    columns["kind"] = np.where(is_end, Kind.NOTE, events.kind)
    columns["subject"] = np.where(is_task, np.where(is_end, 5, 6), 0)
    return Events.sorted(nodes, names, columns)


def test_two_runs_of_one_script_on_a_cluster_are_compared_although_no_name_is_the_same(history):
    here, there = as_cluster(history.events, 1), as_cluster(rerun(history.events, 2, True, disorder=0)[0], 2)
    found = Timeline(here).compare(Timeline(there))
    assert found.is_same, found.text
    assert found.n_common > 0.9 * len(here)
    pairs = [(mine.name, other.name) for mine, other in zip(here.nodes, there.nodes, strict=True)]
    assert sorted(found.renamed) == sorted(pairs)
    assert "authority-100 here is authority-200 there" in found.text
    assert "Only" not in found.text
    row = int(np.flatnonzero((there.kind == Kind.RECEIVED) & (there.node == 1))[200])
    found = Timeline(here).compare(Timeline(kept(there, np.arange(len(there)) != row)))
    assert (found.node, found.theirs) == ("member-101", None)
    assert found.mine is not None
    assert here.kind[found.mine] == Kind.RECEIVED


def test_processes_of_one_role_that_nothing_tells_apart_are_not_mixed_up(history):
    def named(run, names):
        return replace(history.events, nodes=tuple(Node(f"{name}{run + k}", run + k) for k, name in enumerate(names)))

    found = Timeline(named(100, ("driver-", "worker-", "worker-", "n"))).compare(
        Timeline(named(200, ("driver-", "worker-", "worker-", "n")))
    )
    assert found.renamed == (("driver-100", "driver-200"),)
    assert "Only here: n103, worker-101, worker-102." in found.text
    with pytest.raises(UserError, match="no node in common"):
        Timeline(named(100, ("a-", "a-", "b", "c"))).compare(Timeline(named(200, ("a-", "a-", "b", "c"))))
    again = [Node("a (pid 7)", 7, recorded_as="a"), Node("a", 8), Node("b-0")]
    other = [Node("a (pid 5)", 5, recorded_as="a"), Node("a", 6), Node("b-5", 5)]
    events = [Events.sorted(nodes, [], {name: [] for name in COLUMNS}) for nodes in (again, other)]
    assert node_pairs(*events) == {"a": "a", "a (pid 7)": "a (pid 5)"}


def in_touch(events):
    """Return the events as of members that call, answer, keep in touch and have keys; and those of another run.

    There all calls to another come before all answers to it, and all changes of one key before those of the next.
    """
    rng = np.random.default_rng(1)
    n, is_key = len(events), np.isin(events.kind, (Kind.STARTED, Kind.ENDED))
    said = np.where(rng.random(n) < 0.2, UPKEEP[3], rng.choice(list(CALLS), n))
    keys = np.where(is_key, len(events.names) + rng.integers(0, 2, n), 0)
    kind = np.where(is_key, Kind.PUT, events.kind)
    streams = (kind, events.peer, events.node)
    places, other = np.lexsort((np.arange(n), *streams)), np.lexsort((said, keys, *streams))
    found = []
    for order in (places, other):
        columns = {name: getattr(events, name) for name in COLUMNS} | {"kind": kind}
        columns["subject"], data = np.empty_like(keys), np.empty(n, "S27")
        columns["subject"][places] = keys[order]
        data[places] = np.array([MARK + bytes([each]) for each in said[order].tolist()])
        columns["data"] = data.view("V27")
        found.append(Events.sorted(events.nodes, (*events.names, "x", "y"), columns))
    here, there = found
    is_upkeep = (there.peer >= 0) & (np.char.endswith(there.data.view("S27"), MARK + bytes([UPKEEP[3]])))
    there = kept(there, ~is_upkeep | (rng.random(n) < 0.5))
    return here, changed(there, id=there.id * MIX)


def test_what_members_say_to_keep_in_touch_and_the_order_of_different_keys_are_no_difference(history):
    here, there = in_touch(history.events)
    found = Timeline(here).compare(Timeline(there))
    assert found.is_same, found.text
    assert found.n_common > 0.6 * len(here)


def test_nodes_that_only_one_of_them_has_are_named(history):
    events = history.events
    fewer = kept(events, (events.node != 3) & (events.peer != 3))
    fewer = replace(fewer, nodes=events.nodes[:3], starts=fewer.starts[:4])
    found = Timeline(events).compare(Timeline(fewer))
    assert "Only here: n3." in found.text
    with pytest.raises(UserError, match=r"no node in common: n0, n1, n2, n3 here, x there"):
        Timeline(events).compare(Timeline(Events.sorted([Node("x")], [], {name: [] for name in COLUMNS})))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_was_recorded_is_compared(seed):
    one = Timeline(any_events(seed, n=500))
    for other in (Timeline(any_events(seed + 7, n=300)), Timeline(any_events(seed, n=0)), one):
        for a, b in ((one, other), (other, one)):
            assert a.compare(b).text
    assert one.compare(one).is_same
    assert one.compare(one).n_common == np.count_nonzero(~np.isin(one.events.kind, (Kind.SAMPLE, Kind.CLOCK)))
