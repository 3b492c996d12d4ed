"""Gradient boosted trees as estimators: GBMClassifier and GBMRegressor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from hydroscope.frame.access import build_vec
from hydroscope.frame.frame import Frame
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground import rng
from hydroscope.ground.errors import UserError
from hydroscope.models import metrics, scoring
from hydroscope.models.base import Estimator, Fed, feed, feed_training, not_fitted
from hydroscope.models.boosting import Boosted, Record, Rows, Setting, boost
from hydroscope.models.spec import CLASSIFIER_ONLY, GBM, Parameter, numpydoc
from hydroscope.models.table import Table, adapt, bin_edges, cut_rows, words_of
from hydroscope.models.target import Classes, Target, class_codes, classes_of, column_target, numbers, row_weights
from hydroscope.models.tree.binning import FeatureBins
from hydroscope.models.tree.grower import Blocks, Shape
from hydroscope.models.tree.predictor import Forest
from hydroscope.node import jobs, ports

__all__ = ["GBMClassifier", "GBMModel", "GBMRegressor"]

F64 = npt.NDArray[np.float64]

COUNT_BITS = 61
"""Bits of the sum of weights as integers."""


@dataclass(frozen=True)
class GBMModel:
    """What was learnt: all that prediction needs, and all that a file keeps.

    Attributes
    ----------
    kind : {"classifier", "regressor"}
    loss : {"squared", "logistic", "softmax"}
    parameters : mapping
        As they were when `fit` was called.
    seed : int
        Of the samples: `random_state`, or a fresh one.
    bins : tuple of FeatureBins
        One a feature.
    named : bool
        Whether features were named by the user.
    target : str
    classes : Classes or None
    base : ndarray of float64, shape (n_scores,)
        Scores before the first tree.
    forest : Forest
    history : tuple of Record
    notes : tuple of str
        What the user should know about the training.
    """

    kind: str
    loss: str
    parameters: Mapping[str, Any]
    seed: int
    bins: tuple[FeatureBins, ...]
    named: bool
    target: str
    classes: Classes | None
    base: F64
    forest: Forest
    history: tuple[Record, ...]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names."""
        return tuple(each.name for each in self.bins)

    @property
    def n_rounds(self) -> int:
        """Rounds of boosting: trees, or trees a class when there are three classes or more."""
        return self.forest.n_trees // len(self.base)


class _GBM(Estimator):
    """Common to both estimators."""

    _model: GBMModel | None
    _block_rows: ClassVar[int | None] = None

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        x: Sequence[str] | None = None,
        validation: Any = None,
        weights: str | None = None,
    ) -> Self:
        """Train and return self.

        Parameters
        ----------
        X : Frame, or table or array_like of shape (n_rows, n_features)
            Missing values (NaN) are learnt from; levels (enum, categorical) are split by subsets.
        y : str or array_like, shape (n_rows,)
            The target's column of a Frame, or its values. Rows without a target are left out.
        sample_weight : array_like, shape (n_rows,), optional
            A weight of 2 counts as the row twice; rows of weight 0 are left out.
        x : sequence of str, optional
            Columns of the Frame to learn from; default: all but target and weights (and text).
        validation : Frame, or (X, y) or (X, y, sample_weight), optional
            Rows to score while training; early stopping needs them.
        weights : str, optional
            The column of weights of a Frame (and of the validation Frame).

        Raises
        ------
        UserError
            A parameter is out of range, a column is not there, or the target cannot be learnt.

        Notes
        -----
        Cost: per tree about 2 passes over the features as bytes, on all cores; one byte a
        value and 30 bytes a row of scratch. Cancelled or failed, the estimator stays as it was.
        """
        checked = self._checked()
        fed = feed_training(X, y, x, weights, sample_weight, type(self).__name__)
        with jobs.running(f"train {type(self).__name__}"):
            model = self._train(fed, validation, weights, checked)
        self._keep(model)
        return self

    def fit_async(self, X: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> jobs.Job:
        """Like `fit` on a thread of its own; return its Job at once, whose result is self."""
        self._checked()
        name = f"train {type(self).__name__}"
        return jobs.start(self.fit, X, y, sample_weight, description=name, **options)

    def save(self, path: str | PathLike[str], overwrite: bool = False) -> None:
        """Write the model to a file of hydroscope's own format (docs/model-format.md)."""
        from hydroscope.models.store import save_model

        save_model(self._fitted(), path, overwrite)

    @property
    def n_features_in_(self) -> int:
        """Features the model was trained on."""
        return len(self._fitted_attribute("n_features_in_").bins)

    @property
    def feature_names_in_(self) -> npt.NDArray[Any]:
        """Names of the features; only there when they were given names."""
        model = self._fitted_attribute("feature_names_in_")
        if not model.named:
            raise AttributeError("feature_names_in_: the features were not named; train on a Frame or DataFrame")
        return np.array(model.names, dtype=object)

    @property
    def feature_importances_(self) -> F64:
        """The share of each feature in all gains, shape (n_features,); sums to 1 unless nothing was split."""
        model = self._fitted_attribute("feature_importances_")
        split = model.forest.feature >= 0
        gains = np.bincount(model.forest.feature[split], model.forest.gain[split], len(model.bins))
        total = gains.sum()
        return gains / total if total > 0 else gains

    @property
    def n_estimators_(self) -> int:
        """Rounds kept: fewer than `n_estimators` after early stopping."""
        return self._fitted_attribute("n_estimators_").n_rounds

    @property
    def notes_(self) -> tuple[str, ...]:
        """What to know about the training: rows and columns left out, and the like."""
        return self._fitted_attribute("notes_").notes

    @property
    def seed_(self) -> int:
        """The seed of the samples: `random_state`, or the one drawn when that is None."""
        return self._fitted_attribute("seed_").seed

    @property
    def scoring_history_(self) -> Frame:
        """Losses (and AUC for two classes) by number of trees: a Frame."""
        model = self._fitted_attribute("scoring_history_")
        loss = "rmse" if model.loss == "squared" else "logloss"
        names = {"n_trees": "n_trees", "seconds": "seconds", "train_loss": f"train_{loss}", "valid_loss": f"valid_{loss}",
                 "train_auc": "train_auc", "valid_auc": "valid_auc"}  # fmt: skip
        columns: dict[str, Any] = {}
        for field, name in names.items():
            values = np.array([getattr(record, field) for record in model.history])
            if not len(values) or not np.isnan(values.astype(np.float64)).all():
                columns[name] = values
        return _frame_of(columns)

    def _fitted(self) -> GBMModel:
        model = getattr(self, "_model", None)
        if model is None:
            raise not_fitted(type(self).__name__)
        found: GBMModel = model
        return found

    def _fitted_attribute(self, name: str) -> GBMModel:
        """Return the model; before `fit` such attributes are not there."""
        model = getattr(self, "_model", None)
        if model is None:
            raise AttributeError(f"{type(self).__name__} has no {name} before 'fit'")
        found: GBMModel = model
        return found

    def _keep(self, model: GBMModel) -> None:
        self._model = model

    # ------------------------------------------------------------ training

    def _train(self, fed: Fed, validation: Any, weights: str | None, checked: dict[str, Any]) -> GBMModel:
        assert fed.target is not None
        classes = classes_of(fed.target) if self._kind == "classifier" else None
        loss = "squared" if classes is None else "logistic" if len(classes.labels) == 2 else "softmax"
        notes = [f"column {name!r} holds text and was left out" for name in fed.ignored]
        values, given, kept = _targets(fed.target, classes, fed, checked, notes)
        seed = checked["random_state"] if checked["random_state"] is not None else rng.fresh_seed()
        setting = _setting(checked, seed, validation)
        jobs.report(0.0, "sort values into bins")
        bins = bin_edges(fed.table, kept, values, checked["max_bins"])
        train = _rows(fed.table, bins, values, given, kept, self._block_rows)
        valid = None
        if validation is not None:
            valid = self._validation_rows(validation, fed, bins, classes, weights, checked, notes)
        base, bounds = _base(loss, values, given, 0 if classes is None else len(classes.labels))
        shape = _shape(bins, setting, train)
        boosted = boost(loss, train, valid, base, bounds, shape, setting)
        _note_growth(boosted, train, setting, notes)
        return GBMModel(
            kind=self._kind,
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
        self, validation: Any, fed: Fed, bins: tuple[FeatureBins, ...], classes: Classes | None, weights: str | None,
        checked: dict[str, Any], notes: list[str],
    ) -> Rows:  # fmt: skip
        held = _feed_validation(validation, fed, weights)
        assert held.target is not None
        table, own_bins = _aligned(held, tuple(each.name for each in bins), bins, type(self).__name__)
        heard: list[str] = []
        values, given, kept = _targets(held.target, classes, held, checked, heard)
        notes += [f"validation: {note}" for note in heard]
        return _rows(table, own_bins, values, given, kept, self._block_rows)

    # ---------------------------------------------------------- prediction

    def _scores(self, X: Any) -> tuple[list[Any], Fed]:
        """Return predictions by leaf or block, each of shape (n_scores, n_rows), and the data."""
        model = self._fitted()
        fed = feed(X, model.names if model.named else None)
        table, bins = _aligned(fed, model.names, model.bins, type(self).__name__)
        cut = cut_rows(table, self._block_rows)
        if fed.is_frame:
            items = []
            for leaf in range(len(table.layout.leaves)):
                first, last = table.layout.leaf_rows(leaf)
                handles = [vec.leaves[leaf] for vec in table.vecs]
                items.append((model.loss, model.base, model.forest, bins, table.types, last - first, *handles))
            return list(ports.current().map(_predict_leaf, items)), fed
        words = words_of(table, bins, cut)
        items = [(each, model.base, model.forest, model.loss, cut.threads) for each in words]
        return list(ports.current().map(scoring.score_rows, items)), fed

    def _whole(self, parts: list[Any]) -> F64:
        """Return predictions of all rows, shape (n_scores, n_rows)."""
        found: F64 = np.concatenate([np.zeros((len(self._fitted().base), 0)), *ports.current().get(parts)], axis=1)
        return found

    def _measured(self, X: Any, y: Any, sample_weight: Any) -> tuple[F64, Target, Any]:
        """Return predictions, actual values and weights of data with a target."""
        model = self._fitted()
        if y is None and isinstance(X, Frame):
            y = model.target
        fed = feed_training(X, y, list(model.names) if isinstance(y, str) else None, None, sample_weight, "")
        assert fed.target is not None
        parts, _ = self._scores(X)
        return self._whole(parts), fed.target, sample_weight


class GBMRegressor(_GBM):
    """Gradient boosted trees for numbers (squared error).

    {parameters}

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(200.0).reshape(-1, 1)
    >>> model = GBMRegressor(n_estimators=20, random_state=1).fit(X, X[:, 0] > 100)
    >>> model.predict([[5.0], [190.0]]).round(1)
    array([0.1, 0.9])
    """

    _table = tuple(each for each in GBM if each.name not in CLASSIFIER_ONLY)
    _kind = "regressor"

    def __init__(
        self,
        *,
        n_estimators: int = 100,
        max_depth: int = 6,
        learning_rate: float = 0.1,
        min_rows: float = 10,
        max_bins: int = 255,
        subsample: float = 1.0,
        colsample: float = 1.0,
        l2: float = 1.0,
        min_split_gain: float = 0.0,
        early_stopping_rounds: int | None = None,
        scoring_interval: int | None = None,
        random_state: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.min_rows = min_rows
        self.max_bins = max_bins
        self.subsample = subsample
        self.colsample = colsample
        self.l2 = l2
        self.min_split_gain = min_split_gain
        self.early_stopping_rounds = early_stopping_rounds
        self.scoring_interval = scoring_interval
        self.random_state = random_state

    def predict(self, X: Any) -> Any:
        """Return the predicted means: an array, or for a Frame a Frame with the column "predict".

        Cost: one pass, trees times depth steps a row.
        """
        parts, fed = self._scores(X)
        if not fed.is_frame:
            return self._whole(parts)[0]
        columns = ports.current().map(_row_of, [(part, 0) for part in parts])
        return Frame.from_vecs({"predict": build_vec(VecType.REAL, fed.table.layout, list(columns))})

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return R² of the predictions: 1 is perfect, 0 no better than the mean."""
        return float(self.metrics(X, y, sample_weight).r2)

    def metrics(self, X: Any, y: Any = None, sample_weight: Any = None) -> metrics.RegressionMetrics:
        """Measure the predictions of a Frame that has the target, or of X and y."""
        predicted, target, given = self._measured(X, y, sample_weight)
        actual = target.values.astype(np.float64)
        actual[target.missing] = np.nan
        return metrics.regression(actual, predicted[0], given)


class GBMClassifier(_GBM):
    """Gradient boosted trees for classes: two (logistic loss) or more (softmax).

    {parameters}

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(200.0).reshape(-1, 1)
    >>> y = np.where(X[:, 0] > 100, "late", "on time")
    >>> model = GBMClassifier(n_estimators=20, random_state=1).fit(X, y)
    >>> model.predict([[5.0], [190.0]]).tolist()
    ['on time', 'late']
    """

    _table = GBM
    _kind = "classifier"

    def __init__(
        self,
        *,
        n_estimators: int = 100,
        max_depth: int = 6,
        learning_rate: float = 0.1,
        min_rows: float = 10,
        max_bins: int = 255,
        subsample: float = 1.0,
        colsample: float = 1.0,
        l2: float = 1.0,
        min_split_gain: float = 0.0,
        early_stopping_rounds: int | None = None,
        scoring_interval: int | None = None,
        class_weight: Any = None,
        random_state: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.min_rows = min_rows
        self.max_bins = max_bins
        self.subsample = subsample
        self.colsample = colsample
        self.l2 = l2
        self.min_split_gain = min_split_gain
        self.early_stopping_rounds = early_stopping_rounds
        self.scoring_interval = scoring_interval
        self.class_weight = class_weight
        self.random_state = random_state

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes, ascending: the order of the columns of `predict_proba`."""
        return self._classes(self._fitted_attribute("classes_")).labels

    def predict(self, X: Any) -> Any:
        """Return the most probable class: an array, or for a Frame a Frame with the column "predict".

        Cost: one pass, trees times depth steps a row and class.
        """
        parts, fed = self._scores(X)
        classes = self._classes(self._fitted())
        if not fed.is_frame:
            return classes.labels[_most_probable(self._whole(parts))]
        leaves = list(ports.current().map(_labels_of, [(part, classes.labels, classes.type) for part in parts]))
        domain = classes.names if classes.type is VecType.ENUM else None
        return Frame.from_vecs({"predict": build_vec(classes.type, fed.table.layout, leaves, domain)})

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, in the order of `classes_`.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_classes), or Frame with one column a class
        """
        parts, fed = self._scores(X)
        names = self._classes(self._fitted()).names
        if not fed.is_frame:
            return _all_probabilities(self._whole(parts)).T
        vecs: dict[str, Vec] = {}
        for k, name in enumerate(names):
            columns = ports.current().map(_probability_of, [(part, k) for part in parts])
            vecs[name] = build_vec(VecType.REAL, fed.table.layout, list(columns))
        return Frame.from_vecs(vecs)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the share of rows whose most probable class is the actual one."""
        predicted, target, given = self._measured(X, y, sample_weight)
        codes, missing = class_codes(target, self._classes(self._fitted()))
        right = (_most_probable(predicted) == codes) & ~missing
        counted = np.ones(len(right)) if given is None else row_weights(given, len(right))
        counted[target.missing] = 0.0
        if not counted.any():
            raise UserError("no row has an actual class; score needs rows with a target")
        return float(np.average(right, weights=counted))

    def metrics(
        self, X: Any, y: Any = None, sample_weight: Any = None
    ) -> metrics.BinaryMetrics | metrics.MultinomialMetrics:
        """Measure the probabilities of a Frame that has the target, or of X and y."""
        predicted, target, given = self._measured(X, y, sample_weight)
        classes = self._classes(self._fitted())
        codes, missing = class_codes(target, classes)
        codes[missing] = np.nan
        if len(classes.labels) == 2:
            return metrics.binary(codes, predicted[0], given, classes.names)
        return metrics.multinomial(codes, predicted.T, classes.names, given)

    def _classes(self, model: GBMModel) -> Classes:
        assert model.classes is not None
        return model.classes


def _document(cls: type[_GBM], table: Sequence[Parameter]) -> None:
    if cls.__doc__ is not None:
        text = numpydoc(table).replace("\n", "\n    ")
        cls.__doc__ = cls.__doc__.replace("{parameters}", text)


_document(GBMRegressor, GBMRegressor._table)
_document(GBMClassifier, GBMClassifier._table)


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
) -> tuple[F64, F64, npt.NDArray[np.bool_] | None]:
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


def _class_factors(asked: Any, classes: Classes, codes: F64, given: F64, missing: npt.NDArray[np.bool_]) -> F64:
    """Return the factor of each class."""
    n = len(classes.labels)
    if asked == "balanced":
        each = np.where(missing, 0.0, given if len(given) else 1.0)
        sums = np.bincount(codes.astype(np.int64), each, n)
        return each.sum() / (n * np.maximum(sums, 1e-300))
    labels = classes.labels.tolist()
    unknown = [label for label in asked if label not in labels and str(label) not in classes.names]
    if unknown:
        raise UserError(f"class_weight names {unknown[0]!r}, which is no class; the classes are {labels[:8]}")
    by_name = {str(label): float(weight) for label, weight in asked.items()}
    return np.array([by_name.get(str(label), 1.0) for label in labels])


def _rows(
    table: Table, bins: tuple[FeatureBins, ...], values: F64, given: F64, kept: npt.NDArray[np.bool_] | None,
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
    rows = [
        engine.put(np.arange(b - a, dtype=np.int32) if kept is None else np.flatnonzero(kept[a:b]).astype(np.int32))
        for a, b in cut.bounds
    ]
    blocks = Blocks(words, cut.slices(count), rows, [a for a, _ in cut.bounds], cut.threads)
    return Rows(blocks, cut.slices(values), cut.slices(given), cut.sizes, weight_sum, counts)


def _count_log2(weight_sum: float, n_rows: int) -> int:
    """Return k so that weights times 2**k, as integers, add up to less than 2**COUNT_BITS."""
    return math.frexp(math.ldexp(1.0, COUNT_BITS) / weight_sum)[1] - 2 if n_rows else 0


def _shape(bins: tuple[FeatureBins, ...], setting: Setting, train: Rows) -> Shape:
    log2 = 0 if train.counts else _count_log2(train.weight_sum, train.n_rows)
    n_bins = np.array([each.n_bins for each in bins], np.int32)
    return Shape(
        max_depth=setting.max_depth,
        learning_rate=setting.learning_rate,
        features=np.arange(len(bins), dtype=np.int32),
        n_bins=n_bins,
        is_enum=np.array([each.domain is not None for each in bins], np.uint8),
        edges=[each.edges for each in bins],
        rules=None,  # set by `boost`, tree by tree
        hessian_is_weight=False,
        min_count=math.ceil(math.ldexp(setting.min_rows, log2) * (1.0 if train.counts else 1.0 - 1e-6)),
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
            from hydroscope.ground.errors import unknown_name

            raise unknown_name("column", missing[0], validation.vecs, "the validation frame")
        return feed_training(validation, fed.target.name, names, weights, None, "validation")
    raise UserError(
        f"validation is a {type(validation).__name__}: give a Frame with the target, or (X, y) or (X, y, sample_weight)"
    )


def _aligned(
    fed: Fed, names: Sequence[str], bins: tuple[FeatureBins, ...], owner: str
) -> tuple[Table, tuple[FeatureBins, ...]]:
    """Return the data's columns in the model's order, with bins for their own levels."""
    if fed.table.array is None:
        return adapt(fed.table, names, bins)
    if fed.table.array.shape[1] != len(bins):
        raise UserError(
            f"X has {fed.table.array.shape[1]} features, but {owner} is expecting {len(bins)} features as input; "
            "give the columns it was trained on, in the same order"
        )
    levels = [each.name for each in bins if each.domain is not None]
    if levels:
        raise UserError(
            f"the model was trained on levels in column {levels[0]!r}, and a matrix of numbers has none; "
            "give a Frame or DataFrame with the same columns"
        )
    return fed.table, bins


def _predict_leaf(
    loss: str, base: F64, forest: Forest, bins: tuple[FeatureBins, ...], types: Sequence[VecType], n_rows: int,
    *leaf: Any,
) -> F64:  # fmt: skip
    """Return the predictions of one leaf of a frame, shape (n_scores, n_rows)."""
    from hydroscope.models.tree.binning import bin_leaves

    words = bin_leaves(bins, types, [n_rows], False, *leaf)
    return scoring.score_rows(words, base, forest, loss, False)


def _row_of(part: F64, k: int) -> F64:
    return part[k]


def _probability_of(part: F64, k: int) -> F64:
    return _all_probabilities(part)[k]


def _labels_of(part: F64, labels: npt.NDArray[Any], type: VecType) -> npt.NDArray[Any]:
    """Return the most probable class of each row as a frame's column holds it."""
    found = _most_probable(part)
    if type is VecType.ENUM:
        return found
    return labels[found].astype(np.float64 if type is VecType.REAL else np.int64)


def _all_probabilities(part: F64) -> F64:
    """Return one line a class; two classes are predicted as one line, of the second."""
    return np.stack([1.0 - part[0], part[0]]) if len(part) == 1 else part


def _most_probable(part: F64) -> npt.NDArray[np.int64]:
    return (part[0] > 0.5).astype(np.int64) if len(part) == 1 else np.argmax(part, axis=0)


def _frame_of(columns: dict[str, Any]) -> Frame:
    return Frame(columns)  # type: ignore[call-arg]
