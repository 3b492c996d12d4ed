"""The page is one file that needs nothing else; and a comparison finds where two runs part."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from hydroscope.ground.record.layout import Kind
from hydroscope.scope.events import Node
from hydroscope.scope.runs import node_pairs
from hydroscope.scope.timeline import Timeline
from hydroscope.scope.viewer.pack import pack
from hydroscope.scope.viewer.page import joined, write_html
from tests.scope.histories import Plan, simulate, take
from tests.scope.test_compare import in_touch
from tests.viewer.histories import changed, everything
from tests.viewer.node import check

PAGE = files("hydroscope.scope.viewer").joinpath("page")
MODULES = sorted(each.name for each in PAGE.iterdir() if each.name.endswith(".js"))
TOP = re.compile(r"^(?:export )?(?:async )?(?:class|const|let|function) (\w+)", re.MULTILINE)
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";$', re.MULTILINE)
WIDEST = 124


def source(name):
    return PAGE.joinpath(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_small_and_can_be_joined(name):
    text = source(name)
    assert text.startswith("/**\n * ")
    assert len(text.splitlines()) <= 500
    assert max(map(len, text.splitlines())) <= WIDEST
    assert len(IMPORT.findall(text)) == len(re.findall(r"^\s*import\b", text, re.MULTILINE))
    assert "export default" not in text
    assert " as " not in "".join(names for names, _ in IMPORT.findall(text))
    for names, module in IMPORT.findall(text):
        exported = set(
            re.findall(r"^export (?:async )?(?:class|const|let|function) (\w+)", source(module), re.MULTILINE)
        )
        assert {each.strip() for each in names.split(",") if each.strip()} <= exported


def test_joined_modules_are_one_that_is_right(tmp_path):
    text = joined()
    names = [name for module in MODULES for name in TOP.findall(source(module))]
    assert len(names) == len(set(names)), sorted(name for name in set(names) if names.count(name) > 1)
    assert check(text, tmp_path) == ""
    assert not re.search(r"^\s*(import|export)\b", text, re.MULTILINE)
    order = re.findall(r"^// ([\w-]+\.js)$", text, re.MULTILINE)
    assert sorted(order) == MODULES
    for name in MODULES:
        for _, needed in IMPORT.findall(source(name)):
            assert order.index(needed) < order.index(name)


def test_the_page_needs_nothing_else_and_what_was_recorded_cannot_break_it(tmp_path):
    timeline = everything()
    path = write_html(timeline, tmp_path / "x.html", title="</title><b>", other=timeline)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=|@import|url\(|https?://""", text)
    assert text.count("<script") == text.count("</script>") == 3
    assert "</title><b>" not in text
    assert "&lt;/title&gt;" in text
    assert not re.search(r"\{\{\w+\}\}", text)


def test_a_browser_runs_the_page_s_own_script_and_nothing_else(tmp_path):
    text = write_html(everything(n_records=100), tmp_path / "x.html").read_text(encoding="utf-8")
    (script,) = re.findall(r'<script type="module">(.*)</script>', text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    assert policy.split("; ") == ["default-src 'none'", f"script-src 'sha256-{digest}'", "style-src 'unsafe-inline'"]
    assert text.index(policy) < text.index("<script")


def test_dark_is_the_same_whether_the_system_or_the_reader_asks_for_it():
    text = source("style.css")
    system, asked = re.findall(r"color-scheme: dark;([^}]*)\}", text)
    assert re.findall(r"--\w+: [^;]+", system) == re.findall(r"--\w+: [^;]+", asked) != []


def test_no_module_makes_markup_of_text():
    for name in MODULES:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", source(name)
        )


def test_timelines_are_written_as_pages_by_their_suffix(tmp_path):
    timeline = everything(n_records=300)
    timeline.write(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("same_ids", [True, False])
def test_the_first_divergence_is_where_the_other_run_was_changed(player, same_ids):
    history = simulate(Plan(n_nodes=3, n_records=1200, offset_s=0.1), 4)
    events = history.events
    rank = Timeline(events).order.rank
    puts = np.flatnonzero(events.kind == Kind.STARTED)
    row = int(puts[np.argsort(rank[puts])][puts.size // 2])
    other = changed(events, row, kind=Kind.FAILED)
    if not same_ids:
        other = changed(other, slice(None), id=other.id + np.uint64(10**9))
    one, two = Timeline(events), Timeline(other)
    boxes = [pack(one), pack(two)]
    (same,), (found,) = (player.answers(each, ["divergence"]) for each in ([boxes[0], boxes[0]], boxes))
    assert same is None
    assert row in (found["here"], found["there"])
    if same_ids:
        told = player.answers([boxes[0], pack(two, comparison=one.compare(two))], ["comparison"])[0]
        assert row in (told["here"], told["there"])


def test_nodes_of_another_run_are_the_same_as_for_compare(player):
    def packed(names):
        history = simulate(Plan(n_nodes=3, n_records=600), 4)
        nodes = tuple(Node(name, pid) for name, pid in names)
        return Timeline(replace(history.events, nodes=nodes))

    one = packed([("authority-10", 10), ("member-11", 11), ("member-3.1f2e3a", 0)])
    two = packed([("authority-20", 20), ("member-11", 11), ("member-3.77aa00", 0)])
    three = packed([("member-30", 30), ("member-31", 31), ("authority-11", 11)])
    for here, there in ((one, two), (one, three), (three, one), (two, three)):
        known = {other: name for name, other in node_pairs(here.events, there.events).items()}
        expected = [known.get(node.name, node.name) for node in there.events.nodes]
        assert player.answers([pack(here), pack(there)], ["called"]) == [expected]
    assert player.answers([pack(one), pack(two)], ["divergence"]) == [None]


def test_what_members_say_to_keep_in_touch_is_no_divergence(player):
    runs = in_touch(simulate(Plan(n_nodes=3, n_records=1200), 4).events)
    assert player.answers([pack(Timeline(each)) for each in runs], ["divergence"]) == [None]


def test_a_longer_recording_of_the_same_run_is_no_divergence(player):
    history = simulate(Plan(n_nodes=3, n_records=1200), 4)
    late = take(replace(history), history.true_ns > np.quantile(history.true_ns, 0.3))
    boxes = [pack(Timeline(history.events)), pack(Timeline(late.events))]
    assert player.answers(boxes, ["divergence"]) == [None]
