"""The boosting loop: gradients, a tree, scores; over and over.

Owns the state of one training: scores by block, steps of the integers, trees, history. The
estimators in `models.gbm` prepare its input and keep its result, so that a training that is
cancelled or fails leaves nothing half built.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.ground import rng
from hydroscope.models import quantise, scoring
from hydroscope.models.quantise import Steps
from hydroscope.models.tree import grower
from hydroscope.models.tree.grower import Blocks, Shape
from hydroscope.models.tree.predictor import Forest, join
from hydroscope.models.tree.splitting import BY_HESSIAN, Rules
from hydroscope.node import jobs, ports
from hydroscope.node.ports import NodeLost

__all__ = ["Boosted", "Record", "Rows", "Setting", "auc_of_ranks", "boost"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

ROW_STREAM, COLUMN_STREAM = 1, 2
"""What a stream of random numbers is for; the first counter of its key."""

RESUMPTIONS_MAX = 3
"""Times that one round is begun anew because scores were lost with a node and their recipe was, too."""

CATEGORY_SMOOTHING = 10.0
"""Rows' worth of hessian that a level is given before levels are sorted; 0 lets rare levels lead."""


@dataclass(frozen=True)
class Setting:
    """What the user asked for; see `models.spec` for the meaning of each."""

    n_estimators: int
    max_depth: int
    learning_rate: float
    min_rows: float
    l2: float
    min_split_gain: float
    subsample: float
    colsample: float
    early_stopping_rounds: int | None
    scoring_interval: int
    seed: int


@dataclass(frozen=True)
class Rows:
    """Rows with a target, cut into blocks; handles, one a block.

    Attributes
    ----------
    blocks : Blocks
    target : list of handles to ndarray of float64
        Means, or the number of the class.
    weight : list of handles to ndarray of float64
        Empty arrays when all weights are 1.
    sizes : list of int
        Rows of each block.
    weight_sum : float
    counts : bool
        Whether all weights are 0 or 1.
    """

    blocks: Blocks
    target: list[Any]
    weight: list[Any]
    sizes: list[int]
    weight_sum: float
    counts: bool

    @property
    def n_rows(self) -> int:
        """Rows in all, those without weight included."""
        return sum(self.sizes)


@dataclass(frozen=True)
class Features:
    """What trees need to know of the features.

    Attributes
    ----------
    n_bins, is_enum, edges, min_count, count_unit :
        See `tree.grower.Shape`.
    """

    n_bins: npt.NDArray[np.int32]
    is_enum: npt.NDArray[np.uint8]
    edges: list[F64]
    min_count: int
    count_unit: float


@dataclass(frozen=True)
class Record:
    """One line of the scoring history; NaN where there is nothing to say.

    Attributes
    ----------
    n_trees : int
        Rounds done (a round is one tree a class).
    seconds : float
        Since the training began.
    train_loss, valid_loss : float
        Mean log loss, or RMSE.
    train_auc, valid_auc : float
        Two classes only; within 1e-4 (see `scoring.rank_counts`).
    """

    n_trees: int
    seconds: float
    train_loss: float
    valid_loss: float = math.nan
    train_auc: float = math.nan
    valid_auc: float = math.nan


@dataclass(frozen=True)
class Boosted:
    """What training made.

    Attributes
    ----------
    forest : Forest
    base : ndarray of float64, shape (n_scores,)
        Scores before the first tree.
    history : list of Record
    n_rounds : int
        Rounds kept.
    stopped_early : bool
    """

    forest: Forest
    base: F64
    history: list[Record]
    n_rounds: int
    stopped_early: bool


@dataclass(frozen=True)
class _Saved:
    """Where a training stands before a round."""

    steps: list[Steps]
    n_trees: int
    n_records: int
    best: tuple[float, int]


@dataclass
class _Scored:
    """Rows and their present scores. Owned by one `_Training`."""

    rows: Rows
    scores: list[Any]
    n_trees: int = 0
    pending: list[Forest] = field(default_factory=list)


def boost(
    loss: str,
    train: Rows,
    valid: Rows | None,
    base: F64,
    bounds: list[tuple[float, float]],
    features: Features,
    setting: Setting,
) -> Boosted:
    """Train and return the trees.

    Parameters
    ----------
    loss : {"squared", "logistic", "softmax"}
    train, valid : Rows
        `valid` is only scored; with early stopping it decides when to end.
    base : ndarray of float64, shape (n_scores,)
    bounds : list of (float, float)
        For each score, upper bounds of the sums of |gradient| and of hessians before the first tree.
    features : Features
    setting : Setting

    Notes
    -----
    Cost: per tree a pass over the rows for gradients, and per level about half a pass over
    rows times features.
    """
    return _Training(loss, train, valid, base, bounds, features, setting).run()


class _Training:
    def __init__(
        self, loss: str, train: Rows, valid: Rows | None, base: F64, bounds: list[tuple[float, float]],
        features: Features, setting: Setting,
    ) -> None:  # fmt: skip
        self.loss, self.features, self.setting, self.base = loss, features, setting, base
        self.engine = ports.current()
        self.train = _Scored(train, self._constant(train))
        self.valid = None if valid is None else _Scored(valid, self._constant(valid))
        counts = loss == "squared" and train.counts
        self.steps = [quantise.first_steps(g, h, train.n_rows, counts) for g, h in bounds]
        self.spare: list[Any] = [None] * len(train.sizes)
        self.trees: list[Forest] = []
        self.history: list[Record] = []
        self.best = (math.inf, 0)
        self.started = time.perf_counter()

    def _constant(self, rows: Rows) -> list[Any]:
        return list(self.engine.map(scoring.constant, [(n, self.base) for n in rows.sizes]))

    def run(self) -> Boosted:
        """Train round after round until all are done or the validation loss has ceased to fall."""
        setting, n_kept, stopped = self.setting, self.setting.n_estimators, False
        last: tuple[list[Any], F64] | None = None
        for round_ in range(setting.n_estimators):
            jobs.check()
            done = round_ + 1
            for attempt in range(RESUMPTIONS_MAX + 1):
                before = self._saved()
                try:
                    last, stopped = self._round_and_score(round_, last)
                    break
                except NodeLost:
                    if attempt == RESUMPTIONS_MAX:
                        raise
                    self._resume(before)
                    last = None
            jobs.report(done / setting.n_estimators, f"tree {done} of {setting.n_estimators}")
            if stopped:
                break
        if setting.early_stopping_rounds:
            n_kept = self.best[1]
        forest = join(self.trees).first(min(n_kept * len(self.base), len(self.trees)))
        return Boosted(forest, self.base, self.history, forest.n_trees // len(self.base), stopped)

    def _round_and_score(
        self, round_: int, last: tuple[list[Any], F64] | None
    ) -> tuple[tuple[list[Any], F64] | None, bool]:
        """Do one round; return the tree that the scores do not have yet, and whether to stop."""
        setting, done = self.setting, round_ + 1
        if self.loss == "softmax":
            self._softmax_round(round_)
        else:
            last = self._round(round_, last)
        if done % setting.scoring_interval and done != setting.n_estimators:
            return last, False
        if last is not None:
            self._advance(0, *last)
        return None, self._score(done)

    def _saved(self) -> _Saved:
        """Return what the next round will change, apart from scores."""
        return _Saved(list(self.steps), len(self.trees), len(self.history), self.best)

    def _resume(self, saved: _Saved) -> None:
        """Go back to the beginning of a round; scores that went with a node are made again from the trees.

        A tree's values are added one after the other, as they were the first time: to the same bits.
        """
        self.steps, self.best = list(saved.steps), saved.best
        del self.trees[saved.n_trees :], self.history[saved.n_records :]
        self.spare = [None] * len(self.train.rows.sizes)
        for scored in (self.train, self.valid):
            if scored is not None:
                scored.scores = self._constant(scored.rows)
                scored.pending[:] = self.trees
                if self.trees:
                    self._catch_up(scored)

    def _round(self, round_: int, last: tuple[list[Any], F64] | None) -> tuple[list[Any], F64]:
        """Grow one tree; return it as leaves of rows and values, to be added with the next gradients."""
        packed = self._gradients(0, self.train.scores, last)
        tree, leaves = grower.grow(self.train.rows.blocks, packed, self._sample(round_), self._shape(round_, 0))
        self._keep(tree)
        return leaves, tree.value

    def _softmax_round(self, round_: int) -> None:
        threads = self.train.rows.blocks.threads
        items = [(self.loss, scores, threads) for scores in self.train.scores]
        chances = self.engine.map(scoring.to_probabilities, items)
        for k in range(len(self.base)):
            packed = self._gradients(k, list(chances), None)
            tree, leaves = grower.grow(self.train.rows.blocks, packed, self._sample(round_), self._shape(round_, k))
            self._keep(replace(tree, output=np.full(1, k, np.int32)))
            self._advance(k, leaves, tree.value)

    def _keep(self, tree: Forest) -> None:
        self.trees.append(tree)
        if self.valid is not None:
            self.valid.pending.append(tree)

    def _gradients(self, k: int, scores: list[Any], last: tuple[list[Any], F64] | None) -> list[Any]:
        """Return packed gradients by block; again with coarser steps should the sums not fit."""
        rows = self.train.rows
        leaves: list[Any] = [None] * len(scores) if last is None else last[0]
        values = None if last is None else last[1]
        steps = self.steps[k]
        while True:
            form = (steps.g_scale, steps.h_scale, steps.shift)
            items = [
                (self.loss, s, k, target, weight, form, leaf, values, spare, rows.blocks.threads)
                for s, target, weight, leaf, spare in zip(
                    scores, rows.target, rows.weight, leaves, self.spare, strict=True
                )
            ]
            parts = self.engine.map(scoring.gradients, items, 3)
            if values is not None:
                scores = self.train.scores = [part[0] for part in parts]
                leaves, values = [None] * len(scores), None
            sums = self.engine.reduce(grower.add, [part[2] for part in parts])
            g_sum, h_sum = int(sums[0]), int(sums[1])
            after = quantise.next_steps(steps, g_sum, h_sum, rows.n_rows)
            if quantise.fits(steps, g_sum, h_sum):
                break
            steps = after
        self.steps[k] = after
        self._used: Steps = steps
        packed = [part[1] for part in parts]
        self.spare = packed if rows.blocks.threads else self.spare
        return packed

    def _advance(self, k: int, leaves: list[Any], values: F64) -> None:
        threads = self.train.rows.blocks.threads
        items = [(scores, k, leaf, values, threads) for scores, leaf in zip(self.train.scores, leaves, strict=True)]
        self.train.scores = list(self.engine.map(scoring.advance, items))

    def _sample(self, round_: int) -> tuple[int, float]:
        return rng.key(self.setting.seed, ROW_STREAM, round_), self.setting.subsample

    def _shape(self, round_: int, k: int) -> Shape:
        """Return the tree's shape: the features it may use and the rules in present steps."""
        setting, steps = self.setting, self._used
        n_features = len(self.features.n_bins)
        chosen = np.arange(n_features, dtype=np.int32)
        if setting.colsample < 1.0:
            n = max(1, round(setting.colsample * n_features))
            chosen = rng.choose(rng.key(setting.seed, COLUMN_STREAM, round_, k), n_features, n).astype(np.int32)
        slack = 1.0 if self.train.rows.counts else 1.0 - 1e-3
        rules = Rules(
            shift=steps.shift,
            g_unit=1.0 / steps.g_scale,
            h_unit=1.0 / steps.h_scale,
            l2=setting.l2,
            min_gain=setting.min_split_gain,
            mode=BY_HESSIAN,
            min_count=math.ceil(setting.min_rows * steps.h_scale * slack),
            smoothing=CATEGORY_SMOOTHING * (1.0 if self.loss == "squared" else 0.25),
        )
        return Shape(
            max_depth=setting.max_depth,
            learning_rate=setting.learning_rate,
            features=chosen,
            n_bins=self.features.n_bins,
            is_enum=self.features.is_enum,
            edges=self.features.edges,
            rules=rules,
            hessian_is_weight=self.loss == "squared",
            min_count=self.features.min_count,
            count_unit=self.features.count_unit,
        )

    def _score(self, n_rounds: int) -> bool:
        """Add a line to the history; tell whether to stop."""
        train_loss, train_auc = self._losses(self.train)
        record = Record(n_rounds, time.perf_counter() - self.started, train_loss, train_auc=train_auc)
        if self.valid is not None:
            self._catch_up(self.valid)
            valid_loss, valid_auc = self._losses(self.valid)
            record = replace(record, valid_loss=valid_loss, valid_auc=valid_auc)
            if valid_loss < self.best[0]:
                self.best = (valid_loss, n_rounds)
        self.history.append(record)
        rounds = self.setting.early_stopping_rounds
        return bool(rounds) and n_rounds - self.best[1] >= (rounds or 0)

    def _catch_up(self, scored: _Scored) -> None:
        """Add the trees that the validation rows have not seen."""
        forest = join(scored.pending)
        scored.pending.clear()
        blocks = scored.rows.blocks
        items = [
            (words, scores, forest, blocks.threads) for words, scores in zip(blocks.words, scored.scores, strict=True)
        ]
        scored.scores = list(self.engine.map(scoring.add_forest, items))

    def _losses(self, scored: _Scored) -> tuple[float, float]:
        """Return mean log loss or RMSE, and the AUC of two classes."""
        rows = scored.rows
        items = [
            (self.loss, scores, target, weight, rows.blocks.threads)
            for scores, target, weight in zip(scored.scores, rows.target, rows.weight, strict=True)
        ]
        tiles = self._all(scoring.loss_tiles, items)
        mean = math.fsum(float(each) for part in tiles for each in part) / rows.weight_sum
        if self.loss == "squared":
            return math.sqrt(mean), math.nan
        if self.loss == "softmax":
            return mean, math.nan
        ranks = [
            (scores, target, count, rows.blocks.threads)
            for scores, target, count in zip(scored.scores, rows.target, rows.blocks.count, strict=True)
        ]
        counts = self.engine.reduce(grower.add, self.engine.map(scoring.rank_counts, ranks))
        return mean, auc_of_ranks(counts)

    def _all(self, function: Callable[..., Any], items: list[tuple[Any, ...]]) -> list[Any]:
        return list(self.engine.get(list(self.engine.map(function, items))))


def auc_of_ranks(counts: I64) -> float:
    """Return the area under the ROC curve from weights of negatives and positives by rank; ties count half."""
    negative, positive = counts[0].astype(np.float64), counts[1].astype(np.float64)
    below = np.cumsum(negative) - negative / 2
    pairs = negative.sum() * positive.sum()
    return float((positive * below).sum() / pairs) if pairs > 0 else math.nan
