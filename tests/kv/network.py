"""Stores joined by a network that a test directs: it decides which message arrives next.

No RPC: a call is one message, its answer another, "the answer was used" a third; none is lost or doubled, any may
overtake any other. Views are entered one member at a time; as with real members, messages pass only between members of
one epoch, and calls are served only when all have entered it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hydroscope.kv.effects import Answer, Ask, Changed, Finish, Ordered
from hydroscope.kv.functions import Functions
from hydroscope.kv.homes import home_of
from hydroscope.kv.invariants import check_together, check_together_at_rest
from hydroscope.kv.store import Store
from hydroscope.wire.messages import MemberInfo, View

__all__ = ["Message", "Network", "key_at"]


@dataclass(slots=True)
class Message:
    """Something on the way: a "call", its "answer", or "settled"."""

    kind: str
    sender: int
    receiver: int
    number: int
    """Of the call: the tag that the caller's store gave it."""
    body: Any

    @property
    def name(self) -> str:
        """The type of its body."""
        return type(self.body).__name__


@dataclass
class Network:
    """`n_stores` founders, then `n_leaves` leaves, numbered from 0."""

    n_stores: int = 3
    n_leaves: int = 0
    store: type[Store] = Store
    checks: bool = True
    flying: list[Message] = field(default_factory=list)
    outcomes: dict[Any, Any] = field(default_factory=dict)
    order: dict[str, list[tuple[int, Any, Any]]] = field(default_factory=dict)
    changed: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        numbers = range(self.n_stores + self.n_leaves)
        self.fronts: dict[int, dict[str, Any]] = {number: {} for number in numbers}
        self.members = {n: self.store(n, Functions(lambda: 0.0), self.fronts[n]) for n in numbers}
        self.n_ops = 0
        self.entering: dict[int, View] = {}
        self.view = self.make_view(1)
        for number in numbers:
            self.perform(number, self.members[number].enter(self.view))

    def make_view(self, epoch: int) -> View:
        members = tuple(MemberInfo(n, n + 1, stores=n < self.n_stores) for n in sorted(self.members))
        return View(epoch, members, tuple(range(self.n_stores)))

    # --- operations -------------------------------------------------------------------------------------------------

    def begin(
        self, number: int, operation: str, *arguments: Any, thread: int = 0, op: Any = None, **options: Any
    ) -> Any:
        """Begin an operation of a member's thread; returns its name."""
        if op is None:
            self.n_ops += 1
            op = self.n_ops
        method = getattr(self.members[number], operation)
        takes_thread = operation in ("get", "put", "atomic", "fence")
        effects = method(op, 100 * number + thread, *arguments, **options) if takes_thread else method(op, *arguments)
        self.perform(number, effects)
        return op

    def run(self, number: int, operation: str, *arguments: Any, **options: Any) -> Any:
        """Begin an operation and deliver everything; returns its outcome."""
        op = self.begin(number, operation, *arguments, **options)
        self.drain()
        return self.outcomes[op]

    def reads(self, number: int, key: str) -> Any:
        """Return what a get there comes to when everything is delivered."""
        return self.run(number, "get", key).value

    # --- the network ------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return not self.entering

    def may_pass(self, message: Message) -> bool:
        sender, receiver = self.members.get(message.sender), self.members.get(message.receiver)
        if sender is None or receiver is None or sender.desk.epoch != receiver.desk.epoch:
            return False
        return self.is_open or message.kind != "call"

    def ready(self) -> list[Message]:
        """Return what could arrive next."""
        if not self.entering:
            return self.flying
        return [message for message in self.flying if self.may_pass(message)]

    def deliver(self, message: Message) -> None:
        """Let one message arrive."""
        self.flying.remove(message)
        member = self.members[message.receiver]
        if message.kind == "call":
            effects = member.serve(message.sender, message.number, message.body)
        elif message.kind == "answer":
            effects = member.answered(message.number, message.body)
            self.flying.append(Message("settled", message.receiver, message.sender, message.number, None))
        else:
            effects = member.settled(message.sender, message.number)
        self.perform(message.receiver, effects)

    def pass_on(self, kind: str, receiver: int, name: str = "", sender: int | None = None) -> Message:
        """Let the one message of this description arrive."""
        found = [
            message
            for message in self.ready()
            if (message.kind, message.receiver) == (kind, receiver)
            and (not name or message.name == name)
            and sender in (None, message.sender)
        ]
        assert len(found) == 1, (found, self.flying)
        self.deliver(found[0])
        return found[0]

    def drain(self, but: Callable[[Message], bool] = lambda message: False) -> None:
        """Deliver in the order of sending until nothing is left (`but` some stay on the way)."""
        while ready := [message for message in self.ready() if not but(message)]:
            self.deliver(ready[0])

    def perform(self, number: int, effects: list[Any]) -> None:
        for effect in effects:
            match effect:
                case Ask(peer=peer) | Answer(peer=peer) if peer not in self.members:
                    pass
                case Ask(peer=peer, request=request, tag=tag):
                    self.flying.append(Message("call", number, peer, tag, request))
                case Answer(peer=peer, number=call, reply=reply):
                    self.flying.append(Message("answer", number, peer, call, reply))
                case Finish(op=op, outcome=outcome):
                    assert op not in self.outcomes, f"operation {op} finished twice"
                    self.outcomes[op] = outcome
                case Ordered(key=key, version=version, value=value, op=op):
                    log = self.order.setdefault(key, [])
                    assert not log or log[-1][0] < version, (key, log, version)
                    log.append((version, value, op))
                case Changed(keys=keys):
                    self.changed.append((number, keys))
        if self.checks:
            check_together(self.members.values())

    # --- others come and go -----------------------------------------------------------------------------------------

    def join(self) -> int:
        """Let a leaf join; all still have to `enter` the view with it. Returns its number."""
        number = self.n_stores + self.n_leaves
        self.n_leaves += 1
        self.fronts[number] = {}
        self.members[number] = self.store(number, Functions(lambda: 0.0), self.fronts[number])
        self.view = self.make_view(self.view.epoch + 1)
        self.entering = dict.fromkeys(self.members, self.view)
        return number

    def kill(self, *numbers: int) -> None:
        """Let members die; the others still have to `enter` the view without them."""
        for number in numbers:
            del self.members[number]
        self.flying = [m for m in self.flying if m.sender in self.members and m.receiver in self.members]
        self.view = self.make_view(self.view.epoch + 1)
        self.entering = dict.fromkeys(self.members, self.view)

    def enter(self, number: int) -> None:
        """Let one member enter the newest view."""
        self.perform(number, self.members[number].enter(self.entering.pop(number)))

    def enter_all(self) -> None:
        for number in list(self.entering):
            self.enter(number)

    def check_at_rest(self) -> None:
        assert not self.flying
        assert not self.entering
        for member in self.members.values():
            member.check()
        check_together_at_rest(self.members.values())


def key_at(home: int, network: Network, word: str = "k") -> str:
    """Return a key that is at home at a member by its hash."""
    return next(key for key in (f"{word}{i}" for i in range(10_000)) if home_of(key, network.view) == home)
