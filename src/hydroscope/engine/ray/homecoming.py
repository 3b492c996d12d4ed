"""Errors on their way home: what Ray raised becomes what the item raised."""

from __future__ import annotations

import re
from typing import Any, Never

from hydroscope.ground.errors import CancelledError, HydroscopeError
from hydroscope.node.deaths import WorkerDied
from hydroscope.node.ports import EngineError, NodeLost

__all__ = ["first_line", "home", "raise_home"]


def home(ray: Any, error: BaseException) -> BaseException:
    """Turn what Ray raised into what the item raised, with the worker's traceback as a note."""
    exceptions = ray.exceptions
    text = re.sub(r"\x1b\[\d*m", "", str(error)).strip()
    if isinstance(error, exceptions.TaskCancelledError):
        return CancelledError("a task was cancelled on the Ray cluster")
    cause: BaseException = error
    while isinstance(cause, exceptions.RayTaskError) and cause.cause is not None:
        cause = cause.cause
    if isinstance(cause, exceptions.ObjectLostError):
        return NodeLost(
            f"data went with a node that was lost and cannot be made again: {type(cause).__name__}: "
            f"{first_line(cause)} Load it again; other frames are still there"
        )
    if isinstance(error, exceptions.UnserializableException) or isinstance(cause, exceptions.RayError):
        if isinstance(error, exceptions.RayTaskError | exceptions.UnserializableException):
            return HydroscopeError(f"a task failed with an error that cannot be sent between processes:\n{text}")
        return EngineError(
            f"a Ray worker was lost, and so were its further attempts: {type(error).__name__}: {first_line(error)} "
            "If memory ran out, use smaller input or more machines; Ray's logs are under /tmp/ray/session_latest/logs"
        )
    if not isinstance(cause, WorkerDied):  # which tells where it was by itself
        cause.add_note(text)
    return cause


def raise_home(ray: Any, error: BaseException, doing: str) -> Never:
    """Raise what the item raised, with a note of what was being done."""
    found = home(ray, error)
    found.add_note(doing)
    raise found from None


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
