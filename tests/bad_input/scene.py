"""Runs a case as the command line would: same process, standard error caught."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

from hydroscope.cli.main import run
from tests.bad_input.cases import Case, lay_out

__all__ = ["Scene", "full_disk"]

DISK_BYTES = 16_384
NOBODY = 65_534


class Scene:
    """A folder with the files of all cases.

    Parameters
    ----------
    folder : Path
        Empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "full").mkdir()
        with contextlib.redirect_stdout(io.StringIO()):
            lay_out(folder, run)
            for name in ("describe", "train", "predict", "report"):
                importlib.import_module(f"hydroscope.cli.{name}")

    def play(self, case: Case) -> tuple[int, str]:
        """Return exit code and what was said; the folder's name is left out of it."""
        if case.file is not None:
            (self.folder / case.file[0]).write_bytes(case.file[1])
        arguments = [word.replace("{}", str(self.folder)) for word in case.arguments.split()]
        said = io.StringIO()
        with contextlib.ExitStack() as stack:
            if "{}/full/" in case.arguments:
                stack.enter_context(full_disk(self.folder / "full"))
            if "secret" in case.arguments:
                stack.enter_context(_without_privileges())
            stack.enter_context(contextlib.redirect_stderr(said))
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            try:
                code = run([*arguments, "-q"])
            except SystemExit as stop:  # argparse's way of refusing
                code = int(stop.code or 0)
        return code, said.getvalue().replace(f"{self.folder}/", "").replace(str(self.folder), "FOLDER").strip()


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Make `folder` a disk of 16 KB; where one may not mount, let no file grow beyond that."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (DISK_BYTES, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def _without_privileges() -> Iterator[None]:
    """Let file permissions count, for root too."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if before == 0:
            os.seteuid(before)
