"""Small programs of many sorts: each returns what it has seen, and says the same under a tap as without one."""

from __future__ import annotations

import asyncio
import gc
import io
import multiprocessing
import os
import socket
import ssl
import tempfile
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import hydroscope as hs

__all__ = ["CALLS", "LOOPED", "PROGRAMS"]

SECONDS = 10
CERTIFICATE = Path(__file__).with_name("localhost.pem")


def told(call: Callable[[], object]) -> object:
    """Return what a call returns, or type and text of what it raises."""
    try:
        return call()
    except Exception as error:
        return type(error).__name__, str(error)


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as waiting:
        ours = socket.create_connection(waiting.getsockname(), SECONDS)
        theirs, _ = waiting.accept()
    theirs.settimeout(SECONDS)
    return ours, theirs


def encrypted() -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    ours, theirs = pair()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(server.wrap_socket, theirs, server_side=True)
        here = ssl.create_default_context(cafile=CERTIFICATE).wrap_socket(ours, server_hostname="localhost")
        return here, there.result(SECONDS)


# ---------------------------------------------------------------- sockets


class Loud(socket.socket):
    """Overrides what it inherits."""

    def send(self, data, *flags):
        return super().send(data.upper(), *flags)


def arguments() -> list[object]:
    """Nonsense, and arguments by name."""
    ours, theirs = pair()
    buffer = bytearray(4)
    with ours, theirs:
        return [
            told(call)
            for call in (
                lambda: ours.send(),
                lambda: ours.send(b"x", "flags"),
                lambda: ours.send("text"),
                lambda: ours.sendall(),
                lambda: ours.sendto(b"x"),
                lambda: ours.sendmsg(),
                lambda: ours.sendmsg(each for each in (b"a", b"b")),
                lambda: ours.recv(),
                lambda: ours.recv_into(),
                lambda: theirs.recv_into(buffer=buffer, nbytes=2),
                lambda: theirs.recvfrom_into(buffer=buffer, flags=socket.MSG_PEEK) if ours.send(b"x") else None,
                lambda: ours.connect(),
                lambda: ours.sendfile(io.BytesIO(b"abc"), offset=1),
                lambda: bytes(buffer),
            )
        ]


def kinds() -> list[object]:
    """Classes, subclasses, copies, what a socket can be sent as, and that it goes when nobody has it."""
    ours, theirs = pair()
    loud = Loud(fileno=ours.detach())
    loud.settimeout(SECONDS)
    found = [loud.send(b"abc"), theirs.recv(10), isinstance(theirs, socket.socket), type(theirs).__name__]
    with theirs.makefile("rb") as file:
        found += [len(ForkingPickler.dumps(theirs)) > 0, file.readable()]
    with theirs.dup() as copy:
        found += [copy.send(b"x"), loud.recv(10)]
    weak = weakref.ref(theirs)
    loud.close()
    theirs.close()
    del theirs, copy
    return [*found, weak() is None]


def encryption() -> list[object]:
    """All that an `SSLSocket` does itself."""
    here, there = encrypted()
    buffer = bytearray(8)
    with here, there:
        found = [here.send(data=b"one", flags=0), there.recv(buflen=10, flags=0), here.write(b"two"), there.read(10)]
        found += [here.sendall(b"three"), there.recv_into(buffer, nbytes=3), there.read(5, buffer), bytes(buffer)]
        found += [
            told(lambda: here.send(b"x", flags=1)),
            told(lambda: here.sendmsg([b"x"])),
            told(lambda: here.recv(1, 2)),
        ]
        there.settimeout(0)
        return [*found, told(lambda: there.recv(1)), there.pending(), here.version()]


def files() -> list[object]:
    """A file that is sent, and what is sent after it."""
    ours, theirs = pair()
    with ours, theirs, tempfile.TemporaryFile() as file:
        file.write(b"file\n")
        file.flush()
        found = [ours.sendall(b"before\n"), ours.sendfile(file), ours.send(b"after\n"), file.tell()]
        return [*found, theirs.recv(18, socket.MSG_WAITALL)]


def descriptors() -> list[object]:
    """Descriptors that go along, and what nobody listens to."""
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    with ours, theirs, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        socket.send_fds(ours, [b"x"], [read])
        data, (got,), flags, _ = socket.recv_fds(theirs, 10, 1)
        os.write(write, b"y")
        found = [data, os.read(got, 1), int(flags)]
        for each in (read, write, got):
            os.close(each)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            datagrams.connect(gone.getsockname())
        datagrams.settimeout(SECONDS)
        return [*found, datagrams.send(b"x"), told(lambda: datagrams.recv(1))]


# ---------------------------------------------------------------- asyncio


class Silent(asyncio.Protocol):
    """Does nothing."""


class Growing(asyncio.BufferedProtocol):
    """Gives out views of a buffer, and makes it larger when nobody should have one."""

    def __init__(self) -> None:
        self.buffer, self.got, self.said = bytearray(4), b"", []
        self.done = asyncio.get_running_loop().create_future()

    def get_buffer(self, sizehint):
        self.said.append(told(lambda: self.buffer.extend(b"\0")))
        return memoryview(self.buffer)

    def buffer_updated(self, n_bytes):
        self.got += self.buffer[:n_bytes]

    def eof_received(self):
        asyncio.get_running_loop().call_soon(self.over)

    def over(self):
        self.said.append(told(lambda: self.buffer.extend(b"\0")))
        self.done.set_result((self.got, set(self.said)))


class Pressed(asyncio.Protocol):
    """Writes what nobody reads, and counts when it is told to stop."""

    def __init__(self) -> None:
        self.said = []

    def connection_made(self, transport):
        self.said.append((type(transport).__name__, isinstance(transport, asyncio.Transport)))
        for wrong in (5, "text", None, [b"x"]):
            self.said.append(told(lambda wrong=wrong: transport.write(wrong)))
        self.said += [told(lambda: transport.writelines(17)), told(lambda: transport.writelines([b"a", "b"]))]
        transport.writelines(each for each in (b"a", bytearray(b"b"), memoryview(b"c")))
        transport.write(bytes(10_000_000))

    def pause_writing(self):
        self.said.append("pause")

    def connection_lost(self, error):
        self.said.append("lost")


async def protocols() -> list[object]:
    loop = asyncio.get_running_loop()
    made: list[Pressed] = []
    server = await loop.create_server(lambda: made.append(Pressed()) or made[-1], "127.0.0.1", 0)
    transport, _ = await loop.create_connection(Silent, *server.sockets[0].getsockname())
    transport.pause_reading()
    while not made or "pause" not in made[0].said:
        await asyncio.sleep(0)
    transport.abort()
    while made[0].said[-1] != "lost":
        await asyncio.sleep(0)
    server.close()
    await server.wait_closed()
    said, weak = made[0].said, weakref.ref(made.pop())
    del transport
    await asyncio.sleep(0)
    return [said, weak() is None]


async def buffers() -> list[object]:
    loop = asyncio.get_running_loop()
    made: list[Growing] = []
    server = await loop.create_server(lambda: made.append(Growing()) or made[-1], "127.0.0.1", 0)
    transport, _ = await loop.create_connection(Silent, *server.sockets[0].getsockname())
    transport.write(b"0123456789")
    transport.write_eof()
    while not made:
        await asyncio.sleep(0)
    found = await made[0].done
    transport.close()
    server.close()
    await server.wait_closed()
    return [found]


async def streams() -> list[object]:
    """Streams: a file, a time-out, a cancelled read, the end; sockets of the loop itself."""
    loop = asyncio.get_running_loop()
    got: list[bytes] = []

    async def answer(reader, writer) -> None:
        got.append(await reader.readexactly(3))
        writer.write(b"yes")
        got.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    place = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*place)
    found: list[object] = [type(writer.transport).__name__, writer.get_extra_info("peername") == place]
    try:
        await asyncio.wait_for(reader.read(1), 0.01)
    except TimeoutError as error:
        found.append(repr(error))
    with tempfile.TemporaryFile() as file:
        file.write(b"one and two")
        file.flush()
        found.append(await loop.sendfile(writer.transport, file))
    found.append(await reader.readexactly(3))
    writer.write_eof()
    found += [await reader.read(), sorted(got)]
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        sending = loop.create_task(loop.sock_sendall(ours, bytes(3_000_000)))
        n = 0
        while n < 3_000_000:
            n += len(await loop.sock_recv(theirs, 100_000))
        await sending
        buffer = bytearray(3)
        found += [n, await loop.sock_sendall(ours, b"abc"), await loop.sock_recv_into(theirs, buffer), bytes(buffer)]
    return found


# ---------------------------------------------------------------- processes


def echo(questions, answers) -> None:
    """Answer until there is no more."""
    for each in iter(questions.get, None):
        answers.send(each)
        if hasattr(questions, "task_done"):
            questions.task_done()


def queues() -> list[object]:
    found: list[object] = []
    context = multiprocessing.get_context("fork")
    questions, (ours, theirs) = context.JoinableQueue(), context.Pipe()
    child = context.Process(target=echo, args=(questions, theirs))
    child.start()
    theirs.close()
    for each in ("text", b"x" * 100_000, {"a": [1, None]}):
        questions.put(each)
        found.append(ours.poll(SECONDS) and ours.recv() == each)
    questions.join()
    questions.put(None)
    child.join(SECONDS)
    found += [child.exitcode, told(ours.recv)]
    simple, (kept, *dropped) = context.SimpleQueue(), context.Pipe()
    simple.put(17)
    kept.send_bytes(b"0123456789", 2, 5)
    found += [simple.get(), told(lambda: dropped[0].recv_bytes(3)), told(lambda: kept.send_bytes("text"))]
    dropped.clear()
    return [*found, told(kept.recv), multiprocessing.connection.wait([kept], 0) == [kept]]


# ---------------------------------------------------------------- calls


def http(rec) -> list[object]:
    """Streams, redirections, time-outs, and transports that call transports."""
    import httpx

    def answer(request):
        if request.url.path == "/late":
            raise httpx.ReadTimeout("late", request=request)
        if request.url.path == "/moved":
            return httpx.Response(302, headers={"location": "/text"})
        return httpx.Response(200, content=iter([b"a", b"b"]), headers={"x-seen": ",".join(sorted(request.headers))})

    class Outer(httpx.BaseTransport):
        def __init__(self, inner):
            self.inner = inner

        def handle_request(self, request):
            return self.inner.handle_request(request=request)

    inner = httpx.MockTransport(answer)
    with httpx.Client(transport=Outer(inner), base_url="http://service", follow_redirects=True) as client:
        if rec is not None:
            hs.taps.httpx(rec, client)
            hs.taps.httpx(rec, inner)
        found = [told(lambda: client.get("/late").text), client.get("/moved").headers["x-seen"]]
        with client.stream("GET", "/text") as response:
            found += [response.is_closed, list(response.iter_bytes()), response.is_closed]
        return [*found, told(lambda: inner.handle_request()), [each.status_code for each in response.history]]


def remote(rec) -> list[object]:
    """Metadata, errors of the server and of the client, deadlines, streams that are dropped or cancelled."""
    import grpc

    gone = threading.Event()

    def upper(request, context):
        context.set_trailing_metadata((("seen", dict(context.invocation_metadata())["asked"]),))
        if request == b"fail":
            context.abort(grpc.StatusCode.NOT_FOUND, "nothing there")
        if request == b"late":
            gone.wait(SECONDS)
        return request.upper()

    def at_once(request, context):
        raise ValueError("at once")

    def endless(request, context):
        context.add_callback(gone.set)
        while context.is_active():
            yield request

    def later(request, context):
        yield request
        raise ValueError("later")

    server = grpc.server(ThreadPoolExecutor(4), interceptors=[] if rec is None else [hs.taps.grpc(rec).server])
    methods = {each.__name__: grpc.unary_stream_rpc_method_handler(each) for each in (at_once, endless, later)}
    methods["upper"] = grpc.unary_unary_rpc_method_handler(upper)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("T", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    plain = grpc.insecure_channel(f"127.0.0.1:{port}")
    channel = plain if rec is None else hs.taps.grpc(rec, plain)

    def call(request, **options):
        try:
            answer, said = channel.unary_unary("/T/upper").with_call(request, metadata=(("asked", "1"),), **options)
        except grpc.RpcError as error:
            return type(error).__name__, error.code(), error.details(), [*error.trailing_metadata()]
        return answer, said.code(), [*said.trailing_metadata()]

    def stream(name):
        got = []
        try:
            got += channel.unary_stream(f"/T/{name}")(b"x", timeout=SECONDS)
        except grpc.RpcError as error:
            return got, type(error).__name__, error.code(), error.details()
        return got

    found = [call(b"a", timeout=SECONDS), call(b"fail", timeout=SECONDS), call(b"late", timeout=0.05)]
    found += [stream("at_once"), stream("later"), stream("nowhere")]
    gone.clear()
    answers = channel.unary_stream("/T/endless")(b"x", timeout=SECONDS)
    found += [next(answers), type(answers).__name__]
    gc.disable()
    try:
        del answers
        found.append(gone.wait(SECONDS / 2))
    finally:
        gc.enable()
    answers = channel.unary_stream("/T/endless")(b"x", timeout=SECONDS)
    found += [next(answers), answers.cancel(), answers.code(), told(lambda: next(answers))[0]]
    plain.close()
    server.stop(0).wait(SECONDS)
    return found


PROGRAMS: dict[str, Callable[[], object]] = {
    each.__name__: each for each in (arguments, kinds, encryption, files, descriptors, queues)
}
LOOPED: dict[str, Callable[[], Coroutine[object, object, object]]] = {
    each.__name__: each for each in (protocols, buffers, streams)
}
CALLS: dict[str, Callable[[hs.Recorder | None], object]] = {each.__name__: each for each in (http, remote)}
"""Whose taps have to be asked for: they get a recorder, or None."""
