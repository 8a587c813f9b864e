"""Which images are alike, by the backbone's features."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PROJECTED = 64
"""Dimensions in which distances are measured: a random projection keeps them nearly."""

MOST_CLUSTERS = 60


MOST_COMPARED = 10_000
"""Images in which clusters are looked for; the others go to the nearest one."""

MOST_KNOWN = 1000
"""Labelled images that others are compared with, drawn at random: so it takes a second."""


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
