"""Records in words."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from hydroscope.ground.errors import UserError
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.decoding import OWN, SOMETHING, Labels
from hydroscope.scope.events import MESSAGES, Events
from hydroscope.scope.matching import RECEIPTS, SENDS
from hydroscope.scope.order import Order

__all__ = ["LISTED", "View", "counted", "ident", "record_of", "span"]

Ints = npt.NDArray[np.int64]

LISTED = 1000
"""Records of one finding."""

HASHED = 2**53
"""Ids from here on are taken for hashes."""

WORDS = {
    Kind.NOTE: "noted",
    Kind.SAMPLE: "sampled",
    Kind.CLOCK: "looked at its clocks",
}
"""What a node did, where that is not the name of the kind."""


def span(ns: int | float) -> str:
    """Return a time in the unit that suits it.

    Examples
    --------
    >>> span(1_500_000), span(-2e9), span(17)
    ('1.5 ms', '-2 s', '17 ns')
    """
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if abs(ns) >= size:
            return f"{ns / size:.4g} {unit}"
    return f"{ns:.0f} ns"


def counted(n: int, what: str) -> str:
    """Return how many there are of something.

    Examples
    --------
    >>> counted(1, "message"), counted(4096, "task")
    ('1 message', '4,096 tasks')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def ident(number: int) -> str:
    """Return an id as it is shown: hashes in hexadecimal digits.

    Examples
    --------
    >>> ident(17), ident(2**60)
    ('#17', '#1000000000000000')
    """
    return f"#{number}" if number < HASHED else f"#{number:016x}"


def record_of(events: Events, number: object, name: str) -> int:
    """Return the number of a record, as it was given for the parameter `name`.

    Raises
    ------
    UserError
        It is none.
    """
    n = len(events)
    if not isinstance(number, int | np.integer) or isinstance(number, bool) or not 0 <= number < n:
        known = f"records are numbered from 0 to {n - 1:,}" if n else "there are no records"
        raise UserError(f"{name}={number!r}: {known}")
    return int(number)


class View:
    """Events and their order, with what findings and texts need."""

    def __init__(self, events: Events, found: Order, labels: Labels | None = None) -> None:
        self.events, self.found, self.labels = events, found, labels
        self.is_send = np.isin(events.kind, SENDS)
        self.is_receipt = np.isin(events.kind, RECEIPTS)
        n = np.diff(events.starts)
        self.has = n > 0
        lasts = np.maximum(events.starts[1:] - 1, 0)
        firsts = np.minimum(events.starts[:-1], len(events) - 1)
        self.begins = np.where(self.has, found.time_ns[firsts], 0)
        self.ends = np.where(self.has, found.time_ns[lasts], 0)
        errors = np.where(np.isfinite(found.error_ns), found.error_ns, 0).astype(np.int64)
        self.margin = 2 * np.array(
            [errors[a:b].max() if b > a else 0 for a, b in zip(events.starts, events.starts[1:], strict=False)]
        )
        """Twice the error of each node's time, at most."""

    def name(self, node: int) -> str:
        """Return a node's name."""
        return self.events.nodes[node].name

    def names(self, nodes: Iterable[int]) -> str:
        """Return some nodes' names."""
        names = [self.name(int(k)) for k in nodes]
        shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
        return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)

    def what(self, record: int) -> str:
        """Return what a record is of: its label, and its id where others have the label too."""
        events = self.events
        kind, number = Kind(int(events.kind[record])), int(events.id[record])
        label = "" if self.labels is None else self.labels[record]
        if kind in (Kind.SAMPLE, Kind.CLOCK):
            return ""
        named = bool(events.subject[record]) or kind in (Kind.NOTE, Kind.FAILED)
        if label and named and kind not in MESSAGES:
            return label
        known = label if label not in (SOMETHING, OWN.get(kind)) else ""
        return f"{known} {ident(number)}".lstrip()

    def did(self, record: int) -> str:
        """Return what a node did, and to whom: "sent PREPARE #17 to b"."""
        kind, peer = Kind(int(self.events.kind[record])), int(self.events.peer[record])
        text = f"{WORDS.get(kind, kind.name.lower())} {self.what(record)}".rstrip()
        return text if peer < 0 else f"{text} {'to' if self.is_send[record] else 'from'} {self.name(peer)}"

    def when(self, record: int) -> str:
        """Return when it was, after the first record of all, and how certain that is."""
        since = int(self.found.time_ns[record]) - int(self.begins[self.has].min())
        error = float(self.found.error_ns[record])
        if not np.isfinite(error):
            return f"{span(since)} after the first record by a clock that nothing confirms"
        return f"{span(since)}{f' ± {span(error)}' if error else ''} after the first record"

    def tell(self, record: int) -> str:
        """Return a record in words."""
        return f"{self.name(int(self.events.node[record]))} {self.did(record)} ({self.when(record)})"

    def text(self, record: int) -> str:
        """Return what a record says."""
        if self.labels is not None:
            return self.labels.text(record)
        return bytes(self.events.data[record]).rstrip(b"\0").decode(errors="replace")

    def in_order(self, records: Ints) -> tuple[int, ...]:
        """Return records in the one order, the first of many."""
        return tuple(int(each) for each in records[np.argsort(self.found.rank[records])][:LISTED])
