"""The brightness of images of one, three and four bands, and of one without statistics."""

import numpy as np
import pyarrow as pa
import pytest

from steps.ingestion.brightness import brightness
from steps.ingestion.tables import BAND


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        ([], []),
        ([[40.0], [10.0, 20.0, 60.0]], [40, 30]),
        ([[0.0, 0.0, 30.0, 255.0], None, [], [7.0]], [10, np.nan, np.nan, 7]),
    ],
)
def test_the_mean_of_the_colours_counts(bands, expected):
    rows = [one and [{"mean": mean} for mean in one] for one in bands]
    np.testing.assert_array_equal(brightness(pa.array(rows, pa.list_(BAND))), expected)
