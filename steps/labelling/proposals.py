"""The label that each image likely has, by a head that is fitted again as labels come in."""

import threading
from typing import Any

import numpy as np

from steps.labelling.image_features import ImageFeatures
from steps.labelling.similarity import propose_labels
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
        self._known: tuple[int, ...] = ()
        self._labels: dict[int, tuple[str, float]] = {}
        self._model = ""

    def of(self, hashes: list[str]) -> dict[str, Any]:
        """Return ``labels``: by hash, a label and how sure it is; and the ``model``'s name."""
        state = self._sitting.state
        with self._lock:
            count = self._features.count()
            known = (state.images.version, self._sitting.given, count)
            if known != self._known:
                self._fit()
                self._known = known
            numbers = {sha256: state.images.find(sha256) for sha256 in hashes}
            labels = {sha: self._labels[n] for sha, n in numbers.items() if n in self._labels}
            return {"labels": labels, "model": self._model}

    def _fit(self) -> None:
        state = self._sitting.state
        numbers, values = self._features.read(state.images)
        codes = state.codes[numbers]
        found = propose_labels(values, codes)
        self._model = f"{self._features.network}, {np.count_nonzero(codes >= 0)} labels"
        self._labels = {}
        if found is not None:
            names = [self._sitting.classes[code] for code in found[0]]
            pairs = zip(names, found[1].round(2).tolist(), strict=True)
            self._labels = dict(zip(numbers.tolist(), pairs, strict=True))
