"""Predictions by slice: each camera, hour and brightness on its own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steps.evaluation.intervals import wilson
from steps.evaluation.metric_names import label_metric, metric_name
from steps.evaluation.predictions import Predictions

NIGHT, BRIGHT = 40, 110
"""Mean brightness (0–255) below which an image is dark, and from which it is bright."""


@dataclass(frozen=True)
class Slice:
    """The metrics of some of a split's images.

    Attributes:
        kind: ``device``, ``day`` or ``hour`` (UTC), or ``brightness``.
        value: which one.
        images: number of images.
        accuracy, low, high: with Wilson's 95 % interval, 0–1.
        precision, recall, pr_auc: the means over the labels that the images have, 0–1.
        calibration_error: 0–1.
    """

    kind: str
    value: str
    images: int
    accuracy: float
    low: float
    high: float
    precision: float
    recall: float
    pr_auc: float
    calibration_error: float


def slices(predictions: Predictions) -> list[Slice]:
    """Return a slice for each camera, day, hour and brightness; unknown values are slices too."""
    return [
        _slice(kind, str(value), predictions.subset(found == value))
        for kind, found in slice_values(predictions).items()
        for value in np.unique(found)
    ]


def slice_values(predictions: Predictions) -> dict[str, NDArray[np.str_]]:
    """Return by kind the slice that each image is in, ``str [N]``.

    A kind that is unknown for every image is left out. Brightness stands for day and night, so it
    is left out with the hour.
    """
    unknown = "unknown"
    values = {}
    if any(predictions.devices):
        values["device"] = np.array([device or unknown for device in predictions.devices])
    if predictions.has_times:
        hours = [str(hour) for hour in predictions.captured_at.astype("datetime64[h]")]
        values["day"] = np.array([unknown if h == "NaT" else h[:10] for h in hours])
        values["hour"] = np.array([unknown if h == "NaT" else f"{h[-2:]}:00" for h in hours])
        dark = [predictions.brightness < NIGHT, predictions.brightness < BRIGHT]
        values["brightness"] = np.select(dark, ["night", "dim"], "bright")
    return values


def slice_metrics(predictions: Predictions) -> dict[str, float]:
    """Return each metric of each slice that has images, as ``<metric>@<slice>``.

    The slices are those that promotion rules may name: ``day`` and ``night`` by brightness, if
    any image has a time, and ``device=<ID>``.
    """
    night = predictions.brightness < NIGHT
    slices = {"day": ~night, "night": night} if predictions.has_times else {}
    devices = {device for device in predictions.devices if device}
    slices |= {f"device={metric_name(one)}": predictions.devices == one for one in devices}
    return {
        f"{metric}@{name}": value
        for name, rows in slices.items()
        if rows.any()
        for metric, value in predictions.subset(rows).metrics().items()
    }


def _slice(kind: str, value: str, predictions: Predictions) -> Slice:
    metrics = predictions.metrics()

    def mean(name: str) -> float:
        keys = [label_metric(name, label) for label in predictions.labels]
        found = [metrics[key] for key in keys if key in metrics]
        return sum(found) / len(found)

    count, accuracy = len(predictions), metrics["accuracy"]
    low, high = wilson(int(predictions.correct.sum()), count)
    precision, recall, pr_auc = map(mean, ("precision", "recall", "pr_auc"))
    error = metrics["calibration_error"]
    return Slice(kind, value, count, accuracy, low, high, precision, recall, pr_auc, error)
