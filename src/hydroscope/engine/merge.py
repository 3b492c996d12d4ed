"""The one way partial results are merged, so that every engine gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

__all__ = ["merge_run"]


def merge_run(merge: Callable[[Any, Any], Any], *values: Any) -> Any:
    """Merge one run of neighbours, left to right."""
    return reduce(merge, values)
