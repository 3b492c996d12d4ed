"""Gradient boosted trees as estimators: GBMClassifier and GBMRegressor."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from hydroscope.frame.access import build_vec
from hydroscope.frame.frame import Frame
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.errors import UserError
from hydroscope.models import gbm_model, metrics
from hydroscope.models.base import Estimator, Fed, feed, feed_training, not_fitted
from hydroscope.models.gbm_model import GBMModel
from hydroscope.models.gbm_training import Order, train
from hydroscope.models.shelf import holding
from hydroscope.models.spec import CLASSIFIER_ONLY, GBM, Parameter, numpydoc
from hydroscope.models.target import Classes, Target, class_codes, row_weights
from hydroscope.node import jobs, ports

__all__ = ["GBMClassifier", "GBMRegressor"]

F64 = npt.NDArray[np.float64]


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
            Missing values (NaN) are learnt from; levels (enum, categorical) are split by subsets,
            and so is text with few distinct values (see docs/models.md).
        y : str or array_like, shape (n_rows,)
            The target's column of a Frame, or its values. Rows without a target are left out.
        sample_weight : array_like, shape (n_rows,), optional
            A weight of 2 counts as the row twice; rows of weight 0 are left out.
        x : sequence of str, optional
            Columns of the Frame to learn from; default: all but target, weights and text with many
            distinct values, which is left out with a warning.
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
        with jobs.running(f"train {type(self).__name__}"), holding(X, validation):
            order = Order(self._kind, type(self).__name__, checked, validation, weights, self._block_rows)
            model = train(fed, order)
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
        return gains / total if total > 0 else np.zeros(len(model.bins))

    @property
    def target_(self) -> str:
        """Name of the column that was learnt; "y" when values were given."""
        return self._fitted_attribute("target_").target

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
        names = {"train_loss": f"train_{loss}", "valid_loss": f"valid_{loss}"}
        columns: dict[str, Any] = {}
        for field in ("n_trees", "seconds", "train_loss", "valid_loss", "train_auc", "valid_auc"):
            name = names.get(field, field)
            values = np.array([getattr(record, field) for record in model.history])
            if not len(values) or not np.isnan(values.astype(np.float64)).all():
                columns[name] = values
        return Frame(columns)

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

    def _scores(self, X: Any) -> tuple[list[Any], Fed]:
        """Return predictions by leaf or block, each of shape (n_scores, n_rows), and the data."""
        model = self._fitted()
        fed = feed(X, model.names if model.named else None)
        return gbm_model.predict_parts(model, fed, type(self).__name__, self._block_rows), fed

    def _whole(self, parts: list[Any]) -> F64:
        return gbm_model.whole(self._fitted(), parts)

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
        columns: list[Any] = [*ports.current().map(gbm_model.row_of, [(part, 0) for part in parts])]
        return Frame.from_vecs({"predict": build_vec(VecType.REAL, fed.table.layout, columns)})

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
            return classes.labels[gbm_model.most_probable(self._whole(parts))]
        leaves = list(
            ports.current().map(gbm_model.labels_of, [(part, classes.labels, classes.type) for part in parts])
        )
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
            return gbm_model.all_probabilities(self._whole(parts)).T
        vecs: dict[str, Vec] = {}
        for k, name in enumerate(names):
            columns: list[Any] = [*ports.current().map(gbm_model.probability_of, [(part, k) for part in parts])]
            vecs[name] = build_vec(VecType.REAL, fed.table.layout, columns)
        return Frame.from_vecs(vecs)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the share of rows whose most probable class is the actual one."""
        predicted, target, given = self._measured(X, y, sample_weight)
        codes, missing = class_codes(target, self._classes(self._fitted()))
        right = (gbm_model.most_probable(predicted) == codes) & ~missing
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
