"""What a report says about a model and the rows it is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import hydroscope as hs
from hydroscope.cli.describe import column_sizes
from hydroscope.cli.report.build import Subject
from hydroscope.cli.train import importances

__all__ = ["subject_of"]


def subject_of(model: Any, frame: hs.Frame, title: str, where: str, notes: Sequence[str] = ()) -> Subject:
    """Measure the model on a frame that has its target, and gather the rest."""
    metrics = model.metrics(frame)
    kind = type(model).__name__
    loss = "rmse" if metrics.kind == "regression" else "logloss"
    names = [str(name) for name in model.feature_names_in_]
    lead = (
        f"{kind} of {model.n_estimators_} trees on {len(names)} features, "
        f"measured on {metrics.n_rows:,} rows of {where}."
    )
    pairs = None
    if metrics.kind == "regression":
        actual = np.asarray(frame[model.target_].to_numpy(), dtype=np.float64)
        pairs = actual, model.predict(frame)["predict"].to_numpy()
    shown = [name for name in frame.columns if name in {*names, model.target_}]
    return Subject(
        title=title,
        lead=lead,
        metrics=metrics,
        importance=[(name, share) for name, share in importances(model) if share > 0],
        history=_history(model, loss),
        parameters={**model.get_params(), "seed": model.seed_},
        columns=column_sizes(frame[shown]),
        notes=[*model.notes_, *notes],
        pairs=pairs,
        score_name={"rmse": "RMSE", "logloss": "log loss"}[loss],
    )


def _history(model: Any, loss: str) -> dict[str, list[float]]:
    """Return the scoring history under the names that the report draws."""
    columns = model.scoring_history_.to_dict()
    names = {"n_trees": "n_trees", f"train_{loss}": "training", f"valid_{loss}": "validation"}
    return {new: list(columns[old]) for old, new in names.items() if old in columns}
