"""Taps on calls over HTTP and gRPC: both ends, with and without an id of the call's own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import hydroscope as hs
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.layout import Kind
from tests.taps.rings import Broken, both, ids, messages, timeline, unmatched

SECONDS = 10


# ---------------------------------------------------------------- HTTP


async def application(scope, receive, send) -> None:
    assert scope["type"] == "http"
    names = [name for name, _ in scope["headers"]]
    body = b", ".join(name for name in names if name.startswith(b"x-"))
    await send({"type": "http.response.start", "status": 404 if scope["path"] == "/no" else 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def client_of(app):
    import httpx

    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service")


@pytest.mark.parametrize("propagate", [False, True])
def test_both_ends_of_a_request_are_matched(here, there, propagate):
    async def main() -> list[bytes]:
        async with client_of(hs.taps.asgi(there, application, propagate)) as client:
            assert hs.taps.httpx(here, client, propagate) is client
            assert hs.taps.httpx(here, client, propagate) is client
            found = [await client.get("/"), await client.get("/no?x=1"), await client.post("/", content=b"body")]
            assert [each.status_code for each in found] == [200, 404, 200]
            assert hs.taps.remove(client)
            assert not hs.taps.remove(client)
            return [each.content for each in found]

    bodies = asyncio.run(main())
    assert set(bodies) == {b"x-hydroscope-id" if propagate else b""}
    both(here, there)
    said = [each[3] for each in messages(here)]
    assert said == [b"GET /", b"200 GET /", b"GET /no?x=1", b"404 GET /no?x=1", b"POST /", b"200 POST /"]
    found = timeline(here, there)
    assert unmatched(found) == 0
    assert [node.name for node in found.events.nodes] == ["here", "there"]
    if propagate:
        assert len({each[0] for each in ids(here, Kind.SENT)}) == 3
        assert found.events.stamp[found.order.rank.argsort()].tolist() == sorted(found.events.stamp.tolist())


def test_equal_requests_at_once_are_told_apart_by_their_header(here, there):
    """The answers come in the opposite order; without ids of their own these could not be told apart."""
    gates = [asyncio.Event() for _ in range(5)]

    async def slow(scope, receive, send) -> None:
        turn = len(gates) - sum(each.is_set() for each in gates) - 1
        waiting = [gates[turn].wait()] if turn else []
        gates[turn].set()
        for each in waiting:
            await each
        await application(scope, receive, send)

    async def main() -> None:
        async with client_of(hs.taps.asgi(there, slow, propagate=True)) as client:
            hs.taps.httpx(here, client, propagate=True)
            await asyncio.gather(*(client.get("/") for _ in range(5)))

    asyncio.run(main())
    assert sorted(ids(here, Kind.SENT)) == sorted(ids(there, Kind.RECEIVED))
    assert unmatched(timeline(here, there)) == 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join(SECONDS)


def test_all_clients_of_a_program_are_recorded(here, server):
    import httpx

    place = f"http://127.0.0.1:{server.server_address[1]}"
    before = (dict(vars(httpx.HTTPTransport)), dict(vars(httpx.AsyncHTTPTransport)))
    with hs.taps.httpx(here) as tap:
        assert hs.taps.httpx(here) is tap
        assert httpx.get(f"{place}/a", timeout=SECONDS).text == "/a"
        with pytest.raises(httpx.ConnectError):
            httpx.get("http://127.0.0.1:1/refused", timeout=SECONDS)
        assert tap.n_lost == 0
    assert (dict(vars(httpx.HTTPTransport)), dict(vars(httpx.AsyncHTTPTransport))) == before
    assert httpx.get(f"{place}/b", timeout=SECONDS).text == "/b"
    kinds = [(each[0], each[3]) for each in messages(here)]
    assert kinds[:3] == [("SENT", b"GET /a"), ("RECEIVED", b"200 GET /a"), ("SENT", b"GET /refused")]
    assert kinds[3][0] == "FAILED"


def test_one_recorder_records_a_client_once(here, server):
    import httpx

    with hs.taps.httpx(here), httpx.Client(timeout=SECONDS) as client:
        assert hs.taps.httpx(here, client) is client
        client.get(f"http://127.0.0.1:{server.server_address[1]}/a")
    assert [each[0] for each in messages(here)] == ["SENT", "RECEIVED"]


def test_an_application_that_fails_is_told(here):
    async def fails(scope, receive, send) -> None:
        raise ValueError("no answer")

    async def main() -> None:
        async with client_of(hs.taps.asgi(here, fails)) as client:
            with pytest.raises(ValueError, match="no answer"):
                await client.get("/")

    asyncio.run(main())
    assert [(each[0], each[3][-9:]) for each in messages(here)] == [
        ("RECEIVED", b"GET /"),
        ("FAILED", b"no answer"),
    ]


def test_http_is_framed_by_itself_below_any_library(here, server):
    import httpx

    with hs.taps.install(here) as tap, httpx.Client(timeout=SECONDS) as client:
        for path in ("/a", "/bb"):
            assert client.get(f"http://127.0.0.1:{server.server_address[1]}{path}").text == path
        assert tap.n_lost == 0
    sent, received = (ids(here, kind) for kind in (Kind.SENT, Kind.RECEIVED))
    assert sorted(sent) == sorted(received)
    assert [each[1][:8] for each in sent] == [b"GET /a H", b"HTTP/1.1", b"GET /bb ", b"HTTP/1.1"]


def test_a_recorder_that_fails_is_not_noticed(here):
    here.sent = here.received = Broken()

    async def main() -> None:
        async with client_of(hs.taps.asgi(here, application, propagate=True)) as client:
            hs.taps.httpx(here, client, propagate=True)
            assert (await client.get("/")).status_code == 200

    asyncio.run(main())


def test_what_is_no_client_is_refused(here):
    with pytest.raises(UserError, match="no client"):
        hs.taps.httpx(here, object())


# ---------------------------------------------------------------- gRPC


def upper(request: bytes, context) -> bytes:
    if request == b"fail":
        import grpc

        context.abort(grpc.StatusCode.NOT_FOUND, "nothing there")
    return request.upper()


def letters(request: bytes, context):
    yield from (bytes([each]) for each in request)


def joined(requests, context) -> bytes:
    return b"".join(requests)


def echoed(requests, context):
    yield from requests


async def async_upper(request: bytes, context) -> bytes:
    return request.upper()


async def async_letters(request: bytes, context):
    for each in request:
        yield bytes([each])


async def async_joined(requests, context) -> bytes:
    return b"".join([each async for each in requests])


async def async_echoed(requests, context):
    async for each in requests:
        yield each


def handlers(*behaviors):
    import grpc

    upper_, letters_, joined_, echoed_ = behaviors
    methods = {
        "Upper": grpc.unary_unary_rpc_method_handler(upper_),
        "Letters": grpc.unary_stream_rpc_method_handler(letters_),
        "Joined": grpc.stream_unary_rpc_method_handler(joined_),
        "Echoed": grpc.stream_stream_rpc_method_handler(echoed_),
    }
    return grpc.method_handlers_generic_handler("texts.Texts", methods)


@pytest.mark.parametrize("propagate", [False, True])
def test_all_four_sorts_of_calls_are_recorded_at_both_ends(here, there, propagate):
    import grpc

    interceptor = hs.taps.grpc(there).server
    server = grpc.server(ThreadPoolExecutor(2), interceptors=[interceptor])
    server.add_generic_rpc_handlers((handlers(upper, letters, joined, echoed),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with hs.taps.grpc(here, grpc.insecure_channel(f"127.0.0.1:{port}"), propagate) as channel:
        call = channel.unary_unary("/texts.Texts/Upper")
        assert call(b"one", timeout=SECONDS) == b"ONE"
        assert call.future(b"two", timeout=SECONDS).result() == b"TWO"
        with pytest.raises(grpc.RpcError) as found:
            call(b"fail", timeout=SECONDS)
        assert found.value.code() == grpc.StatusCode.NOT_FOUND
        assert list(channel.unary_stream("/texts.Texts/Letters")(b"abc", timeout=SECONDS)) == [b"a", b"b", b"c"]
        assert channel.stream_unary("/texts.Texts/Joined")(iter([b"a", b"b"]), timeout=SECONDS) == b"ab"
        assert list(channel.stream_stream("/texts.Texts/Echoed")(iter([b"a", b"b"]), timeout=SECONDS)) == [b"a", b"b"]
    server.stop(None).wait(SECONDS)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as plain:
        gone = hs.taps.grpc(here, plain, propagate).unary_unary("/texts.Texts/Upper")
        with pytest.raises(grpc.RpcError):
            gone(b"nobody there", timeout=0.2)
    checked(here, there, [b"OK", b"OK", b"NOT_FOUND", b"OK", b"OK", b"OK"])


def checked(here, there, ends: list[bytes]) -> None:
    """Check that both ends recorded the same calls, which ended so."""
    asked = ids(there, Kind.RECEIVED)
    assert sorted(ids(here, Kind.SENT)[: len(asked)]) == sorted(asked)
    assert sorted(ids(there, Kind.SENT)) == sorted(ids(here, Kind.RECEIVED))
    assert sorted(each[1].split()[0] for each in ids(there, Kind.SENT)) == sorted(ends)
    assert {each[1] for each in asked} == {b"Texts/Upper", b"Texts/Letters", b"Texts/Joined", b"Texts/Echoed"}
    found = timeline(here, there)
    assert [node.name for node in found.events.nodes] == ["here", "there"]
    assert unmatched(found) == len(ids(here, Kind.SENT)) - len(asked)


@pytest.mark.parametrize("propagate", [False, True])
def test_calls_of_asyncio_are_recorded_at_both_ends(here, there, propagate):
    import grpc

    async def many():
        for each in (b"a", b"b"):
            yield each

    async def main() -> None:
        tap = hs.taps.grpc(there)
        server = grpc.aio.server(interceptors=[tap.aio_server])
        server.add_generic_rpc_handlers((handlers(async_upper, async_letters, async_joined, async_echoed),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        asking = hs.taps.grpc(here, propagate=propagate).aio_client
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=asking) as channel:
            assert await channel.unary_unary("/texts.Texts/Upper")(b"one", timeout=SECONDS) == b"ONE"
            letters_ = channel.unary_stream("/texts.Texts/Letters")(b"abc", timeout=SECONDS)
            assert [each async for each in letters_] == [b"a", b"b", b"c"]
            assert await channel.stream_unary("/texts.Texts/Joined")(many(), timeout=SECONDS) == b"ab"
            echoes = channel.stream_stream("/texts.Texts/Echoed")(many(), timeout=SECONDS)
            assert [each async for each in echoes] == [b"a", b"b"]
        await server.stop(None)
        assert tap.n_lost == 0

    asyncio.run(asyncio.wait_for(main(), 2 * SECONDS))
    checked(here, there, [b"OK"] * 4)
