"""The label that each image likely has, by a head that is fitted again as labels come in."""

import threading
from typing import Any

import numpy as np

from steps.labelling.image_features import ImageFeatures
from steps.labelling.similarity import NEWEST, Head, fit_head
from steps.labelling.sitting import Sitting


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
