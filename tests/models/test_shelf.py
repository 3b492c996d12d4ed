"""Frames and models by name, and what keeps them from being removed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hydroscope as hs
from hydroscope.engine.keys_local import LocalKeys
from hydroscope.engine.latch import Latch
from hydroscope.models import gbm_training, shelf
from hydroscope.node import ports

WAIT_S = 60.0


@pytest.fixture(autouse=True)
def keys() -> Iterator[LocalKeys]:
    store = LocalKeys()
    before = ports.install_keys(store)
    yield store
    ports.install_keys(before)
    shelf._things.clear()


@pytest.fixture
def frame() -> hs.Frame:
    x = np.arange(400.0)
    return hs.Frame({"x": x, "y": x % 7})


def small() -> hs.GBMRegressor:
    return hs.GBMRegressor(n_estimators=2, max_depth=2, random_state=1)


def test_a_frame_is_found_by_its_name(frame: hs.Frame) -> None:
    assert hs.assign(frame, "numbers") is frame
    assert hs.get_frame("numbers") is frame
    assert hs.ls().to_dict() | {"nbytes": None} == {
        "name": ["numbers"],
        "type": ["Frame"],
        "rows": [400],
        "columns": [2],
        "nbytes": None,
        "owner": ["local"],
        "in_use_by": [""],
    }
    hs.remove("numbers")
    assert hs.ls().shape[0] == 0


class OneLost(LocalKeys):
    """A store that has lost a member."""

    def keys(self, prefix: str = "", partial: bool = False) -> list[str]:
        if not partial:
            raise hs.NodeLost("member 2 was lost")
        return super().keys(prefix)


def test_after_the_loss_of_a_member_the_list_says_that_names_may_be_missing(frame: hs.Frame) -> None:
    ports.install_keys(OneLost())  # the fixture puts back what was there
    hs.assign(frame, "numbers")
    with pytest.warns(hs.HydroscopeWarning, match="a member of the cluster was lost.*not listed; assign"):
        assert hs.ls().to_dict()["name"] == ["numbers"]
    with pytest.raises(hs.UnknownNameError, match="did you mean 'numbers'"):
        hs.get_frame("number")


def test_a_model_is_found_by_its_name(frame: hs.Frame) -> None:
    model = hs.assign(small().fit(frame, "y"), "sevens")
    assert hs.get_model("sevens") is model


def test_another_process_gets_a_copy_of_a_model_and_is_told_where_a_frame_is(
    frame: hs.Frame, keys: LocalKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = hs.assign(small().fit(frame, "y"), "sevens")
    hs.assign(frame, "numbers")
    monkeypatch.setattr(shelf, "_things", {})
    monkeypatch.setattr(LocalKeys, "me", "another")
    copy = hs.get_model("sevens")
    assert copy is not model
    np.testing.assert_array_equal(copy.predict(frame).to_numpy(), model.predict(frame).to_numpy())
    with pytest.raises(hs.UserError, match="the rows of frame 'numbers' are in process local"):
        hs.get_frame("numbers")


def test_slips_are_explained(frame: hs.Frame) -> None:
    hs.assign(frame, "numbers")
    with pytest.raises(hs.UnknownNameError, match=r"no frame 'number' in hs\.ls.*did you mean 'numbers'"):
        hs.get_frame("number")
    with pytest.raises(hs.UnknownNameError, match="no frame or model 'number' in"):
        hs.remove("number")
    with pytest.raises(hs.UserError, match=r"'numbers' is a frame, not a model; use hs.get_frame\('numbers'\)"):
        hs.get_model("numbers")
    with pytest.raises(hs.UserError, match="comes second; it is a Frame"):
        hs.assign("d", hs.Frame({"x": [1]}))
    with pytest.raises(hs.UserError, match="a dict cannot be assigned the name 'd'"):
        hs.assign({}, "d")
    with pytest.raises(hs.UserError, match="a key has from 1 to 255"):
        hs.assign(frame, "x" * 255)


def test_what_a_job_trains_on_stays(frame: hs.Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    began, gate = Latch(), Latch()

    def train(*arguments: Any) -> Any:
        began.open()
        gate.wait(WAIT_S)
        return gbm_training.train(*arguments)

    monkeypatch.setattr("hydroscope.models.gbm.train", train)
    hs.assign(frame, "numbers")
    job = small().fit_async(frame, "y")
    assert began.wait(WAIT_S)
    users = rf"in use by job {job.id} \(train GBMRegressor\) of process local"
    with pytest.raises(hs.UserError, match=rf"'numbers' is {users}; wait for it, or cancel it: see hs.jobs\(\)"):
        hs.remove("numbers")
    with pytest.raises(hs.UserError, match=f"cannot be assigned anew.*{users}"):
        hs.assign(frame[["x"]], "numbers")
    assert hs.ls().to_dict()["in_use_by"] == [f"job {job.id} (train GBMRegressor) of process local"]
    gate.open()
    job.result(WAIT_S)
    hs.remove("numbers")


def test_a_failed_job_lets_go(frame: hs.Frame) -> None:
    hs.assign(frame, "numbers")
    with pytest.raises(hs.UserError, match="no column"):
        small().fit(frame, "z")
    hs.remove("numbers")


def test_what_a_lost_process_used_is_free(frame: hs.Frame, keys: LocalKeys) -> None:
    hs.assign(frame, "numbers")
    user = {"owner": "9", "job": 1, "text": "job 1 (train)"}
    assert keys.atomic("shelf/numbers", "hold.take", user, ["9", "local"])
    assert hs.ls().to_dict()["in_use_by"] == [""]
    hs.remove("numbers")
    assert keys.atomic("shelf/numbers", "hold.release", user) is False


def test_after_shutdown_names_are_gone(frame: hs.Frame, keys: LocalKeys) -> None:
    hs.assign(frame, "numbers")
    ports.install_keys(LocalKeys())
    with pytest.raises(hs.UnknownNameError, match=r"no frame 'numbers' in hs\.ls"):
        hs.get_frame("numbers")
    small().fit(frame, "y")
