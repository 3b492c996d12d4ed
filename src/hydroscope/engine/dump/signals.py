"""A signal that presses the button: what then happens is done by another process.

The handler runs in the main thread between two of its instructions, so all it does is to start a thread; that one has
the command line write the timeline, so that a process which is ill has nothing to do but to wait. Where the main thread
does not come back to Python at all, the handler never runs: press from a shell then, with `hydroscope timeline`.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from hydroscope.ground.errors import UserError

__all__ = ["listen", "timeline_on_signal"]

WAIT_S = 120.0
"""For the timeline to be written."""

_folder: str | None = None
_pressed = threading.Lock()


def timeline_on_signal(folder: str | os.PathLike[str] | None = None) -> None:
    """Have SIGUSR1 write a timeline: of this process's cluster, else of all that records on this machine.

    In processes that start or join a cluster this is so anyway, if they have no handler of their own.

    Parameters
    ----------
    folder : path, optional
        Where `hydroscope-TIME-PID.timeline` is written; default: the current one when the signal comes. Where it is,
        is printed to the standard error output.

    Raises
    ------
    UserError
        There is a handler of somebody else's, or this is not the main thread, or there are no such signals here.

    Notes
    -----
    A signal that comes while a timeline is being written does nothing but say so. Cost: free until the signal comes;
    then another process of this Python.
    """
    global _folder
    if not listen():
        raise UserError(
            "SIGUSR1 cannot be used: it has a handler, or is ignored, or this is not the main thread; call "
            "hs.timeline() from a handler of your own, or press from a shell: hydroscope timeline"
        )
    _folder = None if folder is None else os.fspath(folder)


def listen() -> bool:
    """Handle SIGUSR1 if nobody does and this is the main thread; tell whether it is handled here."""
    if not hasattr(signal, "SIGUSR1") or threading.current_thread() is not threading.main_thread():
        return False
    before = signal.getsignal(signal.SIGUSR1)
    if before is signal.SIG_DFL and not _is_caught(signal.SIGUSR1):
        before = _on_signal
        signal.signal(signal.SIGUSR1, before)
    return before is _on_signal


def _is_caught(number: int) -> bool:
    """Tell whether a signal has a handler that Python does not know of, as those of `faulthandler`. Linux tells."""
    with contextlib.suppress(OSError, StopIteration, ValueError), open("/proc/self/status", encoding="ascii") as file:
        mask = next(line.split()[1] for line in file if line.startswith("SigCgt:"))
        return bool(int(mask, 16) >> (number - 1) & 1)
    return False


def _on_signal(number: int, frame: object) -> None:
    with contextlib.suppress(RuntimeError):  # there are no more threads to be had
        _thread.start_new_thread(_press, ())  # `threading` takes locks, which the main thread may be holding


def _press() -> None:
    """Have a timeline written, unless one is being written."""
    if not _pressed.acquire(blocking=False):
        _say("a timeline is being written already")
        return
    try:
        _say(_write())
    except Exception as error:
        _say(f"no timeline was written: {type(error).__name__}: {error}")
    finally:
        _pressed.release()


def _write() -> str:
    now = time.time()
    moment = (
        f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"  # two in a second differ
    )
    path = _place() / f"hydroscope-{moment}-{os.getpid()}.timeline"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
        "HYDROSCOPE_RECORD": "0",
        "HYDROSCOPE_ENGINE": "local",
    }
    command = [sys.executable, "-P", "-m", "hydroscope.cli", "timeline", "--quiet", "--output", str(path)]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    if done.returncode:
        return f"no timeline was written: {done.stderr.strip() or done.stdout.strip()}"
    return f"a timeline was written: hydroscope timeline {path} --open"


def _place() -> Path:
    for folder in (_folder, "."):
        if folder is not None and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder).resolve()
    return Path(tempfile.gettempdir())


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"hydroscope: {text}\n".encode(errors="replace"))
