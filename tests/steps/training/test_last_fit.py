"""The last fit of a head, on all images but the test split."""

from dataclasses import replace

import numpy as np
import pytest
from small_cache import overlapping, write_features

from steps.training.fit import fit
from steps.training.last_fit import fit_fully
from steps.training.plan import Plan
from steps.training.ranks import SingleProcess

pytestmark = pytest.mark.slow

PLAN = Plan(network="efficientnet_lite0", epochs=4)


def test_a_head_is_fitted_again_on_the_rest(tmp_path):
    features, classes = overlapping(100)
    cache = write_features(tmp_path, features, classes, (32, 32))
    result = fit_fully(PLAN, cache, SingleProcess())
    again = replace(PLAN, epochs=result.best + 1, patience=0)
    expected = fit(again, replace(cache, fitted="rest"), SingleProcess()).weights
    for found, wanted in zip(result.last_weights, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_network_that_is_trained_as_a_whole_keeps_its_validation_split(bright_cache):
    plan = Plan(width=0.5, epochs=1, epoch_steps=1)
    assert fit_fully(plan, bright_cache, SingleProcess()).last_weights == []
