"""What is exported is the table: every pair is in it, and a changed entry changes the text."""

from __future__ import annotations

import re

import pytest

from hydroscope.rpc.states import CLIENT, SERVER, Action, ClientEvent, ClientState, ServerEvent, ServerState, Step
from tests.spin.check import HERE, missing_tools, text_of
from tests.spin.export import actions_of, inlines, twins_in
from tests.spin.models import FULL, MUTANTS, SMALL, UNMODELLED

MODELS = [*SMALL, *FULL, *MUTANTS]


def test_each_pair_of_state_and_event_has_its_branch():
    text = inlines("CLIENT", CLIENT, ["n"])
    for on in ClientEvent:
        body = re.search(rf"inline CLIENT_ON_{on.name}\(n\) {{(.*?)\n}}", text, re.DOTALL)
        assert body is not None
        assert re.findall(r":: at == CLIENT_(\w+) ->", body.group(1)) == [at.name for at in ClientState]


def test_an_entry_becomes_its_state_and_its_actions_in_order():
    text = inlines("SERVER", SERVER, ["n"])
    assert "    :: at == SERVER_RUNNING -> SEND_NACK(n)\n" in text
    assert "    :: at == SERVER_DONE -> SERVER_KEEP(n, SERVER_SETTLED); SETTLE(n); DROP_RESULT(n); ROLL(n)\n" in text
    assert "    :: at == SERVER_ABSENT -> assert(false)\n" in text


@pytest.mark.parametrize("pair", [pair for pair, step in CLIENT.items() if step.actions != (Action.LEAVE,)])
def test_a_changed_entry_changes_the_model(pair):
    changed = {**CLIENT, pair: Step(pair[0], (Action.LEAVE,))}
    assert inlines("CLIENT", changed, ["n"]) != inlines("CLIENT", CLIENT, ["n"])


def test_a_table_with_a_gap_is_refused():
    gap = (ServerState.DONE, ServerEvent.CALL)
    table = {pair: step for pair, step in SERVER.items() if pair != gap}
    with pytest.raises(ValueError, match=r"no entry for \(DONE, CALL\)"):
        inlines("SERVER", table, ["n"])


def test_what_cannot_happen_may_be_none():
    table = {pair: None if Action.RAISE in step.actions else step for pair, step in SERVER.items()}
    assert inlines("SERVER", table, ["n"]) == inlines("SERVER", SERVER, ["n"])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_each_action_has_a_twin_written_by_hand(model):
    twins = twins_in((HERE / f"{model.file}.pml").read_text(encoding="utf-8"))
    assert set().union(*map(actions_of, model.tables.values())) <= twins
    assert {f"{prefix}_{what}" for prefix in model.tables for what in ("LOOK", "KEEP")} <= twins


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_each_event_is_brought_about_by_the_model(model):
    written = (HERE / f"{model.file}.pml").read_text(encoding="utf-8")
    made = re.findall(r"^inline (\w+_ON_\w+)\(", text_of(model), re.MULTILINE)
    assert [name for name in made if not re.search(rf"\b{name}\b", written) and name not in UNMODELLED] == []


@pytest.mark.parametrize("model", SMALL, ids=lambda model: model.name)
def test_no_two_tables_of_a_model_give_one_name_to_two_actions(model):
    steps = [step for table in model.tables.values() for step in table.values() if step is not None]
    actions = {action for _, actions in steps for action in actions}
    assert len(actions) == len({action.name for action in actions})


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda model: model.name)
def test_a_mutant_is_not_the_shipped_table(mutant):
    shipped = next(model for model in SMALL if model.file == mutant.file)
    assert text_of(mutant) != text_of(shipped)


def test_missing_tools_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_tools() == ["spin", "gcc"]
