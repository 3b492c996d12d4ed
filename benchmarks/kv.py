"""The key/value store: cached reads and writes, one round trip, streams of writes, counters, 1 GB.

Within one process against a dictionary, bare and behind a lock; between real processes of
this machine against bare sockets, Redis (its Python client) and a Ray actor. Every timed
loop is a Python loop; what it costs itself is the row "the loop alone".
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from benchmarks._harness import Contender, Timing, arguments, begin, emit, gate, interleave, machine_line, say, table
from benchmarks._harness import status as status_of
from benchmarks._kv_helper import Helper
from benchmarks._kv_peers import LockedDict, RayStore, RedisStore, fetch, frame_sizes, ping

__all__ = ["main"]

Answer = Mapping[str, Any]
"""Seconds of one operation, and what must agree with the other contenders."""
Work = Callable[[], Answer]

KEYS_IN_USE: Final = 16
VALUE_BYTES: Final = 100
BIG_BYTES: Final = 64 * 2**20
COUNTERS: Final = (1, 2, 4)
ORIGINAL_NS: Final = 150
"""A cached get as the first public description of this design states it, for Java."""
LOCAL: Final = "hydroscope"
MEMBER: Final = "hydroscope, member of a cluster"
ALONE: Final = "(the loop alone)"
IN_PROCESS: Final = ("get, 16 keys", "put, 16 keys", "get, all keys", "put, all keys")


class Bench:
    """What is measured with: the peers, and a cluster of this process and a helper."""

    def __init__(self, options: Any) -> None:
        from hydroscope.engine.sockets.start import serve

        self.rounds: int = options.rounds
        quick: bool = options.quick
        self.n_keys = 20_000 if quick else max(KEYS_IN_USE, int(options.keys * options.scale))
        self.n_fast = 20_000 if quick else 1_000_000
        self.n_slow = 100 if quick else 1_000
        self.n_big = 1 if quick else max(1, int(16 * options.scale))
        wants_redis = options.peers is None or "redis" in options.peers
        self.redis = RedisStore() if wants_redis and RedisStore.is_here() else None
        self.ray = RayStore() if gate("ray", options.peers) else None
        self.home = serve(members=2)
        self.other = Helper()
        self.join(self.other, self.home)

    @staticmethod
    def join(helper: Helper, home: Any) -> None:
        """Let a helper join the cluster of `home`."""
        helper.ask(do="connect", address=str(home.address), secret=home.secret.hex())

    def run(self, contenders: Mapping[str, Work]) -> dict[str, Timing]:
        """Let the contenders take turns."""
        present = [Contender(name, work) for name, work in contenders.items()]
        return interleave(
            present, self.rounds, compare=lambda answer: answer["check"], clock=lambda answer: float(answer["each_s"])
        )

    def close(self) -> None:
        """End what was started."""
        self.other.close()
        self.home.shutdown()
        if self.ray is not None:
            self.ray.close()


def timed(n: int, work: Callable[[], Any], check: Callable[[], Any] = lambda: 0) -> Answer:
    """Do `n` operations; returns the seconds of one."""
    start = time.perf_counter()
    work()
    return {"each_s": (time.perf_counter() - start) / n, "check": check()}


# ---------------------------------------------------------------- in this process


def _get_all(get: Callable[[str], Any], keys: Sequence[str]) -> None:
    for key in keys:
        get(key)


def _put_all(put: Callable[[str, Any], Any], keys: Sequence[str]) -> None:
    for key in keys:
        put(key, 7)


def _loop_alone(keys: Sequence[str]) -> None:
    for _ in keys:
        pass


def _stores(bench: Bench) -> dict[str, tuple[Callable[[str], Any], Callable[[str, Any], Any], int]]:
    """Return what gets, what puts, and how many operations make a round."""
    import hydroscope as hs

    hs.kv.put("opened", 1)  # from here on the names are the functions of the store in use
    plain: dict[str, Any] = {}
    locked = LockedDict()
    stores: dict[str, tuple[Callable[[str], Any], Callable[[str, Any], Any], int]] = {
        LOCAL: (hs.kv.get, hs.kv.put, bench.n_fast),
        "dict": (plain.get, plain.__setitem__, bench.n_fast),
        "dict behind a lock": (locked.get, locked.put, bench.n_fast),
        MEMBER: (bench.home.get, bench.home.put, bench.n_fast // 20),
    }
    if bench.redis is not None:
        stores["redis"] = (bench.redis.client.get, bench.redis.client.set, bench.n_slow)
    if bench.ray is not None:
        stores["ray"] = (bench.ray.get, bench.ray.put, bench.n_slow)
    return stores


def _in_process(bench: Bench) -> dict[str, dict[str, Timing]]:
    """Measure reads and writes of keys whose values are here."""
    import numpy as np

    stores = _stores(bench)
    used = [f"@0/used/{i}" for i in range(KEYS_IN_USE)]
    for _, put, _ in stores.values():
        for i, key in enumerate(used):
            put(key, i)
    some = used * (bench.n_fast // KEYS_IN_USE)
    every = [f"@0/all/{i}" for i in np.random.default_rng(1).permutation(bench.n_keys)]
    results = {}
    for what, keys, names in (
        ("16 keys", some, stores.keys()),
        ("all keys", every, [name for name in stores if name not in ("redis", "ray")]),
    ):
        if keys is every:
            for name in names:
                put = stores[name][1]
                for i in range(bench.n_keys):
                    put(f"@0/all/{i}", i)
        works: dict[str, Work] = {ALONE: partial(timed, len(keys), partial(_loop_alone, keys))}
        reads, writes = dict(works), dict(works)
        for name in names:
            get, put, n = stores[name]
            part = keys[:n]
            check = partial(lambda get: sum(int(get(key) or 0) for key in used), get)
            reads[name] = partial(timed, len(part), partial(_get_all, get, part), check)
            writes[name] = partial(timed, len(part), partial(_put_all, put, part), check)
        reads[ALONE] = writes[ALONE] = works[ALONE]
        results[f"get, {what}"] = _without_check(bench, reads)
        results[f"put, {what}"] = _without_check(bench, writes)
    return results


def _without_check(bench: Bench, works: dict[str, Work]) -> dict[str, Timing]:
    """Run them; the loop alone has nothing to compare."""
    alone = works.pop(ALONE)
    contenders = [Contender(ALONE, alone, compared=False), *(Contender(name, work) for name, work in works.items())]
    return interleave(
        contenders, bench.rounds, compare=lambda answer: answer["check"], clock=lambda answer: float(answer["each_s"])
    )


# ---------------------------------------------------------------- one round trip


def _round_trips(bench: Bench) -> dict[str, Timing]:
    """Measure gets of values that another process has."""
    n, other = bench.n_slow, bench.other
    asked, answered = frame_sizes(VALUE_BYTES)
    echo = other.ask(do="echo", n_bytes=answered)
    turn = iter(range(1_000))
    value = bytes(VALUE_BYTES - 16)

    def miss() -> Answer:
        prefix = f"@1/miss/{next(turn)}/"
        other.ask(do="fill", prefix=prefix, n=n, n_bytes=VALUE_BYTES)
        keys = [f"{prefix}{i}" for i in range(n)]
        return timed(n, partial(_get_all, bench.home.get, keys), lambda: bench.home.get(keys[-1]) == _last(n, value))

    def bare(spins: bool) -> Answer:
        return {"each_s": ping(echo, bytes(asked), n, spins) / n, "check": True}

    works: dict[str, Work] = {
        LOCAL: miss,
        "UDP, looked for": partial(bare, True),
        "UDP, slept for": partial(bare, False),
    }
    if bench.redis is not None:
        client = bench.redis.client
        client.set("value", _last(n, value))
        check = partial(lambda client: client.get("value") == _last(n, value), client)
        works["redis"] = partial(timed, n, partial(_get_all, client.get, ["value"] * n), check)
    if bench.ray is not None:
        bench.ray.put("value", _last(n, value))
        ray_check = partial(lambda ray: ray.get("value") == _last(n, value), bench.ray)
        works["ray"] = partial(timed, n, partial(_get_all, bench.ray.get, ["value"] * n), ray_check)
    return bench.run(works)


def _last(n: int, rest: bytes) -> bytes:
    return b"%016d" % (n - 1) + rest


# ---------------------------------------------------------------- writes to another process


def _waiting_puts(bench: Bench) -> dict[str, Timing]:
    """Measure writes that return when everybody sees them."""
    n, home, other = bench.n_slow, bench.home, bench.other

    def each(put: Callable[[str, Any], Any], key: str) -> None:
        for i in range(n):
            put(key, i)

    def held_elsewhere() -> Answer:
        seconds = 0.0
        for i in range(n // 10):
            home.put("@0/held", i, True)
            other.ask(do="get", key="@0/held")
            start = time.perf_counter()
            home.put("@0/held", i + 1, True)
            seconds += time.perf_counter() - start
        return {"each_s": seconds / (n // 10), "check": 0}

    put = partial(home.put, wait=True)
    works: dict[str, Work] = {
        "hydroscope, at home in another process": partial(timed, n, partial(each, put, "@1/waited")),
        "hydroscope, at home here, another has a copy": held_elsewhere,
    }
    if bench.redis is not None:
        works["redis"] = partial(timed, n, partial(each, bench.redis.client.set, "waited"))
    if bench.ray is not None:
        works["ray"] = partial(timed, n, partial(each, bench.ray.put, "waited"))
    return bench.run(works)


def _streams(bench: Bench) -> dict[str, Timing]:
    """Measure writes that follow each other without waiting, until all have arrived."""
    n = 5 * bench.n_slow
    value = bytes(VALUE_BYTES)
    keys = [f"@1/stream/{i}" for i in range(n)]

    def plain() -> None:
        put = bench.home.put
        for key in keys:
            put(key, value)
        bench.home.fence()

    works: dict[str, Work] = {LOCAL: partial(timed, n, plain)}
    if bench.redis is not None:
        client = bench.redis.client

        def one_by_one() -> None:
            for key in keys:
                client.set(key, value)

        def pipelined() -> None:
            for first in range(0, n, 100):
                with client.pipeline(transaction=False) as pipeline:
                    for key in keys[first : first + 100]:
                        pipeline.set(key, value)
                    pipeline.execute()

        works["redis"] = partial(timed, n, one_by_one)
        works["redis, pipelines of 100"] = partial(timed, n, pipelined)
    if bench.ray is not None:
        works["ray, calls without waiting"] = partial(timed, n, partial(bench.ray.put_all, keys, value))
    return bench.run(works)


# ---------------------------------------------------------------- a counter


def _counters(bench: Bench) -> dict[str, dict[str, Timing]]:
    """Measure additions to one counter by several processes at once; nothing may be lost."""
    return {str(n_members): _counter(bench, n_members) for n_members in COUNTERS}


def _counter(bench: Bench, n_members: int) -> dict[str, Timing]:
    from hydroscope.engine.sockets.start import serve

    n = bench.n_slow
    home = serve(members=n_members)
    helpers = [Helper() for _ in range(n_members - 1)]
    for helper in helpers:
        helper.tell(do="connect", address=str(home.address), secret=home.secret.hex())
    for helper in helpers:
        helper.answer()
    home.opened.wait(60)
    turn = iter(range(1_000))

    def own() -> Answer:
        key = f"@0/counter/{next(turn)}"
        for helper in helpers:
            helper.tell(do="count", key=key, n=n)
        start = time.perf_counter()
        for _ in range(n):
            home.atomic(key, "add", 1)
        seconds = max([time.perf_counter() - start, *(helper.answer() for helper in helpers)])
        return {"each_s": seconds / (n * n_members), "check": home.get(key)}

    def redis() -> Answer:
        assert bench.redis is not None
        key, client = f"counter/{n_members}/{next(turn)}", bench.redis.client
        for helper in helpers:
            helper.tell(do="redis_count", port=bench.redis.port, key=key, n=n)
        start = time.perf_counter()
        for _ in range(n):
            client.incr(key)
        seconds = max([time.perf_counter() - start, *(helper.answer() for helper in helpers)])
        total: Any = client.get(key)
        return {"each_s": seconds / (n * n_members), "check": int(total)}

    def ray() -> Answer:
        assert bench.ray is not None
        key = f"counter/{n_members}/{next(turn)}"
        seconds = bench.ray.count(n_members, key, n)
        return {"each_s": seconds / (n * n_members), "check": bench.ray.get(key)}

    works: dict[str, Work] = {LOCAL: own}
    if bench.redis is not None:
        works["redis"] = redis
    if bench.ray is not None:
        works["ray"] = ray
    found = bench.run(works)
    for helper in helpers:
        helper.close()
    home.shutdown()
    return found


# ---------------------------------------------------------------- large values


def _bulk(bench: Bench) -> dict[str, Timing]:
    """Measure the way of large values from one process to another, by the store and over one TCP connection."""
    n, other = bench.n_big, bench.other
    tcp = other.ask(do="tcp", n=n, n_bytes=BIG_BYTES)
    keys = [f"@1/big/{i}" for i in range(n)]

    def own() -> Answer:
        other.ask(do="fill_big", prefix="@1/big/", n=n, n_bytes=BIG_BYTES)  # again: what is held here goes
        start = time.perf_counter()
        values = [bench.home.get(key) for key in keys]
        return {"each_s": time.perf_counter() - start, "check": _sha256(values)}

    def bare() -> Answer:
        seconds, values = fetch(tcp, n, BIG_BYTES)
        return {"each_s": seconds, "check": _sha256(values)}

    return bench.run({LOCAL: own, "plain TCP": bare})


def _sha256(values: Sequence[bytes | bytearray]) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(value)
    return digest.hexdigest()


# ---------------------------------------------------------------- reports


def _figures(timings: Mapping[str, Timing], factor: float) -> dict[str, dict[str, Any]]:
    return {
        name: {"median": timing.median_s * factor, "best": timing.best_s * factor, "rounds": timing.seconds}
        for name, timing in timings.items()
    }


def _report_in_process(results: Mapping[str, Mapping[str, Timing]], n_keys: int) -> None:
    names = list(dict.fromkeys(name for found in results.values() for name in found))
    rows = [
        [name, *(results[what][name].median_s * 1e9 if name in results[what] else None for what in IN_PROCESS)]
        for name in names
    ]
    say(table(["ns an operation", *(what.replace("all keys", f"{n_keys:,} keys") for what in IN_PROCESS)], rows))
    say(f"The original's description states {ORIGINAL_NS} ns for a cached get in Java.\n")


def _report_times(title: str, timings: Mapping[str, Timing], against: str | None = None) -> None:
    head = [title, "median us", "best us"]
    rows = [[name, each.median_s * 1e6, each.best_s * 1e6] for name, each in timings.items()]
    if against is not None:
        head.append(f"x {against}")
        base = timings[against].median_s
        rows = [[*row, each.median_s / base] for row, each in zip(rows, timings.values(), strict=True)]
    say(table(head, rows) + "\n")


def _report_rates(title: str, timings: Mapping[str, Timing]) -> None:
    rows = [[name, 1 / each.median_s, 1 / each.best_s] for name, each in timings.items()]
    say(table([title, "operations a second", "best"], rows) + "\n")


def _report_counters(results: Mapping[str, Mapping[str, Timing]]) -> None:
    names = list(next(iter(results.values())))
    rows = [[name, *(1 / found[name].median_s for found in results.values())] for name in names]
    heads = [f"{n} process{'es' if n != '1' else ''}" for n in results]
    say(table(["additions to one counter, a second", *heads], rows) + "\n")


def _report_bulk(timings: Mapping[str, Timing], n_bytes: int) -> None:
    rows = [
        [name, each.median_s, n_bytes / each.median_s / 1e6, n_bytes / each.best_s / 1e6]
        for name, each in timings.items()
    ]
    say(table([f"{n_bytes / 1e9:.2f} GB in values of 64 MB", "median s", "MB/s", "best MB/s"], rows) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 1 when a contender failed or answered otherwise than the rest."""
    parser = arguments(__doc__ or "", deadline_s=3000)
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys of a large store (default: %(default)s)")
    parser.add_argument("--only", nargs="*", help="of here, trip, wait, stream, counter, bulk (default: all)")
    options = begin(parser, argv)
    say(machine_line(["hydroscope", "redis", "ray", "msgspec"]))
    bench = Bench(options)
    wanted = options.only or ["here", "trip", "wait", "stream", "counter", "bulk"]
    say(f"{bench.n_keys:,} keys, values of {VALUE_BYTES} bytes, {bench.rounds} rounds, medians; all on one machine\n")
    results: dict[str, Any] = {"keys": bench.n_keys, "rounds": bench.rounds}
    if "here" in wanted:
        here = _in_process(bench)
        _report_in_process(here, bench.n_keys)
        results["here_ns"] = {what: _figures(found, 1e9) for what, found in here.items()}
    for name, measure, title, against in (
        ("trip", _round_trips, "get of what another process has", "UDP, looked for"),
        ("wait", _waiting_puts, "put that waits", None),
    ):
        if name in wanted:
            found = measure(bench)
            _report_times(title, found, against)
            results[f"{name}_us"] = _figures(found, 1e6)
    if "stream" in wanted:
        streamed = _streams(bench)
        _report_rates("puts that do not wait, until all have arrived", streamed)
        results["stream_us"] = _figures(streamed, 1e6)
    if "counter" in wanted:
        counted = _counters(bench)
        _report_counters(counted)
        results["counter_us"] = {n: _figures(found, 1e6) for n, found in counted.items()}
    if "bulk" in wanted:
        bulk = _bulk(bench)
        _report_bulk(bulk, bench.n_big * BIG_BYTES)
        results["bulk_s"] = {"bytes": bench.n_big * BIG_BYTES, **_figures(bulk, 1.0)}
    bench.close()
    emit("kv", results)
    return status_of()


if __name__ == "__main__":
    sys.exit(main())
