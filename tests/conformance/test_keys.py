"""What every key/value store promises in `node.ports.Keys`."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import pytest

from hydroscope.ground.errors import UserError
from hydroscope.kv.changes import Change, Unchanged
from hydroscope.node.locks import lock
from hydroscope.node.ports import Keys
from hydroscope.wire import values

WAIT_S = 30.0


class Reading(msgspec.Struct, frozen=True):
    sensor: str
    celsius: float


values.register(Reading, "tests.Reading")

VALUES = [
    True,
    0,
    2**100,
    1.5,
    "text",
    b"bytes",
    [],
    [1, None, "x"],
    (1, (2, 3)),
    {"a": [1, {"b": None}], "c": (1, 2)},
    Reading("roof", 21.5),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_it_was(keys: Keys, value: Any) -> None:
    keys.put("value", value, wait=True)
    assert keys.get("value") == value
    assert type(keys.get("value")) is type(value)


def test_an_array_comes_back_as_it_was(keys: Keys) -> None:
    array = np.arange(12, dtype=np.int16).reshape(3, 4)
    keys.put("array", array, wait=True)
    np.testing.assert_array_equal(keys.get("array"), array)
    assert keys.get("array").dtype == np.int16


@pytest.mark.parametrize("value", [{1, 2}, object(), [3, {4}], {"a": object()}, lambda: 1, "\ud800"], ids=ascii)
def test_what_cannot_travel_is_refused(keys: Keys, value: Any) -> None:
    keys.put("refused", 1)
    refused = pytest.raises(UserError, match="cannot be stored")
    with refused:
        keys.put("refused", value)
    with refused:
        keys.put("new", value)
    with refused:
        keys.atomic("refused", "append", value)
    assert keys.get("refused") == 1


@pytest.mark.parametrize("key", ["", "x" * 256, 7, None, b"bytes", ["list"], "@", "@x/y", "@3/", "\ud800"], ids=repr)
def test_what_is_not_a_key_is_refused(keys: Keys, key: Any) -> None:
    with pytest.raises(UserError, match="key"):
        keys.put(key, 1)
    with pytest.raises(UserError, match="key"):
        keys.get(key)
    with pytest.raises(UserError, match="key"):
        keys.atomic(key, "add", 1)
    with pytest.raises(UserError, match="key"):
        keys.remove(key)


@pytest.mark.parametrize("key", ["a", "x" * 255, "!volatile", "@0/here", "été", " "])
def test_what_is_a_key(keys: Keys, key: str) -> None:
    keys.put(key, 1)
    assert keys.get(key) == 1
    assert keys.keys(key) == [key]


def test_absent_until_put_and_after_removal(keys: Keys) -> None:
    assert keys.get("k") is None
    assert keys.get("k", "default") == "default"
    keys.put("k", 1)
    assert keys.get("k", "default") == 1
    keys.remove("k")
    keys.remove("k")
    assert keys.get("k", "default") == "default"
    keys.put("k", 2, wait=True)
    keys.put("k", None)
    assert keys.get("k") is None


def test_a_thread_sees_its_own_puts(keys: Keys) -> None:
    for i in range(100):
        keys.put("own", i)
        assert keys.get("own") == i


def test_an_atomic_sees_the_put_before_it(keys: Keys) -> None:
    for i in range(20):
        keys.put("before", i)
        assert keys.atomic("before", "add", 100) == i + 100


def test_keys_by_prefix(keys: Keys) -> None:
    for name in ("b/2", "a/1", "b/1", "b", "c"):
        keys.put(name, 0)
    keys.remove("b/2")
    keys.fence()
    assert keys.keys("b/") == ["b/1"]
    assert keys.keys("b") == keys.keys("b", partial=True) == ["b", "b/1"]
    assert keys.keys() == ["a/1", "b", "b/1", "c"]


def test_functions_that_are_always_there(keys: Keys) -> None:
    assert [keys.atomic("n", "add", 2), keys.atomic("n", "add")] == [2, 3]
    assert [keys.atomic("l", "append", "a"), keys.atomic("l", "append", "b")] == [["a"], ["a", "b"]]
    assert [keys.atomic("l", "discard", "a"), keys.atomic("l", "discard", "z")] == [["b"], ["b"]]
    assert [keys.atomic("m", "max", 3), keys.atomic("m", "max", 2), keys.get("m")] == [3, 3, 3]
    assert [keys.atomic("m", "min", 1), keys.atomic("m", "min", 2)] == [1, 1]
    assert [keys.atomic("c", "create", 1), keys.atomic("c", "create", 2), keys.get("c")] == [True, False, 1]
    assert [keys.atomic("c", "replace", 1, 5), keys.atomic("c", "replace", 1, 6), keys.get("c")] == [True, False, 5]
    assert [keys.atomic("d", "update", {"a": 1}), keys.atomic("d", "update", {"b": 2})] == [{"a": 1}, {"a": 1, "b": 2}]


def test_a_function_of_ones_own(keys: Keys) -> None:
    keys.register("halve", lambda value: Change(value // 2 or None, value) if value else Unchanged("nothing there"))
    keys.put("h", 3)
    assert [keys.atomic("h", "halve") for _ in range(4)] == [3, 1, "nothing there", "nothing there"]
    assert keys.get("h") is None


def test_a_function_that_raises_changes_nothing(keys: Keys) -> None:
    keys.put("text", "abc")
    with pytest.raises(UserError, match="function 'add' raised TypeError"):
        keys.atomic("text", "add", 1)
    assert keys.get("text") == "abc"


def test_a_function_that_is_not_there(keys: Keys) -> None:
    with pytest.raises(UserError, match="no function 'apend' is registered here; did you mean 'append'"):
        keys.atomic("text", "apend", 1)


def test_no_increment_is_lost(keys: Keys) -> None:
    def work(_: int) -> None:
        for _ in range(50):
            keys.atomic("counter", "add", 1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert keys.get("counter") == 200


def test_a_watch_tells_the_last_change(keys: Keys) -> None:
    with keys.watch("w/") as watch:
        for i in range(50):
            keys.put("w/a", i, wait=True)
        keys.put("other", 1, wait=True)
        keys.put("w/b", "b", wait=True)
        keys.remove("w/b", wait=True)
        seen: dict[str, Any] = {}
        while seen.get("w/a") != 49 or seen.get("w/b", 0) is not None:
            told = watch.poll(WAIT_S)
            assert told, f"no more changes are told after {seen}"
            seen |= told
        assert set(seen) == {"w/a", "w/b"}
        keys.atomic("w/a", "add", 1)
        assert watch.poll(WAIT_S) == {"w/a": 50}


def test_a_watch_waits_no_longer_than_asked(keys: Keys) -> None:
    with keys.watch() as watch:
        assert watch.poll(0) == {}
        assert watch.poll(0.01) == {}


def test_who_waits_at_a_watch_comes_back_when_it_is_closed(keys: Keys) -> None:
    watch = keys.watch("w/")
    seen: list[tuple[str, Any]] = []
    thread = threading.Thread(target=lambda: seen.extend(watch), daemon=True)
    thread.start()
    keys.put("w/a", 1, wait=True)
    while not seen:
        assert thread.is_alive()
    watch.close()
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert seen == [("w/a", 1)]
    assert watch.poll(None) == {}


def test_a_lock_is_held_by_one(keys: Keys) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(i: int) -> int:
        with lock("the lock", wait_s=WAIT_S) as lease:
            inside.append(i)
            most.append(len(inside))
            inside.remove(i)
            return lease.number

    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(work, range(12)))
    assert set(most) == {1}
    assert sorted(numbers) == list(range(1, 13))


def test_a_lock_that_is_held_is_waited_for_no_longer_than_asked(keys: Keys) -> None:
    with lock("held") as lease:
        assert lease.number == 1
        with pytest.raises(TimeoutError, match=f"lock 'held' is held by {keys.me}; it was not given back within 0 s"):
            lock("held", wait_s=0)
        lease.renew()
    with lock("held", wait_s=0) as again:
        assert again.number == 2


def test_a_lease_that_ended_can_be_taken_and_its_holder_is_told(keys: Keys) -> None:
    first = lock("short", lease_s=1e-6)
    second = lock("short", wait_s=WAIT_S)
    assert second.number > first.number
    with pytest.raises(UserError, match="somebody else took it"):
        first.renew()
    assert first.release() is False
    with pytest.raises(UserError, match="somebody else took it"), first:
        pass
    assert second.release() is True
    assert second.release() is False
