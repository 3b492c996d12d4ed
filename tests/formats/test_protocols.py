"""DNS and memcached: what is said of messages that scapy makes, and where messages end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR

import hydroscope as hs
from hydroscope.ground.record.layout import Kind
from hydroscope.scope.decoders.dns import dns
from hydroscope.scope.decoders.memcached import frame, memcached
from hydroscope.scope.formats.protocols import protocol_of
from tests.formats.wires import Wire

MS = 10**6
LABELS = st.lists(st.text("abcxyz019-", min_size=1, max_size=20), min_size=1, max_size=4)


@given(st.integers(0, 2**16 - 1), LABELS, st.sampled_from(["A", "AAAA", "MX", "TXT"]), st.sampled_from([0, 3]))
def test_names_types_and_codes_of_dns(number, labels, asked, code):
    name = ".".join(labels)
    query = dns(bytes(DNS(id=number, qd=DNSQR(qname=name, qtype=asked))))
    assert (query.kind, query.fields["name"], query.fields["id"]) == (f"query {asked}", name, number)
    answer = dns(bytes(DNS(id=number, qr=1, rcode=code, qd=DNSQR(qname=name, qtype=asked))))
    assert answer.kind == (f"answer {asked}" if code == 0 else "NXDOMAIN")
    assert f"0x{number:04x}" in answer.text


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_not_known(data):
    for decode in (dns, memcached):
        found = decode(data)
        assert found is None or found.kind
    assert frame(data) >= -1


COMMANDS = [
    (b"get user:1\r\n", b"VALUE user:1 0 5\r\nhel\r\n\r\nEND\r\n"),
    (b"set user:1 0 60 7\r\nab\r\ncd!\r\n", b"STORED\r\n"),
    (b"incr hits 1\r\n", b"17\r\n"),
    (b"set quiet 0 0 1 noreply\r\nx\r\n", None),
    (b"get a b\r\n", b"VALUE a 0 1\r\nx\r\nVALUE b 0 1\r\ny\r\nEND\r\n"),
    (b"delete user:1\r\n", b"NOT_FOUND\r\n"),
]


def test_calls_of_memcached_in_one_packet_or_in_pieces(tmp_path):
    wire = Wire({"a": (0, 0.0), "b": (10**9, 0.0)}, port=11211)
    wire.open()
    asked = b"".join(command for command, _ in COMMANDS)
    answered = b"".join(answer for _, answer in COMMANDS if answer)
    wire.tcp("ab", 1 * MS, asked)
    for k in range(0, len(answered), 7):
        wire.tcp("ba", 2 * MS + k * 10_000, answered[k : k + 7])
    timeline = hs.read_timeline(wire.write(tmp_path))
    events = timeline.events
    own = np.flatnonzero(events.node == 0)
    said = {kind: [timeline.labels[k] for k in own if events.kind[k] == kind] for kind in Kind}
    assert said[Kind.SENT] == ["SYN", "get", "set", "incr", "set", "get", "delete"]
    assert said[Kind.RECEIVED] == ["SYN ACK", "VALUE", "STORED", "number", "VALUE", "NOT_FOUND"]
    assert said[Kind.STARTED] == said[Kind.ENDED] == ["get", "set", "incr", "get", "delete"]


@pytest.mark.parametrize(
    ("port", "begins", "name"),
    [
        (9, b"HTTP/1.1 200 OK\r\n", "http"),
        (9, b"*1\r\n$4\r\nPING\r\n", "redis"),
        (53, b"\0\x20", "dns"),
        (9, b"?", None),
    ],
)
def test_protocols_are_known_by_their_beginning_or_their_port(port, begins, name):
    found = protocol_of(port, begins)
    assert (found and found.name) == name
