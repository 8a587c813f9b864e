"""Register, promote and export on a real store: what is registered, what moves, what is said."""

import json
from importlib.metadata import version as version_of
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from small_registry import SELECTION, light_meter, run_of, trained, write_profile

from edge.inference.record import ModelRecord
from edge.inference.reference_images import ReferenceImages
from edge.inference.scoring import PREPARE_VERSION, Scorer
from edge.protocol.release import Release, ReleaseError
from edge.update.self_test import tried
from steps import export, promote, register
from steps.registry.aliases import claim, history, move_alias

pytestmark = pytest.mark.slow


@pytest.fixture
def profile(store, tmp_path):
    return write_profile(tmp_path)


def registered(profile, capsys, **network) -> str:
    """Train, that is make, a network and register it; the run of register."""
    run_id = trained(profile, light_meter(**network))
    return run_of(register, profile, capsys, "--train_run_id", run_id)


def alias(name: str, alias: str = "champion") -> str:
    return str(MlflowClient().get_model_version_by_alias(name, alias).version)


def refused(step, profile, *arguments: str) -> str:
    """Run a step that has to fail; its one line."""
    with pytest.raises(SystemExit) as ended:
        step.STEP.main(["--profile", str(profile), *arguments])
    assert "\n" not in str(ended.value)
    return str(ended.value)


def report(run_id: str) -> str:
    return mlflow.artifacts.load_text(f"runs:/{run_id}/report.html")


def test_a_version_tells_where_it_came_from(profile, capsys):
    run_id = registered(profile, capsys)
    version = MlflowClient().get_model_version_by_alias("package", "challenger")
    assert {
        "run.register": run_id,
        "run.ingest": "1" * 32,
        "delta_table": "file:/lake/images",
        "delta_version": "3",
        "prepare_version": PREPARE_VERSION,
        "labels": "dark bright",
    }.items() <= version.tags.items()
    assert MlflowClient().get_run(version.tags["run.train"]).data.tags["step"] == "train"
    info = mlflow.models.get_model_info("models:/package@challenger")
    assert info.signature.inputs.inputs[0].shape == (-1, 32, 32, 3)
    assert info.metadata["metrics"] == {"accuracy": 1.0}
    assert info.saved_input_example_info
    needs = Path(mlflow.pyfunc.get_model_dependencies("models:/package@challenger")).read_text()
    assert f"keras=={version_of('keras')}" in needs and "tensorflow-cpu==" in needs
    assert [move.reason for move in history("package", "challenger")] == ["registered"]


def test_from_challenger_to_release_and_back(profile, capsys):
    """The first is promoted; one that sees half is refused; an equal one follows; rolled back."""
    registered(profile, capsys)
    run_of(promote, profile, capsys)
    run_of(export, profile, capsys)
    registered(profile, capsys, rows=8)
    said = refused(promote, profile)
    assert "version 2 of package is not promoted: accuracy" in said
    assert "the champion alone is correct" in said
    assert alias("package") == "1"
    second = MlflowClient().get_model_version("package", "2")
    assert second.tags["promotion"].startswith("refused") and second.description
    shown = report(second.tags["run.promote"])
    assert "Where the two disagree" in shown and shown.count("data:image/jpeg") > 5

    registered(profile, capsys, seed=3)
    run_id = run_of(promote, profile, capsys)
    assert alias("package") == "3" and "Discordant pairs" in report(run_id)
    run_of(export, profile, capsys)
    assert alias("package-onnx") == "2"

    run_of(promote, profile, capsys, "--version", "1", "--reason", "sees ghosts")
    assert (alias("package"), alias("package-onnx")) == ("1", "1")
    assert MlflowClient().get_model_version("package", "3").tags["withdrawn"] == "sees ghosts"
    released = MlflowClient().get_model_version("package-onnx", "1").tags["release"]
    assert Release.parse(released).release == 3
    run_of(promote, profile, capsys, "--version", "3", "--alias", "canary")
    assert (alias("package"), alias("package-onnx", "canary")) == ("1", "2")
    assert "was withdrawn (sees ghosts)" in refused(promote, profile)
    moves = [(move.before, move.version) for move in history("package", "champion")]
    assert moves == [(None, "1"), ("1", "3"), ("3", "1")]
    assert history("package", "champion")[-1].reason == "sees ghosts"


def test_an_export_holds_both_graphs_and_gives_the_same_bytes_again(profile, capsys, tmp_path):
    registered(profile, capsys)
    run_of(promote, profile, capsys)
    first, second = (
        json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/outputs.json"))
        for run_id in (run_of(export, profile, capsys), run_of(export, profile, capsys))
    )
    files = {"model.onnx", "model.int8.onnx", "record.json", "reference_images.json"}
    assert set(first["files"]) == files
    assert first["files"] == second["files"]
    assert (first["release"], second["release"]) == (1, 2)
    folder = mlflow.artifacts.download_artifacts(
        artifact_uri="models:/package-onnx@champion/artifacts", dst_path=tmp_path / "kept"
    )
    record = ModelRecord.read(folder)
    assert {"model.onnx": record.files["model.onnx"]}.items() <= first["files"].items()
    for file in ("model.onnx", "model.int8.onnx"):
        assert record.file_metrics[file]["accuracy"] == record.file_metrics[file]["agreement"] == 1
        Scorer(folder, model_file=file)
    release = Release.parse(
        MlflowClient().get_model_version_by_alias("package-onnx", "champion").tags["release"]
    )
    assert {file.name for file in release.files} == files
    _require_reference_images(Path(folder), record)


def _require_reference_images(folder: Path, record: ModelRecord) -> None:
    """They are of both labels, each file gets its scores, and a device refuses other scores."""
    reference = ReferenceImages.read(folder)
    expected = reference.expected("model.onnx")
    assert len(reference.images) == 8 and set(record.decide(expected)) == {0, 1}
    for file in ("model.onnx", "model.int8.onnx"):
        scores = Scorer(folder, model_file=file).score([p.content for p in reference.images])
        np.testing.assert_allclose(scores, reference.expected(file), rtol=0, atol=1e-6)
    assert set(tried(folder).ms) == {"model.onnx", "model.int8.onnx"}
    reference.images[3].scores["model.int8.onnx"].reverse()
    reference.write(folder)
    assert tried(folder).file == "model.onnx" and "image's score is" in tried(folder).why
    reference.images[3].scores["model.onnx"].reverse()
    reference.write(folder)
    with pytest.raises(ReleaseError, match="self-test: a reference image's score is"):
        tried(folder)


def test_each_rule_can_refuse(store, tmp_path, capsys):
    registered(write_profile(tmp_path), capsys)
    for promotion, says in (
        ({"min_accuracy": 0.999}, "60 test images are too few"),
        ({"max_onnx_bytes": 100}, "onnx_bytes"),
        ({"max_latency_ms": 1e-6}, "latency_ms"),
        ({"thresholds": {"recall_bright@day": {"min": 1.1}}}, "recall_bright@day 1 is below"),
        (
            {"thresholds": {"recall_cat": {"min": 0.1}}},
            "no metric 'recall_cat'",
        ),
        ({"thresholds": {"log_loss": {"max": 1e-6}}}, "log_loss"),
    ):
        assert says in refused(promote, write_profile(tmp_path, **promotion))
    with pytest.raises(mlflow.MlflowException):
        alias("package")


def test_too_few_images_to_compare_are_told_with_the_count(store, tmp_path, capsys):
    profile = write_profile(tmp_path, max_regression=0.02)
    registered(profile, capsys)
    run_of(promote, profile, capsys)
    registered(profile, capsys, seed=1)
    said = refused(promote, profile)
    assert "too few to show" in said and "about 133 test images are needed" in said
    assert "; ingest more and train on them" in said
    assert alias("package") == "1"


def test_a_champion_that_was_trained_on_test_images_is_flagged(profile, capsys, caplog):
    """It was trained on another split; under its own, nothing is said."""
    split_otherwise = SELECTION.model_copy(update={"split_seed": 4})
    run_id = trained(profile, light_meter(), split_otherwise)
    run_of(register, profile, capsys, "--train_run_id", run_id)
    run_of(promote, profile, capsys)
    registered(profile, capsys, seed=1)
    shown = report(run_of(promote, profile, capsys))
    flagged = "2 of the 60 test images were used to train the champion"
    version = MlflowClient().get_model_version_by_alias("package", "champion")
    assert alias("package") == "2" and flagged in version.description and flagged in caplog.text
    assert flagged in shown and "new to both: 58" in shown

    caplog.clear()
    registered(profile, capsys, seed=2)
    shown = report(run_of(promote, profile, capsys))
    assert alias("package") == "3"
    assert "used to train the champion" not in shown + caplog.text


def test_of_two_promotions_at_once_one_wins_and_the_other_says_so(profile, capsys, monkeypatch):
    """While this run judges, another one, which judged against the same champion, is through."""
    registered(profile, capsys)
    first = MlflowClient().create_run("0").info.run_id

    def another_was_faster(model, run_id):
        with claim(model, first):
            move_alias(model, "champion", "1", first, "the other run's")
        return claim(model, run_id)

    registered(profile, capsys, seed=1)
    monkeypatch.setattr(promote, "claim", another_was_faster)
    said = refused(promote, profile)
    assert "moved from version None to 1 while this run judged" in said
    assert alias("package") == "1"
    assert [move.run_id for move in history("package", "champion")] == [first]
