"""The search space in Hyperopt's terms."""

from dataclasses import asdict, fields

import numpy as np
from hyperopt.pyll import stochastic

from steps.settings.profile import load_profile
from steps.settings.search_space import Choice
from steps.training.plan import Plan
from steps.tuning.hyperopt_space import narrow_space, to_hyperopt, to_point


def test_the_profiles_space_holds_the_default_and_is_searched_within_its_bounds():
    space = load_profile("local").tuning.space
    assert set(space.searched()) <= {field.name for field in fields(Plan)}
    rng = np.random.default_rng(0)
    samples = [stochastic.sample(to_hyperopt(space), rng=rng) for _ in range(400)]
    for name, dimension in space.searched().items():
        values = [sample[name] for sample in samples]
        if isinstance(dimension, Choice):
            assert set(values) == set(dimension.choices)
        else:
            low, high = dimension.low, dimension.high
            assert low <= min(values) < low + (high - low) / 4
            assert high - (high - low) / 4 < max(values) <= high
    assert {sample["width"] for sample in samples} == {0.75, 1.0, 1.25}
    here = to_point(asdict(Plan()), space)
    defaults = {name: getattr(Plan(), name) for name in space.searched()}
    assert to_point(defaults, space) == here and here["width"] == 1 and here["batch_size"] == 0


def test_a_search_for_one_network_has_that_networks_dimensions():
    space = load_profile("local").tuning.space
    one = narrow_space(space, "MobileNetV2").searched()
    assert one.keys() == space.searched().keys() and one["network"].choices == ["MobileNetV2"]
    frozen = narrow_space(space, "efficientnet_lite0").searched()
    assert frozen.keys() == space.searched().keys() - {"width", "augmentation"}
    without = narrow_space(space.model_copy(update={"network": None}), "compact")
    assert without.network.choices == ["compact"]
