"""What the monitor keeps of an image: a small grey copy, its light, its sharpness, its features."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.features.weights import SHA256
from steps.labelling.describing import SIDE, WIDTH
from steps.training.networks import FROZEN

GREY = 64
"""Pixels of the grey copy."""

KEPT = np.dtype(
    [
        ("sha256", "S64"),
        ("grey", "u1", (GREY, GREY)),
        ("spread", "<f4"),
        ("detail", "<f4"),
        ("features", "<f2", (WIDTH,)),
    ]
)
"""A record of the file of what was seen."""

FILE = f"frames-{SHA256[:16]}-{SIDE}"
HOUR = 3_600_000_000
"""In microseconds."""


@dataclass(frozen=True)
class Frames:
    """Images of one device in time order.

    Attributes:
        times: of the captures, microseconds since 1970, ``int64 [N]``.
        records: what was seen, of :data:`KEPT`, ``[N]``.
    """

    times: NDArray[np.int64]
    records: NDArray[Any]

    def __len__(self) -> int:
        return len(self.times)

    def take(self, which: NDArray[Any]) -> "Frames":
        """Return some of the frames, by a mask or their numbers."""
        return Frames(self.times[which], self.records[which])

    def sorted(self) -> "Frames":
        """Return the frames in time order."""
        return self.take(np.argsort(self.times, kind="stable"))

    @property
    def hours(self) -> NDArray[np.float64]:
        """The hours of the day, UTC, 0–24."""
        return self.times / HOUR % 24

    @cached_property
    def light(self) -> NDArray[np.float64]:
        """The logarithm of the mean brightness."""
        means: NDArray[np.float64] = self.records["grey"].mean(axis=(1, 2), dtype=np.float64)
        found: NDArray[np.float64] = np.log(
            means + 4
        )  # below some grey levels, noise is all there is
        return found

    @cached_property
    def contrast(self) -> NDArray[np.float64]:
        """The logarithm of the standard deviation of the grey levels."""
        found: NDArray[np.float64] = np.log(self.records["spread"].astype(np.float64) + 1)
        return found

    @cached_property
    def detail(self) -> NDArray[np.float64]:
        """The logarithm of the mean size of the Laplacian, relative to the light: fog lowers it."""
        sizes = self.records["detail"].astype(np.float64)
        found: NDArray[np.float64] = np.log(sizes + 0.1) - self.light
        return found


def see(pixels: NDArray[np.uint8], sha256: NDArray[np.bytes_]) -> NDArray[Any]:
    """Return what is seen of images, as records.

    Args:
        pixels: RGB, ``uint8 [N, SIDE, SIDE, 3]``.
        sha256: of their files, ``S64 [N]``.
    """
    from steps.training.feature_cache import Source, compute_features

    records = np.zeros(len(pixels), KEPT)
    grey = pixels @ np.array((0.299, 0.587, 0.114), np.float32)
    records["sha256"] = sha256
    records["grey"] = grey.reshape(-1, GREY, 2, GREY, 2).mean(axis=(2, 4)).round()
    records["spread"] = grey.std(axis=(1, 2))
    inner = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    records["detail"] = np.abs(around - 4 * inner).mean(axis=(1, 2))
    source = Source(FROZEN[0], (SIDE, SIDE), 0)
    records["features"] = compute_features(source, pixels, copies=1, seed=0)
    return records
