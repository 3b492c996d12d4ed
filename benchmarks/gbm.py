"""Gradient boosting: 50 trees of depth 6 on 1 M rows, seconds to train and AUC on 200,000 more.

The same settings for all: 50 trees, depth 6 (64 leaves), learning rate 0.1, 255 or 256
bins, at least 20 rows a leaf, no L2 penalty on leaves, no sampling, no early stopping, no
scoring while training. Where a peer differs: XGBoost knows no least number of rows (its
least hessian is 5, which is 20 rows of even odds); H2O-3 re-bins every node, so it keeps
its own default of 20 bins (1,024 for categories), which suits it best; LightGBM and XGBoost
keep their own defaults for splits by categories; scikit-learn cannot take more than 255
levels, so there such columns are plain numbers.

Timed is the way from the native in-memory container to the fitted model: a hydroscope Frame;
NumPy arrays or (with categories) a pandas DataFrame for LightGBM, XGBoost and scikit-learn,
so that their binned containers count as training, as hydroscope's bins do; an H2OFrame.
Predictions are not timed.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks import THREADS
from benchmarks._gbm_data import Table, categories, numeric
from benchmarks._harness import (
    Contender,
    Timing,
    arguments,
    begin,
    complain,
    emit,
    gate,
    interleave,
    machine_line,
    say,
    status,
    table,
)

__all__ = ["main"]

ROWS: Final = 1_000_000
TREES: Final = 50
DEPTH: Final = 6
RATE: Final = 0.1
MIN_ROWS: Final = 20
FAR: Final = 0.1
"""AUC below the best by more than this is reported as a failure, not as a slow or fast peer."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Peer:
    """How one library trains on its own container, and what it then predicts for the holdout."""

    name: str
    fit: Callable[[], Any]
    predict: Callable[[Any], Array]


def auc(target: Array, scores: Array) -> float:
    """Return the area under the ROC curve; ties count half. Cost: one sort."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sizes = np.diff(np.r_[starts, len(ordered)])
    ranks = np.repeat(starts + (sizes + 1) / 2, sizes)
    n_true = int(target.sum())
    rank_sum = float(ranks[target[order] == 1].sum())
    return (rank_sum - n_true * (n_true + 1) / 2) / (n_true * (len(target) - n_true))


def _matrix(data: Table) -> Array:
    return np.column_stack([column.astype(np.float32) for column in data.columns.values()])


def _pandas(data: Table) -> Any:
    import pandas as pd

    columns = {
        name: pd.Categorical.from_codes(column, categories=range(data.levels[name])) if name in data.levels else column
        for name, column in data.columns.items()
    }
    return pd.DataFrame(columns)


def _named(data: Table) -> dict[str, Any]:
    """Return columns for hydroscope and H2O: levels as text, as they come from a file."""
    columns: dict[str, Any] = {}
    for name, column in data.columns.items():
        if name in data.levels:
            columns[name] = np.array([f"{name}-{i:03d}" for i in range(data.levels[name])])[column]
        else:
            columns[name] = column
    columns["target"] = np.array(["no", "yes"])[data.target]
    return columns


# ---------------------------------------------------------------- peers


def _hydroscope(train: Table, held: Table) -> Peer:
    import hydroscope as hs

    types = dict.fromkeys(train.levels, "enum")
    frame, valid = (hs.Frame(_named(part), types=types) for part in (train, held))

    def fit() -> Any:
        model = hs.GBMClassifier(
            n_estimators=TREES,
            max_depth=DEPTH,
            learning_rate=RATE,
            min_rows=MIN_ROWS,
            max_bins=255,
            l2=0.0,
            scoring_interval=TREES,
            random_state=1,
        )
        return model.fit(frame, "target")

    def predict(model: Any) -> Array:
        return np.asarray(model.predict_proba(valid).to_dict()["yes"], dtype=np.float64)

    return Peer("hydroscope", fit, predict)


def _lightgbm(train: Table, held: Table) -> Peer:
    import lightgbm as lgb

    x, valid = (_pandas(part) if part.levels else _matrix(part) for part in (train, held))
    settings = {
        "objective": "binary",
        "num_leaves": 2**DEPTH,
        "max_depth": DEPTH,
        "learning_rate": RATE,
        "max_bin": 255,
        "min_data_in_leaf": MIN_ROWS,
        "num_threads": THREADS,
        "verbosity": -1,
        "seed": 1,
    }

    def fit() -> Any:
        return lgb.train(settings, lgb.Dataset(x, train.target), num_boost_round=TREES)

    return Peer("lightgbm", fit, lambda model: np.asarray(model.predict(valid)))


def _xgboost(train: Table, held: Table) -> Peer:
    import xgboost as xgb

    x, valid = (_pandas(part) if part.levels else _matrix(part) for part in (train, held))
    settings = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": DEPTH,
        "eta": RATE,
        "max_bin": 256,
        "min_child_weight": MIN_ROWS / 4,
        "lambda": 0.0,
        "nthread": THREADS,
        "seed": 1,
    }

    def fit() -> Any:
        binned = xgb.QuantileDMatrix(x, train.target, max_bin=256, enable_categorical=True, nthread=THREADS)
        return xgb.train(settings, binned, num_boost_round=TREES)

    return Peer(
        "xgboost", fit, lambda model: model.predict(xgb.DMatrix(valid, enable_categorical=True, nthread=THREADS))
    )


def _sklearn(train: Table, held: Table) -> Peer:
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, valid = _matrix(train), _matrix(held)
    few = [i for i, name in enumerate(train.columns) if train.levels.get(name, 256) <= 255]

    def fit() -> Any:
        model = HistGradientBoostingClassifier(
            max_iter=TREES,
            max_depth=DEPTH,
            max_leaf_nodes=2**DEPTH,
            learning_rate=RATE,
            min_samples_leaf=MIN_ROWS,
            max_bins=255,
            categorical_features=few or None,
            early_stopping=False,
            random_state=1,
        )
        return model.fit(x, train.target)

    return Peer("scikit-learn", fit, lambda model: model.predict_proba(valid)[:, 1])


MAKERS: Final[dict[str, tuple[str, Callable[[Table, Table], Peer]]]] = {
    "hydroscope": ("hydroscope", _hydroscope),
    "lightgbm": ("lightgbm", _lightgbm),
    "xgboost": ("xgboost", _xgboost),
    "scikit-learn": ("sklearn", _sklearn),
}


def _upload(data: Table) -> Any:
    """Return the table as an H2OFrame, by way of a file."""
    import h2o
    import pyarrow as pa
    from pyarrow import csv

    kinds = dict.fromkeys((*data.levels, "target"), "enum")
    with tempfile.TemporaryDirectory(prefix="bench-gbm-") as folder:
        path = Path(folder) / "table.csv"
        csv.write_csv(pa.table(_named(data)), path, csv.WriteOptions(quoting_style="none"))
        return h2o.import_file(str(path), col_types=kinds)


def _h2o(train: Table, held: Table) -> Peer:
    from h2o.estimators import H2OGradientBoostingEstimator

    frame, valid = _upload(train), _upload(held)

    def fit() -> Any:
        model = H2OGradientBoostingEstimator(
            ntrees=TREES,
            max_depth=DEPTH,
            learn_rate=RATE,
            min_rows=MIN_ROWS,
            score_tree_interval=TREES,
            seed=1,
        )
        model.train(x=list(train.columns), y="target", training_frame=frame)
        return model

    def predict(model: Any) -> Array:
        import pyarrow as pa
        from pyarrow import csv

        text = model.predict(valid)["yes"].get_frame_data()
        return np.asarray(csv.read_csv(pa.BufferReader(text.encode())).column(0).to_numpy())

    return Peer("h2o", fit, predict)


# ---------------------------------------------------------------- the run


@contextlib.contextmanager
def _server(wanted: Sequence[str] | None) -> Iterator[bool]:
    """Run an H2O server around the benchmark; yields whether there is one."""
    if not gate("h2o", wanted):
        yield False
        return
    from benchmarks._h2o import Server

    try:
        server = Server()
    except RuntimeError as error:
        say(f"h2o: absent ({error})")
        yield False
        return
    with server:
        yield True


def _compete(train: Table, held: Table, makers: dict[str, Any], rounds: int) -> list[dict[str, Any]]:
    """Return one result a peer for one table."""
    models: dict[str, Any] = {}
    peers: dict[str, Peer] = {}

    def run(name: str) -> None:
        models[name] = None  # the model of the last round is let go before the clock matters
        models[name] = peers[name].fit()

    for name, maker in makers.items():
        try:
            peers[name] = maker(train, held)
        except Exception as error:
            complain(Timing(name), f"{type(error).__name__}: {error}")
    timings = interleave([Contender(name, partial(run, name)) for name in peers], rounds, tolerance=None)
    for name, timing in timings.items():
        if timing.seconds:
            try:
                timing.answers = [auc(held.target, peers[name].predict(models[name]))]
            except Exception as error:
                complain(timing, f"{type(error).__name__}: {error}")
    best = max((timing.answers[0] for timing in timings.values() if timing.answers), default=0.0)
    for timing in timings.values():
        if timing.answers and timing.answers[0] < best - FAR:
            complain(timing, f"AUC {timing.answers[0]:.4f} is far below the best, {best:.4f}")
    return [
        {
            "table": train.name,
            "peer": timing.name,
            "s": timing.median_s,
            "best_s": timing.best_s,
            "auc": timing.answers[0] if timing.answers else None,
            "auc_behind": best - timing.answers[0] if timing.answers else None,
            "problem": timing.problem,
        }
        for timing in timings.values()
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 1 when a peer failed."""
    parser = arguments(__doc__ or "", rows=ROWS, deadline_s=3600)
    parser.add_argument("--tables", nargs="*", choices=["numeric", "categories"], default=["numeric", "categories"])
    options = begin(parser, argv)
    n = 20_000 if options.quick else int(options.rows * options.scale)
    n_held = max(n // 5, 1_000)
    makers: dict[str, Any] = {
        name: maker for name, (package, maker) in MAKERS.items() if gate(package, options.peers, name)
    }
    say(machine_line(["hydroscope", "lightgbm", "xgboost", "scikit-learn", "h2o", "numba"]))
    say(f"{n:,} rows to train, {n_held:,} held out; {options.rounds} rounds, medians\n")
    if "hydroscope" in makers:
        import hydroscope as hs

        hs.init(threads=THREADS)
    results: list[dict[str, Any]] = []
    with _server(options.peers) as has_h2o:
        if has_h2o:
            makers["h2o"] = _h2o
        for name in options.tables:
            whole = {"numeric": numeric, "categories": categories}[name](n + n_held)
            train, held = whole.part(slice(0, n)), whole.part(slice(n, None))
            found = _compete(train, held, makers, options.rounds)
            own_s = next((each["s"] for each in found if each["peer"] == "hydroscope"), None)
            say(f"{train.name}, {n:,} rows\n")
            lines = [
                [each["peer"], each["s"], each["best_s"], each["s"] / own_s if own_s else None, *_aucs(each)]
                for each in found
            ]
            say(table(["peer", "median s", "best s", "x hydroscope", "holdout AUC", "behind the best"], lines) + "\n")
            results += found
    emit("gbm", {"rows": n, "held_out": n_held, "rounds": options.rounds, "peers": results})
    return status()


def _aucs(result: dict[str, Any]) -> list[str | None]:
    if result["auc"] is None:
        return [None, None]
    return [f"{result['auc']:.4f}", f"{result['auc_behind']:.4f}"]


if __name__ == "__main__":
    sys.exit(main())
