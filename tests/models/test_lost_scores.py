"""A training whose scores are lost goes on from its trees, to the same bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.engine.local import LocalEngine
from hydroscope.models.boosting import RESUMPTIONS_MAX
from hydroscope.node import ports

N = 20_000


class Forgetful(LocalEngine):
    """Says at some of its maps that a node was lost."""

    def __init__(self, lost_at: Sequence[int]) -> None:
        super().__init__(1)
        self.lost_at = set(lost_at)
        self.n_maps = 0

    def map(self, function: Callable[..., Any], items: Sequence[tuple[Any, ...]], n_returns: int = 1) -> Any:
        self.n_maps += 1
        if self.n_maps in self.lost_at:
            raise hs.NodeLost(f"lost at {function.__name__}")
        return super().map(function, items, n_returns)


@pytest.fixture(scope="module")
def frame() -> hs.Frame:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=N), rng.normal(size=N)
    label = np.array(["no", "yes", "maybe"])[(x + rng.normal(size=N) > 0).astype(int) + (y > 1)]
    late, z = x + y > rng.normal(size=N), x * y + rng.normal(size=N)
    return hs.Frame({"x": x, "y": y, "z": z, "late": late, "label": label})


def train(kind: str, frame: hs.Frame, lost_at: Sequence[int]) -> tuple[list[Any], int]:
    """Return what was learnt, and how many maps that took."""
    engine = Forgetful(lost_at)
    before = ports.install(engine)
    try:
        valid = frame[:4000]
        if kind == "squared":
            model: Any = hs.GBMRegressor(n_estimators=5, max_depth=3, random_state=1, subsample=0.7)
            model.fit(frame, "z", x=["x", "y"], validation=valid)
            values = model.predict(frame)
        else:
            target = "late" if kind == "logistic" else "label"
            model = hs.GBMClassifier(n_estimators=5, max_depth=3, random_state=1, scoring_interval=2)
            model.fit(frame, target, x=["x", "y"], validation=valid)
            values = model.predict_proba(frame)
        history = model.scoring_history_.drop("seconds")
        return [each.to_numpy().tobytes() for each in (values, history)], engine.n_maps
    finally:
        ports.restore(before)
        engine.shutdown()


@pytest.mark.parametrize("kind", ["squared", "logistic", "softmax"])
def test_a_lost_node_changes_no_bit(kind: str, frame: hs.Frame) -> None:
    expected, n_maps = train(kind, frame, ())
    inside = range(n_maps // 4, n_maps * 3 // 4)  # before come bins, afterwards predictions
    for at in list(inside)[:: max(len(inside) // 8, 1)]:
        found, n_more = train(kind, frame, (at,))
        assert found == expected, f"lost at map {at}"
        assert n_more > n_maps, "something was done again"


def test_a_node_that_is_lost_again_and_again_is_told(frame: hs.Frame) -> None:
    _, n_maps = train("logistic", frame, ())
    with pytest.raises(hs.NodeLost, match="lost at"):
        train("logistic", frame, range(n_maps // 2, n_maps // 2 + 40 * RESUMPTIONS_MAX))
