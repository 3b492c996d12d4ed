"""What stands for the value of a key that is not there. A file of its own, so that writing a log needs no NumPy."""

from __future__ import annotations

from typing import Final

__all__ = ["ABSENT"]


class _Absent:
    """The value of a key that is not there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = _Absent()
