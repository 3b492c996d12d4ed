"""Captures made with scapy, of hosts whose clocks are off, against what was sent, when, and what was lost."""

from __future__ import annotations

import random
import struct
from collections import Counter

import dpkt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP as ScapyIP
from scapy.layers.inet import TCP as ScapyTCP
from scapy.layers.inet import UDP as ScapyUDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

import hydroscope as hs
from hydroscope.ground.errors import DataError, UserError
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.decoding import Decoded
from hydroscope.scope.formats.captured import packets
from hydroscope.scope.formats.packets import read_captures
from hydroscope.wire.framing import length_prefixed
from tests.formats.wires import BEGUN_NS, FILES, LINKS, Wire, dns, redis

MS, S = 10**6, 10**9
CLOCKS = {"a": (3_200_000_000, 80e-6), "b": (-4_700_000_000, -120e-6)}


def calls(wire, n=100, every_ns=20 * MS):
    """Let a ask b `n` times; the answer takes 2 ms."""
    wire.open()
    for k in range(1, n + 1):
        wire.tcp("ab", k * every_ns, redis(b"GET", b"key:%d" % k))
        wire.tcp("ba", k * every_ns + 2 * MS, b"$3\r\nabc\r\n")


def rows(timeline, node, *kinds):
    names = [each.name for each in timeline.events.nodes]
    events = timeline.events
    return np.flatnonzero((events.node == names.index(node)) & np.isin(events.kind, kinds))


def shown(timeline):
    """Return all that is recorded, by node and time."""
    events = timeline.events
    return [
        (events.nodes[node].name, Kind(kind).name, int(at), timeline.labels[k], timeline.text(k))
        for k, (node, kind, at) in enumerate(zip(events.node.tolist(), events.kind.tolist(), events.at_ns, strict=True))
    ]


def test_clocks_that_are_seconds_apart_are_found_from_packets_alone(tmp_path):
    wire = Wire(CLOCKS)
    calls(wire)
    timeline = hs.read_timeline(wire.write(tmp_path))
    events, order = timeline.events, timeline.order
    assert [node.name for node in events.nodes] == ["a", "b"]
    messages = np.flatnonzero(np.isin(events.kind, (Kind.SENT, Kind.RECEIVED)))
    assert messages.size == 2 * (2 + 2 * 100)
    assert (order.partner[messages] >= 0).all()
    reference = events.nodes[order.reference].name
    ahead, drift = CLOCKS[reference]
    for name in "ab":
        own = rows(timeline, name, Kind.SENT, Kind.RECEIVED)
        true = (events.at_ns[own] - BEGUN_NS - CLOCKS[name][0]) / (1 + CLOCKS[name][1])
        off = order.time_ns[own] - BEGUN_NS - (true + ahead + drift * true)
        assert np.isfinite(order.error_ns[own]).all()
        assert (np.abs(off) <= order.error_ns[own] + 1000).all()
        assert np.abs(off).max() < MS


def test_each_call_is_a_task_of_client_and_server(tmp_path):
    wire = Wire(CLOCKS)
    calls(wire, n=20)
    timeline = hs.read_timeline(wire.write(tmp_path))
    for node, took_ns in (("a", 2 * MS + 50_000), ("b", 2 * MS - 50_000)):
        begun, ended = rows(timeline, node, Kind.STARTED), rows(timeline, node, Kind.ENDED)
        assert begun.size == ended.size == 20
        assert np.array_equal(timeline.events.id[begun], timeline.events.id[ended])
        took = timeline.events.at_ns[ended] - timeline.events.at_ns[begun]
        assert np.allclose(took, took_ns, rtol=1e-3)
        assert {timeline.labels[int(k)] for k in begun} == {"GET"}
    assert timeline.text(int(rows(timeline, "a", Kind.STARTED)[6])) == "GET key:7"


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("link", LINKS)
def test_every_link_and_file_tells_the_same(link, file, version, tmp_path):
    wire = Wire(CLOCKS, version, link=link)
    calls(wire, n=3)
    wire.udp("ab", 90 * MS, dns(7, "a.example"))
    wire.udp("ba", 91 * MS, dns(7, "a.example", "192.0.2.1"), ports=(53, 40_001))
    found = shown(hs.read_timeline(wire.write(tmp_path, file)))
    plain = Wire(CLOCKS, version)
    plain.seen = wire.seen
    expected = shown(hs.read_timeline(plain.write(tmp_path)))
    unit = 1 if "nano" in file else 1000
    assert [(*each[:2], *each[3:]) for each in found] == [(*each[:2], *each[3:]) for each in expected]
    assert np.allclose([each[2] - BEGUN_NS for each in found], [each[2] - BEGUN_NS for each in expected], atol=unit)
    assert Counter(each[3] for each in found if each[1] in ("SENT", "RECEIVED")) == {
        "SYN": 2,
        "SYN ACK": 2,
        "GET": 6,
        "value": 6,
        "query A": 2,
        "answer A": 2,
    }


def test_payloads_are_those_that_dpkt_reads(tmp_path):
    wire = Wire(CLOCKS)
    calls(wire, n=30)
    wire.udp("ab", 90 * MS, dns(7, "a.example"))
    for path in wire.write(tmp_path):
        expected = []
        with path.open("rb") as file:
            for _, data in dpkt.pcap.Reader(file):
                ip = dpkt.ethernet.Ethernet(data).data
                expected.append((ip.src, ip.dst, ip.data.sport, ip.data.dport, bytes(ip.data.data)))
        found = [(each.source, each.target, *each.ports, each.data) for each in read_captures([path], ["x"])[0].pieces]
        assert found == expected


def test_what_is_lost_and_sent_again_is_told(tmp_path):
    wire = Wire(CLOCKS)
    calls(wire)
    end = 2 * S + 500 * MS
    wire.tcp("ab", end, redis(b"SET", b"key", b"1"), lost=True)
    size = len(redis(b"SET", b"key", b"1"))
    at = (wire.sequence["a"] - size - (2**32 - 40) - 1) % 2**32
    wire.tcp("ab", end + 200 * MS, redis(b"SET", b"key", b"1"), at=at)
    wire.tcp("ba", end + 210 * MS, b"+OK\r\n")
    wire.tcp("ab", end + 900 * MS, redis(b"PING"))
    wire.tcp("ba", end + 901 * MS, b"+PONG\r\n")
    timeline = hs.read_timeline(wire.write(tmp_path))
    (again,) = rows(timeline, "a", Kind.RESENT)
    partner = timeline.order.partner[again]
    assert partner >= 0
    assert timeline.labels[int(partner)] == "SET"
    (lost,) = (each for each in timeline.findings if each.kind == "loss")
    assert lost.text.startswith("1 of 10")
    assert "from a to b never arrived" in lost.text


def test_a_question_that_is_asked_again_is_one_call(tmp_path):
    wire = Wire(CLOCKS)
    calls(wire, n=50)
    wire.udp("ab", 300 * MS, dns(7, "a.example"), lost=True)
    wire.udp("ab", 400 * MS, dns(7, "a.example"))
    wire.udp("ba", 410 * MS, dns(7, "a.example", "192.0.2.1"), ports=(53, 40_001))
    timeline = hs.read_timeline(wire.write(tmp_path))
    events = timeline.events
    (begun,) = (k for k in rows(timeline, "a", Kind.STARTED) if timeline.labels[int(k)] == "query A")
    (ended,) = np.flatnonzero((events.kind == Kind.ENDED) & (events.id == events.id[begun]) & (events.node == 0))
    assert round((events.at_ns[ended] - events.at_ns[begun]) / MS) == 110
    assert any(each.kind == "loss" and each.count == 1 for each in timeline.findings)


def test_refused_and_broken_connections_are_failures(tmp_path):
    wire = Wire(CLOCKS)
    calls(wire, n=20)
    wire.tcp("ba", 500 * MS, flags="R")
    wire.ports["a"] = 40_500
    wire.tcp("ab", 600 * MS, flags="S")
    wire.tcp("ba", 600 * MS + 60_000, flags="RA")
    timeline = hs.read_timeline(wire.write(tmp_path))
    said = [timeline.labels[int(k)] for k in rows(timeline, "a", Kind.FAILED)]
    assert said == ["connection reset by 10.0.0.2 port 6379", "connection refused by 10.0.0.2 port 6379"]
    assert any(each.kind == "failure" and "2 errors at a" in each.text for each in timeline.findings)


def test_one_capture_has_the_others_as_nodes_without_records(tmp_path):
    wire = Wire({"a": (0, 0.0)})
    calls(wire, n=5)
    timeline = hs.read_timeline(wire.write(tmp_path)[0])
    assert [(node.name, node.read) for node in timeline.events.nodes] == [("a", "import"), ("10.0.0.2", "nothing")]
    assert len(rows(timeline, "a", Kind.RECEIVED)) == 6


def test_it_is_asked_whose_a_capture_is_where_nothing_tells(tmp_path):
    wire = Wire({"a": (0, 0.0)})
    for k in range(5):
        wire.udp("ab", k * MS, b"hello %d" % k, ports=(5000, 5001))
    (path,) = wire.write(tmp_path)
    with pytest.raises(UserError, match=r"could be of 10\.0\.0\.[12] or 10\.0\.0\.[12]; say whose: local="):
        hs.read_timeline(path)
    for address, kind in (("10.0.0.1", Kind.SENT), ("10.0.0.2", Kind.RECEIVED)):
        timeline = hs.read_timeline(path, names=["x"], local={"x": [address]})
        assert set(timeline.events.kind.tolist()) == {kind}
    with pytest.raises(UserError, match="'here' is no address"):
        hs.read_timeline(path, local={"a": ["here"]})
    with pytest.raises(UserError, match="no host 'y' in the captures"):
        hs.read_timeline(path, local={"y": ["10.0.0.1"]})
    with pytest.raises(UserError, match="2 names for 1 captures"):
        hs.read_timeline(path, names=["x", "y"])


def test_packets_that_a_switch_sent_to_everybody_are_not_the_hosts_own(tmp_path):
    wire = Wire(CLOCKS | {"c": (10**9, 0.0)})
    calls(wire, n=100)
    for k in range(60):
        wire.udp("bc", k * 5 * MS, b"to the third %d" % k, ports=(6000, 6000))
        wire.udp("cb", k * 5 * MS + MS, b"and back %d" % k, ports=(6000, 6000))
    wire.seen["a"] += [
        (ns + 7_900_000_000, packet, False) for ns, packet, out in wire.seen["b"] if out and b"third" in packet
    ]
    timeline = hs.read_timeline(wire.write(tmp_path))
    assert len(rows(timeline, "a", Kind.SENT)) == 101
    assert len(rows(timeline, "c", Kind.SENT)) == 60
    notes = [timeline.text(int(k)) for k in rows(timeline, "a", Kind.NOTE)]
    assert notes == ["the capture: 60 packets between other hosts"]


def test_ones_own_protocol_has_ones_own_names_and_ends(tmp_path):
    wire = Wire(CLOCKS, port=7000)
    wire.open()
    for k in range(20):
        body = b"VOTE term %d" % k
        whole = len(body).to_bytes(4, "big") + body
        wire.tcp("ab", (k + 1) * MS, whole[:6], flags="A")
        wire.tcp("ab", (k + 1) * MS + 1000, whole[6:] + whole)

    def decode(data):
        return Decoded("vote", {}, data[4:].decode()) if data[4:8] == b"VOTE" else None

    timeline = hs.read_timeline(wire.write(tmp_path), decoders=[decode], framers={7000: length_prefixed(4)})
    labels = Counter(timeline.labels[int(k)] for k in rows(timeline, "b", Kind.RECEIVED))
    assert labels == {"SYN": 1, "vote": 40}
    assert "VOTE term 19" in {timeline.text(int(k)) for k in rows(timeline, "b", Kind.RECEIVED)}


def test_fragments_and_others_are_counted_and_told(tmp_path):
    wire = Wire(CLOCKS)
    calls(wire, n=5)
    fragment = bytearray(wire.seen["a"][5][1])
    fragment[6] |= 0x20
    arp = bytes(fragment)
    wire.seen["a"].append((wire.seen["a"][-1][0] + 1, arp, True))
    icmp = bytearray(fragment)
    icmp[6], icmp[9] = 0, 1
    wire.seen["a"].append((wire.seen["a"][-1][0] + 1, bytes(icmp), True))
    paths = wire.write(tmp_path)
    paths[0].write_bytes(paths[0].read_bytes() + b"cut off")
    timeline = hs.read_timeline(paths)
    assert {timeline.text(int(k)) for k in rows(timeline, "a", Kind.NOTE)} == {
        "the capture: 1 fragments of packets",
        "the capture: 1 packets that are neither TCP nor UDP",
        "the capture: 1 end that is cut off or damaged, from byte 1,287 of 1,294 on",
    }


def cut(path, n_bytes):
    """Rewrite a capture in nanoseconds as `tcpdump -s` makes it: with so many bytes of each packet."""
    data = path.read_bytes()
    out, at = bytearray(data[:24]), 24
    while at < len(data):
        second, part, n, length = struct.unpack_from("<IIII", data, at)
        out += struct.pack("<IIII", second, part, min(n, n_bytes), length) + data[at + 16 : at + 16 + min(n, n_bytes)]
        at += 16 + n
    path.write_bytes(out)


def test_a_host_that_captured_only_the_beginning_of_packets_is_matched_all_the_same(tmp_path):
    wire = Wire(CLOCKS, port=7000)
    wire.open()
    for k in range(1, 21):
        wire.udp("ab", k * MS, b"question %02d, " % k + b"x" * 100, ports=(5000, 5001))
        wire.tcp("ab", k * MS, b"ask %02d, " % k + b"y" * 100)
        wire.tcp("ba", k * MS + 300_000, b"ok %02d, " % k + b"z" * 50)
    paths = wire.write(tmp_path)
    cut(paths[0], 14 + 20 + 20 + 10)
    timeline = hs.read_timeline(paths)
    assert (timeline.order.partner[rows(timeline, "a", Kind.SENT, Kind.RECEIVED)] >= 0).all()
    notes = [timeline.text(int(k)) for k in rows(timeline, "a", Kind.NOTE)]
    assert "the capture: 60 packets of which only the beginning was captured" in notes
    assert not any(each.kind == "loss" for each in timeline.findings)


def test_captures_of_two_interfaces_of_one_host_are_one(tmp_path):
    wire = Wire(CLOCKS)
    calls(wire, n=20)
    whole = shown(hs.read_timeline(wire.write(tmp_path)))
    seen = wire.seen
    out = [each for each in seen["a"] if each[2]]
    wire.seen = {"out": out, "in": [each for each in seen["a"] if not each[2]] + out[5:], "b": seen["b"]}
    timeline = hs.read_timeline(wire.write(tmp_path), names=["a", "a", "b"])
    assert [each for each in shown(timeline) if each[1] != "NOTE"] == whole
    assert [timeline.text(int(k)) for k in rows(timeline, "a", Kind.NOTE)] == [
        f"the capture: {len(out) - 5} packets seen on two interfaces"
    ]


def test_captures_of_the_same_name_are_not_taken_for_one_host(tmp_path):
    wire = Wire(CLOCKS)
    calls(wire, n=5)
    paths = wire.write(tmp_path)
    same = [tmp_path / host / "capture.pcap" for host in "ab"]
    for path, target in zip(paths, same, strict=True):
        target.parent.mkdir()
        path.rename(target)
    with pytest.raises(UserError, match="two captures are called 'capture': say whose they are"):
        hs.read_timeline(same)
    assert [node.name for node in hs.read_timeline(same, names=["a", "b"]).events.nodes] == ["a", "b"]


def test_what_the_callers_functions_do_wrong_is_told(tmp_path):
    wire = Wire(CLOCKS, port=7000)
    wire.open()
    for k in range(5):
        wire.tcp("ab", (k + 1) * MS, b"hello %d" % k)
    paths = wire.write(tmp_path)

    def raises(data):
        return 1 // 0

    for decode, framer in ((raises, raises), (lambda data: "hello", lambda data: "7")):
        timeline = hs.read_timeline(paths, decoders=[decode], framers={7000: framer})
        assert len(rows(timeline, "b", Kind.RECEIVED)) == 6
        said = sorted(timeline.labels.complaints)
        assert len(said) == 2
        assert said[0].startswith(f"the decoder {decode.__name__} r")
        assert said[0].endswith("so it went 10 times")
        assert said[1].startswith("the framer of port 7000 r")
        assert "(of 'hello 0" in said[1]


def test_only_a_connection_that_was_asked_for_is_refused(tmp_path):
    wire = Wire(CLOCKS)
    wire.tcp("ab", MS, redis(b"PING"))
    wire.tcp("ba", 2 * MS, flags="R")
    timeline = hs.read_timeline(wire.write(tmp_path), local={"a": ["10.0.0.1"], "b": ["10.0.0.2"]})
    (failed,) = rows(timeline, "a", Kind.FAILED)
    assert timeline.labels[int(failed)] == "connection reset by 10.0.0.2 port 6379"


def test_what_comes_with_the_opening_of_a_connection_is_read(tmp_path):
    wire = Wire(CLOCKS)
    question = redis(b"GET", b"key")
    wire.tcp("ab", 0, question, flags="S")
    wire.tcp("ba", 60_000, flags="SA")
    wire.tcp("ba", 70_000, b"$1\r\nx\r\n")
    wire.tcp("ab", 130_000, question)
    timeline = hs.read_timeline(wire.write(tmp_path))
    said = [timeline.labels[int(k)] for k in rows(timeline, "b", Kind.RECEIVED, Kind.SENT)]
    assert Counter(said) == {"SYN": 1, "SYN ACK": 1, "GET": 2, "value": 1}
    assert (timeline.order.partner[rows(timeline, "a", Kind.SENT, Kind.RECEIVED)] >= 0).all()


def test_headers_between_ipv6_and_what_it_carries_are_skipped(tmp_path):
    packet = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt()
    path = tmp_path / "a.pcap"
    wrpcap(str(path), [Ether() / packet / ScapyUDP(sport=5, dport=6) / b"hello"])
    (piece,) = read_captures([path], ["a"])[0].pieces
    assert (piece.ports, piece.data) == ((5, 6), b"hello")
    with_fragment = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrFragment(m=1) / (b"x" * 16)
    wrpcap(str(path), [Ether() / with_fragment])
    with pytest.raises(DataError, match="1 fragments of packets"):
        read_captures([path], ["a"])


def test_what_arrives_although_it_was_there_is_dropped(tmp_path):
    wire = Wire(CLOCKS)
    calls(wire, n=30)
    question = redis(b"GET", b"key:30")
    at = (wire.sequence["a"] - len(question) - (2**32 - 40) - 1) % 2**32
    wire.tcp("ab", 900 * MS, question, at=at)
    timeline = hs.read_timeline(wire.write(tmp_path))
    (again,), (dropped,) = rows(timeline, "a", Kind.RESENT), rows(timeline, "b", Kind.DROPPED)
    assert timeline.text(int(again)) == timeline.text(int(dropped)) == "GET key:30"


def test_a_port_that_is_used_again_is_of_another_connection(tmp_path):
    wire = Wire(CLOCKS)
    calls(wire, n=5)
    wire.sequence = {"a": 7_000_000, "b": 9_000_000}
    wire.tcp("ab", 200 * MS, flags="S")
    wire.tcp("ba", 201 * MS, flags="SA")
    wire.tcp("ab", 202 * MS, redis(b"PING"))
    wire.tcp("ba", 203 * MS, b"+PONG\r\n")
    timeline = hs.read_timeline(wire.write(tmp_path))
    said = Counter(timeline.labels[int(k)] for k in rows(timeline, "a", Kind.SENT, Kind.RECEIVED))
    assert said == {"SYN": 2, "SYN ACK": 2, "GET": 5, "value": 5, "PING": 1, "PONG": 1}
    assert not any("has not got" in timeline.text(int(k)) for k in rows(timeline, "a", Kind.NOTE))


def test_a_call_within_one_host_is_a_task_of_either_side(tmp_path):
    wire = Wire({"a": (0, 0.0)})
    wire.addresses = dict.fromkeys("ab", "127.0.0.1")
    calls(wire, n=3)
    (path,) = wire.write(tmp_path)
    timeline = hs.read_timeline(path)
    assert len(timeline.events.nodes) == 1
    for kind in (Kind.STARTED, Kind.ENDED):
        begun = rows(timeline, "a", kind)
        assert begun.size == 6
        assert np.unique(timeline.events.id[begun]).size == 6


def test_bytes_that_only_fill_a_short_packet_up_are_not_read(tmp_path):
    datagram = ScapyIP(src="10.0.0.1", dst="10.0.0.2") / ScapyUDP(sport=5, dport=6) / b"hello"
    path = tmp_path / "a.pcap"
    wrpcap(str(path), [Ether(bytes(Ether() / datagram) + bytes(20))])
    (piece,) = read_captures([path], ["a"])[0].pieces
    assert (piece.data, piece.length) == (b"hello", 5)
    segment = ScapyIP(src="10.0.0.1", dst="10.0.0.2") / ScapyTCP(sport=5, dport=6) / b"hello"
    wrpcap(str(path), [Ether(bytes(Ether() / segment) + bytes(20))])
    assert read_captures([path], ["a"])[0].pieces[0].data == b"hello"


def block(order, kind, body):
    n = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + n + body + n


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order):
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order, link, *options):
    told = b"".join(option(order, *each) for each in options)
    return block(order, 1, struct.pack(order + "HHI", link, 0, 0) + told + bytes(4))


def packet_of(order, number, ticks, data):
    body = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(order, 6, body + data + bytes(-len(data) % 4))


@pytest.mark.parametrize("order", ["<", ">"])
def test_interfaces_of_pcapng_have_their_own_clocks_and_links(order, tmp_path):
    datagram = bytes(ScapyIP(src="10.0.0.1", dst="10.0.0.2") / ScapyUDP(sport=5, dport=6) / b"hello")
    ethernet = bytes(Ether(type=0x0800)) + datagram
    lost = option(order, 5, struct.pack(order + "Q", 7))
    blocks = [
        section(order),
        interface(order, 1),
        interface(order, 101, (9, b"\x09"), (14, struct.pack(order + "q", 1000))),
        interface(order, 101, (9, b"\x8a")),  # 1/1024 s
        packet_of(order, 0, 5_000_001, ethernet),
        packet_of(order, 1, 5 * 10**9 + 3, datagram),
        packet_of(order, 2, 5 * 1024 + 512, datagram),
        *[block(order, 5, struct.pack(order + "III", 1, 0, 0) + lost)] * 3,
        section("<"),
        interface("<", 101),
        packet_of("<", 0, 9_000_000, datagram),
        packet_of("<", 1, 9_000_000, datagram),
    ]
    path = tmp_path / "a.pcapng"
    path.write_bytes(b"".join(blocks))
    (found,) = read_captures([path], ["a"])
    assert [piece.ns for piece in found.pieces] == [5_000_001_000, 5_500_000_000, 9_000_000_000, 1005_000_000_003]
    assert {piece.data for piece in found.pieces} == {b"hello"}
    assert found.ignored == {"blocks that contradict themselves": 1, "packets that the capture itself lost": 7}


def test_it_is_told_where_a_pcapng_is_damaged(tmp_path):
    datagram = bytes(ScapyIP(src="10.0.0.1", dst="10.0.0.2") / ScapyUDP(sport=5, dport=6) / b"hello")
    whole = [section("<"), interface("<", 101), packet_of("<", 0, 1, datagram)]
    at = sum(map(len, whole))
    path = tmp_path / "a.pcapng"
    for damage in (
        packet_of("<", 0, 2, datagram)[:-4] + b"\xff\0\0\0",
        packet_of("<", 0, 2, datagram)[:-1],
        struct.pack("<II", 6, 2**32 - 4) + bytes(100),
        struct.pack("<II", 6, 0) + bytes(100),
        section("<").replace(b"\x4d\x3c", b"\x3c\x4d"),
    ):
        path.write_bytes(b"".join(whole) + damage)
        (found,) = read_captures([path], ["a"])
        assert len(found.pieces) == 1
        assert found.ignored == {f"end that is cut off or damaged, from byte {at} of {at + len(damage)} on": 1}


def test_files_that_are_no_captures_are_refused(tmp_path):
    path = tmp_path / "a.pcap"
    for data, why in (
        (b"nothing of the kind", "neither pcap nor pcapng"),
        (b"\xd4\xc3\xb2\xa1", "no packet of TCP or UDP: 1 end that is cut off or damaged, from byte 4 of 4"),
        (b"\xd4\xc3\xb2\xa1" + bytes(20), "no packet of TCP or UDP: no packets"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=why):
            list(packets(path, Counter())) if "neither" in why else hs.read_timeline(path)


SOURCES = {}


def source(file):
    """Return the bytes of a capture of this format."""
    if file not in SOURCES:
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory() as folder:
            wire = Wire(CLOCKS)
            calls(wire, n=10)
            wire.udp("ab", 90 * MS, dns(7, "a.example"))
            SOURCES[file] = wire.write(Path(folder), file)[0].read_bytes()
    return SOURCES[file]


@given(st.sampled_from(FILES), st.integers(0, 2**32))
def test_damaged_captures_are_read_as_far_as_they_are_whole_or_refused(tmp_path_factory, file, seed):
    chance = random.Random(seed)
    data = bytearray(source(file))
    for _ in range(chance.randint(1, 20)):
        at = chance.randrange(len(data))
        what = chance.random()
        if what < 0.7:
            data[at] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
        elif what < 0.8:
            del data[at : at + chance.randint(1, 40)]
        elif what < 0.9:
            data[at:at] = chance.randbytes(chance.randint(1, 40))
        else:
            del data[at:]
        if not data:
            break
    path = tmp_path_factory.mktemp("damaged") / "x.pcap"
    path.write_bytes(data)
    try:
        timeline = hs.read_timeline(path, local={"x": ["10.0.0.1"]})
    except DataError:
        return
    finally:
        path.unlink()
    assert len(timeline) == len(timeline.order.rank)
