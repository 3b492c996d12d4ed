"""`hydroscope train FILE --target COL -o MODEL`: a model from a file, measured on rows it has not seen."""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import hydroscope as hs
from hydroscope.cli.load import load, options_of
from hydroscope.cli.outputs import refuse_to_lose
from hydroscope.cli.screen import Screen
from hydroscope.cli.words import as_options
from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.models.spec import CLASSIFIER_ONLY, GBM

__all__ = ["importances", "run", "show_importance", "show_metrics", "split"]

FEATURES_SHOWN = 15
SPLIT_SEED = 1
"""Seed of --split when --random-state is not given: the same file falls apart the same way."""


def run(asked: argparse.Namespace, screen: Screen) -> None:
    """Read, split, train, measure, save."""
    output = Path(asked.output)
    refuse_to_lose(output, asked.overwrite)
    estimator_of_task = {"classify": hs.GBMClassifier, "regress": hs.GBMRegressor}
    parameters = _parameters(asked)
    options = options_of(asked)
    frame = load(asked.file, screen, options)
    for name in [
        asked.target,
        *([asked.weights] if asked.weights else []),
        *(asked.features or []),
        *(asked.ignore or []),
    ]:
        if name not in frame.columns:
            raise unknown_name("column", name, frame.columns, asked.file)
    frame = frame.drop([name for name in asked.ignore or [] if name not in (asked.target, asked.weights)])
    task = asked.task if asked.task != "auto" else _task(frame[asked.target])
    if task == "regress" and CLASSIFIER_ONLY & set(parameters):
        raise UserError(
            f"--{'/'.join(CLASSIFIER_ONLY).replace('_', '-')} is for classes; the target is learnt as a number"
        )
    model = estimator_of_task[task](**parameters)
    train, held_out = frame, None
    if asked.validation is not None:
        held_out = load(asked.validation, screen, options)
    elif asked.split is not None:
        train, held_out = split(frame, asked.split, parameters.get("random_state") or SPLIT_SEED)
        screen.say(f"split: {train.shape[0]:,} rows to learn from, {held_out.shape[0]:,} to measure on")
    features = [name for name in asked.features if name not in (asked.ignore or [])] if asked.features else None
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the notes below say the same
        model.fit(train, asked.target, x=features, validation=held_out, weights=asked.weights)
    screen.say(f"trained {type(model).__name__}: {model.n_estimators_} trees in {time.perf_counter() - began:.2f} s")
    for note in model.notes_:
        screen.say(f"note: {as_options(note)}")
    measured, where = (train, "the rows it learnt from") if held_out is None else (held_out, "rows it has not seen")
    show_metrics(model.metrics(measured), where, screen)
    show_importance(model, screen)
    model.save(output, overwrite=asked.overwrite)
    screen.say(f"wrote {output}")


def split(frame: hs.Frame, share: float, seed: int) -> tuple[hs.Frame, hs.Frame]:
    """Return a random share of the rows, and the others; the same ones for the same seed."""
    first, second = frame.split([share], seed=seed)
    return first, second


def show_metrics(metrics: Any, where: str, screen: Screen) -> None:
    """Print the figures, and the confusion matrix where there are classes."""
    rows = [
        [name, f"{value:,}" if isinstance(value, int) else f"{value:.5g}"]
        for name, value in metrics.to_dict().items()
        if value == value  # NaN: the figure has no meaning here, as rmsle of negative numbers
    ]
    screen.table([f"{metrics.kind} metrics", "value"], rows, title=f"On {where}", left=(f"{metrics.kind} metrics",))
    if metrics.kind == "regression" or len(metrics.classes) > FEATURES_SHOWN:
        return
    confusion = metrics.confusion().table()
    screen.table(list(confusion), confusion.rows(), title=confusion.title, left=("actual",))


def importances(model: Any) -> list[tuple[str, float]]:
    """Return features and their shares of the gain, the largest first."""
    pairs = zip(model.feature_names_in_, model.feature_importances_, strict=True)
    return sorted(((str(name), float(share)) for name, share in pairs), key=lambda pair: (-pair[1], pair[0]))


def show_importance(model: Any, screen: Screen) -> None:
    """Print the features that mattered most."""
    ranked = importances(model)
    if not ranked or ranked[0][1] <= 0:
        screen.result("no feature was of use: no split lowers the loss, so every row is predicted alike")
        return
    rows = [[name, f"{share:.1%}", "#" * round(40 * share / ranked[0][1])] for name, share in ranked]
    title = "Importance (share of the gain of all splits)"
    screen.table(["feature", "share", ""], rows[:FEATURES_SHOWN], title=title, left=("feature", ""))


def _parameters(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the model's parameters that were given, checked by the model's own table."""
    given = {each: getattr(asked, f"model_{each.name}") for each in GBM}
    return {each.name: each.parse(text) for each, text in given.items() if text is not None}


def _task(target: Any) -> str:
    """Return what to learn: classes, or numbers when the target is numeric and not just 0 and 1."""
    kind = str(target.type)
    if kind not in ("int", "real"):
        return "classify"
    values = {target.min(), target.max()}
    return "classify" if kind == "int" and values == {0, 1} else "regress"
