"""Wireshark's own reader beside ours: what tshark says of timelines that we write, and of captures that we read.

`python -m tests.formats.wireshark`, with tshark (Debian's package), writes timelines as pcapng and asks tshark for
each record by the names that our script gives its fields; and has it read captures of all links and formats, or those
that are named (`python -m tests.formats.wireshark a.pcap b.pcapng`), for which it has to find the segments and
datagrams that we find. It says how many were compared, and fails at the first that differs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np

from hydroscope.scope.formats.packets import address_text, read_captures
from hydroscope.scope.formats.pcapng import NOBODY, write_dissector
from hydroscope.scope.matching import RECEIPTS, SENDS
from tests.formats.timelines import every_kind, simulated
from tests.formats.wires import FILES, LINKS, Wire, dns, redis

BETWEEN = "\x1f"
RECORD = (
    "frame.interface_name",
    "frame.time_epoch",
    *(f"hydroscope.{name}" for name in ("kind", "peer", "id", "bytes", "data")),
    "frame.packet_flags_direction",
    "frame.comment",
)
CARRIED = ("frame.time_epoch", "ip.src", "ipv6.src", "udp.srcport", "udp.length", "tcp.srcport", "tcp.len", "tcp.seq")


def ask(path, fields, *options):
    """Return the fields of each packet, as texts, as tshark tells them."""
    command = ["tshark", "-r", str(path), *options, "-T", "fields", "-E", f"separator={BETWEEN}"]
    for field in fields:
        command += ["-e", field]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split(BETWEEN) for line in said.split("\n")[:-1]]


def nanoseconds(seconds):
    return int(Decimal(seconds) * 10**9)


def written(timeline, folder):
    """Compare each record of a timeline with what tshark shows of it; return how many there are."""
    path, script = folder / "a.pcapng", folder / "a.lua"
    timeline.write(path, overwrite=True)
    script.unlink(missing_ok=True)
    write_dissector(script)
    events, order = timeline.events, timeline.order
    packets = ask(path, RECORD, "-X", f"lua_script:{script}")
    rows = np.argsort(order.rank).tolist()
    assert len(packets) == len(rows), f"tshark finds {len(packets)} packets, there are {len(rows)} records"
    for row, (node, time, kind, peer, number, n_bytes, data, way, comment) in zip(rows, packets, strict=True):
        own = events.kind[row]
        expected = 2 if own in SENDS else 1 if own in RECEIPTS else 0
        assert node == events.nodes[events.node[row]].name
        assert nanoseconds(time) == order.time_ns[row]
        assert (int(kind), int(number, 16), int(n_bytes)) == (own, events.id[row], events.n_bytes[row])
        assert (int(peer) if peer else NOBODY) == (events.peer[row] if events.peer[row] >= 0 else NOBODY)
        assert bytes.fromhex(data) == events.data[row].tobytes()[: events.n_bytes[row]]
        assert int(way, 16) == expected
        assert timeline.labels[row] in comment
    return len(rows)


def read(path):
    """Compare what a capture carries over UDP and TCP with what tshark finds in it; return how many packets."""
    (ours,) = read_captures([path], ["host"])
    expected = [
        (piece.ns, address_text(piece.source), piece.ports[0], piece.length, piece.sequence if piece.flags else None)
        for piece in ours.pieces
    ]
    theirs = []
    for time, v4, v6, udp, udp_length, tcp, tcp_length, sequence in ask(
        path, CARRIED, "-o", "tcp.relative_sequence_numbers:FALSE", "-Y", "udp or tcp"
    ):
        if udp:
            theirs.append((nanoseconds(time), v4 or v6, int(udp), int(udp_length) - 8, None))
        else:
            theirs.append((nanoseconds(time), v4 or v6, int(tcp), int(tcp_length), int(sequence)))
    assert sorted(theirs, key=str) == sorted(expected, key=str), f"{path}: other segments and datagrams than tshark's"
    return len(theirs)


def captures(folder):
    """Yield a capture of each link and format, of both versions of IP."""
    for version in (4, 6):
        for link in LINKS:
            for file in FILES:
                wire = Wire(version=version, link=link)
                wire.open()
                for k in range(1, 4):
                    wire.tcp("ab", k * 10**7, redis(b"GET", b"key:%d" % k))
                    wire.tcp("ba", k * 10**7 + 10**6, b"$3\r\nabc\r\n")
                    wire.udp("ab", k * 10**7 + 2 * 10**6, dns(k, "a.example"))
                yield wire.write(folder, file)[0]


def main():
    if shutil.which("tshark") is None:
        sys.exit("needs tshark (Debian's package tshark)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n = sum(written(timeline, folder) for timeline in (every_kind(), simulated(n_records=5000)))
        print(f"{n:,} records of timelines that we wrote: tshark shows them as they are")
        files = [Path(each) for each in sys.argv[1:]] or captures(folder)
        counts = [read(path) for path in files]
        print(f"{sum(counts):,} segments and datagrams of {len(counts)} captures: tshark finds the same")


if __name__ == "__main__":
    main()
