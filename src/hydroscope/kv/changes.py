"""What a function that is applied to a value may return instead of the new value."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Change", "Unchanged"]


class Change(msgspec.Struct, frozen=True):
    """The new value (None: remove), and what the caller gets."""

    value: Any
    result: Any = None


class Unchanged(msgspec.Struct, frozen=True):
    """The value stays as it is; what the caller gets."""

    result: Any = None
