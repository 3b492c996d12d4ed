"""When the faults have stopped and all has drained, everybody agrees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["disagreements"]


def disagreements(fronts: Mapping[int, Mapping[str, Any]], final: Mapping[str, Any]) -> list[str]:
    """Return what members would still read that is not the last value ordered.

    Parameters
    ----------
    fronts
        Member -> key -> what its threads read without asking (None: known to be absent).
    final
        Key -> the last value that its home ordered; keys never written are not in it.
    """
    return [
        f"member {member} reads {key} = {value!r}, last ordered was {final.get(key)!r}"
        for member, front in fronts.items()
        for key, value in front.items()
        if value != final.get(key)
    ]
