"""Three processes that count together over UDP, and what became of them: one stops, one forgets to answer.

Each has two lines more than it would have otherwise. Run it with `python examples/three_nodes.py`; it lasts some
seconds, works in a temporary folder, and ends with what a timeline says of it.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time

import hydroscope as hs

PORTS = {"a": 19_101, "b": 19_102, "c": 19_103}
SECONDS = 2.0

RULES = """
count(n) = received "COUNT" by data[6:14]
ack(n)   = sent "ACK" by data[6:14]
count(n) ~> ack(n)              # each "a>b 0017" is answered, sooner or later
"""


def node(name: str, folder: str) -> None:
    """Tell the others a number every 20 ms, as "COUNT a>b 0017", and acknowledge theirs; with two faults."""
    rec = hs.Recorder(name, folder=folder)
    hs.taps.install(rec)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", PORTS[name]))
        own.settimeout(0.01)
        began = told = time.monotonic()
        number = 0
        while (now := time.monotonic()) < began + SECONDS:
            if now > told + 0.02:
                told, number = now, number + 1
                for other in PORTS.keys() - {name}:
                    own.sendto(f"COUNT {name}>{other} {number:04d}".encode(), ("127.0.0.1", PORTS[other]))
            try:
                message, sender = own.recvfrom(100)
            except OSError:  # nobody said anything, or somebody is gone
                continue
            if message.startswith(b"COUNT"):
                if name == "b" and number % 10 == 7:
                    continue  # the first fault
                if name == "c" and number == 25:
                    raise RuntimeError("too many")  # the second
                own.sendto(message.replace(b"COUNT", b"ACK  "), sender)


def main() -> None:
    """Let them run, and ask what happened."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__]
        nodes = [subprocess.Popen([*command, name, folder], stderr=subprocess.DEVNULL) for name in PORTS]
        for each in nodes:
            each.wait()
        timeline = hs.read_timeline(folder, rules=RULES)
        print(timeline, "\n")
        print(timeline.explain(timeline.findings[0]), "\n")
        print(timeline.table(around=timeline.findings[0], limit=8))


if __name__ == "__main__":
    node(*sys.argv[1:]) if set(sys.argv[1:2]) & set(PORTS) else main()
