"""The folder where generated loops and their machine code are kept between processes.

A second process finds a loop by the hash of all it depends on (`digest`), imports the
generated file and lets Numba load the machine code that lies beside it: milliseconds
instead of a compilation. The folder only ever saves time. When it cannot be written, or
when somebody else could write into it (code is imported from there), it is not used, and
one line says so.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import warnings
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hydroscope.weave.notice import HydroscopeWarning

__all__ = ["digest", "folder", "store"]

PRIVATE = 0o700


def folder() -> Path | None:
    """Return the private folder for generated loops, or None when there can be none.

    `$HYDROSCOPE_CACHE`, or the platform's folder for caches.
    """
    return _folder(os.environ.get("HYDROSCOPE_CACHE"))


@lru_cache(maxsize=8)
def _folder(wished: str | None) -> Path | None:
    base = Path(wished).expanduser() if wished else _platform_folder()
    path = base / "weave"
    try:
        base.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        path.mkdir(mode=PRIVATE, exist_ok=True)
        _refuse_shared(path)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        warnings.warn(
            f"compiled loops are not kept between processes: {path}: {error.strerror or error}; "
            "set HYDROSCOPE_CACHE to a folder of your own",
            HydroscopeWarning,
            stacklevel=2,
        )
        return None
    return path


def _refuse_shared(path: Path) -> None:
    """Raise OSError if somebody else could put code into `path`."""
    if not hasattr(os, "getuid"):
        return
    status = path.stat()
    if status.st_uid != os.getuid():
        raise PermissionError(0, "belongs to another user")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        path.chmod(PRIVATE)


def _platform_folder() -> Path:
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "hydroscope" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "hydroscope"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "hydroscope"


def digest(*parts: str) -> str:
    """Return the stable key of a generated module: its text, and what turns it into machine code."""
    sha = hashlib.sha256()
    for part in (*parts, *_compiler()):
        data = part.encode("utf-8", "surrogatepass")
        sha.update(len(data).to_bytes(8, "little"))
        sha.update(data)
    return sha.hexdigest()[:32]


@lru_cache(maxsize=1)
def _compiler() -> tuple[str, ...]:
    import llvmlite
    import llvmlite.binding
    import numba

    try:
        own = version("hydroscope")
    except PackageNotFoundError:
        own = "unpackaged"
    sources = hashlib.sha256()
    for name in ("intrinsics.py", "compiler.py"):  # what generated text refers to by name
        sources.update((Path(__file__).parent / name).read_bytes())
    features = llvmlite.binding.get_host_cpu_features().flatten()
    return (
        own,
        numba.__version__,
        llvmlite.__version__,
        llvmlite.binding.get_host_cpu_name(),
        features,
        sys.version,
        sources.hexdigest(),
    )


def store(name: str, text: str) -> Path | None:
    """Put a generated module into the folder unless it is there; return its path, or None.

    Several processes may do this at once: each writes a file of its own and renames it.
    """
    place = folder()
    if place is None:
        return None
    path = place / f"{name}.py"
    data = text.encode()
    try:
        if path.exists() and path.read_bytes() == data:
            return path
        handle, temporary = tempfile.mkstemp(dir=place, prefix=f"{name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError:  # full, or made read-only meanwhile: only the cache is lost
        return None
    return path
