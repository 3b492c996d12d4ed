"""Putting wrappers in place of attributes, and exactly what was there back again."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from hydroscope.engine.taps.tap import Tap
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.recorder import Recorder

__all__ = ["Installed", "installed_for", "recorded_by", "restore", "shadow"]

_MISSING = object()
_SHADOWS = "_hydroscope_shadows"


class Installed:
    """A tap on all of a program; leaving its `with`, or `remove()`, takes it out.

    >>> import hydroscope as hs
    >>> rec = hs.Recorder("node-3")
    >>> with hs.taps.all_sockets(rec) as tap:
    ...     tap.n_lost
    0
    >>> rec.close(remove=True)
    """

    def __init__(self, what: str, tap: Tap) -> None:
        self.tap = tap
        self._what = what
        self._put: list[tuple[Any, str, Any, Any]] = []
        _installed[what] = self

    @property
    def n_lost(self) -> int:
        """Errors in recording, which were swallowed."""
        return self.tap.n_lost

    def put(self, owner: Any, name: str, wrapper: Any) -> None:
        """Put a wrapper in place of an attribute of a class or module."""
        self._put.append((owner, name, vars(owner).get(name, _MISSING), wrapper))
        setattr(owner, name, wrapper)

    def has(self, owner: Any) -> bool:
        """Tell whether something of a class or module is wrapped."""
        return any(each[0] is owner for each in self._put)

    def remove(self) -> None:
        """Put back what was there; what somebody else has replaced since stays."""
        while self._put:
            owner, name, before, wrapper = self._put.pop()
            if vars(owner).get(name) is not wrapper:
                continue
            if before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
        self.tap.stop()
        if _installed.get(self._what) is self:
            del _installed[self._what]

    def __enter__(self) -> Installed:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.remove()


_installed: dict[str, Installed] = {}
"""By what they record all of."""


def recorded_by(what: str) -> Recorder | None:
    """Return the recorder to which all of something is recorded."""
    found = _installed.get(what)
    return None if found is None else found.tap.rec


def installed_for(what: str, rec: Recorder) -> Installed | None:
    """Return the tap that records all of something to this recorder, if there is one.

    Raises
    ------
    UserError
        It is recorded by another one.
    """
    found = _installed.get(what)
    if found is not None and found.tap.rec is not rec:
        raise UserError(f"all {what} of this program are recorded by another recorder: remove() that tap first")
    return found


def shadow(thing: Any, **wrappers: Any) -> bool:
    """Put wrappers before methods of one object; False, and nothing is changed, if it has no room for them."""
    try:
        kept = vars(thing).setdefault(_SHADOWS, [])
    except TypeError:
        return False
    for name, wrapper in wrappers.items():
        kept.append((name, vars(thing).get(name, _MISSING)))
        vars(thing)[name] = wrapper
    return True


def restore(thing: Any) -> bool:
    """Take the wrappers from an object; False if there are none."""
    kept = getattr(thing, "__dict__", {}).pop(_SHADOWS, None)
    for name, before in reversed(kept or ()):
        if before is _MISSING:
            vars(thing).pop(name, None)
        else:
            vars(thing)[name] = before
    return kept is not None
