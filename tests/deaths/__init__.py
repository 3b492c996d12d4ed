"""Nodes and workers that die in the middle of work: `python -m tests.deaths.nodes`, `... .workers`, `... .members`."""
