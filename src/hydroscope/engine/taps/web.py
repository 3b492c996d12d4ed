"""Taps on HTTP calls: httpx at the asking end, ASGI applications at the answering one."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, MutableMapping
from types import ModuleType, TracebackType
from typing import Any

from hydroscope.engine.taps.calls import HEADER, CallTap
from hydroscope.engine.taps.patches import Installed, installed_for, recorded_by, restore, shadow
from hydroscope.engine.taps.tap import swallowed
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.recorder import Recorder

__all__ = ["tap_asgi", "tap_httpx", "untap_httpx"]

Scope = MutableMapping[str, Any]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Callable[[], Awaitable[Any]], Send], Awaitable[None]]

_HEADER_BYTES = HEADER.encode()
_ALL = "clients of httpx"
_METHODS = {"handle_request": False, "handle_async_request": True}
_PORTS = {"http": 80, "https": 443}


def _httpx() -> ModuleType:
    try:
        import httpx
    except ImportError as error:
        raise UserError("this tap is for httpx, which is not installed: pip install httpx") from error
    return httpx


class _Asking:
    """A request of a client, from when it is sent until its answer has begun or it has failed."""

    def __init__(self, tap: CallTap, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self.tap = tap
        self._ident: int | None = None
        self._place: Any = ""
        self._what = ""

        self._begin(args, keywords)

    def __enter__(self) -> _Asking:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None and self._ident is not None:
            self.tap.failed(self._ident, error)

    @swallowed
    def _begin(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        request = keywords.get("request", args[-1] if args else None)
        if request is None or not self.tap.is_on:
            return
        url = request.url
        self._place = (url.host, url.port or _PORTS.get(url.scheme, 0))
        self._what = f"{request.method} {url.raw_path.decode('latin-1')}"
        noted = self.tap.asks(self._place, self._what)
        if noted is None:
            return
        self._ident, header = noted
        if self.tap.propagate:
            request.headers[HEADER] = header

    @swallowed
    def answered(self, response: Any) -> None:
        """Record the beginning of the answer."""
        if self._ident is not None:
            header = response.headers.get(HEADER) if self.tap.propagate else None
            self.tap.answered(self._place, self._ident, f"{response.status_code} {self._what}", header)


def _wrapper(tap: CallTap, below: Callable[..., Any], is_async: bool) -> Callable[..., Any]:
    """Return what goes before `handle_request` of a transport, or of a class of transports."""

    @functools.wraps(below)
    async def handle_async(*args: Any, **keywords: Any) -> Any:
        with _Asking(tap, args, keywords) as asking:
            response = await below(*args, **keywords)
            asking.answered(response)
        return response

    @functools.wraps(below)
    def handle(*args: Any, **keywords: Any) -> Any:
        with _Asking(tap, args, keywords) as asking:
            response = below(*args, **keywords)
            asking.answered(response)
        return response

    return handle_async if is_async else handle


def tap_httpx(rec: Recorder, client: Any = None, propagate: bool = False, peer: str | None = None) -> Any:
    """Record the requests that httpx sends and the answers it gets: of all clients, or of one.

    Parameters
    ----------
    rec : Recorder
    client : httpx.Client, httpx.AsyncClient or transport, optional
        Without it, all of this program are recorded until the tap is removed.
    propagate : bool
        Whether requests may have one header more, `x-hydroscope-id`, with the call's id and time: then the other end,
        tapped by `hs.taps.asgi`, can tell equal requests apart.
    peer : str, optional
        What the server is called, if there is one. By default a timeline finds out by the messages.

    Returns
    -------
    Installed or client
        A context manager, which has a `remove()`; or the same client.

    Raises
    ------
    UserError
        httpx is not installed; all of it is recorded by another recorder already; or `client` is nothing of httpx.

    Notes
    -----
    The answer is recorded when its headers are there, an exception as a failure. Cost: some 80 us a call
    (docs/taps.md).
    """
    httpx = _httpx()
    tap = CallTap(rec, propagate, peer)
    classes = {httpx.HTTPTransport: "handle_request", httpx.AsyncHTTPTransport: "handle_async_request"}
    if client is not None:
        by_all = tuple(classes) if recorded_by(_ALL) is rec else ()
        for transport in _transports(httpx, client):
            if not isinstance(transport, by_all):
                shadow(transport, {name: functools.partial(_wrapper, tap, is_async=a) for name, a in _METHODS.items()})
        return client
    installed = installed_for(_ALL, rec)
    if installed is not None:
        return installed
    installed = Installed(_ALL, tap)
    for owner, name in classes.items():
        installed.put(owner, name, _wrapper(tap, getattr(owner, name), _METHODS[name]))
    return installed


def untap_httpx(client: Any) -> bool:
    """Take the wrappers off a client or transport; False if there are none."""
    transports = [client, getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()]
    found = [restore(each) for each in transports if each is not None]
    return any(found)


def _transports(httpx: ModuleType, client: Any) -> list[Any]:
    if isinstance(client, httpx.BaseTransport | httpx.AsyncBaseTransport):
        return [client]
    if isinstance(client, httpx.Client | httpx.AsyncClient):
        return [each for each in (client._transport, *client._mounts.values()) if each is not None]
    raise UserError(f"{type(client).__name__} is no client and no transport of httpx")


def tap_asgi(rec: Recorder, app: Application, propagate: bool = False, peer: str | None = None) -> Application:
    """Record the requests that an ASGI application gets and its answers (Starlette, FastAPI, Django, Quart).

    Parameters
    ----------
    rec : Recorder
    app : ASGI application
    propagate : bool
        Whether answers to requests that had the header `x-hydroscope-id` may have it as well.
    peer : str, optional
        What the client is called, if there is one.

    Returns
    -------
    ASGI application
        To be served instead.

    Examples
    --------
    >>> import hydroscope as hs
    >>> rec = hs.Recorder("web-1")
    >>> async def app(scope, receive, send): ...
    >>> app = hs.taps.asgi(rec, app)
    >>> rec.close(remove=True)

    Notes
    -----
    Cost: some 40 us a request (docs/taps.md).
    """
    tap = CallTap(rec, propagate, peer)

    async def tapped(scope: Scope, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        answering = _Answering(tap)
        if scope.get("type") == "http":
            answering.begin(scope)

        async def answer(message: Any) -> None:
            await send(answering.answer(message) or message)

        try:
            await app(scope, receive, answer)
        except BaseException as error:
            answering.failed(error)
            raise

    return tapped


class _Answering:
    """A request that an application got, until it begins to answer or fails."""

    def __init__(self, tap: CallTap) -> None:
        self.tap = tap
        self._ident: int | None = None
        """Until it is answered."""
        self._place: Any = ""
        self._what = ""
        self._wants = False
        """Whether the request had our header."""

    @swallowed
    def begin(self, scope: Scope) -> None:
        """Record the request."""
        raw = scope.get("raw_path") or str(scope["path"]).encode()
        query = scope.get("query_string")
        path = raw.split(b"?")[0] + (b"?" + query if query else b"")
        self._what = f"{scope['method']} {path.decode('latin-1')}"
        self._place = tuple(scope["client"]) if scope.get("client") else ""
        header = dict(scope["headers"]).get(_HEADER_BYTES)
        self._wants = header is not None and self.tap.propagate
        self._ident = self.tap.asked(self._place, self._what, header)

    @swallowed
    def answer(self, message: Any) -> Any:
        """Record the beginning of an answer; return it with our header, or None if it has none."""
        if self._ident is None or message["type"] != "http.response.start":
            return None
        ident, self._ident = self._ident, None
        value = self.tap.answers(self._place, ident, f"{message['status']} {self._what}")
        if value is None or not self._wants:
            return None
        return {**message, "headers": [*message.get("headers", ()), (_HEADER_BYTES, value.encode())]}

    def failed(self, error: BaseException) -> None:
        """Record that there is no answer of its own."""
        if self._ident is not None:
            self.tap.failed(self._ident, error)
