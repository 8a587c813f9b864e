"""The metrics of the slices that promotion rules may name."""

import numpy as np
import pytest
from made_predictions import make_predictions

from steps.evaluation.slices import NIGHT, slice_metrics, slices

COUNT = 400


def test_each_slice_has_the_metrics_of_its_images():
    rng = np.random.default_rng(0)
    brightness = rng.uniform(0, 120, COUNT)
    predictions = make_predictions(
        COUNT,
        truth=np.array(["a", "b"])[rng.integers(0, 2, COUNT)],
        probabilities=rng.dirichlet((1, 1), COUNT).astype(np.float32),
        brightness=brightness,
    )
    night = brightness < NIGHT
    expected = {
        f"{metric}@{name}": value
        for name, rows in (("day", ~night), ("night", night), ("device=3", night | ~night))
        for metric, value in predictions.subset(rows).metrics().items()
    }
    assert slice_metrics(predictions) == pytest.approx(expected)


def test_a_slice_without_images_is_left_out():
    metrics = slice_metrics(make_predictions(4, brightness=np.full(4, NIGHT + 1.0)))
    assert {name.partition("@")[2] for name in metrics} == {"day", "device=3"}


NO_TIME = np.full(4, np.datetime64("NaT", "us"))
ONE_TIME = np.array(["NaT"] * 3 + ["2026-07-13T05:04"], "datetime64[us]")
NO_DEVICE = np.array([None] * 4, object)
ONE_DEVICE = np.array([None] * 3 + ["3"], object)


@pytest.mark.parametrize(
    ("columns", "shown", "named"),
    [
        ({}, {"device", "day", "hour", "brightness"}, {"day", "device=3"}),
        ({"devices": NO_DEVICE}, {"day", "hour", "brightness"}, {"day"}),
        ({"captured_at": NO_TIME}, {"device"}, {"device=3"}),
        ({"captured_at": NO_TIME, "devices": NO_DEVICE}, set(), set()),
        ({"captured_at": ONE_TIME}, {"device", "day", "hour", "brightness"}, {"day", "device=3"}),
        ({"devices": ONE_DEVICE}, {"device", "day", "hour", "brightness"}, {"day", "device=3"}),
    ],
)
def test_what_is_unknown_of_every_image_makes_no_slice(columns, shown, named):
    predictions = make_predictions(4, **columns)
    assert {one.kind for one in slices(predictions)} == shown
    assert {name.partition("@")[2] for name in slice_metrics(predictions)} == named
