"""The trained network among the artifacts of a run of train."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow

from steps.dataset.cache import Cache
from steps.training.fit_result import FitResult
from steps.training.plan import Plan

if TYPE_CHECKING:
    import keras

MODEL_FILE = "model.keras"


def log_model(plan: Plan, cache: Cache, result: FitResult) -> "keras.Model":
    """Log the network of the best epoch to the active run, and return it."""
    from steps.training.model import build_model
    from steps.training.tensorflow_settings import configure_tensorflow

    configure_tensorflow(plan.threads)  # of this process, if the ranks had their own
    model = build_model(plan, cache)
    model.set_weights(result.weights)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, MODEL_FILE))
        mlflow.log_artifact(str(Path(folder, MODEL_FILE)))
    return model


def load_model(train_run_id: str) -> "keras.Model":
    """Load the network of a run of train."""
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(
            run_id=train_run_id, artifact_path=MODEL_FILE, dst_path=folder
        )
        return keras.models.load_model(path)
