"""The smallest models, where Spin is installed (`python -m tests.spin` runs them all)."""

from __future__ import annotations

import pytest

from tests.spin.check import CANNOT_HAPPEN, check
from tests.spin.models import MUTANTS, SMALL


@pytest.mark.parametrize("model", SMALL, ids=lambda model: model.name)
def test_the_shipped_table_holds(model):
    verdict = check(model)
    assert verdict.error == "", "\n".join(verdict.story)
    assert verdict.n_states > 1_000


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.name.split(": ")[1].isupper()], ids=lambda m: m.name)
def test_the_named_mutants_are_caught(mutant):
    verdict = check(mutant)
    assert verdict.error not in ("", CANNOT_HAPPEN)
    assert len(verdict.story) > 3
