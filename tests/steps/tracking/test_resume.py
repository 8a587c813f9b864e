"""The commands that go on from a step can be typed as they stand."""

import pytest

from steps.settings.parameters import StepParameters
from steps.tracking import resume
from steps.tracking.resume import again, command, following, go_on_with, onward, under_way

RUN = "1" * 32


@pytest.fixture(autouse=True)
def named(monkeypatch):
    monkeypatch.setattr(resume, "RUN", "mlflow run .")


@pytest.mark.parametrize(
    ("step", "given", "changed", "typed"),
    [
        ("main", {}, {}, "mlflow run ."),
        ("main", {"debug": True}, {"from": "train"}, "mlflow run . -P debug=True -P from=train"),
        ("train", {"profile": "farm"}, {}, "mlflow run . -e train -P profile=farm"),
        ("train", {"profile": "farm"}, {"profile": ""}, "mlflow run . -e train"),
        ("train", {"override": "lake=a b"}, {}, "mlflow run . -e train -P 'override=lake=a b'"),
    ],
)
def test_a_command_has_the_parameters_as_they_were_given(step, given, changed, typed):
    assert command(step, StepParameters(**given), **changed) == typed


FARM = StepParameters(profile="farm", override="model=hen", debug=True)
PLACE = "-P profile=farm -P override=model=hen"


def test_what_is_told_goes_on_in_the_same_place():
    with under_way("promote", FARM) as here:
        assert again() == f"mlflow run . -e promote {PLACE} -P debug=True"
        here.experiment = "eggs"
        assert again(debug="") == f"mlflow run . --experiment-name eggs -e promote {PLACE}"
        typed = following("export", register_run_id=RUN, alias="")
    assert typed == (
        f"mlflow run . --experiment-name eggs -e export {PLACE} -P register_run_id={RUN}"
    )
    assert following("ingest") == "mlflow run . -e ingest"


def test_a_step_says_how_to_go_on_should_it_end_badly():
    with under_way("train", StepParameters()):
        assert onward() == "mlflow run . -e train"
        go_on_with(again(resume_run_id=RUN))
        assert onward() == f"mlflow run . -e train -P resume_run_id={RUN}"
    with under_way("train", StepParameters()):
        assert onward() == "mlflow run . -e train"
