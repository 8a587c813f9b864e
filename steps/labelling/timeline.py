"""A day of a device as curves: how bright its frames are, and how much each differs."""

from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from steps.ingestion.tables import IMAGES
from steps.labelling.order import DAY, Filters, matching
from steps.labelling.sitting import UNSURE, Sitting
from steps.lake.delta_log import DeltaLog

BINS = 32
"""Of a band's histogram: finer ones differ by noise."""

NEIGHBOURS = 6
"""Frames before and after, whose differences are what is usual at this time of the day."""

LEAST = 1e-3
"""A share of the pixels: smaller differences are noise, however quiet the neighbours are."""

HISTOGRAM = pa.schema([("histogram", pa.list_(pa.list_(pa.int32())))])


def timeline(sitting: Sitting, device: str, day: date) -> dict[str, Any]:
    """Return the frames of a device on a day (UTC), in time order.

    Returns:
        columns: sha256, at, label, unsure, brightness (0–255), and change: how much a frame
        differs from the one before, as a multiple of what is usual around it. A new state is far
        above 1, and daylight, which changes all frames, is not. And ``left``: the days of the
        device that have frames without a label.
    """
    numbers = np.flatnonzero(matching(sitting, Filters(show="all", device=device, day=day)))
    state = sitting.state
    rows = state.images.columns.take(pa.array(numbers))
    codes = state.codes[numbers]
    change = relative_change(_histograms(sitting, rows))
    left = state.images.times[matching(sitting, Filters(device=device))] // DAY
    return {
        "sha256": rows["sha256"].to_pylist(),
        "at": [at.isoformat() for at in rows["captured_at"].to_pylist()],
        "label": [sitting.classes[code] if code >= 0 else None for code in codes],
        "unsure": (codes == UNSURE).tolist(),
        "brightness": np.nan_to_num(state.images.brightness[numbers]).round(1).tolist(),
        "change": change.round(2).tolist(),
        "left": np.datetime_as_string(np.unique(left).astype("datetime64[D]")).tolist(),
    }


def relative_change(histograms: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much each frame differs from the one before, relative to its neighbours.

    Args:
        histograms: shares of the pixels, ``float32 [N, bins]``.

    Returns:
        ``float64 [N]``, 0 for the first.
    """
    change = np.zeros(len(histograms))
    if len(histograms) < 2:
        return change
    steps = np.abs(np.diff(histograms, axis=0)).sum(axis=1, dtype=float) / 2
    for number, step in enumerate(steps):
        around = steps[max(0, number - NEIGHBOURS) : number + NEIGHBOURS + 1]
        usual = np.median(np.delete(around, min(number, NEIGHBOURS))) if len(around) > 1 else step
        change[number + 1] = step / (usual + LEAST)
    return change


def _histograms(sitting: Sitting, rows: pa.Table) -> NDArray[np.float32]:
    """Return the histograms of some images, ``float32 [N, bins]``."""
    files, places = rows["file"].to_numpy(), rows["row"].to_numpy()
    found = np.zeros((len(files), 3 * BINS), np.float32)
    for file in np.unique(files):
        those = files == file
        read = _file_histograms(IMAGES.path(sitting.profile), sitting.state.images.files[file])
        found[those] = read[places[those]]
    return found


@lru_cache(maxsize=64)
def _file_histograms(table: str, file: str) -> NDArray[np.float32]:
    """Return the coarse histograms of a data file's images, ``float32 [rows, 3 · BINS]``."""
    rows = DeltaLog(table).read_rows([file], HISTOGRAM, pc.scalar(True))
    found = np.zeros((rows.num_rows, 3, BINS), np.float32)
    start = 0
    for chunk in rows["histogram"].chunks:
        bands = pc.list_value_length(chunk).fill_null(0).to_numpy()
        counts = chunk.flatten().flatten().to_numpy().reshape(-1, BINS, 256 // BINS).sum(axis=2)
        firsts = np.cumsum(bands) - bands
        for band in range(3):  # a grey image has one, and counts thrice
            has = np.flatnonzero(bands > 0)
            of_band = counts[firsts[has] + np.minimum(band, bands[has] - 1)]
            found[start + has, band] = of_band / np.maximum(of_band.sum(axis=1, keepdims=True), 1)
        start += len(chunk)
    return found.reshape(len(found), -1)
