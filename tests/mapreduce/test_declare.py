"""What a class may declare, and what is said when it may not."""

from __future__ import annotations

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.mapreduce.declare import Outcome, outcome_of, parameters_of
from tests.mapreduce import tasks
from tests.weave.columns import frame_of

ROWS = frame_of(x=np.arange(5) / 2, y=np.arange(5))


def test_inputs_outputs_and_constants_come_from_the_class_body_and_its_bases():
    class Base(hs.MapReduce):
        low: float
        n: int = 0
        WIDTH = 2.5

        def map(self, x):
            self.n += x > self.low

    class More(Base):
        high: float
        total: float = 0
        hist = hs.zeros("size", dtype=int)
        size: int

        def map(self, x):
            if self.low < x < self.high * self.WIDTH:
                self.n += 1
                self.total += x
                self.hist[int(x) % self.size] += 1

    declared = More._declared
    assert list(declared.inputs) == ["low", "high", "size"]
    assert set(declared.outputs) == {"n", "total", "hist"}
    assert declared.constants == {"WIDTH": 2.5}
    done = More(low=0, high=0.7, size=3).do_all(ROWS["x"])
    assert (done.n, done.total, done.hist.tolist()) == (3, 3.0, [1, 2, 0])
    assert repr(done) == "More(low=0.0, high=0.7, size=3, n=3, total=3.0, hist=array([1, 2, 0]))"


def make(body: dict, annotations: dict | None = None):
    """Make a task class from a body."""
    return type("Task", (hs.MapReduce,), {"map": lambda self, x: None, "__annotations__": annotations or {}, **body})


@pytest.mark.parametrize(
    ("annotations", "body", "said"),
    [
        ({"seen": "list"}, {"seen": []}, r"'seen' of Task is declared list = \[\]; outputs are int, float or bool"),
        ({"seen": "dict"}, {"seen": {}}, "zeros"),
        ({"label": "str"}, {"label": "a"}, "'label' of Task is declared str = 'a'"),
        ({"n": "int"}, {"n": 0.5}, "'n' of Task is declared int and starts from 0.5; declare it float"),
        ({"h": "float"}, {"h": np.zeros((2, 3))}, r"starts from an array; write h = zeros\(\[2, 3\]\)"),
        ({"n": "int"}, {"n": 1}, "starts from 1; adding up the pieces would count that once a piece"),
        ({"do_all": "int"}, {"do_all": 0}, "declares 'do_all', which every task has already"),
        ({"frame": "int"}, {}, "declares 'frame', which every task has already"),
        ({}, {"top": hs.full(3, 7)}, r"start from 0, or write reduce\(self, other\)"),
    ],
)
def test_a_class_that_cannot_be_a_task_is_refused(annotations, body, said):
    with pytest.raises(hs.UserError, match=said):
        make(body, annotations)


def test_starting_values_may_be_anything_with_a_reduce():
    assert make({"n": 1, "reduce": lambda self, other: None}, {"n": "int"})().n == 1


@pytest.mark.parametrize("dtype", [str, "object", np.complex128, np.float32])
def test_arrays_are_float_int_or_bool(dtype):
    with pytest.raises(hs.UserError, match="outputs are float"):
        hs.zeros(3, dtype)


def test_dimensions_are_whole_numbers_or_inputs_that_hold_one():
    Task = make({"h": hs.zeros(("n", 2))}, {"n": "int"})
    assert Task(n=3).h.shape == (3, 2)
    assert Task(n=np.int32(0)).h.shape == (0, 2)
    with pytest.raises(hs.UserError, match="dimension -1"):
        Task(n=-1)
    with pytest.raises(hs.UnknownNameError, match="no input 'm' in Task"):
        make({"h": hs.zeros("m")}, {"n": "int"})(n=1)


def test_inputs_are_given_by_name_all_of_them_and_no_others():
    with pytest.raises(hs.UserError, match=r"Spread needs the input 'centre': Spread\(centre=...\)"):
        tasks.Spread()
    with pytest.raises(hs.UnknownNameError, match="did you mean 'centre'"):
        tasks.Spread(center=3.0)
    with pytest.raises(TypeError):
        tasks.Spread(3.0)
    with pytest.raises(hs.UserError, match=r"declared int and given 2\.5; declare it float"):
        tasks.Inputs(**dict.fromkeys(tasks.Inputs._declared.inputs, 1) | {"whole": 2.5})
    with pytest.raises(hs.UserError, match="to be derived from"):
        hs.MapReduce()


def test_inputs_are_read_only_and_unknown_names_are_refused():
    edges = np.zeros(3)
    task = tasks.Scaled(by=2.0)
    with pytest.raises(hs.UserError, match="'by' is an input of Scaled and read-only"):
        task.by = 3.0
    with pytest.raises(hs.UnknownNameError, match="did you mean 'total'"):
        task.totl = 1.0
    with pytest.raises(ValueError, match="read-only"):
        make({}, {"edges": "np.ndarray"})(edges=edges).edges[0] = 1.0
    edges[0] = 1.0  # the user's own array stays writable


class Misspelt(hs.MapReduce):
    total: float = 0.0

    def map(self, x):
        self.totl += x


class ReadsUnknown(hs.MapReduce):
    centre: float
    total: float = 0.0

    def map(self, x):
        self.total += x - self.center


class WritesInput(hs.MapReduce):
    centre: float
    n: int = 0

    def map(self, x):
        self.centre = x


class ReplacesArray(hs.MapReduce):
    counts = hs.zeros(3)

    def map(self, x):
        self.counts = x


class ReturnsUnannounced(hs.MapReduce):
    def map(self, x):
        return x * 2


class ReturnsTooMany(hs.MapReduce):
    def map(self, x) -> tuple[float, float]:
        return x, x, x


class SaysText(hs.MapReduce):
    def map(self, x) -> str:
        return "a"


class Nothing(hs.MapReduce):
    n: int = 0


class Both(hs.MapReduce):
    n: int = 0

    def map(self, x):
        self.n += 1

    def map_chunk(self, x):
        self.n += 1


class SameNames(hs.MapReduce):
    outputs = ("a", "a")

    def map(self, x) -> tuple[float, float]:
        return x, x


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (Misspelt(), "no output 'totl' in Misspelt; did you mean 'total'"),
        (ReadsUnknown(centre=1.0), "'center'.*did you mean 'centre'"),
        (WritesInput(centre=1.0), r"WritesInput.map writes to the input 'centre' in line \d+ of .*test_declare.py"),
        (ReplacesArray(), r"replaces the array 'counts' in line \d+ .*write into it: self.counts\[:\] = "),
        (ReturnsUnannounced(), "does not say of what kind: write -> float"),
        (ReturnsTooMany(), r"returns 3 values in line \d+; it says 2"),
        (SaysText(), "says -> str; new columns are float, int or bool"),
        (Nothing(), "neither map nor map_chunk"),
        (Both(), "both map and map_chunk"),
        (SameNames(), "give 2 different names"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, hs.MapReduce) else "",
)
@pytest.mark.parametrize("rows", [ROWS["x"], frame_of(x=np.zeros(0))], ids=["rows", "no rows"])
def test_a_function_that_is_wrong_is_refused(task, said, rows):
    with pytest.raises(hs.UserError, match=said):
        task.do_all(rows)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ((ROWS["x"],), r"Range.map takes x, y; do_all got 1 columns and none called 'y'"),
        ((ROWS["x"], ROWS["y"], ROWS["y"]), "do_all got 3 columns"),
        ((), "do_all got 0 columns"),
        (([1, 2],), r"do_all got a list; give a Frame or columns of one: hs.Frame\(...\) makes one"),
        ((ROWS["x"], frame_of(y=np.arange(4))["y"]), "has 4 rows and 'x' 5"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns, said):
    with pytest.raises(hs.UserError, match=said):
        tasks.Range().do_all(*columns)


def test_only_tasks_that_return_something_have_a_frame():
    with pytest.raises(AttributeError, match="Sum has no frame"):
        tasks.Sum().do_all(ROWS["x"]).frame  # noqa: B018
    with pytest.raises(hs.UserError, match="give it one Frame"):
        tasks.Above(limit=0.0).do_all(ROWS["x"])


@pytest.mark.parametrize(
    ("hint", "outcome"),
    [
        (None, Outcome()),
        ("None", Outcome()),
        ("float", Outcome(("float",))),
        ("float | None", Outcome(("float",))),
        (int, Outcome(("int",))),
        (np.float64, Outcome(("float",))),
        ("tuple[float, int, bool]", Outcome(("float", "int", "bool"))),
        (tuple[float, int], Outcome(("float", "int"))),
        ("hs.Keep", Outcome(("bool",), keeps=True)),
        (hs.Keep, Outcome(("bool",), keeps=True)),
    ],
)
def test_annotations_of_what_map_returns(hint, outcome):
    def map(self, x): ...

    if hint is not None:
        map.__annotations__["return"] = hint
    assert outcome_of("Task", map) == outcome


def test_parameters():
    assert parameters_of(tasks.Moments.map) == ((), True)
    assert parameters_of(tasks.Range.map) == (("x", "y"), False)
