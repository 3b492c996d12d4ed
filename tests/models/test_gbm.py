"""GBM estimators against scikit-learn's, against properties, and against what their parameters promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, mean_squared_error, roc_auc_score
from threadpoolctl import threadpool_limits

import hydroscope as hs
from hydroscope.engine.local import LocalEngine
from hydroscope.models.tree import grower
from hydroscope.models.tree.reference import bins_of_words, tree_values
from hydroscope.node import ports

FOREST = ("starts", "depths", "output", "feature", "left", "mask", "threshold", "value", "gain", "cover", "n_rows")


def numbers(seed, n=4000, missing=0.0):
    """Return X of six columns and a signal that is not linear."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, 6))
    signal = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + np.where(X[:, 3] > 0.5, 1.0, 0.0)
    X[draw.random(X.shape) < missing] = np.nan
    return X, signal, draw


def same_forest(left, right):
    for name in FOREST:
        np.testing.assert_array_equal(getattr(left._model.forest, name), getattr(right._model.forest, name), name)


def peer(kind, X, y, max_iter=60):
    """Return scikit-learn's model with the same parameters, trained on one thread: it spins when cores are taken."""
    model = kind(
        max_iter=max_iter,
        max_leaf_nodes=64,
        max_depth=6,
        l2_regularization=1.0,
        min_samples_leaf=10,
        early_stopping=False,
    )
    with threadpool_limits(1):
        return model.fit(X, y)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_two_classes_are_told_apart_as_well_as_by_scikit_learn(missing):
    X, signal, draw = numbers(1, 6000, missing)
    y = (signal + draw.logistic(size=len(signal)) > 0).astype(int)
    train, held = slice(0, 4000), slice(4000, None)
    own = hs.GBMClassifier(n_estimators=60).fit(X[train], y[train]).predict_proba(X[held])[:, 1]
    other = peer(HistGradientBoostingClassifier, X[train], y[train]).predict_proba(X[held])[:, 1]
    assert roc_auc_score(y[held], own) > roc_auc_score(y[held], other) - 0.005
    assert log_loss(y[held], own) < log_loss(y[held], other) + 0.01


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_numbers_are_met_as_closely_as_by_scikit_learn(missing):
    X, signal, draw = numbers(2, 6000, missing)
    y = signal + 0.3 * draw.normal(size=len(signal))
    train, held = slice(0, 4000), slice(4000, None)
    own = hs.GBMRegressor(n_estimators=60).fit(X[train], y[train]).predict(X[held])
    other = peer(HistGradientBoostingRegressor, X[train], y[train]).predict(X[held])
    assert mean_squared_error(y[held], own) < 1.05 * mean_squared_error(y[held], other)


def test_three_classes_are_told_apart_as_well_as_by_scikit_learn():
    X, signal, draw = numbers(3, 5000)
    y = np.digitize(signal + 0.5 * draw.normal(size=len(signal)), [-0.5, 0.8])
    train, held = slice(0, 3500), slice(3500, None)
    model = hs.GBMClassifier(n_estimators=40).fit(X[train], y[train])
    own = model.predict_proba(X[held])
    np.testing.assert_allclose(own.sum(axis=1), 1.0, rtol=1e-12)
    other = peer(HistGradientBoostingClassifier, X[train], y[train], max_iter=40)
    assert log_loss(y[held], own) < log_loss(y[held], other.predict_proba(X[held])) + 0.02
    np.testing.assert_array_equal(model.predict(X[held]), np.argmax(own, axis=1))


def test_the_loss_on_the_training_rows_falls_with_every_tree():
    X, signal, draw = numbers(4)
    late = signal + draw.logistic(size=len(signal)) > 0
    third = np.digitize(signal, [-0.5, 0.8])
    for model, y, column in (
        (hs.GBMClassifier(n_estimators=25, scoring_interval=1), late, "train_logloss"),
        (hs.GBMClassifier(n_estimators=15, scoring_interval=1), third, "train_logloss"),
        (hs.GBMRegressor(n_estimators=25, scoring_interval=1), signal, "train_rmse"),
    ):
        history = model.fit(X, y).scoring_history_.to_dict()
        assert (np.diff(history[column]) < 0).all()
        assert history["n_trees"] == list(range(1, model.n_estimators + 1))


def test_the_history_says_what_scikit_learn_measures():
    X, signal, draw = numbers(5)
    y = (signal + draw.logistic(size=len(signal)) > 0).astype(int)
    model = hs.GBMClassifier(n_estimators=12, scoring_interval=6).fit(
        X[:3000], y[:3000], validation=(X[3000:], y[3000:])
    )
    last = {name: values[-1] for name, values in model.scoring_history_.to_dict().items()}
    for part, rows in (("train", slice(0, 3000)), ("valid", slice(3000, None))):
        chance = model.predict_proba(X[rows])[:, 1]
        assert last[f"{part}_logloss"] == pytest.approx(log_loss(y[rows], chance), rel=1e-12)
        assert last[f"{part}_auc"] == pytest.approx(roc_auc_score(y[rows], chance), abs=1e-3)
    values = hs.GBMRegressor(n_estimators=12).fit(X, signal)
    rmse = mean_squared_error(signal, values.predict(X)) ** 0.5
    assert values.scoring_history_.to_dict()["train_rmse"][-1] == pytest.approx(rmse, rel=1e-12)


@pytest.mark.parametrize("kind", [hs.GBMClassifier, hs.GBMRegressor])
def test_a_weight_of_two_is_the_row_twice_and_of_zero_no_row(kind):
    X, signal, draw = numbers(6, 600)
    X = np.round(X, 1)
    y = signal > 0 if kind is hs.GBMClassifier else np.round(signal, 2)
    weight = draw.integers(0, 4, len(X))
    weighted = kind(n_estimators=10, min_rows=5, random_state=1).fit(X, y, sample_weight=weight)
    repeated = kind(n_estimators=10, min_rows=5, random_state=1).fit(np.repeat(X, weight, 0), np.repeat(y, weight))
    predict = "predict_proba" if kind is hs.GBMClassifier else "predict"
    np.testing.assert_allclose(getattr(weighted, predict)(X), getattr(repeated, predict)(X), rtol=1e-5, atol=1e-6)


def test_balanced_classes_are_weights_that_make_classes_equal():
    X, signal, _ = numbers(7, 1000)
    y = np.where(signal > 1.0, "rare", "usual")
    share = (y == "rare").mean()
    balanced = hs.GBMClassifier(n_estimators=5, class_weight="balanced").fit(X, y)
    by_hand = hs.GBMClassifier(n_estimators=5, class_weight={"rare": 0.5 / share, "usual": 0.5 / (1 - share)}).fit(X, y)
    np.testing.assert_allclose(balanced.predict_proba(X), by_hand.predict_proba(X), rtol=1e-9)
    with pytest.raises(hs.UserError, match="'often', which is no class"):
        hs.GBMClassifier(class_weight={"often": 2.0}).fit(X, y)
    flags = hs.GBMClassifier(n_estimators=5, class_weight={True: 3.0}).fit(X, y == "rare")
    frame = hs.Frame({"a": X[:, 0], "b": X[:, 1], "late": y == "rare"})
    assert flags.classes_.tolist() == [False, True]
    heavy = hs.GBMClassifier(n_estimators=5, class_weight={True: 3.0}).fit(frame, "late")
    plain = hs.GBMClassifier(n_estimators=5).fit(frame, "late")
    assert list(heavy.predict_proba(frame).columns) == ["false", "true"]
    mean = [np.mean(model.predict_proba(frame).to_dict()["true"]) for model in (heavy, plain)]
    assert mean[0] > mean[1]


@pytest.mark.parametrize("kind", [hs.GBMClassifier, hs.GBMRegressor])
@pytest.mark.parametrize("weighted", [False, True])
def test_no_leaf_has_fewer_rows_than_asked(kind, weighted):
    X, signal, draw = numbers(8, 1500)
    y = signal > 0.8 if kind is hs.GBMClassifier else signal
    weight = draw.integers(1, 3, len(X)) if weighted else None
    model = kind(n_estimators=6, min_rows=70, max_depth=8).fit(X, y, sample_weight=weight)
    forest = model._model.forest
    sums = weight if weighted else np.ones(len(X))
    words, n_leaves = words_of(model, X), 0
    for tree in range(forest.n_trees):
        leaf, _ = tree_values(words, forest, tree)
        in_leaf = np.bincount(leaf, sums)
        n_leaves += len(in_leaf[in_leaf > 0])
        assert in_leaf[in_leaf > 0].min() >= 70
        n_rows = np.bincount(leaf, minlength=forest.starts[tree + 1] - forest.starts[tree])
        leaves = forest.feature[forest.starts[tree] : forest.starts[tree + 1]] < 0
        np.testing.assert_array_equal(
            n_rows[leaves], forest.n_rows[forest.starts[tree] : forest.starts[tree + 1]][leaves]
        )
    assert n_leaves > 20


def words_of(model, X):
    """Return the bins of X as the model sees them."""
    from hydroscope.models.tree.binning import bin_array

    return bins_of_words(bin_array(model._model.bins, np.asarray(X, np.float64), False), X.shape[1])


def test_a_prediction_is_the_twins_walk_through_the_trees():
    X, signal, _ = numbers(9, 400, missing=0.3)
    model = hs.GBMRegressor(n_estimators=5, max_depth=3).fit(X, signal)
    forest, bins = model._model.forest, words_of(model, X)
    wanted = np.full(len(X), model._model.base[0])
    for tree in range(forest.n_trees):
        wanted += tree_values(bins, forest, tree)[1]
    np.testing.assert_array_equal(model.predict(X), wanted)


def test_importance_is_each_features_share_of_the_gains():
    X, signal, _ = numbers(10)
    model = hs.GBMRegressor(n_estimators=20).fit(X, signal)
    forest = model._model.forest
    gains = [forest.gain[forest.feature == j].sum() for j in range(6)]
    np.testing.assert_allclose(model.feature_importances_, np.array(gains) / np.sum(gains), rtol=1e-12)
    assert model.feature_importances_[4:].max() < 0.02  # noise
    assert model.feature_importances_[:3].min() > 0.1
    constant = hs.GBMRegressor(n_estimators=2, min_rows=3000).fit(X, signal)
    assert constant.feature_importances_.tolist() == [0.0] * 6
    assert "no tree has a split" in constant.notes_[0]


def test_a_gain_is_what_the_loss_falls_by():
    X, signal, _ = numbers(11, 500)
    model = hs.GBMRegressor(n_estimators=1, max_depth=1, learning_rate=1.0, l2=0.0).fit(X, signal)
    forest = model._model.forest
    before = ((signal - signal.mean()) ** 2).sum()
    after = ((signal - model.predict(X)) ** 2).sum()
    assert forest.gain[0] == pytest.approx(before - after, rel=1e-6)
    left = words_of(model, X)[:, forest.feature[0]] <= np.searchsorted(
        model._model.bins[forest.feature[0]].edges, forest.threshold[0]
    )
    assert signal[left].mean() == pytest.approx(model.predict(X)[left][0], rel=1e-6)


def test_early_stopping_keeps_the_best_number_of_trees():
    X, signal, draw = numbers(12, 1200)
    y = signal + 2 * draw.normal(size=len(signal))
    rows, held = slice(0, 600), (X[600:], y[600:])
    model = hs.GBMRegressor(n_estimators=400, learning_rate=0.3, early_stopping_rounds=5).fit(
        X[rows], y[rows], validation=held
    )
    history = model.scoring_history_.to_dict()
    best = int(np.argmin(history["valid_rmse"]))
    assert model.n_estimators_ == history["n_trees"][best] < 400
    assert history["n_trees"][-1] == history["n_trees"][best] + 5
    short = hs.GBMRegressor(n_estimators=model.n_estimators_, learning_rate=0.3).fit(X[rows], y[rows])
    np.testing.assert_array_equal(model.predict(X), short.predict(X))
    assert "stopped after" in model.notes_[-1]
    with pytest.raises(hs.UserError, match="needs rows to watch"):
        hs.GBMRegressor(early_stopping_rounds=5).fit(X, y)


@pytest.mark.parametrize("share", [{}, {"subsample": 0.6}, {"colsample": 0.5}, {"subsample": 0.5, "colsample": 0.4}])
def test_the_same_seed_is_the_same_model_for_any_threads_and_blocks(share, monkeypatch):
    X, signal, draw = numbers(13, 40_000, missing=0.05)
    y = (signal + draw.logistic(size=len(signal)) > 0).astype(int)

    def trained(seed=5):
        return hs.GBMClassifier(n_estimators=4, random_state=seed, **share).fit(X, y)

    first = trained()
    same_forest(first, trained())
    for n_threads in (1, 3):
        other = LocalEngine(n_threads)
        before = ports.install(other)
        try:
            same_forest(first, trained())
        finally:
            ports.restore(before)
            other.shutdown()
    monkeypatch.setattr(hs.GBMClassifier, "_block_rows", 8192)
    same_forest(first, trained())
    monkeypatch.undo()
    another = trained(seed=6)._model.forest.value
    assert np.array_equal(first._model.forest.value, another) is (not share)


@pytest.mark.parametrize("kind", [hs.GBMClassifier, hs.GBMRegressor])
def test_histograms_that_do_not_fit_are_built_in_batches_and_change_nothing(kind, monkeypatch):
    X, signal, _ = numbers(22, 1500, missing=0.1)
    y = signal > 0.5 if kind is hs.GBMClassifier else signal
    deep = {"n_estimators": 3, "max_depth": 30, "min_rows": 2, "subsample": 0.9, "random_state": 1}
    whole = kind(**deep).fit(X, y)
    assert whole._model.forest.depths.max() > 8
    monkeypatch.setattr(grower, "HISTOGRAM_BYTES_MAX", 60_000)
    same_forest(whole, kind(**deep).fit(X, y))


def test_a_sample_takes_its_share_of_rows_and_columns():
    X, signal, _ = numbers(14)
    model = hs.GBMRegressor(n_estimators=30, subsample=0.3, colsample=0.34, max_depth=4, random_state=1).fit(X, signal)
    forest = model._model.forest
    taken = forest.n_rows[forest.starts[:-1]]
    assert len(set(taken.tolist())) > 1
    assert abs(taken / len(X) - 0.3).max() < 0.05
    for tree in range(30):
        used = forest.feature[forest.starts[tree] : forest.starts[tree + 1]]
        assert len(set(used[used >= 0].tolist())) <= 2
    assert len(set(forest.feature.tolist())) == 7  # all six at some time, and leaves


def test_missing_values_are_learnt_from():
    draw = np.random.default_rng(15)
    X = draw.normal(size=(2000, 2))
    gone = draw.random(2000) < 0.3
    X[gone, 0] = np.nan
    y = np.where(gone, 5.0, 0.0) + 0.01 * draw.normal(size=2000)
    model = hs.GBMRegressor(n_estimators=40, learning_rate=0.3).fit(X, y)
    assert abs(model.predict(np.array([[np.nan, 0.0]]))[0] - 5.0) < 0.1
    assert abs(model.predict(np.array([[0.3, np.nan]]))[0]) < 0.1


def test_rows_without_a_target_are_left_out():
    X, signal, _ = numbers(16, 1000)
    y = signal.copy()
    y[::3] = np.nan
    model = hs.GBMRegressor(n_estimators=5).fit(X, y)
    same_forest(model, hs.GBMRegressor(n_estimators=5).fit(X[~np.isnan(y)], y[~np.isnan(y)]))
    assert model.notes_ == ("334 of 1,000 rows have no target 'y' and were left out",)


def test_few_rows_and_immense_steps_do_not_overflow():
    draw = np.random.default_rng(17)
    for n in (2, 3, 12, 40):
        X, y = draw.normal(size=(n, 3)), draw.normal(size=n)
        for weight in (None, np.ones(n), draw.random(n) + 1e-9):
            model = hs.GBMRegressor(n_estimators=30, min_rows=1, learning_rate=1.0, l2=0.0).fit(
                X, y, sample_weight=weight
            )
            assert np.isfinite(model.predict(X)).all()
            if weight is None:
                np.testing.assert_allclose(model.predict(X), y, atol=1e-6)


def test_levels_are_split_by_subsets():
    draw = np.random.default_rng(18)
    codes = draw.integers(0, 40, 4000)
    means = draw.normal(size=40)
    levels = np.array([f"level {k:02d}" for k in range(40)])
    y = means[codes] + 0.05 * draw.normal(size=4000)
    frame = hs.Frame({"where": levels[codes], "y": y}, types={"where": "enum"})
    model = hs.GBMRegressor(n_estimators=1, max_depth=1, learning_rate=1.0).fit(frame, "y")
    low, high = np.unique(model.predict(frame).to_dict()["predict"])
    found = np.array(model.predict(hs.Frame({"where": levels}, types={"where": "enum"})).to_dict()["predict"])
    assert set(np.flatnonzero(found == low)) == set(np.argsort(means)[: int((found == low).sum())])
    assert low < high


def test_levels_never_seen_count_as_missing_and_others_go_by_name():
    draw = np.random.default_rng(19)
    place = np.array(["a", "b", "c"])[draw.integers(0, 3, 900)]
    y = (place == "b") * 2.0
    frame = hs.Frame({"place": place, "y": y}, types={"place": "enum"})
    strange = hs.Frame({"place": ["zz", "b", None, "a"], "y": [0.0, 2.0, 0.0, 0.0]}, types={"place": "enum"})
    model = hs.GBMRegressor(n_estimators=30, learning_rate=0.5).fit(frame, "y", validation=strange)
    found = model.predict(strange).to_dict()["predict"]
    assert found[0] == found[2]
    assert found[1] == pytest.approx(2.0, abs=0.01)
    assert found[3] == pytest.approx(0.0, abs=0.01)
    history = model.scoring_history_.to_dict()
    assert history["valid_rmse"][-1] == pytest.approx(np.sqrt(np.mean((np.array(found) - [0, 2, 0, 0]) ** 2)))


def test_frames_and_arrays_of_the_same_values_give_the_same_trees():
    X, signal, _ = numbers(20, 2000, missing=0.1)
    names = [f"c{j}" for j in range(6)]
    frame = hs.Frame({**dict(zip(names, X.T, strict=True)), "y": signal})
    by_frame = hs.GBMRegressor(n_estimators=5).fit(frame, "y")
    same_forest(by_frame, hs.GBMRegressor(n_estimators=5).fit(X, signal))
    np.testing.assert_array_equal(by_frame.predict(frame).to_dict()["predict"], by_frame.predict(frame.to_pandas()))
    assert by_frame.feature_names_in_.tolist() == names
    assert by_frame.target_ == "y"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"n_estimators": 0}, "n_estimators=0: must be a whole number in"),
        ({"n_estimators": 2.5}, "n_estimators=2.5: must be a whole number"),
        ({"max_depth": 31}, "max_depth=31: must be a whole number in"),
        ({"learning_rate": 0}, r"learning_rate=0: must be in \(0, 1\]"),
        ({"learning_rate": "fast"}, "learning_rate='fast'"),
        ({"min_rows": 0.5}, "min_rows=0.5: must be at least 1"),
        ({"max_bins": 256}, "max_bins=256"),
        ({"subsample": 1.5}, "subsample=1.5"),
        ({"colsample": 0.0}, "colsample=0.0"),
        ({"l2": -1}, "l2=-1: must be at least 0"),
        ({"l2": float("nan")}, "l2=nan"),
        ({"random_state": -1}, "random_state=-1"),
        ({"early_stopping_rounds": 0}, "early_stopping_rounds=0"),
    ],
)
def test_impossible_parameters_are_named_with_their_rule(wrong, said):
    with pytest.raises(hs.UserError, match=said):
        hs.GBMClassifier(**wrong).fit(np.arange(20.0).reshape(-1, 1), np.arange(20) % 2)


def test_what_cannot_be_learnt_is_said():
    frame = hs.Frame({"a": np.arange(30.0), "late": np.arange(30) % 2, "same": np.ones(30)})
    with pytest.raises(hs.UserError, match="did you mean 'late'"):
        hs.GBMClassifier().fit(frame, "lates")
    with pytest.raises(hs.UserError, match="only one class"):
        hs.GBMClassifier().fit(frame, "same", x=["a"])
    with pytest.raises(hs.UserError, match="both a feature"):
        hs.GBMClassifier().fit(frame, "late", x=["a", "late"])
    with pytest.raises(hs.UserError, match="is 1 in all 30 samples"):
        hs.GBMRegressor().fit(frame, "same", x=["a"])
    with pytest.raises(hs.UserError, match="weight -1 in row 3"):
        hs.GBMRegressor().fit(frame[["a"]], np.arange(30.0), sample_weight=np.where(np.arange(30) == 3, -1, 1))
    with pytest.raises(hs.UserError, match="not fitted"):
        hs.GBMRegressor().predict(frame)
    model = hs.GBMClassifier(n_estimators=2).fit(frame, "late", x=["a"])
    with pytest.raises(hs.UserError, match="no column 'a'"):
        model.predict(frame[["same"]])


def test_whole_numbers_read_as_text_are_the_same_classes():
    frame = hs.Frame({"a": np.arange(60.0), "grade": np.arange(60) // 6 + 1})
    model = hs.GBMClassifier(n_estimators=5, min_rows=1).fit(frame, "grade")
    as_text = hs.Frame({"a": np.arange(60.0), "grade": [str(k // 6 + 1) for k in range(60)]})
    assert model.score(frame) == model.score(as_text) > 0.9
