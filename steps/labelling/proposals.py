"""The label that each image likely has, by a head that is fitted again as labels come in."""

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steps.labelling.describing import NEWEST
from steps.labelling.image_features import ImageFeatures
from steps.labelling.sitting import Sitting

PENALTY = 0.1
"""Of the weights of the head, against features of length 1."""

FEWEST = 2
"""Labelled images of a class that a head needs."""


class Head(NamedTuple):
    """A linear classifier of features, by the labels that were given so far.

    Attributes:
        classes: their codes, ``int32 [K]``.
        weights: ``float32 [features, K]``.
        shares: of the classes among the labelled images, ``float32 [K]``.
    """

    classes: NDArray[np.int32]
    weights: NDArray[np.float32]
    shares: NDArray[np.float32]

    def propose(self, values: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the likeliest class of each image, ``[N]``, and how sure that is, 0–1, ``[N]``."""
        scores = np.clip(values @ self.weights + self.shares, 1e-3, 1)
        scores /= scores.sum(axis=1, keepdims=True)
        return self.classes[scores.argmax(axis=1)], scores.max(axis=1)


def fit_head(values: NDArray[np.float32], codes: NDArray[np.int32]) -> Head | None:
    """Fit a head to the labels given so far, by least squares with an L2 penalty.

    In the dual form, since there are fewer images than features.

    Args:
        values: features of labelled images, ``float32 [N, features]``, of a mean squared length
            of 1.
        codes: their classes, ``int32 [N]``.

    Returns:
        None if fewer than two classes have enough images.
    """
    classes, counts = np.unique(codes, return_counts=True)
    classes = classes[counts >= FEWEST]
    known = np.isin(codes, classes)
    if len(classes) < 2:
        return None
    wanted = (codes[known, None] == classes).astype(np.float32)
    shares = wanted.mean(axis=0)
    products = values[known] @ values[known].T
    products += PENALTY * np.eye(len(products), dtype=np.float32)
    weights = values[known].T @ np.linalg.solve(products, wanted - shares)
    return Head(classes.astype(np.int32), weights, shares)


class Proposals:
    """Proposals for the images that have features; safe for several threads.

    Args:
        sitting: whose labels the head is fitted to.
        features: of its images.
    """

    def __init__(self, sitting: Sitting, features: ImageFeatures):
        self._sitting, self._features = sitting, features
        self._lock = threading.Lock()
        self._known: tuple[Any, ...] = ()
        self._head: Head | None = None
        self._model = ""

    def of(self, hashes: list[str]) -> dict[str, Any]:
        """Return ``labels``: by hash, a label and how sure it is; and the ``model``'s name."""
        images, classes = self._sitting.state.images, self._sitting.classes
        places = {number: sha for sha in hashes if (number := images.find(sha)) is not None}
        numbers, values = self._features.values(images, np.array([*places], np.intp))
        if len(numbers) < len(places):
            self._features.want(hashes)
        with self._lock:
            known = (images.version, self._sitting.given, self._features.progress)
            if known != self._known:
                self._fit()
                self._known = known
            head, model = self._head, self._model
        if head is None or not len(numbers):
            return {"labels": {}, "model": model}
        found, shares = head.propose(values)
        pairs = zip((classes[code] for code in found), shares.round(2).tolist(), strict=True)
        names = (places[number] for number in numbers.tolist())
        return {"labels": dict(zip(names, pairs, strict=True)), "model": model}

    def _fit(self) -> None:
        state = self._sitting.state
        numbers, _ = self._features.read(state.images)
        labelled = numbers[state.codes[numbers] >= 0]
        numbers, values = self._features.values(state.images, labelled[-NEWEST:])
        self._head = fit_head(values, state.codes[numbers])
        self._model = f"{self._features.network}, {len(labelled)} labels"
