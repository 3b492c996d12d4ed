"""The report page: plots that Plotly accepts, nothing fetched, nothing that breaks out of its place."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import pytest

from hydroscope.cli.report import plots
from hydroscope.cli.report.build import Subject, build
from hydroscope.models.metrics import binary, multinomial, regression

RNG = np.random.default_rng(4)
SCORE = RNG.random(2_000)
ACTUAL = RNG.random(2_000) < SCORE
EVIL = "</script><script>alert('x')</script>"
HISTORY = {"n_trees": [1, 2, 3], "training": [0.6, 0.5, 0.4], "validation": [0.6, 0.55, 0.53]}


def subject(metrics, **more) -> Subject:
    facts = {
        "title": "Late?",
        "lead": "A model.",
        "metrics": metrics,
        "importance": [("hour", 0.7), (EVIL, 0.3)],
        "history": HISTORY,
        "parameters": {"max_depth": 6, "note": EVIL},
        "columns": [["hour", "int", "int8", "1 kB", "7.9"]],
    }
    return Subject(**{**facts, **more})


BINARY = binary(ACTUAL, SCORE, classes=["on time", EVIL])
NUMBERS = RNG.normal(size=500), RNG.normal(size=500)


@pytest.mark.parametrize(
    "figure",
    [
        plots.roc(BINARY),
        plots.precision_recall(BINARY),
        plots.gains(BINARY),
        plots.importance(["a", "b"], [0.2, 0.8]),
        plots.history(HISTORY, "n_trees", [("training", "on training rows")], "log loss"),
        plots.residuals(regression(*NUMBERS), *NUMBERS),
    ],
)
def test_figures_are_valid_plotly(figure):
    checked = go.Figure(json.loads(json.dumps(figure, allow_nan=False)))
    assert len(checked.data) >= 1


class Reader(HTMLParser):
    """Collects what a browser would fetch, and checks that tags match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.fetched += [value for name, value in attributes if name in ("src", "href", "action")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] in ("script", "style") else self.text).append(data)


@pytest.mark.parametrize(
    "metrics",
    [BINARY, multinomial([0, 1, 2, 2], np.eye(3)[[0, 1, 2, 1]], ["a", EVIL, "c"]), regression(*NUMBERS)],
    ids=["binary", "multinomial", "regression"],
)
def test_the_page_is_whole_and_fetches_nothing(metrics):
    pairs = NUMBERS if metrics.kind == "regression" else None
    text = build(subject(metrics, pairs=pairs))
    read = Reader(text)
    assert read.open == []
    assert read.fetched == []
    assert "default-src 'none'" in text
    assert EVIL in "".join(read.text)  # shown as text, so it never became a script
    figures = json.loads(re.search(r'<script id="figures" type="application/json">(.*?)</script>', text, re.S)[1])
    for name in figures:
        assert f'id="{name}"' in text
    assert "Plotly" in "".join(read.scripts)


def test_a_model_without_history_or_importance_has_a_page_too():
    assert "Parameters" in build(subject(BINARY, importance=[], history={}, columns=[]))
