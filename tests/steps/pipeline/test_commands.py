"""The commands that go on from a step can be typed as they stand."""

import pytest

from steps.pipeline import commands as resume
from steps.pipeline.commands import (
    command,
    go_on_with,
    next_command,
    rerun_command,
    resume_command,
    under_way,
)
from steps.settings.parameters import StepParameters

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
        assert rerun_command() == f"mlflow run . -e promote {PLACE} -P debug=True"
        here.experiment = "eggs"
        assert rerun_command(debug="") == f"mlflow run . --experiment-name eggs -e promote {PLACE}"
        typed = next_command("export", register_run_id=RUN, alias="")
    assert typed == (
        f"mlflow run . --experiment-name eggs -e export {PLACE} -P register_run_id={RUN}"
    )
    assert next_command("ingest") == "mlflow run . -e ingest"


def test_a_step_says_how_to_go_on_should_it_end_badly():
    with under_way("train", StepParameters()):
        assert resume_command() == "mlflow run . -e train"
        go_on_with(rerun_command(resume_run_id=RUN))
        assert resume_command() == f"mlflow run . -e train -P resume_run_id={RUN}"
    with under_way("train", StepParameters()):
        assert resume_command() == "mlflow run . -e train"
