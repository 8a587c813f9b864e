"""The commands that a step names can be typed as they stand."""

import pytest

from steps.errors import RunAgain, RunStep, UserError
from steps.pipeline import commands as module
from steps.pipeline.commands import Commands
from steps.settings.parameters import StepParameters

RUN = "1" * 32


@pytest.fixture(autouse=True)
def any_python(monkeypatch):
    monkeypatch.setattr(module, "RUN", "mlflow run .")


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
    assert Commands(step, StepParameters(**given)).rerun(**changed) == typed


FARM = StepParameters(profile="farm", override="model=hen", debug=True)
PLACE = "-P profile=farm -P override=model=hen"
EGGS = "mlflow run . --experiment-name eggs"


def test_a_command_runs_in_the_same_place():
    assert Commands("promote", FARM).rerun() == f"mlflow run . -e promote {PLACE} -P debug=True"
    commands = Commands("promote", FARM, "eggs")
    assert commands.rerun(debug="") == f"{EGGS} -e promote {PLACE}"
    typed = commands.next("export", register_run_id=RUN, alias="")
    assert typed == f"{EGGS} -e export {PLACE} -P register_run_id={RUN}"
    assert Commands().next("ingest") == "mlflow run . -e ingest"


def test_a_step_is_run_again_until_it_can_be_resumed():
    commands = Commands("train", StepParameters())
    assert commands.resume() == "mlflow run . -e train"
    commands.to_resume = {"resume_run_id": RUN}
    assert commands.resume() == f"mlflow run . -e train -P resume_run_id={RUN}"
    assert Commands("train", StepParameters()).resume() == "mlflow run . -e train"
    commands.to_resume = {}
    assert commands.resume() == "mlflow run . -e train"


@pytest.mark.parametrize(
    ("fix", "line"),
    [
        (None, "the oven is cold"),
        (RunStep("ingest"), f"the oven is cold; run: {EGGS} -e ingest {PLACE}"),
        (
            RunStep("export", {"alias": "canary"}),
            f"the oven is cold; run: {EGGS} -e export {PLACE} -P alias=canary",
        ),
        (
            RunAgain({"debug": "", "seed": "2"}),
            f"the oven is cold; run: {EGGS} -e train {PLACE} -P seed=2",
        ),
        (
            RunAgain(),
            f"the oven is cold; run: {EGGS} -e train {PLACE} -P debug=True -P resume_run_id={RUN}",
        ),
    ],
)
def test_an_error_gets_the_command_that_fixes_it(fix, line):
    commands = Commands("train", FARM, "eggs")
    commands.to_resume = {"resume_run_id": RUN}
    error = UserError("the oven is cold", fix)
    assert str(error) == "the oven is cold"
    commands.add_to(error)
    assert str(error) == line
