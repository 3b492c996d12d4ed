"""Taps on HTTP calls: httpx at the asking end, ASGI applications at the answering one."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, MutableMapping
from types import ModuleType
from typing import Any

from hydroscope.engine.taps.calls import HEADER, CallTap
from hydroscope.engine.taps.patches import Installed, installed_for, restore, shadow
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.recorder import Recorder

__all__ = ["tap_asgi", "tap_httpx", "untap_httpx"]

Scope = MutableMapping[str, Any]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Callable[[], Awaitable[Any]], Send], Awaitable[None]]

_HEADER_BYTES = HEADER.encode()
_METHODS = {"handle_request": False, "handle_async_request": True}
_PORTS = {"http": 80, "https": 443}


def _httpx() -> ModuleType:
    try:
        import httpx
    except ImportError as error:
        raise UserError("this tap is for httpx, which is not installed: pip install httpx") from error
    return httpx


def _asking(tap: CallTap, request: Any) -> tuple[Any, int | None, str]:
    """Record a request that is about to be sent."""
    url = request.url
    place = (url.host, url.port or _PORTS.get(url.scheme, 0))
    what = f"{request.method} {url.raw_path.decode('latin-1')}"
    noted = tap.asks(place, what)
    if noted is None:
        return place, None, what
    if tap.propagate:
        request.headers[HEADER] = noted[1]
    return place, noted[0], what


def _start(tap: CallTap, request: Any) -> tuple[Any, int | None, str]:
    try:
        return _asking(tap, request) if tap.is_on else (None, None, "")
    except Exception:
        tap.n_lost += 1
        return None, None, ""


def _end(tap: CallTap, started: tuple[Any, int | None, str], response: Any) -> None:
    try:
        place, ident, what = started
        header = response.headers.get(HEADER) if tap.propagate else None
        tap.answered(place, ident, f"{response.status_code} {what}", header)
    except Exception:
        tap.n_lost += 1


def _wrapper(tap: CallTap, plain: Callable[..., Any], is_async: bool) -> Callable[..., Any]:
    """Return what goes before `handle_request` of a transport, or of a class of transports."""
    if is_async:

        @functools.wraps(plain)
        async def handle_async(*args: Any) -> Any:
            started = _start(tap, args[-1])
            try:
                response = await plain(*args)
            except BaseException as error:
                tap.failed(started[1], error)
                raise
            _end(tap, started, response)
            return response

        return handle_async

    @functools.wraps(plain)
    def handle(*args: Any) -> Any:
        started = _start(tap, args[-1])
        try:
            response = plain(*args)
        except BaseException as error:
            tap.failed(started[1], error)
            raise
        _end(tap, started, response)
        return response

    return handle


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
    if client is not None:
        for transport in _transports(httpx, client):
            for name, is_async in _METHODS.items():
                plain = getattr(transport, name, None)
                if plain is not None and name not in vars(transport):
                    shadow(transport, **{name: _wrapper(tap, plain, is_async)})
        return client
    installed = installed_for("clients of httpx", rec)
    if installed is not None:
        return installed
    installed = Installed("clients of httpx", tap)
    installed.put(httpx.HTTPTransport, "handle_request", _wrapper(tap, httpx.HTTPTransport.handle_request, False))
    plain = httpx.AsyncHTTPTransport.handle_async_request
    installed.put(httpx.AsyncHTTPTransport, "handle_async_request", _wrapper(tap, plain, True))
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
        if scope.get("type") != "http":
            await app(scope, receive, send)
            return
        place, ident, what, wants = _asked(tap, scope)

        async def answering(message: Any) -> None:
            await send(_answer(tap, message, place, ident, what, wants))

        await app(scope, receive, answering)

    return tapped


def _asked(tap: CallTap, scope: Scope) -> tuple[Any, int | None, str, bool]:
    """Record a request that came; return who asked, its id, what it asks for, and whether it had our header."""
    try:
        raw = scope.get("raw_path") or str(scope["path"]).encode()
        query = scope.get("query_string")
        path = raw.split(b"?")[0] + (b"?" + query if query else b"")
        what = f"{scope['method']} {path.decode('latin-1')}"
        header = dict(scope["headers"]).get(_HEADER_BYTES)
        place = tuple(scope["client"]) if scope.get("client") else ""
        return place, tap.asked(place, what, header), what, header is not None
    except Exception:
        tap.n_lost += 1
        return "", None, "", False


def _answer(tap: CallTap, message: Any, place: Any, ident: int | None, what: str, wants: bool) -> Any:
    """Record the beginning of an answer; return it, maybe with our header."""
    try:
        if message["type"] != "http.response.start":
            return message
        value = tap.answers(place, ident, f"{message['status']} {what}")
        if value is None or not (tap.propagate and wants):
            return message
        return {**message, "headers": [*message.get("headers", ()), (_HEADER_BYTES, value.encode())]}
    except Exception:
        tap.n_lost += 1
        return message
