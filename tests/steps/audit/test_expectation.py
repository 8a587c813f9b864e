"""What is expected of a network, in numbers and in words."""

import numpy as np
import pandas as pd
import pytest
from made_images import make_images
from made_predictions import make_predictions

from steps.audit.expectation import Expectation, expect, group_below_chance

DAY = np.timedelta64(24 * 60, "m")


def _predictions(right: np.ndarray, days: int, **columns):
    """Predictions of images labelled ``a``: as many each day, in as many hours."""
    probabilities = np.where(right[:, None], [[0.9, 0.1]], [[0.1, 0.9]])
    per_day = len(right) // days
    minutes = np.arange(len(right)) % per_day * (24 * 60 // per_day)
    times = np.datetime64("2026-07-13T00:00") + np.arange(len(right)) // per_day * DAY
    times = times + minutes.astype("timedelta64[m]")
    return make_predictions(
        len(right), **{"probabilities": probabilities, "captured_at": times} | columns
    )


@pytest.mark.parametrize(
    ("days", "single", "sentence"),
    [
        (5, None, "images from an unseen day of this camera"),
        (
            5,
            "label 0",
            "images from an unseen day of this camera; unknown for unseen light, because all "
            "images with label label 0 are from one day",
        ),
        (
            2,
            None,
            "images from other hours of the same days; unknown for another day, because all images "
            "are from 2 days",
        ),
        (
            1,
            None,
            "images from other hours of the same days; unknown for another day, because all images "
            "are from one day",
        ),
    ],
)
def test_the_sentence_says_what_is_unknown(days, single, sentence):
    images = make_images(0, days=days, devices=1)
    if single:
        images.loc[images["label"] == single, "day"] = "2026-07-13"
    right = np.arange(100 * days) % 10 > 0
    found = str(expect(_predictions(right, days), images))
    assert found.startswith("expected to be right on 90 % (") and found.endswith(sentence)


def test_images_without_times_are_expected_to_be_like_the_test_set():
    images = make_images(0).assign(day=None, device=None)
    untimed = np.full(200, np.datetime64("NaT"), "datetime64[us]")
    test = _predictions(np.arange(200) % 10 > 0, 1, captured_at=untimed)
    assert str(expect(test, images)) == (
        "expected to be right on 90 % (85–93) of images like those of the test set; unknown for "
        "other days and cameras, because no image has a capture time"
    )


def test_a_day_that_a_few_images_tell_is_not_that_of_the_others():
    """Photos, of which a few have EXIF."""
    images = make_images(0).assign(device=None)
    images.loc[4:, "day"] = None
    times = np.full(200, np.datetime64("NaT"), "datetime64[us]")
    times[:3] = np.datetime64(f"{images['day'][0]}T12:00")
    found = expect(_predictions(np.arange(200) % 10 > 0, 1, captured_at=times), images)
    assert found.images == "images like those of the test set"
    assert found.unknown == "other days and cameras, because few images have a capture time"


def test_a_test_set_of_its_own_days_is_not_of_the_same_days():
    images = make_images(0, days=3, devices=1)
    days = pd.Series(images["day"].unique())
    own = images.assign(split=np.where(images["day"] == days[0], "test", "train"))
    found = expect(_predictions(np.arange(100) % 10 > 0, 1), own)
    assert found.images == "images like those of the test set"
    assert found.unknown == "another day, because all images are from 3 days"


def test_nothing_is_unknown_of_several_cameras_by_many_days():
    found = expect(_predictions(np.arange(600) % 10 > 0, 6), make_images(0, days=6, devices=2))
    assert found.images.endswith("of these 2 cameras") and found.unknown == ""


@pytest.mark.parametrize(
    ("wrong_hours", "found"),
    [
        (0, ""),
        (2, ""),
        (6, "it is right on 0% of the 60 images of device 7"),
    ],
)
def test_a_device_that_guessing_would_predict_better(wrong_hours, found):
    hours = np.datetime64("2026-07-13T00:00") + np.repeat(np.arange(20), 10).astype(
        "timedelta64[h]"
    )
    wrong = np.repeat(np.arange(20), 10) < wrong_hours
    devices = np.where(wrong, "7", "3").astype(object)
    test = _predictions(~wrong, 1, captured_at=hours, devices=devices)
    assert group_below_chance(test, {}) == found


def test_a_label_that_is_recognized_nowhere_is_not_below_chance_in_one_group():
    truth = np.repeat(["b", "a", "b"], [60, 100, 40])
    hours = np.datetime64("2026-07-13T00:00") + np.arange(200) // 10 * np.timedelta64(1, "h")
    devices = np.repeat(["7", "3"], [60, 140]).astype(object)
    always_a = _predictions(np.ones(200, bool), 1, truth=truth, captured_at=hours, devices=devices)
    assert group_below_chance(always_a, {}) == ""


def test_an_expectation_reads_as_percent():
    assert str(Expectation(0.943, 0.881, 0.97, "images", "")) == (
        "expected to be right on 94 % (88–97) of images"
    )
    assert pd.isna(make_images(0).assign(day=None)["day"]).all()
