"""`import hydroscope`: cheap, complete, and helpful about slips."""

from __future__ import annotations

import ast
import subprocess
import sys
import types
from pathlib import Path

import pytest

import hydroscope as hs

HEAVY = ("numba", "ray", "numpy", "pandas", "pyarrow", "polars", "rich", "plotly", "sklearn", "asyncio", "threading")


def loaded_by(statement: str) -> set[str]:
    """Names of the modules that a fresh interpreter has after `statement` and did not have before."""
    script = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    run = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


def test_the_import_loads_nothing_heavy() -> None:
    loaded = loaded_by("import hydroscope")
    assert loaded & set(HEAVY) == set()
    assert {name for name in loaded if name.startswith("hydroscope")} == {
        "hydroscope",
        "hydroscope.ground",
        "hydroscope.ground.errors",
        "hydroscope.kv",
        "hydroscope.kv.changes",
        "hydroscope.node",
        "hydroscope.node.ports",
    }


def test_choosing_the_local_engine_loads_no_numba() -> None:
    assert loaded_by("import hydroscope; hydroscope.init(threads=1)") & {"numba", "ray", "numpy", "rich"} == set()


def test_every_name_is_there() -> None:
    for name in hs.__all__:
        assert isinstance(getattr(hs, name), types.ModuleType) == (name in hs._MODULES)
    assert dir(hs) == sorted(hs.__all__)


def test_star_gives_every_name() -> None:
    names: dict[str, object] = {}
    exec("from hydroscope import *", names)
    assert set(hs.__all__) <= set(names)


def test_a_name_has_one_home() -> None:
    """What type checkers read and what is loaded are the same, name by name."""
    tree = ast.parse(Path(hs.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.name: f"{node.module}.{alias.name}" if alias.name in hs._MODULES else str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {name: f"hydroscope.{home}" for name, home in hs._HOME.items()}
    assert set(hs.__all__) == {*hs._HOME, "__version__"}


def test_a_slip_gets_a_hint() -> None:
    with pytest.raises(AttributeError, match="no name 'GBMClasifier' in hydroscope; did you mean 'GBMClassifier'"):
        _ = hs.GBMClasifier


def test_a_private_name_is_just_not_there() -> None:
    assert not hasattr(hs, "_ipython_display_")
    assert not hasattr(hs, "__wrapped__")


def test_the_package_is_typed() -> None:
    assert (Path(hs.__file__).parent / "py.typed").is_file()


def test_the_version_is_the_one_of_the_package() -> None:
    from importlib.metadata import version

    assert hs.__version__ == version("hydroscope")
