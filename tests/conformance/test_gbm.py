"""The same data and seed give the same model, to the last bit of what it predicts, on every engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hydroscope as hs
from hydroscope.node.ports import Engine
from tests.conformance.compare import bits, frame_bits, on_both

Columns = dict[str, Any]
FEATURES = ["x", "y", "k", "sparse", "colour"]
LEVELS = {"colour": "enum"}


def test_a_classifier(engine: Engine, local: Engine, columns: Columns, tmp_path: Path) -> None:
    def work() -> Any:
        frame = hs.Frame(columns, types=LEVELS)
        train, valid = frame[:200_000], frame[200_000:]
        model = hs.GBMClassifier(n_estimators=5, max_depth=4, random_state=3, subsample=0.8)
        model.fit(train, "late", x=FEATURES, validation=valid)
        metrics = model.metrics(valid)
        model.save(tmp_path / "model.hs", overwrite=True)
        return [
            frame_bits(model.scoring_history_.drop("seconds")),
            bits([metrics.auc, metrics.logloss, model.feature_importances_]),
            frame_bits(model.predict_proba(valid)),
            frame_bits(hs.load_model(tmp_path / "model.hs").predict(valid)),
        ]

    ours, theirs = on_both(engine, local, work)
    assert ours == theirs


def test_a_regressor(engine: Engine, local: Engine, columns: Columns) -> None:
    def work() -> Any:
        frame = hs.Frame(columns, types=LEVELS)
        model = hs.GBMRegressor(n_estimators=4, max_depth=3, random_state=3)
        return frame_bits(model.fit(frame, "x", x=["y", "k", "colour"]).predict(frame))

    ours, theirs = on_both(engine, local, work)
    assert ours == theirs


def test_training_in_the_background(engine: Engine, columns: Columns) -> None:
    frame = hs.Frame(columns, types=LEVELS)[:20_000]
    job = hs.GBMClassifier(n_estimators=2, max_depth=2, random_state=1).fit_async(frame, "late", x=FEATURES)
    assert job.result(120).predict(frame).shape == (20_000, 1)


def test_training_can_be_cancelled(engine: Engine, columns: Columns) -> None:
    frame = hs.Frame(columns, types=LEVELS)[:20_000]
    job = hs.GBMClassifier(n_estimators=100_000, max_depth=2, random_state=1).fit_async(frame, "late", x=FEATURES)
    assert job.cancel()
    with pytest.raises(hs.CancelledError):
        job.result(120)
    assert frame["x"].n_missing == 0
