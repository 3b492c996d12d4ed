"""Taps on asyncio: streams, datagrams, encryption begun at once or later, and an event loop that is not Python's."""

from __future__ import annotations

import asyncio
import io
import os
import struct
import sys

import pytest

import hydroscope as hs
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.layout import Kind
from tests.taps.rings import Broken, both, ids, messages, timeline, unmatched

SECONDS = 10


def new_loops():
    yield asyncio.new_event_loop
    if sys.platform != "win32":
        import uvloop

        yield uvloop.new_event_loop


@pytest.fixture(params=list(new_loops()), ids=lambda each: each.__module__.split(".")[0])
def run(request):
    """Run a coroutine in an event loop of each sort, with a deadline."""

    def running(coroutine):
        loop = request.param()
        try:
            return loop.run_until_complete(asyncio.wait_for(coroutine, SECONDS))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    return running


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.writelines([data[:1], data[1:]])


class BufferedEcho(asyncio.BufferedProtocol):
    def connection_made(self, transport):
        self.transport, self.buffer = transport, bytearray(5)

    def get_buffer(self, sizehint):
        self.buffer += b"more"  # raises if somebody keeps the last view
        del self.buffer[5:]
        return memoryview(self.buffer)

    def buffer_updated(self, n_bytes):
        self.transport.write(self.buffer[:n_bytes])


class Ask(asyncio.Protocol):
    """Sends lines, one after the other, and gathers what comes back."""

    def __init__(self, lines: list[bytes]) -> None:
        self.lines, self.got = lines, b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        transport.write(self.lines[0])
        for line in self.lines[1:]:
            transport.write(bytearray(line))

    def data_received(self, data):
        self.got += data
        if len(self.got) == sum(map(len, self.lines)):
            self.done.set_result(self.got)


@pytest.mark.parametrize("echo", [Echo, BufferedEcho])
@pytest.mark.parametrize("encrypted", [False, True])
def test_protocols_of_tapped_factories_are_recorded_at_both_ends(run, here, there, contexts, echo, encrypted):
    server_side, client_side = contexts if encrypted else (None, None)
    lines = [b"one\n", b"two\n" * 3, b"\n"]

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        answering = hs.taps.asyncio(there, echo, framer=hs.taps.lines)
        server = await loop.create_server(answering, "127.0.0.1", 0, ssl=server_side)
        asking = hs.taps.asyncio(here, lambda: Ask(lines), framer=hs.taps.lines)
        names = {} if client_side is None else {"ssl": client_side, "server_hostname": "localhost"}
        transport, protocol = await loop.create_connection(asking, *server.sockets[0].getsockname(), **names)
        assert type(protocol) is Ask
        got = await protocol.done
        transport.close()
        server.close()
        await server.wait_closed()
        return got

    assert run(main()) == b"".join(lines)
    both(here, there)
    assert len(ids(here, Kind.SENT)) == 5
    assert unmatched(timeline(here, there)) == 0


def test_all_streams_of_a_program_are_recorded(run, here, tmp_path):
    path = os.fspath(tmp_path / "socket")

    async def answer(reader, writer) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    async def ask(reader, writer) -> bytes:
        writer.writelines([b"hel", b"lo\n"])
        found = await reader.readline()
        writer.close()
        return found

    async def main() -> None:
        over_ip = await asyncio.start_server(answer, "127.0.0.1", 0)
        over_unix = await asyncio.start_unix_server(answer, path)
        assert await ask(*await asyncio.open_connection(*over_ip.sockets[0].getsockname())) == b"HELLO\n"
        assert await ask(*await asyncio.open_unix_connection(path)) == b"HELLO\n"
        for server in (over_ip, over_unix):
            server.close()
            await server.wait_closed()

    with hs.taps.asyncio(here, framer=hs.taps.lines) as tap:
        run(main())
        assert tap.n_lost == 0
    assert [each[1] for each in ids(here, Kind.SENT)] == [b"hello\n", b"HELLO\n"] * 2
    assert ids(here, Kind.SENT) == ids(here, Kind.RECEIVED)
    run(main())
    assert len(ids(here, Kind.SENT)) == 4


def test_encryption_that_begins_later_is_followed(run, here, contexts):
    server_side, client_side = contexts

    async def answer(reader, writer) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.start_tls(server_side)
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async def main() -> bytes:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"go\n"
        await writer.start_tls(client_side, server_hostname="localhost")
        writer.write(b"secret\n")
        found = await reader.readline()
        writer.close()
        server.close()
        await server.wait_closed()
        return found

    with hs.taps.asyncio(here, framer=hs.taps.lines) as tap:
        assert run(main()) == b"SECRET\n"
        assert tap.n_lost == 0
    assert [each[1] for each in ids(here, Kind.SENT)] == [b"STARTTLS\n", b"go\n", b"secret\n", b"SECRET\n"]
    assert sorted(ids(here, Kind.SENT)) == sorted(ids(here, Kind.RECEIVED))


@pytest.mark.parametrize("install", [hs.taps.install, hs.taps.asyncio])
def test_a_file_that_a_loop_sends_is_counted(here, tmp_path, install):
    """By the system, past all wrappers: what comes after it has its place all the same."""
    path = tmp_path / "file"
    path.write_bytes(b"f" * 5000)

    async def answer(reader, writer) -> None:
        await reader.readexactly(5004 + 9)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(struct.pack(">I", 5000))
        loop = asyncio.get_running_loop()
        with pytest.raises(asyncio.SendfileNotAvailableError):
            await loop.sendfile(writer.transport, io.BytesIO(b"no file"), fallback=False)
        with path.open("rb") as file:
            assert await loop.sendfile(writer.transport, file) == 5000
        writer.write(struct.pack(">I", 5) + b"after")
        assert await reader.read() == b""
        writer.close()
        server.close()
        await server.wait_closed()

    with install(here, framer=hs.taps.length_prefixed()) as tap:
        asyncio.run(asyncio.wait_for(main(), SECONDS))
        assert tap.n_lost == 0
    assert [each[2] for each in ids(here, Kind.SENT)] == [5004, 9]
    assert [each[::2] for each in ids(here, Kind.SENT)] == [each[::2] for each in ids(here, Kind.RECEIVED)]


class Ping(asyncio.DatagramProtocol):
    def __init__(self, answers: bool) -> None:
        self.answers, self.got = answers, asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        if self.answers:
            self.transport.sendto(data.upper(), address)
        self.got.put_nowait(data)


@pytest.mark.parametrize("connected", [False, True])
def test_datagrams_are_recorded_at_both_ends(run, here, there, connected):
    async def main() -> None:
        loop = asyncio.get_running_loop()
        answering = hs.taps.asyncio(there, lambda: Ping(True))
        server, _ = await loop.create_datagram_endpoint(answering, ("127.0.0.1", 0))
        place = server.get_extra_info("sockname")
        asking = hs.taps.asyncio(here, lambda: Ping(False))
        _, protocol = await loop.create_datagram_endpoint(
            asking, **({"remote_addr": place} if connected else {"local_addr": ("127.0.0.1", 0)})
        )
        for k in range(3):
            protocol.transport.sendto(b"ping %d" % k, None if connected else place)
            assert await protocol.got.get() == b"PING %d" % k
        protocol.transport.close()
        server.close()

    run(main())
    both(here, there)
    assert unmatched(timeline(here, there)) == 0


def test_loops_are_as_before_when_the_tap_is_removed(here, there):
    before = dict(vars(asyncio.BaseEventLoop))
    with hs.taps.asyncio(here) as tap:
        assert hs.taps.asyncio(here) is tap
        assert dict(vars(asyncio.BaseEventLoop)) != before
        with pytest.raises(UserError, match="another recorder"):
            hs.taps.asyncio(there)
    assert dict(vars(asyncio.BaseEventLoop)) == before


def test_a_recorder_that_fails_is_not_noticed(run, here):
    here.sent = here.received = Broken()

    async def answer(reader, writer) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def main() -> bytes:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\n")
        found = await reader.read()
        writer.close()
        server.close()
        return found

    with hs.taps.asyncio(here, framer=hs.taps.lines) as tap:
        assert run(main()) == b"line\n"
        assert tap.n_lost == 4
    assert [each[3] for each in messages(here)] == [b"tap: RuntimeError: the reco"]


class Slotted(asyncio.Protocol):
    """Has no room for wrappers."""

    __slots__ = ("transport",)

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


def test_a_protocol_without_room_works_as_ever_and_is_counted(run, here):
    async def main() -> bytes:
        server = await asyncio.get_running_loop().create_server(Slotted, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\n")
        found = await reader.readline()
        writer.close()
        server.close()
        return found

    with hs.taps.asyncio(here, framer=hs.taps.lines) as tap:
        assert run(main()) == b"line\n"
        assert tap.n_lost == 1
