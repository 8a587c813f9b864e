"""The search: what it searches, and its trials as MLflow shows them."""

from dataclasses import fields

import hyperopt
import mlflow
import numpy as np
import pytest
from hyperopt.pyll import stochastic
from mlflow import MlflowClient

from steps.training.fit import Plan
from steps.training.search import search, space

PLAN = Plan(
    network="compact",
    width=1.0,
    dropout=0.1,
    weights="none",
    learning_rate=3e-3,
    batch_size=32,
    epochs=1,
    seed=0,
)
BOUNDS = {"learning_rate": (1e-3, 6e-3), "width": (0.75, 1.25), "dropout": (0.0, 0.3)}


def test_what_is_searched_are_fields_of_a_plan_within_their_bounds():
    assert set(space()) == set(BOUNDS) <= {field.name for field in fields(Plan)}
    rng = np.random.default_rng(0)
    samples = [stochastic.sample(space(), rng=rng) for _ in range(300)]
    for name, (low, high) in BOUNDS.items():
        values = [sample[name] for sample in samples]
        assert low <= min(values) < low + (high - low) / 4
        assert high - (high - low) / 4 < max(values) <= high
    assert {sample["width"] for sample in samples} == {0.75, 1.0, 1.25}


@pytest.mark.slow
def test_trials_are_nested_runs_and_the_best_comes_first(store, bright_cache, monkeypatch):
    # in this process: on Spark each worker would import TensorFlow first
    monkeypatch.setattr(hyperopt, "SparkTrials", lambda **_: hyperopt.Trials())
    with mlflow.start_run() as parent:
        found = search(
            None,
            PLAN,
            bright_cache,
            trials=3,
            parallelism=1,
            seed=0,
            tracking_uri=store,
            parent_run_id=parent.info.run_id,
        )
    losses = [trial.validation_loss for trial in found]
    assert len(found) == 3 and losses == sorted(losses)
    assert len({str(trial.hyperparameters) for trial in found}) == 3
    for trial in found:
        run = MlflowClient().get_run(trial.run_id)
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["step"] == "trial"
        logged = {name: float(value) for name, value in run.data.params.items()}
        assert logged == pytest.approx(trial.hyperparameters) and set(logged) == set(BOUNDS)
        assert run.data.metrics["validation_loss"] == pytest.approx(trial.validation_loss)
        accuracy = run.data.metrics["validation_accuracy"]
        assert accuracy == pytest.approx(trial.validation_accuracy)
