"""All changes of several logs as columns of text: for tables, timelines and whoever shows them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from reprlib import Repr
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hydroscope.window.cut import Cut, Source
from hydroscope.window.history import GONE, History

__all__ = ["Changes", "changes", "changes_since", "entries", "numbers_of", "text_of", "texts_of"]

TEXT_MAX: Final = 120
"""Characters of a key or value."""

_PLAIN: Final = frozenset({int, float, bool})
_JSON: Final = frozenset({list, tuple, dict})
_repr: Final = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = TEXT_MAX
_json: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """Changes in the order of their stamps, those of one stamp in the order of the logs: five columns."""

    stamp: NDArray[np.uint64]
    node: NDArray[np.object_]
    """The log's name."""
    key: NDArray[np.object_]
    old: NDArray[np.object_]
    """Text of the value before; None: the key was not there."""
    new: NDArray[np.object_]
    """Text of the value after; None: the key is not there any more."""

    def __len__(self) -> int:
        return len(self.stamp)


def changes(
    logs: Collection[Source],
    limit: int = TEXT_MAX,
    without: Collection[Hashable] = (),
    after: int = 0,
    until: int = 2**64,
) -> Changes:
    """Return all changes of logs, and the state with which each window began.

    Parameters
    ----------
    logs : WindowLog, PastLog or others that cuts are taken from
    limit : int
        Characters of a text, at most.
    without : keys
        That are left out.
    after, until : int
        Stamps: only changes later than the first, and not later than the second. A window that began before `after`
        begins there.

    Returns
    -------
    Changes
        Of each log first the keys that were there when it began, as changes with the stamp of that moment and no value
        before.

    Notes
    -----
    Cost: about 1 us a change; each value is made a text once.
    """
    cuts = {log.name: log.cut() for log in logs}
    for log in logs:  # by what the cuts know: logs in use forget meanwhile
        history = cuts[log.name].history
        cuts[log.name].move(min(max(history.start, after), history.until), log)
    return changes_since(cuts, limit, without, until)


def changes_since(
    cuts: Mapping[str, Cut], limit: int = TEXT_MAX, without: Collection[Hashable] = (), until: int = 2**64
) -> Changes:
    """Return the state of cuts, by name of the log, and all changes after them; otherwise as `changes`."""
    found = [_of(name, cut, limit, without, until) for name, cut in cuts.items()]
    if not found:
        nothing = np.zeros(0, np.object_)
        return Changes(np.zeros(0, np.uint64), nothing, nothing, nothing, nothing)
    stamps = np.concatenate([each.stamp for each in found])
    order = np.argsort(stamps, kind="stable")
    rest = (np.concatenate([getattr(each, name) for each in found])[order] for name in ("node", "key", "old", "new"))
    return Changes(stamps[order], *rest)


def entries(cut: Cut, without: Collection[Hashable], until: int) -> tuple[NDArray[Any], ...]:
    """Return stamps, numbers of keys, old and new slots of the changes after a cut, but for some keys."""
    history = cut.history
    columns = history.columns(cut.place, history.place(min(until, history.until)))
    left = _others(columns[1], cut, without)
    return tuple(column[left] for column in columns)


def _others(ids: NDArray[Any], cut: Cut, without: Collection[Hashable]) -> NDArray[np.bool_]:
    return ~np.isin(ids, [number for key in without if (number := cut.number(key)) is not None])


def _of(name: str, cut: Cut, limit: int, without: Collection[Hashable], until: int) -> Changes:
    history = cut.history
    there = np.flatnonzero(cut.is_there())
    there = there[_others(there, cut, without)]
    stamps, ids, old, new = entries(cut, without, until)
    stamps = np.concatenate([np.full(len(there), cut.stamp, np.uint64), stamps])
    ids = np.concatenate([there, ids])
    old, new = np.concatenate([np.full(len(there), GONE), old]), np.concatenate([cut.state[there], new])
    texts, places = _texts(history, np.concatenate([ids, ids]), np.concatenate([old, new]), limit)
    named = np.empty(history.n_keys, np.object_)
    for number in np.unique(ids).tolist():
        named[number] = text_of(history.keys[number], limit)
    node = np.full(len(ids), name, np.object_)
    return Changes(stamps, node, named[ids], texts[places[: len(ids)]], texts[places[len(ids) :]])


def _texts(
    history: History, ids: NDArray[Any], slots: NDArray[np.int64], limit: int
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Return the texts of distinct slots, and which of them each has; the first is that of keys that are not there."""
    distinct, places = _distinct(slots)
    owner = np.zeros(len(distinct) + 1, np.int64)
    owner[places] = ids
    texts = np.empty(len(distinct) + 1, np.object_)
    texts[1:] = texts_of(history.values(owner[1:], distinct), limit)
    return texts, places


def _distinct(slots: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the slots that there are, in order, and for each which of them it is, counted from 1; 0 for GONE."""
    known = slots[slots != GONE]
    first, end = (int(known.min()), int(known.max()) + 1) if len(known) else (0, 0)
    if end - first > 4 * len(known):  # a few of them are far older than the others
        distinct = np.unique(known)
        return distinct, np.where(slots == GONE, 0, np.searchsorted(distinct, slots) + 1)
    numbers = np.zeros(end - first + 1, np.int64)  # one more, at -1, for GONE
    numbers[known - first] = 1
    distinct = first + np.flatnonzero(numbers)
    numbers[distinct - first] = np.arange(1, len(distinct) + 1)
    return distinct, numbers[np.where(slots == GONE, -1, slots - first)]


def texts_of(values: list[Any], limit: int = TEXT_MAX) -> NDArray[np.object_]:
    """Return the texts of values. Cost: about 0.3 us each."""
    return np.fromiter((text_of(value, limit) for value in values), np.object_, len(values))


def text_of(value: Any, limit: int = TEXT_MAX) -> str:
    """Return a value as a text of bounded length: texts as they are, lists and dictionaries as JSON if they can be.

    Cost: about 0.3 us; for lists and dictionaries O(size).

    Examples
    --------
    >>> text_of("plain"), text_of(1.5), text_of({"a": [1, None]}), text_of("long" * 100, 9)
    ('plain', '1.5', '{"a":[1,null]}', 'longlong…')
    """
    kind = type(value)
    if kind in _PLAIN:
        text = repr(value)
    elif kind is str:
        text = value
    elif kind is bytes:
        text = repr(value[:limit])
    elif kind in _JSON and len(value) <= limit:
        try:
            text = _json(value).decode()
        except (TypeError, ValueError, RecursionError, OverflowError):
            text = _repr.repr(value)
    else:
        try:
            text = _repr.repr(value)
        except Exception as error:  # a value of a user's type whose text cannot be made
            text = f"<{kind.__name__}: {type(error).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def numbers_of(values: list[Any]) -> list[float | None]:
    """Return the values that are numbers, and None for the others; numbers beyond a float's range are others."""
    return [float(value) if type(value) in _PLAIN and abs(value) < 1e308 else None for value in values]
