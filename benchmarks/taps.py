"""Taps: what it costs a foreign program to be recorded, beside the same program without.

Each program sends messages of 100 bytes to itself and receives them, over real sockets of this machine, in turns
without a tap and with one. Processor time of the whole process. A message is recorded twice, once sent and once
received; a call four times. What is given is the time of one message or call, and what the tap adds to it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import statistics
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import hydroscope as hs
from benchmarks._harness import Contender, arguments, begin, emit, gate, interleave, machine_line, say, status, table

__all__ = ["main"]

MESSAGES: Final = 20_000
CALLS: Final = 2000
SECONDS: Final = 10
BODY: Final = b"x" * 96
MESSAGE: Final = struct.pack(">I", len(BODY)) + BODY

Program = Callable[[int, "hs.Recorder | None"], float]


def _timed(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _tcp(n: int, rec: hs.Recorder | None) -> float:
    with socket.create_server(("127.0.0.1", 0)) as waiting, socket.create_connection(waiting.getsockname()) as ours:
        theirs, _ = waiting.accept()
        for each in (ours, theirs):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.settimeout(SECONDS)
            if rec is not None:
                hs.taps.socket(rec, each, framer=hs.taps.length_prefixed())

        def work() -> None:
            for _ in range(n):
                ours.sendall(MESSAGE)
                theirs.recv(4096)

        with theirs:
            return _timed(work)


def _udp(n: int, rec: hs.Recorder | None) -> float:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs,
    ):
        theirs.bind(("127.0.0.1", 0))
        theirs.settimeout(SECONDS)
        place = theirs.getsockname()
        if rec is not None:
            hs.taps.socket(rec, ours)
            hs.taps.socket(rec, theirs)

        def work() -> None:
            for _ in range(n):
                ours.sendto(MESSAGE, place)
                theirs.recvfrom(4096)

        return _timed(work)


def _in_loop(main: Callable[[], Awaitable[float]]) -> float:
    async def limited() -> float:
        return await asyncio.wait_for(main(), 60)

    return asyncio.run(limited())


def _streams(n: int, rec: hs.Recorder | None) -> float:
    async def main() -> float:
        ends: asyncio.Queue[Any] = asyncio.Queue()
        server = await asyncio.start_server(lambda *pair: ends.put_nowait(pair), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        reader, back = await ends.get()
        start = time.process_time()
        for _ in range(n):
            writer.write(MESSAGE)
            await reader.readexactly(len(MESSAGE))
        taken = time.process_time() - start
        for each in (writer, back, server):
            each.close()
        return taken

    if rec is None:
        return _in_loop(main)
    with hs.taps.asyncio(rec, framer=hs.taps.length_prefixed()):
        return _in_loop(main)


def _pipe(n: int, rec: hs.Recorder | None) -> float:
    ours, theirs = multiprocessing.Pipe()
    if rec is not None:
        hs.taps.queue(rec, ours)
        hs.taps.queue(rec, theirs)

    def work() -> None:
        for _ in range(n):
            ours.send(BODY)
            theirs.recv()

    with ours, theirs:
        return _timed(work)


def _http(n: int, rec: hs.Recorder | None) -> float:
    import httpx

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": BODY})

    async def main() -> float:
        answering = app if rec is None else hs.taps.asgi(rec, app)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=answering), base_url="http://service") as client:
            if rec is not None:
                hs.taps.httpx(rec, client)
            start = time.process_time()
            for _ in range(n):
                await client.get("/a")
            return time.process_time() - start

    return _in_loop(main)


@contextmanager
def _serving(rec: hs.Recorder | None) -> Iterator[Any]:
    import grpc

    tap = None if rec is None else hs.taps.grpc(rec)
    server = grpc.server(ThreadPoolExecutor(1), interceptors=[] if tap is None else [tap.server])
    methods = {"Echo": grpc.unary_unary_rpc_method_handler(lambda request, context: request)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Bench", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel if tap is None else grpc.intercept_channel(channel, tap.client)
    server.stop(None).wait(SECONDS)


def _grpc(n: int, rec: hs.Recorder | None) -> float:
    with _serving(rec) as channel:
        echo = channel.unary_unary("/bench.Bench/Echo")
        echo(BODY, timeout=SECONDS)

        def work() -> None:
            for _ in range(n):
                echo(BODY, timeout=SECONDS)

        return _timed(work)


PROGRAMS: Final[dict[str, tuple[Program, int, str | None]]] = {
    "TCP, `sendall` and `recv`": (_tcp, MESSAGES, None),
    "UDP, `sendto` and `recvfrom`": (_udp, MESSAGES, None),
    "asyncio, `write` and `readexactly`": (_streams, MESSAGES, None),
    "`multiprocessing.Pipe`, `send` and `recv`": (_pipe, MESSAGES, None),
    "a call of httpx to an ASGI application": (_http, CALLS, "httpx"),
    "a call of gRPC": (_grpc, CALLS, "grpc"),
}
"""The program, messages or calls of a turn, and the package it is of."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 1 when something failed."""
    options = begin(arguments(__doc__ or "", deadline_s=900), argv)
    say(machine_line(["httpx", "grpcio"]))
    say()
    rec = hs.Recorder("bench", seconds=2)
    results: dict[str, Any] = {}
    for name, (program, n_most, package) in PROGRAMS.items():
        if package is not None and not gate(package, None):
            continue
        n = max(50, round(n_most * (0.02 if options.quick else options.scale)))
        turns = [
            Contender("without", lambda program=program, n=n: program(n, None)),
            Contender("with", lambda program=program, n=n: program(n, rec)),
        ]
        timings = interleave(turns, options.rounds, tolerance=None, clock=float)
        us = {each: [1e6 * seconds / n for seconds in timings[each].seconds] for each in timings}
        if us["without"] and us["with"]:
            results[name] = {each: {"median": statistics.median(us[each]), "best": min(us[each])} for each in us}
    rec.close(remove=True)
    header = ["us of the processor", "without, median", "best", "with a tap, median", "best", "added, of the best"]
    rows = [
        [name, *without.values(), *with_tap.values(), with_tap["best"] - without["best"]]
        for name, (without, with_tap) in ((name, each.values()) for name, each in results.items())
    ]
    say(table(header, rows))
    emit("taps", {"rounds": options.rounds, "us": results})
    return status()


if __name__ == "__main__":
    sys.exit(main())
