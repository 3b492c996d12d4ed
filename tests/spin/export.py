"""A protocol table of a room as Promela, so that Spin checks what is shipped and not a copy of it.

What is generated: a number for each state and event, and one inline an event, which does for
each state what the table says. What is written by hand, in the `.pml` file that includes it: how
a state is looked up (`<PREFIX>_LOOK` leaves it in `at`) and kept (`<PREFIX>_KEEP`), what each
action does, the channel, and what must hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum
from typing import Any

__all__ = ["FORBIDDEN", "Table", "actions_of", "inlines", "twins_in"]

FORBIDDEN = "RAISE"
"""The action of what cannot happen: an error for Spin. Tables may also have None there."""

Table = Mapping[tuple[Any, Any], Any]
"""(state, event) -> (next state, actions) or None."""


def inlines(prefix: str, table: Table, arguments: Sequence[str]) -> str:
    """Return a table as Promela: `<prefix>_ON_<EVENT>(arguments)` for each event.

    Raises
    ------
    ValueError
        A pair of state and event has no entry.
    """
    first_state, first_event = next(iter(table))
    states: type[IntEnum] = type(first_state)
    events: type[IntEnum] = type(first_event)
    missing = [f"({at.name}, {on.name})" for at in states for on in events if (at, on) not in table]
    if missing:
        raise ValueError(f"the table of {prefix} has no entry for {', '.join(missing)}; every pair needs one")
    told = ", ".join(arguments)
    lines = [f"/* The table of {prefix}, generated. */"]
    lines += [f"#define {prefix}_{at.name} {at.value}" for at in states]
    for on in events:
        lines += ["", f"inline {prefix}_ON_{on.name}({told}) {{", f"    {prefix}_LOOK({told});", "    if"]
        lines += [f"    :: at == {prefix}_{at.name} -> {_step(prefix, at, table[at, on], told)}" for at in states]
        lines += ["    fi", "}"]
    return "\n".join([*lines, ""])


def actions_of(table: Table) -> set[str]:
    """Return the names of the actions that a table uses, without the one of what cannot happen."""
    steps = [step for step in table.values() if step is not None]
    return {action.name for _, actions in steps for action in actions} - {FORBIDDEN}


def twins_in(text: str) -> set[str]:
    """Return the names of the inlines that Promela text defines."""
    return set(re.findall(r"^inline (\w+)\(", text, re.MULTILINE))


def _step(prefix: str, at: IntEnum, step: tuple[IntEnum, Sequence[Enum]] | None, told: str) -> str:
    if step is None or FORBIDDEN in [action.name for action in step[1]]:
        return "assert(false)"
    state, actions = step
    kept = [f"{prefix}_KEEP({told}, {prefix}_{state.name})"] if state is not at else []
    return "; ".join([*kept, *(f"{action.name}({told})" for action in actions)]) or "skip"
