"""Two or three hosts whose packets are made with scapy, and captured on each with its own clock."""

from __future__ import annotations

from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1Q, Ether, Loopback
from scapy.packet import Raw
from scapy.utils import EDecimal, PcapNgWriter, PcapWriter

__all__ = ["FILES", "LINKS", "Wire", "dns", "redis"]

LINKS = ("ethernet", "vlan", "raw", "cooked", "cooked 2", "loopback")
FILES = ("pcap", "pcap in nanoseconds", "pcap of the other order of bytes", "pcapng")
MAC = "02:00:00:00:00:01"
BEGUN_NS = 1_800_000_000_123_456_789
ISN = {"a": 2**32 - 40, "b": 1000}
"""First sequence numbers: one wraps around soon."""


class Wire:
    """What is sent from a to b and back, and when each of them saw it."""

    def __init__(self, clocks=None, version=4, port=6379, link="ethernet"):
        self.clocks = clocks or {"a": (0, 0.0), "b": (0, 0.0)}
        self.addresses = {host: f"10.0.0.{k}" if version == 4 else f"fd00::{k}" for k, host in enumerate("abc", 1)}
        self.ports = {"a": 40_000, "b": port, "c": port}
        self.layer, self.link = IP if version == 4 else IPv6, link
        self.sequence = dict(ISN)
        self.seen = {host: [] for host in self.clocks}
        self.number = 0

    def said_ns(self, host, ns):
        """Return what a host's clock says at a time."""
        ahead_ns, drift = self.clocks[host]
        return BEGUN_NS + ns + ahead_ns + round(drift * ns)

    def put(self, ends, ns, upper, took_ns=50_000, lost=False, number=None):
        """Let a packet be seen by its sender, and unless it is lost by its receiver."""
        source, target = ends
        self.number += 1
        if self.layer is IP:
            lower = IP(src=self.addresses[source], dst=self.addresses[target], id=number or self.number)
        else:
            lower = IPv6(src=self.addresses[source], dst=self.addresses[target])
        packet = bytes(lower / upper)
        for host, at in ((source, ns), (target, None if lost else ns + took_ns)):
            if host in self.seen and at is not None:
                self.seen[host].append((self.said_ns(host, at), packet, host == source))

    def tcp(self, ends, ns, data=b"", flags="PA", at=None, **more):
        """Send a segment; at `at` of the stream, or behind what was sent."""
        source, target = ends
        begin = self.sequence[source] if at is None else (ISN[source] + 1 + at) % 2**32
        head = TCP(sport=self.ports[source], dport=self.ports[target], seq=begin, flags=flags)
        self.put(ends, ns, head / Raw(data) if data else head, **more)
        if at is None:
            self.sequence[source] = (begin + len(data) + ("S" in flags or "F" in flags)) % 2**32

    def open(self, ns=0):
        """Open the connection of a to b."""
        self.tcp("ab", ns, flags="S")
        self.tcp("ba", ns + 60_000, flags="SA")
        self.tcp("ab", ns + 120_000, flags="A")

    def udp(self, ends, ns, data, ports=(40_001, 53), **more):
        self.put(ends, ns, UDP(sport=ports[0], dport=ports[1]) / Raw(data), **more)

    def write(self, folder, file="pcap in nanoseconds"):
        """Write a capture of each host; return the paths."""
        found = []
        for host, packets in self.seen.items():
            path = folder / f"{host}.{'pcapng' if file == 'pcapng' else 'pcap'}"
            if file == "pcapng":
                writer = PcapNgWriter(str(path))
            else:
                endian = ">" if "other" in file else "<"
                writer = PcapWriter(str(path), endianness=endian, nano="nano" in file, linktype=self.linktype())
            with writer:
                for ns, packet, is_out in sorted(packets, key=lambda each: each[0]):
                    whole = self.framed(packet, is_out)
                    whole.time = EDecimal(ns) / 10**9
                    writer.write(whole)
            found.append(path)
        return found

    def linktype(self):
        return {"ethernet": 1, "vlan": 1, "raw": 101, "cooked": 113, "cooked 2": 276, "loopback": 0}[self.link]

    def framed(self, packet, is_out):
        kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
        if self.link == "raw":
            return (IP if kind == 0x0800 else IPv6)(packet)
        head = {
            "ethernet": Ether(src=MAC, dst=MAC, type=kind),
            "vlan": Ether(src=MAC, dst=MAC, type=0x8100) / Dot1Q(vlan=7, type=kind),
            "cooked": CookedLinux(pkttype=4 if is_out else 0, proto=kind),
            "cooked 2": CookedLinuxV2(pkttype=4 if is_out else 0, proto=kind),
            "loopback": Loopback(type=2 if kind == 0x0800 else 30),  # as on macOS
        }[self.link]
        return head / Raw(packet)


def redis(*words):
    """Return a command of Redis."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def dns(number, name, answer=None):
    """Return a question, or an answer."""
    question = DNSQR(qname=name)
    if answer is None:
        return bytes(DNS(id=number, qd=question))
    return bytes(DNS(id=number, qr=1, qd=question, an=DNSRR(rrname=name, rdata=answer)))
