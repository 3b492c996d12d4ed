"""scikit-learn's own checks of estimators, on both of ours; exceptions are declared with their reason."""

from __future__ import annotations

import warnings

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from hydroscope.models.gbm import GBMClassifier, GBMRegressor

EXCEPTIONS: dict[tuple[str, str], str] = {}
"""By (estimator, check): why it does not hold. One that holds after all fails the run: take its row out."""

ESTIMATORS = [
    GBMClassifier(n_estimators=5, min_rows=1, random_state=0),
    GBMRegressor(n_estimators=5, min_rows=1, random_state=0),
]


def declared(estimator):
    """Return the exceptions of one estimator, by check."""
    return {check: reason for (name, check), reason in EXCEPTIONS.items() if name == type(estimator).__name__}


with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Estimator .* does not inherit")
    all_checks = parametrize_with_checks(ESTIMATORS, expected_failed_checks=declared, xfail_strict=True)


@pytest.mark.filterwarnings("ignore:Estimator .* does not inherit")
@all_checks
def test_scikit_learns_checks(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # otherwise scikit-learn skips two of its checks
    check(estimator)
