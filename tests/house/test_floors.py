"""A room imports from itself and from floors below; heavy libraries wait until they are needed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import pytest

from tests.house.source import ROOT, SOURCE

LAZY = {"numba", "ray", "pyarrow", "numpy", "rich", "plotly", "pandas", "polars", "sklearn", "duckdb"}


def test_the_floors_hold():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_stands_on_a_floor_and_in_architecture_md():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    on_floors = {room.strip() for layer in layers for room in layer.replace("|", ":").split(":")}
    rooms = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    assert rooms == on_floors
    described = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert {room for room in rooms if f"`{room}`" not in described} == set()


def loaded_by(statement: str) -> list[str]:
    program = f"import sys, json, io, contextlib\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


QUIET_HELP = """
from hydroscope.cli.main import run
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    run([{arguments}])
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import hydroscope",
        QUIET_HELP.format(arguments="'--help'"),
        QUIET_HELP.format(arguments="'describe', '--help'"),
        QUIET_HELP.format(arguments="'train', '--help'"),
    ],
    ids=["import", "help", "describe help", "train help"],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(statement):
    loaded = loaded_by(statement)
    needed = {"numpy"} if "'train'" in statement else set()  # parameters are checked with NumPy's numbers
    assert LAZY & {name.partition(".")[0] for name in loaded} <= needed
    own = [name for name in loaded if name.startswith("hydroscope.")]
    assert len(own) <= 12, own


def test_a_member_of_a_cluster_needs_nothing_heavy():
    loaded = loaded_by("import hydroscope\nwith hydroscope.start_cluster(): hydroscope.kv.put('a', 1, wait=True)")
    assert LAZY & {name.partition(".")[0] for name in loaded} == set()


def test_the_facade_names_everything_it_has():
    import hydroscope

    for name in hydroscope.__all__:
        assert getattr(hydroscope, name) is not None
    with pytest.raises(AttributeError, match="did you mean 'read_csv'"):
        hydroscope.raed_csv  # noqa: B018
