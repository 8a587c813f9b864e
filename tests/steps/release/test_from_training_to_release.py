"""Register, promote and export on a real store: versions, aliases, reports and errors."""

import json
import re
from importlib.metadata import version as version_of
from pathlib import Path

import mlflow
import numpy as np
import pytest
import small_registry
from mlflow import MlflowClient
from small_cache import bright_or_not
from small_registry import SELECTION, light_meter, run_step, trained, write_profile
from tiny_model import probabilities

from edge.inference.prepare import PREPARE_VERSION
from edge.inference.record import ModelRecord
from edge.inference.reference_images import ReferenceImages
from edge.inference.region import Region
from edge.inference.scoring import Scorer
from edge.protocol.release import Release, ReleaseError
from edge.protocol.rollout import Rollout
from edge.update.self_test import run_self_test
from steps import export, promote, register, score
from steps.evaluation import promotion
from steps.registry.alias_lock import lock_aliases
from steps.registry.aliases import history, move_alias

pytestmark = pytest.mark.slow


def train_and_register(profile: Path, **network) -> str:
    """Register a network as if it had been trained; return the run of register."""
    run_id = trained(profile, light_meter(**network))
    return run_step(register, profile, "--train_run_id", run_id)


def alias(name: str, alias: str = "champion") -> str:
    return str(MlflowClient().get_model_version_by_alias(name, alias).version)


def error_of(step, profile, *arguments: str) -> str:
    """Run a step that has to fail; return its one line."""
    with pytest.raises(SystemExit) as ended:
        step.STEP.main(["--profile", str(profile), *arguments])
    assert "\n" not in str(ended.value)
    return str(ended.value)


def ending_of(run_id: str) -> tuple[str, str]:
    """Return the result and the line of a run that finished, as it is tagged and as it says."""
    run = MlflowClient().get_run(run_id)
    outputs = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/outputs.json"))
    assert (run.info.status, run.data.tags["result"]) == ("FINISHED", outputs["result"])
    return outputs["result"], outputs["line"]


def report(run_id: str) -> str:
    return mlflow.artifacts.load_text(f"runs:/{run_id}/report.html")


def test_a_version_has_its_lineage(challenger):
    version = MlflowClient().get_model_version_by_alias("package", "challenger")
    assert {
        "run.ingest": "1" * 32,
        "delta_table": "file:/lake/images",
        "delta_version": "3",
        "prepare_version": PREPARE_VERSION,
        "labels": '["dark", "bright"]',
    }.items() <= version.tags.items()
    for step in ("train", "register"):
        assert MlflowClient().get_run(version.tags[f"run.{step}"]).data.tags["step"] == step
    info = mlflow.models.get_model_info("models:/package@challenger")
    assert info.signature.inputs.inputs[0].shape == (-1, 32, 32, 3)
    assert info.metadata["metrics"] == {"accuracy": 1.0}
    assert info.saved_input_example_info
    needs = Path(mlflow.pyfunc.get_model_dependencies("models:/package@challenger")).read_text()
    assert f"keras=={version_of('keras')}" in needs and "tensorflow-cpu==" in needs
    assert [move.reason for move in history("package", "challenger")] == ["registered"]


def test_a_version_is_compared_and_released_with_its_own_threshold(champion):
    """One that calls every image dark is refused; one that is right is released so."""

    def register_with(threshold: float) -> None:
        wished = {"threshold": threshold, "threshold_label": "dark"}
        run_id = trained(champion, light_meter(), **wished)
        run_step(register, champion, "--train_run_id", run_id)

    register_with(0.001)
    result, line = ending_of(run_step(promote, champion))
    assert result == "champion stays" and "challenger 2 had 0.50 (" in line
    run_step(promote, champion, "--version", "2", "--reason", "to be compared with")
    register_with(0.5)
    metrics = MlflowClient().get_run(run_step(promote, champion)).data.metrics
    assert (metrics["accuracy"], metrics["champion_accuracy"]) == (1, 0.5)
    run_step(export, champion)
    folder = Path(mlflow.artifacts.download_artifacts("models:/package-onnx@champion/artifacts"))
    record = ModelRecord.read(folder)
    assert (record.threshold, record.threshold_label) == (0.5, "dark")
    assert record.file_metrics["model.onnx"] == {**record.file_metrics["model.onnx"], "accuracy": 1}
    info = mlflow.models.get_model_info("models:/package@champion")
    assert info.metadata["threshold_label"] == "dark"


def test_a_canary_waits_for_the_reports_of_its_devices(champion):
    train_and_register(champion, seed=3)
    run_step(promote, champion, "--alias", "canary")
    run_step(export, champion, "--alias", "canary")
    begun = run_step(promote, champion, "--widen", "0.2,1")
    assert ending_of(begun) == ("done", "package 2 goes to 20% of the devices")
    stage = Rollout.parse(MlflowClient().get_model_version("package-onnx", "1").tags["rollout"])
    assert (stage.version, stage.share) == ("2", 0.2)
    waits = "package 2 at 20% of the devices: no device has reported; wait for more reports"
    assert ending_of(run_step(promote, champion, "--widen", "0.2,1")) == ("done", waits)
    assert (alias("package"), alias("package", "canary")) == ("1", "2")
    for wrong in ("0.2", "0.5,0.2,1", "0,1", "20,100", "all"):
        error = error_of(promote, champion, "--widen", wrong)
        assert f"{wrong!r} is not a list of growing shares up to 1" in error


def test_from_challenger_to_release_and_back(champion):
    """One that sees half of an image is refused; an equal one is promoted; then rolled back."""
    train_and_register(champion, rows=8)
    result, line = ending_of(run_step(promote, champion))
    assert result == "champion stays"
    assert re.match(r"champion stays: package 1; challenger 2 had 0\.\d\d \(", line)
    assert ": accuracy" in line and "the champion alone is correct" in line
    assert alias("package") == "1"
    second = MlflowClient().get_model_version("package", "2")
    assert second.tags["promotion"].startswith("refused") and second.description
    shown = report(second.tags["run.promote"])
    assert "Where the two disagree" in shown and shown.count("data:image/jpeg") > 5

    train_and_register(champion, seed=3)
    run_id = run_step(promote, champion)
    assert alias("package") == "3" and "Discordant pairs" in report(run_id)
    run_step(export, champion)
    assert alias("package-onnx") == "2"

    back = run_step(promote, champion, "--version", "1", "--reason", "sees ghosts")
    said = "champion: package 1; accuracy 1.00 (0.94–1.00) on its test images; passed: champion"
    assert ending_of(back) == ("released", f"{said}; release 3")
    assert (alias("package"), alias("package-onnx")) == ("1", "1")
    assert MlflowClient().get_model_version("package", "3").tags["withdrawn"] == "sees ghosts"
    released = MlflowClient().get_model_version("package-onnx", "1").tags["release"]
    assert Release.parse(released).release == 3
    run_step(promote, champion, "--version", "3", "--alias", "canary")
    assert (alias("package"), alias("package-onnx", "canary")) == ("1", "2")
    assert ending_of(run_step(promote, champion)) == (
        "champion stays",
        "champion stays: package 1; challenger 3 was withdrawn (sees ghosts)",
    )
    moves = [(move.before, move.version) for move in history("package", "champion")]
    assert moves == [(None, "1"), ("1", "3"), ("3", "1")]
    assert history("package", "champion")[-1].reason == "sees ghosts"


def test_an_export_holds_both_graphs_and_gives_the_same_bytes_again(champion, tmp_path):
    before = MlflowClient().get_model_version_by_alias("package-onnx", "champion")
    first, second = (
        json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/outputs.json"))
        for run_id in (before.tags["run.export"], run_step(export, champion))
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
    """Both labels have some, each file has its scores, and a device refuses other scores."""
    reference = ReferenceImages.read(folder)
    expected = reference.expected("model.onnx")
    assert len(reference.images) == 8 and set(record.decide(expected)) == {0, 1}
    for file in ("model.onnx", "model.int8.onnx"):
        scores = probabilities(
            Scorer(folder, model_file=file), [image.content for image in reference.images]
        )
        np.testing.assert_allclose(scores, reference.expected(file), rtol=0, atol=1e-6)
    assert set(run_self_test(folder).ms) == {"model.onnx", "model.int8.onnx"}
    reference.images[3].scores["model.int8.onnx"].reverse()
    reference.write(folder)
    assert (
        run_self_test(folder).file == "model.onnx"
        and "image's score is" in run_self_test(folder).why
    )
    reference.images[3].scores["model.onnx"].reverse()
    reference.write(folder)
    with pytest.raises(ReleaseError, match="self-test: a reference image's score is"):
        run_self_test(folder)


@pytest.mark.parametrize(
    ("promotion", "expected"),
    [
        ({"min_accuracy": 0.999}, "60 test images are too few"),
        ({"max_onnx_bytes": 100}, "onnx_bytes"),
        ({"max_latency_ms": 1e-6}, "latency_ms"),
        ({"thresholds": {"recall_bright@day": {"min": 1.1}}}, "recall_bright@day 1 is below"),
        ({"thresholds": {"recall_cat": {"min": 0.1}}}, "no metric 'recall_cat'"),
        ({"thresholds": {"log_loss": {"max": 1e-6}}}, "log_loss"),
    ],
)
def test_each_rule_can_refuse(challenger, promotion, expected):
    profile = write_profile(challenger.parent, **promotion)
    result, line = ending_of(run_step(promote, profile))
    assert result == "no model yet" and line.startswith("no model yet: package 1 had 1.00 (")
    assert expected in line and " -P source=/landing" in line
    with pytest.raises(mlflow.MlflowException):
        alias("package")


def test_a_network_that_follows_a_shortcut_is_promoted_only_with_a_reason(store, tmp_path):
    profile = write_profile(tmp_path)
    shortcut = "it follows the brightness where brightness and label disagree (in 8 of 8 images)"
    trained(profile, light_meter(), shortcut=shortcut)
    run_step(register, profile)
    result, line = ending_of(run_step(promote, profile))
    assert result == "no model yet" and f" (0.94–1.00): {shortcut}; " in line
    assert '-P promote_accept_shortcut="<why it is no harm>"' in line
    version = MlflowClient().get_model_version("package", "1")
    assert version.tags["promotion"] == f"refused: {shortcut}"
    accepted = run_step(promote, profile, "--accept_shortcut", "lamps are to be found")
    assert ending_of(accepted)[0] == "done" and alias("package") == "1"
    version = MlflowClient().get_model_version("package", "1")
    assert version.tags["accepted_shortcut"] == "lamps are to be found"
    assert ending_of(run_step(promote, profile))[0] == "done"  # what is champion stays it


def test_too_few_images_to_compare_are_an_error_with_the_number_needed(champion):
    train_and_register(champion, seed=1)
    profile = write_profile(champion.parent, max_regression=0.02)
    result, line = ending_of(run_step(promote, profile))
    assert result == "champion stays" and line.startswith("champion stays: package 1; ")
    assert "too few to show" in line and "about 133 test images are needed" in line
    assert alias("package") == "1"


def test_a_refusal_is_red_for_those_who_ask_for_it(challenger):
    profile = write_profile(challenger.parent, min_accuracy=0.999)
    error = error_of(promote, profile, "--on_refusal", "fail")
    needed = "60 test images are too few: even if all are correct, 0.999 at 95% confidence needs"
    assert error.startswith(f"promote: no model yet: package 1 had 1.00 (0.94–1.00): {needed} ")
    run = MlflowClient().search_runs(["0"], "tags.step = 'promote'", max_results=1)[0]
    assert (run.info.status, run.data.tags["result"]) == ("FAILED", "no model yet")


@pytest.mark.parametrize("step", [export, score])
def test_what_needs_a_champion_says_why_there_is_none(challenger, step):
    profile = write_profile(challenger.parent, min_accuracy=0.999)
    trained(profile, light_meter())
    run_step(promote, profile)
    ingest = ("--ingest_run_id", "none") if step is score else ()
    error = error_of(step, profile, *ingest)
    assert f"{step.STEP.name}: no model yet: package 1 was refused: 60 test images" in error
    assert " -e promote " in error and error.endswith(" -P version=1")


def test_a_version_that_is_promoted_by_hand_keeps_the_former_champion_in_use(champion):
    """What was never compared says so, and so does what was refused; a later version is no way
    back, so the former champion is not withdrawn, and the next comparison keeps what was set."""
    trained(champion, light_meter(rows=8), metrics={"accuracy": 26 / 60})
    run_step(register, champion)
    line = ending_of(run_step(promote, champion, "--version", "2"))[1]
    assert line.startswith("champion: package 2; accuracy 0.43 (0.32–0.56) on its test images; ")
    assert "; never compared with a champion; not released, so devices do not follow" in line
    assert " -e export " in line
    assert "withdrawn" not in MlflowClient().get_model_version("package", "1").tags
    assert ending_of(run_step(promote, champion))[0] == "done" and alias("package") == "2"


def test_a_champion_that_was_trained_on_test_images_is_flagged(store, tmp_path, caplog):
    """It was trained on another split; under its own, nothing is flagged."""
    profile = write_profile(tmp_path)
    other_split = SELECTION.model_copy(update={"split_seed": 4})
    trained(profile, light_meter(), other_split)
    run_step(register, profile)
    run_step(promote, profile)
    train_and_register(profile, seed=1)
    shown = report(run_step(promote, profile))
    flagged = "2 of the 60 test images were used to train the champion"
    version = MlflowClient().get_model_version_by_alias("package", "champion")
    assert alias("package") == "2" and flagged in version.description and flagged in caplog.text
    assert flagged in shown and "new to both: 58" in shown

    caplog.clear()
    train_and_register(profile, seed=2)
    shown = report(run_step(promote, profile))
    assert alias("package") == "3"
    assert "used to train the champion" not in shown + caplog.text


def test_each_of_two_networks_sees_its_own_region(store, tmp_path, monkeypatch):
    """In the champion's region everything is the other way round, and in the whole image not."""
    profile = write_profile(tmp_path)
    regions = {"": Region(0, 0, 0.5, 1)}
    with monkeypatch.context() as patch:
        negative = lambda *image: ((found := bright_or_not(*image))[0], 1 - found[1])  # noqa: E731
        patch.setattr(small_registry, "bright_or_not", negative)
        trained(profile, light_meter(), SELECTION.model_copy(update={"regions": regions}))
    run_step(register, profile)
    MlflowClient().set_registered_model_alias("package", "champion", "1")
    train_and_register(profile, seed=1)
    metrics = MlflowClient().get_run(run_step(promote, profile)).data.metrics
    assert (metrics["champion_accuracy"], metrics["challenger_accuracy"]) == (0, 1)


def overtaken(module, monkeypatch, version: str) -> str:
    """Let another run move the champion's alias while a step works; return that run's ID."""
    other = MlflowClient().create_run("0").info.run_id

    def another_was_faster(model, run_id):
        with lock_aliases("package", other):
            move_alias("package", "champion", version, other, "the other run's")
        return lock_aliases(model, run_id)

    monkeypatch.setattr(module, "lock_aliases", another_was_faster)
    return other


def test_a_promotion_that_another_overtakes_compares_with_the_new_champion(challenger, monkeypatch):
    train_and_register(challenger, seed=1)
    other = overtaken(promotion, monkeypatch, "1")
    run_id = run_step(promote, challenger)
    assert ending_of(run_id)[1].startswith("champion: package 2; ")
    assert "Discordant pairs" in report(run_id)
    assert [move.run_id for move in history("package", "champion")] == [other, run_id]


def test_an_export_that_a_promotion_overtakes_exports_the_new_champion(champion, monkeypatch):
    train_and_register(champion, seed=1)
    overtaken(export, monkeypatch, "2")
    assert ending_of(run_step(export, champion))[1].startswith("package 2, release 2; ")
    released = MlflowClient().get_model_version_by_alias("package-onnx", "champion")
    assert released.tags["keras_version"] == "2"
