"""What a key may be called (`homes` reads what its name says about it)."""

from __future__ import annotations

import re
from typing import Any

from hydroscope.ground.errors import UserError

__all__ = ["KEY_LENGTH_MAX", "check_key", "forced_home", "home_of_all", "is_volatile"]

KEY_LENGTH_MAX = 255
"""Characters."""

_FORCED = re.compile(r"@[0-9]{1,9}/.")


def check_key(key: Any) -> None:
    """Raise UserError unless `key` is a str of 1 to 255 characters, well-formed where it begins with "@"."""
    if key.__class__ is str and key.isascii() and 0 < len(key) <= KEY_LENGTH_MAX and key[0] != "@":
        return
    if not isinstance(key, str):
        raise UserError(f"key {key!r} is of type {type(key).__name__}; a key is a str, such as {str(key)[:40]!r}")
    if not 0 < len(key) <= KEY_LENGTH_MAX:
        shown = key if len(key) < 40 else key[:40] + "..."
        raise UserError(f"key {shown!r} has {len(key)} characters; a key has from 1 to {KEY_LENGTH_MAX}")
    if key.startswith("@") and _FORCED.match(key) is None:
        raise UserError(f"key {key!r}: one that begins with '@' names the member it lives on, such as '@3/{key[-8:]}'")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise UserError(f"key {key!r} holds half of a surrogate pair, which no encoding can carry") from None


def is_volatile(key: str) -> bool:
    """Return whether all writes of the key wait: its name begins with "!"."""
    return key[:1] == "!"


def forced_home(key: str) -> int | None:
    """Return the member that the key lives on by its name ("@3/x", "!@3/x"), or None."""
    start = 1 if key[:1] == "!" else 0
    if key[start : start + 1] != "@":
        return None
    digits = key[start + 1 :].partition("/")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else None


def home_of_all(prefix: str) -> int | None:
    """Return the member that all keys with this prefix live on by their names ("@3/", "!@3/x"), or None."""
    return forced_home(prefix) if "/" in prefix else None
