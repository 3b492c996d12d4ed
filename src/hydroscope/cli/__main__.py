"""`python -m hydroscope.cli` is `hydroscope`."""

from __future__ import annotations

from hydroscope.cli.main import main

main()
