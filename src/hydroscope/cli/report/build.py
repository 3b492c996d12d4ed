"""From a model and its metrics to the page: which sections, in which order, with which words."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydroscope import __version__
from hydroscope.cli.report import plots
from hydroscope.cli.report.page import cards, figure, page, section, table, tiles
from hydroscope.models.metrics import BinaryMetrics, MultinomialMetrics, RegressionMetrics
from hydroscope.models.metrics.table import MetricTable, number

__all__ = ["Metrics", "Subject", "build"]

Metrics = BinaryMetrics | MultinomialMetrics | RegressionMetrics

CLASSES_SHOWN = 30
"""Classes of the confusion matrix of a report; a larger one cannot be read."""


@dataclass(frozen=True)
class Subject:
    """What a report is about.

    Attributes
    ----------
    title, lead : str
        Headline, and one or two sentences under it.
    metrics : Metrics
    importance : sequence of (str, float)
        Features and their shares of the total gain.
    history : mapping of str to sequence
        Columns of the scoring history: `n_trees` and scores; empty when there is none.
    parameters : mapping
        How the model was trained.
    columns : sequence of sequence of str
        Name, type, codecs, bytes and ratio of the data's columns; may be empty.
    notes : sequence of str
        Remarks a reader needs to judge the figures.
    pairs : (actual, predicted) or None
        Regression: the values behind the metrics.
    score_name : str
        What the history's scores are.
    """

    title: str
    lead: str
    metrics: Metrics
    importance: Sequence[tuple[str, float]]
    history: Mapping[str, Sequence[float]]
    parameters: Mapping[str, object]
    columns: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()
    pairs: tuple[Any, Any] | None = None
    score_name: str = "loss"


def build(subject: Subject) -> str:
    """Return the report as HTML. Cost: O(distinct scores), and 5 MB of text for plotly.js."""
    figures: dict[str, plots.Figure] = {}
    metrics = subject.metrics
    if isinstance(metrics, BinaryMetrics):
        head, body = _binary(metrics, figures)
    elif isinstance(metrics, MultinomialMetrics):
        head, body = _multinomial(metrics)
    else:
        head, body = _regression(metrics, subject.pairs, figures)
    blocks = [tiles(head), *body]
    training = _training(subject, figures)
    if training:
        blocks.append(cards(*training))
    blocks.append(cards(*_tables(subject)))
    if subject.notes:
        blocks.append(
            section("How to read this", "", *(f'<p class="note">{html.escape(note)}</p>' for note in subject.notes))
        )
    footer = f"hydroscope {__version__}. This file holds everything it shows and fetches nothing."
    return page(subject.title, subject.lead, "\n".join(blocks), figures, footer)


def _binary(metrics: BinaryMetrics, figures: dict[str, plots.Figure]) -> tuple[list[tuple[str, str]], list[str]]:
    figures["roc"] = plots.roc(metrics)
    figures["precision"] = plots.precision_recall(metrics)
    figures["gains"] = plots.gains(metrics)
    head = [
        ("AUC", f"{metrics.auc:.4f}"),
        ("average precision", f"{metrics.pr_auc:.4f}"),
        ("log loss", f"{metrics.logloss:.4f}"),
        ("RMSE", f"{metrics.rmse:.4f}"),
        (f"rows, {metrics.prior:.1%} {metrics.classes[1]!r}", f"{metrics.n_rows:,}"),
    ]
    confusion = metrics.confusion()
    curves = cards(
        section(
            "ROC curve",
            "How many positives are found (up) at the price of how many false alarms (right), for every threshold.",
            figure("roc", f"ROC curve, area {metrics.auc:.4f}"),
        ),
        section(
            "Precision and recall",
            "How many alarms are right (up) when so many of the positives are found (right).",
            figure("precision", f"precision-recall curve, average precision {metrics.pr_auc:.4f}"),
        ),
    )
    second = cards(
        section(
            "Gains and lift",
            "Rows sorted by predicted probability, in 16 groups: how much richer in positives each is than the whole.",
            figure("gains", "lift by group and cumulative share of positives"),
        ),
        section(
            "Confusion matrix",
            f"At the threshold of the largest F1, {confusion.threshold:.4f}: rows are what was, columns what was said.",
            _matrix(confusion.table()),
            "<br>",
            _scores(metrics),
        ),
    )
    return head, [curves, second]


def _scores(metrics: BinaryMetrics) -> str:
    """Return precision, recall and F1 at a few thresholds around the chosen one."""
    all_scores = metrics.thresholds(8)
    rows = all_scores.rows()
    chosen = [i for i, value in enumerate(all_scores["threshold"]) if value == metrics.max_f1_threshold]
    hits = [(i, j) for i in chosen for j in range(len(all_scores.columns))]
    short = [[f"{float(cell):.4f}" for cell in row] for row in rows]
    return table(list(all_scores), short, hit=hits)


def _matrix(found: MetricTable) -> str:
    n_classes = len(found.columns) - 2
    diagonal = [(i, i + 1) for i in range(n_classes)]
    rows = [[*row[:-1], f"{float(row[-1]):.4f}"] for row in found.rows()]
    return table(list(found), rows, left=("actual",), hit=diagonal)


def _multinomial(metrics: MultinomialMetrics) -> tuple[list[tuple[str, str]], list[str]]:
    head = [
        ("log loss", f"{metrics.logloss:.4f}"),
        ("accuracy", f"{metrics.accuracy:.2%}"),
        ("mean per class error", f"{metrics.mean_per_class_error:.4f}"),
        ("RMSE", f"{metrics.rmse:.4f}"),
        (f"rows, {len(metrics.classes)} classes", f"{metrics.n_rows:,}"),
    ]
    hits = metrics.hit_ratio_table()
    parts = [section("Hit ratios", "How often the actual class is among the k most probable.", _plain(hits))]
    if len(metrics.classes) <= CLASSES_SHOWN:
        note = "Rows are what was, columns what was said."
        parts.append(section("Confusion matrix", note, _matrix(metrics.confusion().table())))
    return head, [cards(*parts)]


def _plain(found: MetricTable) -> str:
    return table(list(found), found.rows())


def _regression(
    metrics: RegressionMetrics, pairs: tuple[Any, Any] | None, figures: dict[str, plots.Figure]
) -> tuple[list[tuple[str, str]], list[str]]:
    head = [
        ("RMSE", number(metrics.rmse)),
        ("MAE", number(metrics.mae)),
        ("R²", f"{metrics.r2:.4f}"),
        ("rows", f"{metrics.n_rows:,}"),
    ]
    if pairs is None:
        return head, []
    figures["residuals"] = plots.residuals(metrics, *pairs)
    note = "Rows in 20 groups by prediction: on the dotted line, predictions are right on average."
    return head, [section("Actual by predicted", note, figure("residuals", "mean actual by mean predicted value"))]


def _training(subject: Subject, figures: dict[str, plots.Figure]) -> list[str]:
    """Return the sections on how the model came to be."""
    parts = []
    if subject.importance:
        figures["importance"] = plots.importance(*zip(*subject.importance, strict=True))
        note = "How much of the loss the splits on each feature took away while training."
        parts.append(section("Importance", note, figure("importance", "features by importance")))
    else:
        note = "No feature was of use: no tree found a split that lowers the loss, so every row is predicted alike."
        parts.append(section("Importance", note))
    curves = [
        (column, name)
        for column, name in (("training", "training rows"), ("validation", "validation rows"))
        if column in subject.history
    ]
    if curves:
        figures["history"] = plots.history(subject.history, "n_trees", curves, subject.score_name)
        note = "The loss after each tree, on the rows it learnt from and on those held out."
        parts.append(section("While training", note, figure("history", "loss by number of trees")))
    return parts


def _tables(subject: Subject) -> list[str]:
    """Return the sections on parameters and data."""
    rows = [[name, str(value)] for name, value in subject.parameters.items()]
    parts = [section("Parameters", "", table(("parameter", "value"), rows, left=("parameter",)))]
    if subject.columns:
        note = "Bytes in memory, compressed; the ratio is of what plain arrays take (8 bytes a number, 4 a level)."
        header = ("column", "type", "codecs", "bytes", "ratio")
        parts.append(section("Data", note, table(header, subject.columns, left=header[:3])))
    return parts
