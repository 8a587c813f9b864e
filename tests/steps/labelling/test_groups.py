"""Stacks of images that are nearly the same."""

import numpy as np

from steps.labelling.groups import find_stacks


def test_images_that_are_nearly_the_same_are_one_stack():
    rng = np.random.default_rng(0)
    scenes = rng.standard_normal((3, 400)) / 20
    order = [0, 0, 1, 0, 2, 1, 1]
    values = (scenes[order] + rng.standard_normal((7, 400)) / 100).astype(np.float32)
    assert find_stacks(values) == [[0, 1, 3], [2, 5, 6], [4]]
    assert find_stacks(values[:0]) == []
