"""A map of the images: similar ones lie near each other, nearly the same ones are one point."""

import os
import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steps.labelling.groups import find_stacks
from steps.labelling.order import Filters, matching
from steps.labelling.similarity import find_clusters
from steps.labelling.sitting import Sitting

PLACED = 2000
"""Points that t-SNE places, in about 15 s of a core; the others lie among the nearest of these."""

FEW = 12
"""Points below which t-SNE has no neighbours to keep: their principal components are the map."""

MOST = 20_000
"""Images on the map, drawn by their hash: more are neither seen nor drawn in time."""

NEAREST = 3
GROWTH = 1.2
"""Times the features with which a map is made again."""


class Places(NamedTuple):
    """Where images lie on the map of similar ones.

    Attributes:
        features: that there were.
        sha256: of the images.
        stack: the point of each image, ``[N]``.
        points: 0–1, ``float32 [points, 2]``.
    """

    features: int
    sha256: list[str]
    stack: NDArray[np.intp]
    points: NDArray[np.float32]


class ImageMap:
    """The map of the images that have features, made by a thread of low priority.

    Args:
        sitting: whose images.
    """

    def __init__(self, sitting: Sitting):
        self._sitting = sitting
        self._lock = threading.Lock()
        self._thread = threading.Thread()
        self._places = Places(0, [], np.empty(0, np.intp), np.empty((0, 2), np.float32))

    def page(self, filters: Filters) -> dict[str, Any]:
        """Return the map as it is known, and whether a newer one is being made.

        Returns:
            columns by image: sha256, stack (its point), label (number in ``classes``, or
            negative), shown (whether the filters let it through); by point: x and y, 0–1.
        """
        sitting, state = self._sitting, self._sitting.state
        with self._lock:
            places, count = self._places, sitting.features.count()
            if count > GROWTH * places.features and not self._thread.is_alive():
                self._thread = threading.Thread(target=self._update, daemon=True)
                self._thread.start()
        found = np.array([state.images.find(sha256) for sha256 in places.sha256], float)
        here = np.flatnonzero(~np.isnan(found))  # of the table as it is now
        numbers = found[here].astype(np.intp)
        return {
            "making": self._thread.is_alive(),
            "classes": sitting.classes,
            "sha256": [name.decode() for name in state.images.sha256[numbers]],
            "stack": places.stack[here].tolist(),
            "label": state.codes[numbers].tolist(),
            "shown": matching(sitting, filters)[numbers].tolist(),
            "x": places.points[:, 0].round(4).tolist(),
            "y": places.points[:, 1].round(4).tolist(),
        }

    def _update(self) -> None:
        """Make a map in a second, and then one that keeps neighbours, which takes much longer."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)  # on Linux, of the thread
        images, features = self._sitting.state.images, self._sitting.features.count()
        numbers, values = self._sitting.features.read(images)
        drawn = np.sort(np.argsort(images.sha256[numbers])[:MOST])
        numbers, values = numbers[drawn], values[drawn]
        hashes = [name.decode() for name in images.sha256[numbers]]
        stack, heads = find_points(values)
        for place in (principal_components, keep_neighbours):
            points = place(values[heads])
            points -= points.min(axis=0, initial=np.inf)
            points /= np.maximum(points.max(axis=0, initial=0), 1e-6)
            self._places = Places(features, hashes, stack, points)


def find_points(values: NDArray[np.float32]) -> tuple[NDArray[np.intp], list[int]]:
    """Return the point of each image, ``[N]``, and of each point the first image.

    Args:
        values: features, ``float32 [N, features]``, of a mean squared length of 1.
    """
    of = find_clusters(values).of if len(values) else np.empty(0, np.intp)
    stack = np.empty(len(values), np.intp)
    heads: list[int] = []
    for cluster in np.unique(of):  # only images of one cluster are nearly the same
        those = np.flatnonzero(of == cluster)
        for alike in find_stacks(values[those]):
            stack[those[alike]] = len(heads)
            heads.append(those[alike[0]])
    return stack, heads


def principal_components(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the two dimensions in which values differ most, ``float32 [N, 2]``."""
    centred = values - values.mean(axis=0) if len(values) else values
    points: NDArray[np.float32] = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -2:]
    return points


def keep_neighbours(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return two dimensions in which near neighbours stay so, ``float32 [N, 2]``."""
    from sklearn.manifold import TSNE

    if len(values) < FEW:
        return principal_components(values)
    chosen = np.random.default_rng(0).permutation(len(values))[:PLACED]
    neighbours = min(30, len(chosen) // 4)
    embedding = TSNE(perplexity=neighbours, init="pca", max_iter=500, random_state=0, n_jobs=1)
    placed = embedding.fit_transform(values[chosen]).astype(np.float32)
    points = np.empty((len(values), 2), np.float32)
    for start in range(0, len(values), 256):
        some = values[start : start + 256]
        squares = (values[chosen] ** 2).sum(axis=1) - 2 * some @ values[chosen].T
        nearest = np.argsort(squares, axis=1)[:, :NEAREST]
        points[start : start + 256] = placed[nearest].mean(axis=1)
    points[chosen] = placed
    return points
