"""Putting wrappers in place of attributes, and exactly what was there back again."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from hydroscope.engine.taps.tap import Excerpt, Framers, Tap
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.recorder import Recorder

__all__ = ["Installed", "installed_for", "is_shadowed", "recorded_by", "restore", "shadow", "weakly"]

_MISSING = object()
_SHADOWS = "_hydroscope_shadows"


class Installed:
    """A tap on all of a program; `remove()` takes it out, and so does leaving its `with` (of several, the outermost).

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
        self._n_inside = 0
        self._put: list[tuple[Any, str, Any, Any]] = []
        _installed[what] = self

    def __repr__(self) -> str:
        return f"<tap on {self._what}{'' if _installed.get(self._what) is self else ', taken out'}>"

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
        """Put back what was there, whoever asked for it; what somebody else has replaced since stays."""
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
        self._n_inside += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._n_inside -= 1
        if not self._n_inside:
            self.remove()


_installed: dict[str, Installed] = {}
"""By what they record all of."""


def recorded_by(what: str) -> Recorder | None:
    """Return the recorder to which all of something is recorded."""
    found = _installed.get(what)
    return None if found is None else found.tap.rec


def installed_for(what: str, rec: Recorder, framer: Framers = None, excerpt: Excerpt | None = None) -> Installed | None:
    """Return the tap that records all of something to this recorder, if there is one.

    Raises
    ------
    UserError
        It is recorded by another one, or with another framer or excerpt.
    """
    found = _installed.get(what)
    if found is not None and found.tap.rec is not rec:
        raise UserError(f"all {what} of this program are recorded by another recorder: remove() that tap first")
    if found is not None and not found.tap.is_like(framer, excerpt):
        raise UserError(f"all {what} of this program are recorded with another framer or excerpt: remove() that first")
    return found


def weakly(thing: Any) -> Callable[[], Any]:
    """Return what returns a thing, as long as somebody else keeps it."""
    try:
        return weakref.ref(thing)
    except TypeError:
        return lambda: thing


def _unbound(thing: Any, name: str) -> Callable[..., Any]:
    """Return a method of an object, as a function that does not keep the object: a wrapper of it lies in the object."""
    method: Callable[..., Any] = getattr(thing, name)
    function = getattr(method, "__func__", None)
    if function is None or getattr(method, "__self__", None) is not thing:
        return method
    it = weakly(thing)
    return lambda *args, **keywords: function(it(), *args, **keywords)


def shadow(thing: Any, make: Mapping[str, Callable[[Callable[..., Any]], Any]]) -> bool:
    """Put wrappers before methods of one object, unless there are some.

    Parameters
    ----------
    thing : object
        Freed as ever, when nobody but its wrappers knows it.
    make : mapping
        By a method's name, from the method to its wrapper; what the object does not have is left out.

    Returns
    -------
    bool
        False, and nothing is changed, if it has no room for them.
    """
    room = getattr(thing, "__dict__", None)
    if not isinstance(room, dict):
        return False
    if not is_shadowed(thing):
        wrappers = {name: each(_unbound(thing, name)) for name, each in make.items() if hasattr(thing, name)}
        room[_SHADOWS] = [(name, room.get(name, _MISSING)) for name in wrappers]
        room.update(wrappers)
    return True


def is_shadowed(thing: Any) -> bool:
    """Tell whether an object has wrappers of its own."""
    return _SHADOWS in getattr(thing, "__dict__", ())


def restore(thing: Any) -> bool:
    """Take the wrappers from an object; False if there are none."""
    room = getattr(thing, "__dict__", None)
    kept = room.pop(_SHADOWS, None) if isinstance(room, dict) else None
    for name, before in kept or ():
        if before is _MISSING:
            vars(thing).pop(name, None)
        else:
            vars(thing)[name] = before
    return kept is not None
