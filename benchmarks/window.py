"""Window-logs: what a change costs, how large it is, how long it takes to look back; what a cluster's writes cost.

All times are processor time of the one thread that works. Changes: the same writes to a plain
dictionary, to a log in memory and to one in files, in turns, the folding included. Cuts: logs filled with 150
changes for each millisecond of their time, values of 100 bytes, keys at random; a cut some
seconds back with all values in a new state, the same as a dictionary, and a cut rolled
on by 100 ms; then all changes as columns of text. Writes of a cluster: of one member that is home to all
keys, without and with its window-log, the flight recorder off, in turns. There is no peer in Python; what
this was measured against before is in docs/snapshots.md.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks._harness import Contender, arguments, begin, emit, interleave, machine_line, say, status, table
from hydroscope.engine.sockets.start import serve
from hydroscope.ground.clocks.hlc import HybridClock
from hydroscope.ground.clocks.simulated import SimulatedClock
from hydroscope.scope.snapshots import snapshot
from hydroscope.window.changes import changes
from hydroscope.window.log import WindowLog

__all__ = ["main"]

PER_MS: Final = 150
VALUE_BYTES: Final = 100
LOGS: Final = ((100_000, 2_000_000), (1_000_000, 4_000_000))
"""Keys, changes."""
BACK_S: Final = (0.1, 1.0, 5.0, 10.0)
ROLL_NS: Final = 100 * 10**6
WRITES: Final = 200_000
PUTS: Final = 20_000
HISTORY: Final = "HYDROSCOPE_HISTORY"
RECORD: Final = "HYDROSCOPE_RECORD"
FIRST_S: Final = 20.0
"""When the changes begin, so that a short run can look back as far as a long one."""


def _write(state: Any, keys: Sequence[str], value: bytes) -> float:
    """Return the processor time of one thread that writes all keys, seconds."""
    start = time.thread_time()
    for key in keys:
        state[key] = value
    return time.thread_time() - start


def _appends(rounds: int, n: int) -> dict[str, Any]:
    keys = [f"key-{number}" for number in np.random.default_rng(1).integers(0, 10_000, n)]
    value = bytes(VALUE_BYTES)
    with tempfile.TemporaryDirectory(prefix="bench-window-") as folder:
        in_memory, in_files = WindowLog("memory"), WindowLog("files", folder=Path(folder))
        contenders = [
            Contender("a dictionary", lambda: _write({}, keys, value)),
            Contender("WindowLog in memory", lambda: _write(in_memory, keys, value)),
            Contender("WindowLog in files", lambda: _write(in_files, keys, value)),
        ]
        timings = interleave(contenders, rounds, tolerance=None, clock=float)
        in_files.close()
    rows = {name: (each.median_s / n * 1e9, each.best_s / n * 1e9) for name, each in timings.items()}
    say(table(["a change", "median ns", "best ns"], [[name, *each] for name, each in rows.items()]))
    say()
    return {name: {"median_ns": median, "best_ns": best} for name, (median, best) in rows.items()}


def _cluster(rounds: int, n: int) -> dict[str, Any]:
    """Measure writes of a store with and without a window-log; both are open all the time."""
    stores = {}
    before = {name: os.environ.get(name) for name in (HISTORY, RECORD)}
    try:
        os.environ[RECORD] = "0"
        for name, seconds in (("no log", "0"), ("window-log", "10")):
            os.environ[HISTORY] = seconds
            stores[name] = serve()
            stores[name].opened.wait(10.0)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    value = "v" * VALUE_BYTES
    keys = [f"key-{number % 5000}" for number in range(n)]

    def put(name: str) -> float:
        store, start = stores[name], time.thread_time()
        for key in keys:
            store.put(key, value)
        store.fence()
        return time.thread_time() - start

    timings = interleave([Contender(name, partial(put, name)) for name in stores], rounds, tolerance=None, clock=float)
    for store in stores.values():
        store.shutdown()
    rows = {name: (each.median_s / n * 1e6, each.best_s / n * 1e6) for name, each in timings.items()}
    say(table(["a put of a cluster, at home", "median µs", "best µs"], [[name, *each] for name, each in rows.items()]))
    say()
    return {name: {"median_us": median, "best_us": best} for name, (median, best) in rows.items()}


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def filled(n_keys: int, n_entries: int) -> tuple[WindowLog, float]:
    """Return a log, and the bytes that one change has taken up beside its value, if no memory was free before."""
    clock = SimulatedClock()
    log = WindowLog("bench", seconds=3600, bytes=2**36, clock=HybridClock(clock))
    keys = np.random.default_rng(0).integers(0, n_keys, n_entries).tolist()
    for key in range(n_keys):
        log[key] = b"%0100d" % key
    len(log)
    gc.collect()
    before = _resident_bytes()
    for number, key in enumerate(keys):
        if number % PER_MS == 0:
            clock.set(FIRST_S + number / PER_MS / 1000)
        log[key] = b"%0100d" % number
    len(log)
    beside = (_resident_bytes() - before) / n_entries - sys.getsizeof(bytes(VALUE_BYTES))
    return log, beside


def _entry_bytes(n_keys: int, n_entries: int) -> float:
    """Ask a new process: this one has memory that is free, which would be taken first."""
    code = f"from benchmarks.window import filled; print(filled({n_keys}, {n_entries})[1])"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def _timed_ms(work: Any) -> tuple[float, Any]:
    gc.collect()
    start = time.thread_time()
    answer = work()
    return (time.thread_time() - start) * 1e3, answer


def _cuts(n_keys: int, n_entries: int, rounds: int) -> dict[str, Any]:
    beside, (log, _) = _entry_bytes(n_keys, n_entries), filled(n_keys, n_entries)
    rows, results = [], {}
    for back_s in BACK_S:
        cut, as_dictionary, roll = [], [], []
        for _ in range(rounds):
            ms, snap = _timed_ms(lambda back_s=back_s: snapshot(-back_s, log))
            cut.append(ms)
            ms, _ = _timed_ms(lambda snap=snap: dict(snap.items()))
            as_dictionary.append(ms)
            if back_s * 1e9 > ROLL_NS:
                ms, _ = _timed_ms(lambda snap=snap: snap.roll(snap.at + ROLL_NS))
                roll.append(ms)
        medians = [statistics.median(each) if each else None for each in (cut, as_dictionary, roll)]
        rows.append([f"{back_s:g} s back", medians[0], min(cut), medians[1], medians[2]])
        results[f"{back_s:g}"] = {"cut_ms": cut, "dictionary_ms": as_dictionary, "roll_ms": roll}
    text_ms, found = _timed_ms(lambda: changes([log]))
    say(f"{len(found):,} changes and first values as columns of text: {text_ms:,.0f} ms")
    say(f"{n_keys:,} keys, {n_entries:,} changes; {beside:.0f} bytes a change beside its value")
    say()
    header = ["cut", "median ms", "best ms", "then as a dictionary, ms", "then 100 ms on, ms"]
    say(table(header, rows))
    say()
    return {"entry_bytes": beside, "back_s": results, "text_ms": text_ms, "texts": len(found)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 1 when something failed."""
    options = begin(arguments(__doc__ or "", deadline_s=1200), argv)
    scale = 0.01 if options.quick else options.scale
    say(machine_line(["numpy", "msgspec"]))
    say()
    results: dict[str, Any] = {"append": _appends(options.rounds, max(1000, int(WRITES * scale)))}
    results["cluster"] = _cluster(options.rounds, max(500, int(PUTS * scale)))
    for n_keys, n_entries in LOGS:
        entries = max(int(n_entries * scale), round(PER_MS * 1000 * (BACK_S[-1] + 1)) if scale >= 1 else 20_000)
        results[f"{n_keys} keys"] = _cuts(max(100, int(n_keys * scale)), entries, options.rounds)
    emit("window", {"rounds": options.rounds, **results})
    return status()


if __name__ == "__main__":
    sys.exit(main())
