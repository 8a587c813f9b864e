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


def project(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features in fewer dimensions, ``float32 [N, PROJECTED]``."""
    shape = (values.shape[1], PROJECTED)
    directions = np.random.default_rng(0).standard_normal(shape, np.float32)
    projected: NDArray[np.float32] = values @ directions
    return projected


def find_clusters(values: NDArray[np.float32]) -> Clusters:
    """Group images by their features, ``float32 [N, features]``, the same way each time."""
    from sklearn.cluster import MiniBatchKMeans

    points = project(values)
    count = int(np.clip(len(points) ** 0.5, 1, MOST_CLUSTERS))
    means = MiniBatchKMeans(count, random_state=0, n_init=1).fit(points)
    of = means.labels_.astype(np.intp)
    distance = np.linalg.norm(points - means.cluster_centers_[of], axis=1)
    rank = np.empty(len(of), np.intp)
    for cluster in range(count):
        those = np.flatnonzero(of == cluster)
        rank[those[np.argsort(distance[those])]] = np.arange(len(those))
    return Clusters(of, rank, np.bincount(of, minlength=count))


def distance_to_nearest(
    values: NDArray[np.float32], known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return how far each image is from the nearest known one; from the mean if none is."""
    points = project(values)
    others = points[known] if known.any() else points.mean(axis=0, keepdims=True)
    nearest = np.full(len(points), np.inf, np.float32)
    for start in range(0, len(others), 256):
        some = others[start : start + 256]
        squares = (some**2).sum(axis=1) - 2 * points @ some.T
        np.minimum(nearest, squares.min(axis=1), out=nearest)
    distances: NDArray[np.float32] = np.sqrt(np.maximum(nearest + (points**2).sum(axis=1), 0))
    return distances


def propose_labels(
    values: NDArray[np.float32], codes: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]] | None:
    """Return the likeliest class of each image, and how sure that is.

    A linear head is fitted to the labelled images by least squares with an L2 penalty, in the dual
    form: there are fewer images than features.

    Args:
        values: features, ``float32 [N, features]``, of a mean squared length of 1.
        codes: of the labelled images their class, of others a negative number, ``int32 [N]``.

    Returns:
        ``int32 [N]`` and shares 0–1, ``float32 [N]``; None if fewer than two classes have labels.
    """
    labelled = np.flatnonzero(codes >= 0)[-NEWEST:]
    classes, counts = np.unique(codes[labelled], return_counts=True)
    classes = classes[counts >= FEWEST]
    labelled = labelled[np.isin(codes[labelled], classes)]
    if len(classes) < 2:
        return None
    wanted = (codes[labelled, None] == classes).astype(np.float32)
    shares = wanted.mean(axis=0)
    known = values[labelled]
    products = known @ known.T + PENALTY * np.eye(len(known), dtype=np.float32)
    weights = known.T @ np.linalg.solve(products, wanted - shares)
    scores = np.clip(values @ weights + shares, 1e-3, 1)
    scores /= scores.sum(axis=1, keepdims=True)
    return classes[scores.argmax(axis=1)].astype(np.int32), scores.max(axis=1)
