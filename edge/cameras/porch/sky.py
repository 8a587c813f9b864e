"""The clouded sky: how much of it is covered, and its pixels."""

import numpy as np

from edge.cameras.porch.light import Daylight
from edge.cameras.porch.sketch import Floats32, Random

CLOUDS = 5
"""The stream of random numbers that the clouds are drawn from."""


class Sky:
    """The sky over the porch of a seed.

    Args:
        seed: of the porch.
        visible: ``float32 [CANVAS, CANVAS]``, 1 if the pixel shows the sky.
    """

    def __init__(self, seed: int, visible: Floats32):
        self._seed = seed
        rows = int(np.flatnonzero(visible.any(axis=1))[-1]) + 1
        self._visible = visible[:rows]
        self._clouds = _cloud_strip(np.random.default_rng([seed, CLOUDS]))

    def cover(self, seconds: int) -> float:
        """Return how much of the sky is covered, 0–1; it drifts over hours."""
        number, part = divmod(seconds / 10800, 1)
        before, after = (
            np.random.default_rng([self._seed, CLOUDS, int(number) + later]).beta(0.8, 1.1)
            for later in (0, 1)
        )
        return float(before + (after - before) * part)

    def fill(self, light: Floats32, daylight: Daylight, seconds: int) -> None:
        """Draw the sky into linear light, ``float32 [3, CANVAS, CANVAS]``."""
        rows = len(self._visible)
        clouds = np.roll(self._clouds, -seconds // 40, axis=1)[:rows, : light.shape[2]]
        clouds = np.clip((clouds - np.float32(0.62 - 0.5 * daylight.clouds)) * 2.6, 0, 1)
        gradient = daylight.sky()[:rows].astype(np.float32)
        white = (gradient.mean(axis=1, keepdims=True) * 0.55 + gradient * 0.45) * 1.35
        white *= 1 - 0.35 * daylight.clouds
        for band, clear, cloudy in zip(light, gradient.T, white.T, strict=True):
            sky = clear[:, None] + (cloudy - clear)[:, None].astype(np.float32) * clouds
            band[:rows] += (sky - band[:rows]) * self._visible


def _cloud_strip(rng: Random) -> Floats32:
    """Draw a band of cloud whose ends join: ``float32 [256, 2048]`` of 0–1."""
    rows, columns = np.fft.fftfreq(256)[:, None] * 2.5, np.fft.fftfreq(2048)[None]
    power = 1 / (np.hypot(rows, columns) + 0.004) ** 1.7
    waves = np.fft.ifft2(np.fft.fft2(rng.standard_normal((256, 2048))) * power).real
    low, high = np.percentile(waves, (2, 98))
    return np.asarray((waves - low) / (high - low)).clip(0, 1).astype(np.float32)
