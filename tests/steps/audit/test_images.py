"""What the audit reads of a cache."""

import numpy as np
import pytest
from small_cache import bright_or_not, write_cache

from steps.audit import images as described
from steps.audit.images import CORNERS, CUES, OUTSIDE, describe_images

ROWS = {"train": [6], "validation": [2], "test": [2, 2]}


def test_each_image_has_a_row_with_all_cues(tmp_path):
    cache = write_cache(tmp_path, ROWS, size=(8, 8), draw=bright_or_not)
    images = describe_images(cache)
    assert len(images) == 12 and images["split"].value_counts().to_dict() == {
        split: sum(groups) for split, groups in ROWS.items()
    }
    assert {column for columns in CUES.values() for column in columns} <= {*images}
    row = images.set_index("sha256").loc[f"{3:064x}"]
    pixels, label = bright_or_not(3, (8, 8), 2)
    assert row["label"] == cache.labels[label]
    assert row["brightness"] == pytest.approx(pixels.mean())
    corners = [pixels[y, x] for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1))]
    assert row[CORNERS].tolist() == np.concatenate(corners).tolist()
    assert (row["day"], row["hour"], row["device"]) == ("2026-07-13", "00:00", "1")
    assert row["block"] == "2026-07-13T00 1" and row["name"] == "#.jpg"
    assert np.isnan(row["iso"]) and np.isnan(row["bytes_per_pixel"])
    assert images[OUTSIDE].isna().all(axis=None)


def test_what_is_outside_the_region_is_a_column_for_each_colour_of_a_cell(tmp_path):
    outside = bytes(range(len(OUTSIDE)))
    images = describe_images(write_cache(tmp_path, ROWS, outside=outside))
    assert (images[OUTSIDE] == list(outside)).all(axis=None)


def test_an_image_without_a_device_has_none(tmp_path):
    images = describe_images(write_cache(tmp_path, ROWS, device=None))
    assert images["device"].isna().all()


def test_images_without_any_time_have_none(tmp_path):
    images = describe_images(write_cache(tmp_path, ROWS, timed=False))
    assert images["day"].isna().all() and images["block"].is_unique


def test_of_many_images_some_of_each_split_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(described, "MOST_IMAGES", 4)
    images = describe_images(write_cache(tmp_path, ROWS))
    assert images["split"].value_counts().to_dict() == {"train": 6, "validation": 2, "test": 2}
