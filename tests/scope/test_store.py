"""A timeline that was saved reads back as it was; damage is told, and nothing else is read from it."""

from __future__ import annotations

import random
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.ground.record import recorder
from hydroscope.scope import store
from hydroscope.scope.decoding import Decoded
from hydroscope.scope.events import COLUMNS, Events, Missing, Node
from hydroscope.scope.reading import WRITERS, writer_of
from hydroscope.scope.rules import parse, written
from hydroscope.scope.timeline import Timeline
from hydroscope.window.changes import Changes
from tests.scope.anything import any_events
from tests.scope.histories import Plan, simulate

RULES = 'ack(t) = sent "A\\"C\\\\K\\x00ö" at 3\nack(t) = sent "B" by data[1:5]\nstarted(t) < ended(t) ~> ack(t)'


def assert_same(a, b):
    assert a.events.nodes == b.events.nodes
    assert a.events.names == b.events.names
    for name in (*COLUMNS, "starts"):
        assert getattr(a.events, name).tobytes() == getattr(b.events, name).tobytes()
    assert a.rules == b.rules
    assert a.missing == b.missing
    assert len(a.labels) == len(b.labels)
    for k in range(len(a)):
        assert a.labels[k] == b.labels[k]
        assert a.text(k) == b.text(k)
    assert a.labels.complaints == b.labels.complaints


@pytest.mark.parametrize("seed", range(6))
def test_what_was_saved_reads_back(tmp_path, seed):
    missing = (Missing("n9", "it was gone"),)
    events = any_events(seed, n=seed * 50)
    odd = replace(events.nodes[0], n_torn=3, damage=("a name is damaged",), recorded_as="n1", closed_at_ns=7)
    events = replace(events, nodes=(odd, *events.nodes[1:]))
    timeline = Timeline(events, rules=RULES, missing=missing)
    timeline.save(tmp_path / "a.timeline")
    found = hs.read_timeline(tmp_path / "a.timeline")
    assert_same(timeline, found)
    found.save(tmp_path / "b.timeline")
    assert (tmp_path / "a.timeline").read_bytes() == (tmp_path / "b.timeline").read_bytes()


def test_changes_of_states_are_kept(tmp_path):
    texts = {"node": ["a", "b", "a"], "key": ["k", "k", "\ud800"], "old": [None, "1", "2"], "new": ["1", "2", None]}
    columns = [np.array(each, object) for each in texts.values()]
    timeline = Timeline(any_events(0), changes=Changes(np.array([5, 6, 2**63], np.uint64), *columns))
    timeline.save(tmp_path / "a.timeline")
    found = hs.read_timeline(tmp_path / "a.timeline").changes
    assert found.stamp.tolist() == [5, 6, 2**63]
    texts["key"][2] = "?"
    assert {name: getattr(found, name).tolist() for name in texts} == texts


def test_order_and_findings_are_the_same_again(tmp_path):
    timeline = Timeline(simulate(Plan(n_records=2000, loss=0.1), 3).events, rules="started(t) < ended(t)")
    timeline.save(tmp_path / "a.timeline")
    found = hs.read_timeline(tmp_path / "a.timeline")
    assert np.array_equal(timeline.order.rank, found.order.rank)
    assert np.array_equal(timeline.order.time_ns, found.order.time_ns)
    assert timeline.findings == found.findings


def test_what_foreign_decoders_said_is_kept_and_can_be_decoded_anew(tmp_path):
    def fails(_):
        raise ValueError("not \ud800")

    timeline = Timeline(
        any_events(1), decoders=[fails, lambda data: Decoded("odd \ud800", {}, f"so {data[:2]!r}\udc00")]
    )
    timeline.save(tmp_path / "a.timeline")
    found = hs.read_timeline(tmp_path / "a.timeline")
    assert "odd ?" in found.labels.names
    assert {text.endswith("?") for text in found.labels.texts[0] if text.startswith("so b")} == {True}
    again = hs.read_timeline(tmp_path / "a.timeline", decoders=[lambda data: Decoded("new", {}, "new")])
    assert "new" in again.labels.names
    ruled = hs.read_timeline(tmp_path / "a.timeline", rules="started(t) < ended(t)")
    assert [str(rule) for rule in ruled.rules] == ["started < ended"]


def test_rules_as_text_are_the_same_rules():
    rules = parse(RULES)
    assert len(rules) == 2
    assert parse(written(rules)) == rules


def test_damage_is_told_and_nothing_else_is_read(tmp_path):
    timeline = Timeline(any_events(3, n=100), rules=RULES)
    path = tmp_path / "a.timeline"
    timeline.save(path)
    whole = path.read_bytes()
    rng = random.Random(7)
    damaged = [whole[: rng.randrange(len(whole))] for _ in range(30)]
    for _ in range(120):
        at = rng.randrange(len(whole))
        damaged.append(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
    n_told = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            found = hs.read_timeline(path)
        except hs.DataError as error:
            n_told += "a.timeline" in str(error)
        else:
            assert_same(timeline, found)
    assert n_told > 0.9 * len(damaged)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "a timeline of version 2; this hydroscope reads version 1"),
        ({"names": []}, "the first name is not empty|is a number of nothing"),
        ({"nodes": []}, "node is a number of nothing"),
        ({"rules": "a <"}, "line 1 of the rules"),
        ({"version": "one"}, "damaged: Expected `int`"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, change, said):
    import json

    Timeline(any_events(3)).save(tmp_path / "a.timeline")
    with zipfile.ZipFile(tmp_path / "a.timeline") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[store.ABOUT] = json.dumps(json.loads(parts[store.ABOUT]) | change).encode()
    with zipfile.ZipFile(tmp_path / "b.timeline", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(hs.DataError, match=said):
        hs.read_timeline(tmp_path / "b.timeline")


def test_a_file_that_is_there_is_not_written_over(tmp_path):
    timeline = Timeline(any_events(0))
    timeline.save(tmp_path / "a.timeline")
    with pytest.raises(hs.UserError, match="exists already"):
        timeline.save(tmp_path / "a.timeline")
    timeline.write(tmp_path / "a.timeline", overwrite=True)


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_every_format_is_written_beside_its_place(tmp_path, suffix, monkeypatch):
    timeline = Timeline(simulate(Plan(n_records=200), 1).events)
    path = tmp_path / f"a{suffix}"
    timeline.write(path)
    first = path.read_bytes()
    assert first
    with pytest.raises(hs.UserError, match="exists already"):
        timeline.write(path)
    monkeypatch.setattr(type(timeline.labels), "texts", property(lambda _: 1 / 0))
    monkeypatch.setattr(type(timeline), "order", property(lambda _: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        timeline.write(path, overwrite=True)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


def test_rings_are_read_one_by_one_or_by_the_folder(tmp_path):
    folder = tmp_path / "rings"
    for name in ("a", "b"):
        rec = recorder.Recorder(name, seconds=0.1, folder=folder)
        rec.note(f"this is {name}")
        rec.close()
    whole = hs.read_timeline(folder)
    assert sorted(node.name for node in whole.events.nodes) == ["a", "b"]
    one = hs.read_timeline(sorted(folder.iterdir())[:1], rules="started(t) < ended(t)")
    assert len(one.events.nodes) == len(one.rules) == 1
    assert {text for text in whole.labels.names if text.startswith("this")} == {"this is a", "this is b"}


def test_what_cannot_be_read_says_why(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").write_bytes(b"\0\1\2\3")
    timeline = Timeline(Events.sorted([Node("a")], [], {name: [] for name in COLUMNS}))
    timeline.save(tmp_path / "a.timeline")
    rec = recorder.Recorder("a", seconds=0.1, folder=tmp_path / "rings")
    rec.close()
    for what, said in (
        ([], "nothing to read"),
        (tmp_path / "none", "cannot be read: No such file"),
        (tmp_path / "empty", "no rings of recorders in the folder"),
        (tmp_path / "odd", r"begins with b'\\x00\\x01\\x02\\x03', which no known format does; known are: timeline"),
        ([tmp_path / "a.timeline"] * 2, "2 timelines cannot be one"),
        ([tmp_path / "a.timeline", rec.path], "files of several formats"),
    ):
        with pytest.raises(hs.UserError, match=said):
            hs.read_timeline(what)


def test_options_that_a_format_does_not_take_are_refused(tmp_path):
    timeline = Timeline(any_events(0))
    timeline.save(tmp_path / "a.timeline")
    for call, said in (
        (
            lambda: timeline.write(tmp_path / "b.timeline", limit=5),
            r"writer of .timeline takes no option 'limit'; .* none",
        ),
        (
            lambda: timeline.write(tmp_path / "b.html", nodes=["a"]),
            r"writer of .html takes no option 'nodes'; .* title",
        ),
        (lambda: timeline.write(tmp_path / "b.json", dissector=True), r"no option 'dissector'; it takes limit, around"),
        (
            lambda: hs.read_timeline(tmp_path / "a.timeline", names=["x"]),
            r"of timeline takes no option 'names'; .* rules",
        ),
    ):
        with pytest.raises(hs.UserError, match=said):
            call()
    timeline.write(tmp_path / "b.json", limit=5, nodes=[timeline.events.nodes[0].name])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.timeline", "b.json"]


def test_every_suffix_has_its_writer_and_others_are_refused():
    assert writer_of("x.timeline") is store.write
    with pytest.raises(hs.UserError, match=r"no format '.txt'"):
        writer_of("x.txt")
