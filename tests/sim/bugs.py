"""Bugs of protocol code found so far, and how: the number found in other ways is the honest one."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BUGS", "Bug"]


class Bug(NamedTuple):
    """One bug."""

    room: str
    what: str
    found_by: str


BUGS = (
    Bug(
        "rpc",
        "A large CALL that met a full table was dropped after its stream had delivered it, and never executed",
        "simulation",
    ),
    Bug("node", "A heartbeat that made the authority give its sender up was answered: KeyError", "simulation"),
)
