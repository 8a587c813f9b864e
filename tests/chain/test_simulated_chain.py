"""The whole chain on a small simulated set, as a user runs it, and what came out of each step."""

import hashlib
import json
import re

import mlflow
import numpy as np
import pytest

from edge.record import ModelRecord
from edge.scoring import Scorer
from steps.tracking.outputs import (
    ExportOutputs,
    IngestOutputs,
    MainOutputs,
    ScoreOutputs,
    TrainOutputs,
)

pytestmark = pytest.mark.slow

PICTURES = 120
STEPS = ("ingest", "tune", "train", "register", "promote", "export")
QUICK = {"tune_trials": 2, "tune_epochs": 1, "train_epochs": 3}


@pytest.fixture(scope="module")
def chain(tmp_path_factory, workshop_factory):
    """A chain that ran once: few epochs, so that any accuracy is good enough."""
    workshop = workshop_factory(tmp_path_factory.mktemp("chain"), min_accuracy=0.0)
    landing = workshop.home / "landing"
    workshop.capture(landing, PICTURES)
    (landing / "2026-07-13T09%3A15%3A30_rpi_sensor_1_porch_0.jpg").write_bytes(b"not a picture")
    done = workshop.mlflow_run("main", source=landing, **QUICK)
    assert done.returncode == 0
    assert re.fullmatch(r"run_id=[0-9a-f]{32}", done.stdout.strip().splitlines()[-1])
    return workshop


@pytest.fixture(autouse=True)
def store(chain):
    mlflow.set_tracking_uri(chain.store)


def outputs_of(chain, step, record):
    run_id = chain.runs(step)[0].info.run_id
    return record.model_validate_json(mlflow.artifacts.load_text(f"runs:/{run_id}/outputs.json"))


@pytest.mark.parametrize("step", STEPS)
def test_each_step_keeps_the_contract_of_a_run(chain, step):
    (run,) = chain.runs(step)
    assert run.info.status == "FINISHED"
    assert run.data.tags["profile"] == "test"
    assert re.fullmatch("[0-9a-f]{32}", run.data.tags["cache_key"])
    assert run.data.tags["mlflow.parentRunId"] == chain.runs("main")[0].info.run_id
    kept = {file.path for file in chain.client.list_artifacts(run.info.run_id)}
    assert {"card.html", "outputs.json"} <= kept
    assert run.data.params["profile"] == str(chain.profile)


@pytest.mark.parametrize(
    ("step", "inputs"),
    [
        ("tune", ["ingest"]),
        ("train", ["ingest", "tune"]),
        ("register", ["train"]),
        ("promote", ["register"]),
    ],
)
def test_a_step_names_the_runs_it_read(chain, step, inputs):
    tags = chain.runs(step)[0].data.tags
    assert {k: v for k, v in tags.items() if k.startswith("input.")} == {
        f"input.{name}": chain.runs(name)[0].info.run_id for name in inputs
    }


def test_ingest_keeps_every_picture_and_quarantines_the_broken_one(chain):
    ingested = outputs_of(chain, "ingest", IngestOutputs)
    assert (ingested.images, ingested.quarantined) == (PICTURES, 1)
    assert sum(ingested.labels.values()) == PICTURES
    assert set(ingested.labels) == {"0", "1"}
    dataset = chain.runs("train")[0].inputs.dataset_inputs[0].dataset
    assert json.loads(dataset.source)["delta_table_version"] == ingested.version


def test_every_trial_is_a_nested_run(chain):
    trials = chain.runs("trial")
    assert len(trials) == QUICK["tune_trials"]
    assert {t.data.tags["mlflow.parentRunId"] for t in trials} == {
        chain.runs("tune")[0].info.run_id
    }
    assert all({"learning_rate", "width", "dropout"} <= set(t.data.params) for t in trials)


def test_the_network_was_trained_by_two_ranks_of_horovod(chain):
    trained = outputs_of(chain, "train", TrainOutputs)
    assert (trained.launcher, trained.processes) == ("horovod", 2)
    history = chain.client.get_metric_history(chain.runs("train")[0].info.run_id, "loss")
    assert len(history) == QUICK["train_epochs"]


def test_the_aliases_name_linked_versions(chain):
    keras = chain.client.get_model_version_by_alias("package", "champion")
    onnx = chain.client.get_model_version_by_alias("package-onnx", "champion")
    assert chain.client.get_model_version_by_alias("package", "challenger").version == keras.version
    assert onnx.tags["keras_version"] == str(keras.version)
    assert keras.tags["onnx_version"] == str(onnx.version)
    assert keras.tags["run.train"] == chain.runs("train")[0].info.run_id


def test_keras_and_onnx_agree_on_every_held_out_picture(chain, tmp_path):
    from steps.settings.profile import load_profile
    from steps.tracking.registry import load_keras
    from steps.training.batches import pixels_of, row_groups
    from steps.training.cache_filling import find_or_fill

    exported = outputs_of(chain, "export", ExportOutputs)
    selection = outputs_of(chain, "train", TrainOutputs).selection
    cache = find_or_fill(selection, load_profile(str(chain.profile)), spark=None)
    model = load_keras(chain.client.get_model_version_by_alias("package", "champion"))
    uri = f"models:/{exported.model}/{exported.version}/artifacts"
    folder = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(tmp_path))
    scorer = Scorer(folder)
    seen = 0
    for group in row_groups(cache, "test", ["pixels"]):
        pixels = pixels_of(group.pixels, cache)
        np.testing.assert_allclose(
            scorer.score_prepared(pixels),
            np.asarray(model(pixels, training=False)),
            atol=1e-4,
            rtol=0,
        )
        seen += len(pixels)
    assert seen == exported.held_out == cache.rows("test")
    assert ModelRecord.read(folder).labels == ["0", "1"]


def test_an_unchanged_chain_is_reused_and_says_so(chain):
    ran = {step: len(chain.runs(step)) for step in STEPS}
    done = chain.mlflow_run("main", source=chain.home / "landing", **QUICK)
    assert done.returncode == 0
    assert done.stderr.count("reuse run") == len(STEPS)
    assert {step: len(chain.runs(step)) for step in STEPS} == ran
    reused = outputs_of(chain, "main", MainOutputs).runs
    assert reused["ingest"] == chain.runs("ingest")[0].info.run_id


def test_a_dry_run_tells_what_new_pictures_would_run(chain):
    newer = chain.home / "landing" / "2026-07-30T09%3A15%3A30_rpi_sensor_1_porch_0.jpg"
    newer.write_bytes(next((chain.home / "landing").glob("*_0.jpg")).read_bytes())
    ran = {step: len(chain.runs(step)) for step in STEPS}
    done = chain.mlflow_run("main", source=chain.home / "landing", dry_run="true", **QUICK)
    newer.unlink()
    assert done.returncode == 0
    assert done.stderr.count("run, because") == len(STEPS)
    assert {step: len(chain.runs(step)) for step in STEPS} == ran


def test_train_again_gives_the_same_weights(chain):
    (first,) = chain.runs("train")
    inputs = {f"{step}_run_id": first.data.tags[f"input.{step}"] for step in ("ingest", "tune")}
    assert chain.mlflow_run("train", epochs=QUICK["train_epochs"], **inputs).returncode == 0
    second = chain.runs("train")[0]
    assert second.info.run_id != first.info.run_id
    assert weights_digest(second) == weights_digest(first)


def weights_digest(run) -> str:
    from steps.training.networks import load

    digest = hashlib.sha256()
    for weights in load(run.info.run_id).get_weights():
        digest.update(weights.tobytes())
    return digest.hexdigest()


def test_export_again_gives_the_same_bytes(chain):
    before = outputs_of(chain, "export", ExportOutputs)
    assert chain.mlflow_run("export").returncode == 0
    after = outputs_of(chain, "export", ExportOutputs)
    assert after.files == before.files
    assert after.release == before.release + 1


def test_the_device_scores_ten_new_frames(chain):
    done = chain.mlflow_run("device", models=str(chain.home / "device"))
    assert done.returncode == 0
    row = re.compile(r"\S+T\d\d\S+ +[01] +[01]\.\d{4} ")
    table = [line for line in done.stdout.splitlines() if row.match(line)]
    assert "file" in done.stdout and "version" in done.stdout
    assert len(table) == 10
    assert "make ui" in done.stdout


def test_spark_scores_each_picture_once(chain):
    assert chain.mlflow_run("score").returncode == 0
    first = outputs_of(chain, "score", ScoreOutputs)
    assert (first.scored, first.unreadable) == (PICTURES, 0)
    assert chain.mlflow_run("score").returncode == 0
    assert outputs_of(chain, "score", ScoreOutputs).scored == 0


LONGER = QUICK | {"train_epochs": 20, "train_patience": 0, "train_launcher": "single"}


def epochs_kept(chain) -> int:
    kept = chain.home.rglob("epoch-*.npz")
    return max((int(path.stem.removeprefix("epoch-")) for path in kept), default=0)


def test_a_chain_that_is_stopped_in_its_training_goes_on_from_the_last_epoch(chain):
    given = LONGER | {"source": chain.home / "landing", "until": "train"}
    output = chain.interrupt("main", lambda: epochs_kept(chain) >= 2, **given)
    by_step, by_chain = re.findall("stopped; go on with: (.*)", output)
    stopped = chain.runs("train")[0]
    assert stopped.info.status == "KILLED"
    inputs = {step: chain.runs(step)[0].info.run_id for step in ("ingest", "tune")}
    pinned = {"resume": stopped.info.run_id, **inputs}
    assert all(f"-P {name}_run_id={run_id}" in by_step for name, run_id in pinned.items())
    assert by_chain.endswith(" -P from=train")

    done = chain.mlflow_run("main", **given)
    assert done.returncode == 0
    assert f"it goes on from run {stopped.info.run_id}, which was cut off" in done.stderr
    assert chain.runs("train")[0].data.tags["resumed"] == stopped.info.run_id
    assert outputs_of(chain, "train", TrainOutputs).epochs == LONGER["train_epochs"]
    assert epochs_kept(chain) == 0


def test_a_training_that_is_stopped_before_its_first_epoch_starts_again(chain):
    before = len(chain.runs("train"))
    output = chain.interrupt("train", lambda: len(chain.runs("train")) > before, seed=1)
    (said,) = re.findall("stopped; go on with: (.*)", output)
    assert "-e train" in said and "resume_run_id" not in said
