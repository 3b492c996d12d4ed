"""Taps on gRPC: interceptors for clients and servers, of threads and of asyncio.

A call is two messages, what is asked and how it ended; what a stream carries in between is not recorded one by one.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import unquote

from hydroscope.engine.taps.calls import HEADER, CallTap
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.recorder import Recorder

__all__ = ["GrpcTap", "tap_grpc"]

_OWN_FAILURES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
"""How calls end that got no answer."""

_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
_DETAILS = ("method", "timeout", "metadata", "credentials", "wait_for_ready", "compression")

Behavior = Callable[[Any, Any], Any]
Asked = tuple[str, int | None, str]
"""Who asks, the call's id, what for."""


def _grpc() -> ModuleType:
    try:
        import grpc
        import grpc.aio
    except ImportError as error:
        raise UserError("this tap is for gRPC, which is not installed: pip install grpcio") from error
    module: ModuleType = grpc
    return module


def _what(method: Any) -> str:
    """Return a method's name, without the package: of what is recorded, 27 bytes are kept.

    Examples
    --------
    >>> _what("/helloworld.Greeter/SayHello")
    'Greeter/SayHello'
    """
    text = method.decode(errors="replace") if isinstance(method, bytes) else str(method)
    service, _, name = text.lstrip("/").rpartition("/")
    return f"{service.rpartition('.')[2]}/{name}"


def _place(peer: str) -> str:
    """Return who called, as other taps name it.

    Examples
    --------
    >>> _place("ipv4:127.0.0.1:4321"), _place("ipv6:%5B::1%5D:4321")
    ('127.0.0.1:4321', '[::1]:4321')
    """
    return unquote(peer.partition(":")[2]) if peer.startswith(("ipv4:", "ipv6:")) else peer


def _at_once(coroutine: Any) -> Any:
    """Return what a coroutine returns that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    return None


class _Client:
    """What both kinds of client do."""

    def __init__(self, tap: CallTap, metadata: Callable[..., Any]) -> None:
        self._tap, self._metadata = tap, metadata

    def ask(self, details: Any) -> tuple[Any, int | None, str]:
        """Record a call; return its details, its id, and what it asks for."""
        tap = self._tap
        try:
            what = _what(details.method)
            noted = tap.asks("", what)
            if noted is None:
                return details, None, what
            if tap.propagate:
                fields = {name: getattr(details, name, None) for name in _DETAILS}
                fields["metadata"] = self._metadata(*(details.metadata or ()), (HEADER, noted[1]))
                details = SimpleNamespace(**fields)
            return details, noted[0], what
        except Exception:
            tap.n_lost += 1
            return details, None, ""

    def ended(self, ident: int | None, what: str, code: Any) -> None:
        """Record how it ended."""
        name = getattr(code, "name", str(code))
        if name in _OWN_FAILURES:
            self._tap.failed(ident, f"{name} {what}")
        else:
            self._tap.answered("", ident, f"{name} {what}")

    def watch(self, call: Any, ident: int | None, what: str) -> None:
        """Have the end of a call recorded, without waiting for it."""
        try:

            def done(_: Any = None) -> None:
                try:
                    code = call.code()
                    self.ended(ident, what, _at_once(code) if inspect.iscoroutine(code) else code)
                except Exception:
                    self._tap.n_lost += 1

            if hasattr(call, "add_done_callback"):
                call.add_done_callback(done)
            elif not call.add_callback(done):
                done()
        except Exception:
            self._tap.n_lost += 1


def _client_interceptor(grpc: ModuleType, tap: CallTap) -> Any:
    client = _Client(tap, lambda *pairs: pairs)

    def intercept(self: Any, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        details, ident, what = client.ask(details)
        call = continuation(details, request)
        client.watch(call, ident, what)
        return call

    bases = [getattr(grpc, f"{_camel(kind)}ClientInterceptor") for kind in _KINDS]
    return type("RecordingInterceptor", tuple(bases), {f"intercept_{kind}": intercept for kind in _KINDS})()


def _aio_client_interceptors(grpc: ModuleType, tap: CallTap) -> list[Any]:
    client = _Client(tap, grpc.aio.Metadata)

    async def intercept(self: Any, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        details, ident, what = client.ask(details)
        call = await continuation(details, request)
        client.watch(call, ident, what)
        return call

    bases = {kind: getattr(grpc.aio, f"{_camel(kind)}ClientInterceptor") for kind in _KINDS}
    return [type("RecordingInterceptor", (base,), {f"intercept_{k}": intercept})() for k, base in bases.items()]


def _camel(kind: str) -> str:
    return kind.title().replace("_", "")


class _Server:
    """What both kinds of server do."""

    def __init__(self, grpc: ModuleType, tap: CallTap) -> None:
        self._grpc, self._tap = grpc, tap

    def wrapped(self, handler: Any, details: Any) -> Any:
        """Return a handler whose calls are recorded."""
        if handler is None:
            return None
        try:
            kind = _KINDS[2 * bool(handler.request_streaming) + bool(handler.response_streaming)]
            make = getattr(self._grpc, f"{kind}_rpc_method_handler")
            behavior = self._recording(getattr(handler, kind), details, bool(handler.response_streaming))
            return make(behavior, handler.request_deserializer, handler.response_serializer)
        except Exception:
            self._tap.n_lost += 1
            return handler

    def _begin(self, details: Any, context: Any) -> Asked:
        try:
            what = _what(details.method)
            header = next((value for key, value in details.invocation_metadata or () if key == HEADER), None)
            place = _place(context.peer())
            return place, self._tap.asked(place, what, header), what
        except Exception:
            self._tap.n_lost += 1
            return "", None, ""

    def _end(self, asked: Asked, context: Any, failed: bool) -> None:
        try:
            place, ident, what = asked
            code = context.code()
            if isinstance(code, int):
                code = next((each for each in self._grpc.StatusCode if each.value[0] == code), None)
            name = getattr(code, "name", "UNKNOWN" if failed else "OK")
            self._tap.answers(place, ident, f"{'UNKNOWN' if failed and name == 'OK' else name} {what}")
        except Exception:
            self._tap.n_lost += 1

    def _recording(self, behavior: Behavior, details: Any, streams: bool) -> Behavior:
        if inspect.isasyncgenfunction(behavior):

            async def async_stream(request: Any, context: Any) -> AsyncIterator[Any]:
                asked, failed = self._begin(details, context), True
                try:
                    async for each in behavior(request, context):
                        yield each
                    failed = False
                finally:
                    self._end(asked, context, failed)

            return async_stream
        if inspect.iscoroutinefunction(behavior):

            async def coroutine(request: Any, context: Any) -> Any:
                asked, failed = self._begin(details, context), True
                try:
                    found = await behavior(request, context)
                    failed = False
                finally:
                    self._end(asked, context, failed)
                return found

            return coroutine
        if streams:

            def stream(request: Any, context: Any) -> Iterator[Any]:
                asked, failed = self._begin(details, context), True
                try:
                    yield from behavior(request, context)
                    failed = False
                finally:
                    self._end(asked, context, failed)

            return stream

        def plain(request: Any, context: Any) -> Any:
            asked, failed = self._begin(details, context), True
            try:
                found = behavior(request, context)
                failed = False
            finally:
                self._end(asked, context, failed)
            return found

        return plain


def _server_interceptor(grpc: ModuleType, tap: CallTap) -> Any:
    server = _Server(grpc, tap)

    def intercept_service(self: Any, continuation: Callable[..., Any], details: Any) -> Any:
        return server.wrapped(continuation(details), details)

    return type("RecordingInterceptor", (grpc.ServerInterceptor,), {"intercept_service": intercept_service})()


def _aio_server_interceptor(grpc: ModuleType, tap: CallTap) -> Any:
    server = _Server(grpc, tap)

    async def intercept_service(self: Any, continuation: Callable[..., Any], details: Any) -> Any:
        return server.wrapped(await continuation(details), details)

    return type("RecordingInterceptor", (grpc.aio.ServerInterceptor,), {"intercept_service": intercept_service})()


class GrpcTap:
    """Interceptors that record: give each to what it is for."""

    def __init__(self, grpc: ModuleType, tap: CallTap) -> None:
        self._tap = tap
        self.client = _client_interceptor(grpc, tap)
        """For `grpc.intercept_channel(channel, tap.client)`."""
        self.server = _server_interceptor(grpc, tap)
        """For `grpc.server(pool, interceptors=[tap.server])`."""
        self.aio_client = _aio_client_interceptors(grpc, tap)
        """For `grpc.aio.insecure_channel(target, interceptors=tap.aio_client)`."""
        self.aio_server = _aio_server_interceptor(grpc, tap)
        """For `grpc.aio.server(interceptors=[tap.aio_server])`."""

    @property
    def n_lost(self) -> int:
        """Errors in recording, which were swallowed."""
        return self._tap.n_lost


def tap_grpc(rec: Recorder, channel: Any = None, propagate: bool = False, peer: str | None = None) -> Any:
    """Record the calls of gRPC: return interceptors for clients and servers, or a channel that has them.

    Parameters
    ----------
    rec : Recorder
    channel : grpc.Channel, optional
        One that is not of asyncio.
    propagate : bool
        Whether calls may carry one entry of metadata more, `x-hydroscope-id`, with the call's id and time. Without it,
        equal calls that overlap may be taken for each other, and so may those of several clients.
    peer : str, optional
        What the other end is called, if there is one. By default a timeline finds out by the messages.

    Returns
    -------
    GrpcTap or grpc.Channel
        The first has the interceptors `client`, `server`, `aio_client` and `aio_server`.

    Raises
    ------
    UserError
        gRPC is not installed.

    Notes
    -----
    A call is recorded when it is made and when it has ended, streams as a whole. Cost: some 100 us a call
    (docs/taps.md).
    """
    grpc = _grpc()
    tap = GrpcTap(grpc, CallTap(rec, propagate, peer))
    return tap if channel is None else grpc.intercept_channel(channel, tap.client)
