"""Models are checked where Spin is installed; `make soak` insists on it, `make test` does not."""

from __future__ import annotations

from tests.spin.check import missing_tools

collect_ignore = ["test_models.py"] if missing_tools() else []
