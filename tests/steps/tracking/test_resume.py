"""The commands that go on from a step can be typed as they stand."""

import mlflow
import pytest

from steps.settings.parameters import StepParameters
from steps.tracking import resume
from steps.tracking.resume import command, following

RUN = "1" * 32


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
def test_a_command_has_the_parameters_as_they_were_given(monkeypatch, step, given, changed, typed):
    monkeypatch.setattr(resume, "RUN", "mlflow run .")
    assert command(step, StepParameters(**given), **changed) == typed


def test_what_follows_is_done_in_the_same_experiment_and_by_the_same_profile(store, monkeypatch):
    monkeypatch.setattr(resume, "RUN", "mlflow run . --env-manager local")
    before = StepParameters(profile="farm", override="model=hen", debug=True)
    with mlflow.start_run(experiment_id=mlflow.create_experiment("eggs")):
        typed = following("export", before, register_run_id=RUN, alias="")
    assert typed == (
        "mlflow run . --env-manager local --experiment-name eggs -e export "
        f"-P profile=farm -P override=model=hen -P register_run_id={RUN}"
    )
