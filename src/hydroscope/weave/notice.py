"""What hydroscope tells without failing: a category of its own, so that it can be filtered."""

from __future__ import annotations

__all__ = ["HydroscopeWarning", "InterpretedWarning"]


class HydroscopeWarning(UserWarning):
    """Something works, but not as well as it could; the text says why and what helps."""


class InterpretedWarning(HydroscopeWarning):
    """A row function could not be compiled and runs interpreted."""
