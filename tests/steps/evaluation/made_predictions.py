"""Predictions made by hand, of images half an hour apart."""

from typing import Any

import numpy as np

from steps.evaluation.predictions import Predictions

HALF_HOUR = np.timedelta64(30, "m")


def make_predictions(count: int, **columns: Any) -> Predictions:
    """Images of one camera, labelled and predicted ``a``, unless ``columns`` say otherwise."""
    return Predictions(
        **{
            "labels": ["a", "b"],
            "probabilities": np.tile(np.array([0.9, 0.1], np.float32), (count, 1)),
            "truth": np.array(["a"] * count),
            "sha256": np.array([f"{number:064x}" for number in range(count)]),
            "paths": np.array([f"file:/landing/{number}.jpg" for number in range(count)]),
            "devices": np.array(["3"] * count, dtype=object),
            "captured_at": np.datetime64("2026-07-13T00:00:01") + np.arange(count) * HALF_HOUR,
            "brightness": np.full(count, 90.0),
        }
        | columns
    )
