"""The plots of a report, as Plotly figures in plain dictionaries.

Plain, because importing Plotly's Python half costs a second and all it would do is check
them; the tests do that. Text and grid take the page's colours, light or dark, when drawn.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hydroscope.models.metrics import BinaryMetrics, RegressionMetrics

__all__ = ["Figure", "gains", "history", "importance", "precision_recall", "residuals", "roc"]

Figure = dict[str, Any]

CURVE_POINTS = 400
"""Points of a drawn curve; more cannot be seen."""

BARS_MAX = 20
"""Bars of the importance plot."""

MAIN, SECOND, FAINT = "#2f6fde", "#e07b39", "#9aa4b2"
"""Readable on white and on near-black alike."""


def _figure(data: Sequence[Mapping[str, Any]], x_title: str, y_title: str, **layout: Any) -> Figure:
    axis = {"zeroline": False, "automargin": True, "fixedrange": False}
    x_axis = {**axis, "title": {"text": x_title, "standoff": 12}, **layout.pop("xaxis", {})}
    y_axis = {**axis, "title": {"text": y_title, "standoff": 12}, **layout.pop("yaxis", {})}
    common = {
        "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "closest",
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "showlegend": False,
    }
    return {"data": list(data), "layout": {**common, "xaxis": x_axis, "yaxis": y_axis, **layout}}


def _line(name: str, x: Any, y: Any, colour: str, **more: Any) -> Figure:
    drawn = {"type": "scatter", "mode": "lines", "name": name, "x": _list(x), "y": _list(y)}
    line = {"color": colour, "width": 2.5, **more.pop("line", {})}
    return {**drawn, "line": line, **more}


def _list(values: Any) -> list[Any]:
    return [None if isinstance(v, float) and not np.isfinite(v) else v for v in np.asarray(values).tolist()]


def roc(metrics: BinaryMetrics) -> Figure:
    """Draw the ROC curve, chance as a dashed diagonal, and the threshold of the largest F1."""
    curve = metrics.roc(CURVE_POINTS)
    chosen = metrics.confusion().counts
    fpr, tpr = chosen[0, 1] / chosen[0].sum(), chosen[1, 1] / chosen[1].sum()
    chance = _line("chance", [0, 1], [0, 1], FAINT, line={"dash": "dot", "width": 1.5}, hoverinfo="skip")
    chance["showlegend"] = False
    model = _line(
        f"model, AUC {metrics.auc:.4f}",
        curve["fpr"],
        curve["tpr"],
        MAIN,
        fill="tozeroy",
        fillcolor="rgba(47,111,222,0.12)",
        customdata=_list(curve["threshold"]),
        hovertemplate="threshold %{customdata:.4f}<br>false %{x:.3f}, true %{y:.3f} positives<extra></extra>",
    )
    point = {
        "type": "scatter",
        "mode": "markers",
        "name": f"largest F1, at {metrics.max_f1_threshold:.3f}",
        "x": [float(fpr)],
        "y": [float(tpr)],
        "marker": {"size": 11, "color": SECOND},
    }
    unit = {"range": [0, 1.005], "constrain": "domain"}
    return _figure(
        [chance, model, point], "False positive rate", "True positive rate", xaxis=unit, yaxis=unit, showlegend=True
    )


def precision_recall(metrics: BinaryMetrics) -> Figure:
    """Draw precision by recall, and the share of positives as a dashed line."""
    table = metrics.thresholds(CURVE_POINTS)
    chance = _line(
        f"chance, {metrics.prior:.3f}",
        [0, 1],
        [metrics.prior] * 2,
        FAINT,
        line={"dash": "dot", "width": 1.5},
        hoverinfo="skip",
    )
    model = _line(
        f"model, average precision {metrics.pr_auc:.4f}",
        table["recall"],
        table["precision"],
        MAIN,
        customdata=_list(table["threshold"]),
        hovertemplate="threshold %{customdata:.4f}<br>recall %{x:.3f}<br>precision %{y:.3f}<extra></extra>",
    )
    unit = {"range": [0, 1.02]}
    return _figure([chance, model], "Recall", "Precision", xaxis=unit, yaxis=unit, showlegend=True)


def gains(metrics: BinaryMetrics) -> Figure:
    """Draw lift by group as bars, and the share of all positives found so far as a line."""
    table = metrics.gains(16)
    share = _list(table["rows"])
    bars = {
        "type": "bar",
        "name": "lift of the group",
        "x": share,
        "y": _list(table["lift"]),
        "marker": {"color": MAIN, "opacity": 0.75},
        "hovertemplate": "first %{x:.0%} of rows<br>lift of this group %{y:.2f}<extra></extra>",
    }
    found = _line(
        "positives found so far",
        share,
        table["cumulative_capture"],
        SECOND,
        yaxis="y2",
        hovertemplate="first %{x:.0%} of rows<br>%{y:.1%} of all positives<extra></extra>",
    )
    second: Figure = {"overlaying": "y", "side": "right", "range": [0, 1.02], "tickformat": ".0%", "tickmode": "array"}
    second |= {"tickvals": [0, 0.2, 0.4, 0.6, 0.8, 1], "showgrid": False}
    return _figure(
        [bars, found],
        "Rows, most probable first",
        "Lift",
        xaxis={"tickformat": ".0%"},
        yaxis2=second,
        showlegend=True,
        margin={"l": 56, "r": 56, "t": 16, "b": 48},
    )


def importance(names: Sequence[str], values: Sequence[float]) -> Figure:
    """Draw the most important features as bars, the largest on top, as shares of the largest."""
    ranked = sorted(zip(values, names, strict=True), key=lambda pair: (-pair[0], pair[1]))[:BARS_MAX][::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [float(value) for value, _ in ranked],
        "y": [html.escape(name) for _, name in ranked],
        "marker": {"color": MAIN},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    return _figure([bars], "Share of the total gain", "", xaxis={"tickformat": ".0%"}, bargap=0.35)


def history(columns: Mapping[str, Sequence[float]], x: str, curves: Sequence[tuple[str, str]], y_title: str) -> Figure:
    """Draw how scores changed while training; `curves` are pairs of column and name."""
    colours = (MAIN, SECOND, FAINT)
    lines = [
        _line(name, columns[x], columns[column], colours[index % len(colours)])
        for index, (column, name) in enumerate(curves)
    ]
    return _figure(lines, "Trees", y_title, showlegend=True, hovermode="x unified")


def residuals(metrics: RegressionMetrics, actual: Any, predicted: Any) -> Figure:
    """Draw mean actual against mean predicted values of 20 groups of equal size, by prediction."""
    kept = ~(np.isnan(actual) | np.isnan(predicted))
    order = np.argsort(predicted[kept], kind="stable")
    parts = [part for part in np.array_split(order, 20) if len(part)]
    x = [float(predicted[kept][part].mean()) for part in parts]
    y = [float(actual[kept][part].mean()) for part in parts]
    ends = [min(x + y), max(x + y)]
    ideal = _line("ideal", ends, ends, FAINT, line={"dash": "dot", "width": 1.5}, hoverinfo="skip")
    found = _line(f"model, R² {metrics.r2:.4f}", x, y, MAIN, mode="lines+markers")
    return _figure([ideal, found], "Mean prediction of the group", "Mean actual value", showlegend=True)
