"""What is checked: models of the shipped tables, which must hold, and of mutants, which must not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydroscope.rpc.states import CLIENT, SERVER, Action, ClientEvent, ClientState, ServerEvent, ServerState, Step
from tests.spin.check import Model
from tests.spin.export import Table

__all__ = ["FULL", "MUTANTS", "SMALL"]

RPC = {"CLIENT": CLIENT, "SERVER": SERVER}
ROOMY = {"WINDOW": 9, "TABLE": 9, "LARGE": 0, "LOSS": 0}


def rpc(name: str, calls: int, faults: int, log2_states: int = 18, **sizes: int) -> Model:
    """Return a model of the RPC."""
    constants = {"CALLS": calls, "FAULTS": faults, **ROOMY, **sizes}
    optimize = "-O2" if log2_states > 18 else "-O0"
    return Model(f"rpc: {name}", "rpc", RPC, constants, ("n",), log2_states, optimize)


def rpc_mutant(name: str, side: str, patch: Mapping[tuple[Any, Any], Step], **sizes: int) -> Model:
    """Return a model of the RPC with some entries of one table changed."""
    tables: dict[str, Table] = {**RPC, side: {**RPC[side], **patch}}
    constants = {"CALLS": 2, "FAULTS": 2, **ROOMY, **sizes}
    return Model(f"rpc: {name}", "rpc", tables, constants, optimize="-O0", shortest=True)


def without(side: str, pair: tuple[Any, Any], *actions: Action) -> dict[tuple[Any, Any], Step]:
    """Return the patch that leaves actions out of one entry."""
    step = RPC[side][pair]
    return {pair: Step(step.state, tuple(action for action in step.actions if action not in actions))}


SMALL = (
    rpc("2 calls, 3 faults", 2, 3),
    rpc("2 calls, 2 faults, the peer is given up", 2, 2, LOSS=1),
)
"""Seconds in sum."""

FULL = (
    rpc("3 calls, 5 faults", 3, 5, 21),
    rpc("4 calls, 4 faults", 4, 4, 22),
    rpc("2 calls, 8 faults", 2, 8, 20),
    rpc("3 calls, 4 faults, one in flight", 3, 4, 20, WINDOW=1),
    rpc("3 calls, 4 faults, the server has room for one", 3, 4, 20, TABLE=1),
    rpc("3 calls, 3 faults, any may be large", 3, 3, 21, LARGE=1),
    rpc("3 calls, 3 faults, the peer is given up", 3, 3, 20, LOSS=1),
)
"""Minutes in sum."""

MUTANTS = (
    rpc_mutant(
        "FORGET: a call is forgotten with its ACK",
        "SERVER",
        {(ServerState.RUNNING, ServerEvent.FINISH): Step(ServerState.ABSENT, (Action.SEND_ACK,))},
    ),
    rpc_mutant(
        "NOROLL: the watermark stays",
        "SERVER",
        without("SERVER", (ServerState.DONE, ServerEvent.ACKACK), Action.ROLL),
    ),
    rpc_mutant(
        "NACK taken for an ACK",
        "CLIENT",
        {(ClientState.SENT, ClientEvent.NACK): CLIENT[ClientState.SENT, ClientEvent.ACK]},
    ),
    rpc_mutant(
        "ACKACK before the answer is used",
        "CLIENT",
        {
            (ClientState.SENT, ClientEvent.ACK): Step(
                ClientState.DONE, (Action.SEND_ACKACK, Action.DELIVER, Action.FORGET_CALL)
            )
        },
    ),
    rpc_mutant(
        "no ACKACK for a forgotten call",
        "CLIENT",
        without("CLIENT", (ClientState.DONE, ClientEvent.ACK), Action.SEND_ACKACK),
    ),
    rpc_mutant(
        "a call is sent again once",
        "CLIENT",
        without("CLIENT", (ClientState.SENT, ClientEvent.TIMEOUT), Action.ARM_CALL),
    ),
    rpc_mutant(
        "an ACK is not sent again",
        "SERVER",
        without("SERVER", (ServerState.RUNNING, ServerEvent.FINISH), Action.ARM_ACK),
    ),
)
"""Each must be caught."""
