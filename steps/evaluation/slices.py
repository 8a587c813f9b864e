"""The judgement of a network by slice: each camera, hour and brightness for itself."""

from dataclasses import dataclass

import numpy as np

from steps.evaluation.metrics import wilson
from steps.evaluation.predictions import Evaluation

NIGHT, BRIGHT = 40, 110
"""Mean brightness (0–255) below which an image is of the night, and from which it is bright."""


@dataclass(frozen=True)
class Slice:
    """What was reached on some of the held-out images.

    Attributes:
        kind: ``device``, ``hour`` (UTC) or ``brightness``.
        value: which one.
        images: how many.
        accuracy, low, high: with Wilson's 95 % interval, 0–1.
        precision, recall, pr_auc: the means over the labels that are there, 0–1.
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


def slices(judged: Evaluation) -> list[Slice]:
    """Each camera's, each hour's and each brightness' images; those without a value apart."""
    unknown = "unknown"
    hours = judged.captured_at.astype("datetime64[h]")
    values = {
        "device": np.array([device or unknown for device in judged.devices]),
        "hour": np.array([unknown if np.isnat(h) else f"{str(h)[-2:]}:00" for h in hours]),
        "brightness": np.array([brightness_of(light) for light in judged.brightness]),
    }
    return [
        _slice(kind, str(value), judged.only(found == value))
        for kind, found in values.items()
        for value in np.unique(found)
    ]


def brightness_of(mean: float) -> str:
    """``night``, ``dim`` or ``bright`` for a mean brightness of 0–255."""
    return "night" if mean < NIGHT else "dim" if mean < BRIGHT else "bright"


def _slice(kind: str, value: str, judged: Evaluation) -> Slice:
    metrics = judged.metrics()

    def mean(name: str) -> float:
        found = [metrics[key] for label in judged.labels if (key := f"{name}_{label}") in metrics]
        return sum(found) / len(found)

    low, high = wilson(int(judged.right.sum()), len(judged.classes))
    return Slice(
        kind,
        value,
        len(judged.classes),
        metrics["accuracy"],
        low,
        high,
        mean("precision"),
        mean("recall"),
        mean("pr_auc"),
        metrics["calibration_error"],
    )
