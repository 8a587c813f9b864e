"""Images as the audit describes them, of a simulated camera: labels that come and go, light that
follows the sun, files and names as a camera writes them. Nothing says a label, unless planted."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from steps.audit.images import CORNERS, OUTSIDE
from steps.evaluation.predictions import blocks_of


def make_images(seed: int, days: int = 6, labels: int = 2, devices: int = 2) -> pd.DataFrame:
    """About a hundred images a day; a label lasts for about ten minutes."""
    rng = np.random.default_rng(seed)
    hours = np.sort(rng.uniform(6, 20, (days, 100)), axis=1)
    times = np.datetime64("2026-07-13T00:00:00", "us") + (
        (np.arange(days)[:, None] * 24 + hours).ravel() * 3600e6
    ).astype("timedelta64[us]")
    count = days * 100
    lasts = np.concatenate([[True], (np.diff(hours.ravel()) < 0) | (rng.random(count - 1) < 0.7)])
    label = rng.integers(0, labels, count)[np.maximum.accumulate(np.where(lasts, range(count), 0))]
    device = rng.integers(0, devices, count)
    light = 40 + 120 * np.sin((hours - 6) / 14 * np.pi).ravel() * np.repeat(
        rng.uniform(0.5, 1, days), 100
    )
    brightness = np.clip(light + rng.normal(0, 6, count), 0, 255)
    corners = np.clip(brightness[:, None] + rng.normal(0, 9, (count, len(CORNERS))), 0, 255)
    stamps = pd.Series(times)
    devices_of = pd.Series([f"cam{number}" for number in device])
    sha256 = pd.Series([f"{number:064x}" for number in rng.permutation(count)])
    return pd.DataFrame(
        {
            "sha256": sha256,
            "label": [f"label {number}" for number in label],
            "split": "train",
            "block": blocks_of(times, devices_of, sha256),
            "day": stamps.dt.strftime("%Y-%m-%d"),
            "hour": stamps.dt.strftime("%H:00"),
            "device": devices_of,
            "brightness": brightness,
            "width": np.where(device == 0, 1280, 640),
            "height": np.where(device == 0, 720, 480),
            "jpeg_step": 12.0,
            "bytes_per_pixel": 0.2 + brightness / 2000 + rng.normal(0, 0.01, count),
            "camera": [f"maker model {number}" for number in device],
            "exposure_seconds": 1 / (brightness + 1),
            "iso": np.where(brightness < 80, 400, 100),
            "name": "#-#-#T#_rpi_sensor_#_porch_#.jpg",
            **dict(zip(CORNERS, np.round(corners).T, strict=True)),
            **dict.fromkeys(OUTSIDE),
        }
    )


def _numbers(images: pd.DataFrame) -> np.ndarray:
    return images["label"].str[-1].astype(int).to_numpy()


def _bright(images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return images.assign(brightness=60 + 60 * _numbers(images) + rng.normal(0, 12, len(images)))


def _by_device(images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return images.assign(device=[f"cam{number}" for number in _numbers(images)])


def _corner(images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    corner = CORNERS[rng.integers(len(CORNERS))]
    return images.assign(**{corner: 180.0 + 40 * _numbers(images) + rng.integers(0, 9)})


def _quality(images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return images.assign(jpeg_step=np.where(_numbers(images) > 0, 8.0, 14.0))


def _by_day(images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    days = np.sort(images["day"].unique())
    label_of = dict(zip(days, rng.permutation(np.arange(len(days)) % 2), strict=True))
    return images.assign(label=[f"label {label_of[day]}" for day in images["day"]])


PLANTED: dict[str, Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]] = {
    "brightness": _bright,
    "device": _by_device,
    "corner pixels": _corner,
    "compression": _quality,
    "day": _by_day,
}
"""By the kind that has to be found, what plants it."""


def plant(kind: str, images: pd.DataFrame, seed: int, exceptions: float = 0.05) -> pd.DataFrame:
    """Let a cue say the label of all but a share of the images."""
    rng = np.random.default_rng(seed)
    planted = PLANTED[kind](images, rng)
    other = rng.random(len(images)) < exceptions
    names = np.sort(images["label"].unique())
    swapped = np.where(planted["label"] == names[0], names[1], names[0])
    return planted.assign(label=np.where(other, swapped, planted["label"]))
