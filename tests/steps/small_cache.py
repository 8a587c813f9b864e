"""A Petastorm cache of a few pixels, written without Spark, in the layout that Spark writes."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from steps.dataset.cache import Cache
from steps.dataset.prepared_rows import FILE

START = datetime(2026, 7, 13)


def numbered(number: int, size: tuple[int, int], classes: int) -> tuple[np.ndarray, int]:
    """Pixels that tell the image's number, and its class."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[0, 0] = number % 256, number // 256, 7
    return pixels, number % classes


def bright_or_not(number: int, size: tuple[int, int], classes: int) -> tuple[np.ndarray, int]:
    """Noise, with a bright square somewhere in the images of class 1."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 90, (*size, 3), np.uint8)
    if number % 2:
        row, column = rng.integers(0, size[0] // 2, 2)
        pixels[row : row + size[0] // 2, column : column + size[1] // 2] = 240
    return pixels, number % 2


def write_cache(
    folder: Path,
    group_rows: dict[str, list[int]],
    size: tuple[int, int] = (4, 4),
    labels: tuple[str, ...] = ("a", "b"),
    draw=numbered,
    device: str | None = "1",
    timed: bool = True,
    outside: bytes = b"",
) -> Cache:
    """Write the splits; images are numbered through all of them."""
    number, counts = 0, {}
    for split, groups in group_rows.items():
        counts[split] = dict.fromkeys(labels, 0)
        for group, rows in enumerate(groups):
            place = folder / f"split={split}" / f"row_group={group}"
            place.mkdir(parents=True)
            numbers = range(number, number + rows)
            images = [draw(n, size, len(labels)) for n in numbers]
            for _, label in images:
                counts[split][labels[label]] += 1
            columns = {
                "sha256": [f"{n:064x}" for n in numbers],
                "path": [f"file:/landing/{n}.jpg" for n in numbers],
                "device_id": pa.array([device] * rows, pa.string()),
                "captured_at": pa.array(
                    [START + timedelta(minutes=n) if timed else None for n in numbers],
                    pa.timestamp("us", "UTC"),
                ),
                **{name: pa.array([None] * rows, pa.float64()) for name in (*FILE, "jpeg_step")},
                "camera": [""] * rows,
                "outside": pa.array([outside] * rows, pa.binary()),
                "label": pa.array([label for _, label in images], pa.int32()),
                "pixels": pa.array([pixels.tobytes() for pixels, _ in images], pa.binary()),
            }
            pq.write_table(pa.table(columns), place / "x.parquet")
            number += rows
    return Cache(str(folder), list(labels), size, group_rows, counts)


def write_features(
    folder: Path, features: np.ndarray, classes: np.ndarray, size: tuple[int, int]
) -> Cache:
    """Write the same features of images of a size as every split that a fit reads."""
    splits, groups = ("train", "validation", "rest"), 4
    rows = [len(classes[group::groups]) for group in range(groups)]
    for split in splits:
        for group in range(groups):
            place = folder / f"split={split}" / f"row_group={group}"
            place.mkdir(parents=True)
            values = [row.tobytes() for row in features[group::groups]]
            labels = pa.array(classes[group::groups], pa.int32())
            table = pa.table({"features": pa.array(values, pa.binary()), "label": labels})
            pq.write_table(table, place / "x.parquet")
    counts = {"ab"[c]: int((classes == c).sum()) for c in (0, 1)}
    return Cache(
        str(folder),
        ["a", "b"],
        size,
        dict.fromkeys(splits, rows),
        dict.fromkeys(splits, counts),
        mean=features.mean(axis=0).tolist(),
        deviation=features.std(axis=0).tolist(),
    )


def overlapping(count: int, features: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that overlap, a third of the rows in the second; a feature that never changes."""
    rng = np.random.default_rng(0)
    classes = (np.arange(count) % 3 == 0).astype(np.int32)
    values = rng.normal(5, 2, (count, features)) + classes[:, None] * np.linspace(0, 1, features)
    values[:, 0] = 7
    return values.astype(np.float32), classes
