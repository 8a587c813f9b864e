"""The whole pipeline on Spark's workers, MLflow's server and S3, by profiles/cluster.yaml."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fsspec
import mlflow
import pytest
from cluster_site import Site
from services import PROJECT, User

from steps.pipeline.outputs import TrainOutputs
from steps.pipeline.pipeline_state import MainOutputs

pytestmark = pytest.mark.cluster

IMAGES = 96
STEPS = ("ingest", "tune", "train", "register", "promote", "export")
QUICK = {"tune_trials": 2, "tune_epochs": 1, "train_epochs": 2}


@pytest.fixture(scope="module")
def pipeline(site: Site) -> Site:
    """A pipeline that ran once."""
    said = site.run("main", source=site.land("landing", IMAGES), **QUICK)
    assert said.count("run, because") == len(STEPS)
    return site


@pytest.mark.parametrize("step", STEPS)
def test_each_step_ran_and_its_artifacts_went_through_the_server(pipeline, step):
    (run,) = pipeline.runs(step)
    assert run.info.status == "FINISHED" and run.data.tags["profile"] == "small"
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    kept = {file.path for file in pipeline.client.list_artifacts(run.info.run_id)}
    assert {"report.html", "outputs.json"} <= kept
    key = run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    assert fsspec.filesystem("s3").exists(f"mlflow/artifacts/{key}/outputs.json")


def test_the_tables_and_the_cache_are_in_the_bucket(pipeline):
    store = fsspec.filesystem("s3")
    assert store.glob("vision/lake/images/_delta_log/*.json")
    manifests = map(json.loads, store.cat("vision/cache/*/manifest.json").values())
    pixels = [manifest for manifest in manifests if not manifest["mean"]]
    counts = [manifest["counts"].values() for manifest in pixels]
    assert {sum(sum(part.values()) for part in of) for of in counts} == {IMAGES}


def test_the_network_was_trained_by_horovod_on_two_executors(pipeline):
    trained = pipeline.outputs("train", TrainOutputs)
    assert (trained.launcher, trained.processes) == ("horovod-spark", 2)
    history = pipeline.client.get_metric_history(pipeline.runs("train")[0].info.run_id, "loss")
    assert len(history) == QUICK["train_epochs"]


def test_every_trial_ran_on_a_worker(pipeline):
    trials = pipeline.runs("trial")
    assert len(trials) == QUICK["tune_trials"]
    assert {trial.info.status for trial in trials} == {"FINISHED"}


def test_an_unchanged_pipeline_is_reused(pipeline):
    said = pipeline.run("main", source="s3a://vision/landing", **QUICK)
    assert said.count("reuse run") == len(STEPS)
    assert all(step.reused for step in pipeline.outputs("main", MainOutputs).steps)


def test_a_password_is_nowhere_in_what_was_kept(pipeline, tmp_path):
    secrets = [pipeline.cluster.trainer.password, "not so secret"]
    for step in (*STEPS, "main"):
        run_id = pipeline.runs(step)[0].info.run_id
        folder = mlflow.artifacts.download_artifacts(run_id=run_id, dst_path=tmp_path / run_id)
        for path in filter(Path.is_file, Path(folder).rglob("*")):
            assert not any(secret.encode() in path.read_bytes() for secret in secrets), path
        kept = json.dumps(pipeline.client.get_run(run_id).to_dictionary())
        assert not any(secret in kept for secret in secrets)


def pull(site: Site, user: User, into) -> subprocess.CompletedProcess:
    """The device's agent, as a user of the server."""
    login = {"MLFLOW_TRACKING_USERNAME": user.name, "MLFLOW_TRACKING_PASSWORD": user.password}
    command = [sys.executable, "-m", "edge", "pull", "--server", site.cluster.tracking_uri]
    return subprocess.run(
        [*command, "--model", "package-onnx", "--into", str(into)],
        cwd=PROJECT,
        env=os.environ | login,
        capture_output=True,
        text=True,
    )


def test_a_device_needs_no_more_than_to_read_its_model(pipeline, tmp_path):
    camera = pipeline.cluster.camera
    refused = pull(pipeline, camera, tmp_path / "models")
    assert refused.returncode != 0 and "Traceback" not in refused.stderr
    pipeline.cluster.call(
        pipeline.cluster.trainer,
        "3.0/mlflow/users/permissions/grant",
        username=camera.name, permission="READ",
        resource_type="registered_model", resource_id="package-onnx",
    ).raise_for_status()  # fmt: skip
    done = pull(pipeline, camera, tmp_path / "models")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "models").rglob("model.onnx"))


def test_spark_scores_what_is_in_the_bucket(pipeline):
    pipeline.run("score")
    assert fsspec.filesystem("s3").glob("vision/lake/scores/*.parquet")
