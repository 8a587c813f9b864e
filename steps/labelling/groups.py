"""Pages of similar images, of which those that are nearly the same are one stack."""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.labelling.order import Filters, matching
from steps.labelling.similarity import find_clusters
from steps.labelling.sitting import Sitting

ALIKE = 0.2
"""The squared distance of features below which two images are nearly the same; that of two images
of a camera drawn at random is about 2. No stack of 600 frames of the simulated porch mixed images
with a package and without; at 0.6, nine frames were in the wrong one."""

STACKS = 60
"""On a page."""


class Groups:
    """Clusters of the images that have features; safe for several threads.

    Args:
        sitting: whose images.
    """

    def __init__(self, sitting: Sitting):
        self._sitting = sitting
        self._lock = threading.Lock()
        self._known: tuple[Any, ...] = ()
        self._clusters: list[tuple[NDArray[np.intp], NDArray[np.float32]]] = []

    def page(self, filters: Filters) -> dict[str, Any]:
        """Return the first group from ``filters.start`` on of which the filters let images through.

        Returns:
            ``stacks``: lists of hashes, each of images that are nearly the same; ``number``: of the
            group; ``groups``: how many there are.
        """
        with self._lock:
            self._update()
            shown, names = matching(self._sitting, filters), self._sitting.state.images.sha256
            for number, (images, values) in enumerate(self._clusters):
                if number >= filters.start and shown[images].any():
                    own = shown[images]
                    stacks = [
                        [names[image].decode() for image in images[own][stack]]
                        for stack in find_stacks(values[own])[:STACKS]
                    ]
                    return {"stacks": stacks, "number": number, "groups": len(self._clusters)}
            return {"stacks": [], "number": len(self._clusters), "groups": len(self._clusters)}

    def _update(self) -> None:
        """Find the clusters again if there are more features, or other images."""
        sitting = self._sitting
        known = (sitting.state.images.version, sitting.features.progress)
        if known == self._known:
            return
        self._known, self._clusters = known, []
        numbers, values = sitting.features.read(sitting.state.images)
        if len(numbers):
            found = find_clusters(values)
            for cluster in np.argsort(-found.sizes, kind="stable"):
                those = found.of == cluster
                self._clusters.append((numbers[those], values[those]))


def find_stacks(values: NDArray[np.float32]) -> list[list[int]]:
    """Return the images that are nearly the same as the first one of their stack, by stacks.

    Args:
        values: features, ``float32 [N, features]``, of a mean squared length of 1.
    """
    stacks: list[list[int]] = []
    for number, value in enumerate(values):
        heads = values[[stack[0] for stack in stacks]]
        distances = ((heads - value) ** 2).sum(axis=1)
        if len(distances) and distances.min() < ALIKE:
            stacks[int(distances.argmin())].append(number)
        else:
            stacks.append([number])
    return stacks
