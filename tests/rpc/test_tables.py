"""The tables say something about everything, and nothing that nobody reaches."""

from __future__ import annotations

import pytest

from hydroscope.rpc.bulk_states import STREAM, StreamAction, StreamEvent, StreamState
from hydroscope.rpc.link import ENTRIES, Link, entry_of
from hydroscope.rpc.states import (
    CLIENT,
    COUNTERS,
    SERVER,
    Action,
    ClientEvent,
    ClientState,
    ServerEvent,
    ServerState,
)

TABLES = {
    "client": (CLIENT, ClientState, ClientEvent),
    "server": (SERVER, ServerState, ServerEvent),
    "stream": (STREAM, StreamState, StreamEvent),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_pair_of_state_and_event_has_an_entry(name):
    table, states, events = TABLES[name]
    assert list(table) == [(at, on) for at in states for on in events]
    for step in table.values():
        assert isinstance(step.state, states)


@pytest.mark.parametrize("name", TABLES)
def test_every_state_is_reached(name):
    table, states, _ = TABLES[name]
    reached = {step.state for (at, _), step in table.items() if step.state is not at} | {next(iter(states))}
    judged = {ServerState.BEYOND, ServerState.FORGOTTEN}  # which a number is in by the watermark, not by a step
    assert set(states) - reached <= judged


def test_every_action_is_used():
    used = {action for table in (CLIENT, SERVER) for step in table.values() for action in step.actions}
    assert used == set(Action)
    assert {action for step in STREAM.values() for action in step.actions} == set(StreamAction)


def test_what_a_peer_can_send_never_raises():
    remote = {
        **{(at, on): CLIENT[at, on] for at in ClientState for on in (ClientEvent.NACK, ClientEvent.ACK)},
        **{
            (at, on): SERVER[at, on]
            for at in ServerState
            for on in (ServerEvent.CALL, ServerEvent.PROBE, ServerEvent.ACKACK)
        },
    }
    assert all(Action.RAISE not in step.actions for step in remote.values())


def test_an_answer_is_used_before_the_peer_is_told_so():
    for step in CLIENT.values():
        if Action.DELIVER in step.actions:
            assert step.actions.index(Action.DELIVER) < step.actions.index(Action.SEND_ACKACK)


def test_what_raises_changes_no_state():
    for table, _, _ in TABLES.values():
        for (at, _), step in table.items():
            if any(action.name == "RAISE" for action in step.actions):
                assert step.state is at
                assert len(step.actions) == 1


def test_entries_are_numbered_as_they_are_named():
    for side, table in (("client", CLIENT), ("server", SERVER)):
        for at, on in table:
            assert ENTRIES[entry_of(at, on)] == f"{side}: {on.name} at {at.name}"
    assert len(set(ENTRIES)) == len(ENTRIES) == len(CLIENT) + len(SERVER)


def test_counters_name_entries_that_do_not_raise():
    for cells in COUNTERS.values():
        for at, on in cells:
            table = CLIENT if isinstance(at, ClientState) else SERVER
            assert Action.RAISE not in table[at, on].actions


def test_a_table_that_is_not_total_cannot_be_used():
    torn = dict(SERVER)
    del torn[ServerState.RUNNING, ServerEvent.CALL]
    with pytest.raises(KeyError):
        Link.plan(torn)
