"""The judgement of a network on a part of the cache."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from steps.training.batches import pixels_of, row_groups
from steps.training.cache import Cache


@dataclass(frozen=True)
class Evaluation:
    """Probabilities for every picture of a part, in the order of the cache.

    Attributes:
        labels: class names in the order of the columns.
        probabilities: ``float32 [N, classes]``.
        classes: ``int32 [N]``: what the pictures are.
        paths: where the pictures came from.
        brightness: mean of the prepared pixels, 0–255.
    """

    labels: list[str]
    probabilities: np.ndarray
    classes: np.ndarray
    paths: list[str]
    brightness: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """``int [N]``: the most probable class."""
        return self.probabilities.argmax(axis=1)

    def metrics(self) -> dict[str, float]:
        """Accuracy, log loss, and recall and precision of each label, 0–1 but for the loss."""
        right = self.predicted == self.classes
        true_probability = self.probabilities[np.arange(len(self.classes)), self.classes]
        metrics = {
            "accuracy": float(right.mean()),
            "log_loss": float(-np.log(np.clip(true_probability, 1e-7, 1)).mean()),
        }
        for index, label in enumerate(self.labels):
            metrics[f"recall_{label}"] = float(right[self.classes == index].mean())
            said = self.predicted == index
            metrics[f"precision_{label}"] = float(right[said].mean()) if said.any() else 0.0
        return metrics

    def confusion(self) -> np.ndarray:
        """``int [classes, classes]``: true label by row, predicted by column."""
        table = np.zeros((len(self.labels),) * 2, int)
        np.add.at(table, (self.classes, self.predicted), 1)
        return table

    def worst(self, count: int) -> list[int]:
        """Indices of the wrong pictures that the network was surest of, worst first."""
        wrong = np.flatnonzero(self.predicted != self.classes)
        return wrong[np.argsort(-self.probabilities.max(axis=1)[wrong])][:count].tolist()


def evaluate(predict: Callable[[np.ndarray], np.ndarray], cache: Cache, part: str) -> Evaluation:
    """Let a network judge every picture of a part.

    Args:
        predict: ``uint8 [N, H, W, 3]`` to probabilities ``[N, classes]``.
        cache: the prepared pictures.
        part: ``train``, ``validation`` or ``test``.
    """
    probabilities, classes, paths, brightness = [], [], [], []
    for group in row_groups(cache, part, ["pixels", "label", "path"]):
        pixels = pixels_of(group, cache)
        probabilities.append(predict(pixels))
        classes.append(group.label)
        paths += group.path.tolist()
        brightness.append(pixels.mean(axis=(1, 2, 3)))
    return Evaluation(
        cache.labels,
        np.concatenate(probabilities),
        np.concatenate(classes),
        paths,
        np.concatenate(brightness),
    )


def pictures_of(cache: Cache, part: str, paths: list[str]) -> dict[str, np.ndarray]:
    """The prepared pixels ``uint8 [H, W, 3]`` of some of a part's pictures, by path."""
    found: dict[str, np.ndarray] = {}
    for group in row_groups(cache, part, ["pixels", "path"]):
        for path, pixels in zip(group.path, pixels_of(group, cache), strict=True):
            if path in paths:
                found[path] = pixels
    return found


def keras_predict(model) -> Callable[[np.ndarray], np.ndarray]:
    """A Keras model as :func:`evaluate` calls it."""
    return lambda pixels: np.asarray(model(pixels, training=False))
