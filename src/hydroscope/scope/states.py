"""Keys and values at one moment, and how two moments differ."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from hydroscope.engine.diary import VIEW
from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.window.absent import ABSENT
from hydroscope.window.cut import Cut

__all__ = ["Change", "Difference", "State"]

SHOWN = 20
"""Keys of a difference that its text has."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an event did to one key; `hydroscope.window.absent.ABSENT` stands for a key that is not there."""

    node: str
    key: Hashable
    old: Any
    new: Any


@dataclass(frozen=True, slots=True, repr=False)
class Difference:
    """What one snapshot has and another has not, key by key."""

    added: dict[Hashable, Any]
    """Keys that only the other one has, with their values."""
    removed: dict[Hashable, Any]
    """Keys that only this one has."""
    changed: dict[Hashable, tuple[Any, Any]]
    """Keys whose values differ: this one's, the other's."""

    def note(self, key: Hashable, mine: Any, its: Any) -> None:
        """Take in what a key is here and there."""
        if mine is its:
            return
        if mine is ABSENT:
            self.added[key] = its
        elif its is ABSENT:
            self.removed[key] = mine
        elif not _same(mine, its):
            self.changed[key] = (mine, its)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def __repr__(self) -> str:
        parts = (("added", self.added), ("removed", self.removed), ("changed", self.changed))
        return f"Difference({', '.join(f'{name}={_shortly(keys)}' for name, keys in parts)})"


def _shortly(keys: Mapping[Hashable, Any]) -> str:
    """Return a dictionary as text, the first few keys of many."""
    shown = [f"{key!r}: {value!r}" for key, value in islice(keys.items(), SHOWN)]
    more = [f"... {len(keys):,} keys"] if len(keys) > SHOWN else []
    return f"{{{', '.join(shown + more)}}}"


class State:
    """Keys and values at one moment, to be read like a dictionary.

    Of one log the keys are the log's; of several each key is a pair: name of the log, key. Of the members of a
    cluster the keys are those of `hs.kv`, wherever they were at home.
    """

    __slots__ = ("_is_shared", "_reads", "cuts")

    def __init__(
        self,
        cuts: Mapping[str, Cut],
        reads: dict[str, set[Hashable] | None] | None = None,
        is_shared: bool = False,
    ) -> None:
        self.cuts = cuts
        """The state of each log; of a cluster's, whose word counts for a key comes first."""
        self._reads = reads
        """If given, takes down what is read: keys by log, None for all of them."""
        self._is_shared = is_shared
        """Whether the logs are those of members who share keys."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the logs."""
        return tuple(self.cuts)

    def node(self, name: str) -> State:
        """Return the state of one log, with its own keys. Cost: free."""
        return State({name: self._cut(name)}, self._reads, self._is_shared)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key, or `default`. Cost: about 1 us."""
        if self._is_shared:
            return self._shared(key, default)
        if len(self.cuts) == 1:
            ((name, cut),) = self.cuts.items()
        else:
            if not (isinstance(key, tuple) and len(key) == 2):
                raise UserError(f"{key!r} could be of any of {len(self.cuts)} logs; ask for (name of the log, key)")
            name, key = key
            cut = self._cut(name)
        if self._reads is not None:
            keys = self._reads.setdefault(name, set())
            if keys is not None:
                keys.add(key)
        return cut.value(key, default)

    def __getitem__(self, key: Any) -> Any:
        value = self.get(key, ABSENT)
        if value is ABSENT:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return self.get(key, ABSENT) is not ABSENT

    def items(self) -> list[tuple[Any, Any]]:
        """Return all keys with their values. Cost: O(keys), about 0.1 us each."""
        if self._is_shared:
            return [(key, value) for key, (_, value) in self._all_shared().items()]
        self._note_all()
        if len(self.cuts) == 1:
            return next(iter(self.cuts.values())).items()
        return [((name, key), value) for name, cut in self.cuts.items() for key, value in cut.items()]

    def keys(self) -> list[Any]:
        """Return all keys. Cost: O(keys)."""
        return [key for key, _ in self.items()]

    def values(self) -> list[Any]:
        """Return all values. Cost: O(keys)."""
        return [value for _, value in self.items()]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(self.cuts)}>"

    def __len__(self) -> int:
        if self._is_shared:
            return len(self._all_shared())
        self._note_all()
        return sum(int(np.count_nonzero(cut.is_there())) for cut in self.cuts.values())

    def owner(self, key: Any) -> str | None:
        """Return the log that has the key, or that of the member it was at home at; None if it is not there."""
        if not self._is_shared:
            name = key[0] if len(self.cuts) > 1 else next(iter(self.cuts))
            return name if key in self else None
        for name, cut in self.cuts.items():
            value = cut.value(key)
            if value is not ABSENT:
                return None if value is None else name
        return None

    def owned(self) -> list[tuple[str, Any, Any]]:
        """Return name of the log, key and value of all keys. Cost: O(keys)."""
        if not self._is_shared:
            self._note_all()
            return [(name, *pair) for name, cut in self.cuts.items() for pair in cut.items()]
        return [(name, key, value) for key, (name, value) in self._all_shared().items()]

    def _note_all(self) -> None:
        if self._reads is not None:
            self._reads.update(dict.fromkeys(self.cuts))

    def _shared(self, key: Any, default: Any) -> Any:
        if self._reads is not None:
            for name in self.cuts:
                keys = self._reads.setdefault(name, set())
                if keys is not None:
                    keys.add(key)
        for cut in self.cuts.values():
            value = cut.value(key)
            if value is not ABSENT:
                return default if value is None or key == VIEW else value  # None: removed, after its first home died
        return default

    def _all_shared(self) -> dict[Any, tuple[str, Any]]:
        """Return all keys that are there, with the log and the value that count."""
        self._note_all()
        merged: dict[Any, tuple[str, Any]] = {}
        for name, cut in reversed(list(self.cuts.items())):
            merged.update((key, (name, value)) for key, value in cut.items())
        merged.pop(VIEW, None)
        return {key: pair for key, pair in merged.items() if pair[1] is not None}

    def _cut(self, name: str) -> Cut:
        cut = self.cuts.get(name)
        if cut is None:
            raise unknown_name("log", name, self.cuts, "this snapshot")
        return cut


def _same(mine: Any, its: Any) -> bool:
    try:
        return bool(mine == its)
    except ValueError:  # arrays say it element by element
        return bool(np.array_equal(mine, its))
