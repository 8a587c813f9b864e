"""Row groups as Petastorm reads them."""

import numpy as np
import pytest
from small_cache import numbered, write_cache

from steps.dataset.cache_reader import read_pixels, read_row_groups


def test_row_groups_have_the_requested_columns_and_the_pixels_of_the_cache(tmp_path):
    cache = write_cache(tmp_path / "cache", {"train": [3], "test": [6, 5, 5]})
    groups = list(read_row_groups(cache, "test", ["path", "label"]))
    assert [len(group.path) for group in groups] == [6, 5, 5]
    assert set(groups[0]._fields) == {"path", "label"}
    assert groups[0].path[0] == "file:/landing/3.jpg"
    (group,) = read_row_groups(cache, "train", ["pixels"])
    expected = np.stack([numbered(number, (4, 4), 2)[0] for number in range(3)])
    np.testing.assert_array_equal(cache.stack(group.pixels), expected)


@pytest.mark.parametrize("device", [None, "1"])
def test_a_missing_device_is_none_as_in_the_table(tmp_path, device):
    cache = write_cache(tmp_path / "cache", {"test": [3, 2]}, device=device)
    groups = list(read_row_groups(cache, "test", ["device_id", "label"]))
    assert [one for group in groups for one in group.device_id] == [device] * 5


def test_pixels_are_read_by_hash(tmp_path):
    cache = write_cache(tmp_path / "cache", {"train": [9], "test": [8]})
    wanted = [f"{number:064x}" for number in (16, 9, 4)]
    found = read_pixels(cache, "test", wanted)
    assert set(found) == set(wanted[:2])  # number 4 is of another split
    for number, digest in ((16, wanted[0]), (9, wanted[1])):
        assert found[digest].shape == (4, 4, 3) and found[digest][0, 0, 0] == number
