"""`hydroscope report MODEL FILE`: how good a saved model is on a file, as one HTML file that fetches nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hydroscope.cli.screen import Screen

__all__ = ["run", "write_report"]


def run(asked: argparse.Namespace, screen: Screen) -> None:
    """Load the model, read the rows, measure, write."""
    import hydroscope as hs
    from hydroscope.cli.load import load, options_of
    from hydroscope.cli.outputs import refuse_to_lose
    from hydroscope.cli.report.page import plotly_script
    from hydroscope.cli.report.subject import subject_of
    from hydroscope.cli.train import show_metrics

    output = Path(asked.output)
    refuse_to_lose(output, asked.overwrite)
    plotly_script()  # refused before the work rather than after it
    model = hs.load_model(asked.model)
    frame = load(asked.file, screen, options_of(asked))
    found = subject_of(model, frame, title=f"{model.target_}: {Path(asked.model).name}", where=Path(asked.file).name)
    show_metrics(found.metrics, asked.file, screen)
    write_report(found, output)
    screen.say(f"wrote {output}")


def write_report(subject: Any, output: Path) -> None:
    """Write the page; whoever reads `output` meanwhile sees the old file or the whole new one."""
    from hydroscope.cli.report.build import build
    from hydroscope.frame.files import new_file

    text = build(subject)
    with new_file(output, overwrite=True) as file:
        file.write(text.encode())
