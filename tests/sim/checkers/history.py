"""What the threads of a cluster did and saw: the only thing most checkers look at.

`start` and `end` are steps of one counter of the whole run: an operation that ended before
another one started was before it in real time. An operation without end may or may not have
happened. Every value that is put is put once in a run, so that a read tells which write it saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["ABSENT", "NEVER", "Operation", "Specification", "is_read", "is_write", "specification"]

NEVER = 1 << 60
"""The end of an operation that has not ended."""

ABSENT = 0
"""The version of a key that nobody has written."""


@dataclass(slots=True)
class Operation:
    """One operation of one thread on one key.

    kind        argument            observed
    get         -                   the value (None: absent)
    put         the value           -
    remove      -                   -
    swap        the value           the value before
    swap_if     (expected, value)   the value before; happens if that is `expected`, is aborted otherwise
    add         the amount          the sum
    lose        -                   (the environment's: the home of the key died)
    find lost   -                   a get that was told so
    """

    number: int
    member: int
    thread: int
    kind: str
    key: str
    argument: Any = None
    start: int = 0
    end: int = NEVER
    observed: Any = None
    aborted: bool = False
    read_version: int | None = None
    """Which version was read; None if that is not known."""
    wrote_version: int | None = None
    """As which version it was ordered; None if it was not, or if that is not known."""
    merged: bool = False
    """A plain put that a later one replaced before it was sent: it has that version, and precedes it."""
    waits: bool = True
    """False for a plain put: it may be seen early by its own member, and late by others."""
    excluded: bool = False
    """Its member did not belong any more."""
    lost: bool = False
    """The operation ended because a member was lost; it may or may not have happened."""

    @property
    def pending(self) -> bool:
        """Whether nothing is known of its effect."""
        return self.end == NEVER or self.lost

    def __str__(self) -> str:
        """Return the operation as one line of a trace."""
        argument = "" if self.argument is None else f" {self.argument}"
        end = "lost" if self.lost else "never ended" if self.end == NEVER else f"{self.end}"
        saw = f" saw {self.observed!r}" if self.kind not in ("put", "remove") and not self.pending else ""
        versions = f" (read v{self.read_version}, wrote v{self.wrote_version})"
        mark = " aborted" if self.aborted else "" if self.waits else " plain"
        return (
            f"#{self.number} m{self.member}.t{self.thread} [{self.start}, {end}] "
            f"{self.kind} {self.key}{argument}{saw}{mark}{versions}"
        )


LOST = "lost"
"""State of a key whose home died; nothing can be read from it until it is written again."""


def _get(state: Any, operation: Operation) -> tuple[bool, Any]:
    return operation.observed == state and state is not LOST, state


def _put(_: Any, operation: Operation) -> tuple[bool, Any]:
    return True, operation.argument


def _remove(_: Any, __: Operation) -> tuple[bool, Any]:
    return True, None


def _swap(state: Any, operation: Operation) -> tuple[bool, Any]:
    return (operation.pending or operation.observed == state) and state is not LOST, operation.argument


def _swap_if(state: Any, operation: Operation) -> tuple[bool, Any]:
    expected, value = operation.argument
    happens = state == expected
    if operation.pending:
        return happens, value
    return happens != operation.aborted and operation.observed == state, value if happens else state


def _add(state: Any, operation: Operation) -> tuple[bool, Any]:
    total = (0 if state is None or state is LOST else state) + operation.argument
    return (operation.pending or operation.observed == total) and state is not LOST, total


def _lose(_: Any, __: Operation) -> tuple[bool, Any]:
    return True, LOST


def _find_lost(state: Any, _: Operation) -> tuple[bool, Any]:
    return state is LOST, state


Specification = dict[str, Any]
"""Kind -> function(state, operation) -> (may it happen here with what was observed, the state after it)."""

specification: Specification = {
    "get": _get,
    "put": _put,
    "remove": _remove,
    "swap": _swap,
    "swap_if": _swap_if,
    "add": _add,
    "lose": _lose,
    "find lost": _find_lost,
}


def is_write(operation: Operation) -> bool:
    """Return whether the operation changes its key (an aborted one does not)."""
    return operation.kind != "get" and not operation.aborted


def is_read(operation: Operation) -> bool:
    """Return whether something was observed."""
    return operation.kind not in ("put", "remove", "lose") and not operation.pending
