"""Functions for things that have a name and that jobs use: decided at the name's home (`models.shelf` calls them).

The value is what is known of the thing (a dict), and under "users" who uses it now, each a
dict with "owner" (a process), "job" and "text". A user whose process is lost uses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hydroscope.kv.changes import Change, Unchanged

__all__ = ["HOLDS"]

Value = dict[str, Any] | None


def assign(value: Value, known: dict[str, Any], living: list[str]) -> Change | Unchanged:
    """Let the name stand for a thing, unless what it stands for is in use: the users that are in the way."""
    users = _users(value, living)
    return Unchanged(users) if users else Change({**known, "users": []}, [])


def take(value: Value, user: dict[str, Any], living: list[str]) -> Change | Unchanged:
    """Note a user: whether the thing was there."""
    if value is None:
        return Unchanged(False)
    return Change({**value, "users": [*_users(value, living), user]}, True)


def release(value: Value, user: dict[str, Any]) -> Change | Unchanged:
    """Forget a user."""
    if value is None or user not in value["users"]:
        return Unchanged(False)
    at = value["users"].index(user)
    return Change({**value, "users": [*value["users"][:at], *value["users"][at + 1 :]]}, True)


def remove(value: Value, living: list[str]) -> Change | Unchanged:
    """Remove the thing unless it is in use: [whether it was there, the users that are in the way]."""
    users = _users(value, living)
    return Unchanged([True, users]) if users else Change(None, [value is not None, []])


def _users(value: Value, living: list[str]) -> list[dict[str, Any]]:
    return [] if value is None else [user for user in value["users"] if user["owner"] in living]


HOLDS: Mapping[str, Callable[..., Change | Unchanged]] = {
    "hold.assign": assign,
    "hold.take": take,
    "hold.release": release,
    "hold.remove": remove,
}
"""Functions of the value and arguments."""
