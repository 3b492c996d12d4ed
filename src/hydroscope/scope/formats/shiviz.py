"""Timelines as logs for ShiViz, and its logs as timelines.

An event is two lines: what happened; and the host with its vector clock, in which each host has the number of the
latest event of its that can have been a cause. ShiViz takes only logs in which each host counts its events from 1 by
1, and no clock names an event that is not there. Records of a ring have older ones before them that are forgotten;
so events are counted anew from the oldest that is written, and causes before that are left out of the clock.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hydroscope.ground.errors import DataError
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.formats.built import Entry, Records
from hydroscope.scope.formats.shown import coded, texts
from hydroscope.scope.matching import RECEIPTS, SENDS
from hydroscope.scope.rules import Rule
from hydroscope.scope.timeline import Timeline

__all__ = ["read_shiviz", "write_shiviz"]

Ints = npt.NDArray[np.int64]

STEP_NS = 10**6

FORM = r"^(?<event>.*)\n(?<host>\S*) (?<clock>{.*})$"
"""The expression that ShiViz is to read the log with: the file's first line.

That of its own page has no `^`, and takes an event that says `state {"x": 1}` for a host and its clock.
"""


def write_shiviz(timeline: Timeline, path: str | os.PathLike[str], rows: Ints) -> None:
    """Write a timeline as a log for ShiViz.

    Parameters
    ----------
    timeline : Timeline
    path : path
    rows : (n,)
        Which of its records, ascending. ShiViz's page reads 2,000 in a second, and thirty times as many in minutes.

    Notes
    -----
    Cost: O(records written times nodes).
    """
    events, through = timeline.events, _through(timeline, rows)
    hosts = _hosts([node.name for node in events.nodes])
    lines = _lines(timeline, rows)
    count = [0] * len(hosts)
    now: list[dict[int, int]] = [{} for _ in hosts]
    clocks: dict[int, dict[int, int]] = {}
    columns = (events.node[through], events.kind[through], timeline.order.partner[through])
    with open(path, "w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(f"{FORM}\n\n")
        for row, node, kind, partner in zip(through.tolist(), *(each.tolist() for each in columns), strict=True):
            cause = partner if kind in RECEIPTS else -1
            clock = now[node]
            for other, n in clocks.get(cause, {}).items():
                clock[other] = max(clock.get(other, 0), n)
            line = lines.get(row)
            if line is not None:
                count[node] += 1
                clock[node] = count[node]
                before = "  (sent before this log begins)" if cause >= 0 and cause not in clocks else ""
                told = {hosts[node]: count[node]} | {hosts[other]: n for other, n in clock.items() if other != node}
                file.write(f"{line}{before}\n{hosts[node]} {json.dumps(told, ensure_ascii=False)}\n")
            if kind in SENDS:
                clocks[row] = dict(clock)


def _lines(timeline: Timeline, rows: Ints) -> dict[int, str]:
    """Return of each row what it says, in a line."""
    names, says = coded(timeline, rows), texts(timeline, rows)
    found = {}
    for row, a, b in zip(rows.tolist(), names.code.tolist(), says.code.tolist(), strict=True):
        name, say = names.table[a], says.table[b]
        found[row] = _line(name if say in name else f"{name}: {say}")
    return found


def _through(timeline: Timeline, rows: Ints) -> Ints:
    """Return the rows in the one order and all between them, by way of which they can have been caused."""
    rank = timeline.order.rank
    if not rows.size:
        return rows
    through: Ints = np.argsort(rank)[rank[rows].min() : rank[rows].max() + 1]
    return through


def _line(text: str) -> str:
    """Return the text without what ends a line, in JavaScript too; not empty, as ShiViz drops empty lines in front."""
    return re.sub(r"[\n\r\u2028\u2029]+", " ", text).strip() or "-"


def _hosts(names: Sequence[str]) -> list[str]:
    """Return names without spaces, all different."""
    found: dict[str, None] = {}
    for name in names:
        host = re.sub(r"\s", "_", name) or "_"
        while host in found:
            host += "_"
        found[host] = None
    return list(found)


@dataclass(slots=True)
class _Event:
    host: str
    clock: dict[str, int]
    text: str
    where: str
    """File and line."""


def read_shiviz(paths: Sequence[str | os.PathLike[str]], rules: Sequence[Rule] | str = ()) -> Timeline:
    """Read logs for ShiViz, or of tools that write such.

    Parameters
    ----------
    paths : sequence of path
        Files of one execution. One that has no expression in its first line is read with that of ShiViz's page, or
        with that of GoVector, in which the host comes first.
    rules : sequence of Rule, or str
        As for `Timeline`.

    Returns
    -------
    Timeline
        An event is a note, or if others show that it sent or received something, a record of each message. Times are
        made up: a millisecond for each step of the longest chain of causes.

    Raises
    ------
    DataError
        It is not such a log; or, as ShiViz would say too, a host's clock does not rise by 1 from 1, or names an event
        that is not there.

    Notes
    -----
    Cost: O(events times hosts).
    """
    events = [event for path in paths for event in _parsed(path)]
    by_host: dict[str, list[_Event]] = {}
    for event in events:
        by_host.setdefault(event.host, []).append(event)
    for host, own in by_host.items():
        own.sort(key=lambda each: each.clock[host])
        for k, event in enumerate(own, 1):
            _check(host, k, event, by_host)
    return _built(by_host, rules)


def _parsed(path: str | os.PathLike[str]) -> Iterator[_Event]:
    name = repr(os.fspath(path))
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    first, _, rest = text.partition("\n")
    if all(f"(?<{group}>" in first for group in ("event", "host", "clock")):
        expression, line, text = first, 3, rest.partition("\n")[2]
    else:
        host_first = re.match(r"\n*\S+ \{.*\}$", text, re.MULTILINE) is not None
        expression, line = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)" if host_first else FORM, 1
    try:
        compiled = re.compile(re.sub(r"\(\?<(?=\w)", "(?P<", expression), re.MULTILINE)
    except re.error as error:
        raise DataError(f"{name} has an expression in its first line that is none: {error}") from None
    match, at = None, 0
    for match in compiled.finditer(text):
        line, at = line + text.count("\n", at, match.start()), match.start()
        yield _event(match, f"{name}, line {line}")
    if match is None:
        raise DataError(f"{name} has nothing that {expression!r} matches: it is no log for ShiViz")


def _event(match: re.Match[str], where: str) -> _Event:
    host, said = match["host"] or "", match["clock"] or ""
    try:
        clock = json.loads(said)
        sound = isinstance(clock, dict) and all(type(n) is int and 0 <= n < 2**53 for n in clock.values())
    except (ValueError, RecursionError):
        sound = False
    if not sound:
        raise DataError(f"{where}: {said[:200]!r} is no vector clock, a JSON object of whole numbers")
    if clock.get(host, 0) < 1:
        raise DataError(f"{where}: the clock {said[:200]} of host {host!r} does not count its own events")
    return _Event(host, {name: n for name, n in clock.items() if n}, (match["event"] or "").strip(), where)


def _check(host: str, k: int, event: _Event, by_host: dict[str, list[_Event]]) -> None:
    if event.clock[host] != k:
        raise DataError(
            f"{event.where}: event {event.text!r} of host {host!r} has the number {event.clock[host]}; its events "
            f"count from 1 by 1, and this one would be {k}"
        )
    for other, n in event.clock.items():
        if n > len(by_host.get(other, ())):
            raise DataError(
                f"{event.where}: event {event.text!r} of host {host!r} was caused by event {n} of {other!r}, which is "
                "not in the log"
            )


Ends = dict[tuple[str, int], list[tuple[str, int, int]]]
"""Event (host and number) -> of each of its messages the event at the other end, and the message's number."""


def _built(by_host: dict[str, list[_Event]], rules: Sequence[Rule] | str) -> Timeline:
    records = Records()
    for host in by_host:
        records.node(host)
    sent, received = _messages(by_host)
    for host, k, depth in _in_order(by_host, sent, received):
        text = by_host[host][k - 1].text
        each: list[tuple[Kind, str | None, int]] = []
        each += [(Kind.RECEIVED, other, message) for other, _, message in received.get((host, k), [])]
        each += [(Kind.SENT, other, message) for other, _, message in sent.get((host, k), [])]
        for place, (kind, other, message) in enumerate(each or [(Kind.NOTE, None, 0)]):
            records.add(Entry(host, "", kind, depth * STEP_NS + place, text, text, message, other))
    return records.timeline(rules=rules)


def _messages(by_host: dict[str, list[_Event]]) -> tuple[Ends, Ends]:
    """Return what each event sent and received: what is new in a clock, and does not come by way of what else is."""
    sent: Ends = {}
    received: Ends = {}
    n = 0
    for host, own in by_host.items():
        before: dict[str, int] = {}
        for k, event in enumerate(own, 1):
            new = {other: at for other, at in event.clock.items() if other != host and at > before.get(other, 0)}
            for other, at in new.items():
                others = (by_host[each][place - 1] for each, place in new.items() if each != other)
                if not any(each.clock.get(other, 0) >= at for each in others):
                    n += 1
                    sent.setdefault((other, at), []).append((host, k, n))
                    received.setdefault((host, k), []).append((other, at, n))
            before |= {other: max(before.get(other, 0), at) for other, at in event.clock.items()}
    return sent, received


def _in_order(by_host: dict[str, list[_Event]], sent: Ends, received: Ends) -> Iterator[tuple[str, int, int]]:
    """Yield host, number and depth (steps of the longest chain to it) of each event, after its causes."""
    waits = {
        (host, k): (k > 1) + len(received.get((host, k), ())) for host, own in by_host.items() for k in _from_1(own)
    }
    depth = dict.fromkeys(waits, 0)
    ready = [event for event, n in waits.items() if not n]
    n_events = len(waits)
    while ready:
        host, k = ready.pop()
        n_events -= 1
        yield host, k, depth[host, k]
        nexts = [(other, at) for other, at, _ in sent.get((host, k), ())]
        for event in [*nexts, (host, k + 1)] if k < len(by_host[host]) else nexts:
            depth[event] = max(depth[event], depth[host, k] + 1)
            waits[event] -= 1
            if not waits[event]:
                ready.append(event)
    if n_events:
        host, k = next(event for event, n in waits.items() if n)
        where = by_host[host][k - 1].where
        raise DataError(f"{where}: event {k} of host {host!r}, or one before it, is its own cause by its clock")


def _from_1(events: Sequence[object]) -> range:
    return range(1, len(events) + 1)
