"""Large messages to and from one life of one peer, over streams that need not be trusted.

A message is cut into pieces, which travel in order on one stream; the receiver acknowledges,
by datagram, how many it has, and a whole message after it was handed over. Many messages
share the stream, a piece each in turn, so that a short one does not wait for a long one. What
is on the way is bounded by a window, what the receiver holds by what both ends know may be
begun; so neither end needs more memory than that, however slow the other is.

Nothing here waits or sends: as everywhere in this room, methods return what is to be done, in
order. `rpc.bulk_states` says when a stream is given up for a fresh one.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Hashable, Sequence
from io import BytesIO
from zlib import crc32

import msgspec

from hydroscope.ground.errors import InternalError
from hydroscope.ground.limits import MESSAGE_BYTES, PIECE_BYTES
from hydroscope.rpc.bulk_states import STREAM, StreamAction, StreamEvent, StreamState
from hydroscope.rpc.effects import Send
from hydroscope.rpc.outgoing import Outgoing
from hydroscope.wire.messages import Piece, PieceAck

__all__ = ["Bulk", "BulkEffect", "Connect", "Limits", "Stream", "Whole"]


class Limits(msgspec.Struct, frozen=True):
    """Sizes and patience; the same at both ends."""

    piece_bytes: int = PIECE_BYTES
    window_bytes: int = 32 * PIECE_BYTES
    """Sent and not acknowledged."""
    begun_bytes: int = 256 * 2**20
    """Of messages of which a piece was sent; one longer message may travel alone."""
    begun: int = 64
    """Messages of which a piece was sent."""
    span: int = 4096
    """Messages from the first that is not acknowledged to the last that is begun."""
    pause_s: float = 0.05
    """Before a stream that broke is opened again; doubled each time."""
    stall_s: float = 2.0
    """Without an acknowledgement, a stream is left after this; doubled each time."""
    longest_s: float = 30.0


class Connect(msgspec.Struct, frozen=True):
    """Open a stream to the peer, which shall have this number; close any earlier one."""

    stream: int


class Stream(msgspec.Struct, frozen=True):
    """Put a piece on the stream of this number (or drop it, when that is gone)."""

    stream: int
    message: Piece


class Whole(msgspec.Struct, frozen=True):
    """A large message is here, whole and undamaged. Use it now: the effect after this one lets the peer forget it."""

    data: BytesIO
    """It is whoever takes it who owns it: its buffer can become what the message holds, without a copy."""


BulkEffect = Connect | Stream | Send | Whole


class Sender:
    """Our messages to the peer, and our stream."""

    def __init__(self, limits: Limits, counters: Counter[str]) -> None:
        self.state = StreamState.CLOSED
        self.stream = 0
        self.counters = counters
        self._limits = limits
        self._last_number = 0
        self._queue: deque[Outgoing] = deque()
        self._begun: dict[int, Outgoing] = {}
        self._begun_bytes = 0
        self._names: set[Hashable] = set()
        self._turns: deque[Outgoing] = deque()
        self._in_flight_bytes = 0
        self._place = 0
        self._acked_place = 0
        self._failures = 0
        self._since = math.inf  # the last progress, or the beginning of waiting for some
        self._nudged = -math.inf

    def send(self, name: Hashable, parts: Sequence[bytes | memoryview], now: float) -> list[BulkEffect]:
        """Send a message, unless the one of this name is still on its way."""
        n_bytes = sum(map(len, parts))
        if not 0 < n_bytes <= MESSAGE_BYTES:
            raise InternalError(f"a large message of {n_bytes} bytes; 1 to {MESSAGE_BYTES} can be sent")
        effects: list[BulkEffect] = []
        if name in self._names:
            self.counters["sent_already"] += 1
            return effects
        self._names.add(name)
        self._last_number += 1
        self._queue.append(Outgoing(self._last_number, name, parts, self._limits.piece_bytes))
        self._step(StreamEvent.WANTED, now, effects)
        return effects

    def connected(self, stream: int, now: float) -> list[BulkEffect]:
        """Note that the stream that was asked for is open."""
        effects: list[BulkEffect] = []
        if stream == self.stream and self.state is StreamState.OPENING:
            self._step(StreamEvent.CONNECTED, now, effects)
        return effects

    def broken(self, stream: int, now: float) -> list[BulkEffect]:
        """Note that the stream is gone, or did not open."""
        effects: list[BulkEffect] = []
        if stream == self.stream and self.state in (StreamState.OPENING, StreamState.OPEN):
            self._step(StreamEvent.BROKEN if self._has_work() else StreamEvent.BROKEN_IDLE, now, effects)
        return effects

    def acknowledged(self, ack: PieceAck, now: float) -> list[BulkEffect]:
        """Take in how much the peer has of a message."""
        effects: list[BulkEffect] = []
        transfer = self._begun.get(ack.transfer)
        if transfer is None or ack.n_received > transfer.n_pieces:
            self.counters["stray_acks"] += 1
        elif ack.n_received < 0:
            self.counters["begun_again"] += 1
            self._rewind(transfer)
            transfer.acked = transfer.next = 0
            del transfer.checksums[:]
            self._take_turn(transfer)
            self._pump(now, effects)
        elif ack.n_received > transfer.acked:
            self._advance(transfer, ack.n_received)
            self._failures = 0
            self._since = now if self._has_work() else math.inf
            self._repair(transfer, now)
            self._pump(now, effects)
        return effects

    def expire(self, now: float) -> list[BulkEffect]:
        """Nudge the peer, or leave the stream."""
        effects: list[BulkEffect] = []
        if self._since + self._patience() <= now:
            self._step(StreamEvent.STALLED, now, effects)
        elif self.state is StreamState.OPEN and self._nudge_due() <= now:
            self._step(StreamEvent.SILENT, now, effects)
        return effects

    @property
    def deadline(self) -> float:
        """Return when `expire` is next wanted."""
        due = self._since + self._patience()
        return min(due, self._nudge_due()) if self.state is StreamState.OPEN else due

    def check(self) -> None:
        """Raise `InternalError` where an invariant of the sender does not hold."""
        limits = self._limits
        in_flight = sum(each.size(index) for each in self._begun.values() for index in each.unacked)
        ok = (
            in_flight == self._in_flight_bytes
            and in_flight < limits.window_bytes + limits.piece_bytes
            and all(0 <= each.acked <= each.next <= each.n_pieces for each in self._begun.values())
            and all(len(each.sent) == each.next - each.acked for each in self._begun.values())
            and all(each.is_in_turn for each in self._begun.values() if each.next < each.n_pieces)
            and self._begun_bytes == sum(each.size_bytes for each in self._begun.values())
            and (self._begun_bytes <= limits.begun_bytes or len(self._begun) == 1)
            and len(self._names) == len(self._begun) + len(self._queue)
            and (self._since < math.inf or not self._has_work())
        )
        if not ok:
            raise InternalError(f"the account of large messages is wrong: {in_flight} bytes in flight, {vars(self)}")

    # --- actions ----------------------------------------------------------------------------------------------------

    def _step(self, event: StreamEvent, now: float, effects: list[BulkEffect]) -> None:
        self.counters[f"stream_{event.name.lower()}"] += 1
        at = self.state
        self.state, actions = STREAM[at, event]
        for action in actions:
            match action:
                case StreamAction.CONNECT:
                    self.stream += 1
                    effects.append(Connect(self.stream))
                case StreamAction.REWIND:
                    for transfer in self._begun.values():
                        self._rewind(transfer)
                        self._take_turn(transfer)
                case StreamAction.PUMP:
                    self._pump(now, effects)
                case StreamAction.NUDGE:
                    self._nudge(now, effects)
                case StreamAction.BACK_OFF:
                    self._failures += 1
                case StreamAction.RAISE:
                    raise InternalError(f"{event.name} cannot happen to a stream that is {at.name}")
        if self.state is not at or event is StreamEvent.STALLED:
            self._since = math.inf
        self._since = min(self._since, now) if self._has_work() else math.inf

    def _pump(self, now: float, effects: list[BulkEffect]) -> None:
        """Send pieces in turn while the window has room."""
        if self.state is not StreamState.OPEN:
            return
        self._begin()
        while self._turns and self._in_flight_bytes < self._limits.window_bytes:
            transfer = self._turns.popleft()
            transfer.is_in_turn = False
            index = transfer.next
            if index == transfer.n_pieces:  # the peer had more than we knew
                continue
            self._place += 1
            transfer.sent.append((self._place, now))
            transfer.next += 1
            self._in_flight_bytes += transfer.size(index)
            effects.append(Stream(self.stream, transfer.piece(index)))
            if transfer.next < transfer.n_pieces:
                self._take_turn(transfer)

    def _begin(self) -> None:
        """Let messages from the queue have their turns, as far as the receiver will hold them."""
        limits = self._limits
        while self._queue:
            size_bytes = self._queue[0].size_bytes
            has_room = len(self._begun) < limits.begun and self._begun_bytes + size_bytes <= limits.begun_bytes
            if self._begun and not (has_room and self._queue[0].number < min(self._begun) + limits.span):
                return
            transfer = self._queue.popleft()
            self._begun[transfer.number] = transfer
            self._begun_bytes += size_bytes
            self._take_turn(transfer)

    def _nudge(self, now: float, effects: list[BulkEffect]) -> None:
        self._nudged = now
        waiting = [transfer for transfer in self._begun.values() if transfer.sent]
        if waiting:
            oldest = min(waiting, key=lambda transfer: transfer.sent[0])
            effects.append(Stream(self.stream, oldest.piece(oldest.acked)))

    def _advance(self, transfer: Outgoing, n_received: int) -> None:
        for index in range(transfer.acked, min(n_received, transfer.next)):
            place, _ = transfer.sent.popleft()
            self._acked_place = max(self._acked_place, place)
            self._in_flight_bytes -= transfer.size(index)
        transfer.acked = n_received
        transfer.next = max(transfer.next, n_received)
        if n_received == transfer.n_pieces:
            del self._begun[transfer.number]
            self._begun_bytes -= transfer.size_bytes
            self._names.remove(transfer.name)
            self.counters["messages_sent"] += 1

    def _repair(self, moved: Outgoing, now: float) -> None:
        """Go back where a piece stayed away although later ones of the same stream have arrived."""
        patience = self._limits.stall_s / 4
        for transfer in self._begun.values():
            if transfer is not moved and transfer.sent:
                place, at = transfer.sent[0]
                if place < self._acked_place and at + patience <= now:
                    self._rewind(transfer)
                    self._take_turn(transfer)

    def _rewind(self, transfer: Outgoing) -> None:
        for index in transfer.unacked:
            self._in_flight_bytes -= transfer.size(index)
        if transfer.sent:
            self.counters["rewound"] += 1
        transfer.sent.clear()
        transfer.next = transfer.acked

    def _take_turn(self, transfer: Outgoing) -> None:
        if not transfer.is_in_turn:
            transfer.is_in_turn = True
            self._turns.append(transfer)

    def _has_work(self) -> bool:
        return bool(self._begun or self._queue)

    def _patience(self) -> float:
        first = self._limits.pause_s if self.state is StreamState.WAITING else self._limits.stall_s
        return min(first * 2.0 ** min(self._failures, 16), self._limits.longest_s)

    def _nudge_due(self) -> float:
        return max(self._since, self._nudged) + self._limits.stall_s / 4


class Incoming(msgspec.Struct):
    """A message of the peer's, as far as it is here; owned by its `Receiver`."""

    n_pieces: int
    size_bytes: int
    data: BytesIO
    """It becomes a `bytes` without a copy; of memory it takes what has arrived, and an eighth of that."""
    n_held: int = 0
    n_received: int = 0
    crc: int = 0


class Receiver:
    """The peer's messages to us."""

    def __init__(self, limits: Limits, counters: Counter[str]) -> None:
        self.counters = counters
        self.received = 0
        """Watermark: all messages up to this number are complete."""
        self._limits = limits
        self._begun: dict[int, Incoming] = {}
        self._complete: set[int] = set()

    def piece(self, piece: Piece) -> list[BulkEffect]:
        """Take in a piece; say how much is there."""
        number = piece.transfer
        if number <= self.received or number in self._complete:
            self.counters["duplicate_pieces"] += 1
            return [Send(PieceAck(number, piece.n_pieces))]
        transfer = self._begun.get(number)
        if transfer is None:
            transfer = self._begin(piece)
            if transfer is None:
                return []
        if (piece.n_pieces, piece.size_bytes) != (transfer.n_pieces, transfer.size_bytes):
            self.counters["contradicting_pieces"] += 1
            return []
        if piece.index != transfer.n_received:
            late = piece.index < transfer.n_received
            self.counters["duplicate_pieces" if late else "pieces_after_a_gap"] += 1
            return [Send(PieceAck(number, transfer.n_received))]
        if len(piece.data) != min(self._limits.piece_bytes, transfer.size_bytes - transfer.n_held):
            self.counters["ill_formed_pieces"] += 1
            return [Send(PieceAck(number, transfer.n_received))]
        transfer.crc = crc32(piece.data, transfer.crc)
        if transfer.crc != piece.checksum:
            self.counters["damaged_messages"] += 1
            del self._begun[number]
            return [Send(PieceAck(number, -1))]
        transfer.n_held += transfer.data.write(piece.data)
        transfer.n_received += 1
        if transfer.n_received < transfer.n_pieces:
            return [Send(PieceAck(number, transfer.n_received))]
        return self._finish(number, transfer)

    def check(self) -> None:
        """Raise `InternalError` where an invariant of the receiver does not hold."""
        claimed = sum(each.size_bytes for each in self._begun.values())
        held = sum(each.n_held for each in self._begun.values())
        limits = self._limits
        ok = (
            held <= claimed
            and (claimed <= limits.begun_bytes or len(self._begun) == 1)
            and len(self._begun) <= limits.begun
            and len(self._complete) <= limits.span
            and all(number > self.received for number in (*self._begun, *self._complete))
        )
        if not ok:
            raise InternalError(f"more large messages are begun than may be: {len(self._begun)}, {claimed} bytes")

    def _begin(self, piece: Piece) -> Incoming | None:
        limits = self._limits
        claimed = sum(each.size_bytes for each in self._begun.values())
        is_well_formed = 0 < piece.size_bytes <= MESSAGE_BYTES and piece.n_pieces == -(
            -piece.size_bytes // limits.piece_bytes
        )
        has_room = (
            piece.transfer <= self.received + limits.span
            and len(self._begun) < limits.begun
            and (claimed + piece.size_bytes <= limits.begun_bytes or not self._begun)
        )
        if not is_well_formed or not has_room:
            self.counters["ill_formed_pieces" if not is_well_formed else "pieces_beyond_limits"] += 1
            return None
        transfer = Incoming(piece.n_pieces, piece.size_bytes, BytesIO())
        self._begun[piece.transfer] = transfer
        return transfer

    def _finish(self, number: int, transfer: Incoming) -> list[BulkEffect]:
        del self._begun[number]
        self._complete.add(number)
        while self.received + 1 in self._complete:
            self.received += 1
            self._complete.remove(self.received)
        self.counters["messages_received"] += 1
        return [Whole(transfer.data), Send(PieceAck(number, transfer.n_pieces))]


class Bulk:
    """Large messages between us and one life of one peer.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self.counters: Counter[str] = Counter()
        self._sender = Sender(limits, self.counters)
        self._receiver = Receiver(limits, self.counters)

    def send(self, name: Hashable, parts: Sequence[bytes | memoryview], now: float) -> list[BulkEffect]:
        """Send a large message, given in parts that belong one after the other and must not change.

        Nothing is done if the one of this name is still on its way. Cost: the CRC of it, no copy.
        """
        return self._sender.send(name, parts, now)

    def is_sending(self, name: Hashable) -> bool:
        """Return whether a message of this name is on its way: then `send` has nothing to do."""
        return name in self._sender._names

    def connected(self, stream: int, now: float) -> list[BulkEffect]:
        """Note that the stream that `Connect` asked for is open."""
        return self._sender.connected(stream, now)

    def broken(self, stream: int, now: float) -> list[BulkEffect]:
        """Note that a stream is gone or did not open; not to notice costs time only."""
        return self._sender.broken(stream, now)

    def receive(self, message: Piece | PieceAck, now: float) -> list[BulkEffect]:
        """Take in a message from the peer, by whatever way it came."""
        if isinstance(message, Piece):
            return self._receiver.piece(message)
        return self._sender.acknowledged(message, now)

    def expire(self, now: float) -> list[BulkEffect]:
        """Do what is due."""
        return self._sender.expire(now)

    @property
    def deadline(self) -> float:
        """Return when `expire` is next wanted; infinity for never."""
        return self._sender.deadline

    @property
    def in_flight_bytes(self) -> int:
        """Return how much was sent of messages and is not acknowledged."""
        return self._sender._in_flight_bytes

    @property
    def is_at_rest(self) -> bool:
        """Return whether nothing is on its way from us."""
        return not (self._sender._begun or self._sender._queue)

    def check(self) -> None:
        """Raise `InternalError` where an invariant does not hold."""
        self._sender.check()
        self._receiver.check()
