"""Taps on sockets: what is recorded at both ends of real connections, and that nothing else is different."""

from __future__ import annotations

import io
import os
import pickle
import select
import socket
import ssl
import struct
import threading
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest

import hydroscope as hs
from hydroscope.engine.dump.gather import Targets, gather
from hydroscope.engine.sockets.datagrams import UdpSocket
from hydroscope.engine.taps.ends import Datagrams
from hydroscope.engine.taps.tap import Tap
from hydroscope.ground.errors import UserError
from hydroscope.ground.record.layout import Kind
from tests.dump.machines import KEY, post_at
from tests.taps.rings import Broken, both, ids, messages, sent_and_received, timeline, unmatched

SECONDS = 10
CERTIFICATE = Path(__file__).with_name("localhost.pem")
FRAMER = hs.taps.length_prefixed()


def framed(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


@pytest.fixture
def ends():
    """Both ends of a connection over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as waiting:
        ours = socket.create_connection(waiting.getsockname(), SECONDS)
        theirs, _ = waiting.accept()
    theirs.settimeout(SECONDS)
    with ours, theirs:
        yield ours, theirs


def tapped(here, there, ends, **options):
    ours, theirs = ends
    return hs.taps.socket(here, ours, **options), hs.taps.socket(there, theirs, **options)


def read_all(sock, n_bytes: int) -> bytes:
    found = b""
    while len(found) < n_bytes:
        piece = sock.recv(min(100, n_bytes - len(found)))
        assert piece
        found += piece
    return found


def test_messages_are_recorded_under_the_same_ids_at_both_ends(here, there, ends):
    ours, theirs = tapped(here, there, ends, framer=FRAMER)
    sent = [framed(b"x" * n) for n in (0, 5, 700, 3)]
    ours.sendall(b"".join(sent[:2]))
    assert ours.send(sent[2]) == len(sent[2])
    assert ours.sendmsg([sent[3][:2], bytearray(sent[3][2:])]) == len(sent[3])
    assert read_all(theirs, sum(map(len, sent))) == b"".join(sent)
    theirs.sendall(framed(b"answer"))
    buffer = bytearray(100)
    assert ours.recv_into(buffer, 4) == 4
    assert ours.recvmsg_into([memoryview(buffer)[:2], memoryview(buffer)[2:]])[0] == 6
    assert bytes(buffer[:6]) == b"answer"
    both(here, there)
    assert [each[2] for each in ids(here, Kind.SENT)] == [len(each) for each in sent]
    found = timeline(here, there)
    assert unmatched(found) == 0
    assert [node.name for node in found.events.nodes] == ["here", "there"]


def test_who_accepts_taps_what_it_accepts_and_says_where_it_is(here, there):
    with hs.taps.socket(there, socket.create_server(("127.0.0.1", 0)), framer=hs.taps.lines) as waiting:
        place = waiting.getsockname()
        with hs.taps.socket(here, socket.socket(), framer=hs.taps.lines) as ours:
            ours.connect(place)
            theirs, _ = waiting.accept()
            with theirs:
                ours.sendall(b"never read\n")
                theirs.sendall(b"read\n")
                assert ours.recv(100) == b"read\n"
    assert [each[:2] for each in messages(here)] == [
        ("SENT", f"127.0.0.1:{place[1]}"),
        ("RECEIVED", f"127.0.0.1:{place[1]}"),
    ]
    found = timeline(here, there)
    assert [node.name for node in found.events.nodes] == ["here", "there"]
    peers = found.events.peer[found.events.kind == Kind.SENT]
    assert peers.tolist() == [1, 0]  # the second is an address nobody has announced: the messages tell


def test_partial_sends_and_full_buffers_change_no_id(here, there, ends):
    ours, theirs = tapped(here, there, ends, framer=FRAMER)
    for sock in (ours, theirs):
        sock.setblocking(False)
    left, got, n_refused = b"".join(framed(bytes([n]) * n * 5000) for n in range(60)), b"", 0
    whole = left
    while len(got) < len(whole):
        while left:
            try:
                left = left[ours.send(left) :]
            except BlockingIOError:
                n_refused += 1
                break
        assert select.select([theirs], [], [], SECONDS)[0]
        got += theirs.recv(500_000)
    assert got == whole
    assert n_refused > 1
    sent_and_received(here, there)
    assert len(ids(here, Kind.SENT)) == 60


def test_a_file_that_is_sent_past_the_tap_is_counted(here, there, ends):
    ours, theirs = tapped(here, there, ends, framer=FRAMER)
    ours.sendall(struct.pack(">I", 5000))
    path = Path(here.path).with_name("file")
    path.write_bytes(b"f" * 5000)
    with path.open("rb") as file:
        assert ours.sendfile(file) == 5000
    ours.sendall(framed(b"after"))
    read_all(theirs, 4 + 5000 + 4 + 5)
    assert [each[0::2] for each in ids(here, Kind.SENT)] == [each[0::2] for each in ids(there, Kind.RECEIVED)]
    assert [each[2] for each in ids(here, Kind.SENT)] == [5004, 9]


def test_half_closed_connections_go_on(here, there, ends):
    ours, theirs = tapped(here, there, ends, framer=hs.taps.lines)
    ours.sendall(b"question\n")
    ours.shutdown(socket.SHUT_WR)
    assert theirs.makefile("rb").read() == b"question\n"
    with theirs.makefile("w") as file:
        file.write("answer\n")
    theirs.shutdown(socket.SHUT_WR)
    assert ours.recv(100) + ours.recv(100) == b"answer\n"
    both(here, there)


def test_a_look_ahead_takes_nothing(here, there, ends):
    ours, theirs = tapped(here, there, ends, framer=hs.taps.lines)
    ours.sendall(b"line\n")
    assert theirs.recv(2, socket.MSG_PEEK) == b"li"
    assert theirs.recv(100) == b"line\n"
    sent_and_received(here, there)
    assert len(ids(there, Kind.RECEIVED)) == 1


def test_datagrams_are_matched_by_content_and_port(here, there):
    with (
        hs.taps.socket(here, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as ours,
        hs.taps.socket(there, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as theirs,
    ):
        ours.settimeout(SECONDS)
        theirs.settimeout(SECONDS)
        theirs.bind(("127.0.0.1", 0))
        for k in range(3):
            ours.sendto(b"question %d" % k, theirs.getsockname())
            data, address = theirs.recvfrom(100)
            assert theirs.sendto(data.upper(), 0, address) == len(data)
            assert ours.recv(100) == b"QUESTION %d" % k
        ours.connect(theirs.getsockname())
        ours.send(b"x" * 5000)
        buffer = bytearray(6000)
        assert theirs.recvfrom_into(buffer)[0] == 5000
        ours.sendmsg([b"in ", b"two"])
        assert theirs.recvmsg(100)[0] == b"in two"
    both(here, there)
    found = timeline(here, there)
    assert unmatched(found) == 0
    assert [node.name for node in found.events.nodes] == ["here", "there"]


def test_unix_sockets_have_the_processes_as_ends(here, there, tmp_path):
    path = os.fspath(tmp_path / "socket")
    with hs.taps.socket(there, socket.socket(socket.AF_UNIX), framer=hs.taps.lines) as waiting:
        waiting.bind(path)
        waiting.listen()
        with hs.taps.socket(here, socket.socket(socket.AF_UNIX), framer=hs.taps.lines) as ours:
            ours.connect(path)
            theirs, _ = waiting.accept()
            with theirs:
                ours.sendall(b"one\n")
                theirs.recv(100)
                theirs.sendall(b"two\n")
                ours.recv(100)
    both(here, there)
    assert {each[1][-16:] for each in messages(here)} == {path[-16:]}
    assert {each[1] for each in messages(there)} == {f"pid:{os.getpid()}"}
    assert [node.name for node in timeline(here, there).events.nodes] == ["here", "there"]


def test_a_pair_of_sockets_and_a_given_name(here, there):
    ours, theirs = socket.socketpair()
    with hs.taps.socket(here, ours, peer="there"), hs.taps.socket(there, theirs, peer="here"):
        ours.sendall(b"piece")
        assert theirs.recv(100) == b"piece"
    assert [each[1] for each in (*messages(here), *messages(there))] == ["~there", "~here"]
    assert unmatched(timeline(here, there)) == 0


def test_pieces_that_were_not_read_as_written_are_not_called_lost(here, there, ends):
    ours, theirs = tapped(here, there, ends)
    for _ in range(50):
        ours.sendall(b"\x80 piece")
        ours.sendall(b"\x80 another piece")
        read_all(theirs, 7 + 15)
    found = timeline(here, there)
    assert 0 < unmatched(found) < 150
    assert [each.kind for each in found.findings if each.kind in ("loss", "never sent")] == []
    assert [node.name for node in found.events.nodes] == ["here", "there"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_is_encrypted_is_recorded_before(here, there, ends, version):
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=CERTIFICATE)
    server.load_cert_chain(CERTIFICATE)
    client.minimum_version = client.maximum_version = version
    found: list[ssl.SSLSocket] = []

    def serve() -> None:
        theirs = server.wrap_socket(ends[1], server_side=True)
        hs.taps.socket(there, theirs, framer=hs.taps.lines)
        buffer = bytearray(100)
        n = theirs.recv_into(buffer)
        theirs.sendall(bytes(buffer[:n]).upper())
        found.append(theirs)

    thread = threading.Thread(target=serve)
    thread.start()
    with client.wrap_socket(ends[0], server_hostname="localhost") as ours:
        assert hs.taps.socket(here, ours, framer=hs.taps.lines) is ours
        ours.sendall(b"secret\n")
        assert ours.recv(100) == b"SECRET\n"
        assert ours.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
    thread.join(SECONDS)
    found[0].close()
    both(here, there)


def test_threads_that_send_and_receive_at_once_are_recorded_each_by_its_direction(here, there, ends):
    ours, theirs = tapped(here, there, ends, framer=FRAMER)
    n, sent = 300, b"".join(framed(b"%d" % k * k) for k in range(300))

    def echo() -> None:
        left = len(sent)
        while left:
            data = theirs.recv(1000)
            left -= len(data)
            theirs.sendall(data)

    threads = [threading.Thread(target=echo), threading.Thread(target=ours.sendall, args=(sent,))]
    for thread in threads:
        thread.start()
    assert read_all(ours, len(sent)) == sent
    for thread in threads:
        thread.join(SECONDS)
    both(here, there)
    assert len(ids(here, Kind.SENT)) == len(ids(there, Kind.SENT)) == n


def test_equal_datagrams_of_several_threads_are_as_many(here):
    """One is under way when the next is sent: only what was refused is sent for a second time."""
    link = Datagrams(Tap(here), ("127.0.0.1", 1), ("127.0.0.1", 2), lambda: None)
    link.offer(b"beat")
    link.offer(b"beat")
    link.sent(b"beat", 4)
    link.sent(b"beat", 0)
    link.offer(b"beat")
    link.sent(b"beat", 4)
    assert len(ids(here, Kind.SENT)) == 2
    link.sent(b"beat", 0)
    link.offer(b"beat", ("127.0.0.1", 3))
    assert len(ids(here, Kind.SENT)) == 3


# ---------------------------------------------------------------- a tap changes nothing


def test_a_socket_stays_what_it_is(here, ends):
    ours, theirs = ends
    before, number = repr(ours), ours.fileno()
    assert hs.taps.socket(here, ours) is ours
    assert hs.taps.socket(here, ours) is ours
    assert repr(ours) == before
    assert ours.fileno() == number
    assert isinstance(ours, socket.socket)
    assert select.select([], [ours], [], SECONDS)[1] == [ours]
    assert hs.taps.remove(ours)
    assert not hs.taps.remove(ours)
    assert type(ours) is socket.socket
    ours.sendall(b"not recorded")
    assert theirs.recv(100) == b"not recorded"
    assert messages(here) == []


def test_taking_the_tap_off_one_leaves_it_on_the_others(here):
    with hs.taps.socket(here, socket.create_server(("127.0.0.1", 0)), framer=hs.taps.lines) as waiting:
        clients = [socket.create_connection(waiting.getsockname(), SECONDS) for _ in range(2)]
        served = [waiting.accept()[0] for _ in clients]
        kept = served[0].sendall
        assert hs.taps.remove(served[0])
        kept(b"by a wrapper that somebody has kept\n")
        served[1].sendall(b"recorded\n")
        assert [each.recv(100)[-9:] for each in clients] == [b"has kept\n", b"recorded\n"]
        assert [each[1] for each in ids(here, Kind.SENT)] == [b"recorded\n"]
        for each in (*clients, *served):
            each.close()


def test_a_socket_that_is_tapped_can_be_sent_to_another_process(here, ends):
    ours, theirs = ends
    hs.taps.socket(here, ours)
    rebuilt = pickle.loads(ForkingPickler.dumps(ours))
    with rebuilt:
        rebuilt.sendall(b"x")
        assert theirs.recv(1) == b"x"
    assert type(rebuilt) is socket.socket


def test_of_several_with_the_outermost_takes_the_tap_out(here, ends):
    with hs.taps.install(here):
        with hs.taps.install(here), hs.taps.all_sockets(here):
            pass
        ends[0].sendall(b"piece")
        assert len(messages(here)) == 1
    ends[0].sendall(b"piece")
    assert len(messages(here)) == 1


def test_a_second_tap_that_is_another_is_refused(here):
    with hs.taps.install(here, framer=hs.taps.lines) as tap:
        assert hs.taps.install(here, framer=hs.taps.lines) is tap
        assert hs.taps.install(here) is tap
        with pytest.raises(UserError, match="another framer or excerpt"):
            hs.taps.install(here, framer=hs.taps.http1)


def test_two_taps_record_one_socket_each_for_itself(here, there, ends):
    ours, theirs = ends
    hs.taps.socket(here, ours, framer=hs.taps.lines)
    with hs.taps.install(there, framer=hs.taps.lines):
        ours.sendall(b"both\n")
        with hs.taps.install(there):
            hs.taps.remove(ours)
        assert theirs.recv(100) == b"both\n"
    assert ids(here, Kind.SENT) == ids(there, Kind.SENT) == ids(there, Kind.RECEIVED)
    assert len(ids(here, Kind.SENT)) == 1


def test_one_recorder_records_one_socket_once(here, ends):
    ours, theirs = ends
    hs.taps.socket(here, ours, framer=hs.taps.lines)
    with hs.taps.install(here, framer=hs.taps.lines):
        assert hs.taps.socket(here, theirs) is theirs
        ours.sendall(b"once\n")
        assert theirs.recv(100) == b"once\n"
    assert [each[0] for each in messages(here)] == ["SENT", "RECEIVED"]


def test_all_sockets_are_as_before_when_the_tap_is_removed(here, there):
    classes = (socket.socket, ssl.SSLSocket)
    before = [dict(vars(each)) for each in classes]
    with hs.taps.install(here) as tap:
        assert [dict(vars(each)) for each in classes] != before
        assert hs.taps.install(here) is tap
        assert hs.taps.all_sockets(here) is tap
        with pytest.raises(UserError, match="another recorder"):
            hs.taps.install(there)
        kept = socket.socket.send
    assert [dict(vars(each)) for each in classes] == before
    ours, theirs = socket.socketpair()
    with ours, theirs:
        kept(ours, b"by a wrapper that somebody has kept")
        assert theirs.recv(100)
    assert messages(here) == []
    with hs.taps.all_sockets(there):
        pass


def test_somebody_elses_wrapper_stays(here):
    tap = hs.taps.all_sockets(here)
    theirs = lambda self, data: 17  # noqa: E731
    socket.socket.send = theirs
    tap.remove()
    assert socket.socket.send is theirs
    del socket.socket.send


def test_a_recorder_that_fails_is_not_noticed(here, there, ends):
    here.sent = here.received = Broken()
    ours, theirs = tapped(here, there, ends, framer=hs.taps.lines)
    ours.sendall(b"one\n")
    assert ours.send(b"two\n") == 4
    assert theirs.recv(8, socket.MSG_WAITALL) == b"one\ntwo\n"
    theirs.sendall(b"three\n")
    assert ours.recv(100) == b"three\n"
    assert [each[3] for each in messages(here)] == [b"tap: RuntimeError: the reco"]


def test_only_what_can_be_tapped_is_taken(here):
    with pytest.raises(UserError, match="use all_sockets"):
        hs.taps.socket(here, io.BytesIO())
    with pytest.raises(UserError, match="Recorder"):
        hs.taps.all_sockets("here")
    with pytest.raises(UserError, match="framer"):
        hs.taps.all_sockets(here, framer="lines")


def outcome(call, sock):
    """Return what a call returns, or type and text of what it raises."""
    try:
        return call(sock)
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    "call",
    [
        lambda sock: sock.send("text"),
        lambda sock: sock.send(),
        lambda sock: sock.send(b"x", "flags"),
        lambda sock: sock.sendall(17),
        lambda sock: sock.sendto(b"x"),
        lambda sock: sock.sendto(b"x", "nowhere"),
        lambda sock: sock.sendmsg(17),
        lambda sock: sock.sendmsg([17]),
        lambda sock: sock.recv(-1),
        lambda sock: sock.recv("many"),
        lambda sock: sock.recv_into(b"read-only"),
        lambda sock: sock.recv_into(bytearray(2), 3),
        lambda sock: sock.recvmsg_into(17),
        lambda sock: (sock.settimeout(0), sock.recv(1)),
        lambda sock: sock.connect("nowhere"),
        lambda sock: sock.bind(17),
        lambda sock: sock.listen("many"),
        lambda sock: sock.sendfile(io.BytesIO(), -1),
    ],
)
def test_what_is_wrong_is_as_wrong_with_a_tap(here, ends, call):
    ours, _ = ends
    without = outcome(call, ours)
    assert isinstance(without, tuple)
    hs.taps.socket(here, ours)
    assert outcome(call, ours) == without


def test_a_name_that_was_given_stands_for_an_address(here, there):
    with (
        hs.taps.socket(here, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs,
    ):
        theirs.bind(("127.0.0.1", 0))
        hs.taps.name(theirs.getsockname(), "database")
        ours.sendto(b"question", theirs.getsockname())
    assert messages(here)[0][1] == "database"
    with pytest.raises(UserError, match="give an address and a name"):
        hs.taps.name("", "database")


def test_of_more_peers_than_a_ring_can_name_the_hosts_are_kept(here):
    tap = Tap(here)
    named = [tap.peer_of(f"10.0.0.7:{port}") for port in range(1, 3001)]
    assert len(set(named)) == 1001
    assert named[-1] == "10.0.0.7"
    assert tap.peer_of("10.0.0.7:1") == "10.0.0.7:1"


def test_what_members_and_posts_say_is_not_recorded_twice(here, tmp_path):
    with hs.taps.install(here):
        ours, theirs = UdpSocket("127.0.0.1"), UdpSocket("127.0.0.1")
        ours.send(b"hello", "127.0.0.1", theirs.port)
        select.select([theirs], [], [], SECONDS)
        assert theirs.receive() == b"hello"
        with post_at(tmp_path) as post:
            found = gather(Targets(((post.where, KEY),)), deadline_s=SECONDS)
        assert [each[0] for each in found.posts] == [post.where]
    ours.close()
    theirs.close()
    assert messages(here) == []
