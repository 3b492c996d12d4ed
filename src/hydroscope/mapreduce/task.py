"""The class users derive their tasks from.

    class Spread(hs.MapReduce):
        centre: float                      # input
        n: int = 0                         # outputs
        sse: float = 0.0
        hist = hs.zeros(64)
        def map(self, x, y):
            self.n += 1
            self.sse += (x - self.centre) ** 2
            self.hist[int(y) & 63] += 1

    result = Spread(centre=3.0).do_all(frame[["x", "y"]])

Every leaf of the frame (a quarter of a million rows) is mapped by a task of its own, which
starts from the outputs' defaults; the leaves' outputs are then merged in a fixed order. So
a result depends neither on the number of threads nor on the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from hydroscope.ground.errors import UserError, unknown_name
from hydroscope.mapreduce.declare import Declaration, Spec, declare, kind_of
from hydroscope.weave.failure import MapError
from hydroscope.weave.recipe import DTYPES, Field

if TYPE_CHECKING:
    from hydroscope.frame.frame import Frame
    from hydroscope.mapreduce.explain import Explanation
    from hydroscope.node.jobs import Job

__all__ = ["Keep", "MapError", "MapReduce", "full", "zeros"]


class Keep:
    """Annotation of a map that chooses rows: `def map(self, x) -> hs.Keep: return x > 0`."""


def zeros(shape: int | str | tuple[int | str, ...], dtype: Any = float) -> Any:
    """Declare an array output that starts from zeros.

    Parameters
    ----------
    shape : int, str, or tuple of them
        Dimensions; a name stands for the value of the input of that name.
    dtype : type
        float (the default), int or bool.

    Notes
    -----
    Cost: free; the array is made when the task runs, one for each leaf of the frame.

    Examples
    --------
    >>> class Histogram(MapReduce):
    ...     n_bins: int
    ...     counts = zeros("n_bins", dtype=int)
    """
    return full(shape, 0, dtype)


def full(shape: int | str | tuple[int | str, ...], value: float | int | bool, dtype: Any = None) -> Any:
    """Declare an array output that starts from `value` everywhere.

    Parameters
    ----------
    shape : int, str, or tuple of them
        As in `zeros`.
    value : float, int or bool
        Where every map starts from. Other than 0 it needs a `reduce` of your own.
    dtype : type, optional
        float, int or bool; default: that of `value`.

    Notes
    -----
    Cost: free; the array is made when the task runs, one for each leaf of the frame.
    """
    kind = kind_of(type(value) if dtype is None else dtype)
    sizes = shape if isinstance(shape, tuple) else (shape,)
    return Spec(sizes, DTYPES[kind](value).item(), kind)


class MapReduce:
    """A computation over the rows of a frame: a map, its inputs and outputs, and a reduce.

    Derive from it and write

    - **inputs**: annotated names without default. Given to the constructor by keyword,
      shipped to every task, read-only there. Numbers, tuples and arrays can be compiled.
    - **outputs**: annotated names with a default (int, float, bool), or `zeros(...)` and
      `full(...)`. Private to each map.
    - **map(self, x, y)**: called for every row. If columns of these names exist they are
      the ones; otherwise columns are taken in their order. `*row` takes any number. It is
      compiled together with the decompression of the columns. Columns of type int, bool,
      enum (the code of the level) and time (milliseconds) come as integers, reals as
      floats. `-> float` (int, bool, tuple[...]) makes new columns, `-> Keep` chooses rows.
    - or **map_chunk(self, x, y)**: called for every chunk, with NumPy arrays; any Python.
    - **reduce(self, other)**, optional: merge `other` (of later rows) into `self`. Without
      it outputs are added up (bools: or), and must start from 0.

    `explain` shows what becomes of it.

    Attributes
    ----------
    skipna : bool
        True (the default): rows with a missing value are left out. False: all rows come,
        integers as floats, NaN (string: None) where missing.
    outputs : tuple of str
        Names of the new columns, default "out0", "out1", ...
    frame : Frame
        Of a result: the new columns, or the rows that were kept.
    """

    _hydroscope_root: ClassVar[bool] = True
    skipna: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...]] = ()
    _declared: ClassVar[Declaration]
    _fields: tuple[Field, ...]
    _frame: Frame | None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._declared = declare(cls, _RESERVED)
        if not hasattr(cls, "reduce"):
            for name, output in cls._declared.outputs.items():
                if output.start != 0:
                    raise UserError(
                        f"output {name!r} of {cls.__name__} starts from {output.start!r}; adding up the pieces would "
                        "count that once a piece: start from 0, or write reduce(self, other)"
                    )

    def __init__(self, **inputs: Any) -> None:
        cls = type(self)
        if "_hydroscope_root" in cls.__dict__:
            raise UserError("MapReduce is to be derived from: class Task(hs.MapReduce): def map(self, x): ...")
        declared = cls._declared
        for name in inputs:
            if name not in declared.inputs:
                raise unknown_name("input", name, declared.inputs, cls.__name__)
        absent = [name for name in declared.inputs if name not in inputs]
        if absent:
            raise UserError(f"{cls.__name__} needs the input {absent[0]!r}: {cls.__name__}({absent[0]}=...)")
        values = self.__dict__
        for name, value in inputs.items():
            values[name] = _input(name, declared.inputs[name], value, cls.__name__)
        values["_fields"] = tuple(
            each.field(name, values, cls.__name__) if isinstance(each, Spec) else each
            for name, each in declared.outputs.items()
        )
        values["_frame"] = None
        for field in self._fields:
            values[field.name] = (
                field.start if field.shape is None else np.full(field.shape, field.start, DTYPES[field.kind])
            )

    def __setattr__(self, name: str, value: Any) -> None:
        declared = type(self)._declared
        if name not in declared.outputs:
            if name in declared.inputs or name in declared.constants:
                raise UserError(
                    f"{name!r} is an input of {type(self).__name__} and read-only: make another task, or give it a "
                    "default in the class to make it an output"
                )
            raise unknown_name("output", name, declared.outputs, type(self).__name__)
        self.__dict__[name] = value

    def __repr__(self) -> str:
        names = [*type(self)._declared.inputs, *type(self)._declared.outputs]
        shown = (f"{name}={_short(self.__dict__.get(name))}" for name in names)
        return f"{type(self).__name__}({', '.join(shown)})"

    @property
    def frame(self) -> Frame:
        """New columns, or the rows that were kept, of a finished task."""
        if self._frame is None:
            raise AttributeError(
                f"{type(self).__name__} has no frame: only the result of a map that says what it returns "
                "(-> float, -> tuple[...], -> hs.Keep) has one"
            )
        return self._frame

    def do_all(self, *columns: Any) -> Self:
        """Run over all rows and return a finished task; this one stays as it is.

        Parameters
        ----------
        *columns : Frame or Column
            One frame, one column, or several of equal length.

        Returns
        -------
        task
            Of the same class, with the outputs of all rows.

        Raises
        ------
        MapError
            The map function raised: with the row, its values, and where its data came from.
        UserError
            Columns and parameters do not match, or outputs are misused.

        Notes
        -----
        Cost: one parallel pass over the compressed columns, as fast as memory where the
        function is that simple; the first call of a new function compiles it (a fraction of
        a second, kept on disk for other processes). A function that cannot be compiled runs
        interpreted, a few us a row, and an `InterpretedWarning` says why.
        """
        from hydroscope.mapreduce.run import run_all
        from hydroscope.node import jobs

        with jobs.running(type(self).__name__):
            return run_all(self, columns)

    def do_all_async(self, *columns: Any) -> Job:
        """Start `do_all` in the background; the job's result is the finished task. Cost: that of `do_all`."""
        from hydroscope.mapreduce.run import run_all
        from hydroscope.node import jobs

        return jobs.start(run_all, self, columns, description=type(self).__name__)

    def explain(self, *columns: Any) -> Explanation:
        """Tell how this task would run over columns: compiled or why not, which loops, and their source.

        Parameters
        ----------
        *columns : Frame or Column
            As for `do_all`.

        Returns
        -------
        Explanation
            Prints as text; has `compiled`, `reason`, `line`, `columns` and `loops`.

        Notes
        -----
        Cost: that of compiling the function, unless it was compiled before; rows are not touched.
        """
        from hydroscope.mapreduce.explain import explain

        return explain(self, columns)


_RESERVED = frozenset(name for name in dir(MapReduce) if not name.startswith("__")) | {"map", "map_chunk", "reduce"}


def _input(name: str, hint: str, value: Any, owner: str) -> Any:
    """Return an input as tasks see it: a float where float is declared, arrays not writeable."""
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    elif hint.split(".")[-1] == "float" and isinstance(value, (int, np.number)) and not isinstance(value, bool):
        value = float(value)
    elif hint.split(".")[-1] == "int" and isinstance(value, float):
        raise UserError(f"input {name!r} of {owner} is declared int and given {value!r}; declare it float")
    return value


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 6:
        return f"<{'x'.join(map(str, value.shape))} {value.dtype}>"
    return repr(value)
