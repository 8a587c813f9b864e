"""Which images are alike, and which label an image likely has, by the backbone's features."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PROJECTED = 64
"""Dimensions in which distances are measured: a random projection keeps them nearly."""

MOST_CLUSTERS = 60
PENALTY = 0.1
"""Of the weights of the head, against features of length 1."""

FEWEST = 2
"""Labelled images of a class that a head needs."""

MOST_COMPARED = 10_000
"""Images in which clusters are looked for; the others go to the nearest one."""

MOST_KNOWN = 1000
"""Labelled images that others are compared with, drawn at random: so it takes a second."""

NEWEST = 1000
"""Labelled images that a head is fitted to, at most: so it takes a fraction of a second."""


class Clusters(NamedTuple):
    """Groups of similar images.

    Attributes:
        of: the cluster of each image, ``[N]``.
        rank: by closeness to its centre, 0 for the most typical one of the cluster, ``[N]``.
        sizes: of the clusters.
    """

    of: NDArray[np.intp]
    rank: NDArray[np.intp]
    sizes: NDArray[np.intp]

    @property
    def typical(self) -> NDArray[np.intp]:
        """The images, ``[N]``: the most typical one of each cluster, then the second …."""
        places: NDArray[np.intp] = np.lexsort((-self.sizes[self.of], self.rank))
        return places


def project(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features in fewer dimensions, ``float32 [N, PROJECTED]``, about as far apart."""
    shape = (values.shape[1], PROJECTED)
    directions = np.random.default_rng(0).standard_normal(shape, np.float32)
    projected: NDArray[np.float32] = values @ directions / np.float32(PROJECTED**0.5)
    return projected


def find_clusters(points: NDArray[np.float32]) -> Clusters:
    """Group images by their features, ``float32 [N, features]``, the same way each time."""
    from sklearn.cluster import MiniBatchKMeans

    count = int(np.clip(len(points) ** 0.5, 1, MOST_CLUSTERS))
    drawn = np.random.default_rng(0).permutation(len(points))[:MOST_COMPARED]
    means = MiniBatchKMeans(count, random_state=0, n_init=1).fit(points[np.sort(drawn)])
    of = means.predict(points).astype(np.intp)
    distance = np.linalg.norm(points - means.cluster_centers_[of], axis=1)
    rank = np.empty(len(of), np.intp)
    for cluster in range(count):
        those = np.flatnonzero(of == cluster)
        rank[those[np.argsort(distance[those])]] = np.arange(len(those))
    return Clusters(of, rank, np.bincount(of, minlength=count))


def distance_to_nearest(
    points: NDArray[np.float32], known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return how far each image is from the nearest known one; from the mean if none is."""
    drawn = np.random.default_rng(0).permutation(np.flatnonzero(known))[:MOST_KNOWN]
    others = points[drawn] if len(drawn) else points.mean(axis=0, keepdims=True)
    nearest = np.full(len(points), np.inf, np.float32)
    for start in range(0, len(others), 64):
        some = others[start : start + 64]
        squares = (some**2).sum(axis=1) - 2 * points @ some.T
        np.minimum(nearest, squares.min(axis=1), out=nearest)
    distances: NDArray[np.float32] = np.sqrt(np.maximum(nearest + (points**2).sum(axis=1), 0))
    return distances


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
