"""A stretch of the past as tables: every change in it, and the states at regular moments; asked in SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hydroscope.engine.diary import VIEW
from hydroscope.engine.past_keys import DEADLINE_S
from hydroscope.ground.clocks.hlc import TIME, time_ns
from hydroscope.ground.errors import UserError
from hydroscope.scope.snapshots import Logs, Snapshot, snapshot
from hydroscope.scope.tables import TEXT_MAX, as_texts, ask_of, state_table
from hydroscope.window.changes import Changes, changes_since, entries, numbers_of, texts_of
from hydroscope.window.cut import Cut
from hydroscope.window.history import GONE
from hydroscope.window.times import shown

if TYPE_CHECKING:
    from hydroscope.frame.frame import Frame

__all__ = ["CUTS_MAX", "Stretch", "history"]

CUTS_MAX: Final = 10_000
"""Cuts of a stretch; more are a slip of the finger."""


def history(
    begin: Any = None,
    end: Any = None,
    every: float | None = None,
    logs: Logs = None,
    nodes: Iterable[str] | str | None = None,
    deadline_s: float = DEADLINE_S,
) -> Stretch:
    """Return a stretch of the past of the cluster's keys, of one window-log, or of several together.

    Parameters
    ----------
    begin, end : int, float, str, datetime.datetime or datetime.timedelta, optional
        As `at` of `snapshot`. Default: from as far back as all logs reach, until now.
    every : float, optional
        Seconds from one cut to the next; default: a hundredth of the stretch.
    logs, nodes, deadline_s
        As of `snapshot`.

    Returns
    -------
    Stretch
        To be asked in SQL, or gone through cut by cut.

    Raises
    ------
    WindowError
        If a log does not reach back so far.
    UserError
        If there is no log, or these are no moments or too many.

    Notes
    -----
    Cost: as of `snapshot`.

    Examples
    --------
    >>> from hydroscope.window.log import WindowLog
    >>> log = WindowLog("till")
    >>> for cash in (100, 70, 90):
    ...     log["cash"] = cash
    >>> history(logs=log).sql("select max(new_number) as most, count(*) as n from changes").to_dict()
    {'most': [100.0], 'n': [3]}
    """
    last = snapshot(end, logs, nodes, deadline_s)
    first = last.copy()
    if begin is None:
        first.roll(max(cut.history.start for cut in first.cuts.values()))
    else:
        first.roll(begin)
    if first.at > last.at:
        raise UserError(
            f"a stretch from {shown(first.at)} to {shown(last.at)} goes back; give the earlier moment first"
        )
    length_s = (last.at - first.at) / 1e9
    step_s = max(length_s / 100, 1e-6) if every is None else every
    if not (isinstance(step_s, int | float) and step_s > 0 and length_s / step_s <= CUTS_MAX):
        raise UserError(
            f"every={every!r}: seconds, above 0 and such that {length_s:.3f} s have at most {CUTS_MAX} cuts"
        )
    return Stretch(first, last, step_s)


class Stretch:
    """What logs have of a stretch of time.

    Attributes
    ----------
    begin, end : int
        Stamps.
    every_s : float
        Seconds from one cut to the next.
    """

    def __init__(self, first: Snapshot, last: Snapshot, every_s: float) -> None:
        self._first, self._last = first, last
        self.begin, self.end, self.every_s = first.at, last.at, every_s

    def __repr__(self) -> str:
        return f"<Stretch of {', '.join(self._last.nodes)} from {shown(self.begin)} to {shown(self.end)}>"

    @property
    def stamps(self) -> list[int]:
        """The moments of the cuts: `begin`, one every `every_s`, and `end`."""
        return [*range(self.begin, self.end, max(1, round(self.every_s * 1e9))), self.end]

    def cuts(self) -> Iterator[Snapshot]:
        """Yield the cuts, one snapshot that moves on: `copy` what is to stay. Cost: O(changes between)."""
        moving = self._first.copy()
        for stamp in self.stamps:
            moving.move(stamp)
            yield moving

    def changes(self) -> Changes:
        """Return all changes, as columns of text; first the state at `begin`, as changes with that stamp.

        Cost: about 1 us a change.
        """
        return changes_since(self._first.cuts, without=(VIEW,), until=self.end)

    def sql(self, query: str) -> Frame:
        """Return the answer to a question in SQL, as DuckDB understands it.

        Parameters
        ----------
        query : str
            Tables are `changes`: stamp, time, node, key, old, new, old_number, new_number, for each change;
            `states`: cut, stamp, time, node, key, value, number, for each key at each cut; `state`: node, key, value,
            number, at the end. Values are texts (lists and dictionaries as JSON); those that are numbers are numbers
            beside. Missing: the key is not there, or no number.

        Returns
        -------
        Frame
            Times in whole milliseconds.

        Raises
        ------
        UserError
            The question is not understood, or the package duckdb is not there.

        Notes
        -----
        Cost: about 2 us a row of the tables that are named, and what DuckDB takes. `states` has cuts times keys rows.
        """
        makers: dict[str, Callable[[], Any]] = {
            "changes": self._changes_table,
            "states": self._states_table,
            "state": lambda: state_table(self._last),
        }
        return ask_of(makers, query)

    def _changes_table(self) -> Any:
        tables = [_changes_table(name, cut, self.end) for name, cut in self._first.cuts.items()]
        return pa.concat_tables(tables).sort_by("stamp")

    def _states_table(self) -> Any:
        tables = []
        for number, snap in enumerate(self.cuts()):
            table = state_table(snap)
            at = {"cut": [number] * len(table), "stamp": [snap.at] * len(table)}
            head = pa.table({name: pa.array(values, pa.int64()) for name, values in at.items()})
            times = pa.array(np.full(len(table), time_ns(snap.at), np.int64)).cast(pa.timestamp("ns"))
            columns = [*head.columns, times, *table.columns]
            tables.append(pa.table(columns, [*head.column_names, "time", *table.column_names]))
        return pa.concat_tables(tables)


def _changes_table(name: str, cut: Cut, until: int) -> Any:
    """Return the changes of one log after a cut."""
    history = cut.history
    stamps, ids, old, new = entries(cut, (VIEW,), until)
    before, after = history.values(ids, old), history.values(ids, new)
    keys = texts_of([history.keys[number] for number in ids.tolist()], TEXT_MAX)
    return pa.table(
        {
            "stamp": stamps.astype(np.int64),
            "time": pa.array(stamps.astype(np.int64) & TIME).cast(pa.timestamp("ns")),
            "node": pa.array([name] * len(ids), pa.string()),
            "key": as_texts(keys.tolist()),
            "old": _texts(before, old),
            "new": _texts(after, new),
            "old_number": pa.array(numbers_of(before), pa.float64()),
            "new_number": pa.array(numbers_of(after), pa.float64()),
        }
    )


def _texts(values: list[Any], slots: NDArray[np.int64]) -> Any:
    texts: list[Any] = texts_of(values, TEXT_MAX).tolist()
    for row in np.flatnonzero(slots == GONE).tolist():
        texts[row] = None
    return as_texts(texts)
