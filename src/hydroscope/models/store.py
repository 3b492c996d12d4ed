"""Model files: written and read without pickle. The format is described in docs/model-format.md.

    8 bytes   magic
    8 bytes   length of the header, uint64 little-endian
    32 bytes  SHA-256 of the header
    ...       header: JSON
    ...       tensors, one after the other, little-endian, as the header's table says

Everything is checked before anything is believed: sizes before memory is taken, checksums
before values are used, indices before a kernel follows them.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from importlib.metadata import version
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from hydroscope.frame.files import new_file
from hydroscope.frame.vec import VecType
from hydroscope.ground.errors import CorruptError, DataError, UserError
from hydroscope.models.boosting import Record
from hydroscope.models.gbm import GBMClassifier, GBMRegressor
from hydroscope.models.gbm_model import GBMModel
from hydroscope.models.target import CLASSES_MAX, Classes
from hydroscope.models.tree.binning import FeatureBins
from hydroscope.models.tree.histogram import MISSING_BIN
from hydroscope.models.tree.predictor import Forest

__all__ = ["DTYPES", "MAGIC", "VERSION", "load_model", "model_bytes", "model_of_bytes", "save_model"]

MAGIC = b"\x89HSM\r\n\x1a\n"
"""A byte no text has, the name, and line ends that a transfer as text would change."""

VERSION = 1

HEADER_BYTES_MAX = 256 * 2**20
DEPTH_MAX = 64

DTYPES = {"u1": np.uint8, "i4": np.int32, "i8": np.int64, "u8": np.uint64, "f8": np.float64}
"""Types of tensors: their names in the header, little-endian."""

_PREFIX_BYTES = len(MAGIC) + 8 + 32
_FOREST = {
    "starts": "i8", "depths": "i4", "output": "i4", "feature": "i4", "left": "i4", "mask": "u8",
    "threshold": "f8", "value": "f8", "gain": "f8", "cover": "f8", "n_rows": "i8",
}  # fmt: skip
_HISTORY = ("n_trees", "seconds", "train_loss", "valid_loss", "train_auc", "valid_auc")


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the table of tensors."""

    name: str
    dtype: str
    shape: list[int]
    offset: int
    sha256: str


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature: levels for categories, null for numbers."""

    name: str
    levels: list[str] | None


class Labels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The classes."""

    type: str
    dtype: str
    labels: list[bool | int | float | str]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON of a model file."""

    version: int
    written_by: str
    algorithm: str
    kind: str
    loss: str
    parameters: dict[str, Any]
    seed: int
    named: bool
    target: str
    features: list[Feature]
    classes: Labels | None
    notes: list[str]
    tensors: list[Tensor]


def save_model(model: GBMModel, path: str | PathLike[str], overwrite: bool = False) -> None:
    """Write a model: to a file beside `path` first, which then takes its name.

    Parameters
    ----------
    model : GBMModel
    path : path-like
    overwrite : bool
        Whether a file of that name may be replaced.

    Raises
    ------
    UserError
        The file exists already and `overwrite` is false, or the disk says no; the text has the
        path, and nothing is left behind.

    Notes
    -----
    Cost: writes the file once and waits until it is on the disk.
    """
    data = _encode(model)
    with new_file(Path(path), overwrite) as file:
        for part in data:
            file.write(part)


def load_model(path: str | PathLike[str]) -> GBMClassifier | GBMRegressor:
    """Read a model that `save` wrote; its predictions are the same to the last bit.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    GBMClassifier or GBMRegressor
        Fitted, with the parameters it was trained with.

    Raises
    ------
    CorruptError
        The file is no model, is cut short or damaged, or of a version this one cannot read;
        the text says which part.
    FileNotFoundError
        There is no such file.

    Notes
    -----
    Cost: reads the file once.
    """
    place = os.fspath(path)
    with open(place, "rb") as file:
        return _read(file, os.fstat(file.fileno()).st_size, place)


def model_bytes(model: GBMModel) -> bytes:
    """Return what `save_model` writes."""
    return b"".join(_encode(model))


def model_of_bytes(data: bytes, place: str) -> GBMClassifier | GBMRegressor:
    """Return the model of what `model_bytes` returned; `place` is where errors say that it was."""
    return _read(BytesIO(data), len(data), place)


def _read(file: Any, size: int, place: str) -> GBMClassifier | GBMRegressor:
    header = _read_header(file, size, place)
    return _decode(header, _read_tensors(file, header, size, place), place)


def _encode(model: GBMModel) -> list[bytes]:
    arrays: dict[str, npt.NDArray[Any]] = {"base": model.base}
    for name in _FOREST:
        arrays[f"forest.{name}"] = getattr(model.forest, name)
    arrays["history"] = np.array(
        [[getattr(record, name) for name in _HISTORY] for record in model.history], np.float64
    ).reshape(-1, len(_HISTORY))
    for j, each in enumerate(model.bins):
        arrays[f"edges.{j}" if each.domain is None else f"bins.{j}"] = (
            each.edges if each.domain is None else each.bin_of_level
        )
    table, buffers, offset = [], [], 0
    for name, array in arrays.items():
        code = next(code for code, dtype in DTYPES.items() if array.dtype == dtype)
        raw = np.ascontiguousarray(array).astype(f"<{code}", copy=False).tobytes()
        table.append(Tensor(name, code, list(array.shape), offset, hashlib.sha256(raw).hexdigest()))
        buffers.append(raw)
        offset += len(raw)
    header = msgspec.json.encode(_header(model, table, f"hydroscope {version('hydroscope')}"))
    prefix = MAGIC + len(header).to_bytes(8, "little") + hashlib.sha256(header).digest()
    return [prefix, header, *buffers]


def _header(model: GBMModel, table: list[Tensor], written_by: str) -> Header:
    classes = None
    if model.classes is not None:
        labels = model.classes.labels
        kinds = {"b": "bool", "i": "int", "u": "int", "f": "real"}
        classes = Labels(model.classes.type.value, kinds.get(labels.dtype.kind, "text"), labels.tolist())
    parameters = dict(model.parameters)
    if isinstance(parameters.get("class_weight"), Mapping):
        pairs = parameters["class_weight"].items()
        parameters["class_weight"] = {
            str(label.item() if isinstance(label, np.generic) else label): float(weight) for label, weight in pairs
        }
    return Header(
        version=VERSION,
        written_by=written_by,
        algorithm="gbm",
        kind=model.kind,
        loss=model.loss,
        parameters=parameters,
        seed=model.seed,
        named=model.named,
        target=model.target,
        features=[Feature(each.name, None if each.domain is None else list(each.domain)) for each in model.bins],
        classes=classes,
        notes=list(model.notes),
        tensors=table,
    )


def _read_header(file: Any, size: int, place: str) -> Header:
    prefix = file.read(_PREFIX_BYTES)
    if prefix[: len(MAGIC)] != MAGIC[: len(prefix)] or len(prefix) < len(MAGIC):
        why = f"its first bytes are {prefix[:8]!r}" if prefix else "it is empty"
        raise CorruptError(f"{place!r} is no hydroscope model ({why}); give a file that save() wrote")
    if len(prefix) < _PREFIX_BYTES:
        raise CorruptError(f"model {place!r} ends after {len(prefix)} bytes, within its prefix; copy it again")
    length = int.from_bytes(prefix[8:16], "little")
    if length > min(size - _PREFIX_BYTES, HEADER_BYTES_MAX):
        raise CorruptError(
            f"model {place!r} is cut short or damaged: a header of {length:,} bytes cannot be in a file of {size:,}; "
            "copy it again or train again"
        )
    raw = file.read(length)
    if hashlib.sha256(raw).digest() != prefix[16:]:
        raise CorruptError(
            f"model {place!r} is damaged: the header's checksum does not match; copy it again or train again"
        )
    try:
        written = msgspec.json.decode(raw)["version"]
        if written != VERSION:
            raise CorruptError(
                f"model {place!r} has format version {written!r}, this hydroscope reads version {VERSION}; "
                "read it with the version of hydroscope that wrote it"
            )
        return msgspec.json.decode(raw, type=Header)
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise CorruptError(f"model {place!r}: the header does not hold what it must ({error}); train again") from error


def _read_tensors(file: Any, header: Header, size: int, place: str) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors by name; sizes are checked against the file's before anything is read."""
    start = file.tell()
    wanted = 0
    for each in header.tensors:
        if each.dtype not in DTYPES or any(n < 0 for n in each.shape) or len(each.shape) > 2 or each.offset != wanted:
            raise CorruptError(f"model {place!r}: tensor {each.name!r} is described wrongly; train again")
        wanted += math.prod(each.shape) * np.dtype(DTYPES[each.dtype]).itemsize
    if wanted != size - start:
        fault = "cut short" if wanted > size - start else "longer than it says"
        raise CorruptError(
            f"model {place!r} is {fault}: {wanted:,} bytes of tensors expected, {size - start:,} there; copy it again"
        )
    found: dict[str, npt.NDArray[Any]] = {}
    for each in header.tensors:
        raw = file.read(math.prod(each.shape) * np.dtype(DTYPES[each.dtype]).itemsize)
        if hashlib.sha256(raw).hexdigest() != each.sha256:
            raise CorruptError(
                f"model {place!r} is damaged: the checksum of tensor {each.name!r} does not match; "
                "copy it again or train again"
            )
        stored = np.frombuffer(raw, f"<{each.dtype}").reshape(each.shape)
        found[each.name] = stored.astype(DTYPES[each.dtype])
    return found


def _decode(header: Header, tensors: dict[str, npt.NDArray[Any]], place: str) -> GBMClassifier | GBMRegressor:
    try:
        model = _model_of(header, tensors)
        estimator = (GBMClassifier if model.kind == "classifier" else GBMRegressor)(**model.parameters)
        estimator._checked()
        estimator._keep(model)
        return estimator
    except (KeyError, ValueError, TypeError, DataError, UserError) as error:
        reason = str(error) or "its parts do not fit together"
        raise CorruptError(f"model {place!r}: {reason}; train again") from error


def _model_of(header: Header, tensors: dict[str, npt.NDArray[Any]]) -> GBMModel:
    n_scores = len(tensors["base"])
    forest = Forest(**{name: _tensor(tensors, f"forest.{name}", dtype) for name, dtype in _FOREST.items()})
    _check_forest(forest, len(header.features), n_scores)
    bins = []
    for j, feature in enumerate(header.features):
        if feature.levels is None:
            edges = _tensor(tensors, f"edges.{j}", "f8")
            _need(edges.ndim == 1 and len(edges) < MISSING_BIN, f"the edges of feature {feature.name!r} are wrong")
            bins.append(FeatureBins(feature.name, edges, None, np.zeros(0, np.uint8)))
        else:
            table = _tensor(tensors, f"bins.{j}", "u1")
            _need(table.shape == (len(feature.levels),), f"the levels of feature {feature.name!r} are wrong")
            bins.append(FeatureBins(feature.name, np.zeros(0), tuple(feature.levels), table))
    history = _tensor(tensors, "history", "f8")
    _need(history.ndim == 2 and history.shape[1] == len(_HISTORY), "the scoring history is wrong")
    classes = _classes_of(header.classes)
    wanted = {"squared": 1, "logistic": 1, "softmax": 0 if classes is None else len(classes.labels)}
    _need(header.algorithm == "gbm" and wanted.get(header.loss) == n_scores, "algorithm, loss and scores do not fit")
    _need((header.kind == "regressor") == (classes is None), "kind and classes do not fit")
    return GBMModel(
        kind=header.kind,
        loss=header.loss,
        parameters=header.parameters,
        seed=header.seed,
        bins=tuple(bins),
        named=header.named,
        target=header.target,
        classes=classes,
        base=_tensor(tensors, "base", "f8"),
        forest=forest,
        history=tuple(Record(int(line[0]), *line[1:]) for line in history.tolist()),
        notes=tuple(header.notes),
    )


def _need(condition: object, fault: str) -> None:
    """Refuse a file in which something does not hold."""
    if not condition:
        raise ValueError(fault)


def _tensor(tensors: dict[str, npt.NDArray[Any]], name: str, dtype: str) -> npt.NDArray[Any]:
    array = tensors.get(name)
    if array is None or array.dtype != DTYPES[dtype]:
        raise ValueError(f"tensor {name!r} is missing or of another type")
    return array


def _check_forest(forest: Forest, n_features: int, n_scores: int) -> None:
    """Check what the kernels rely on: every index leads to something."""
    n_trees, n_nodes = len(forest.depths), len(forest.feature)
    starts = forest.starts
    for name in ("left", "threshold", "value", "gain", "cover", "n_rows"):
        _need(getattr(forest, name).shape == (n_nodes,), f"tensor 'forest.{name}' has a wrong shape")
    _need(forest.mask.shape == (n_nodes, 4) and forest.output.shape == (n_trees,), "the forest's shapes are wrong")
    _need(starts.shape == (n_trees + 1,) and starts[0] == 0 and starts[-1] == n_nodes, "the trees' starts are wrong")
    sizes = np.diff(starts)
    _need(np.all(sizes > 0), "a tree has no node")
    _need(np.all((forest.depths >= 0) & (forest.depths <= DEPTH_MAX)), "a tree's depth is wrong")
    _need(np.all((forest.output >= 0) & (forest.output < max(n_scores, 1))), "a tree's class is wrong")
    _need(np.all((forest.feature >= -1) & (forest.feature < n_features)), "a split's feature is wrong")
    size = np.repeat(sizes, sizes)
    place = np.arange(n_nodes) - np.repeat(starts[:-1], sizes)
    split = forest.feature >= 0
    below = np.where(split, (forest.left > place) & (forest.left + 1 < size), forest.left == place)
    _need(below.all(), "a node's children are wrong")
    _need(np.all(forest.mask[~split] == np.uint64(2**64 - 1)), "a leaf's mask is wrong")


def _classes_of(stored: Labels | None) -> Classes | None:
    if stored is None:
        return None
    _need(2 <= len(stored.labels) <= CLASSES_MAX, "the number of classes is wrong")
    dtypes: dict[str, Any] = {"bool": np.bool_, "int": np.int64, "real": np.float64, "text": None}
    wanted: dict[str, Any] = {"bool": bool, "int": int, "real": (int, float), "text": str}
    kind = wanted.get(stored.dtype)
    _need(kind is not None and all(isinstance(each, kind) for each in stored.labels), "the classes' labels are wrong")
    return Classes(np.array(stored.labels, dtypes[stored.dtype]), VecType(stored.type))
