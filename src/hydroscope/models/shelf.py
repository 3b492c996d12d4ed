"""Frames and models by name: what every process of a cluster can list, and cannot remove while a job uses it.

Under "shelf/NAME" lies what is known of the thing, and who uses it. The thing itself is in the
process that named it; of a model there is a copy under "shelf-model/NAME", which any process
can read and which survives the loss of a member. A frame's rows stay where they were loaded.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from hydroscope.frame.frame import Frame
from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.kv.names import check_key
from hydroscope.models.base import Estimator
from hydroscope.node import jobs, ports
from hydroscope.weave.notice import HydroscopeWarning

__all__ = ["assign", "get_frame", "get_model", "holding", "ls", "remove"]

SHELF = "shelf/"
MODELS = "shelf-model/"

INCOMPLETE = (
    "a member of the cluster was lost: frames and models of whose names only it knew are not listed; assign() them anew"
)

_things: dict[str, Any] = {}
"""What this process has named, by name."""


def assign(thing: Any, name: str) -> Any:
    """Give a frame or a fitted model a name by which every process of the cluster can find it.

    Parameters
    ----------
    thing : Frame or model
    name : str
        What had the name before is let go, unless a job uses it.

    Returns
    -------
    Frame or model
        The thing itself.

    Notes
    -----
    Cost: one `atomic`; a model is written to memory once, as `save` would.

    Examples
    --------
    >>> import hydroscope as hs
    >>> frame = hs.assign(hs.Frame({"x": [1, 2, 3]}), "numbers")
    >>> hs.get_frame("numbers") is frame
    True
    >>> hs.remove("numbers")
    """
    if not isinstance(name, str):
        raise UserError(f"a name is a text, and comes second; it is a {type(name).__name__}: assign(frame, 'flights')")
    keys = ports.keys()
    check_key(MODELS + name)
    known: dict[str, Any] = {"owner": keys.me, "assigned": ports.host().seconds()}
    if isinstance(thing, Frame):
        rows, columns = thing.shape
        known |= {"kind": "frame", "type": "Frame", "rows": rows, "columns": columns, "nbytes": thing.nbytes}
        data = None
    elif isinstance(thing, Estimator):
        from hydroscope.models.store import model_bytes

        data = model_bytes(thing._fitted())  # type: ignore[attr-defined]
        known |= {"kind": "model", "type": type(thing).__name__, "nbytes": len(data)}
    else:
        raise UserError(
            f"a {type(thing).__name__} cannot be assigned the name {name!r}; only a Frame or a fitted model"
        )
    users = keys.atomic(SHELF + name, "hold.assign", known, keys.members())
    if users:
        raise UserError(f"{name!r} cannot be assigned anew: what has the name is in use by {_said(users)}")
    keys.put(MODELS + name, data, wait=True, durable=True)
    _things[name] = thing
    return thing


def ls() -> Frame:
    """Return what has a name: frames and models of all processes of the cluster.

    Returns
    -------
    Frame
        One row each, by name: name, type, rows, columns, nbytes, owner (a process), in_use_by.

    Notes
    -----
    After a member was lost a HydroscopeWarning says that names may be missing: what only it knew.
    Cost: one look at every key on every member.
    """
    keys = ports.keys()
    members = set(keys.members())
    rows = []
    try:
        shelf = keys.keys(SHELF)
    except ports.NodeLost:
        warnings.warn(INCOMPLETE, HydroscopeWarning, stacklevel=2)
        shelf = keys.keys(SHELF, partial=True)
    for key in shelf:
        known = keys.get(key)
        if known is not None:
            users = _said([user for user in known["users"] if user["owner"] in members])
            fields = (known.get(field) for field in ("type", "rows", "columns", "nbytes", "owner"))
            rows.append((key.removeprefix(SHELF), *fields, users))
    names = ("name", "type", "rows", "columns", "nbytes", "owner", "in_use_by")
    return Frame({name: [row[i] for row in rows] for i, name in enumerate(names)})


def get_frame(name: str) -> Frame:
    """Return the frame of that name.

    Parameters
    ----------
    name : str

    Raises
    ------
    UserError
        There is none, it is a model, or its rows are in another process.

    Notes
    -----
    Cost: free.
    """
    thing = _own(name, "frame")
    if thing is None:
        owner = ports.keys().get(SHELF + name, {}).get("owner")
        raise UserError(f"the rows of frame {name!r} are in process {owner}; read them here, or use them there")
    frame: Frame = thing
    return frame


def get_model(name: str) -> Any:
    """Return the model of that name, whichever process trained it.

    Parameters
    ----------
    name : str

    Returns
    -------
    model
        The very one in the process that named it, elsewhere a copy.

    Notes
    -----
    Cost: free, or once its bytes over the network.
    """
    thing = _own(name, "model")
    if thing is not None:
        return thing
    from hydroscope.models.store import model_of_bytes

    data = ports.keys().get(MODELS + name)
    if data is None:
        raise UserError(f"model {name!r} was removed just now")
    return model_of_bytes(data, f"key {MODELS + name!r}")


def remove(name: str) -> None:
    """Take the name from a frame or model, and let it go; refused while a job uses it.

    Parameters
    ----------
    name : str

    Raises
    ------
    UserError
        There is none, or a job uses it: the text says which.

    Notes
    -----
    Cost: one `atomic`. The memory is free when nobody in its process refers to it any more.
    """
    keys = ports.keys()
    was_there, users = keys.atomic(SHELF + name, "hold.remove", keys.members())
    if users:
        raise UserError(f"{name!r} is in use by {_said(users)}; wait for it, or cancel it: see hs.jobs()")
    if not was_there:
        raise _unknown(name)
    _things.pop(name, None)
    keys.remove(MODELS + name)


@contextmanager
def holding(*things: Any) -> Generator[None]:
    """Keep named things from being removed during the block; what has no name costs nothing."""
    names = [name for name, thing in list(_things.items()) if any(thing is each for each in things)]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(_holding(name))
        yield


@contextmanager
def _holding(name: str) -> Generator[None]:
    keys, job = ports.keys(), jobs.current()
    while job is not None and job.parent is not None:
        job = job.parent
    text = "a block" if job is None else f"job {job.id} ({job.description})"
    user = {"owner": keys.me, "job": 0 if job is None else job.id, "text": text}
    keys.atomic(SHELF + name, "hold.take", user, keys.members())
    try:
        yield
    finally:
        keys.atomic(SHELF + name, "hold.release", user)


def _own(name: str, kind: str) -> Any:
    """Return the thing if it is in this process, None if it is elsewhere; raises when there is none of the kind."""
    known = ports.keys().get(SHELF + name)
    if known is None:
        _things.pop(name, None)  # another process removed it, or the store it was in is gone
        raise _unknown(name, kind)
    if known["kind"] != kind:
        raise UserError(f"{name!r} is a {known['kind']}, not a {kind}; use hs.get_{known['kind']}({name!r})")
    return _things.get(name) if known["owner"] == ports.keys().me else None


def _unknown(name: str, kind: str = "frame or model") -> UserError:
    known = [key.removeprefix(SHELF) for key in ports.keys().keys(SHELF, partial=True)]
    return unknown_name(kind, name, known, "hs.ls()")


def _said(users: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{user['text']} of process {user['owner']}" for user in users)
