"""Keys and values that all processes of a cluster share, and who may hold which value; `hs.kv` is this package.

The functions below are the store's face. Their bodies run once: the first call opens the store
in use, and from then on the names are bound to that store's own functions (`bind`), so that a
call costs no indirection. What decides about replicas is in the modules beside: they are never
named like one of these functions, because a module that is imported becomes an attribute here.
(And there is no `__getattr__`: with one, CPython looks each attribute up the slow way.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hydroscope.kv.changes import Change, Unchanged

__all__ = ["Change", "Unchanged", "atomic", "fence", "get", "keys", "lock", "put", "register", "remove", "watch"]


def get(key: str, default: Any = None) -> Any:
    """Return the value of a key, or `default` when it is absent.

    Parameters
    ----------
    key : str
        1 to 255 characters.
    default : object

    Returns
    -------
    object
        Not to be changed in place: it may be the one that other threads get.

    Notes
    -----
    Cost: that of a dictionary for a key that this process holds a copy of (on the local engine:
    any); else one round trip to its home, once.

    Examples
    --------
    >>> import hydroscope as hs
    >>> hs.kv.put("doc/answer", 42)
    >>> hs.kv.get("doc/answer"), hs.kv.get("doc/nothing", "absent")
    (42, 'absent')
    """
    return _open("get")(key, default)


def put(key: str, value: Any, wait: bool = False, durable: bool = False) -> None:
    """Write the value of a key.

    Parameters
    ----------
    key : str
        1 to 255 characters. A key that begins with "!" is volatile: each of its writes waits.
        One that begins with "@3/" lives on member 3.
    value : object
        None, bool, int, float, str, bytes, datetime with a zone, list, tuple, dict, NumPy
        array, or a msgspec Struct that was registered; not to be changed in place afterwards. None removes the key.
    wait : bool
        Return when every process sees it. Without, this thread sees it at once and others soon.
    durable : bool
        Return when a second member has a copy too, so that it survives the loss of one.

    Notes
    -----
    Cost: that of a dictionary; with `wait` a round trip to the key's home, and one more when
    other processes hold a copy. Lists and dictionaries are looked through.
    """
    _open("put")(key, value, wait, durable)


def atomic(key: str, function: str, *arguments: Any) -> Any:
    """Apply a registered function to the value where the key lives, exactly once.

    Parameters
    ----------
    key : str
    function : str
        Its name: one given to `register`, or add(amount), append(item), create(first),
        discard(item), max(candidate), min(candidate), replace(expected, new), update(fields).
    *arguments : object
        What the function gets after the value.

    Returns
    -------
    object
        The new value, or what the function chose to answer.

    Raises
    ------
    UserError
        There is no such function, or it raised; nothing was written then.

    Notes
    -----
    Cost: about 3 us here; else one round trip, and one more when other processes hold a copy.

    Examples
    --------
    >>> import hydroscope as hs
    >>> hs.kv.atomic("doc/counter", "add", 2), hs.kv.atomic("doc/counter", "add", 3)
    (2, 5)
    """
    return _open("atomic")(key, function, *arguments)


def remove(key: str, wait: bool = False) -> None:
    """Make a key absent; no error when it is.

    Parameters
    ----------
    key : str
    wait : bool
        Return when every process sees it.

    Notes
    -----
    Cost: that of `put`.
    """
    _open("remove")(key, wait)


def keys(prefix: str = "", partial: bool = False) -> list[str]:
    """Return the keys that begin with `prefix`, sorted.

    Parameters
    ----------
    prefix : str
    partial : bool
        Return those that are left, also after a member was lost that may have held some.

    Raises
    ------
    NodeLost
        Such a member was lost, and `partial` is false: the list would lack, without a word, the
        keys that only it held. (Durable ones are listed all the same.)

    Notes
    -----
    Cost: all keys are looked at, on every member.
    """
    found: list[str] = _open("keys")(prefix, partial)
    return found


def watch(prefix: str = "") -> Any:
    """Watch the keys that begin with `prefix`; changes from now on are told.

    Parameters
    ----------
    prefix : str

    Returns
    -------
    Watching
        `poll(timeout_s)` returns the keys that changed since the last look with their values (None:
        removed); a `for` loop over it gets them one by one; a `with` statement closes it.
        Of several changes of one key only the last is told, and that one always is. When a member
        is lost that may have held such keys, `poll` and the loop raise NodeLost once; the watch goes on.

    Notes
    -----
    Cost: each write under the prefix puts a key into a queue; nothing for other keys' reads.
    """
    return _open("watch")(prefix)


def fence() -> None:
    """Wait until this thread's plain puts are ordered at their homes.

    Notes
    -----
    Cost: free when none is on its way. Volatile writes, `atomic` and the start and end of jobs do it by themselves.
    """
    _open("fence")()


def register(name: str, function: Callable[..., Any]) -> None:
    """Give a function for `atomic` a name; on a cluster, in every process, before it is used.

    Parameters
    ----------
    name : str
        A later function of the same name replaces it.
    function : callable
        Called as `function(value, *arguments)`, value None for an absent key. It returns the new
        value (None: remove), or `hs.kv.Change(value, result)`, or `hs.kv.Unchanged(result)`, and
        depends on nothing but what it is given.

    Notes
    -----
    Cost: free.

    Examples
    --------
    >>> import hydroscope as hs
    >>> hs.kv.register("double", lambda value: 2 * (value or 1))
    >>> hs.kv.atomic("doc/doubled", "double"), hs.kv.atomic("doc/doubled", "double")
    (2, 4)
    """
    _open("register")(name, function)


def lock(key: str, lease_s: float = 30.0, wait_s: float | None = None) -> Any:
    """Hold a key as a lock for the length of a `with` block, at most `lease_s` seconds.

    Parameters
    ----------
    key : str
        Used for nothing else.
    lease_s : float
        Seconds after which others may take it, by the clock of the key's home, unless it is renewed.
    wait_s : float or None
        Seconds to wait for who holds it; None: until it is free. TimeoutError after that.

    Returns
    -------
    Lease
        Its `number` is greater than that of every earlier holder: hand it to what the lock
        protects, which can then refuse a holder that was overtaken. `renew()`, `release()`.

    Notes
    -----
    Cost: one `atomic` to take it and one to give it back.

    Examples
    --------
    >>> import hydroscope as hs
    >>> with hs.kv.lock("doc/lock") as lease:
    ...     lease.number
    1
    """
    return _open("lock")(key, lease_s, wait_s)


_FACE: dict[str, Callable[..., Any]] = {
    each.__name__: each for each in (get, put, atomic, remove, keys, watch, fence, register, lock)
}
_opener: Callable[[], object] | None = None


def opens_with(opener: Callable[[], object]) -> None:
    """Say who makes the store in use and binds its functions when the first is called."""
    global _opener
    _opener = opener


def bind(methods: Mapping[str, Callable[..., Any]] | None) -> None:
    """Make the face's functions those of a store (None: as they were before any was opened)."""
    for name, written in _FACE.items():
        method = written if methods is None else methods[name]
        function: Any = getattr(method, "__func__", method)
        function.__doc__ = written.__doc__  # help(hs.kv.get) says the same whichever store it is
        globals()[name] = method


def _open(name: str) -> Callable[..., Any]:
    """Open the store in use and return its function of that name."""
    assert _opener is not None, "no store was installed and none can be opened"
    _opener()
    method: Callable[..., Any] = globals()[name]
    assert method is not _FACE[name], "the store was opened and its functions were not bound"
    return method
