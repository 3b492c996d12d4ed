"""What is public is documented with its cost, examples run, and generated pages are current."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import runpy

import pytest

import hydroscope
from tests.house.source import ROOT, SOURCE, modules

COST = re.compile(r"\bCosts?\b|\bfree\b|\bO\(", re.IGNORECASE)
WITHOUT_COST = {"__version__"}
"""Names that are not called."""


def module_name(path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def public_callables():
    for name in hydroscope.__all__:
        value = getattr(hydroscope, name)
        if inspect.isclass(value) and issubclass(value, BaseException):
            continue
        if inspect.ismodule(value):
            for inner in value.__all__:
                yield f"{name}.{inner}", getattr(value, inner)
        elif callable(value):
            yield name, value


@pytest.mark.parametrize(("name", "value"), list(public_callables()), ids=[n for n, _ in public_callables()])
def test_public_names_are_documented(name, value):
    text = inspect.getdoc(value) or ""
    assert text, f"{name} has no docstring"
    if inspect.isclass(value):
        for method, member in vars(value).items():
            if method.startswith("_") or not (callable(member) or isinstance(member, property | classmethod)):
                continue
            assert inspect.getdoc(getattr(value, method)), f"{name}.{method} has no docstring"
        return
    takes = [p for p in inspect.signature(value).parameters.values() if p.kind is not p.VAR_KEYWORD]
    if takes:
        assert re.search(r"^Parameters\n-{4,}", text, re.MULTILINE), f"{name} has no numpydoc Parameters"
    assert COST.search(text), f"{name} does not say what it costs"


def frame_methods():
    from hydroscope import Frame

    for name, member in vars(Frame).items():
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, classmethod)):
            yield name


@pytest.mark.parametrize("method", list(frame_methods()))
def test_methods_of_frames_say_what_they_cost(method):
    text = inspect.getdoc(getattr(hydroscope.Frame, method)) or ""
    assert COST.search(text), f"Frame.{method} does not say what it costs"


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if ">>>" in path.read_text(encoding="utf-8")],
    ids=lambda path: module_name(path),
)
def test_examples_in_docstrings_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(module_name(path))
    failed, _tried = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert failed == 0


def pages():
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "path",
    [path for path in pages() if python_blocks(path.read_text(encoding="utf-8"))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_examples_in_pages_run(path, tmp_path, monkeypatch, capsys):
    """The Python blocks of a page are one program; what a `# ->` comment promises is what it prints."""
    monkeypatch.chdir(tmp_path)
    program = "\n".join(python_blocks(path.read_text(encoding="utf-8")))
    script = tmp_path / "page.py"  # a file, because row functions are compiled from their source
    script.write_text(program)
    runpy.run_path(str(script))
    promised = re.findall(r"#\s*->\s*(.+)$", program, re.MULTILINE)
    printed = capsys.readouterr().out
    for line in promised:
        assert line.strip() in printed


def test_links_between_pages_lead_somewhere():
    for path in pages():
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (path.parent / target).exists(), (
                    f"{path.relative_to(ROOT)} links to {target}, which is not there"
                )


def test_every_page_is_in_the_navigation_and_on_the_home_page():
    names = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    navigation = set(re.findall(r"^\s*- [^:\n]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert navigation == names
    home = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([a-z-]+\.md)\)", home)) == names - {"index.md"}


def test_pages_that_the_source_names_are_there():
    for path in modules():
        for name in re.findall(r"\bdocs/([\w-]+\.md)", path.read_text(encoding="utf-8")):
            assert (ROOT / "docs" / name).exists(), f"{path.relative_to(ROOT)} names docs/{name}"


def test_the_figures_of_the_readme_are_those_of_the_runs():
    from benchmarks._figures import put_into, readme_table

    runs = ROOT / "benchmarks" / "RESULTS.md"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme_table(runs.read_text(encoding="utf-8") if runs.exists() else "")
    assert put_into(readme, table) == readme, "README's figures are out of date; run: python -m benchmarks --readme"


def test_generated_pages_are_current():
    from docs.generate import PAGES

    for name, make in PAGES.items():
        page = ROOT / "docs" / name
        assert page.read_text(encoding="utf-8") == make(), f"docs/{name} is out of date; run: python -m docs.generate"


def test_the_example_scripts_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scripts = sorted((ROOT / "examples").glob("*.py"))
    assert scripts
    for script in scripts:
        runpy.run_path(str(script), run_name="__main__")
