"""The plan that the parameters of train make."""

import pytest

from steps.errors import UserError
from steps.settings.parameters import parse
from steps.training.plan import Plan
from steps.training.plan_parameters import PlanParameters


def test_without_parameters_the_plan_has_its_own_defaults():
    assert PlanParameters().plan({}) == Plan()


def test_a_parameter_replaces_a_tuned_value_and_this_a_default():
    parameters = parse(PlanParameters, "train", ["--width=0.5", "--epochs=3"])
    tuned = {"width": 0.75, "dropout": 0.2}
    assert parameters.plan(tuned) == Plan(width=0.5, dropout=0.2, epochs=3)


def test_an_unknown_network_is_an_error_of_one_line():
    with pytest.raises(
        UserError, match="'resnet' is not a network; pass one of: compact"
    ) as caught:
        parse(PlanParameters, "train", ["--network=resnet"])
    assert "\n" not in str(caught.value)
