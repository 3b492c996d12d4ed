"""Print the table of what is said to bad input."""

from __future__ import annotations

import tempfile
import textwrap
from pathlib import Path

from tests.bad_input.cases import CASES
from tests.bad_input.scene import Scene

WIDTH = 118


def main() -> None:
    """Play every case and print exit code and words."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        group = ""
        for number, case in enumerate(CASES, 1):
            if case.group != group:
                group = case.group
                print(f"\n{group.upper()}")
            code, said = scene.play(case)
            print(f"{number:3}  {case.name}  [exit {code}]")
            for line in said.splitlines():
                print(textwrap.fill(line, WIDTH, initial_indent="       ", subsequent_indent="         "))


if __name__ == "__main__":
    main()
