"""The plan that the parameters of train make."""

import pytest
from small_registry import SELECTION

from steps.dataset.selection import NetworkInput, prepared_for
from steps.errors import UserError
from steps.pipeline.outputs import TuneOutputs
from steps.settings.parameters import parse_parameters
from steps.training.plan import Plan
from steps.training.plan_parameters import PlanParameters


def test_without_parameters_the_plan_has_its_own_defaults():
    assert PlanParameters().plan({}) == Plan()


def test_a_parameter_replaces_a_tuned_value_and_this_a_default():
    parameters = parse_parameters(PlanParameters, "train", ["--width=0.5", "--epochs=3"])
    tuned = {"width": 0.75, "dropout": 0.2}
    assert parameters.plan(tuned) == Plan(width=0.5, dropout=0.2, epochs=3)


def test_an_unknown_network_is_an_error_of_one_line():
    with pytest.raises(
        UserError, match="'resnet' is not a network; pass one of: compact"
    ) as caught:
        parse_parameters(PlanParameters, "train", ["--network=resnet"])
    assert "\n" not in str(caught.value)


LITE, COMPACT = "efficientnet_lite0", "compact"


@pytest.mark.parametrize(
    ("given", "networks", "expected"),
    [
        ([], [COMPACT], [[(COMPACT, 128, "squash")]]),
        ([], [COMPACT, LITE],
         [[(LITE, size, way) for size in (128, 160, 224) for way in ("squash", "crop")],
          [(COMPACT, 128, "squash")]]),
        (["--network=compact"], [COMPACT, LITE], [[(COMPACT, 128, "squash")]]),
        (["--input_size=160", "--resizing=crop"], [COMPACT, LITE],
         [[(LITE, 160, "crop")], [(COMPACT, 160, "crop")]]),
    ],
)  # fmt: skip
def test_networks_compete_with_the_ways_to_prepare_their_images(given, networks, expected):
    assert parse_parameters(PlanParameters, "train", given).network_inputs(networks) == expected


TUNED = TuneOutputs(
    best_trial_run_id="",
    validation_loss=0.1,
    hyperparameters={"network": LITE, "learning_rate": 0.002},
    selection=prepared_for(NetworkInput(LITE, 160, "crop"), SELECTION),
)


@pytest.mark.parametrize(
    ("given", "tuned", "expected", "learning_rate"),
    [
        ([], TUNED, (LITE, 160, "crop"), 0.002),
        (["--network=efficientnet_lite0"], TUNED, (LITE, 160, "crop"), 0.002),
        (["--input_size=96"], TUNED, (LITE, 96, "crop"), 0.002),
        # what suits another network says nothing of this one
        (["--network=compact"], TUNED, (COMPACT, 128, "squash"), 0.003),
        ([], None, (COMPACT, 128, "squash"), 0.003),
        (["--network=efficientnet_lite0"], None, (LITE, 224, "squash"), 0.003),
    ],
)
def test_a_network_trains_as_it_was_tuned(given, tuned, expected, learning_rate):
    parameters = parse_parameters(PlanParameters, "train", given)
    plan = parameters.plan(tuned.hyperparameters if tuned else {})
    assert (plan.network, plan.learning_rate) == (expected[0], learning_rate)
    assert parameters.network_input(plan.network, tuned) == NetworkInput(*expected)
