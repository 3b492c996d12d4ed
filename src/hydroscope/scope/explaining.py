"""What can have caused a record, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hydroscope.scope.decoding import Labels
from hydroscope.scope.events import Events
from hydroscope.scope.findings import ANOMALIES, ENDURED, Finding
from hydroscope.scope.order import Order, past
from hydroscope.scope.telling import View, record_of, span

__all__ = ["explain"]

HEARD = 3
"""Receipts that are told, the last ones."""
SORTS = 4
"""Labels of the past that are told, the most frequent ones."""


def explain(
    events: Events,
    found: Order,
    every: Sequence[Finding],
    labels: Labels | None = None,
    what: Finding | int | None = None,
) -> str:
    """Return in words what went wrong first, or `what` is asked for, and what had happened that can have caused it.

    What protocols are made to endure (messages dropped, sent again, or doubled) went wrong only if nothing else did.

    Parameters
    ----------
    events : Events
    found : Order
    every : sequence of Finding
        As `findings` returned them.
    labels : Labels, optional
        What records are called.
    what : Finding or int, optional
        A finding, or a record.

    Notes
    -----
    Cost: the records that can have caused it are looked at once.
    """
    if what is None:
        what = min(
            (each for each in every if each.kind in ANOMALIES and each.records),
            key=lambda each: (each.kind in ENDURED, int(found.rank[each.records[0]])),
            default=None,
        )
        if what is None:
            return "Nothing went wrong in what was recorded."
        begin = f"First: {what.text}"
    else:
        begin = what.text if isinstance(what, Finding) else ""
    if isinstance(what, Finding) and not what.records:
        return f"{begin}. It shows in no record.\nNext: {what.next_step}."
    record = what.records[0] if isinstance(what, Finding) else record_of(events, what, "what")
    view = View(events, found, labels)
    said = view.text(record)
    lines = [begin, f"It shows at {view.tell(record)}."] if begin else [f"{view.tell(record)}."]
    if said and said not in lines[-1] and said not in begin:
        lines.append(f"It says: {said}")
    lines += _past(view, record)
    if isinstance(what, Finding):
        lines.append(f"Next: {what.next_step}.")
    return "\n".join(lines)


def _past(view: View, record: int) -> list[str]:
    """Return what can have caused a record."""
    events, found = view.events, view.found
    reach = past(events, found, record)
    own = int(events.node[record])
    others = [int(k) for k in np.flatnonzero(reach) if k != own]
    if not others:
        return [f"{view.name(own)} had heard from nobody before: only its own {reach[own] - 1:,} records precede it."]
    n_past = int(reach.sum()) - 1
    begins = min(int(found.time_ns[events.starts[k]]) for k in np.flatnonzero(reach))
    lines = [
        f"{n_past:,} of {len(events):,} records can have caused it, of {view.names([own, *others])}, "
        f"over the {span(int(found.time_ns[record]) - begins)} before."
    ]
    if view.labels is not None:
        codes = np.concatenate(
            [view.labels.codes[events.starts[k] : events.starts[k] + reach[k]] for k in [own, *others]]
        )
        counts = np.bincount(codes, minlength=len(view.labels.names))
        counts[view.labels.codes[record]] -= 1
        most = [int(k) for k in np.argsort(-counts, kind="stable")[:SORTS] if counts[k]]
        told = ", ".join(f"{counts[k]:,} {view.labels.names[k]}" for k in most)
        more = int(np.count_nonzero(counts)) - len(most)
        rest = f", and {more:,} other sort{'s' if more > 1 else ''}" if more else ""
        lines.append(f"They are {told}{rest}.")
    return lines + [f"Last heard before it: {view.tell(each)}." for each in _last_heard(view, record)]


def _last_heard(view: View, record: int) -> list[int]:
    """Return the last receipts of the record's node before it."""
    events = view.events
    begin = int(events.starts[events.node[record]])
    here = np.flatnonzero(view.is_receipt[begin:record] & (view.found.partner[begin:record] >= 0)) + begin
    return [int(each) for each in here[-HEARD:][::-1]]
