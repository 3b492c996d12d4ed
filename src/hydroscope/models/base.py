"""What all estimators share: parameters by scikit-learn's conventions, and the ways data come in.

scikit-learn itself is never imported here; its exceptions, warnings and tags are used when
it is loaded already, so that `clone`, `Pipeline` and `GridSearchCV` work with these classes.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from hydroscope.frame.frame import Frame
from hydroscope.frame.vec import Vec
from hydroscope.ground.errors import DataError, UserError, unknown_name
from hydroscope.models.spec import Parameter, check_all
from hydroscope.models.table import Table
from hydroscope.models.target import Target, column_target
from hydroscope.models.text import as_levels, usable

__all__ = ["Estimator", "Fed", "feed", "feed_training", "not_fitted"]


@dataclass(frozen=True)
class Fed:
    """Data as they were given, taken apart.

    Attributes
    ----------
    table : Table
        The features.
    named : bool
        Whether features have names of the user's.
    is_frame : bool
        Whether it was a Frame, so that a Frame is to come out.
    target : Target or None
    weights : object
        A Vec, anything like an array, or None.
    left_out : tuple of str
        A sentence on each column that cannot be a feature (see `models.text`).
    """

    table: Table
    named: bool
    is_frame: bool
    target: Target | None = None
    weights: Any = None
    left_out: tuple[str, ...] = ()


class Estimator:
    """Parameters: what they are, how they are read, set and shown."""

    _table: ClassVar[tuple[Parameter, ...]] = ()
    _kind: ClassVar[str] = "regressor"

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name. Cost: free."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters and return self; values are checked by `fit`. Cost: free."""
        names = self._names()
        for name, value in params.items():
            if name not in names:
                raise unknown_name("parameter", name, names, type(self).__name__)
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        shown = []
        for name in self._names():
            value, default = getattr(self, name), defaults[name].default
            if value is not default and repr(value) != repr(default):
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def _checked(self) -> dict[str, Any]:
        """Return all parameters in range and in their types."""
        return check_all(self._table, self.get_params(), type(self).__name__)

    def __sklearn_is_fitted__(self) -> bool:
        return getattr(self, "_model", None) is not None

    def __sklearn_tags__(self) -> Any:
        """Describe the estimator to scikit-learn (only called by it)."""
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        classifier = self._kind == "classifier"
        return Tags(
            estimator_type=self._kind,
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags() if classifier else None,
            regressor_tags=None if classifier else RegressorTags(),
            input_tags=InputTags(allow_nan=True),
        )


def not_fitted(name: str) -> Exception:
    """Return the error for using a model before `fit`, scikit-learn's own when that is loaded."""
    text = f"this {name} is not fitted yet; call 'fit' first"
    known = sys.modules.get("sklearn.exceptions")
    if known is None:
        return UserError(text)
    both: Any = type("NotFittedError", (UserError, known.NotFittedError), {"__module__": __name__})
    error: Exception = both(text)
    return error


def feed_training(
    data: Any, y: Any, x: Sequence[str] | None, weights: str | None, sample_weight: Any, owner: str
) -> Fed:
    """Take training data apart: a Frame with the names of its columns, or X and y."""
    if isinstance(data, Frame):
        return _feed_frame(data, y, x, weights, sample_weight)
    if isinstance(y, str):
        if not _is_table(data):
            raise UserError(
                f"the target is given as a column name ({y!r}), but the data is a {type(data).__name__}; "
                "give a Frame, or the target's values"
            )
        return _feed_frame(_as_frame(data), y, x, weights, sample_weight, is_frame=False)
    if weights is not None or x is not None:
        raise UserError("x=[...] and weights='...' name columns of a Frame; with arrays give X and sample_weight")
    fed = feed(data)
    target = column_target("y", y)
    if len(target.values) != fed.table.n_rows:
        raise UserError(
            f"Found input variables with inconsistent numbers of samples: {fed.table.n_rows} rows of X, "
            f"{len(target.values)} of y; give one target a row"
        )
    return Fed(fed.table, fed.named, False, target, sample_weight, fed.left_out)


def feed(data: Any, names: Sequence[str] | None = None) -> Fed:
    """Take features apart: a Frame, a table of another library, or a matrix.

    With `names` (of the model's features) only these columns of a frame are looked at.
    """
    _refuse_sparse(data)
    if isinstance(data, Frame) or _is_table(data):
        is_frame = isinstance(data, Frame)
        matrix = None if is_frame else _numeric_matrix(data)
        if matrix is not None:
            columns = [str(name) for name in data.columns]
            table = Table.of_array(matrix, columns)
            return Fed(table if names is None else _reordered(table, names), _all_text(data.columns), False)
        frame = data if is_frame else _as_frame(data)
        vecs = frame.vecs
        if names is None:
            found, left_out = usable(vecs)
            _refuse_none(found, left_out)
            return Fed(Table.of_vecs(list(found), list(found.values())), True, is_frame, left_out=left_out)
        chosen = [name for name in names if name in vecs] or list(vecs)[:1]
        return Fed(Table.of_vecs(chosen, [as_levels(name, vecs[name]) for name in chosen]), True, is_frame)
    return Fed(Table.of_array(_matrix(data)), False, False)


def _feed_frame(
    frame: Frame, y: Any, x: Sequence[str] | None, weights: str | None, sample_weight: Any, is_frame: bool = True
) -> Fed:
    vecs = frame.vecs
    taken = [name for name in (y, weights) if isinstance(name, str)]
    for name in taken:
        if name not in vecs:
            raise unknown_name("column", name, vecs, "the frame")
    if isinstance(y, str):
        target = column_target(y, vecs[y])
    else:
        target = column_target("y", next(iter(y.vecs.values())) if isinstance(y, Frame) and len(y.vecs) == 1 else y)
        if len(target.values) != frame._layout.n_rows:
            raise UserError(f"{len(target.values):,} targets for {frame._layout.n_rows:,} rows; give one a row")
    left_out: tuple[str, ...] = ()
    if x is None:
        chosen, left_out = usable({name: vec for name, vec in vecs.items() if name not in taken})
    else:
        names = [x] if isinstance(x, str) else list(x)
        for name in names:
            if name not in vecs:
                raise unknown_name("column", name, vecs, "the frame")
            if name in taken:
                raise UserError(
                    f"column {name!r} is both a feature (x) and the target or the weights; leave it out of x"
                )
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError(f"column {twice!r} is named twice in x; name it once")
        chosen = {name: as_levels(name, vecs[name]) for name in names}
    _refuse_none(chosen, left_out)
    own = vecs[weights] if weights is not None else sample_weight
    return Fed(Table.of_vecs(list(chosen), list(chosen.values())), True, is_frame, target, own, left_out)


def _refuse_none(chosen: Mapping[str, Vec], left_out: Sequence[str]) -> None:
    if not chosen:
        why = "".join(f"; {each}" for each in left_out)
        raise UserError(f"there is no feature to learn from: 0 feature(s) while a minimum of 1 is required{why}")


def _refuse_sparse(data: Any) -> None:
    if hasattr(data, "toarray") and hasattr(data, "nnz"):
        raise TypeError("Sparse data was passed, but dense data is required; use X.toarray() to convert it")


def _is_table(data: Any) -> bool:
    """Tell whether it is a table of named columns of another library."""
    if isinstance(data, dict):
        return True
    return hasattr(data, "columns") and (hasattr(data, "__arrow_c_stream__") or hasattr(data, "__dataframe__"))


def _all_text(columns: Any) -> bool:
    return all(isinstance(name, str) for name in columns)


def _numeric_matrix(data: Any) -> npt.NDArray[Any] | None:
    """Return a table whose columns are all plain NumPy numbers as a matrix; None for any other."""
    dtypes = getattr(data, "dtypes", None)
    if dtypes is None or not hasattr(data, "to_numpy") or isinstance(data, dict):
        return None
    kinds = list(dtypes)
    if not kinds or not all(isinstance(each, np.dtype) and each.kind in "biuf" for each in kinds):
        return None
    matrix: npt.NDArray[Any] = data.to_numpy()
    return matrix


def _reordered(table: Table, names: Sequence[str]) -> Table:
    """Return the columns of a named matrix in the order of `names`, all of which must be there."""
    if tuple(names) == table.names or table.array is None:
        return table
    for name in names:
        if name not in table.names:
            raise unknown_name("column", name, table.names, "the data to predict (the model was trained on it)")
    at = [table.names.index(name) for name in names]
    return Table.of_array(table.array[:, at], names)


def _as_frame(data: Any) -> Frame:
    try:
        if hasattr(data, "columns") and not _all_text(data.columns):
            data = data.rename(columns=str)
        frame: Frame = Frame(data)
    except DataError as error:
        raise UserError(f"the table cannot be taken in: {error}") from error
    return frame


def _matrix(data: Any) -> npt.NDArray[Any]:
    """Return anything like an array as a matrix of real numbers."""
    array = np.asarray(data)
    if array.dtype.kind == "c":
        raise UserError(f"Complex data not supported: X has dtype {array.dtype}; give real numbers")
    if array.dtype.kind in "OUST":
        array = _object_matrix(array)
    if array.ndim != 2:
        raise UserError(
            f"Expected 2D array, got {array.ndim}D array of shape {array.shape} instead. Reshape your data with "
            "X.reshape(-1, 1) if it has a single feature or X.reshape(1, -1) if it is a single row."
        )
    if array.dtype.kind not in "biuf":
        raise UserError(f"X has dtype {array.dtype}; give numbers, or a Frame with levels (enum) for categories")
    if array.shape[0] == 0:
        raise UserError(f"Found array with 0 sample(s) (shape={array.shape}) while a minimum of 1 is required.")
    if array.shape[1] == 0:
        raise UserError(f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    return array


def _object_matrix(array: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    if array.dtype.kind == "O":
        array = np.where(array == None, np.nan, array) if array.size else array  # noqa: E711 - of each element
    try:
        return array.astype(np.float64)
    except ValueError as error:
        raise UserError(f"X holds text ({error}); give numbers, or a Frame with levels (enum) for categories") from None
