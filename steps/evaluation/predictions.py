"""The judgement of a network on a part of the cache."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from steps.dataset.batches import pixels_of, row_groups
from steps.dataset.cache import Cache
from steps.evaluation.metrics import metrics_of


@dataclass(frozen=True)
class Evaluation:
    """Probabilities for every image of a part, in the order of the cache.

    Attributes:
        labels: class names in the order of the columns.
        probabilities: ``float32 [N, classes]``.
        classes: ``int32 [N]``: what the images are.
        paths: where the images came from.
        brightness: mean of the prepared pixels, 0–255.
        devices: the camera of each image, or None.
        captured_at: ``datetime64 [N]``, UTC; NaT where it is not known.
        threshold: for two labels: the second is said where its probability reaches it. None:
            the most probable label is said.
    """

    labels: list[str]
    probabilities: np.ndarray
    classes: np.ndarray
    paths: list[str]
    brightness: np.ndarray
    devices: list[str | None]
    captured_at: np.ndarray
    threshold: float | None = None

    @property
    def predicted(self) -> np.ndarray:
        """``int [N]``: the class that is said."""
        if self.threshold is None:
            return self.probabilities.argmax(axis=1)
        return (self.probabilities[:, 1] >= self.threshold).astype(int)

    @property
    def right(self) -> np.ndarray:
        """``bool [N]``: whether what is said is true."""
        return self.predicted == self.classes

    def only(self, chosen: np.ndarray) -> "Evaluation":
        """The judgement of some of the images: ``bool [N]``."""
        numbers = np.flatnonzero(chosen)
        return replace(
            self,
            probabilities=self.probabilities[numbers],
            classes=self.classes[numbers],
            paths=[self.paths[n] for n in numbers],
            brightness=self.brightness[numbers],
            devices=[self.devices[n] for n in numbers],
            captured_at=self.captured_at[numbers],
        )

    def metrics(self) -> dict[str, float]:
        """Those of :func:`steps.evaluation.metrics.metrics_of`."""
        names = np.array(self.labels)
        return metrics_of(
            self.labels, self.probabilities, names[self.classes], names[self.predicted]
        )

    def confusion(self) -> np.ndarray:
        """``int [classes, classes]``: true label by row, said by column."""
        table = np.zeros((len(self.labels),) * 2, int)
        np.add.at(table, (self.classes, self.predicted), 1)
        return table

    def worst(self, count: int) -> list[int]:
        """Indices of the wrong images whose true label was given the least, worst first."""
        wrong = np.flatnonzero(~self.right)
        given = self.probabilities[wrong, self.classes[wrong]]
        return wrong[np.argsort(given, kind="stable")][:count].tolist()


def evaluate(
    predict: Callable[[np.ndarray], np.ndarray],
    cache: Cache,
    part: str,
    threshold: float | None = None,
) -> Evaluation:
    """Let a network judge every image of a part.

    Args:
        predict: ``uint8 [N, H, W, 3]`` to probabilities ``[N, classes]``.
        cache: the prepared images.
        part: ``train``, ``validation`` or ``test``.
        threshold: as :class:`Evaluation` has it.
    """
    columns = ["pixels", "label", "path", "device_id", "captured_at"]
    probabilities, classes, paths, brightness, devices, moments = [], [], [], [], [], []
    for group in row_groups(cache, part, columns):
        pixels = pixels_of(group.pixels, cache)
        probabilities.append(predict(pixels))
        classes.append(group.label)
        paths += group.path.tolist()
        brightness.append(pixels.mean(axis=(1, 2, 3)))
        devices += group.device_id.tolist()
        moments.append(group.captured_at.astype("datetime64[ns]"))
    return Evaluation(
        cache.labels,
        np.concatenate(probabilities),
        np.concatenate(classes),
        paths,
        np.concatenate(brightness),
        devices,
        np.concatenate(moments),
        threshold,
    )


def images_of(cache: Cache, part: str, paths: list[str]) -> dict[str, np.ndarray]:
    """The prepared pixels ``uint8 [H, W, 3]`` of some of a part's images, by path."""
    found: dict[str, np.ndarray] = {}
    for group in row_groups(cache, part, ["pixels", "path"]):
        for path, pixels in zip(group.path, pixels_of(group.pixels, cache), strict=True):
            if path in paths:
                found[path] = pixels
    return found


def keras_predict(model) -> Callable[[np.ndarray], np.ndarray]:
    """A Keras model as :func:`evaluate` calls it."""
    return lambda pixels: np.asarray(model(pixels, training=False))
