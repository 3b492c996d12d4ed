"""Taps on gRPC: interceptors for clients and servers, of threads and of asyncio.

A call is two messages, what is asked and how it ended; what a stream carries in between is not recorded one by one.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any
from urllib.parse import unquote

from hydroscope.engine.taps.calls import HEADER, CallTap
from hydroscope.engine.taps.patches import weakly
from hydroscope.engine.taps.tap import swallowed
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.recorder import Recorder

__all__ = ["GrpcTap", "tap_grpc"]

_OWN_FAILURES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
"""How calls end that got no answer."""

_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
_DETAILS = ("method", "timeout", "metadata", "credentials", "wait_for_ready", "compression")

Behavior = Callable[[Any, Any], Any]


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
        self.tap, self._metadata = tap, metadata

    def ask(self, details: Any) -> tuple[Any, int | None, str]:
        """Record a call; return its details, its id, and what it asks for."""
        return self._ask(details) or (details, None, "")

    @swallowed
    def _ask(self, details: Any) -> tuple[Any, int | None, str] | None:
        what = _what(details.method)
        noted = self.tap.asks("", what)
        if noted is None:
            return None
        ident, header = noted
        if self.tap.propagate:
            fields = {name: getattr(details, name, None) for name in _DETAILS}
            fields["metadata"] = self._metadata(*(details.metadata or ()), (HEADER, header))
            details = SimpleNamespace(**fields)
        return details, ident, what

    @swallowed
    def watch(self, call: Any, ident: int | None, what: str) -> None:
        """Have the end of a call recorded, without waiting for it and without keeping it: who drops it cancels it."""
        if ident is None:
            return
        it, state = weakly(call), getattr(call, "_state", None)

        def done(_: Any = None) -> None:
            self._ended(it() or state, ident, what)

        is_done = getattr(call, "done", None)
        if is_done is not None and is_done():
            done()
        elif not hasattr(call, "add_callback"):
            call.add_done_callback(done)
        elif not call.add_callback(done):
            done()

    @swallowed
    def _ended(self, call: Any, ident: int, what: str) -> None:
        code = call.code() if callable(call.code) else call.code  # of a stream that was read and dropped, its state's
        if inspect.iscoroutine(code):
            code = _at_once(code)
        name = getattr(code, "name", str(code))
        if name in _OWN_FAILURES:
            self.tap.failed(ident, f"{name} {what}")
        else:
            self.tap.answered("", ident, f"{name} {what}")


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


class _Serving:
    """A call that this process was asked for, until it has ended."""

    def __init__(self, tap: CallTap, details: Any, context: Any) -> None:
        self.tap, self._context = tap, context
        self._ident: int | None = None
        self._place = self._what = ""
        self._begin(details)

    @swallowed
    def _begin(self, details: Any) -> None:
        self._what, self._place = _what(details.method), _place(self._context.peer())
        header = next((value for key, value in details.invocation_metadata or () if key == HEADER), None)
        self._ident = self.tap.asked(self._place, self._what, header)

    def __enter__(self) -> _Serving:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._ident is not None:
            self._end(self._ident, error is not None)

    @swallowed
    def _end(self, ident: int, failed: bool) -> None:
        code = self._context.code()
        if isinstance(code, int):
            code = next((each for each in _grpc().StatusCode if each.value[0] == code), None)
        name = getattr(code, "name", "OK")
        self.tap.answers(self._place, ident, f"{'UNKNOWN' if failed and name == 'OK' else name} {self._what}")


class _Server:
    """What both kinds of server do."""

    def __init__(self, grpc: ModuleType, tap: CallTap) -> None:
        self._grpc, self.tap = grpc, tap

    def wrapped(self, handler: Any, details: Any) -> Any:
        """Return a handler whose calls are recorded."""
        return self._wrapped(handler, details) or handler

    @swallowed
    def _wrapped(self, handler: Any, details: Any) -> Any:
        if handler is None:
            return None
        kind = _KINDS[2 * bool(handler.request_streaming) + bool(handler.response_streaming)]
        make = getattr(self._grpc, f"{kind}_rpc_method_handler")
        behavior = getattr(handler, kind)
        if hasattr(behavior, "experimental_non_blocking"):  # is called otherwise
            return None
        recording = functools.wraps(behavior)(self._recording(behavior, details, bool(handler.response_streaming)))
        return make(recording, handler.request_deserializer, handler.response_serializer)

    def _recording(self, behavior: Behavior, details: Any, streams: bool) -> Behavior:
        async def async_stream(request: Any, context: Any) -> AsyncIterator[Any]:
            with _Serving(self.tap, details, context):
                async with contextlib.aclosing(behavior(request, context)) as answers:
                    async for each in answers:
                        yield each

        async def coroutine(request: Any, context: Any) -> Any:
            with _Serving(self.tap, details, context):
                return await behavior(request, context)

        def stream(request: Any, context: Any) -> Iterator[Any]:
            with contextlib.ExitStack() as begun:  # until the first of the stream is asked for
                serving = begun.enter_context(_Serving(self.tap, details, context))
                answers = behavior(request, context)
                begun.pop_all()
            return _streamed(serving, answers)

        def plain(request: Any, context: Any) -> Any:
            with _Serving(self.tap, details, context):
                return behavior(request, context)

        if inspect.isasyncgenfunction(behavior):
            return async_stream
        if inspect.iscoroutinefunction(behavior):
            return coroutine
        return stream if streams else plain


def _streamed(serving: _Serving, answers: Iterator[Any]) -> Iterator[Any]:
    with serving:
        yield from answers


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
