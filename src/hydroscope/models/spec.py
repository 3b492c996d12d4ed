"""Parameters of the models: one table, read by validation, documentation and the command line."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hydroscope.ground.errors import UserError, unknown_name

__all__ = ["CLASSIFIER_ONLY", "GBM", "Parameter", "check_all", "numpydoc"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a model.

    Attributes
    ----------
    name : str
    kind : {"int", "float", "weights"}
        "weights": None, "balanced" or a dict from class to weight.
    default : object
    low, high : float
        Range of numbers, both ends allowed unless said otherwise.
    low_open : bool
        Whether `low` itself is refused.
    optional : bool
        Whether None is allowed.
    help : str
        One sentence for people, without a full stop.
    hint : str
        What to try when a value is refused.
    """

    name: str
    kind: str
    default: Any
    low: float
    high: float
    help: str
    hint: str
    low_open: bool = False
    optional: bool = False

    @property
    def rule(self) -> str:
        """What a value must be, in words."""
        if self.kind == "weights":
            return "None, 'balanced' or a dict from class to a weight of at least 0"
        noun = "a whole number " if self.kind == "int" else ""
        if math.isinf(self.high):
            span = f"{'above' if self.low_open else 'at least'} {self.low:g}"
        else:
            span = f"in {'(' if self.low_open else '['}{self.low:g}, {self.high:g}]"
        return f"{noun}{span}{' or None' if self.optional else ''}"

    def check(self, value: Any) -> Any:
        """Return the value in its Python type, or raise UserError with value, rule and next step."""
        if value is None and (self.optional or self.kind == "weights"):
            return None
        if self.kind == "weights":
            return self._check_weights(value)
        wanted = numbers.Integral if self.kind == "int" else numbers.Real
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, wanted):
            if self.kind != "int" or not (isinstance(value, numbers.Real) and float(value).is_integer()):
                raise self._refusal(value)
            value = int(float(value))
        number = float(value)
        low_ok = number > self.low if self.low_open else number >= self.low
        if not (low_ok and number <= self.high) or math.isinf(number):
            raise self._refusal(value)
        return int(value) if self.kind == "int" else number

    def parse(self, text: str) -> Any:
        """Return the value that a text, say from a command line, stands for; then `check` it."""
        if text.lower() in ("none", ""):
            return self.check(None)
        if self.kind == "weights":
            return self.check(text)
        try:
            value: Any = int(text) if self.kind == "int" else float(text)
        except ValueError:
            raise self._refusal(text) from None
        return self.check(value)

    def _check_weights(self, value: Any) -> Any:
        if isinstance(value, str) and value == "balanced":
            return value
        if isinstance(value, Mapping):
            for each in value.values():
                if not isinstance(each, numbers.Real) or not 0 <= float(each) < math.inf:
                    raise self._refusal(value)
            return dict(value)
        raise self._refusal(value)

    def _refusal(self, value: Any) -> UserError:
        return UserError(f"{self.name}={value!r}: must be {self.rule}; {self.hint}")


GBM: tuple[Parameter, ...] = (
    Parameter(
        "n_estimators", "int", 100, 1, 1_000_000,
        "number of trees (per class when there are three classes or more)",
        "100 is a good start",
    ),
    Parameter(
        "max_depth", "int", 6, 1, 30,
        "most splits on the way from the root of a tree to a leaf",
        "6 is a good start",
    ),
    Parameter(
        "learning_rate", "float", 0.1, 0, 1,
        "share of each tree's correction that is applied; lower values need more trees",
        "0.1 is a good start, lower with more trees",
        low_open=True,
    ),
    Parameter(
        "min_rows", "float", 10, 1, math.inf,
        "fewest rows (sum of weights) of a leaf",
        "10 is a good start, more for noisy data",
    ),
    Parameter(
        "max_bins", "int", 255, 2, 255,
        "most bins a feature's values are put in (missing values have one more)",
        "255 is best unless memory or time are short",
    ),
    Parameter(
        "subsample", "float", 1.0, 0, 1,
        "share of the rows each tree is grown from",
        "1.0 takes all, 0.7 adds variety",
        low_open=True,
    ),
    Parameter(
        "colsample", "float", 1.0, 0, 1,
        "share of the features each tree may split by",
        "1.0 takes all, 0.7 adds variety",
        low_open=True,
    ),
    Parameter(
        "l2", "float", 1.0, 0, math.inf,
        "L2 penalty on the values of leaves",
        "1.0 is a good start, 0 turns it off",
    ),
    Parameter(
        "min_split_gain", "float", 0.0, 0, math.inf,
        "least a split must reduce twice the training loss",
        "0 asks for nothing",
    ),
    Parameter(
        "early_stopping_rounds", "int", None, 1, 1_000_000,
        "stop when the validation loss has not improved for this many trees, and keep the best",
        "20 is a good start, None trains all trees",
        optional=True,
    ),
    Parameter(
        "scoring_interval", "int", None, 1, 1_000_000,
        "trees between two lines of the scoring history (None: 1 with early stopping, otherwise 10)",
        "10 is a good start",
        optional=True,
    ),
    Parameter(
        "class_weight", "weights", None, 0, math.inf,
        "factor on the weights of each class: 'balanced' or a dict (classifiers only)",
        "leave it out to take rows as they are",
    ),
    Parameter(
        "random_state", "int", None, 0, 2**64 - 1,
        "seed of the row and column samples; the same seed gives the same model on any engine",
        "any whole number will do",
        optional=True,
    ),
)  # fmt: skip
"""Parameters of GBMClassifier and GBMRegressor."""

CLASSIFIER_ONLY = frozenset({"class_weight"})
"""Parameters that regressors do not have."""


def check_all(table: Sequence[Parameter], values: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return all values checked; names that are not in the table are refused with near misses."""
    known = {parameter.name: parameter for parameter in table}
    for name in values:
        if name not in known:
            raise unknown_name("parameter", name, known, owner)
    return {name: known[name].check(value) for name, value in values.items()}


def numpydoc(table: Sequence[Parameter]) -> str:
    """Return the Parameters section of an estimator's docstring."""
    lines = ["Parameters", "----------"]
    for parameter in table:
        kind = {"weights": "None, 'balanced' or dict"}.get(parameter.kind, parameter.kind)
        lines.append(
            f"{parameter.name} : {kind}{' or None' if parameter.optional else ''}, default {parameter.default}"
        )
        lines.append(f"    {parameter.help[0].upper()}{parameter.help[1:]}; must be {parameter.rule}.")
    return "\n".join(lines)
