"""Bad input of every kind: exit code 2, one line that names what is wrong, and nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest

import hydroscope as hs
from tests.bad_input.cases import CASES, good_rows
from tests.bad_input.scene import Scene, full_disk


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return Scene(tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="module")
def loaded(scene):
    """A frame that was there before anything went wrong, and what it holds."""
    frame = hs.read_csv(scene.folder / "good.csv")
    return frame, frame.to_dict()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.name}")
def test_what_is_said(case, scene, loaded):
    before = {path: path.read_bytes() for path in scene.folder.glob("*.*") if path.is_file()}
    if case.file is not None:
        before[scene.folder / case.file[0]] = case.file[1]
    code, said = scene.play(case)
    assert code == 2, said
    assert said.startswith("error: "), said
    assert "\n" not in said
    for words in case.said:
        assert words in said
    after = {path: path.read_bytes() for path in scene.folder.glob("*.*") if path.is_file()}
    assert after == before  # nothing overwritten, no half-written file left behind
    frame, held = loaded
    assert frame.to_dict() == held
    assert float(frame["age"].mean()) == pytest.approx(np.mean(held["age"]), abs=1e-12)


def test_a_failed_call_loses_no_loaded_data(scene, tmp_path):
    frame = hs.read_csv(scene.folder / "many.csv")
    expected = frame.to_dict()
    model = hs.load_model(scene.folder / "late.hs")
    failures = [
        lambda: frame["agee"],
        lambda: frame[["id", "agee"]],
        lambda: hs.GBMClassifier(max_depth=-1).fit(frame, "late"),
        lambda: hs.GBMClassifier().fit(frame, "lat"),
        lambda: model.predict(frame[["id"]]),
        lambda: hs.read_csv(scene.folder / "nothing.csv"),
        lambda: frame.write_csv(scene.folder / "good.csv"),
    ]
    for fail in failures:
        with pytest.raises((hs.HydroscopeError, OSError)):
            fail()
    disk = tmp_path / "full"
    disk.mkdir()
    for write in (frame.write_csv, frame.write_parquet):
        with full_disk(disk), pytest.raises((hs.HydroscopeError, OSError)):
            write(disk / "out.file")
    kept = frame.to_dict()
    assert list(kept) == list(expected)
    for name in kept:
        np.testing.assert_array_equal(np.asarray(kept[name]), np.asarray(expected[name]))
    assert frame.shape == (60_000, 4)
    assert good_rows(60_000).count("\n") == 60_001
