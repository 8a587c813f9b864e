"""What a model predicts for every image of a split."""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.inference.prediction import decide
from steps.dataset.cache import Cache
from steps.dataset.cache_reader import read_row_groups
from steps.evaluation.metrics import metrics_of

if TYPE_CHECKING:
    import keras


Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""``uint8 [N, H, W, 3]`` to probabilities ``[N, classes]``."""

BATCH = 8
BATCHES_AT_ONCE = min(4, os.cpu_count() or 1)

COLUMNS = ["pixels", "label", "path", "sha256", "device_id", "captured_at"]


@dataclass(frozen=True)
class Predictions:
    """The predictions of a model for the images of a split, ordered by the images' SHA-256.

    Attributes:
        labels: the model's class names, in the order of its probabilities.
        probabilities: ``float32 [N, classes]``.
        truth: the true label of each image, ``str [N]``; it may be none of the model's.
        sha256, paths: which images, ``str [N]``.
        devices: the camera of each image, or None.
        captured_at: ``datetime64 [N]``, UTC; NaT if it is not known.
        brightness: mean of the prepared pixels, 0–255.
        threshold: the probability from which one label is predicted. None: the most probable label
            is predicted.
        threshold_label: that label; None: the second of two.
    """

    labels: list[str]
    probabilities: NDArray[np.float32]
    truth: NDArray[np.str_]
    sha256: NDArray[np.str_]
    paths: NDArray[np.str_]
    devices: NDArray[np.object_]
    captured_at: NDArray[np.datetime64]
    brightness: NDArray[np.floating[Any]]
    threshold: float | None = None
    threshold_label: str | None = None

    @property
    def decided(self) -> NDArray[np.integer[Any]]:
        """The predicted class of each image, ``int [N]``."""
        return decide(self.probabilities, self.labels, self.threshold, self.threshold_label)

    @property
    def predicted(self) -> NDArray[np.str_]:
        """The predicted label of each image, ``str [N]``."""
        return np.array(self.labels).take(self.decided)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether that is the true label, ``bool [N]``."""
        return np.equal(self.predicted, self.truth)

    @property
    def blocks(self) -> NDArray[np.str_]:
        """The block of each image by :func:`blocks_of`, ``str [N]``."""
        return blocks_of(self.captured_at, self.devices, self.sha256)

    @property
    def has_times(self) -> bool:
        """Whether it is known of any image when it was taken."""
        return not np.isnat(self.captured_at).all()

    def __len__(self) -> int:
        return len(self.truth)

    def subset(self, chosen: NDArray[np.bool_]) -> "Predictions":
        """Return the predictions for some of the images: ``bool [N]``."""
        names = {field.name for field in fields(self)} - {"labels", "threshold", "threshold_label"}
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})

    def metrics(self) -> dict[str, float]:
        """Return those of :func:`steps.evaluation.metrics.metrics_of`."""
        return metrics_of(self.labels, self.probabilities, self.truth, self.predicted)

    def confusion(self) -> NDArray[np.int_]:
        """Return ``int [classes, classes]``: true label by row, predicted label by column."""
        labels = np.array(self.labels)[:, None]
        true, predicted = (labels == self.truth).astype(int), (labels == self.predicted).astype(int)
        return np.asarray(true @ predicted.T)

    def worst(self, count: int) -> list[int]:
        """Return the indices of the wrong images with the least probable true label, worst first.

        The true labels have to be labels of the model.
        """
        wrong = np.flatnonzero(~self.correct)
        columns = [self.labels.index(label) for label in self.truth[wrong]]
        of_truth = self.probabilities[wrong, columns]
        return [int(index) for index in wrong[np.argsort(of_truth, kind="stable")][:count]]


def blocks_of(
    captured_at: NDArray[np.datetime64], devices: Iterable[Any], sha256: Iterable[Any]
) -> NDArray[np.str_]:
    """Return the block of each predicted image, its hour and device, within which they are alike.

    An image without a capture time has a block of its own.
    """
    hours = captured_at.astype("datetime64[h]")
    columns = zip(hours, devices, sha256, strict=True)
    return np.array([str(own) if np.isnat(h) else f"{h} {device}" for h, device, own in columns])


def predict_split(
    models: Mapping[str, Predict],
    cache: Cache,
    split: str,
    labels: list[str] | None = None,
    threshold: float | None = None,
    threshold_label: str | None = None,
) -> dict[str, Predictions]:
    """Predict every image of a split by each of some models, reading the split once.

    Args:
        models: by name.
        cache: the images, prepared at the models' size.
        split: ``train``, ``validation`` or ``test``.
        labels: the models' class names; None: the cache's.
        threshold, threshold_label: as :class:`Predictions` has them.
    """
    columns: list[tuple[Any, ...]] = []
    for group in read_row_groups(cache, split, COLUMNS):
        pixels = cache.stack(group.pixels)
        columns.append(
            (
                np.array(cache.labels)[group.label],
                group.sha256,
                group.path,
                group.device_id,
                group.captured_at.astype("datetime64[us]"),
                pixels.mean(axis=(1, 2, 3)),
                *(predict_in_batches(predict, pixels) for predict in models.values()),
            )
        )
    values = [np.concatenate(column) for column in zip(*columns, strict=True)]
    order = np.argsort(values[1], kind="stable")
    values = [value[order] for value in values]
    names = ("truth", "sha256", "paths", "devices", "captured_at", "brightness")
    shared: dict[str, Any] = dict(zip(names, values[:6], strict=True))
    shared |= {"labels": labels or cache.labels, "threshold": threshold}
    shared |= {"threshold_label": threshold_label}
    by_model = zip(models, values[6:], strict=True)
    return {name: Predictions(probabilities=found, **shared) for name, found in by_model}


def predict_in_batches(predict: Predict, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Predict a row group in parts: the layers of a deep network take tens of MB an image."""
    parts = (pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH))
    with ThreadPoolExecutor(BATCHES_AT_ONCE) as threads:
        return np.concatenate(list(threads.map(predict, parts)))


def predict_by_keras(
    model: "keras.Model",
    cache: Cache,
    split: str,
    labels: list[str] | None = None,
    threshold: float | None = None,
    threshold_label: str | None = None,
) -> Predictions:
    """Predict every image of a split by a Keras model, as :func:`predict_split` does."""
    models = {"keras": keras_predict(model)}
    return predict_split(models, cache, split, labels, threshold, threshold_label)["keras"]


def keras_predict(model: "keras.Model") -> Predict:
    """Return a Keras model as a function of pixels, in inference mode.

    It is compiled to a graph: a deep network's layers one by one take ten times as long.
    """
    import tensorflow as tf

    pixels = tf.TensorSpec(model.inputs[0].shape, tf.uint8)
    graph = tf.function(partial(model, training=False), [pixels], autograph=False)
    return lambda pixels: np.asarray(graph(pixels))
