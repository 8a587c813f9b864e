"""What predicts the label without the image."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steps.dataset.cache import Cache
from steps.dataset.confounders import find_confounders
from steps.dataset.split import SPLITS


def _cache(folder, days: list[int | None], devices: list[str], labels: list[int]) -> Cache:
    """Each split holds all images, of one pixel."""
    for split in SPLITS:
        (folder / f"split={split}").mkdir()
        columns = {
            "captured_at": pa.array(
                [None if day is None else datetime(2026, 7, day, 12) for day in days],
                pa.timestamp("us"),
            ),
            "device_id": pa.array(devices, pa.string()),
            "label": pa.array(labels, pa.int32()),
            "pixels": pa.array([b"123"] * len(days), pa.binary()),
        }
        pq.write_table(pa.table(columns), folder / f"split={split}" / "x.parquet")
    return Cache(str(folder), ["0", "1"], (1, 1), {split: [len(days)] for split in SPLITS}, {})


MIXED = [0, 1] * 10


@pytest.mark.parametrize(
    ("days", "devices", "labels", "found"),
    [
        ([13, 15] * 10, ["3"] * 20, MIXED, {"capture date": 1.0}),
        ([13] * 20, ["3"] * 20, MIXED, {}),
        ([13, 13, 15, 15] * 5, ["3"] * 20, MIXED, {}),
        ([13, 15] * 10, ["1", "2"] * 10, MIXED, {"capture date": 1.0, "device": 1.0}),
        ([13, 15] * 9 + [15, 13], ["3"] * 20, MIXED, {"capture date": 0.9}),
        ([None] * 20, [None] * 20, MIXED, {}),
        (list(range(1, 21)), ["3"] * 20, MIXED, {}),  # a day of its own for each means nothing
        ([13] * 19 + [15], ["3"] * 20, [0] * 19 + [1], {"capture date": 1.0}),
        ([13, 15] * 10, ["3"] * 20, [0] * 19 + [1], {}),  # nearly all are of one label anyway
    ],
)
def test_what_predicts_the_label_is_found(tmp_path, days, devices, labels, found):
    predictability = {
        one.kind: one.predictability
        for one in find_confounders(_cache(tmp_path, days, devices, labels))
    }
    assert predictability == pytest.approx(found)


def test_the_sentence_names_the_days(tmp_path):
    (found,) = find_confounders(_cache(tmp_path, [13, 15] * 10, ["3"] * 20, MIXED))
    assert found.sentence.startswith(
        "Label and capture date coincide: every 0 is from 2026-07-13 "
        "and every 1 is from 2026-07-15."
    )
    assert np.isclose(found.chance, 0.5)
