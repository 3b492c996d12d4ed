"""Deliveries that came late: a log with gaps is read, looked at, reduced, learnt from and predicted.

Run it with `python examples/deliveries.py`; it works in a temporary folder.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import hydroscope as hs


class LateByHour(hs.MapReduce):
    """Counts deliveries and late ones by hour of the day; written for one row, run on all."""

    limit: float  # an input: the same for every row
    n = hs.zeros(24, dtype=int)  # outputs: each task has its own, and they are added up
    late = hs.zeros(24, dtype=int)

    def map(self, hour, minutes):
        self.n[int(hour)] += 1
        if minutes > self.limit:
            self.late[int(hour)] += 1


def write_log(path: Path, n_rows: int = 100_000) -> None:
    """Write a log as it might come from a dispatch system, missing values included."""
    rng = np.random.default_rng(11)
    hour = rng.integers(7, 22, n_rows)
    km = rng.gamma(2.0, 4.0, n_rows).round(1)
    rush = np.isin(hour, (8, 9, 17, 18)) * 12
    courier = rng.choice(["Ada", "Bo", "Cleo", "Dee"], n_rows, p=[0.4, 0.3, 0.2, 0.1])
    minutes = 6 + km * 2.2 + rush + (courier == "Dee") * 8 + rng.exponential(6.0, n_rows)
    km[rng.random(n_rows) < 0.02] = np.nan
    log = {"courier": courier, "hour": hour, "km": km, "minutes": minutes.round(1)}
    hs.Frame(log, types={"courier": "enum"}).write_csv(path)


def main() -> None:
    """Do it all."""
    with tempfile.TemporaryDirectory() as folder:
        write_log(Path(folder) / "deliveries.csv")
        frame = hs.read_csv(Path(folder) / "deliveries.csv", types={"courier": "enum"})
        print(frame.describe())
        print(f"{frame.nbytes / 1e6:.2f} MB in memory; km is missing in {frame['km'].n_missing:,} rows\n")

        counted = LateByHour(limit=45.0).do_all(frame[["hour", "minutes"]])
        worst = int(np.argmax(counted.late / np.maximum(counted.n, 1)))
        print(f"most often late at {worst} o'clock: {counted.late[worst] / counted.n[worst]:.1%}\n")

        frame["late"] = frame["minutes"] > 45
        train, test = frame.split([0.75], seed=3)
        model = hs.GBMClassifier(n_estimators=60, early_stopping_rounds=10, random_state=3)
        model.fit(train, "late", x=["courier", "hour", "km"], validation=test)
        found = model.metrics(test)
        print(f"{model.n_estimators_} trees, AUC {found.auc:.3f}")
        print(found.confusion(0.5))
        for name, share in zip(model.feature_names_in_, model.feature_importances_, strict=True):
            print(f"  {name:8} {share:6.1%}")

        model.save(Path(folder) / "late.hs")
        again = hs.load_model(Path(folder) / "late.hs")
        chance = again.predict_proba(test)
        risky = test[chance[chance.columns[1]] > 0.8]
        print(f"\n{risky.n_rows:,} of {test.n_rows:,} are very likely late; of these {risky['late'].mean():.1%} were")


if __name__ == "__main__":
    main()
