"""The sensor mode of a Raspberry Pi's camera that fits an image size."""

from collections.abc import Iterable, Mapping
from typing import Any


def full_view_mode(modes: Iterable[Mapping[str, Any]], size: tuple[int, int]) -> dict[str, Any]:
    """Return the smallest sensor mode that covers a size and has the sensor's full view.

    By default, libcamera takes a small mode for a small image, which on a v2 camera shows only
    the middle of the view.

    Args:
        modes: as picamera2's ``sensor_modes`` describes them.
        size: (width, height) of the image.

    Returns:
        ``format`` and ``size`` of the mode; empty if the modes do not tell their view.
    """
    modes = [mode for mode in modes if "crop_limits" in mode]
    if not modes:
        return {}
    widest = max(_area(mode["crop_limits"][2:]) for mode in modes)
    full = [mode for mode in modes if _area(mode["crop_limits"][2:]) >= 0.98 * widest]
    covering = [
        mode for mode in full if mode["size"][0] >= size[0] and mode["size"][1] >= size[1]
    ] or full
    mode = min(covering, key=lambda mode: (_area(mode["size"]), -mode["bit_depth"]))
    return {"format": str(mode["format"]), "size": mode["size"]}


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]
