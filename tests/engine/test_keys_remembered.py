"""The store of one process with a past: what it says of it is what was done."""

from __future__ import annotations

import threading

import pytest

import hydroscope as hs
from hydroscope.engine.keys_local import LocalKeys
from hydroscope.engine.keys_remembered import RememberedKeys
from hydroscope.ground.errors import UserError
from hydroscope.kv.changes import Unchanged
from hydroscope.scope.snapshots import snapshot


@pytest.fixture
def store():
    """A store of its own."""
    made = RememberedKeys(LocalKeys(), 60.0)
    yield made
    made.shutdown()


def test_the_past_has_all_that_was_done_in_its_order(store):
    store.register("leave", lambda value: Unchanged(value))
    store.register("double", lambda value: 2 * value)
    store.put("a", 1)
    store.put("a", "two")
    store.put("b", [1])
    store.atomic("n", "add", 5)
    store.atomic("n", "double")
    store.atomic("n", "leave")
    with pytest.raises(UserError, match="nothing was written"):
        store.atomic("b", "add", 1)
    store.remove("a")
    store.remove("a")
    store.put("b", None)
    snap, seen = snapshot(logs=store.log), []
    while changes := snap.changes():
        (change,) = changes
        seen.append((change.key, snap.get(change.key, "gone")))
        snap.step(-1)
    assert seen[::-1] == [
        ("a", 1), ("a", "two"), ("b", [1]), ("n", 5), ("n", 10), ("a", "gone"), ("b", "gone"),
    ]  # fmt: skip


def test_threads_that_write_one_key_leave_the_same_in_store_and_log(store):
    def write(thread):
        for n in range(2000):
            store.put("k", f"{thread} {n}")
            store.atomic("n", "add", 1)

    threads = [threading.Thread(target=write, args=(each,)) for each in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert store.get("k") == store.log["k"]
    assert store.get("n") == store.log["n"] == 8000
    history = store.log.history()
    key = history.numbers["n"]
    counts = [history.value(key, slot) for chunk in history.chunks for slot in chunk.new[chunk.ids == key].tolist()]
    assert counts == list(range(1, 8001))


@pytest.fixture
def fresh():
    """A process whose keys nobody has used yet."""
    hs.shutdown()
    yield
    hs.shutdown()


def test_it_is_asked_for_and_given_up(fresh):
    hs.kv.put("before", 1)
    hs.init(history_s=30)
    hs.kv.put("a", 1)
    hs.kv.put("a", 2)
    snap = hs.snapshot(nodes=["kv"])
    assert (dict(snap.items()), snap.step(-1), snap["a"]) == ({"before": 1, "a": 2}, 1, 1)
    hs.init(history_s=0)
    hs.kv.put("a", 3)
    assert hs.kv.get("a") == 3
    with pytest.raises(UserError, match="no log"):
        hs.snapshot(nodes=["kv"])
    with pytest.raises(UserError, match="history_s='x' must be seconds"):
        hs.init(history_s="x")
