"""What an engine does not do yet: (behaviour as the conformance table prints it, engine) -> reason."""

from __future__ import annotations

GAPS: dict[tuple[str, str], str] = {}
