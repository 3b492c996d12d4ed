"""Training a GBM: from data as they were given to the blocks that `boosting` works on."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.frame.frame import Frame
from hydroscope.frame.vec import VecType
from hydroscope.ground import rng
from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.models.base import Fed, feed, feed_training
from hydroscope.models.boosting import Boosted, Features, Rows, Setting, boost
from hydroscope.models.gbm_model import GBMModel, aligned
from hydroscope.models.table import Table, bin_edges, cut_rows, words_of
from hydroscope.models.target import (
    Classes,
    Target,
    class_codes,
    classes_of,
    column_target,
    label_name,
    numbers,
    row_weights,
)
from hydroscope.models.tree.binning import FeatureBins
from hydroscope.models.tree.grower import Blocks
from hydroscope.node import jobs, ports

__all__ = ["Order", "train"]

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

COUNT_BITS = 61
"""Bits of the sum of weights as integers."""


@dataclass(frozen=True)
class Order:
    """What `fit` was asked for.

    Attributes
    ----------
    kind : {"classifier", "regressor"}
    owner : str
        Name of the estimator, for messages.
    parameters : dict
        Checked.
    validation : object
        As given.
    weights : str or None
        Column of weights.
    block_rows : int or None
        See `table.cut_rows`.
    """

    kind: str
    owner: str
    parameters: dict[str, Any]
    validation: Any
    weights: str | None
    block_rows: int | None


def train(fed: Fed, order: Order) -> GBMModel:
    """Learn from data and return the model; what is passed is not changed.

    Cost: a sort of a sample, one pass over the values for bins, then see `boosting.boost`.
    """
    assert fed.target is not None
    checked = order.parameters
    classes = classes_of(fed.target) if order.kind == "classifier" else None
    loss = "squared" if classes is None else "logistic" if len(classes.labels) == 2 else "softmax"
    notes = list(fed.left_out)
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=3)
    values, given, kept = _targets(fed.target, classes, fed, checked, notes)
    seed = checked["random_state"] if checked["random_state"] is not None else rng.fresh_seed()
    setting = _setting(checked, seed, order.validation)
    jobs.report(0.0, "sort values into bins")
    bins = bin_edges(fed.table, kept, values, checked["max_bins"])
    rows = _rows(fed.table, bins, values, given, kept, order.block_rows)
    valid = None if order.validation is None else _validation_rows(fed, bins, classes, order, notes)
    base, bounds = _base(loss, values, given, 0 if classes is None else len(classes.labels))
    boosted = boost(loss, rows, valid, base, bounds, _features(bins, setting, rows), setting)
    _note_growth(boosted, rows, setting, notes)
    return GBMModel(
        kind=order.kind,
        loss=loss,
        parameters=checked,
        seed=seed,
        bins=bins,
        named=fed.named,
        target=fed.target.name,
        classes=classes,
        base=base,
        forest=boosted.forest,
        history=tuple(boosted.history),
        notes=tuple(notes),
    )


def _validation_rows(
    fed: Fed, bins: tuple[FeatureBins, ...], classes: Classes | None, order: Order, notes: list[str]
) -> Rows:
    held = _feed_validation(order.validation, fed, order.weights)
    assert held.target is not None
    table, own_bins = aligned(held, tuple(each.name for each in bins), bins, order.owner)
    heard: list[str] = []
    values, given, kept = _targets(held.target, classes, held, order.parameters, heard)
    notes += [f"validation: {note}" for note in heard]
    return _rows(table, own_bins, values, given, kept, order.block_rows)


def _setting(checked: dict[str, Any], seed: int, validation: Any) -> Setting:
    rounds = checked["early_stopping_rounds"]
    if rounds is not None and validation is None:
        raise UserError(
            f"early_stopping_rounds={rounds} needs rows to watch: give fit(..., validation=frame), "
            "or leave early_stopping_rounds at None"
        )
    interval = checked["scoring_interval"] or (1 if rounds else 10)
    names = ("n_estimators", "max_depth", "learning_rate", "min_rows", "l2", "min_split_gain", "subsample", "colsample")
    return Setting(
        **{name: checked[name] for name in names}, early_stopping_rounds=rounds, scoring_interval=interval, seed=seed
    )


def _targets(
    target: Target, classes: Classes | None, fed: Fed, checked: dict[str, Any], notes: list[str]
) -> tuple[F64, F64, Bools | None]:
    """Return targets as numbers, weights (empty: all 1), and which rows count (None: all)."""
    if classes is None:
        values, missing = numbers(target), target.missing
    else:
        values, missing = class_codes(target, classes)
    n = len(values)
    given = np.zeros(0) if fed.weights is None else row_weights(fed.weights, n)
    if classes is not None and checked.get("class_weight") is not None:
        factors = _class_factors(checked["class_weight"], classes, values, given, missing)
        given = factors[values.astype(np.int64)] * (given if len(given) else 1.0)
    kept = ~missing
    if missing.any():
        notes.append(f"{int(missing.sum()):,} of {n:,} rows have no target {target.name!r} and were left out")
        if not kept.any():
            raise UserError(f"no row has a target {target.name!r} of a class the model knows; check the rows")
    if len(given):
        kept &= given > 0
        if not kept.any():
            raise UserError("no row has both a target and a weight above 0; check the weights")
    if kept.all():
        return values, given, None
    given = np.where(kept, given if len(given) else 1.0, 0.0)
    return values, given, kept


def _class_factors(asked: Any, classes: Classes, codes: F64, given: F64, missing: Bools) -> F64:
    """Return the factor of each class."""
    n = len(classes.labels)
    if asked == "balanced":
        each = np.where(missing, 0.0, given if len(given) else 1.0)
        sums = np.bincount(codes.astype(np.int64), each, n)
        factors: F64 = each.sum() / (n * np.maximum(sums, 1e-300))
        return factors
    by_name = {label_name(label): float(weight) for label, weight in asked.items()}
    if classes.type is VecType.BOOL:  # 0 and 1 are False and True
        by_name |= {label_name(bool(label)): float(asked[label]) for label in asked if label in (0, 1)}
        unknown = [label for label in asked if label not in (0, 1) and label not in classes.names]
    else:
        unknown = [label for label in asked if label_name(label) not in classes.names]
    if unknown:
        shown = classes.labels.tolist()[:8]
        raise UserError(f"class_weight names {unknown[0]!r}, which is no class; the classes are {shown}")
    return np.array([by_name.get(name, 1.0) for name in classes.names])


def _rows(
    table: Table, bins: tuple[FeatureBins, ...], values: F64, given: F64, kept: Bools | None,
    block_rows: int | None,
) -> Rows:  # fmt: skip
    """Return the rows in blocks, ready to be trained on or scored."""
    cut = cut_rows(table, block_rows)
    engine = ports.current()
    words = words_of(table, bins, cut)
    counts = not len(given) or bool(np.all((given == 0.0) | (given == 1.0)))
    weight_sum = float(given.sum()) if len(given) else float(len(values))
    count = np.zeros(0, np.int64)
    if len(given):
        count = np.rint(np.ldexp(given, 0 if counts else _count_log2(weight_sum, len(given)))).astype(np.int64)
    rows = [engine.put(np.zeros(0, np.uint8) if kept is None else kept[a:b].astype(np.uint8)) for a, b in cut.bounds]
    blocks = Blocks(words, cut.slices(count), rows, kept is None, [a for a, _ in cut.bounds], cut.threads)
    return Rows(blocks, cut.slices(values), cut.slices(given), cut.sizes, weight_sum, counts)


def _count_log2(weight_sum: float, n_rows: int) -> int:
    """Return k so that weights times 2**k, as integers, add up to less than 2**COUNT_BITS."""
    return math.frexp(math.ldexp(1.0, COUNT_BITS) / weight_sum)[1] - 2 if n_rows else 0


def _features(bins: tuple[FeatureBins, ...], setting: Setting, rows: Rows) -> Features:
    log2 = 0 if rows.counts else _count_log2(rows.weight_sum, rows.n_rows)
    return Features(
        n_bins=np.array([each.n_bins for each in bins], np.int32),
        is_enum=np.array([each.domain is not None for each in bins], np.uint8),
        edges=[each.edges for each in bins],
        min_count=math.ceil(math.ldexp(setting.min_rows, log2) * (1.0 if rows.counts else 1.0 - 1e-6)),
        count_unit=math.ldexp(1.0, -log2),
    )


def _base(loss: str, values: F64, given: F64, n_classes: int) -> tuple[F64, list[tuple[float, float]]]:
    """Return the scores before the first tree, and bounds of the sums of |gradient| and hessian of each."""
    weight = given if len(given) else np.ones(len(values))
    total = float(weight.sum())
    if loss == "squared":
        mean = float((weight * values).sum() / total)
        return np.array([mean]), [(float((weight * np.abs(values - mean)).sum()), total)]
    shares = np.bincount(values.astype(np.int64), weight, n_classes) / total
    shares = np.clip(shares, 1e-12, 1.0)
    bounds = [(2.0 * total * p * (1.0 - p), total * p * (1.0 - p)) for p in shares.tolist()]
    if loss == "logistic":
        return np.array([math.log(shares[1] / shares[0])]), bounds[1:]
    logs = np.log(shares)
    return logs - logs.mean(), bounds


def _note_growth(boosted: Boosted, train: Rows, setting: Setting, notes: list[str]) -> None:
    if boosted.stopped_early:
        notes.append(
            f"stopped after {boosted.history[-1].n_trees} trees: the validation loss was best with {boosted.n_rounds}"
        )
    if boosted.forest.n_trees and not (boosted.forest.feature >= 0).any():
        notes.append(
            f"no tree has a split: weights add up to {train.weight_sum:g}, min_rows={setting.min_rows:g}; "
            "lower min_rows or min_split_gain, or check the features"
        )


def _feed_validation(validation: Any, fed: Fed, weights: str | None) -> Fed:
    """Take validation data apart: a Frame like the training one, or a tuple of arrays."""
    assert fed.target is not None
    names = list(fed.table.names)
    if isinstance(validation, tuple) and len(validation) in (2, 3):
        held = feed(validation[0], names if fed.named else None)
        target = column_target(fed.target.name, validation[1])
        if len(target.values) != held.table.n_rows:
            raise UserError(f"validation has {held.table.n_rows:,} rows but {len(target.values):,} targets")
        return replace(held, target=target, weights=validation[2] if len(validation) == 3 else None)
    if isinstance(validation, Frame) or not isinstance(validation, (list, np.ndarray)):
        missing = [name for name in names if isinstance(validation, Frame) and name not in validation.vecs]
        if missing:
            raise unknown_name("column", missing[0], validation.vecs, "the validation frame")
        return feed_training(validation, fed.target.name, names, weights, None, "validation")
    raise UserError(
        f"validation is a {type(validation).__name__}: give a Frame with the target, or (X, y) or (X, y, sample_weight)"
    )
