"""Links with one rule broken each: the simulator has to notice."""

from __future__ import annotations

from typing import Any

from hydroscope.rpc.effects import Send
from hydroscope.rpc.link import Link
from hydroscope.rpc.states import CLIENT, SERVER, Action, ClientEvent, ClientState, Step
from hydroscope.wire.messages import Ack, Call

__all__ = ["RPC_MUTANTS"]

ANSWERED = (ClientState.SENT, ClientEvent.ACK), (ClientState.NACKED, ClientEvent.ACK)


class Unchecked(Link):
    """A link whose own invariants say nothing, so that only what can be seen from outside convicts it."""

    def check(self, at_rest: bool = False) -> None:
        """Say nothing."""


class AckAckFirst(Unchecked):
    """ACKACK before the result is used."""


AckAckFirst.client = AckAckFirst.plan(
    {
        **CLIENT,
        **dict.fromkeys(ANSWERED, Step(ClientState.DONE, (Action.SEND_ACKACK, Action.DELIVER, Action.FORGET_CALL))),
    }
)


class ForgetAtAck(Unchecked):
    """The server forgets a call as soon as it has sent the result."""

    def _arm_ack(self, number: int, record: Any, body: Any, now: float, effects: list[Any]) -> None:
        self._kept_bytes -= record.size_bytes
        self._theirs.pop(number, None)


ForgetAtAck.server = ForgetAtAck.plan(SERVER)


class NoWatermark(Unchecked):
    """Settled calls are not remembered."""

    def _drop_result(self, number: int, record: Any, body: Any, now: float, effects: list[Any]) -> None:
        self._kept_bytes -= record.size_bytes
        del self._theirs[number]


NoWatermark.server = NoWatermark.plan(SERVER)


class NackIsAck(Unchecked):
    """A NACK is taken for an answer."""


NackIsAck.client = NackIsAck.plan(
    {
        **CLIENT,
        (ClientState.SENT, ClientEvent.NACK): Step(
            ClientState.DONE, (Action.DELIVER, Action.SEND_ACKACK, Action.FORGET_CALL)
        ),
    }
)


class Reencodes(Unchecked):
    """What is sent again is encoded again, from what the task has become meanwhile."""

    def _resend_call(self, number: int, task: Any, body: Any, now: float, effects: list[Any]) -> None:
        task.body = task.body + b"'" if isinstance(task.body, bytes) else task.body
        task.n_sent += 1
        effects.append(Send(Call(number, task.body)))

    def _resend_ack(self, number: int, record: Any, body: Any, now: float, effects: list[Any]) -> None:
        record.body = record.body + b"'" if isinstance(record.body, bytes) else record.body
        record.n_sent += 1
        effects.append(Send(Ack(number, record.body)))


Reencodes.client = Reencodes.plan(CLIENT)
Reencodes.server = Reencodes.plan(SERVER)

RPC_MUTANTS: dict[str, type[Link]] = {
    "ACKACK before the result is used": AckAckFirst,
    "call forgotten at its ACK": ForgetAtAck,
    "no watermark": NoWatermark,
    "NACK taken for an ACK": NackIsAck,
    "resend encodes again": Reencodes,
}
