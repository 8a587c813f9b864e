"""What a user can get wrong: one line that says what to do, status 1, and a run that failed."""

import shutil

import mlflow
import pytest
from mlflow import MlflowClient

from steps import device, export, ingest, promote, register, score, train, tune
from steps.errors import RUN
from steps.pipeline.outputs import IngestOutputs


@pytest.fixture
def workshop(tmp_path, workshop_factory, monkeypatch, empty_store):
    workshop = workshop_factory(tmp_path)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workshop.store)
    mlflow.set_tracking_uri(workshop.store)
    return workshop


def fails_with(step, workshop, capsys, *arguments: str, profile: str | None = None) -> str:
    """Run a step that has to fail; returns its one line."""
    profile = profile or str(workshop.profile)
    with pytest.raises(SystemExit) as ended:
        step.STEP.main(["--profile", profile, *arguments])
    said = str(ended.value)
    assert "\n" not in said
    assert "Traceback" not in capsys.readouterr().err
    run = workshop.runs(step.STEP.name)[0]
    assert run.info.status == "FAILED"
    assert run.data.tags["failure"] == said.removeprefix(f"{step.STEP.name}: ")
    return said


def empty(path):
    path.mkdir()


def without_images(path):
    path.mkdir()
    (path / "notes.txt").write_text("no image")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "is not a folder"),
        (empty, "is empty"),
        (without_images, "none of the 1 files"),
    ],
)
def test_a_source_that_holds_nothing(make, says, workshop, capsys, tmp_path):
    make(tmp_path / "source")
    said = fails_with(ingest, workshop, capsys, "--source", str(tmp_path / "source"))
    assert says in said and "-P source=" in said


def test_a_profile_that_does_not_exist(workshop, capsys):
    said = fails_with(ingest, workshop, capsys, profile="moon")
    assert "no profile 'moon'" in said and "local" in said


def test_a_profile_with_an_unknown_key(workshop, capsys):
    workshop.profile.write_text(workshop.profile.read_text() + "\nlakes: there\n")
    said = fails_with(ingest, workshop, capsys)
    assert "lakes" in said and str(workshop.profile) in said


def test_nothing_to_go_on_from(workshop, capsys):
    said = fails_with(tune, workshop, capsys)
    typed = f"{RUN} -e ingest -P profile={workshop.profile}"
    assert said == f"tune: ingest has no finished run yet; run: {typed}"


def test_a_run_that_does_not_exist(workshop, capsys):
    said = fails_with(train, workshop, capsys, "--ingest_run_id", "0" * 32)
    assert "there is no run" in said and "ingest_run_id" in said


def test_a_run_of_another_step(workshop, capsys):
    with mlflow.start_run(tags={"step": "tune"}) as run:
        pass
    said = fails_with(train, workshop, capsys, "--ingest_run_id", run.info.run_id)
    assert "is of tune, not of ingest" in said


def test_a_run_that_did_not_finish(workshop, capsys):
    run = MlflowClient().create_run("0", tags={"step": "train"})
    MlflowClient().set_terminated(run.info.run_id, "FAILED")
    said = fails_with(register, workshop, capsys, "--train_run_id", run.info.run_id)
    assert "did not finish (FAILED)" in said and f"{RUN} -e train" in said


def test_a_run_whose_outputs_are_gone(workshop, capsys):
    with mlflow.start_run(tags={"step": "register"}) as run:
        pass
    said = fails_with(promote, workshop, capsys, "--register_run_id", run.info.run_id)
    assert "no usable outputs.json" in said


def test_no_champion_to_export(workshop, capsys):
    said = fails_with(export, workshop, capsys)
    assert "no registered model 'package'" in said and f"{RUN} -e promote" in said


@pytest.mark.parametrize("step", [device, score])
def test_no_released_model_to_score_with(step, workshop, capsys):
    with mlflow.start_run(tags={"step": "ingest"}):
        outputs = IngestOutputs(
            table="t",
            version=0,
            source="s",
            images=0,
            new_images=0,
            duplicates=0,
            quarantined=0,
            labels={},
        )
        mlflow.log_text(outputs.model_dump_json(), "outputs.json")
    said = fails_with(step, workshop, capsys)
    assert "no registered model 'package-onnx'" in said and f"{RUN} -e export" in said


def test_a_value_out_of_its_bounds(workshop, capsys):
    said = fails_with(train, workshop, capsys, "--epochs", "0")
    assert "epochs" in said and "--help" in said
