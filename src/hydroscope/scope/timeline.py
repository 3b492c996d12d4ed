"""What happened, as one object: the records of all nodes, their one order, what is wrong, and how to go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from hydroscope.ground.record.reader import Ring
from hydroscope.scope.decoding import Decoder, Dialect, Labels, label
from hydroscope.scope.events import Events, Missing
from hydroscope.scope.findings import Finding, findings
from hydroscope.scope.order import Order, order
from hydroscope.scope.rules import Rule, parse

__all__ = ["Missing", "Timeline"]


class Timeline:
    """Records of several nodes in one order of cause and effect.

    Parameters
    ----------
    events : Events
    rules : sequence of Rule, or str
        What ought to come before what; `scope.rules.parse` reads a text.
    decoders : iterable of function, Dialect or str
        What messages are called: functions of their first bytes, or names of `scope.decoding.BUILT_IN`.
    labels : Labels, optional
        If they are known already.
    changes : Changes, optional
        Of states, as `window.changes` gives them.
    missing : sequence of Missing
        Nodes whose records could not be had, and why.
    """

    def __init__(
        self,
        events: Events,
        rules: Sequence[Rule] | str = (),
        decoders: Iterable[Decoder | Dialect | str] = (),
        labels: Labels | None = None,
        changes: Any = None,
        missing: Sequence[Missing] = (),
    ) -> None:
        self.events, self.changes, self.missing = events, changes, tuple(missing)
        self.rules = parse(rules) if isinstance(rules, str) else tuple(rules)
        self._decoders = tuple(decoders)
        if labels is not None:
            self.labels = labels

    @classmethod
    def of(cls, rings: Iterable[Ring], **more: Any) -> Timeline:
        """Return the timeline of rings that were read, one of each process; `more` is as for `Timeline`."""
        return cls(Events.of(rings), **more)

    def __len__(self) -> int:
        return len(self.events)

    @cached_property
    def order(self) -> Order:
        """Where each record stands. Cost: some sorts of the records, once."""
        return order(self.events, self.rules)

    @cached_property
    def labels(self) -> Labels:
        """What each record is called. Cost: a sort of the records, once, and decoding of distinct beginnings."""
        return label(self.events, self._decoders)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All that is wrong, the worst first. Cost: O(n), once."""
        return findings(self.events, self.order)

    def text(self, record: int) -> str:
        """Return what a record says. Cost: one call of a decoder."""
        return self.labels.text(record)
