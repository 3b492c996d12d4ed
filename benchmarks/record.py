"""What it costs a Python program to record an event: the flight recorder against what else there is.

Every contender is told of the same messages in a loop (peer, number, 20 bytes) and stamps them with the time. What the
loop itself costs has a row of its own, "a call of nothing", and is not taken off. At the end of each turn it is checked
that the events are where they should be. Reading a full ring is timed at the end.

Then the *share* of real work that the recorder takes, which is always on: `--share` measures that alone.
"""

from __future__ import annotations

import logging
import shutil
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks._harness import (
    Contender,
    Timing,
    arguments,
    begin,
    complain,
    emit,
    gate,
    interleave,
    machine_line,
    say,
    status,
    table,
)
from benchmarks._record_share import WORK, shares
from hydroscope.ground.record.reader import read_ring
from hydroscope.ground.record.recorder import Recorder

__all__ = ["main"]

EVENTS: Final = 100_000
QUICK: Final = 20_000
DATA: Final = b"PREPARE 9 of node-04"
PEER: Final = "node-4"
THREADS: Final = 4

OWN: Final = "hydroscope"
Event = Callable[[str, Any, bytes], Any]


def _timed(call: Event, ids: Sequence[Any], kept: Callable[[], int]) -> dict[str, Any]:
    """Tell of every message; return the seconds of processor and wall, and how many are found afterwards."""
    wall, cpu = time.perf_counter(), time.thread_time()
    for ident in ids:
        call(PEER, ident, DATA)
    return {"cpu_s": time.thread_time() - cpu, "wall_s": time.perf_counter() - wall, "kept": kept()}


def _nothing(peer: str, ident: Any, data: bytes) -> None:
    """Do nothing."""


def _last(rec: Recorder, n_events: int) -> int:
    """Return how many of the last events are in the ring."""
    assert rec.path is not None
    sent = read_ring(rec.path).records
    return min(int((sent["n_bytes"] == len(DATA)).sum()), n_events)


@contextmanager
def _recorders(n_events: int) -> Iterator[dict[str, Callable[[], dict[str, Any]]]]:
    """Give the ways of using the recorder."""
    numbers, texts = range(n_events), [f"message-{number}" for number in range(n_events)]
    rec = Recorder("bench", 2.2 * n_events / 50_000)
    for _ in range(3):  # once around: memory that has been written to before
        _timed(rec.sent, numbers, lambda: 0)

    def fresh() -> dict[str, Any]:
        new = Recorder("fresh", 2.2 * n_events / 50_000)
        try:
            return _timed(new.sent, numbers, lambda: _last(new, n_events))
        finally:
            new.close(remove=True)

    def kept() -> int:
        return _last(rec, n_events)

    received = rec.received
    newest = rec.note("begin")

    def merging(peer: str, ident: Any, data: bytes) -> None:
        nonlocal newest
        newest = received(peer, ident, data, newest + 5_000)  # the sender's clock is ahead

    def called(peer: str, ident: Any, data: bytes) -> None:
        rec.sent(peer, ident, data)

    yield {
        OWN: lambda: _timed(rec.sent, numbers, kept),
        "hydroscope, found by name each time": lambda: _timed(called, numbers, kept),
        "hydroscope, with a stamp from ahead": lambda: _timed(merging, numbers, kept),
        "hydroscope, memory never written to": fresh,
        "hydroscope, a text as id": lambda: _timed(rec.sent, texts, kept),
        f"hydroscope, {THREADS} threads": lambda: _from_threads(rec, n_events),
    }
    rec.close(remove=True)


def _from_threads(rec: Recorder, n_events: int) -> dict[str, Any]:
    """Share the events among threads, which take turns under the interpreter's lock."""
    shares = [range(place, n_events, THREADS) for place in range(THREADS)]
    cpu: list[float] = []
    threads = [
        threading.Thread(target=lambda share=share: cpu.append(_timed(rec.sent, share, lambda: 0)["cpu_s"]))
        for share in shares
    ]
    wall = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"cpu_s": sum(cpu), "wall_s": time.perf_counter() - wall, "kept": _last(rec, n_events)}


def _logger(name: str, handler: logging.Handler) -> logging.Logger:
    logger = logging.getLogger(f"benchmarks.record.{name}")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.DEBUG)
    return logger


@contextmanager
def _peers(n_events: int, wanted: Sequence[str] | None) -> Iterator[dict[str, Callable[[], dict[str, Any]]]]:
    """Give what else a program might use."""
    numbers = range(n_events)
    folder = Path(tempfile.mkdtemp(prefix="record-"))
    queue: deque[tuple[Any, ...]] = deque(maxlen=n_events)
    pack = struct.Struct("@QQQIII27sB").pack_into
    buffer = bytearray(64)
    null = _logger("null", logging.NullHandler())
    lines = folder / "log"
    file_handler = logging.FileHandler(lines)
    file_handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    to_file = _logger("file", file_handler)

    def append(peer: str, ident: Any, data: bytes) -> None:
        queue.append((time.monotonic_ns(), peer, ident, data))

    def bare(peer: str, ident: Any, data: bytes) -> None:
        pack(buffer, 0, 1795294809526763521, 35625258506306, ident, 2, len(data), 1, data, 1)

    def debug(peer: str, ident: Any, data: bytes) -> None:
        null.debug("sent %s %s %s", peer, ident, data)

    def write(peer: str, ident: Any, data: bytes) -> None:
        to_file.debug("sent %s %s %s", peer, ident, data)

    def n_lines() -> int:
        with lines.open("r+") as file:
            n = sum(1 for _ in file)
            file.truncate(0)
        return n

    runs = {
        "a call of nothing": lambda: _timed(_nothing, numbers, lambda: n_events),
        "struct.pack_into, 64 bytes, no time": lambda: _timed(bare, numbers, lambda: n_events),
        "deque.append of a tuple with the time": lambda: _timed(append, numbers, lambda: len(queue)),
        "logging.debug, thrown away": lambda: _timed(debug, numbers, lambda: n_events),
        "logging.debug, to a file": lambda: _timed(write, numbers, n_lines),
    }
    if gate("viztracer", wanted):
        runs["viztracer, an instant event"] = lambda: _viztracer(numbers)
    try:
        yield runs
    finally:
        file_handler.close()
        shutil.rmtree(folder)


def _viztracer(numbers: Sequence[int]) -> dict[str, Any]:
    from viztracer import VizTracer

    tracer = VizTracer(tracer_entries=len(numbers) + 1000, verbose=0, ignore_c_function=True, max_stack_depth=0)
    tracer.start()
    try:
        return _timed(
            lambda peer, ident, data: tracer.log_instant("sent", [peer, ident]), numbers, lambda: len(numbers)
        )
    finally:
        tracer.stop()
        tracer.clear()


def _ns(timing: Timing, field: str, n_events: int) -> list[float]:
    return [answer[field] / n_events * 1e9 for answer in timing.answers]


def _read_ms(n_events: int, rounds: int) -> dict[str, float]:
    """Return what it takes to read a ring, in ms."""
    rec = Recorder("read", n_events / 50_000)
    for number in range(n_events):
        rec.sent(PEER, number, DATA)
    assert rec.path is not None
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        read_ring(rec.path)
        taken.append((time.perf_counter() - start) * 1e3)
    rec.close(remove=True)
    return {"median": statistics.median(taken), "best": min(taken)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; exit code 1 when a contender failed or lost events."""
    parser = arguments(__doc__ or "", deadline_s=1200)
    parser.add_argument(
        "--share", nargs="*", metavar="WORK", help=f"only the shares of real work, of {', '.join(WORK)}"
    )
    options = begin(parser, argv)
    if options.share is not None:
        say(machine_line(["numpy"]))
        work = tuple(options.share) or WORK
        emit("record", {"share": shares(options.rounds, options.quick, work, options.scale)})
        return status()
    n_events = max(1000, round((QUICK if options.quick else EVENTS) * options.scale))
    say(machine_line(["numpy", "viztracer"]))
    say(f"{n_events:,} events a turn, {options.rounds} rounds")
    with _peers(n_events, options.peers) as peers, _recorders(n_events) as own:
        runs = {**own, **peers}
        timings = interleave(
            [Contender(name, run) for name, run in runs.items() if not options.peers or name in (*own, *options.peers)],
            options.rounds,
            compare=lambda answer: answer["kept"] > n_events - 100,  # the recorder's own records take a few slots
            clock=lambda answer: answer["wall_s"],
        )
    results: dict[str, Any] = {}
    for name, timing in timings.items():
        if timing.problem is None and not timing.answers:
            complain(timing, "no round was run")
        cpu = _ns(timing, "cpu_s", n_events)
        results[name] = {
            "cpu_ns": statistics.median(cpu) if cpu else None,
            "best_cpu_ns": min(cpu, default=None),
            "wall_ns": timing.median_s / n_events * 1e9,
        }
    say(
        table(
            ["ns an event", "processor, median", "processor, best", "wall, median"],
            [[name, each["cpu_ns"], each["best_cpu_ns"], each["wall_ns"]] for name, each in results.items()],
        )
    )
    n_read = 500_000 if n_events == EVENTS else n_events
    reading = _read_ms(n_read, options.rounds)
    say(f"Reading a ring of {n_read:,} events: {reading['median']:.0f} ms (best {reading['best']:.0f} ms).")
    share = shares(options.rounds, options.quick, scale=options.scale)
    emit("record", {"events": n_events, "ns": results, "read_ms": reading, "share": share})
    return status()


if __name__ == "__main__":
    sys.exit(main())
