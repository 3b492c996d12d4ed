"""What somebody on the network can send to a member: `python -m tests.wire.fuzz --frames 1000000 --seed 1`.

Three members talk for a while, by way of frames, and are recorded: a handshake, heartbeats,
calls of every kind, a large message in pieces; one of them is then given up. After that the
other two are sent frames of the kinds below. No input may raise; no member may change its
state, which is compared as a whole; every refusal has a reason and is counted; the process
does not grow. Prints a table: attack, frames, what became of them.
"""

from __future__ import annotations

import argparse
import hmac
import random
import resource
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any
from zlib import crc32

import msgspec

from hydroscope.ground.clocks.simulated import SimulatedClock
from hydroscope.kv.effects import Finish
from hydroscope.kv.functions import Functions
from hydroscope.node.actions import Connect, Transmit
from hydroscope.node.member import Member
from hydroscope.node.membership import Settings
from hydroscope.wire.frame import MAC_BYTES, VERSION, Framing, Refusal, encode_message
from hydroscope.wire.messages import (
    NOBODY,
    Ack,
    AckAck,
    Call,
    Hello,
    MemberInfo,
    Nack,
    Packet,
    PieceAck,
    Probe,
    Welcome,
)
from hydroscope.wire.stream import FrameReader
from tests.wire.examples import CLUSTER, SECRET, random_message

__all__ = ["ATTACKS", "Scene", "state_of"]

VOLATILE = {
    # what may change without meaning anything: counters, the story, the clock, when to look again
    "_actions", "_checked_removed", "_hlc", "_now", "_owing_since", "_story", "_timers", "_visits",
    "counters", "deadline", "next_beat", "refused", "refusals",
}  # fmt: skip
PLAIN = {int, float, str, bytes, bool, type(None)}
STEP_S = 0.25


def state_of(thing: Any, seen: dict[int, Any] | None = None) -> Any:
    """Return everything that a member holds, as nested tuples that compare; what is shared is told once."""
    kind = type(thing)
    if kind in PLAIN or isinstance(thing, int | type):
        return thing
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return kind.__name__
    seen[id(thing)] = thing  # and kept, so that no other thing gets its id
    if isinstance(thing, Counter) or callable(thing):
        return kind.__name__
    if isinstance(thing, dict):
        return tuple((repr(key), state_of(value, seen)) for key, value in thing.items())
    if isinstance(thing, list | tuple | deque):
        return tuple(state_of(each, seen) for each in thing)
    if isinstance(thing, set | frozenset | bytearray | memoryview):
        return repr(sorted(thing))
    if isinstance(thing, msgspec.Struct):
        return tuple(state_of(getattr(thing, name), seen) for name in thing.__struct_fields__)
    names = {*getattr(thing, "__slots__", ()), *getattr(thing, "__dict__", ())} - VOLATILE
    return kind.__name__, tuple((name, state_of(getattr(thing, name, None), seen)) for name in sorted(names))


class Scene:
    """Members that speak in frames, a recorder between them, and time that is set by hand."""

    def __init__(self) -> None:
        self.now = 1.0
        self.clock = SimulatedClock()
        self.framings = [Framing(CLUSTER, SECRET) for _ in range(3)]
        settings = Settings(n_founders=3)
        self.members = [
            Member(
                MemberInfo(0 if i == 0 else NOBODY, 100 + i, "127.0.0.1", 1, 2),
                CLUSTER,
                self.clock,
                Functions(self.clock.seconds),
                authority=0,
                settings=settings,
            )
            for i in range(3)
        ]
        self.recorded: list[tuple[int, bytes]] = []
        """(to, frame), from the beginning."""
        self.handshakes: list[tuple[int, bytes]] = []
        """Of these, what says Hello or Welcome."""
        self.outcomes: dict[Any, Any] = {}
        self.told: Counter[str] = Counter()
        self._wire: deque[tuple[int, bytes]] = deque()
        for i, member in enumerate(self.members):
            self.do(i, member.start(self.now) if i == 0 else member.join(7 + i, self.now))
        self.run(2.0)
        self._work(3)
        self.do(0, self.members[0].lose(self.members[2].number, self.now))
        self.run(1.0, alive=2)
        self._work(2)
        for member in self.members[:2]:
            member.check()
        self.before = [state_of(member) for member in self.members[:2]]

    def _work(self, alive: int) -> None:
        """Let everybody write, read and apply at every home; among it something large."""
        self.outcomes.clear()
        for n in range(12):
            at, key = n % alive, f"key-{n % 5}"
            member = self.members[at]
            value = {"n": n, "large": bytes(5_000)} if n == 4 else [n, "x"]
            self.do(at, member.put(("put", n), 1, key, value, self.now, wait=n % 2 == 0))
            self.do(at, member.get(("get", n), 1, f"key-{(n + 2) % 5}", self.now))
            self.do(at, member.atomic(("add", n), 1, f"count-{n % 3}", "add", (1,), self.now))
            self.run(0.5, alive)
        assert len(self.outcomes) == 36, "the members did not finish what they were asked"

    def do(self, i: int, actions: list[Any]) -> None:
        """Perform what member `i` wants; small packets to the same life go in one frame."""
        gathered: dict[tuple[int, int, int], list[Packet]] = {}
        for action in actions:
            self.told[type(action).__name__] += 1
            if isinstance(action, Transmit):
                packet = action.packet
                which = len(gathered) if action.stream else -1
                gathered.setdefault((packet.receiver_life, packet.epoch, which), []).append(packet)
            elif isinstance(action, Connect):
                self.do(i, self.members[i].connected(action.peer, action.stream, self.now))
            elif isinstance(action, Finish):
                self.outcomes[action.op] = action.outcome
        lives = {member.standing.me.life: n for n, member in enumerate(self.members)}
        for (life, _, _), packets in gathered.items():
            self._wire.append((lives.get(life, 0), self.framings[i].pack(*packets)))

    def run(self, seconds: float, alive: int = 3) -> None:
        """Let time pass, and frames arrive."""
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self.clock.set(self.now)
            for i, member in enumerate(self.members[:alive]):
                if member.deadline <= self.now:
                    self.do(i, member.expire(self.now))
            while self._wire:
                to, frame = self._wire.popleft()
                self.recorded.append((to, frame))
                packets = self.framings[to].unpack(frame)
                assert not isinstance(packets, Refusal)
                if any(isinstance(packet.message, Hello | Welcome) for packet in packets):
                    self.handshakes.append((to, frame))
                if to < alive:
                    self.do(to, self.members[to].receive(packets, self.now))

    def attack(self, to: int, frame: bytes) -> str:
        """Send a frame to a member; return what became of it. Answers of members go nowhere."""
        packets = self.framings[to].unpack(frame)
        if isinstance(packets, Refusal):
            return f"refused: {packets.reason}"
        return " and ".join(sorted({self._taken(to, packet) for packet in packets}))

    def _taken(self, to: int, packet: Packet) -> str:
        member = self.members[to]
        before = _counts(member)
        actions = member.receive([packet], self.now)
        for action in actions:
            assert isinstance(action, Transmit), f"{action} after {packet}"
        for name, n in _counts(member).items():
            if n > before.get(name, 0):
                return f"member: {name}"
        if actions:
            if isinstance(actions[0].packet.message, Welcome):
                return "member: the same Welcome again"
            return f"link: answered as a duplicate: {type(actions[0].packet.message).__name__}"
        return "link: counted and left"

    def check(self) -> None:
        """Raise where a member is not what it was."""
        for member, before in zip(self.members, self.before, strict=False):
            member.check()
            after = state_of(member)
            assert after == before, _difference(before, after)


def _counts(member: Member) -> dict[str, int]:
    """Return what a member counts of packets that it does not take."""
    return {**member.counters, **member.standing.counters}


def _difference(before: Any, after: Any, where: str = "state") -> str:
    if isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            if one != other:
                name = one[0] if isinstance(one, tuple) and one and isinstance(one[0], str) else index
                return _difference(one, other, f"{where}.{name}")
    return f"{where}: {before!r} became {after!r}"[:2_000]


# --- attacks: (scene, draw) -> (to, frame) ----------------------------------------------------------------------------


def _sealed(header: bytes, body: bytes, secret: bytes = SECRET) -> bytes:
    frame = header + struct.pack("!I", crc32(body, crc32(header))) + body
    return frame + hmac.digest(secret, frame, "sha256")[:MAC_BYTES]


def _header(scene: Scene, to: int, n_bytes: int, **changed: int) -> bytes:
    sender, receiver = scene.members[1 - to].standing, scene.members[to].standing
    parts = {
        "version": VERSION,
        "cluster": CLUSTER,
        "sender": sender.me.number,
        "sender_life": sender.me.life,
        "receiver": receiver.me.number,
        "receiver_life": receiver.me.life,
        "epoch": receiver.epoch,
        "hlc": scene.clock.wall_ns(),
        "length": n_bytes,
        **changed,
    }
    return struct.pack("!4sBQHQHQIQI", b"hyds", *parts.values())


def _body(*messages: bytes) -> bytes:
    """Return up to 15 messages as they travel."""
    return bytes((0x90 | len(messages),)) + b"".join(messages)


def _messages(draw: random.Random, has_hello: bool) -> list[bytes]:
    """Return some messages; with the secret a new life may say Hello, so there it must not be among them."""
    drawn = [random_message(draw) for _ in range(draw.choice((1, 1, 2, 5, 15)))]
    return [encode_message(each if has_hello or not isinstance(each, Hello) else Nack(1)) for each in drawn]


def _crafted(scene: Scene, draw: random.Random, secret: bytes = SECRET, **changed: int) -> tuple[int, bytes]:
    """Return a frame that is right but for what is changed."""
    to = draw.randrange(2)
    body = _body(*_messages(draw, has_hello=secret != SECRET or "cluster" in changed))
    return to, _sealed(_header(scene, to, len(body), **changed), body, secret)


def _spoiled(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    """Messages that would be taken but for one among them, or for their number."""
    to, messages = draw.randrange(2), _messages(draw, has_hello=True)
    if draw.random() < 0.3:
        claimed = draw.choice((b"\xdc\xff\xff", b"\xdd\xff\xff\xff\xff", b"\x90", b"\x9f", b"\x8f", b""))
        body = claimed + b"".join(messages[:14])
    else:
        messages[draw.randrange(len(messages))] = draw.choice(
            (b"\xc0", b"\x90", b"\xc1", b"\x92\x63\x01", b"", b"\x91\x0e")
        )
        body = _body(*messages)
    return to, _sealed(_header(scene, to, len(body)), body)


def _random_bytes(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    return draw.randrange(2), draw.randbytes(draw.choice((0, 1, 4, 52, 53, 69, 200, 1400)))


def _random_after_magic(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    return draw.randrange(2), b"hyds\x03" + draw.randbytes(draw.randrange(1400))


def _http(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    verb = draw.choice((b"GET", b"POST", b"OPTIONS", b"CONNECT", b"PRI"))
    return draw.randrange(2), verb + b" /3/Cloud HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + b"x" * draw.randrange(99)


def _mutated(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    to, frame = _recorded(scene, draw)
    data = bytearray(frame)
    for _ in range(draw.randrange(1, 5)):
        data[draw.randrange(len(data))] ^= draw.randrange(1, 256)
    return to, bytes(data) if bytes(data) != frame else frame[:-1]


def _repaired(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    """A changed frame whose checksum was put right by somebody who does not have the secret."""
    to, frame = _recorded(scene, draw)
    data = bytearray(frame)
    data[draw.randrange(5, len(data) - MAC_BYTES)] ^= draw.randrange(1, 256)
    data[49:53] = struct.pack("!I", crc32(data[53:-MAC_BYTES], crc32(data[:49])))
    return to, bytes(data) if bytes(data) != frame else frame[:-1]


def _cut(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    to, frame = _recorded(scene, draw)
    return to, frame[: draw.randrange(len(frame))] if draw.random() < 0.5 else frame + draw.randbytes(3)


def _recorded(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    to, frame = draw.choice(scene.recorded)
    return min(to, 1), frame


def _replayed_handshake(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    return draw.choice([each for each in scene.handshakes if each[0] < 2])


def _replayed_elsewhere(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    to, frame = draw.choice([each for each in scene.recorded if each[0] < 2 and each not in scene.handshakes])
    return 1 - to, frame


def _no_mac(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    to, frame = _crafted(scene, draw)
    return to, frame[:-MAC_BYTES] + bytes(MAC_BYTES)


def _other_secret(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    return _crafted(scene, draw, secret=b"guessed" * 4)


def _other_cluster(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    return _crafted(scene, draw, cluster=draw.getrandbits(64))


def _other_version(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    return _crafted(scene, draw, version=draw.choice((0, 1, VERSION - 1, VERSION + 1, 255)))


def _to_an_old_life(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    return _crafted(scene, draw, receiver_life=draw.choice((0, 99, 102, draw.getrandbits(64))))


def _from_an_old_life(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    """The member that was given up, or one that never was, with the right secret."""
    return _crafted(scene, draw, sender_life=draw.choice((0, 102, draw.getrandbits(63) + 2**62)), sender=2)


def _of_another_epoch(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    to = draw.randrange(2)
    said = draw.choices((Call(10**6, b"?"), Ack(1, b"?"), AckAck(1), Probe(1), Nack(1)), k=draw.randrange(1, 4))
    body = _body(*map(encode_message, said))
    epoch = scene.members[to].standing.epoch + draw.choice((-1, 1, 1000))
    return to, _sealed(_header(scene, to, len(body), epoch=epoch), body)


def _from_the_future(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    to = draw.randrange(2)
    body = _body(encode_message(Call(10**6, b"?")))
    return to, _sealed(
        _header(scene, to, len(body), hlc=draw.choice((2**64 - 1, scene.clock.wall_ns() + 10**11))), body
    )


def _unknown_type(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    to, kind = draw.randrange(2), draw.choice((0, 6, 9, 15, 22, 99, 255))
    body = _body(bytes((0x92, kind if kind < 128 else 127, 1)))
    return to, _sealed(_header(scene, to, len(body)), body)


def _long_claim(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    to = draw.randrange(2)
    return to, _sealed(_header(scene, to, draw.choice((2**31, 2**32 - 1, 2**20))), b"x")


def _long_claim_within(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    """A right frame whose body claims to hold far more than there is."""
    to = draw.randrange(2)
    claim = draw.choice((b"\xc6\x7f\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdb\x7f\xff\xff\xff"))
    body = _body(bytes((0x93, 10, 1)) + claim)
    return to, _sealed(_header(scene, to, len(body)), body)


def _deep(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    to = draw.randrange(2)
    body = draw.choice((b"", _body(bytes((0x93, 10, 1))), _body(bytes((0x92, 4))))) + b"\x91" * 100_000
    return to, _sealed(_header(scene, to, len(body)), body)


def _pickle(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    to = draw.randrange(2)
    pickled = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."
    body = draw.choice((pickled, _body(pickled)))
    return to, _sealed(_header(scene, to, len(body)), body)


def _impossible_numbers(scene: Scene, draw: random.Random) -> tuple[int, bytes]:
    """A member that belongs, about calls that were never made."""
    to, messages = draw.randrange(2), []
    for _ in range(draw.choice((1, 1, 4))):
        number = draw.choice((-1, 0, 10**6, 2**63))
        message = draw.choice((Ack, lambda n, _: AckAck(n), lambda n, _: Nack(n)))(number, b"?")
        if draw.random() < 0.3:
            message = PieceAck(number, draw.choice((-1, 0, 5, 2**40)))
        messages.append(encode_message(message))
    body = _body(*messages)
    return to, _sealed(_header(scene, to, len(body)), body)


ATTACKS: dict[str, tuple[Callable[[Scene, random.Random], tuple[int, bytes]], float]] = {
    "random bytes": (_random_bytes, 1),
    "random bytes after the right beginning": (_random_after_magic, 1),
    "HTTP request": (_http, 1),
    "recorded frame, bytes changed": (_mutated, 2),
    "recorded frame, changed, checksum put right": (_repaired, 2),
    "recorded frame, cut or lengthened": (_cut, 1),
    "no MAC": (_no_mac, 1),
    "MAC of another secret": (_other_secret, 1),
    "other cluster": (_other_cluster, 1),
    "other version": (_other_version, 1),
    "to another life of the receiver": (_to_an_old_life, 1),
    "from a life that was given up": (_from_an_old_life, 1),
    "of another epoch": (_of_another_epoch, 1),
    "stamp from the future": (_from_the_future, 1),
    "unknown type": (_unknown_type, 1),
    "several messages, one spoiled or their number wrong": (_spoiled, 1),
    "length 2**31 in the header": (_long_claim, 1),
    "length 2**31 in the body": (_long_claim_within, 1),
    "100,000 levels deep": (_deep, 0.05),
    "pickle": (_pickle, 1),
    "answers to calls never made": (_impossible_numbers, 1),
    "replay: anything recorded": (_recorded, 3),
    "replay: the handshake": (_replayed_handshake, 0.5),
    "replay: to somebody else": (_replayed_elsewhere, 1),
}
"""Attack: how a frame of it is made, and its weight."""


def run(n_frames: int, seed: int, check_each: int) -> tuple[dict[str, Counter[str]], int]:
    """Return what became of the frames of each attack, and by how many bytes the process grew."""
    scene, draw = Scene(), random.Random(seed)
    names, weights = list(ATTACKS), [weight for _, weight in ATTACKS.values()]
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in names}
    grown_from = 0
    for turn, name in enumerate(draw.choices(names, weights, k=n_frames)):
        to, frame = ATTACKS[name][0](scene, draw)
        outcomes[name][scene.attack(to, frame)] += 1
        if turn % 16 == 0:  # the same on a stream
            reader = FrameReader(scene.framings[to])
            rest = memoryview(frame)
            while rest and reader.refusal is None:
                room = reader.room()
                n_bytes = min(len(room), len(rest))
                room[:n_bytes] = rest[:n_bytes]
                for packet in reader.received(n_bytes):
                    scene.members[to].receive([packet], scene.now)
                rest = rest[n_bytes:]
            assert reader._end - reader._start <= len(frame)
        if turn % check_each == 0 or turn == n_frames - 1:
            scene.check()
        if turn == min(n_frames // 10, 20_000):
            grown_from = _resident_bytes()
    return outcomes, _resident_bytes() - grown_from


def _resident_bytes() -> int:
    with open("/proc/self/statm") as status:
        return int(status.read().split()[1]) * resource.getpagesize()


def table(outcomes: dict[str, Counter[str]]) -> str:
    """Return attack against outcome, as Markdown."""
    lines = ["| attack | frames | what became of them |", "|---|---:|---|"]
    for name, counted in outcomes.items():
        what = "; ".join(f"{outcome} {n:,}" for outcome, n in counted.most_common())
        lines.append(f"| {name} | {sum(counted.values()):,} | {what} |")
    return "\n".join(lines)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check-each", type=int, default=1_000)
    arguments = parser.parse_args()
    began = time.perf_counter()
    outcomes, grown = run(arguments.frames, arguments.seed, arguments.check_each)
    print(table(outcomes))
    print(
        f"\n{arguments.frames:,} frames, seed {arguments.seed}, {time.perf_counter() - began:.0f} s: "
        f"0 exceptions, 0 changes of state, resident memory grew by {grown / 2**20:.1f} MiB"
    )
    sys.exit(0 if grown < 32 * 2**20 else 1)


if __name__ == "__main__":
    main()
