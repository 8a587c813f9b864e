"""Where images lie on the map."""

import time

import numpy as np
import pytest

from steps.labelling.describing import RECORD
from steps.labelling.image_map import (
    ImageMap,
    find_points,
    keep_neighbours,
    principal_components,
)
from steps.labelling.order import Filters


def kinds(count: int) -> np.ndarray:
    """Features of two kinds of images, half of each, of a mean squared length of 1."""
    values = np.random.default_rng(0).standard_normal((count, 300)).astype("f4") / 3
    values[::2] += 1
    return values / np.float32(13)


@pytest.mark.parametrize("placed", [2000, 60])
def test_similar_images_lie_near_each_other_also_those_that_follow(monkeypatch, placed):
    monkeypatch.setattr("steps.labelling.image_map.PLACED", placed)
    points = keep_neighbours(kinds(150))
    centres = np.array([np.median(points[kind::2], axis=0) for kind in (0, 1)])
    nearest = np.linalg.norm(points[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == np.arange(150) % 2).mean() > 0.95


def test_images_that_are_nearly_the_same_are_one_point():
    stack, heads = find_points(np.repeat(kinds(30), 3, axis=0))
    assert len(heads) == 30 and (stack.reshape(30, 3) == stack[::3, None]).all()
    assert [stack[head] for head in heads] == [*range(30)]


@pytest.mark.parametrize("count", [0, 1, 2, 5, 12])
def test_few_images_have_a_map_too(count):
    for place in (principal_components, keep_neighbours):
        points = place(kinds(count))
        assert points.shape == (count, 2) and np.isfinite(points).all()
        assert len(np.unique(points, axis=0)) == count


def test_the_map_follows_features_labels_and_filters(sitting):
    shown = ImageMap(sitting)
    assert not any(shown.page(Filters()).values())  # nothing, and nothing is being made
    records = np.zeros(40, RECORD)
    records["sha256"] = sitting.state.images.sha256
    records["values"][:, :300] = kinds(40)
    sitting.features.file.parent.mkdir(parents=True)
    sitting.features.file.write_bytes(records.tobytes())
    until = time.monotonic() + 60
    while (page := shown.page(Filters(day="2026-07-13")))["making"] or not page["sha256"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert sorted(page["sha256"]) == sorted(name.decode() for name in records["sha256"])
    assert sum(page["shown"]) == 12 and set(page["label"]) == {-1}
    assert len(page["x"]) == len(page["y"]) == max(page["stack"]) + 1
