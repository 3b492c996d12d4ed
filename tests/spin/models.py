"""What is checked: models of the shipped tables, which must hold, and of mutants, which must not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydroscope.kv.states import (
    CACHE,
    HOME,
    SLOT,
    CacheAction,
    CacheEvent,
    CacheState,
    CacheStep,
    HomeAction,
    HomeEvent,
    HomePhase,
    HomeStep,
)
from hydroscope.rpc.states import CLIENT, SERVER, Action, ClientEvent, ClientState, ServerEvent, ServerState, Step
from tests.spin.check import Model
from tests.spin.export import Table

__all__ = ["FULL", "MUTANTS", "SMALL", "UNMODELLED"]

RPC = {"CLIENT": CLIENT, "SERVER": SERVER}
KV = {"HOME": HOME, "CACHE": CACHE, "SLOT": SLOT}
UNMODELLED = {
    "HOME_ON_GET_LOST": "nobody is lost in the model",
    "HOME_ON_PEERS_LOST": "nobody is lost in the model",
    "CACHE_ON_HOME_LOST": "nobody is lost in the model",
    "SLOT_ON_WRITE_FENCED": "all writes of the model wait, so there is no plain put to wait for",
    "SLOT_ON_WRITE_MERGED": "all writes of the model wait",
    "SLOT_ON_RELEASED": "all writes of the model wait",
    "SLOT_ON_ENDED_HELD": "all writes of the model wait",
}
"""Events of the tables that no model brings about, and why; simulated clusters do."""
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


def kv(name: str, members: int, threads: int, ops: int, log2_states: int = 18, **sizes: int) -> Model:
    """Return a model of the store."""
    constants = {"MEMBERS": members, "THREADS": threads, "OPS": ops, "REMOVES": 0, "ATOMICS": 0, "DURABLE": 0, **sizes}
    optimize = "-O2" if log2_states > 18 else "-O0"
    return Model(f"kv: {name}", "kv", KV, constants, ("m",), log2_states, optimize)


def kv_mutant(name: str, side: str, patch: Mapping[tuple[Any, Any], Any], **sizes: int) -> Model:
    """Return a model of the store with some entries of one table changed."""
    tables: dict[str, Table] = {**KV, side: {**KV[side], **patch}}
    constants = {"MEMBERS": 3, "THREADS": 1, "OPS": 2, "REMOVES": 0, "ATOMICS": 0, "DURABLE": 0, **sizes}
    return Model(f"kv: {name}", "kv", tables, constants, ("m",), optimize="-O0", shortest=True)


def without(side: str, pair: tuple[Any, Any], *actions: Action) -> dict[tuple[Any, Any], Step]:
    """Return the patch that leaves actions out of one entry."""
    step = RPC[side][pair]
    return {pair: Step(step.state, tuple(action for action in step.actions if action not in actions))}


SMALL = (
    rpc("2 calls, 3 faults", 2, 3),
    rpc("2 calls, 2 faults, the peer is given up", 2, 2, LOSS=1),
    kv("3 members, 2 operations each", 3, 1, 2),
    kv("2 members, 2 threads, 2 operations of any kind each", 2, 2, 2, REMOVES=1, ATOMICS=1),
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
    kv("3 members, 3 operations each, absent values", 3, 1, 3, 22, REMOVES=1),
    kv("3 members, 2 operations of any kind each, second copies", 3, 1, 2, 22, REMOVES=1, ATOMICS=1, DURABLE=1),
    kv("3 members with 2 threads, an operation each, absent values", 3, 2, 1, 22, REMOVES=1),
    kv("2 members, 2 threads, 3 operations of any kind each", 2, 2, 3, 22, REMOVES=1, ATOMICS=1),
    kv("4 members, 2 operations each", 4, 1, 2, 22),
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
    kv_mutant(
        "SWITCHFIRST: the new value is given out while replicas are left",
        "HOME",
        {
            (HomePhase.DRAINING, HomeEvent.DRAINED): HomeStep(
                HomePhase.INVALIDATING, (HomeAction.INVALIDATE, HomeAction.SWITCH)
            ),
            (HomePhase.BACKING_UP, HomeEvent.BACKED_UP): HomeStep(HomePhase.OPEN, (HomeAction.REPLY,)),
        },
    ),
    kv_mutant(
        "NOCOUNT: answers underway are not waited for",
        "HOME",
        {
            (HomePhase.OPEN, HomeEvent.START): HomeStep(
                HomePhase.INVALIDATING, (HomeAction.CLOSE, HomeAction.INVALIDATE)
            ),
            (HomePhase.INVALIDATING, HomeEvent.SETTLED): HomeStep(HomePhase.INVALIDATING, (HomeAction.UNCOUNT,)),
            (HomePhase.BACKING_UP, HomeEvent.SETTLED): HomeStep(HomePhase.BACKING_UP, (HomeAction.UNCOUNT,)),
        },
    ),
    kv_mutant(
        "JOINANY: a joiner takes an answer that is not kept",
        "CACHE",
        {
            (CacheState.ASKING, CacheEvent.GOT_UNKEPT_JOINED): CacheStep(CacheState.EMPTY, (CacheAction.FINISH_ALL,)),
        },
        MEMBERS=2,
        THREADS=2,
    ),
    kv_mutant(
        "values are kept while home invalidates",
        "HOME",
        {
            (HomePhase.INVALIDATING, HomeEvent.GET): HomeStep(HomePhase.INVALIDATING, (HomeAction.ANSWER_KEPT,)),
            (HomePhase.INVALIDATING, HomeEvent.SETTLED): HomeStep(HomePhase.INVALIDATING, (HomeAction.UNCOUNT,)),
        },
        MEMBERS=4,
    ),
    kv_mutant(
        "a value is kept although an own write is underway",
        "CACHE",
        {
            (CacheState.ASKING, CacheEvent.GOT_BUSY): CacheStep(
                CacheState.REPLICA, (CacheAction.KEEP, CacheAction.FINISH_ALL)
            ),
            (CacheState.REPLICA, CacheEvent.WRITTEN): CacheStep(CacheState.REPLICA, (CacheAction.KEEP,)),
        },
        MEMBERS=2,
        THREADS=2,
    ),
    kv_mutant(
        "a writer keeps its replica while it writes",
        "CACHE",
        {
            (CacheState.REPLICA, CacheEvent.OWN_WRITE): CacheStep(CacheState.REPLICA),
            (CacheState.REPLICA, CacheEvent.WRITTEN): CacheStep(CacheState.REPLICA, (CacheAction.KEEP,)),
        },
        MEMBERS=2,
        THREADS=2,
    ),
)
"""Each must be caught."""
