"""The metrics of the slices that promotion rules may name."""

import numpy as np
import pytest
from made_predictions import make_predictions

from steps.evaluation.slices import NIGHT, slice_metrics

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
