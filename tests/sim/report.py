"""The page about the simulation, written from what was run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tests.sim.bugs import BUGS
from tests.sim.regressions import REGRESSIONS
from tests.sim.runner import Tally
from tests.sim.scripts import MIXES
from tests.sim.sometimes import SOMETIMES

__all__ = ["write_report"]

FAULTS = (
    ("packets sent", "sent"),
    ("dropped", "dropped"),
    ("doubled", "doubled"),
    ("overtaken by a later one", "overtaken"),
    ("lost in a partition", "cut off"),
    ("partitions", "partitions"),
    ("pauses of a member", "pauses"),
    ("deaths of a member", "crashes"),
    ("new lives in its place", "restarts"),
    ("damaged packets", "damaged"),
    ("pieces sent over streams", "streamed"),
    ("streams that stalled silently", "streams stalled"),
)

OUTCOMES = (
    ("not linearizable", "not linearizable"),
    ("not sequentially consistent", "not sequentially consistent"),
    ("incoherent", "incoherent"),
    ("happens-before broken", "happens-before"),
    ("waited for and not seen", "waited for and not seen"),
    ("stale at rest", "convergence"),
)

HEAD = """# Simulation

Whole clusters run in one thread from one seed: real members, links and stores (the code that runs on real networks),
and a network that drops, doubles, delays, reorders, cuts off and damages; members pause, die and come back as new
lives, clocks differ. Simulated time jumps to the next event. Every run is judged by oracles that know nothing of the
code:

- *volatile keys*: a linearizability checker (Wing and Gong, with Lowe's memory) over each key, real-time order of
  versions, sequential consistency over all keys;
- *plain keys*: happens-before (program order, and volatile writes that were read), coherence of each key, writes that
  were waited for are seen by everybody;
- *at rest*: everybody agrees with the last value ordered, and nothing is under way;
- *members that die*: nothing hangs, nothing wrong is answered, durable values survive, packets of other lives do
  nothing;
- *RPC alone*: each call is executed once, answered once, settled once, and sent again as the same bytes.

The checkers are themselves tested on histories with known verdicts and against all permutations of small histories.

    python -m tests.sim --seeds 1000                  every mix
    python -m tests.sim --replay volatile:17          one seed, with its trace
    python -m tests.sim.litmus                        the litmus table
    python -m tests.sim.mutants                       the mutants
    python -m tests.sim.channels                      what the published rules need to fail

A program of one's own runs in the same world, with the faults it asks for:

```python
from hydroscope.engine import simulated


def count(keys):
    for _ in range(10):
        yield keys.atomic("visits", "add", 1)


world = simulated.World(members=3, seed=7, drop=0.1, duplicate=0.05, pauses=1)
for member in range(3):
    world.spawn(count, member=member)
world.run()
reader = world.spawn(lambda keys: (yield keys.get("visits")), member=2)
world.run()
assert reader.result == 30
```

The rest of this page was written by a run.
"""


def write_report(path: Path, tallies: dict[str, Tally], audit: dict[str, list[dict[str, Any]]] | None) -> None:
    """Write the page."""
    parts = [HEAD, _totals(tallies), _mixes(tallies), _sometimes(tallies)]
    if audit:
        parts += [_original(audit["original"]), _channels(audit["channels"])]
        parts += [_mutants(audit["mutants"]), _litmus(audit["litmus"])]
    parts.append(_bugs())
    path.write_text("\n".join(parts), encoding="utf-8")


def _counters(tallies: dict[str, Tally]) -> Counter[str]:
    counters: Counter[str] = Counter()
    for tally in tallies.values():
        counters.update(tally.counters)
    return counters


def _totals(tallies: dict[str, Tally]) -> str:
    counters = _counters(tallies)
    n_wrong = sum(sum(tally.wrong.values()) for tally in tallies.values())
    rows = [
        ("seeds", f"{sum(tally.n_seeds for tally in tallies.values()):,}"),
        ("operations checked", f"{sum(tally.n_operations for tally in tallies.values()):,}"),
        ("simulated time", f"{sum(tally.simulated_s for tally in tallies.values()) / 3600:,.0f} hours"),
        ("core time", f"{sum(tally.core_s for tally in tallies.values()) / 3600:,.2f} hours"),
        ("**violations**", f"**{n_wrong}**"),
        *((name, f"{counters[counter]:,}") for name, counter in FAULTS),
    ]
    return "## Totals\n\n" + _table(("what", "number"), rows, "l r")


def _mixes(tallies: dict[str, Tally]) -> str:
    rows = []
    for mix, tally in tallies.items():
        about = MIXES[mix].about if mix in MIXES else "two links and a network, calls both ways"
        per_second = tally.n_seeds / tally.core_s if tally.core_s else 0
        rows.append(
            (
                mix,
                about,
                f"{tally.n_seeds:,}",
                f"{tally.n_operations:,}",
                f"{tally.counters['sent']:,}",
                f"{per_second:,.0f}",
                str(sum(tally.wrong.values())),
            )
        )
    heads = ("mix", "what threads do", "seeds", "operations", "packets", "seeds/s a core", "violations")
    return "## Mixes\n\nEach mix adds to the one before where it says *and*.\n\n" + _table(heads, rows, "l l r r r r r")


def _sometimes(tallies: dict[str, Tally]) -> str:
    counters = _counters(tallies)
    rows = [(what, f"{counters[counter]:,}") for what, counter in SOMETIMES.items()]
    n_met = sum(counters[counter] > 0 for counter in SOMETIMES.values())
    lead = (
        f"Rare things that a run must have met ({n_met} of {len(rows)} were); "
        "those of links are counted in every eighth seed.\n\n"
    )
    return "## Met on the way\n\n" + lead + _table(("what", "times"), rows, "l r")


def _original(rows: list[dict[str, Any]]) -> str:
    lead = (
        "The coherence rules as first published (a put at home is read at once while replicas are still being "
        "invalidated, and so on; `tests/sim/original.py`), in the same worlds. Seeds that broke a promise; "
        "of our rules: 0 in each row. For plain keys, not to be sequentially consistent is allowed.\n\n"
    )
    table = []
    for row in rows:
        plain = MIXES[row["name"]].plain > 0
        cells = []
        for name, kind in OUTCOMES:
            allowed = plain and name == "not sequentially consistent"
            none_volatile = name == "not linearizable" and not MIXES[row["name"]].volatile
            cells.append("–" if allowed or none_volatile else f"{row['wrong'].get(kind, 0):,}")
        table.append((row["name"], f"{row['n_seeds']:,}", *cells))
    heads = ("mix", "seeds", *(name for name, _ in OUTCOMES))
    return "## The published rules\n\n" + lead + _table(heads, table, "l r" + " r" * len(OUTCOMES))


def _channels(rows: list[dict[str, Any]]) -> str:
    n_ours, n_wrong = sum(row["ours"] for row in rows), sum(row["ours wrong"] for row in rows)
    limit = rows[0]["limit"]
    free = sorted({f"*{row['rules']}* ({row['channel']})" for row in rows if max(row["seeds"]) > limit})
    lead = (
        "They need no bad network. Seeds to the first violation, from five starts, on channels that keep the order and "
        "lose nothing, on channels that only reorder, and on those of all other runs; first of all published rules "
        "together, then of each alone in our store, in the mix that shows it. One is not alone there: that the sender "
        "of a put need not be invalidated is true of ours too, which has no replica where a write is under way. "
        f"Of our rules, {n_wrong} of {n_ours:,} seeds on the same channels. "
        + (f"Not convicted within {limit:,} seeds: {'; '.join(free)}." if free else "Each rule is convicted on each.")
        + "\n\n"
    )
    table = [
        (
            row["rules"],
            row["mix"],
            row["channel"],
            f"{row['median']:g}" if row["median"] <= limit else f"> {limit:,}",
            ", ".join(f"{n:,}" if n <= limit else f"> {limit:,}" for n in row["seeds"]),
            f"{row['kind']}: {row['story']}" if row["kind"] else "–",
        )
        for row in rows
    ]
    heads = ("published rules", "mix", "channels", "median", "seeds", "the first violation")
    return "### What they need to fail\n\n" + lead + _table(heads, table, "l l l r l l")


def _mutants(rows: list[dict[str, Any]]) -> str:
    n_caught = sum(max(row["seeds"]) <= row["limit"] for row in rows)
    lead = (
        f"One rule broken at a time, with the members' own invariants silenced, so that only the oracles convict: "
        f"{n_caught} of {len(rows)} caught. Seeds needed, from five starts.\n\n"
    )
    table = [
        (row["name"], row["mix"], f"{row['median']:g}", ", ".join(map(str, row["seeds"])), row["how"]) for row in rows
    ]
    return (
        "## Mutants\n\n"
        + lead
        + _table(("what is broken", "mix", "median", "seeds", "convicted as"), table, "l l r l l")
    )


def _litmus(rows: list[dict[str, Any]]) -> str:
    lead = (
        "Small programs, every placement of threads and homes on up to three members, every schedule of a small set "
        "(offsets, cached or not, one packet or one way slow). *seen* counts the outcome that the test asks about: "
        "forbidden ones must not be seen, allowed ones must be.\n\n"
    )
    table = [
        (
            row["name"],
            row["kind"],
            row["promise"],
            f"{row['n_runs']:,}",
            f"{row['n_seen']:,}",
            "ok" if (row["n_seen"] == 0) == (row["promise"] == "forbidden") else "**WRONG**",
        )
        for row in rows
    ]
    return (
        "## Litmus tests\n\n" + lead + _table(("test", "keys", "outcome is", "runs", "seen", ""), table, "l l l r r l")
    )


def _bugs() -> str:
    by_simulation = [bug for bug in BUGS if bug.found_by.startswith("simulation")]
    lead = (
        f"Bugs of protocol code: {len(by_simulation)} were found by simulation, {len(BUGS) - len(by_simulation)} in "
        "other ways.\n\n"
    )
    table = [(bug.room, bug.what, bug.found_by) for bug in BUGS]
    seeds = [(f"{each.mix}:{each.seed}", each.reason) for each in REGRESSIONS]
    return (
        "## Bugs\n\n"
        + lead
        + _table(("room", "what was wrong", "found by"), table, "l l l")
        + "\nSeeds that are run again by every test run:\n\n"
        + _table(("seed", "what it found"), seeds, "l l")
    )


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]], align: str) -> str:
    rule = ["---:" if each == "r" else "---" for each in align.split()]
    lines = [heads, tuple(rule), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
