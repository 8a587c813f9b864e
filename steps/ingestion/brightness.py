"""How bright images are, by the statistics of their bands."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

COLOURS = 3
"""Bands whose mean is the brightness: what follows is transparency."""


def brightness(statistics: pa.ListArray) -> NDArray[np.float64]:
    """Return the mean of each image's colours, 0–255, ``[N]``; NaN without statistics."""
    lengths = pc.list_value_length(statistics).fill_null(0).to_numpy(zero_copy_only=False)
    number = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    images = np.repeat(np.arange(len(lengths)), lengths)[number < COLOURS]
    means = pc.struct_field(pc.list_flatten(statistics), "mean").to_numpy(zero_copy_only=False)
    sums = np.bincount(images, means[number < COLOURS], len(lengths))
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / np.minimum(lengths, COLOURS))
