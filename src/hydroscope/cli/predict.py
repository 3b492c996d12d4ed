"""`hydroscope predict MODEL FILE -o OUT`: the predictions of a saved model, as CSV or Parquet."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import hydroscope as hs
from hydroscope.cli.load import load, options_of
from hydroscope.cli.outputs import refuse_to_lose
from hydroscope.cli.screen import Screen
from hydroscope.ground.errors import UserError, unknown_name

__all__ = ["KINDS", "predictions", "run", "write"]

KINDS = (".csv", ".parquet")


def run(asked: argparse.Namespace, screen: Screen) -> None:
    """Load the model, read the rows, predict, write."""
    output = Path(asked.output)
    if output.suffix.lower() not in KINDS:
        raise UserError(
            f"{output.name!r} ends in {output.suffix!r}; predictions are written to {' or '.join(KINDS)} files"
        )
    refuse_to_lose(output, asked.overwrite)
    model = hs.load_model(asked.model)
    frame = load(asked.file, screen, options_of(asked))
    for name in asked.keep or []:
        if name not in frame.columns:
            raise unknown_name("column", name, frame.columns, asked.file)
    began = time.perf_counter()
    said = predictions(model, frame, asked.keep or [])
    screen.say(f"predicted {said.shape[0]:,} rows in {time.perf_counter() - began:.2f} s")
    write(said, output, asked.overwrite)
    screen.say(f"wrote {output}: {', '.join(said.columns)}")


def predictions(model: Any, frame: hs.Frame, keep: list[str]) -> hs.Frame:
    """Return kept columns, the prediction, and (classes) one column of probabilities a class."""
    said = frame[keep] if keep else None
    found = model.predict(frame)
    probabilities = model.predict_proba(frame) if hasattr(model, "predict_proba") else None
    if said is None:
        said = found
    else:
        said["predict"] = found["predict"]
    if probabilities is not None:
        for name in probabilities.columns:
            said[f"probability_{name}"] = probabilities[name]
    return said


def write(frame: hs.Frame, output: Path, overwrite: bool) -> None:
    """Write a frame in the form its file's name asks for."""
    if output.suffix.lower() == ".csv":
        frame.write_csv(output, overwrite=overwrite)
    else:
        frame.write_parquet(output, overwrite=overwrite)
