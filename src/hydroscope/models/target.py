"""The target of a model and the weights of its rows, checked, as float64."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hydroscope.frame.access import column_values
from hydroscope.frame.vec import Vec, VecType
from hydroscope.ground.errors import UserError
from hydroscope.ground.limits import INT_MISSING
from hydroscope.models.text import as_levels

__all__ = [
    "CLASSES_MAX",
    "Classes",
    "Target",
    "class_codes",
    "classes_of",
    "column_target",
    "label_name",
    "numbers",
    "row_weights",
]

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CLASSES_MAX = 1000
"""Classes of a classifier: each is a tree a round, and 16 bytes a row."""

TARGET_MAX = 1e100
"""Largest absolute target of a regression: squares of it, times rows, are still finite."""


@dataclass(frozen=True)
class Target:
    """A column to learn, as it came.

    Attributes
    ----------
    name : str
    values : ndarray
        Numbers, or labels of any kind. For ENUM codes.
    type : VecType
        What predictions of it are in a frame.
    domain : tuple of str or None
        ENUM: the levels.
    missing : ndarray of bool, shape (n_rows,)
    """

    name: str
    values: npt.NDArray[Any]
    type: VecType
    domain: tuple[str, ...] | None
    missing: Bools


@dataclass(frozen=True)
class Classes:
    """The classes of a target.

    Attributes
    ----------
    labels : ndarray
        Ascending.
    type : VecType
        What predictions of them are in a frame.
    """

    labels: npt.NDArray[Any]
    type: VecType

    @property
    def names(self) -> tuple[str, ...]:
        """The labels as text: names of columns of probabilities. A whole number has no point."""
        return tuple(label_name(label) for label in self.labels.tolist())


def column_target(name: str, values: object) -> Target:
    """Return the target of a frame's column (a Vec) or of an array, list or series."""
    if isinstance(values, Vec):
        return _of_vec(name, values)
    array = _one_dimensional(values)
    if array.dtype.kind in "OUST":
        as_numbers = _object_numbers(array)
        if as_numbers is None:
            missing = np.array([each is None or each != each for each in array.tolist()], np.bool_)
            return Target(name, array, VecType.ENUM, None, missing)
        array = as_numbers
    if array.dtype.kind == "c":
        raise UserError(f"Complex data not supported: the target has dtype {array.dtype}; give real numbers or labels")
    if array.dtype.kind not in "biuf":
        raise UserError(f"the target has dtype {array.dtype}; give numbers, or labels of classes as text")
    if array.dtype.kind == "f":
        return Target(name, array, VecType.REAL, None, np.isnan(array))
    type = VecType.BOOL if array.dtype.kind == "b" else VecType.INT
    return Target(name, array, type, None, np.zeros(len(array), np.bool_))


def numbers(target: Target) -> F64:
    """Return the target of a regression, 0 where missing.

    Raises
    ------
    UserError
        It has levels or text, an infinite or immense value, no row, or one value only.
    """
    if target.type in (VecType.ENUM, VecType.STRING, VecType.UUID):
        raise UserError(
            f"the target {target.name!r} has {'levels' if target.domain else 'text'}, not numbers; "
            "use GBMClassifier, or make a numeric column of it"
        )
    values = target.values.astype(np.float64)
    values[target.missing] = 0.0
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise UserError(
            f"Input y contains infinity (target {target.name!r}, row {row}) or a value too large for "
            "dtype('float64'); remove such rows or cap the value"
        )
    if np.abs(values).max(initial=0.0) > TARGET_MAX:
        raise UserError(f"the target {target.name!r} has values beyond {TARGET_MAX:g}; divide it by a constant before")
    present = values[~target.missing]
    _refuse_empty(target)
    if present.min() == present.max():
        n = len(present)
        raise UserError(
            f"the target {target.name!r} is {present[0]:g} in all {n} sample{'s' if n > 1 else ''}; "
            "there is nothing to learn: check that it is the right column"
        )
    return values


def classes_of(target: Target) -> Classes:
    """Return the classes that occur in a target.

    Raises
    ------
    UserError
        Fewer than two classes, more than 1000, or numbers that are no labels.
    """
    _refuse_empty(target)
    present = target.values[~target.missing]
    if target.domain is not None:
        codes = np.flatnonzero(np.bincount(present, minlength=len(target.domain)))
        labels: npt.NDArray[Any] = np.array([target.domain[code] for code in codes.tolist()])
    elif target.type is VecType.REAL:
        if np.isinf(present).any():
            raise UserError("Input y contains infinity: a label of a class must be finite; remove such rows")
        labels = np.unique(present)
        if not np.array_equal(labels, np.round(labels)):
            raise UserError(
                f"Unknown label type: the target {target.name!r} is continuous (for example "
                f"{labels[labels != np.round(labels)][0]:g}); use GBMRegressor, or whole numbers as labels"
            )
    else:
        labels = _unique(target, present)
        labels = labels.astype(np.bool_) if target.type is VecType.BOOL else labels
    if len(labels) < 2:
        shown = labels[0].item() if hasattr(labels[0], "item") else labels[0]
        raise UserError(
            f"the target {target.name!r} has only one class, {shown!r}; a classifier needs rows of at least two"
        )
    if len(labels) > CLASSES_MAX:
        raise UserError(
            f"the target {target.name!r} has {len(labels):,} classes; at most {CLASSES_MAX:,} are possible: "
            "use GBMRegressor if these are numbers, or group rare classes"
        )
    return Classes(labels, target.type)


def class_codes(target: Target, classes: Classes) -> tuple[F64, Bools]:
    """Return the index of each row's class (0 where there is none), and which rows have none.

    Rows whose class is not among `classes` have none. Where one of the two is text, labels
    are the same when their names are.
    """
    missing = target.missing.copy()
    values = target.values
    index = {name: i for i, name in enumerate(classes.names)}
    if target.domain is not None:
        table = np.array([index.get(level, -1) for level in target.domain], np.int64)
        codes = table[np.where(missing, 0, values)]
        codes[missing] = -1
    elif values.dtype.kind in "OUST" or classes.labels.dtype.kind in "OU":
        present = values[~missing]
        as_text = present.astype(str) if values.dtype.kind in "OUST" else present
        distinct, place = np.unique(as_text, return_inverse=True)
        table = np.array([index.get(label_name(label), -1) for label in distinct.tolist()], np.int64)
        codes = np.full(len(values), -1, np.int64)
        codes[~missing] = table[place]
    else:
        codes = _positions(classes.labels, values)
    missing |= codes < 0
    codes[missing] = 0
    return codes.astype(np.float64), missing


def label_name(label: object) -> str:
    """Return a label as text: bools in small letters, whole numbers without a point."""
    label = label.item() if isinstance(label, np.generic) else label
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def row_weights(values: object, n_rows: int) -> F64:
    """Return weights as float64 (NaN becomes 0); all must be finite and not negative, and one above 0."""
    array = column_values(values) if isinstance(values, Vec) else np.asarray(values)
    if array.ndim == 0:
        array = np.full(n_rows, array)
    if array.ndim != 1 or len(array) != n_rows:
        raise UserError(
            f"sample_weight.shape == {array.shape}, expected ({n_rows},): give one weight a row, as a 1-D array"
        )
    if array.dtype.kind not in "biuf":
        raise UserError(f"weights have dtype {array.dtype}; give numbers")
    reals: F64 = array.astype(np.float64)
    if isinstance(values, Vec) and values.type is not VecType.REAL:
        reals[array == INT_MISSING] = 0.0
    reals[np.isnan(reals)] = 0.0
    wrong = np.flatnonzero((reals < 0) | np.isinf(reals))
    if len(wrong):
        row = int(wrong[0])
        raise UserError(
            f"weight {reals[row]:g} in row {row}: weights are finite and not negative; mend or drop the row"
        )
    if not reals.any():
        raise UserError("all weights are zero: there is no row to learn from; check the weights")
    return reals


def _of_vec(name: str, vec: Vec) -> Target:
    vec = as_levels(name, vec)
    values = column_values(vec)
    if vec.type is VecType.REAL:
        return Target(name, values, vec.type, None, np.isnan(values))
    if vec.type is VecType.UUID:
        raise UserError(f"the target {name!r} is of type uuid: every row has its own; choose another column")
    return Target(name, values, vec.type, vec.domain, values == INT_MISSING)


def _one_dimensional(values: object) -> npt.NDArray[Any]:
    if values is None:
        raise UserError("this estimator requires y to be passed, but the target y is None; give the target")
    if hasattr(values, "toarray") and hasattr(values, "nnz"):
        raise TypeError("Sparse data was passed as target, but dense data is required; use y.toarray()")
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        _warn_column(array.shape)
        array = array.ravel()
    if array.ndim != 1:
        raise UserError(f"y should be a 1d array, got an array of shape {array.shape} instead; give one target a row")
    return array


def _warn_column(shape: tuple[int, ...]) -> None:
    known = sys.modules.get("sklearn.exceptions")
    kind: type[Warning] = UserWarning if known is None else known.DataConversionWarning
    warnings.warn(
        f"A column-vector y was passed when a 1d array was expected: shape {shape} is taken as ({shape[0]},).",
        kind,
        stacklevel=2,
    )


def _object_numbers(array: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Return an array of Python numbers as an array of numbers; None if it holds anything else."""
    if array.dtype.kind != "O":
        return None
    found = array.tolist()
    if not all(each is None or isinstance(each, (int, float, np.number)) for each in found):
        return None
    if any(each is None or each != each or isinstance(each, (float, np.floating)) for each in found):
        return np.array([np.nan if each is None else each for each in found], np.float64)
    return np.array(found)


def _unique(target: Target, present: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if present.dtype.kind == "O":
        texts = sorted({str(each) for each in present.tolist()})
        return np.array(texts, dtype=object)
    return np.unique(present)


def _positions(labels: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the place of each value among the ascending labels, -1 if it is not there."""
    at = np.minimum(np.searchsorted(labels, values), len(labels) - 1)
    found: npt.NDArray[np.int64] = np.where(labels[at] == values, at, -1).astype(np.int64)
    return found


def _refuse_empty(target: Target) -> None:
    if target.missing.all():
        n = len(target.missing)
        why = "there are no rows" if n == 0 else f"it is missing in all {n:,} rows"
        raise UserError(f"the target {target.name!r} has no value to learn from: {why}; check the column")
