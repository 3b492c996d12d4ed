"""The table of measured figures in README.md, made from benchmarks/RESULTS.md.

Each section of RESULTS.md ends with the run's results for programs, in a comment; README's
table is drawn from those alone, so that no figure is copied by hand.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["comment", "put_into", "readme_table"]

BEGIN: Final = "<!-- figures:begin (`python -m benchmarks --readme` writes what is between these marks) -->"
END: Final = "<!-- figures:end -->"
NONE: Final = (
    "No run is recorded here yet. `make bench` measures hydroscope and its peers in the same interleaved runs."
)

OWN: Final = "hydroscope"
DASH: Final = "–"

Row = tuple[str, str, str, str]
"""What was measured, hydroscope, its fastest peer, the goal."""


def comment(results: str) -> str:
    """Return the line of RESULTS.md that keeps one line of JSON."""
    return f"<!-- {results.strip()} -->"


def results_of(text: str) -> dict[str, Any]:
    """Return the results that RESULTS.md keeps, by benchmark."""
    kept = (json.loads(each) for each in re.findall(r"^<!-- (\{.*\}) -->$", text, re.MULTILINE))
    return {each["benchmark"]: each["results"] for each in kept}


def readme_table(text: str) -> str:
    """Return README's table for the text of RESULTS.md."""
    found = results_of(text)
    rows = [row for name, make in _ROWS.items() if name in found for row in make(found[name])]
    if not rows:
        return NONE
    machines = re.findall(r"^Machine: (.*?);", text, re.MULTILINE)
    days = sorted(set(re.findall(r"^(\d{4}-\d\d-\d\d)$", text, re.MULTILINE)))
    head = ["| measured | hydroscope | fastest peer | goal |", "|---|---|---|---|"]
    where = f"{', '.join(dict.fromkeys(machines))}; {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else ""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*head, *lines, "", f"Medians, two threads each, the peers in the same runs. {where}.".strip()])


def put_into(page: str, table: str) -> str:
    """Return a page with the table between the marks."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"the page has no place for figures, between {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _startup(found: Mapping[str, Any]) -> Iterator[Row]:
    imports = found.get("import", {})
    if OWN in imports:
        yield "`import hydroscope`", f"{imports[OWN]['median_ms']:.0f} ms", _best(imports, "median_ms", "ms"), "150 ms"
    shells = found.get("describe", {})
    own = {name.partition(", ")[2]: each for name, each in shells.items() if name.startswith(OWN)}
    peers = {name: each for name, each in shells.items() if not name.startswith(OWN)}
    goals = {"nothing cached": DASH, "second process": "2 s"}
    for name, goal in goals.items():
        if name in own:
            said = f"shell to summary of 336,776 flights, {name}"
            yield said, f"{own[name]['median_ms'] / 1e3:.1f} s", _best(peers, "median_ms", "s", 1e-3), goal


def _compile(found: Mapping[str, Any]) -> Iterator[Row]:
    times = found.get("ms", {})
    call = "one column, compile"
    plain = times.get("plain Numba", {}).get(call)
    peer = DASH if plain is None else f"{plain:.0f} ms (plain Numba)"
    for kind, what, goal in (
        ("new function", "first call of a new map function: compile time", "1 s"),
        ("second process", "the same in a second process", DASH),
    ):
        if call in times.get(kind, {}):
            yield what, f"{times[kind][call]:.0f} ms", peer if kind == "new function" else DASH, goal


_GOALS: Final = {"float64": "1", "int16 + scale": "2", "int8": "above 2", "sparse 1 %": "above 2"}


def _mapreduce(found: Mapping[str, Any]) -> Iterator[Row]:
    names = {"sum": "sum", "map3": "sum of (x - y) * z"}
    for each in found["tasks"]:
        own = each["contenders"].get(OWN, {})
        if each["task"] not in names or not _number(own.get("of_limit")):
            continue
        peers = {name: peer for name, peer in each["contenders"].items() if name != OWN}
        yield (
            f"{names[each['task']]}, {found['rows'] / 1e6:,.0f} M rows, {each['data']}",
            f"{own['gb_s_uncompressed']:.1f} GB/s, {own['of_limit']:.1f} x memory limit",
            _best(peers, "of_limit", "x", largest=True),
            f"{_GOALS.get(each['data'], DASH)} x",
        )


def _csv(found: Mapping[str, Any]) -> Iterator[Row]:
    parsers = {each["parser"]: each for each in found["parsers"]}
    own = parsers.pop(OWN, {})
    if not _number(own.get("mb_s")):
        return
    file = f"CSV to frame, {found['file_mb'] / 1e3:.1f} GB"
    fastest = _best(parsers, "mb_s", "MB/s", largest=True)
    yield f"{file}: speed", f"{own['mb_s']:.0f} MB/s", fastest, "fastest peer"
    yield f"{file}: peak memory", f"{own['peak_mb']:,.0f} MB", _best(parsers, "peak_mb", "MB"), DASH
    arrow = parsers.get("pyarrow", {}).get("resident_mb")
    goal = f"0.5 x Arrow, gzip {found['gzip_mb']:,.0f} MB"
    arrow_says = f"{arrow:,.0f} MB (Arrow)" if _number(arrow) else DASH
    yield f"{file}: resident", f"{own['resident_mb']:,.0f} MB", arrow_says, goal


def _gbm(found: Mapping[str, Any]) -> Iterator[Row]:
    for name in dict.fromkeys(each["table"] for each in found["peers"]):
        peers = {each["peer"]: each for each in found["peers"] if each["table"] == name}
        own = peers.pop(OWN, {})
        if not _number(own.get("s")):
            continue
        said = f"GBM, 50 trees of depth 6, {found['rows'] / 1e6:g} M x {name}"
        yield f"{said}: training", f"{own['s']:.2f} s", _best(peers, "s", "s"), "1.3 x faster"
        if "h2o" in peers and _number(peers["h2o"]["s"]):
            yield f"{said}: against H2O-3", f"{own['s']:.2f} s", f"{peers['h2o']['s']:.2f} s (h2o)", "3 x faster"
        yield f"{said}: holdout AUC", f"{own['auc']:.4f}", _best(peers, "auc", "", largest=True), "within 0.002"


def _kv(found: Mapping[str, Any]) -> Iterator[Row]:
    goals = {"get, 16 keys": "100 ns", "put, 16 keys": "100 ns", "get, all keys": "150 ns", "put, all keys": "150 ns"}
    for what, goal in goals.items():
        timings = dict(found.get("here_ns", {}).get(what, {}))
        own = timings.pop(OWN, {})
        if _number(own.get("median")):
            keys = what.replace("all keys", f"{found['keys']:,} keys")
            shared = {name: each for name, each in timings.items() if name not in _NOT_SHARED}
            yield f"key/value store, {keys}", f"{own['median']:.0f} ns", _best(shared, "median", "ns"), goal
    trips = dict(found.get("trip_us", {}))
    own, bare = trips.pop(OWN, {}), trips.pop(_BARE, {})
    trips.pop("UDP, slept for", None)
    if _number(own.get("median")) and _number(bare.get("median")):
        said = f"{own['median']:.0f} us, {own['median'] / bare['median']:.1f} x UDP there and back"
        yield "get from another process", said, _best(trips, "median", "us"), "1.5 x UDP"
    streams = {name: {"rate": 1e6 / each["median"]} for name, each in found.get("stream_us", {}).items()}
    if OWN in streams:
        said = f"{streams.pop(OWN)['rate']:,.0f} a second"
        yield "puts that do not wait", said, _best(streams, "rate", "a second", largest=True), DASH
    bulk = found.get("bulk_s", {})
    if _number(bulk.get(OWN, {}).get("median")):
        gb = bulk["bytes"] / 1e9
        said = f"{gb / bulk[OWN]['median']:.2f} GB/s"
        yield (
            f"{gb:.1f} GB from another process",
            said,
            f"{gb / bulk['plain TCP']['median']:.2f} GB/s (plain TCP)",
            DASH,
        )


_BARE: Final = "UDP, looked for"
_NOT_SHARED: Final = ("(the loop alone)", "dict", "hydroscope, member of a cluster")
"""Not peers: a bare dictionary is not safe for what a store does, the rest is not somebody else's."""

_ROWS: Final = {
    "startup": _startup,
    "compile": _compile,
    "mapreduce": _mapreduce,
    "csv": _csv,
    "gbm": _gbm,
    "kv": _kv,
}


def _best(
    peers: Mapping[str, Mapping[str, Any]], key: str, unit: str, factor: float = 1.0, largest: bool = False
) -> str:
    """Return the best figure among the peers that answered, and whose it is."""
    skipped = (OWN, "(python -c pass)")
    found = {n: each[key] for n, each in peers.items() if n not in skipped and _number(each.get(key))}
    if not found:
        return DASH
    name = (max if largest else min)(found, key=lambda each: found[each])
    value = found[name] * factor
    text = f"{value:.4f}" if key == "auc" else f"{value:,.2f}" if value < 10 else f"{value:,.0f}"
    return f"{text} {unit} ({name})".replace("  ", " ")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
