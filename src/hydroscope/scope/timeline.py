"""What happened, as one object: the records of all nodes, their one order, what is wrong, and how to go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydroscope.ground.record.reader import Ring
from hydroscope.scope.addresses import announced, resolved
from hydroscope.scope.decoding import Decoder, Dialect, Labels, label
from hydroscope.scope.events import Events, Missing
from hydroscope.scope.findings import Finding, findings
from hydroscope.scope.order import Order, order
from hydroscope.scope.own_rules import own_rules
from hydroscope.scope.rules import Rule, rules_of

if TYPE_CHECKING:
    from hydroscope.frame.frame import Frame
    from hydroscope.scope.compare import Comparison
    from hydroscope.scope.show import Listing
    from hydroscope.window.changes import Changes

__all__ = ["Missing", "Timeline"]


class Timeline:
    """Records of several nodes in one order of cause and effect: what `hs.timeline` and `hs.read_timeline` return.

    Printed, it says which nodes there are, how their clocks differ and what is wrong; `explain`, `table`, `open`, `sql`
    and `compare` go on from there, `save` and `write` keep it.

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

    n_left_out = 0
    """Recordings of earlier runs that the button did not take."""

    def __init__(
        self,
        events: Events,
        rules: Sequence[Rule] | str = (),
        decoders: Iterable[Decoder | Dialect | str] = (),
        labels: Labels | None = None,
        changes: Changes | None = None,
        missing: Sequence[Missing] = (),
    ) -> None:
        self.events, self.changes, self.missing = events, changes, tuple(missing)
        self.rules = rules_of(rules)
        self._decoders = tuple(decoders)
        if labels is not None:
            self.labels = labels

    @classmethod
    def of(cls, rings: Iterable[Ring], rules: Sequence[Rule] | str = (), **more: Any) -> Timeline:
        """Return the timeline of rings that were read, one of each process; all else is as for `Timeline`.

        The rules of hydroscope's own calls, keys and tasks hold for what it recorded itself.
        """
        rings = list(rings)
        events = resolved(Events.of(rings), announced(rings))
        return cls(events, (*own_rules(events), *rules_of(rules)), **more)

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
        return findings(self.events, self.order, self.labels, self.missing)

    def text(self, record: int) -> str:
        """Return what a record says. Cost: one call of a decoder."""
        return self.labels.text(record)

    # -- to read ----------------------------------------------------------------------

    def __str__(self) -> str:
        from hydroscope.scope.show import summary

        return summary(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from hydroscope.scope.show import summary_html

        return summary_html(self)

    def explain(self, what: Finding | int | None = None) -> str:
        """Return in words what can have caused a finding or a record; by default what went wrong first.

        Cost: the records that can have caused it are looked at once.
        """
        from hydroscope.scope.explaining import explain

        return explain(self.events, self.order, self.findings, self.labels, what)

    def table(
        self,
        around: Finding | float | None = None,
        node: str | Collection[str] | None = None,
        kind: str | Collection[str] | None = None,
        match: str | None = None,
        limit: int = 50,
    ) -> Listing:
        """Return some records as a table of text, in the one order, with corrected times and how certain they are.

        Parameters
        ----------
        around : Finding, int or float, optional
            What is to be in the middle: a finding, a record by its number, or a moment in seconds after the first
            record, as a float. By default the first records are listed.
        node : str or several, optional
            Names of nodes.
        kind : str or several, optional
            "sent", "received", "started", ...
        match : str, optional
            A regular expression for which label, text, lane, subject or peer is searched.
        limit : int
            How many records are listed at most.

        Returns
        -------
        Listing
            Prints itself. Records of findings begin with an exclamation mark.

        Raises
        ------
        UserError
            There is no such node, kind or record, or the regular expression is none.

        Notes
        -----
        Cost: O(n); with `match`, all distinct texts are decoded.
        """
        from hydroscope.scope.show import listing

        return listing(self, around, node, kind, match, limit)

    def compare(self, other: Timeline) -> Comparison:
        """Find where this timeline and another one of the same system first go apart.

        Parameters
        ----------
        other : Timeline
            Of another run, in which something went otherwise. Nodes are compared by their names, those of
            hydroscope's own processes without process ids, where that says which is which; records by what they are
            and by their ids, or if these differ, by their order between the same two ends.

        Returns
        -------
        Comparison
            Prints itself: what was common last, what this one did then, and what the other did.

        Raises
        ------
        UserError
            No node of the one is a node of the other.

        Notes
        -----
        Recordings may begin and end at different places: what one of them cannot have is no difference.

        Cost: sorts of both; 3 s for two of a million records.
        """
        from hydroscope.scope.compare import compare

        return compare(self, other)

    # -- as tables --------------------------------------------------------------------

    def to_frame(self) -> Frame:
        """Return all records as a frame, in the one order.

        Returns
        -------
        Frame
            Columns record (its number, as findings and `partner` have it), node, lane, kind, label, subject, time
            (corrected, in whole milliseconds), time_ns (the same in nanoseconds since 1970), seconds (since the first
            record), error_us (the time is right within this; missing: unknown), id (as a signed number), peer, n_bytes,
            partner (the record at the other end; missing: none), rank, text.

        Notes
        -----
        Cost: a copy of all columns; each distinct text is decoded.
        """
        from hydroscope.scope.tables import as_frame, events_table

        return as_frame(events_table(self))

    def sql(self, query: str) -> Frame:
        """Return the answer to a question in SQL, as DuckDB understands it.

        Parameters
        ----------
        query : str
            Tables are `events` (as `to_frame`), `messages` (what was sent, with what was received of it, the
            latency and its uncertainty), `nodes` and `findings`.

        Returns
        -------
        Frame
            Times in whole milliseconds, rounded down; `time_ns` has all digits.

        Raises
        ------
        UserError
            The question is not understood (the text has the columns there are), or the package duckdb is not there.

        Examples
        --------
        >>> from hydroscope.scope.events import COLUMNS, Events
        >>> nothing = Timeline(Events.sorted([], [], {name: [] for name in COLUMNS}))
        >>> nothing.sql("select count(*) as n from events").to_dict()
        {'n': [0]}

        Notes
        -----
        Cost: as `to_frame`, for the tables that are named, and what DuckDB takes.
        """
        from hydroscope.scope.tables import ask

        return ask(self, query)

    # -- as files ---------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the timeline into a file that `hs.read_timeline` reads.

        Parameters
        ----------
        path : path
            With the suffix `.timeline`, by custom.
        overwrite : bool

        Raises
        ------
        UserError
            The file is there already, or cannot be written.

        Notes
        -----
        All is kept but the decoders: labels and texts are. docs/timeline.md tells the format.

        Cost: 0.3 s and 10 MB for a million records of a few sorts; the texts of all records are decoded.
        """
        from hydroscope.scope.store import write

        self._into(write, path, overwrite)

    def write(
        self,
        path: str | os.PathLike[str],
        overwrite: bool = False,
        limit: int | None = None,
        around: Finding | int | None = None,
        nodes: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        """Write the timeline in the format that the suffix says: .html (a page that shows it), .timeline, .pftrace, ...

        Parameters
        ----------
        path : path
            `scope.reading.WRITERS` has the suffixes.
        overwrite : bool
        limit : int, optional
            At most so many records. By default all, of a format that its reader would take minutes for (.shiviz) fewer.
        around : Finding or int, optional
            Of more than `limit`, those nearest to this finding, or to the record of this number. By default nearest to
            what went wrong first.
        nodes : sequence of str, optional
            Records of these nodes only.
        **options
            Of the format; docs/formats.md has them.

        Raises
        ------
        UserError
            No format has this suffix, or it has no such option (.html and .timeline are always of all records), or the
            file is there already, or cannot be written.

        Notes
        -----
        Cost: seconds for a million records.
        """
        from hydroscope.scope.reading import writer_of

        chosen = {"limit": limit, "around": around, "nodes": nodes}
        options |= {name: value for name, value in chosen.items() if value is not None}
        self._into(writer_of(path, options), path, overwrite, **options)

    def _into(self, writer: Callable[..., Any], path: str | os.PathLike[str], overwrite: bool, **options: Any) -> None:
        """Have a file written beside its place, and put there when it is complete."""
        from hydroscope.frame.files import new_file

        with new_file(Path(path), overwrite) as file:
            writer(self, file.name, **options)

    def open(self, other: Timeline | None = None) -> Path:
        """Show the timeline in a browser, with another one below it for comparison if there is one.

        Returns
        -------
        Path
            Of the page, which is a temporary file: where there is no browser, it can be taken to one.

        Notes
        -----
        Cost: some seconds for a million records.
        """
        import tempfile
        import webbrowser

        from hydroscope.scope.viewer.page import write_html

        handle, name = tempfile.mkstemp(prefix="timeline-", suffix=".html")
        os.close(handle)
        path = write_html(self, name, other=other)
        webbrowser.open(path.as_uri())
        return path
