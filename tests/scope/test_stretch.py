"""A stretch of the past as tables, compared with a replay of what was written."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from hydroscope.ground.clocks.hlc import HybridClock
from hydroscope.ground.clocks.simulated import START_NS, SimulatedClock
from hydroscope.ground.errors import UserError
from hydroscope.scope.snapshots import snapshot
from hydroscope.scope.stretch import CUTS_MAX, history
from hydroscope.window.absent import ABSENT
from hydroscope.window.errors import WindowError
from hydroscope.window.log import WindowLog
from tests.window.history_of import replay


def written():
    """Return two logs of ten seconds each, and what was written to them."""
    clock, random = SimulatedClock(), np.random.default_rng(0)
    hybrid = HybridClock(clock)
    logs = [WindowLog(name, seconds=3600, clock=hybrid) for name in ("one", "other")]
    done = {log.name: [] for log in logs}
    for n in range(400):
        clock.set(n * 0.025)
        log, key = logs[n % 2], f"key {int(random.integers(12))}"
        value = ABSENT if key in log and random.random() < 0.2 else [float(n), f"text {n}", {"n": n}][n % 3]
        done[log.name].append((log.put(key, value), key, value))
    return logs, done


def test_the_state_can_be_asked_in_sql():
    logs, done = written()
    stamp = done["one"][120][0]
    expected = {(name, key): value for name in done for key, value in replay(done[name], stamp).items()}
    rows = snapshot(stamp, logs).sql("select node, key, value, number from state").to_dict()
    found = dict(zip(zip(rows["node"], rows["key"], strict=True), rows["number"], strict=True))
    assert set(found) == set(expected)
    for place, value in expected.items():
        assert found[place] == (value if isinstance(value, float) else None)
    n = snapshot(stamp, logs).sql("select sum((value->>'$.n')::int) as n from state where value like '{%'").to_dict()
    assert n == {"n": [sum(value["n"] for value in expected.values() if isinstance(value, dict))]}


def test_changes_and_states_of_a_stretch_are_those_of_a_replay():
    logs, done = written()
    begin, end = START_NS + 2 * 10**9, START_NS + 8 * 10**9
    past = history(begin, end, 0.5, logs)
    within = [each for changes in done.values() for each in changes if begin < each[0] <= end]
    asked = past.sql("select count(*) as n, count(new) as there, sum(new_number) as sum from changes").to_dict()
    there = [value for _, _, value in within if value is not ABSENT]
    assert asked == {"n": [len(within)], "there": [len(there)], "sum": [sum(v for v in there if isinstance(v, float))]}
    assert past.stamps == [begin + n * 5 * 10**8 for n in range(13)]
    rows = past.sql("select cut, count(*) as n, sum(number) as sum from states group by cut order by cut").to_dict()
    for cut, stamp in enumerate(past.stamps):
        values = [value for name in done for value in replay(done[name], stamp).values()]
        assert rows["n"][cut] == len(values)
        assert rows["sum"][cut] == pytest.approx(sum(v for v in values if isinstance(v, float)))
    assert [dict(snap.items()) for snap in past.cuts()] == [
        {(name, key): value for name in done for key, value in replay(done[name], stamp).items()}
        for stamp in past.stamps
    ]
    assert len(past.changes()) == len(within) + len(snapshot(begin, logs))
    both = past.sql(
        "select c.key from changes c join state s using (node, key) where c.new = s.value limit 1"
    ).to_dict()
    assert both["key"]


def test_without_limits_it_is_all_that_is_remembered():
    logs, done = written()
    past = history(logs=logs[0])
    assert past.begin == logs[0].start
    assert past.sql("select count(*) as n from changes").to_dict() == {"n": [len(done["one"])]}
    assert len(past.stamps) in (101, 102)
    with pytest.raises(WindowError, match="reaches back"):
        history(logs[0].start - 1, logs=logs[0])
    with pytest.raises(UserError, match="goes back"):
        history(-1, -5, logs=logs[0])
    with pytest.raises(UserError, match=f"at most {CUTS_MAX} cuts"):
        history(every=1e-6, logs=logs[0])


def test_what_is_no_question_is_said_with_the_tables_there_are():
    log = WindowLog("log")
    log["a"] = 1
    with pytest.raises(UserError, match=r"tables are state: state\(node, key, value, number\)"):
        snapshot(logs=log).sql("select nothing from state")
    with pytest.raises(UserError, match="tables are changes, states, state"):
        history(logs=log).sql("select 1 from elsewhere")


def test_without_duckdb_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **more):
        if name == "duckdb":
            raise ImportError(name)
        return real(name, *arguments, **more)

    log = WindowLog("log")
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match=r"pip install 'hydroscope\[sql\]'"):
        snapshot(logs=log).sql("select 1")


def test_a_value_that_is_none_is_there_and_a_stretch_stays_when_the_log_moves_on():
    log = WindowLog("log", seconds=3600, bytes=20_000)
    log["a"] = None
    del log["a"]
    stretch = history(logs=log)
    for n in range(5_000):
        log["b"] = n
    assert log.start > stretch.begin, "otherwise this shows nothing"
    assert stretch.sql("select old, new from changes").to_dict() == {"old": [None, "None"], "new": ["None", None]}
    found = stretch.changes()
    assert (found.old.tolist(), found.new.tolist()) == ([None, "None"], ["None", None])
    with pytest.raises(UserError, match="every='often'"):
        history(every="often", logs=log)
