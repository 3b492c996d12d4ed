"""What a function that is applied to a value may return instead of the new value.

Plain classes: they belong to what `import hydroscope` loads, and msgspec does not.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Change", "Unchanged"]


class Change:
    """The new value (None: remove the key), and what the caller gets. Cost: free."""

    __slots__ = ("result", "value")

    def __init__(self, value: Any, result: Any = None) -> None:
        self.value = value
        self.result = result

    def __repr__(self) -> str:
        return f"Change({self.value!r}, {self.result!r})"


class Unchanged:
    """The value stays as it is; what the caller gets. Cost: free."""

    __slots__ = ("result",)

    def __init__(self, result: Any = None) -> None:
        self.result = result

    def __repr__(self) -> str:
        return f"Unchanged({self.result!r})"
