"""Choose and start the engine: `init`, `shutdown`, and what happens when nobody chose."""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.node import ports

if TYPE_CHECKING:
    from hydroscope.engine.keys_local import LocalKeys

__all__ = ["Session", "boot_default", "boot_host", "boot_keys", "init", "open_keys", "shutdown"]

ENGINES = ("local", "ray")
THREADS_MAX = 1024
"""Threads; more is a slip of the finger."""

HISTORY_MAX_S = 3600.0

MEMORY_MIN_BYTES = 80 * 2**20
"""Bytes; Ray refuses a smaller object store."""

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}

_chosen: Session | None = None
_local_keys: LocalKeys | None = None
_history_s = 0.0
"""Of the keys of this process."""
_opening = threading.Lock()


class Session:
    """The engine that `init` started; as a context manager it is shut down at the end of the block."""

    def __init__(self, engine: ports.Engine, asked: tuple[object, ...]) -> None:
        self.engine = engine
        self.asked = asked

    def __repr__(self) -> str:
        return repr(self.engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if _chosen is self:
            shutdown()


def init(
    engine: str | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    progress: bool | None = None,
    unauthenticated: bool = False,
    history_s: float | None = None,
) -> Session:
    """Choose where work runs. Optional: the first use starts the local engine.

    Parameters
    ----------
    engine : str or None
        "local" (threads of this process), "ray" (the Ray cluster named by RAY_ADDRESS, else
        one started on this machine), or "ray://host:port" (that cluster). None: what the
        environment variable HYDROSCOPE_ENGINE says, else "local".
    threads : int or None
        Threads of the local engine, or CPUs of a Ray started here. None: what
        HYDROSCOPE_THREADS says, else one for each core this process may use.
    memory : int, str or None
        Bytes (or "4GB") of the object store of a Ray started here.
    progress : bool or None
        Show the progress of long calls. None: what HYDROSCOPE_PROGRESS says ("0": no), else yes.
    unauthenticated : bool
        Join a Ray cluster on the network even if it asks nobody for a token. Without, that is refused: anybody who
        reaches such a cluster can run code on its machines.
    history_s : float or None
        Seconds of what `hs.kv` held that `hs.snapshot` can look back at, in this process (members of a cluster have
        that anyway); 0: none. A put then costs some 2 us more. None: as it is, which is none unless it was asked for.

    Returns
    -------
    Session
        Usable in a `with` statement, which ends with `shutdown()`.

    Notes
    -----
    A second call replaces the engine and warns that it did, unless it asks for the same one. Cost:
    free for "local"; some seconds to start Ray.
    """
    global _chosen
    kind, address = _engine_of(os.environ.get("HYDROSCOPE_ENGINE", "local") if engine is None else engine)
    n_threads = None if threads is None else _threads_of(threads)
    memory_bytes = None if memory is None else _bytes_of(memory)
    default_threads = _default_threads()
    _set_progress(progress)
    _set_history(history_s)
    asked = (kind, address, n_threads, memory_bytes, default_threads, unauthenticated)
    if _chosen is not None and _chosen.asked == asked:
        return _chosen
    if kind == "local" and memory_bytes is not None:
        raise UserError(
            f"memory={memory!r}: the local engine holds its frames in this process and has no store to size; "
            "leave memory out, or use init('ray', memory=...)"
        )
    if _chosen is not None:
        warnings.warn(f"hydroscope.init replaces {_chosen!r}", UserWarning, stacklevel=2)
    _chosen = Session(_replace(lambda: _start(kind, address, n_threads, memory_bytes, unauthenticated), kind), asked)
    return _chosen


def shutdown() -> None:
    """Let go of the engine's threads and connections. The next use starts the default engine anew.

    Frames of the local engine stay usable. Those of a Ray that was started here are gone
    with it, and so are keys and values, whatever the engine. Cost: free; a second or two to end a Ray.
    """
    global _chosen, _local_keys, _history_s
    _chosen, _history_s = None, 0.0
    engine = ports.install(None)
    if engine is not None:
        engine.shutdown()
    keys, _local_keys = ports.install_keys(None), None
    if keys is not None:
        keys.shutdown()


def boot_default() -> ports.Engine:
    """Start the engine that the environment asks for."""
    kind, address = _engine_of(os.environ.get("HYDROSCOPE_ENGINE", "local"))
    return _start(kind, address, None, None, False)


def boot_host() -> ports.Host:
    """Start the host of jobs."""
    from hydroscope.engine.display import Display
    from hydroscope.engine.threads import ThreadHost

    return ThreadHost(Display(enabled=os.environ.get("HYDROSCOPE_PROGRESS", "1") != "0"))


def boot_keys() -> LocalKeys:
    """Return the key/value store of this process, the same one for whoever comes first."""
    global _local_keys
    with _opening:
        if _local_keys is None:
            from hydroscope.engine.keys_local import LocalKeys

            _local_keys = LocalKeys()
            if _history_s:
                from hydroscope.engine.keys_remembered import RememberedKeys

                _local_keys = RememberedKeys(_local_keys, _history_s)
        return _local_keys


def open_keys() -> ports.Keys:
    """Return the key/value store that comes with the engine in use."""
    own = getattr(ports.current(), "open_keys", None)
    return boot_keys() if own is None else own()


def n_cores(quota_file: str = "/sys/fs/cgroup/cpu.max") -> int:
    """Return how many cores this process may use: its affinity, and its container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    n = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    try:
        with open(quota_file, encoding="ascii") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return n
    return n if quota == "max" else min(n, max(1, int(quota) // int(period)))


def _replace(start: Callable[[], ports.Engine], kind: str) -> ports.Engine:
    """Start an engine in place of the one in use, which stays when that fails.

    Only of Ray there can be no two at a time: the old one goes first.
    """
    before = ports.install(None)
    if before is not None and before.name == kind == "ray":
        before.shutdown()
        before = None
    try:
        engine = start()
    except BaseException:
        ports.install(before)
        raise
    ports.install(engine)
    if before is not None:
        before.shutdown()
    if kind == "ray" and ports.keys_in_use() is _local_keys:
        ports.install_keys(None)  # the next use opens that of the cluster
    return engine


def _start(
    kind: str, address: str | None, n_threads: int | None, memory_bytes: int | None, unauthenticated: bool
) -> ports.Engine:
    here = _default_threads() or n_cores()
    if kind == "local":
        from hydroscope.engine.local import LocalEngine

        return LocalEngine(n_threads or here)
    from hydroscope.engine.ray import connect

    return connect(address, n_threads, memory_bytes, here, unauthenticated)


def _default_threads() -> int | None:
    text = os.environ.get("HYDROSCOPE_THREADS")
    return None if text is None else _threads_of(text, "HYDROSCOPE_THREADS")


def _engine_of(text: str) -> tuple[str, str | None]:
    """Return kind and address."""
    if not isinstance(text, str):
        raise UserError(f"engine={text!r} must be 'local', 'ray' or 'ray://host:port'")
    if text in ENGINES:
        return text, None
    if text.startswith("ray://"):
        if re.fullmatch(r"ray://[^\s/:]+:\d{1,5}", text) is None or int(text.rsplit(":", 1)[1]) > 65_535:
            raise UserError(f"engine={text!r} must look like 'ray://host:port', port up to 65535")
        return "ray", text
    raise unknown_name("engine", text, (*ENGINES, "ray://host:port"), "hydroscope")


def _threads_of(value: object, name: str = "threads") -> int:
    text = str(value)
    if isinstance(value, bool) or re.fullmatch(r"\d{1,9}", text) is None or not 1 <= int(text) <= THREADS_MAX:
        raise UserError(f"{name}={value!r} must be a whole number from 1 to {THREADS_MAX}; leave it out for one a core")
    return int(text)


def _bytes_of(value: int | str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(value).strip())
    unit = _UNITS.get(match[2].upper()) if match is not None else None
    if match is None or unit is None or isinstance(value, bool):
        raise UserError(f"memory={value!r} must be a number of bytes or a text such as '4GB' or '512MiB'")
    size_bytes = int(float(match[1]) * unit)
    if size_bytes < MEMORY_MIN_BYTES:
        raise UserError(f"memory={value!r} is below the least Ray can work with, {MEMORY_MIN_BYTES / 2**20:.0f} MiB")
    return size_bytes


def _set_history(seconds: float | None) -> None:
    """Let the keys of this process have a past, or none."""
    global _local_keys, _history_s
    if seconds is None or seconds == _history_s:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= HISTORY_MAX_S:
        raise UserError(f"history_s={seconds!r} must be seconds, from 0 (none) to {HISTORY_MAX_S:.0f}")
    from hydroscope.engine.keys_remembered import RememberedKeys

    with _opening:
        _history_s, before = float(seconds), _local_keys
        if before is None:
            return
        plain = before.plain() if isinstance(before, RememberedKeys) else before
        fresh = RememberedKeys(plain, _history_s) if seconds else plain
        _local_keys = fresh
        if ports.keys_in_use() is before:
            ports.install_keys(fresh)


def _set_progress(progress: bool | None) -> None:
    if progress is None:
        return
    from hydroscope.engine.threads import ThreadHost

    host = ports.host()
    if isinstance(host, ThreadHost):
        host.display.enabled = bool(progress)
