"""The image sensor: exposure, shake, noise, and the curve from linear light to sRGB."""

import numpy as np

from edge.cameras.porch.sketch import CANVAS, Bytes, Floats32, Random

SIDE = 480
"""Side of the image in pixels."""

_SRGB = np.arange(256) / 255
LINEAR = np.where(_SRGB <= 0.04045, _SRGB / 12.92, ((_SRGB + 0.055) / 1.055) ** 2.4).astype(
    np.float32
)
"""Linear light of each sRGB value."""

_STEPS = 4096
_SHOULDER = np.linspace(0, 4, _STEPS)
_TONE = _SHOULDER * (1 + _SHOULDER / 6.0) / (1 + _SHOULDER)
_CURVE = (
    (255 * np.where(_TONE < 0.0031308, _TONE * 12.92, 1.055 * _TONE ** (1 / 2.4) - 0.055))
    .clip(0, 255)
    .astype(np.uint8)
)


class Sensor:
    """A small camera's sensor.

    Args:
        rng: of its noise, which is drawn once; each image shows another part of it.
    """

    def __init__(self, rng: Random):
        coarse = rng.standard_normal((SIDE, SIDE, 3), np.float32).repeat(2, 0).repeat(2, 1)
        self._noise = 0.7 * coarse + rng.standard_normal((2 * SIDE, 2 * SIDE, 1), np.float32)

    def expose(self, light: Floats32, rng: Random) -> Bytes:
        """Turn linear light into an image.

        The exposure follows the scene's brightness only in part, so that night stays dark. A
        higher gain brings more noise. The camera shakes by some pixels.

        Args:
            light: ``float32 [3, CANVAS, CANVAS]``, linear.
            rng: of the shake, and of the part of the noise.

        Returns:
            ``uint8 [SIDE, SIDE, 3]``, sRGB.
        """
        gain = min((0.3 / max(float(light[:, ::4, ::4].mean()), 1e-4)) ** 0.62, 7.0)
        margin = (CANVAS - SIDE) // 2
        row, column = margin + np.clip(rng.normal(0, 1.7, 2), -margin, margin).astype(int)
        shaken = light[:, row : row + SIDE, column : column + SIDE]
        steps = shaken * np.float32(gain * 1.5 * _STEPS / 4)
        bands = _CURVE[np.minimum(steps, _STEPS - 1).astype(np.int16)]
        row, column = rng.integers(0, SIDE, 2)
        noise = self._noise[row : row + SIDE, column : column + SIDE]
        noise = noise * np.float32(0.9 + 1.15 * gain)
        noise += np.moveaxis(bands, 0, 2)
        return np.clip(noise, 0, 255, out=noise).astype(np.uint8)
