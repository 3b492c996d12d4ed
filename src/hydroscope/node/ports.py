"""What the upper floors need of an engine, as Protocols; the providers live on floor 9.

A *handle* stands for a value that may live elsewhere. On the local engine a handle is the
value itself; on Ray it is an object reference. Only `Engine.get` turns one into a value.

This module also keeps which providers are in use: one engine, one host and one key/value
store a process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Self

from hydroscope.ground.errors import HydroscopeError, InternalError

__all__ = [
    "Engine",
    "EngineError",
    "Handle",
    "Host",
    "Keys",
    "Latch",
    "NodeLost",
    "Progress",
    "Watching",
    "current",
    "fence",
    "host",
    "install",
    "install_host",
    "install_keys",
    "keys",
    "keys_at_once",
    "keys_in_use",
    "on_first_use",
    "restore",
]

Handle = Any


class EngineError(HydroscopeError):
    """A worker, or the way to it, was lost; the frames that were loaded are still there."""


class NodeLost(EngineError):
    """A member of the cluster was lost, and with it what was being asked about these keys.

    Attributes
    ----------
    keys : tuple of str
        What may have been lost: values whose home was the lost member, and writes that it
        had not confirmed.
    """

    def __init__(self, text: str, keys: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.keys = tuple(keys)


class Engine(Protocol):
    """A place where work runs.

    Rules every provider keeps: results come in the order of the items; the first error in
    that order is raised and the rest is cancelled; the running job (`node.jobs.current`)
    is told of progress and asked for cancellation between items; nothing waits for ever.
    """

    name: str
    n_threads: int

    def put(self, value: object) -> Handle:
        """Return a handle for `value`."""

    def get(self, handle: Handle) -> Any:
        """Return the value of one handle (a list of handles: the list of values)."""

    def map(
        self, function: Callable[..., Any], items: Sequence[tuple[Any, ...]], n_returns: int = 1
    ) -> list[Handle] | list[tuple[Handle, ...]]:
        """Call `function(*item)` for every item, handles among its arguments resolved.

        Returns a list of handles, one an item (n_returns > 1: of tuples of handles). Only
        handles that are arguments themselves are resolved, not those inside a list.
        """

    def reduce(self, merge: Callable[[Any, Any], Any], handles: Sequence[Handle]) -> Any:
        """Merge the handles' values with the tree of `mapreduce.plan`, and return the value.

        `merge(left, right)` returns a new value and changes neither: values that came
        from another process are read-only.
        """

    def parallel(self, function: Callable[[int], Any], n_items: int) -> list[Any]:
        """Call `function(i)` for i in range(n_items) on this process's threads; for kernels."""

    def shutdown(self) -> None:
        """Let go of threads and connections."""


class Latch(Protocol):
    """A gate that opens once and stays open."""

    def open(self) -> None:
        """Let everybody through, now and later; from any thread, any number of times."""

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is open; False when `timeout_s` went by first."""


class Progress(Protocol):
    """What a display reads of a job."""

    @property
    def id(self) -> int:
        """Its number, in this process."""

    @property
    def description(self) -> str:
        """What is being done."""

    @property
    def progress(self) -> float:
        """How much of it is done, 0..1."""

    @property
    def message(self) -> str:
        """What is going on just now."""

    @property
    def ended(self) -> Latch:
        """Open once there is nothing more to show."""

    def cancel(self) -> bool:
        """Ask for an early end."""


class Host(Protocol):
    """What this process lends to jobs: threads, gates, a clock, a place to show progress."""

    def spawn(self, function: Callable[[], object], job: Progress) -> None:
        """Run `function` on a thread of its own that does not keep the process from ending."""

    def latch(self) -> Latch:
        """Return a closed gate."""

    def seconds(self) -> float:
        """Return the time since 1970 UTC."""

    def show(self, job: Progress) -> Callable[[], None]:
        """Show the job's progress if it lasts; the function returned waits until that is off the screen."""

    def note(self, job: Progress, state: str, error: BaseException | None) -> None:
        """Note, for those who will ask what happened, that a job is in this state; never waits, never raises."""


class Watching(Protocol):
    """What `Keys.watch` returns: tells which keys changed. A context manager that closes at the end.

    Of several changes of one key between two looks only the last value is told (a watcher that
    is slow costs nobody anything), and that last value always is.
    """

    def poll(self, timeout_s: float | None = 0.0) -> dict[str, Any]:
        """Return the keys that changed since the last look with their values now (None: removed).

        Waits up to `timeout_s` (None: until then) for the first one; empty when there was none, or when closed.
        NodeLost, once for each loss, when a member was lost that may have held such keys; when this process was given
        up, every time.
        """

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yield (key, value) as changes come, until closed; NodeLost as in `poll`."""

    def close(self) -> None:
        """Look no longer; who waits comes back."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(self, *error: object) -> None:
        """Close."""


class Keys(Protocol):
    """A key/value store that all processes of a cluster share.

    Rules every provider keeps:

    - A key is a str of 1 to 255 characters. One that begins with "!" is *volatile*: each of its
      writes waits until every process sees it. One that begins with "@3/" lives on member 3.
    - Values are what `wire.values` can pack. They are never changed in place: who put a value or
      got one must not alter it. None means absent, so a put of None removes.
    - A thread sees its own puts at once, and never an older value of a key after a newer one.
      With `wait=True`, for volatile keys and for `atomic`, reads and writes of one key happen in one
      order that agrees with the clock on the wall.
    - Nothing waits for ever: when the key's home is lost, `NodeLost` is raised.
    """

    name: str
    """"local", "sockets", "ray"."""
    shared: bool
    """Whether there can be other processes."""

    @property
    def me(self) -> str:
        """How records name this process; no other process of the cluster is ever named so."""

    def members(self) -> list[str]:
        """Return who belongs to the cluster now, as `me` names them. Free: what this process believes."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, or `default` when the key is absent."""

    def put(self, key: str, value: Any, wait: bool = False, durable: bool = False) -> None:
        """Write. `wait`: return when every process sees it; `durable`: and a second member has a copy."""

    def atomic(self, key: str, function: str, *arguments: Any) -> Any:
        """Apply the function registered under that name at the key's home, once, and return its result.

        `function(value, *arguments)` gets the value (None: absent) and returns the new one, which
        is the result too, or a `kv.functions.Change` or `Unchanged`. When it raises, nothing is
        written and a UserError says what it raised.
        """

    def remove(self, key: str, wait: bool = False) -> None:
        """Make the key absent; no error when it is."""

    def keys(self, prefix: str = "", partial: bool = False) -> list[str]:
        """Return the keys that begin with `prefix`, sorted.

        NodeLost when a member was lost that may have held some; with `partial` those that are left.
        """

    def watch(self, prefix: str = "") -> Watching:
        """Begin to watch the keys that begin with `prefix`; changes from now on are told."""

    def fence(self) -> None:
        """Wait until the plain puts of this thread are ordered: what happens next happens after them.

        Free when none is on its way: engines call it before each task and after it.
        """

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """Give a function for `atomic` its name, in this process; every process that is a home needs it."""

    def shutdown(self) -> None:
        """Let go of threads and connections; watchers are closed."""


_FACE = ("get", "put", "atomic", "remove", "keys", "watch", "fence", "register")
"""What of a store is called through `hs.kv`."""

_engine: Engine | None = None
_host: Host | None = None
_keys: Keys | None = None
_boot_engine: Callable[[], Engine] | None = None
_boot_host: Callable[[], Host] | None = None
_boot_keys: Callable[[], Keys] | None = None


def on_first_use(
    boot_engine: Callable[[], Engine], boot_host: Callable[[], Host], boot_keys: Callable[[], Keys]
) -> None:
    """Say how to start the default engine, the host and the default store when none was chosen."""
    global _boot_engine, _boot_host, _boot_keys
    _boot_engine, _boot_host, _boot_keys = boot_engine, boot_host, boot_keys


def current() -> Engine:
    """Return the engine in use; the first call starts the default one."""
    global _engine
    if _engine is None:
        if _boot_engine is None:
            raise InternalError("no engine was installed and none can be started")
        _engine = _boot_engine()
    return _engine


def install(engine: Engine | None) -> Engine | None:
    """Make `engine` the one in use and return the one that was."""
    global _engine
    before, _engine = _engine, engine
    return before


def restore(engine: Engine | None) -> None:
    """Undo an `install`."""
    install(engine)


def host() -> Host:
    """Return the host of this process; the first call starts it."""
    global _host
    if _host is None:
        if _boot_host is None:
            raise InternalError("no host was installed and none can be started")
        _host = _boot_host()
    return _host


def install_host(provider: Host | None) -> Host | None:
    """Make `provider` the host and return the one that was."""
    global _host
    before, _host = _host, provider
    return before


def keys() -> Keys:
    """Return the key/value store in use; the first call starts the default one."""
    if _keys is None:
        if _boot_keys is None:
            raise InternalError("no key/value store was installed and none can be started")
        install_keys(_boot_keys())  # two threads that come first together are given the same one
    assert _keys is not None
    return _keys


def keys_in_use() -> Keys | None:
    """Return the key/value store in use, if one was opened."""
    return _keys


def keys_at_once() -> Keys | None:
    """Return the key/value store in use, or open it if that takes no time; None while a cluster still gathers it."""
    if _keys is None and not getattr(current(), "has_keys", True):
        return None
    return keys()


def fence() -> None:
    """Order this thread's plain puts before what it does next, if a store is in use: before and after tasks."""
    if _keys is not None:
        _keys.fence()


def install_keys(provider: Keys | None) -> Keys | None:
    """Make `provider` the store in use, `hs.kv` its face, and return the one that was."""
    from hydroscope import kv
    from hydroscope.node.locks import lock

    global _keys
    before, _keys = _keys, provider
    if provider is None:
        kv.bind(None)
    else:
        kv.bind({name: getattr(provider, name) for name in _FACE} | {"lock": lock})
    return before
