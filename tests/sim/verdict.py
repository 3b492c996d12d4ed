"""What came of one seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Verdict"]


@dataclass(slots=True)
class Verdict:
    """Counts of what happened, and what was wrong."""

    violations: list[tuple[str, str]] = field(default_factory=list)
    """(kind, text); kinds are few, so that they can be counted."""
    counters: Counter[str] = field(default_factory=Counter)
    n_operations: int = 0
    simulated_s: float = 0.0
    lines: list[str] = field(default_factory=list)
    """The trace, where one was asked for."""

    def wrong(self, kind: str, text: str) -> None:
        """Note a violation."""
        self.violations.append((kind, text))

    @property
    def conviction(self) -> tuple[str, str] | None:
        """The first violation that an oracle noted: rules that stumble over their own code convict nobody."""
        return next(((kind, text) for kind, text in self.violations if not kind.endswith("Error")), None)

    @property
    def kinds(self) -> set[str]:
        """Return the kinds of what was wrong."""
        return {kind for kind, _ in self.violations}
