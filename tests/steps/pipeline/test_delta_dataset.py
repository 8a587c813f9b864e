"""Runs that log the same version of a table, at the same moment."""

import threading

import mlflow
from mlflow import MlflowClient

from steps.pipeline.delta_dataset import log_delta_version

RUNS, VERSIONS = 6, 12


def test_runs_log_the_same_version_at_once(tmp_path):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    client = MlflowClient()
    experiment = client.create_experiment("at once", str(tmp_path / "runs"))
    together = threading.Barrier(RUNS, timeout=60)
    logged: dict[str, list[str]] = {}

    def log_all() -> None:
        with mlflow.start_run(experiment_id=experiment) as run:
            for version in range(VERSIONS):
                together.wait()
                log_delta_version("lake/images", version, "training")
        inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
        logged[run.info.run_id] = sorted(one.dataset.source for one in inputs)

    threads = [threading.Thread(target=log_all) for _ in range(RUNS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = next(iter(logged.values()))
    assert len(versions) == VERSIONS and list(logged.values()) == [versions] * RUNS
