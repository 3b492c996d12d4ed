"""Functions of values that every member knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hydroscope.kv.changes import Change, Unchanged

__all__ = ["BUILT_IN"]


def _add(value: Any, amount: Any = 1) -> Any:
    return amount if value is None else value + amount


def _append(value: Any, item: Any) -> Any:
    return [*(value or ()), item]


def _discard(value: Any, item: Any) -> Any:
    if value is None or item not in value:
        return Unchanged(value)
    return [each for each in value if each != item] or None


def _largest(value: Any, candidate: Any) -> Any:
    return candidate if value is None or candidate > value else Unchanged(value)


def _smallest(value: Any, candidate: Any) -> Any:
    return candidate if value is None or candidate < value else Unchanged(value)


def _create(value: Any, first: Any) -> Any:
    return Change(first, True) if value is None else Unchanged(False)


def _replace(value: Any, expected: Any, new: Any) -> Any:
    return Change(new, True) if value == expected else Unchanged(False)


def _update(value: Any, fields: dict[str, Any]) -> Any:
    return {**(value or {}), **fields}


def _insert(value: Any, row: dict[str, Any], by: str, descending: bool, limit: int) -> Any:
    """Put a row into a sorted list; one of the same name is replaced, rows without a number come last."""
    rows = [each for each in value or () if each["name"] != row["name"]]
    rows.append(row)

    def place(each: dict[str, Any]) -> tuple[bool, float, str]:
        number = each.get(by)
        if number is None or number != number:
            return True, 0.0, each["name"]
        return False, -number if descending else number, each["name"]

    return sorted(rows, key=place)[:limit]


BUILT_IN: Mapping[str, Callable[..., Any]] = {
    "add": _add,
    "append": _append,
    "create": _create,
    "discard": _discard,
    "insert": _insert,
    "max": _largest,
    "min": _smallest,
    "replace": _replace,
    "update": _update,
}
"""What every member knows: add(amount), append(item), create(first), discard(item), insert(row, by, descending,
limit), max(candidate), min(candidate), replace(expected, new), update(fields)."""
