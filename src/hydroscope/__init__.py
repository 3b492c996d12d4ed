"""hydroscope: in-memory analytics you can see inside.

The names below are all a user types; each is loaded when it is first asked for, so that
`import hydroscope` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hydroscope import kv as _kv
from hydroscope.node import ports as _ports

if TYPE_CHECKING:
    from hydroscope import kv
    from hydroscope.engine import taps
    from hydroscope.engine.boot import init, shutdown
    from hydroscope.engine.cluster import join_cluster, start_cluster
    from hydroscope.engine.dump.signals import timeline_on_signal
    from hydroscope.engine.past_keys import read_keys
    from hydroscope.frame.frame import Frame
    from hydroscope.ground.errors import (
        CancelledError,
        CorruptError,
        DataError,
        HydroscopeError,
        InternalError,
        UnknownNameError,
        UserError,
    )
    from hydroscope.ground.record.recorder import Recorder
    from hydroscope.ingest.read import read, read_csv
    from hydroscope.mapreduce.task import Keep, MapReduce, full, zeros
    from hydroscope.models import metrics
    from hydroscope.models.gbm import GBMClassifier, GBMRegressor
    from hydroscope.models.leaderboard import leaderboard
    from hydroscope.models.shelf import assign, get_frame, get_model, ls, remove
    from hydroscope.models.store import load_model
    from hydroscope.node.deaths import WorkerDied
    from hydroscope.node.jobs import Job
    from hydroscope.node.ports import EngineError, NodeLost
    from hydroscope.node.records import jobs
    from hydroscope.scope.button import thaw, timeline
    from hydroscope.scope.queries import bisect, first_time, last_time, watch
    from hydroscope.scope.reading import read_timeline
    from hydroscope.scope.snapshots import snapshot
    from hydroscope.scope.stretch import history
    from hydroscope.scope.timeline import Timeline
    from hydroscope.weave.failure import MapError
    from hydroscope.weave.notice import HydroscopeWarning, InterpretedWarning
    from hydroscope.window.errors import WindowError
    from hydroscope.window.log import WindowLog
    from hydroscope.window.past import read_window

__version__ = "0.1.0"

__all__ = [
    "CancelledError",
    "CorruptError",
    "DataError",
    "EngineError",
    "Frame",
    "GBMClassifier",
    "GBMRegressor",
    "HydroscopeError",
    "HydroscopeWarning",
    "InternalError",
    "InterpretedWarning",
    "Job",
    "Keep",
    "MapError",
    "MapReduce",
    "NodeLost",
    "Recorder",
    "Timeline",
    "UnknownNameError",
    "UserError",
    "WindowError",
    "WindowLog",
    "WorkerDied",
    "__version__",
    "assign",
    "bisect",
    "first_time",
    "full",
    "get_frame",
    "get_model",
    "history",
    "init",
    "jobs",
    "join_cluster",
    "kv",
    "last_time",
    "leaderboard",
    "load_model",
    "ls",
    "metrics",
    "read",
    "read_csv",
    "read_keys",
    "read_timeline",
    "read_window",
    "remove",
    "shutdown",
    "snapshot",
    "start_cluster",
    "taps",
    "thaw",
    "timeline",
    "timeline_on_signal",
    "watch",
    "zeros",
]

_HOME = {
    "CancelledError": "ground.errors",
    "CorruptError": "ground.errors",
    "DataError": "ground.errors",
    "EngineError": "node.ports",
    "Frame": "frame.frame",
    "GBMClassifier": "models.gbm",
    "GBMRegressor": "models.gbm",
    "HydroscopeError": "ground.errors",
    "HydroscopeWarning": "weave.notice",
    "InternalError": "ground.errors",
    "InterpretedWarning": "weave.notice",
    "Job": "node.jobs",
    "Keep": "mapreduce.task",
    "MapError": "weave.failure",
    "MapReduce": "mapreduce.task",
    "NodeLost": "node.ports",
    "Recorder": "ground.record.recorder",
    "Timeline": "scope.timeline",
    "UnknownNameError": "ground.errors",
    "UserError": "ground.errors",
    "WindowError": "window.errors",
    "WindowLog": "window.log",
    "WorkerDied": "node.deaths",
    "assign": "models.shelf",
    "bisect": "scope.queries",
    "first_time": "scope.queries",
    "full": "mapreduce.task",
    "get_frame": "models.shelf",
    "get_model": "models.shelf",
    "history": "scope.stretch",
    "init": "engine.boot",
    "jobs": "node.records",
    "join_cluster": "engine.cluster",
    "kv": "kv",
    "last_time": "scope.queries",
    "leaderboard": "models.leaderboard",
    "load_model": "models.store",
    "ls": "models.shelf",
    "metrics": "models.metrics",
    "read": "ingest.read",
    "read_csv": "ingest.read",
    "read_keys": "engine.past_keys",
    "read_timeline": "scope.reading",
    "read_window": "window.past",
    "remove": "models.shelf",
    "shutdown": "engine.boot",
    "snapshot": "scope.snapshots",
    "start_cluster": "engine.cluster",
    "taps": "engine.taps",
    "thaw": "scope.button",
    "timeline": "scope.button",
    "timeline_on_signal": "engine.dump.signals",
    "watch": "scope.queries",
    "zeros": "mapreduce.task",
}
"""The module in which each name lives."""

_MODULES = frozenset({"kv", "metrics", "taps"})
"""Names that are the module itself."""


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        if name.startswith("_"):
            raise AttributeError(f"module 'hydroscope' has no attribute {name!r}")
        from hydroscope.ground.errors import unknown_name

        raise AttributeError(str(unknown_name("name", name, _HOME, "hydroscope")), name=name, obj=None)
    module = import_module(f"hydroscope.{home}")
    value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _boot_engine() -> _ports.Engine:
    from hydroscope.engine.boot import boot_default

    return boot_default()


def _boot_host() -> _ports.Host:
    from hydroscope.engine.boot import boot_host

    return boot_host()


def _boot_keys() -> _ports.Keys:
    from hydroscope.engine.boot import open_keys

    return open_keys()


_ports.on_first_use(_boot_engine, _boot_host, _boot_keys)
_kv.opens_with(_ports.keys)
