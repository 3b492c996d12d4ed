"""Three hosts as network namespaces, which speak Redis and DNS and record nothing: what captures alone tell of them.

A client asks a Redis, which has a replica on the third host, and a DNS forwarder, whose server is on the third host.
Each host's packets are captured on it. Then the captures' times are changed as if its clock were seconds off and
drifted. In between, Redis is killed and started again two seconds later, and for a second and a half the third
host is not on the bridge.

`python -m tests.formats.captures`, as root, with tcpdump, redis-server, dnsmasq and dig (Debian's packages), says by
how much the clocks were put off and what came out, and which findings tell of the faults. It fails if a corrected
time is not within its error bar, or a fault is not told of.
"""

from __future__ import annotations

import argparse
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np

import hydroscope as hs
from hydroscope.ground.record.layout import Kind

PROGRAMS = ("ip", "tcpdump", "redis-server", "dnsmasq", "dig")
HOSTS = {"client": "10.77.0.1", "middle": "10.77.0.2", "far": "10.77.0.3"}
CLOCKS = {"client": (0.0, 0.0), "middle": (3.2, 80.0), "far": (-4.7, -120.0)}
"""Seconds that each is ahead, and parts in a million that it is too fast."""
PREFIX = f"hs{os.getpid() % 10000}"
SECONDS = 14.0

CLIENT = """
import sys, time, redis
until = time.monotonic() + float(sys.argv[1])
client = redis.Redis("10.77.0.2", socket_timeout=0.5, socket_connect_timeout=0.5, retry=None)
n = 0
while time.monotonic() < until:
    n += 1
    try:
        client.set(f"order:{n % 50}", "x" * (n % 300))
        client.get(f"order:{(n * 7) % 50}")
        client.incr("orders")
    except redis.RedisError:
        time.sleep(0.1)
    time.sleep(0.01)
"""


def run(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True)


class Network:
    """Namespaces joined by a bridge, and the programs that run in them; all of it goes when it is left."""

    def __enter__(self):
        self.stack = ExitStack()
        bridge = f"{PREFIX}br"
        run("ip", "link", "add", bridge, "type", "bridge")
        self.stack.callback(run, "ip", "link", "del", bridge, check=False)
        run("ip", "link", "set", bridge, "up")
        for k, (host, address) in enumerate(HOSTS.items()):
            space, outer, inner = f"{PREFIX}{host}", f"{PREFIX}o{k}", f"{PREFIX}i{k}"
            run("ip", "netns", "add", space)
            self.stack.callback(run, "ip", "netns", "del", space, check=False)
            run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
            run("ip", "link", "set", inner, "netns", space)
            run("ip", "link", "set", outer, "master", bridge, "up")
            self.inside(host, "ip", "addr", "add", f"{address}/24", "dev", inner).wait()
            for device in ("lo", inner):
                self.inside(host, "ip", "link", "set", device, "up").wait()
        return self

    def __exit__(self, *error):
        self.stack.close()

    def inside(self, host, *command, cwd=None):
        """Start a program in a namespace; it is ended when the network goes."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", f"{PREFIX}{host}", *command],
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.stack.callback(end, process)
        return process


def end(process, kill=False):
    if process.poll() is None:
        process.kill() if kill else process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def play(folder):
    """Run all programs for `SECONDS` and return the captures."""
    captures = {host: folder / f"{host}.pcap" for host in HOSTS}
    with Network() as network:
        for k, (host, path) in enumerate(captures.items()):
            device = f"{PREFIX}i{k}"
            network.inside(
                *(host, "tcpdump", "-i", device, "-w", str(path), "-Z", "root", "-B", "16384"),
                *("--time-stamp-precision=nano", "tcp or udp"),
            )
        redis = [
            "redis-server",
            "--protected-mode",
            "no",
            "--save",
            "",
            "--bind",
            "0.0.0.0",
            "--repl-diskless-sync-delay",
            "0",
        ]
        primary = network.inside("middle", *redis, cwd=folder)
        (folder / "far").mkdir()
        network.inside("far", *redis, "--replicaof", HOSTS["middle"], "6379", cwd=folder / "far")
        dns = ["dnsmasq", "-k", "-p", "53", "-u", "root", "-C", "/dev/null", "-R", "-h", "--pid-file="]
        network.inside("far", *dns, "-A", "/example.test/192.0.2.7", "--local-ttl=0")
        network.inside("middle", *dns, "-S", HOSTS["far"], "-c", "0")
        time.sleep(1.0)  # a second of the programs' life: they are what is recorded
        begun = time.monotonic()
        network.inside("client", sys.executable, "-c", CLIENT, str(SECONDS))
        script = f"for k in $(seq 1000); do dig +tries=3 +time=1 @{HOSTS['middle']} a$k.example.test & sleep 0.05; done"
        network.inside("client", "sh", "-c", script)

        def wait(second):
            time.sleep(max(begun + second - time.monotonic(), 0))

        wait(4.0)
        end(primary, kill=True)
        wait(6.0)
        network.inside("middle", *redis, cwd=folder)
        wait(9.0)
        run("ip", "link", "set", f"{PREFIX}o2", "nomaster")
        wait(10.5)
        run("ip", "link", "set", f"{PREFIX}o2", "master", f"{PREFIX}br")
        wait(SECONDS)
    return captures


def shift(path, seconds, drift_ppm, since_ns):
    """Rewrite the times of a capture in nanoseconds as its clock would have said them; return the number of packets."""
    data = bytearray(path.read_bytes())
    assert data[:4] == b"\x4d\x3c\xb2\xa1", "not a capture in nanoseconds of this order of bytes"
    at, n = 24, 0
    while at + 16 <= len(data):
        second, part, n_bytes = struct.unpack_from("<III", data, at)
        true_ns = second * 10**9 + part
        said_ns = true_ns + round(seconds * 1e9 + drift_ppm * 1e-6 * (true_ns - since_ns))
        struct.pack_into("<II", data, at, *divmod(said_ns, 10**9))
        at, n = at + 16 + n_bytes, n + 1
    path.write_bytes(data)
    return n


def first_ns(path):
    second, part = struct.unpack_from("<II", path.read_bytes(), 24)
    return second * 10**9 + part


def true_ns(host, said_ns, since_ns):
    """Return when it was that a host's clock said this."""
    seconds, drift_ppm = CLOCKS[host]
    return since_ns + (said_ns - since_ns - seconds * 1e9) / (1 + drift_ppm * 1e-6)


def report_clocks(timeline, since_ns):
    """Print what became of the times of each host's records; return what is wrong."""
    events, order = timeline.events, timeline.order
    reference = events.nodes[order.reference].name
    seconds, drift_ppm = CLOCKS[reference]
    wrong = []
    print(f"\n{len(events):,} records; clocks ahead of that of {reference}:\n")
    print(
        "| host | put, s | put, ppm | found, s | found, ppm | off by at most, us | error bar, median us | within it |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for clock in order.clocks:
        host = events.nodes[clock.node].name
        own = slice(events.starts[clock.node], events.starts[clock.node + 1])
        if host not in CLOCKS:
            continue
        true = true_ns(host, events.at_ns[own].astype(float), since_ns) - since_ns
        said = order.time_ns[own] - since_ns - (true + seconds * 1e9 + drift_ppm * 1e-6 * true)
        error = order.error_ns[own]
        within = float((np.abs(said) <= error + 1000).mean())  # doubles, of nanoseconds since 1970, are 256 ns apart
        middle = true[[0, -1]].mean()
        put = (CLOCKS[host][0] - seconds) * 1e9 + (CLOCKS[host][1] - drift_ppm) * 1e-6 * middle
        print(
            f"| {host} | {put / 1e9:+.5f} | {CLOCKS[host][1] - drift_ppm:+.0f} | {clock.offset_ns / 1e9:+.5f} "
            f"| {clock.drift_ppm:+.0f} ± {clock.drift_error_ppm:.0f} | {np.abs(said).max() / 1e3:.0f} "
            f"| {np.median(error) / 1e3:.0f} | {within:.2%} |"
        )
        if within < 0.95 or np.median(error) > 5e6:
            wrong.append(f"{within:.1%} of the times of {host} are within their error bars")
    return wrong


def report(timeline):
    """Print what was said, and what is found to be wrong; return the faults that are not told of."""
    events, order = timeline.events, timeline.order
    sent = np.flatnonzero(np.isin(events.kind, (Kind.SENT, Kind.RESENT)))
    arrived = int((order.partner[sent] >= 0).sum())
    print(f"\n{sent.size:,} messages sent, {arrived:,} of them found where they arrived; most often:")
    for name, n in Counter(timeline.labels[int(k)] for k in sent).most_common(12):
        print(f"  {n:6,} {name}")
    print("\nFindings:")
    for each in timeline.findings:
        print(f"  {each.kind}: {each.text}")
    print("\n" + timeline.explain())
    told = [(each.kind, each.text) for each in timeline.findings]
    wrong = []
    if not any(kind == "failure" and "connection re" in text for kind, text in told):
        wrong.append("no finding says that Redis refused connections while it was dead")
    if not any(kind == "loss" and "middle to far" in text for kind, text in told):
        wrong.append("no finding says that packets to the third host were lost")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="keep the captures, and the timeline in all formats, in this folder")
    options = parser.parse_args()
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        sys.exit(f"needs root, and these programs: {', '.join(missing) or 'all there'}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        captures = play(folder)
        since_ns = min(first_ns(path) for path in captures.values())
        for host, path in captures.items():
            n = shift(path, *CLOCKS[host], since_ns)
            print(f"{host}: {n:,} packets, {path.stat().st_size:,} bytes")
        begun = time.process_time()
        timeline = hs.read_timeline(list(captures.values()))
        wrong = report_clocks(timeline, since_ns) + report(timeline)
        print(f"\nread and put in order in {time.process_time() - begun:.1f} s of processor time")
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            for path in captures.values():
                shutil.copy(path, options.keep)
            for suffix in (".pftrace", ".json", ".shiviz", ".pcapng", ".otlp.jsonl", ".timeline", ".html"):
                target = options.keep / f"captures{suffix}"
                target.unlink(missing_ok=True)
                timeline.write(target)
    for each in wrong:
        print(f"FAILED: {each}")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
