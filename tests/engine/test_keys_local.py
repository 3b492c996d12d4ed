"""The store of one process beyond what all stores promise: real threads, Ctrl-C, its clock, what it refuses."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydroscope import kv
from hydroscope.engine.keys_local import LocalKeys
from hydroscope.ground.errors import UserError
from hydroscope.node import ports
from hydroscope.node.locks import lock
from tests.engine.stepping import KEY, Step, perform, plain_store
from tests.sim.checkers.history import Operation
from tests.sim.checkers.linearizable import is_linearizable

WAIT_S = 30.0


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Let threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def some_steps(random_: random.Random, numbers: Iterator[int]) -> list[Step]:
    kinds = random_.choices(("get", "put", "remove", "add", "swap", "swap_if"), weights=(6, 4, 1, 4, 1, 1), k=12)
    steps: list[Step] = []
    for kind in kinds:
        number = next(numbers)
        steps.append((kind, {"put": number, "add": 1, "swap": number, "swap_if": (number - 5, number)}.get(kind)))
    return steps


@pytest.mark.parametrize("seed", range(40))
def test_what_threads_see_is_linearizable(seed: int, quick_switches: None) -> None:
    store = plain_store()
    random_, numbers = random.Random(seed), itertools.count(1000, 1000)
    clock, ready = itertools.count(1), threading.Barrier(4, timeout=WAIT_S)
    histories: list[list[Operation]] = [[] for _ in range(4)]
    programs = [some_steps(random_, numbers) for _ in range(4)]

    def work(index: int) -> None:
        ready.wait()
        for kind, argument in programs[index]:
            operation = Operation(0, 0, index, kind, KEY, argument, start=next(clock))
            operation.observed, operation.aborted = perform(store, kind, argument)
            operation.end = next(clock)
            histories[index].append(operation)

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    history = sorted(itertools.chain(*histories), key=lambda each: each.start)
    assert len(history) == 48
    assert is_linearizable(history), f"seed {seed}:\n" + "\n".join(map(str, history))


INTERRUPTED = """
import signal
from hydroscope.engine.keys_local import LocalKeys

class Stop(BaseException):
    pass

armed = False

def handler(*_):
    if armed:
        raise Stop

signal.signal(signal.SIGALRM, handler)
store = LocalKeys()
store.put("k", 0)
done = stopped = 0
for turn in range(3000):
    try:
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + turn % 40))
            for _ in range(20):
                store.atomic("k", "add", 1)
                done += 1
        finally:
            armed = False
    except Stop:
        stopped += 1
    value = store.get("k")
    assert value is not None and done <= value <= done + stopped, (turn, value, done, stopped)
    assert not store._moving.locked() and not store._ordering.locked()
print("stopped", stopped)
"""


def test_an_interrupt_loses_no_value_and_leaves_no_lock() -> None:
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.split()[1]) > 100, "hardly an interrupt met an atomic"


def test_leases_end_by_the_clock_of_the_store() -> None:
    now = [1000.0]
    before = ports.install_keys(LocalKeys(lambda: now[0]))
    try:
        first = lock("l", lease_s=10, wait_s=0)
        now[0] = 1009.0
        with pytest.raises(TimeoutError):
            lock("l", wait_s=0)
        first.renew()
        now[0] = 1018.0
        with pytest.raises(TimeoutError):
            lock("l", wait_s=0)
        now[0] = 1019.0
        second = lock("l", lease_s=10, wait_s=0)
        assert (first.number, second.number) == (1, 2)
        now[0] = 1100.0
        second.renew()  # it ended, but nobody took it
        assert second.release()
        assert not second.release()
        assert lock("l", wait_s=0).number == 3
    finally:
        ports.install_keys(before)


@pytest.mark.parametrize("lease_s", [0, -1, float("nan"), float("inf")])
def test_a_lease_has_an_end(lease_s: float) -> None:
    with pytest.raises(UserError, match="lease_s="):
        lock("l", lease_s=lease_s)


def test_a_function_cannot_wait_for_another() -> None:
    store = LocalKeys()
    store.register("outer", lambda value: store.atomic("b", "add", 1))
    with pytest.raises(UserError, match=r"a function that hs\.kv\.atomic applies cannot call it"):
        store.atomic("a", "outer")
    assert store.atomic("a", "add", 1) == 1


def test_a_function_must_return_what_can_travel() -> None:
    store = LocalKeys()
    store.register("odd", lambda value: {1, 2})
    with pytest.raises(UserError, match=r"function 'odd' returned what cannot be stored: .*set"):
        store.atomic("a", "odd")
    assert store.get("a") is None


def test_shutdown_closes_the_watches() -> None:
    store = LocalKeys()
    watch = store.watch()
    store.shutdown()
    assert watch.poll(None) == {}
    store.put("a", 1)
    assert store.get("a") == 1
    assert repr(store) == "<hydroscope keys: local, 1 keys>"


def test_each_of_many_writers_is_told_of_at_last(quick_switches: None) -> None:
    store = LocalKeys()
    last = 300

    def write(name: str) -> None:
        for number in range(1, last + 1):
            store.put(name, number)

    names = [f"w/{k}" for k in range(3)]
    with store.watch("w/") as watch:
        threads = [threading.Thread(target=write, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        seen: dict[str, int] = {}
        while [seen.get(name) for name in names] != [last] * 3:
            told = watch.poll(WAIT_S)
            assert told, f"no more is told after {seen}"
            assert all(number >= seen.get(name, 0) for name, number in told.items())
            seen |= told


def test_the_face_is_bound_to_the_store_in_use() -> None:
    one, two = LocalKeys(), LocalKeys()
    before = ports.install_keys(one)
    try:
        assert kv.get is one.get
        kv.put("a", 1)
        assert ports.install_keys(two) is one
        assert kv.get is two.get
        assert kv.get("a") is None
        assert "Return the value of a key" in (kv.get.__doc__ or "")
        ports.install_keys(None)
        assert kv.get is not two.get
    finally:
        ports.install_keys(before)


def test_no_module_of_the_room_is_named_like_a_function_of_the_face() -> None:
    room = Path(kv.__file__).parent
    assert {path.stem for path in room.iterdir()} & set(kv._FACE) == set()
